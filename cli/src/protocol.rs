//! What goes between a policy and its host, as JSON: the part of Kubewarden's protocol that the policy uses.
//!
//! Kubewarden's SDK has the same types for the policy's side. It brings some hundred crates with it, which a first build of the
//! tool goes without.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a policy says of its settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SettingsValidationResponse {
    /// Whether the policy can work with them.
    pub valid: bool,
    /// Why not.
    pub message: Option<String>,
}

/// The payload of `get_resource`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetResourceRequest {
    /// `v1`, or group and version.
    pub api_version: String,
    /// In PascalCase.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// Nothing for a kind without namespaces.
    pub namespace: Option<String>,
    /// Ask the API server even where an answer of the last five seconds is at hand.
    pub disable_cache: bool,
    /// The fields to answer with; all when absent.
    pub field_masks: Option<BTreeSet<String>>,
}

/// The payload of `can_i`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanIRequest {
    /// Who, and what.
    pub subject_access_review: SubjectAccessReview,
    /// Ask the API server even where an answer of the last five seconds is at hand.
    pub disable_cache: bool,
}

/// Who wants to do what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectAccessReview {
    /// The user's groups: none are added.
    pub groups: Option<Vec<String>>,
    /// What the user wants to do.
    pub resource_attributes: ResourceAttributes,
    /// The user's name.
    pub user: String,
}

/// What somebody wants to do: `authorization.k8s.io/v1` ResourceAttributes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceAttributes {
    /// The API group, empty for the core's.
    pub group: Option<String>,
    /// The object's name; all when absent.
    pub name: Option<String>,
    /// The object's namespace; all when absent.
    pub namespace: Option<String>,
    /// The kind's name in the API, such as `secrets`.
    pub resource: String,
    /// What is below the object, such as `status`.
    pub subresource: Option<String>,
    /// Such as `get`.
    pub verb: String,
    /// The API's version.
    pub version: Option<String>,
}

impl ResourceAttributes {
    /// Returns what reading a Secret is.
    pub(crate) fn get_secret(namespace: &str, name: &str) -> Self {
        Self {
            group: Some(String::new()),
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            resource: "secrets".to_owned(),
            verb: "get".to_owned(),
            ..Self::default()
        }
    }
}

/// The policy's answer to a request, as waPC carries it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ValidationResponse {
    /// Whether the object may be.
    pub accepted: bool,
    /// Why not.
    pub message: Option<String>,
    /// The HTTP status.
    pub code: Option<u16>,
    /// The object as the policy changed it.
    pub mutated_object: Option<Value>,
    /// For the audit log.
    pub audit_annotations: Option<BTreeMap<String, String>>,
    /// For whoever made the request.
    pub warnings: Option<Vec<String>>,
}
