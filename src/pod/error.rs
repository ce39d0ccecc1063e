//! Why the additions cannot be made.

#![forbid(unsafe_code)]

use crate::json::WrongType;

/// Why the additions cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PodError {
    /// A field of the Pod has a type that Kubernetes does not know for it.
    #[error("the Pod is not valid: {0}")]
    WrongType(#[from] WrongType),
    /// The Pod has two names for its service account, which are not the same.
    #[error("the Pod is not valid: its serviceAccountName and its serviceAccount differ; leave serviceAccount out")]
    TwoServiceAccounts,
    /// A request names a container that is not there.
    #[error("{request} names the container {name:?}, which the Pod does not have; it has {existing}")]
    NoSuchContainer {
        request: String,
        name: String,
        existing: String,
    },
    /// Two requests want different values in one variable.
    #[error("{first} and {second} both need the variable {variable:?} in one container; give one of them another name")]
    VariableClash {
        variable: String,
        first: String,
        second: String,
    },
    /// A request names a variable that it needs for something else.
    #[error("{request} names {variable:?} as its further variable, which Flyte's clients need for something else")]
    ReservedVariable { variable: String, request: String },
    /// Two requests want different files at one path.
    #[error("{first} and {second} both need the path {path:?} in one container")]
    PathClash {
        /// The path, or the one below which the other is.
        path: String,
        first: String,
        second: String,
    },
    /// Two requests want different values in one annotation or label.
    #[error("{first} and {second} need different values in the Pod's {kind} {key:?}")]
    MetadataClash {
        /// `annotation` or `label`.
        kind: &'static str,
        key: String,
        first: String,
        second: String,
    },
    /// What an operator's template adds has the name or the path of something else in the Pod.
    #[error(
        "{request} needs {what} {name:?}, but the Pod or another request has a different one of that name; take the Pod's \
         out if it is left of an earlier injection, rename it, or put {{id}} into the name in the policy's settings"
    )]
    TemplateClash {
        request: String,
        /// What kind of thing it is.
        what: &'static str,
        name: String,
    },
    /// The Pod has a mount of its own where a secret has to be mounted.
    #[error(
        "the container {container:?} mounts its volume {volume:?} at {path:?}, where {request} has to appear; mount \
         that volume elsewhere, or take the mount out if it is left of an earlier injection"
    )]
    MountClash {
        container: String,
        volume: String,
        path: String,
        request: String,
    },
    /// A secret has to be mounted below a mount in which the container runtime cannot make a directory.
    #[error(
        "{request} has to appear at {path:?} in the container {container:?}, below {parent:?}, where the volume {volume:?} \
         is mounted: that is read-only, so that the container runtime cannot make a directory in it; mount that volume \
         elsewhere"
    )]
    ReadOnlyParent {
        container: String,
        volume: String,
        /// Where it is mounted.
        parent: String,
        path: String,
        request: String,
    },
    /// Every container that a request names starts before the secret is fetched.
    #[error(
        "{request} names {containers}, which start before the init container that fetches the secret, because the policy's \
         setting initContainers is last; name a container that starts after it, or let an operator set initContainers: \
         first"
    )]
    TooEarly { request: String, containers: String },
    /// The Pod is for Windows, where our init containers do not run.
    #[error(
        "{request} needs an init container for Linux, but the Pod is for Windows ({place}); use a manager without one"
    )]
    Windows {
        request: String,
        /// Where the Pod says so.
        place: &'static str,
    },
    /// A default needs a variable, an annotation or a label that the Pod sets itself.
    #[error("{owner} sets the {what} {name:?} itself, which {request} needs for something else")]
    Own {
        /// `the Pod`, or a container in words.
        owner: String,
        /// The container's name; empty where it is the Pod.
        container: String,
        /// What kind of thing it is.
        what: &'static str,
        name: String,
        request: String,
    },
    /// A default has yielded in all of its containers.
    #[error("{request} is for no container")]
    NoContainer { request: String },
    /// Defaults are in the way of what the Pod has.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Several(Vec<PodError>),
    /// The Pod uses up the names that are wanted for volumes or init containers.
    #[error("{name:?} and a thousand names like it are taken in the Pod; rename its own volumes or containers")]
    NoFreeName { name: String },
    /// There is more to add than anybody could store.
    #[error(
        "the secrets that the Pod asks for would add more to it than Kubernetes can store (4 MiB, and etcd takes 1.5 MiB \
         in all); let each request name the containers that need it in secret-injector/requests, or make several Pods"
    )]
    TooLarge,
    /// There is more to go through than there is time for.
    #[error(
        "the Pod has so many containers, volumes, mounts or annotations that the secrets it asks for cannot be added in \
         time; make several Pods"
    )]
    TooMany,
    /// Something that was made here has no JSON form.
    #[error("what is to be added cannot be written as JSON")]
    Unwritable,
}

impl PodError {
    /// Returns all `errors` as one, if there are any.
    pub(super) fn all(errors: Vec<Self>) -> Result<(), Self> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Self::Several(errors))
        }
    }

    /// Returns the requests that it names, as messages describe them.
    pub(super) fn requests(&self) -> [&str; 2] {
        match self {
            Self::VariableClash { first, second, .. }
            | Self::PathClash { first, second, .. }
            | Self::MetadataClash { first, second, .. } => [first, second],
            Self::ReservedVariable { request, .. }
            | Self::TemplateClash { request, .. }
            | Self::MountClash { request, .. }
            | Self::ReadOnlyParent { request, .. }
            | Self::TooEarly { request, .. }
            | Self::Windows { request, .. }
            | Self::Own { request, .. }
            | Self::NoContainer { request } => [request, request],
            _ => ["", ""],
        }
    }

    /// Returns the container that it is about, if it is one.
    pub(super) fn container(&self) -> Option<&str> {
        match self {
            Self::MountClash { container, .. }
            | Self::ReadOnlyParent { container, .. }
            | Self::Own { container, .. } => Some(container).filter(|name| !name.is_empty()).map(String::as_str),
            _ => None,
        }
    }

    /// Returns whether something else is where an addition has to be.
    pub(super) fn is_clash(&self) -> bool {
        !matches!(
            self,
            Self::ReservedVariable { .. } | Self::TooEarly { .. } | Self::Windows { .. }
        )
    }
}
