//! What every manager does.

#![forbid(unsafe_code)]

use crate::access;
use crate::injection::Injection;
use crate::managers::context::Context;
use crate::requests::SecretRequest;

/// A system that keeps secrets, as an operator has set it up.
pub(crate) trait Manager {
    /// What this manager adds to the Pod for `request`.
    ///
    /// # Errors
    /// [`Miss`] says why it does not serve the request.
    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, Miss>;

    /// The group and the key by which this manager finds the secret of `request`; empty where it takes no notice of the
    /// request's. The settings' `access` is about these: what plays no part must not make a rule fit.
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        (&request.group, &request.key)
    }

    /// Says why the manager might find another secret for `request` than the one that a rule of the settings' `access` is
    /// about: it joins group and key to one name, which another group and key would make as well.
    fn ambiguity(&self, _request: &SecretRequest) -> Option<String> {
        None
    }

    /// Returns what the settings' `access` is matched with: group and key as [`Self::selects`] gives them, with `/` between
    /// them, or the secret's own name where the client is asked for one that both make together.
    fn access_name(&self, request: &SecretRequest) -> String {
        let (group, key) = self.selects(request);
        access::name(group, key)
    }

    /// Returns the name, as [`Self::access_name`], of a further secret that the request may lead to, where the manager
    /// changes the case of letters.
    fn other_access_name(&self, _request: &SecretRequest) -> Option<String> {
        None
    }
}

/// Why a manager does not serve a request. The texts are for the Pod's author and name no value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Miss {
    /// It has no such secret, or cannot give it in this way: the next manager is asked.
    NotHere(String),
    /// The Pod may not have the secret: the Pod is rejected.
    Denied(String),
    /// The manager could not find out: the Pod is rejected.
    Failed(String),
}
