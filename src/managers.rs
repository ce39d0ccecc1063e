//! The secret managers, their order and what happens when one does not serve a request.
//!
//! One file holds one manager. A manager turns a request into an [`Injection`] and changes nothing itself, so that one
//! that cannot serve a request leaves no trace.

#![forbid(unsafe_code)]

mod authorize;
mod aws;
mod azure;
mod cli;
mod confidant;
mod configured;
mod context;
mod csi;
mod fetch;
mod flyte;
mod gcp;
mod global;
mod joins;
mod kubernetes;
mod lookup;
mod manager;
pub(crate) mod naming;
mod network;
mod owners;
mod placeholders;
mod selector;
mod template;
mod variables;
mod vault;

use std::fmt::Write as _;

use crate::injection::Injection;
use crate::requests::SecretRequest;
use manager::not_found;

pub(crate) use configured::ConfiguredManager;
pub(crate) use context::{Context, Notes, User};
pub(crate) use manager::{NotServed, NotServedKind};

/// A request that a manager serves.
pub(crate) struct Served<'m> {
    pub manager: &'m ConfiguredManager,
    /// The manager's position in the settings' list.
    pub position: usize,
    pub injection: Injection<'m>,
}

/// Asks the managers in the settings' order; the first that serves the request wins. A manager is not asked for what the
/// settings' `access` does not allow.
///
/// # Errors
/// [`NotServed`] with a line for each manager, when none serves the request, or one denies it or fails, or `access` allows
/// the request with none of them.
pub(crate) fn serve<'m>(
    managers: &'m [ConfiguredManager],
    request: &SecretRequest,
    context: &Context<'_>,
) -> Result<Served<'m>, NotServed> {
    let mut reasons = String::new();
    let (mut asked, mut barred) = (false, false);
    for (position, manager) in managers.iter().enumerate() {
        let answer = if let Err(reason) = manager.selector.matches(request) {
            Err(not_found!("{reason}"))
        } else if let Err(reason) = check_access(manager, request, context) {
            barred = true;
            Err(not_found!("{reason}"))
        } else {
            asked = true;
            inject(manager, request, context)
        };
        let NotServed { kind, reason } = match answer {
            Ok(injection) => {
                return Ok(Served {
                    manager,
                    position,
                    injection,
                });
            }
            Err(not_served) => not_served,
        };
        let _ = write!(reasons, "\n- {}: {reason}", manager.name);
        if kind != NotServedKind::NotFound {
            return Err(NotServed { kind, reason: reasons });
        }
    }
    let kind = if barred && !asked {
        NotServedKind::Denied
    } else {
        NotServedKind::NotFound
    };
    Err(NotServed { kind, reason: reasons })
}

/// Checks that the settings' `access` lets the Pod ask `manager` for `request`, and that it can tell what the Pod asks for.
fn check_access(manager: &ConfiguredManager, request: &SecretRequest, context: &Context<'_>) -> Result<(), String> {
    // Without rules, there is nothing to be confused. A default is the operator's own grant.
    if !context.rules.are_given() || request.is_default() {
        return Ok(());
    }
    let manager = manager.manager.as_ref();
    if let Some(reason) = manager.ambiguity(request) {
        return Err(reason);
    }
    let mut names = std::iter::once(manager.access_name(request)).chain(manager.other_access_name(request));
    match names.find(|name| !context.rules.allow(name)) {
        None => Ok(()),
        Some(secret) => Err(context.rules.refusal(request, &secret)),
    }
}

fn inject<'m>(
    manager: &'m ConfiguredManager,
    request: &SecretRequest,
    context: &Context<'_>,
) -> Result<Injection<'m>, NotServed> {
    let narrowed = manager.selector.narrowed(request);
    let mut injection = manager.manager.inject(&narrowed, context)?;
    variables::check(request, &injection, context.options)?;
    injection.warnings.extend(naming::client_variable_warning(request));
    Ok(injection)
}
