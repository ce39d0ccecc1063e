//! From a Pod manifest to the request that a policy gets.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use crate::response::{AdmissionResponse, Status};
use crate::yaml::{self, Yaml, YamlError};

/// Reviews are told apart by it, and a preview has one.
const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

/// Why there is no request in a text.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not YAML.
    #[error("the Pod is {0}")]
    Yaml(#[from] YamlError),
    /// No document is a Pod, an AdmissionReview or a request, or more than one is.
    #[error("expected one Pod, AdmissionReview or admission request, found {0}")]
    Count(usize),
    /// The request is not as Kubernetes has it.
    #[error("the admission request: {0}")]
    Request(#[from] serde_json::Error),
}

/// `admission.k8s.io/v1` AdmissionRequest, as the policy server reads it: what it does not know, the policy never sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRequest {
    /// To be copied to the response.
    pub uid: String,
    /// The type of `object`.
    pub kind: GroupVersionKind,
    /// The resource it is an object of.
    pub resource: GroupVersionResource,
    /// Such as `status` or `ephemeralcontainers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_resource: Option<String>,
    /// The type before the API server converted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_kind: Option<GroupVersionKind>,
    /// The resource before the API server converted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_resource: Option<GroupVersionResource>,
    /// The subresource before the API server converted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_sub_resource: Option<String>,
    /// Absent when the API server is to make it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the object is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: String,
    /// Who does it.
    pub user_info: Value,
    /// Null, and then absent, on DELETE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Value>,
    /// The object as it was, on UPDATE and DELETE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_object: Option<Value>,
    /// Nothing will be stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
    /// CreateOptions and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub options: Option<Value>,
}

/// A type of object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVersionKind {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Such as `v1`.
    pub version: String,
    /// In PascalCase.
    pub kind: String,
}

/// A type of resource.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupVersionResource {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Such as `v1`.
    pub version: String,
    /// The plural.
    pub resource: String,
}

/// A request, and the object as somebody wrote it.
#[derive(Debug, Clone)]
pub struct Review {
    /// What the policy gets.
    pub request: AdmissionRequest,
    /// The object with its fields in the order of the file.
    pub source: Option<Yaml>,
}

impl Review {
    /// Reads a file: see [`Review::from_text`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ReviewError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| ReviewError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_text(&text)
    }

    /// Reads a Pod, an AdmissionReview or a bare admission request, in YAML or JSON. Other documents beside it, such as
    /// a Namespace, are passed over.
    pub fn from_text(text: &str) -> Result<Self, ReviewError> {
        let mut documents: Vec<Yaml> = yaml::documents(text)?
            .into_iter()
            .filter(|document| Form::of(document).is_some())
            .collect();
        match (documents.pop(), documents.len()) {
            (Some(document), 0) => Self::from_document(document),
            (None, _) => Err(ReviewError::Count(0)),
            (Some(_), others) => Err(ReviewError::Count(others + 1)),
        }
    }

    /// The request of the API server to create `pod`.
    pub fn of_pod(pod: Value) -> Self {
        Self {
            request: create_request(pod),
            source: None,
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// [`ReviewError::Request`], for an AdmissionReview or a request.
    pub(crate) fn from_document(document: Yaml) -> Result<Self, ReviewError> {
        let request = match Form::of(&document) {
            Some(Form::Pod) => {
                return Ok(Self {
                    request: create_request(yaml::to_json(&document)?),
                    source: Some(document),
                });
            }
            Some(Form::Review) => document.get("request").cloned().unwrap_or_default(),
            _ => document,
        };
        Ok(Self {
            request: serde_json::from_value(yaml::to_json(&request)?)?,
            source: request.get("object").cloned(),
        })
    }
}

/// What a document is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Pod,
    Review,
    Request,
}

impl Form {
    pub(crate) fn of(document: &Yaml) -> Option<Self> {
        match document.get("kind") {
            Some(Yaml::String(kind)) if kind == "Pod" => Some(Self::Pod),
            Some(Yaml::String(kind)) if kind == "AdmissionReview" => Some(Self::Review),
            // In a bare request, `kind` is a group, a version and a kind.
            Some(Yaml::Mapping(_)) if document.get("operation").is_some() => Some(Self::Request),
            _ => None,
        }
    }
}

fn create_request(pod: Value) -> AdmissionRequest {
    let metadata = |field: &str| pod["metadata"][field].as_str().map(str::to_owned);
    let kind = GroupVersionKind {
        group: String::new(),
        version: "v1".to_owned(),
        kind: "Pod".to_owned(),
    };
    let resource = GroupVersionResource {
        group: String::new(),
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
    };
    AdmissionRequest {
        uid: UID.to_owned(),
        kind: kind.clone(),
        resource: resource.clone(),
        request_kind: Some(kind),
        request_resource: Some(resource),
        name: metadata("name"),
        namespace: metadata("namespace").or_else(|| Some("default".to_owned())),
        operation: "CREATE".to_owned(),
        user_info: json!({
            "username": "kubernetes-admin",
            "groups": ["kubeadm:cluster-admins", "system:authenticated"],
        }),
        object: Some(pod),
        dry_run: Some(false),
        options: Some(json!({
            "apiVersion": "meta.k8s.io/v1",
            "kind": "CreateOptions",
            "fieldManager": "kubectl-create",
            "fieldValidation": "Strict",
        })),
        ..AdmissionRequest::default()
    }
}
