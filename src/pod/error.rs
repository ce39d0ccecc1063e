//! Why the additions cannot be made.

use std::fmt::Display;

use crate::injection::Addition;
use crate::json::WrongType;
use crate::requests::Origin;

/// Why the additions cannot be made: the HTTP status of the rejection, and its message. A text becomes an error of the
/// status 422.
#[derive(Debug, Default, thiserror::Error)]
#[error("{message}")]
pub(crate) struct PodError {
    pub code: u16,
    pub message: String,
    /// The requests that cannot be served because of it, where it is about some: defaults among them yield.
    pub(super) about: Vec<Origin>,
    /// The container that it is about, where it is about one.
    pub(super) container: Option<String>,
    /// The volume whose mount is in the way, where one is.
    pub(super) volume: Option<String>,
    /// Whether something else is where an addition has to be.
    pub(super) is_clash: bool,
}

impl PodError {
    /// Makes the error for a Pod that the API server would refuse, too.
    pub(super) fn invalid(problem: impl Display) -> Self {
        let message = format!("the Pod is not valid: {problem}");
        Self {
            code: 400,
            ..message.into()
        }
    }

    /// Makes the error for additions that cannot be made in this Pod.
    pub(super) fn about(additions: &[&Addition<'_>], message: String) -> Self {
        let about = additions.iter().map(|addition| addition.request.origin.clone());
        Self {
            about: about.collect(),
            ..message.into()
        }
    }

    /// Makes the error for additions where something else is: another addition, or something of the Pod's own.
    pub(super) fn clash(additions: &[&Addition<'_>], message: String) -> Self {
        Self {
            is_clash: true,
            ..Self::about(additions, message)
        }
    }

    pub(super) fn is_about(&self, addition: &Addition<'_>) -> bool {
        self.about.contains(&addition.request.origin)
    }

    /// Makes the error for what takes too long.
    pub(super) fn too_many() -> Self {
        "the Pod has so many containers, volumes, mounts or annotations that the secrets it asks for cannot be added in \
         time; make several Pods"
            .to_owned()
            .into()
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
        Self {
            code: 422,
            message,
            ..Self::default()
        }
    }
}

impl From<WrongType> for PodError {
    fn from(problem: WrongType) -> Self {
        Self::invalid(problem)
    }
}
