//! Why a Pod is rejected.

use crate::json::fields::SettingsError;
use crate::managers::NotServedKind;
use crate::pod::PodError;

/// Why a Pod is rejected, for its author.
#[derive(Debug)]
pub(super) struct Rejection {
    /// The HTTP status.
    pub(super) code: u16,
    pub(super) message: String,
}

impl Rejection {
    /// Rejects a payload that is not an admission request.
    pub(super) fn unreadable(problem: &str) -> Self {
        Self::new(400, format!("the admission request cannot be read: {problem}"))
    }

    pub(super) fn not_a_request() -> Self {
        Self::unreadable("it is not the JSON that the host sends")
    }

    /// Rejects a Pod that asks for secrets in a way that cannot be read.
    pub(super) fn bad_request(message: String) -> Self {
        Self::new(400, message)
    }

    /// Rejects a Pod in which something stands where a field has another type.
    pub(super) fn invalid_pod() -> Self {
        Self::new(400, "the Pod is not valid: a field has the wrong type")
    }

    /// Rejects a Pod that asks for more than the policy does for one Pod.
    pub(super) fn too_much(message: impl Into<String>) -> Self {
        Self::new(422, message)
    }

    /// Rejects a Pod that may not go without a request that nobody serves.
    pub(super) fn not_served(kind: NotServedKind, message: String) -> Self {
        let code = match kind {
            NotServedKind::Denied => 403,
            NotServedKind::NotFound => 422,
            NotServedKind::Unavailable => 503,
        };
        Self::new(code, message)
    }

    fn new(code: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// The host checks the settings before it serves the policy.
impl From<SettingsError> for Rejection {
    fn from(error: SettingsError) -> Self {
        Self::new(500, format!("the policy's settings are not valid: {error}"))
    }
}

impl From<PodError> for Rejection {
    fn from(error: PodError) -> Self {
        Self::new(error.code, error.message)
    }
}
