//! Looking at a Secret at admission.

use std::fmt;

use crate::access;
use crate::cluster::{Cluster, ClusterError, SecretData};
use crate::managers::context::Context;
use crate::managers::manager::{NotServed, not_found, unavailable};
use crate::names;
use crate::requests::SecretRequest;

/// The most keys of a Secret that a suggestion compares with the one that was asked for. A Secret may have 14,000.
const MAX_COMPARED: usize = 256;

/// Reads `keys` of a Secret, or all where none is named. Returns `None` where there is no such Secret. The data is shared with
/// all who read it: a copy of a large value for each request would take more memory and time than there is.
///
/// # Errors
/// [`NotServed`] where the cluster cannot be asked; the message calls the Secret `what`.
pub(crate) fn read(
    what: fmt::Arguments<'_>,
    namespace: &str,
    secret: &str,
    keys: &[&str],
    context: &Context<'_>,
) -> Result<Option<SecretData>, NotServed> {
    if !names::is_dns_subdomain(secret) {
        return Ok(None);
    }
    match context.cluster.secret(namespace, secret, keys) {
        Ok(data) => Ok(Some(data)),
        Err(ClusterError::NotFound) => Ok(None),
        Err(error) => Err(unavailable!(
            "{what} {secret:?} in the namespace {namespace:?} could not be read: {error}"
        )),
    }
}

pub(crate) fn no_secret(namespace: &str, secret: &str) -> NotServed {
    not_found!("there is no Secret {secret:?} in the namespace {namespace:?}")
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
        .filter(|(_, key)| context.rules.allow(&access::name(&request.group, key)))
        .min();
    near.map_or_else(String::new, |(_, key)| format!("; did you mean key {key:?}?"))
}
