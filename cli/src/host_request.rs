//! A policy's requests to its host, who answers them, and why a request is not answered.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::protocol::{CanIRequest, GetResourceRequest, SubjectAccessReview};

/// A request to the host, as kwctl's session files have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostRequest {
    /// Read one object.
    KubernetesGetResource {
        /// `v1`, or group and version.
        api_version: String,
        /// In PascalCase.
        kind: String,
        /// The object's name.
        name: String,
        /// Nothing for a kind without namespaces.
        namespace: Option<String>,
        /// Ask the API server even where an answer of the last five seconds is at hand.
        disable_cache: bool,
        /// The fields to answer with; all when absent.
        field_masks: Option<BTreeSet<String>>,
    },
    /// Ask whether somebody may do something.
    KubernetesCanI {
        /// Who, and what.
        request: SubjectAccessReview,
        /// Ask the API server even where an answer of the last five seconds is at hand.
        disable_cache: bool,
    },
}

impl HostRequest {
    /// The operation in the namespace `kubernetes`.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::KubernetesGetResource { .. } => "get_resource",
            Self::KubernetesCanI { .. } => "can_i",
        }
    }
}

impl From<GetResourceRequest> for HostRequest {
    fn from(request: GetResourceRequest) -> Self {
        Self::KubernetesGetResource {
            api_version: request.api_version,
            kind: request.kind,
            name: request.name,
            namespace: request.namespace,
            disable_cache: request.disable_cache,
            field_masks: request.field_masks,
        }
    }
}

impl From<CanIRequest> for HostRequest {
    fn from(request: CanIRequest) -> Self {
        Self::KubernetesCanI {
            request: request.subject_access_review,
            disable_cache: request.disable_cache,
        }
    }
}

/// Who answers the requests that the grants let through: a [`Cluster`](crate::cluster::Cluster), or a
/// [session](crate::session).
pub trait Answer: Send + Sync {
    /// The answer as JSON text, or the error's message.
    fn answer(&self, request: &HostRequest) -> Result<String, String>;
}

/// What stands in front of the reason why nobody answers a question.
const UNANSWERED: &str = "secret-injector has no answer: ";

/// Returns the error of a question that cannot be answered here, so that what the policy makes of it says nothing.
pub fn unanswered(reason: &str) -> String {
    format!("{UNANSWERED}{reason}")
}

/// Returns why a question was not answered, if it was not.
pub fn reason_unanswered(answer: &Result<String, String>) -> Option<&str> {
    let (_, reason) = answer.as_ref().err()?.split_once(UNANSWERED)?;
    Some(reason)
}

impl<T: Answer + ?Sized> Answer for Arc<T> {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        (**self).answer(request)
    }
}

/// A kind of object that a policy may read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContextAwareResource {
    /// `v1`, or group and version.
    pub api_version: String,
    /// In PascalCase.
    pub kind: String,
}

/// Why the host does not answer a policy.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// A binding that no Kubewarden host has.
    #[error("unknown binding: {0}")]
    Binding(String),
    /// A namespace that this host does not have.
    #[error("unknown namespace: {0}")]
    Namespace(String),
    /// An operation that this host does not have.
    #[error("unknown operation: {0}")]
    Operation(String),
    /// The payload is not what the operation takes.
    #[error(transparent)]
    Payload(#[from] serde_json::Error),
    /// `hostCapabilities` does not have it.
    #[error("Policy has not been granted access to the '{0}' host capability. The violation has been reported.")]
    Capability(String),
    /// `contextAwareResources` does not have it.
    #[error(
        "Policy has not been granted access to Kubernetes {}/{} resources. The violation has been reported.",
        .0.api_version, .0.kind
    )]
    Resource(ContextAwareResource),
    /// Whoever answers said so.
    #[error("Callback evaluation failure: {0}")]
    Answer(String),
}
