//! Looking at a Secret at admission.

use crate::cluster::{ClusterError, SecretData};
use crate::managers::context::Context;
use crate::managers::manager::{NotServed, unavailable};
use crate::names;
use crate::requests::SecretRequest;

/// The most keys of a Secret that a suggestion compares with the one that was asked for. A Secret may have 14,000.
const MAX_COMPARED: usize = 256;

/// What a look at a Secret found.
pub(crate) enum Lookup {
    /// The data in which the value is under the request's key, shared with all who look: a copy of a large value for each
    /// request would take more memory and time than there is.
    Value(SecretData),
    /// The Secret is there, the key is not.
    NoKey,
    /// The Secret is not there.
    NoSecret,
}

/// Looks for the request's key in a Secret. All requests for the same group share one read of it.
pub(crate) fn look_up(
    request: &SecretRequest,
    namespace: &str,
    secret: &str,
    context: &Context<'_>,
) -> Result<Lookup, NotServed> {
    if !names::is_dns_subdomain(secret) {
        return Ok(Lookup::NoSecret);
    }
    match context.cluster.secret(namespace, secret, &[&request.key]) {
        Ok(data) if data.get(&request.key).is_some() => Ok(Lookup::Value(data)),
        Ok(_) => Ok(Lookup::NoKey),
        Err(ClusterError::NotFound) => Ok(Lookup::NoSecret),
        Err(error) => Err(unavailable!(
            "the Secret {secret:?} in the namespace {namespace:?} could not be read: {error}"
        )),
    }
}

/// Returns a question after the key that the Pod's author may have meant, or nothing. It names only keys that the
/// settings' `access` lets the Pod ask for.
///
/// The cluster gives keys for the first suggestion of an evaluation alone.
pub(crate) fn suggestion(request: &SecretRequest, namespace: &str, secret: &str, context: &Context<'_>) -> String {
    // A key that the settings make is no word of the Pod's author.
    if !context.suggests || request.key != request.asked().key {
        return String::new();
    }
    let keys = context.cluster.secret_keys(namespace, secret).unwrap_or_default();
    let near = keys
        .iter()
        .filter(|key| names::may_be_near(key, &request.key))
        .take(MAX_COMPARED)
        .filter_map(|key| Some((names::distance(key, &request.key)?, key)))
        .filter(|(_, key)| context.may_ask(&request.group, key))
        .min();
    near.map_or_else(String::new, |(_, key)| format!("; did you mean key {key:?}?"))
}
