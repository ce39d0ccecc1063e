//! What the policy asks of its host, and what the host asks of it, as JSON.
//!
//! This is the part of [Kubewarden's SDK](https://docs.rs/kubewarden-policy-sdk) that the policy needs, with the same names and
//! the same bytes; the tests compare them. The SDK itself brings some ninety crates with it, which take several times as
//! long to compile as everything else.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The host answered with an error.
    #[error("{0}")]
    Host(String),
    /// The question or its answer is not JSON of the right form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

/// Asks for one object of the cluster.
#[derive(Debug, Serialize, Deserialize)]
pub struct GetResourceRequest {
    /// `v1`, or group and version.
    pub api_version: String,
    /// The kind, in PascalCase.
    pub kind: String,
    /// The object's name.
    pub name: String,
    /// The object's namespace; none for a kind without namespaces.
    pub namespace: Option<String>,
    /// Whether an answer that the host keeps will not do.
    pub disable_cache: bool,
    /// The fields to answer with; all fields if absent.
    pub field_masks: Option<BTreeSet<String>>,
}

/// Asks whether somebody may do something.
#[derive(Debug, Serialize, Deserialize)]
pub struct CanIRequest {
    /// Who, and what.
    pub subject_access_review: SubjectAccessReview,
    /// Whether an answer that the host keeps will not do.
    pub disable_cache: bool,
}

/// Names a user and an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectAccessReview {
    /// The user's groups.
    pub groups: Option<Vec<String>>,
    /// The action.
    pub resource_attributes: ResourceAttributes,
    /// The user's name.
    pub user: String,
}

/// Names an action on a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceAttributes {
    /// The API group.
    pub group: Option<String>,
    /// The object's name.
    pub name: Option<String>,
    /// The object's namespace.
    pub namespace: Option<String>,
    /// The resource, in the plural.
    pub resource: String,
    /// The subresource.
    pub subresource: Option<String>,
    /// The verb, such as `get`.
    pub verb: String,
    /// The version of the API group.
    pub version: Option<String>,
}

/// Answers a [`CanIRequest`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct SubjectAccessReviewStatus {
    /// Whether the user may do it.
    #[serde(default)]
    pub allowed: bool,
}

/// Answers whether settings are valid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SettingsValidationResponse {
    /// Whether they are.
    pub valid: bool,
    /// Why they are not.
    pub message: Option<String>,
}

/// Answers the host's question for the version of the protocol.
///
/// # Errors
/// None; the type is that of all functions that the host calls.
pub fn protocol_version(_payload: &[u8]) -> wapc_guest::CallResult {
    Ok(br#""v1""#.to_vec())
}

/// Reads one object of the cluster.
///
/// # Errors
/// [`Error`]
pub fn get_resource<T: DeserializeOwned>(request: &GetResourceRequest) -> Result<T, Error> {
    call("get_resource", &serde_json::to_vec(request)?)
}

/// Asks the API server for a permission.
///
/// # Errors
/// [`Error`]
pub fn can_i(request: &CanIRequest) -> Result<SubjectAccessReviewStatus, Error> {
    call("can_i", &serde_json::to_vec(request)?)
}

fn call<T: DeserializeOwned>(operation: &str, payload: &[u8]) -> Result<T, Error> {
    let answer = wapc_guest::host_call("kubewarden", "kubernetes", operation, payload)
        .map_err(|error| Error::Host(error.to_string()))?;
    Ok(serde_json::from_slice(&answer)?)
}
