//! The secret managers, their order and what happens when one does not serve a request.
//!
//! One file holds one manager. A manager turns a request into an [`Injection`] and changes nothing itself, so that one
//! that cannot serve a request leaves no trace.

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
mod mapping;
pub(crate) mod naming;
mod network;
mod owners;
mod placeholders;
mod script;
mod selector;
mod template;
mod variables;
mod vault;
mod whole;

use std::fmt::Write as _;
use std::rc::Rc;

use crate::injection::{Addition, FileOrigin, Injection};
use crate::requests::{Asked, SecretRequest, WHOLE};
use manager::{FOR_ONE_FILE, Manager, not_found};

pub(crate) use configured::ConfiguredManager;
pub(crate) use context::{Context, Notes, User};
pub(crate) use manager::{NotServed, NotServedKind};
pub(crate) use mapping::Mapping;

/// Asks the managers in the settings' order; the first that serves the request wins. A manager is not asked for what the
/// settings' `access` does not allow.
///
/// # Errors
/// [`NotServed`] with a line for each manager, when none serves the request, or one denies it or fails, or `access` allows
/// the request with none of them.
pub(crate) fn serve<'m>(
    managers: &'m [ConfiguredManager],
    request: &'m SecretRequest,
    context: &Context<'_>,
) -> Result<Addition<'m>, NotServed> {
    let mut reasons = String::new();
    let (mut asked, mut barred) = (false, false);
    for (position, manager) in managers.iter().enumerate() {
        match ask(manager, request, context, (&mut asked, &mut barred)) {
            Ok(injection) => {
                return Ok(Addition {
                    without: Vec::new(),
                    request,
                    manager: &manager.name,
                    position,
                    injection,
                });
            }
            Err(NotServed { kind, reason }) => {
                let _ = write!(reasons, "\n- {}: {reason}", manager.name);
                if kind != NotServedKind::NotFound {
                    return Err(NotServed { kind, reason: reasons });
                }
            }
        }
    }
    let kind = if barred && !asked {
        NotServedKind::Denied
    } else {
        NotServedKind::NotFound
    };
    Err(NotServed { kind, reason: reasons })
}

/// Asks a manager for `request`, by the name that the settings make of it. The flags say whether it was asked, and whether it
/// was not because of `access`.
#[inline(never)] // The module is smaller with these apart.
fn ask<'m>(
    manager: &'m ConfiguredManager,
    request: &SecretRequest,
    context: &Context<'_>,
    flags: (&mut bool, &mut bool),
) -> Result<Box<Injection<'m>>, NotServed> {
    manager.selector.check(request)?;
    let narrowed = manager.selector.narrowed(request);
    let made = match &manager.mapping {
        None => None,
        Some(mapping) => Some(mapping.apply(&narrowed, context)?),
    };
    let found = made.as_ref().map_or(&*narrowed, |(found, _)| found);
    let mut answer = ask_by_name(manager, found, context, flags);
    if let Some((found, warning)) = made {
        let name = found.secret_name();
        let is_other = name != request.secret_name();
        match &mut answer {
            Ok(injection) => {
                injection.warnings.extend(warning);
                injection.found_as = is_other.then_some(name);
            }
            Err(not_served) if is_other => not_served.reason.insert_str(0, &format!("as {name:?}: ")),
            Err(_) => {}
        }
    }
    answer
}

/// Asks a manager for `request`, where `access` allows it.
#[inline(never)]
fn ask_by_name<'m>(
    manager: &'m ConfiguredManager,
    request: &SecretRequest,
    context: &Context<'_>,
    (asked, barred): (&mut bool, &mut bool),
) -> Result<Box<Injection<'m>>, NotServed> {
    if let Err(reason) = check_access(manager, request, context) {
        *barred = true;
        return Err(not_found!("{reason}"));
    }
    *asked = true;
    inject(manager, request, context)
}

/// Checks that the settings' `access` lets the Pod ask `manager` for `request`, and that it can tell what the Pod asks for.
fn check_access(manager: &ConfiguredManager, request: &SecretRequest, context: &Context<'_>) -> Result<(), String> {
    // Without rules, there is nothing to be confused. A default is the operator's own grant.
    if !context.rules.are_given() || request.is_default() {
        return Ok(());
    }
    let names = manager.mapping.as_ref().map_or(&[][..], |mapping| &mapping.texts);
    let manager = manager.manager.as_ref();
    if let Some(reason) = manager.ambiguity(request, names, context) {
        return Err(reason);
    }
    match access_names(manager, request).find(|name| !context.rules.allow(name)) {
        None if manager.access_key(request).1 == WHOLE => check_access_to_whole(manager, request, context),
        None => Ok(()),
        Some(secret) => Err(context.rules.refusal(request, &secret)),
    }
}

/// Returns the names of the secrets that `request` may be about, all of which a rule has to allow.
fn access_names(manager: &dyn Manager, request: &SecretRequest) -> impl Iterator<Item = String> {
    std::iter::once(manager.access_name(request)).chain(manager.other_access_name(request))
}

fn inject<'m>(
    manager: &'m ConfiguredManager,
    request: &SecretRequest,
    context: &Context<'_>,
) -> Result<Box<Injection<'m>>, NotServed> {
    if !request.field.is_empty() && !manager.manager.gives_fields() {
        return Err(not_found!(
            "it gives whole secrets only: leave \"field\" out of the request; fields come from aws with client: cli, gcp, azure \
             and global"
        ));
    }
    if request.key == WHOLE && !manager.manager.gives_whole() {
        return Err(not_found!(
            "it gives one secret at a time, and the key \"*\" stands for all of a group: name a key"
        ));
    }
    let mut injection = Box::new(manager.manager.inject(request, context)?);
    let request = request.asked();
    variables::check(request, &injection, context.options)?;
    check_file(request, &injection)?;
    if context.options.client_variables {
        injection.warnings.extend(naming::client_variable_warning(request));
    } else {
        let options = context.options;
        injection
            .env
            .retain(|variable| !naming::is_for_clients(variable, options));
    }
    if request.is_optional() && !manager.manager.takes_optional() {
        injection.warnings.push(format!(
            "{} says optional: true, which the manager {} cannot pass on: without the secret the Pod may not start",
            request.origin, manager.name
        ));
    }
    Ok(injection)
}

/// Checks that what the request says of its file holds for the file that a manager gives.
fn check_file(request: &SecretRequest, injection: &Injection<'_>) -> Result<(), NotServed> {
    let (is_placed, has_mode) = (!request.path.is_empty(), request.mode.is_some());
    if !is_placed && !has_mode {
        return Ok(());
    }
    if is_placed && request.is_optional() {
        return Err(not_found!(
            "without the secret, the kubelet would make a directory at the request's path: leave out optional, or the path"
        ));
    }
    match injection.file.as_ref().map(|file| &file.origin) {
        Some(FileOrigin::Secret { .. }) if request.key == WHOLE => Err(not_found!("{FOR_ONE_FILE}")),
        None => Err(not_found!(
            "it gives no file, which the request's path and mode are about"
        )),
        Some(FileOrigin::Csi { .. }) if has_mode => Err(not_found!(
            "the SecretProviderClass says which mode its files have (mostly in filePermission): leave out the request's mode"
        )),
        Some(FileOrigin::Agent { .. }) if injection.agent.is_none() => Err(not_found!(
            "the policy's settings say where its file is, and with which mode: leave out the request's path and mode"
        )),
        _ => Ok(()),
    }
}

/// Checks that a rule of the settings' `access` is about all keys of the group: no pattern for some of them fits these two.
fn check_access_to_whole(manager: &dyn Manager, request: &SecretRequest, context: &Context<'_>) -> Result<(), String> {
    // One is shorter, the other longer than the keys of Secrets.
    for length in [1, 254] {
        let any_key = |request: &SecretRequest| SecretRequest {
            key: "\u{1}".repeat(length),
            ..request.clone()
        };
        let mut any = any_key(request);
        any.asked = request.asked.as_deref().map(|asked| {
            let request = if asked.request.key == WHOLE {
                any_key(&asked.request)
            } else {
                asked.request.clone()
            };
            let role = asked.role.clone();
            Rc::new(Asked { request, role })
        });
        for (any, name) in access_names(manager, &any).zip(access_names(manager, request)) {
            if !context.rules.allow(&any) {
                return Err(context.rules.refusal(request, &name));
            }
        }
    }
    Ok(())
}
