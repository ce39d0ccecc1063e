//! Whether what a Pod says to the Vault Agent injector itself goes together with a secret of the policy's.

#![forbid(unsafe_code)]

use super::annotations::{
    AGENT_CONFIGMAP, AGENT_INIT_FIRST, AGENT_INJECT_CONTAINERS, AGENT_INJECT_STATUS, ANNOTATIONS, ERROR_ON_MISSING_KEY,
    Effect, FAMILIES, INJECTED, OfOurs, PREFIX, ROLE, is_true,
};
use crate::injection::Annotation;
use crate::managers::context::Context;
use crate::managers::manager::Miss;
use crate::requests::{Containers, SecretRequest};

/// Rejects a Pod whose own orders to the agent decide where secrets come from, where the settings do not replace them.
pub(super) fn check_deciding(ours: &[Annotation], context: &Context<'_>) -> Result<(), Miss> {
    let is_replaced = |name: &str| {
        ours.iter()
            .any(|annotation| annotation.key.strip_prefix(PREFIX) == Some(name))
    };
    let own = context.agent_orders.deciding().iter().find(|name| !is_replaced(name));
    own.map_or(Ok(()), |name| {
        Err(Miss::Denied(format!(
            "the Pod's annotation \"{PREFIX}{name}\" could decide where its secrets come from, which the setting enforce \
             leaves to the operator: remove it, or let the operator set it under annotations"
        )))
    })
}

/// Rejects a Pod whose agent would not read `ours`, the annotations of a secret.
pub(super) fn check_agent(ours: &[Annotation], context: &Context<'_>) -> Result<(), Miss> {
    let orders = context.agent_orders;
    if orders.get(AGENT_CONFIGMAP).is_some_and(|name| !name.is_empty()) {
        return Err(Miss::NotHere(format!(
            "with the Pod's annotation \"{PREFIX}{AGENT_CONFIGMAP}\" the agent takes its configuration from a ConfigMap and no \
             secret from annotations: remove it, or ask for the secret in that ConfigMap"
        )));
    }
    let knows = |annotation: &Annotation| {
        let name = annotation.key.strip_prefix(PREFIX).unwrap_or_default();
        orders.get(name) == Some(&annotation.value)
    };
    if orders.get(AGENT_INJECT_STATUS) == Some(INJECTED) && orders.is_injected() && !ours.iter().all(knows) {
        return Err(Miss::NotHere(format!(
            "the Pod has the Vault Agent already, without this secret: the injector's webhook has to be called after this \
             policy; in a copied Pod, remove the containers vault-agent and vault-agent-init and the annotation \
             {PREFIX}{AGENT_INJECT_STATUS}"
        )));
    }
    Ok(())
}

/// Rejects a Pod that says something about the policy's secret `id` which the policy does not say itself.
pub(super) fn check_ours(ours: &[Annotation], id: &str, context: &Context<'_>) -> Result<(), Miss> {
    for (begin, _, of_ours) in FAMILIES {
        let name = format!("{begin}{id}");
        let is_written = ours
            .iter()
            .any(|annotation| annotation.key.strip_prefix(PREFIX) == Some(&name));
        let changes = *of_ours != OfOurs::Stays && !is_written && *begin != ERROR_ON_MISSING_KEY;
        if changes && context.agent_orders.get(&name).is_some_and(|value| !value.is_empty()) {
            return Err(Miss::NotHere(format!(
                "the Pod's annotation \"{PREFIX}{name}\" changes a file that this policy asks the agent for: remove it"
            )));
        }
    }
    Ok(())
}

/// Returns what the Pod's author should know of the containers that find the file.
///
/// # Errors
/// Where a container does not find the file that the request asks for there.
pub(super) fn containers_warning(request: &SecretRequest, context: &Context<'_>) -> Result<Option<String>, Miss> {
    let containers = context.agent_orders.containers();
    let narrowed = format!("the Pod's annotation {PREFIX}{AGENT_INJECT_CONTAINERS}");
    match &request.containers {
        Containers::All if containers.without.is_empty() => Ok(None),
        Containers::All if containers.with.is_empty() => Err(Miss::NotHere(format!(
            "{narrowed} names none of the Pod's containers: separate their names by commas, without spaces"
        ))),
        Containers::All => {
            let names: Vec<String> = containers
                .without
                .iter()
                .take(5)
                .map(|name| format!("{name:?}"))
                .collect();
            Ok(Some(format!(
                "{}: the file is not in all containers, as {narrowed} leaves out {}",
                request.origin,
                names.join(", ")
            )))
        }
        Containers::Named(names) => {
            let is_in = |list: &[&str], name: &str| list.binary_search(&name).is_ok();
            if let Some(name) = names.iter().find(|name| is_in(&containers.without, name)) {
                return Err(Miss::NotHere(format!(
                    "{narrowed} leaves out the container {name:?}, for which the request asks: add it there, separated by a \
                     comma without spaces"
                )));
            }
            let served = names.iter().filter(|name| is_in(&containers.with, name)).count();
            Ok((served < containers.with.len()).then(|| {
                format!(
                    "{}: Vault Agent puts its files into every container, not only those that the request names; the \
                     annotation {PREFIX}{AGENT_INJECT_CONTAINERS} narrows it for the whole Pod, but for init containers",
                    request.origin
                )
            }))
        }
    }
}

/// Returns a warning where the request names containers that start before the agent has written the file, and others.
/// `common` are the annotations that are the same for every secret.
///
/// # Errors
/// Where it names no other containers.
pub(super) fn early_containers_warning(
    request: &SecretRequest,
    common: &[Annotation],
    context: &Context<'_>,
) -> Result<Option<String>, Miss> {
    let Containers::Named(names) = &request.containers else {
        return Ok(None);
    };
    let orders = context.agent_orders;
    if !orders.is_injected() && effective(AGENT_INIT_FIRST, common, context).is_some_and(is_true) {
        return Ok(None);
    }
    let before = &orders.containers().before_agent;
    let early: Vec<String> = names
        .iter()
        .filter(|name| before.binary_search(&name.as_str()).is_ok())
        .map(|name| format!("{name:?}"))
        .collect();
    if early.is_empty() {
        return Ok(None);
    }
    let list = early.join(", ");
    let text = format!(
        "names {list}, which do not find the secret when they start: the Vault Agent's init container runs behind the Pod's \
         own; to let it run before them, set the annotation {PREFIX}{AGENT_INIT_FIRST}: \"true\""
    );
    if early.len() == names.len() {
        return Err(Miss::NotHere(format!(
            "the request {text}, or name a container that starts later"
        )));
    }
    Ok(Some(format!("{} {text}", request.origin)))
}

/// Returns the value that the annotation `name` has in the Pod in the end.
fn effective<'v>(name: &str, common: &'v [Annotation], context: &'v Context<'_>) -> Option<&'v str> {
    let ours = common
        .iter()
        .find(|annotation| annotation.key.strip_prefix(PREFIX) == Some(name));
    let own = context.agent_orders.get(name);
    match ours {
        Some(ours) if ours.required || own.is_none() => Some(&ours.value),
        _ => own,
    }
}

/// Returns a warning where the Pod's own role stands against that of the settings. `common` are the annotations that are the
/// same for every secret.
pub(super) fn role_warning(common: &[Annotation], context: &Context<'_>) -> Option<String> {
    let own = context.agent_orders.get(ROLE)?;
    let ours = common
        .iter()
        .find(|annotation| annotation.key.strip_prefix(PREFIX) == Some(ROLE))?;
    (!ours.required && own != ours.value).then(|| {
        format!(
            "the Vault Agent logs in with the role {own:?} of the Pod's annotation {PREFIX}{ROLE}, not with {:?} of the \
             policy's settings: if the annotation is left of an earlier injection, remove it",
            ours.value
        )
    })
}

/// Returns warnings about annotations of the Pod's own that change the agent's containers.
pub(super) fn patch_warnings(context: &Context<'_>) -> impl Iterator<Item = String> {
    let orders = context.agent_orders;
    let patches = ANNOTATIONS
        .iter()
        .filter(move |(name, effect)| *effect == Effect::Patches && orders.get(name).is_some());
    patches.map(|(name, _)| {
        format!(
            "the Pod's annotation {PREFIX}{name} changes the Vault Agent's container: this policy cannot tell whether secrets \
             still arrive"
        )
    })
}
