//! Why a Pod is rejected.

#![forbid(unsafe_code)]

use crate::json::fields::SettingsError;
use crate::managers::Severity;
use crate::pod::PodError;

/// How many secrets a Pod may ask for. Requests are compared with each other, and the host stops the policy after two
/// seconds; what the status annotation says of a thousand takes a third of the 256 KiB that Kubernetes gives a Pod's
/// annotations.
pub(super) const MOST_REQUESTS: usize = 1_000;

/// Why a Pod is rejected, for its author.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    /// The payload is not an admission request.
    #[error("the admission request cannot be read: {0}")]
    Unreadable(&'static str),
    /// The settings are not valid; the host checks them before it serves the policy.
    #[error("the policy's settings are not valid: {0}")]
    Settings(#[from] SettingsError),
    /// A request cannot be decoded.
    #[error("{0}")]
    Request(String),
    /// No manager serves a request.
    #[error("{0}")]
    Unserved(String, Severity),
    /// The cluster would have to be asked for more than one Pod may cause.
    #[error("{0}")]
    Exhausted(String),
    /// Its names are too long to be matched with the rules of `access` in time.
    #[error(
        "the groups and keys that the Pod asks for are so long that they cannot be matched with the rules of the policy's \
         setting access in time; make several Pods"
    )]
    LongNames,
    /// It asks for more secrets than any Pod needs.
    #[error(
        "the Pod asks for {0} secrets, and {MOST_REQUESTS} are the most; make several Pods, or keep several values in \
         one secret"
    )]
    TooMany(usize),
    /// The additions do not go together, or not with the Pod.
    #[error(transparent)]
    Pod(#[from] PodError),
}

impl Rejection {
    pub(super) const NOT_A_REQUEST: Self = Self::Unreadable("it is not the JSON that the host sends");

    /// The HTTP status of the rejection.
    pub(super) fn code(&self) -> u16 {
        match self {
            Self::Unreadable(_)
            | Self::Request(_)
            | Self::Pod(PodError::WrongType(_) | PodError::TwoServiceAccounts) => 400,
            Self::Unserved(_, Severity::Denied) => 403,
            Self::Unserved(_, Severity::Nobody)
            | Self::Exhausted(_)
            | Self::LongNames
            | Self::TooMany(_)
            | Self::Pod(_) => 422,
            Self::Settings(_) => 500,
            Self::Unserved(_, Severity::Failed) => 503,
        }
    }
}
