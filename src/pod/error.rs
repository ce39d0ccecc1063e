//! Why the additions cannot be made.

#![forbid(unsafe_code)]

use std::fmt::Display;

use crate::json::WrongType;

/// Why the additions cannot be made: the HTTP status of the rejection, and its message. A text becomes an error of the
/// status 422.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PodError {
    pub code: u16,
    pub message: String,
}

impl PodError {
    /// Makes the error for a Pod that the API server would refuse, too.
    pub(super) fn invalid(problem: impl Display) -> Self {
        let message = format!("the Pod is not valid: {problem}");
        Self { code: 400, message }
    }

    /// Makes the error for additions that nobody could store.
    pub(crate) fn too_large() -> Self {
        "the secrets that the Pod asks for would add more to it than Kubernetes can store (4 MiB, and etcd takes 1.5 MiB in \
         all); let each request name the containers that need it in secret-injector/requests, or make several Pods"
            .to_owned()
            .into()
    }
}

impl From<String> for PodError {
    fn from(message: String) -> Self {
        Self { code: 422, message }
    }
}

impl From<WrongType> for PodError {
    fn from(problem: WrongType) -> Self {
        Self::invalid(problem)
    }
}
