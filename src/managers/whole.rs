//! Whole secrets: all keys of a group, which the key `*` stands for.

use super::context::Context;
use super::manager::{NotServed, not_found};
use super::{lookup, naming, variables};
use crate::cluster::SecretData;
use crate::injection::{EnvFrom, EnvValue, EnvVar, Injection};
use crate::names;
use crate::requests::SecretRequest;

/// Reads all keys of a Secret.
pub(super) fn read(namespace: &str, secret: &str, context: &Context<'_>) -> Result<SecretData, NotServed> {
    let data = lookup::read(format_args!("the Secret"), namespace, secret, &[], context)?;
    data.ok_or_else(|| lookup::no_secret(namespace, secret))
}

/// Adds a variable for each key of `data`: what the request has in `envVar`, and the key. Where `value` knows none, or the name
/// can be no variable's, a warning says that the key is left out.
///
/// # Errors
/// [`NotServed`] where a variable changes how programs start.
pub(super) fn add_variables(
    injection: &mut Injection<'_>,
    request: &SecretRequest,
    data: &SecretData,
    value: impl Fn(&str) -> Option<EnvValue>,
) -> Result<(), NotServed> {
    if !request.field.is_empty() {
        return Err(not_found!(
            "the key \"*\" stands for whole values: leave out the request's field"
        ));
    }
    for key in data.keys() {
        let name = format!("{}{key}", request.env_var);
        variables::check_key_name(&name, false)?;
        match value(key).filter(|_| names::is_variable(&name)) {
            Some(value) => injection.env.push(EnvVar::new(name, value)),
            None => injection.warnings.push(format!(
                "{}: the key {key:?} is left out of the variables, because {name:?} is not a valid \
                 environment variable name, or its value is no text",
                request.origin
            )),
        }
    }
    if injection.env.is_empty() {
        return Err(not_found!("the Secret has no key that can be a variable"));
    }
    Ok(())
}

/// Returns the reference to a Secret whose keys nobody has looked at.
///
/// # Errors
/// [`NotServed`] where the prefix can begin no variable's name, or begins one that changes how programs start.
pub(super) fn reference(request: &SecretRequest, secret: &str, optional: bool) -> Result<EnvFrom, NotServed> {
    let prefix = naming::extra_env_var(request)?.unwrap_or_default();
    variables::check_key_name(prefix, true)?;
    Ok(EnvFrom {
        prefix: prefix.to_owned(),
        secret: secret.to_owned(),
        optional,
    })
}
