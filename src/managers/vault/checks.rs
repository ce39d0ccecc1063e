//! Whether what a Pod says to the Vault Agent injector itself goes together with a secret of the policy's.

use super::annotations::{
    AGENT_CONFIGMAP, AGENT_INIT_FIRST, AGENT_INJECT_CONTAINERS, AGENT_INJECT_STATUS, ERROR_ON_MISSING_KEY, FAMILIES,
    INJECTED, OfOurs, PATCHES, PREFIX, ROLE, is_true,
};
use super::orders::AgentOrders;
use crate::injection::Annotation;
use crate::managers::manager::{NotServed, denied, not_found};
use crate::requests::{Containers, SecretRequest};
use crate::sort::has;

/// Returns the annotation `name` of the injector among `annotations`.
fn find<'v>(annotations: &'v [Annotation], name: &str) -> Option<&'v Annotation> {
    annotations
        .iter()
        .find(|annotation| annotation.key.strip_prefix(PREFIX) == Some(name))
}

/// Rejects a Pod whose own orders to the agent decide where secrets come from, where the settings do not replace them.
pub(super) fn check_deciding(ours: &[Annotation], orders: &AgentOrders) -> Result<(), NotServed> {
    let own = orders.deciding.iter().find(|name| find(ours, name).is_none());
    own.map_or(Ok(()), |name| {
        Err(denied!(
            "the Pod's annotation \"{PREFIX}{name}\" could decide where its secrets come from, which the setting enforce \
             leaves to the operator: remove it, or let the operator set it under annotations"
        ))
    })
}

/// Rejects a Pod whose agent would not read `ours`, the annotations of a secret.
pub(super) fn check_agent(ours: &[Annotation], orders: &AgentOrders) -> Result<(), NotServed> {
    if orders.get(AGENT_CONFIGMAP).is_some_and(|name| !name.is_empty()) {
        return Err(not_found!(
            "with the Pod's annotation \"{PREFIX}{AGENT_CONFIGMAP}\" the agent takes its configuration from a ConfigMap and no \
             secret from annotations: remove it, or ask for the secret in that ConfigMap"
        ));
    }
    let knows = |annotation: &Annotation| {
        let name = annotation.key.strip_prefix(PREFIX).unwrap_or_default();
        orders.get(name) == Some(annotation.value.as_str())
    };
    if orders.get(AGENT_INJECT_STATUS) == Some(INJECTED) && orders.is_injected && !ours.iter().all(knows) {
        return Err(not_found!(
            "the Pod has the Vault Agent already, without this secret: the injector's webhook has to be called after this \
             policy; in a copied Pod, remove the containers vault-agent and vault-agent-init and the annotation \
             {PREFIX}{AGENT_INJECT_STATUS}"
        ));
    }
    Ok(())
}

/// Rejects a Pod that says something about the policy's secret `id` which the policy does not say itself.
pub(super) fn check_ours(ours: &[Annotation], id: &str, orders: &AgentOrders) -> Result<(), NotServed> {
    for (begin, _, of_ours) in FAMILIES {
        let name = [begin, id].concat();
        let changes = *of_ours != OfOurs::Stays && *begin != ERROR_ON_MISSING_KEY && find(ours, &name).is_none();
        if changes && orders.get(&name).is_some_and(|value| !value.is_empty()) {
            return Err(not_found!(
                "the Pod's annotation \"{PREFIX}{name}\" changes a file that this policy asks the agent for: remove it"
            ));
        }
    }
    Ok(())
}

/// Returns what the Pod's author should know of the containers that find the file.
///
/// # Errors
/// Where a container does not find the file that the request asks for there.
pub(super) fn containers_warning(request: &SecretRequest, orders: &AgentOrders) -> Result<Option<String>, NotServed> {
    let containers = &orders.containers;
    let narrowed = format!("the Pod's annotation {PREFIX}{AGENT_INJECT_CONTAINERS}");
    match &request.containers {
        Containers::All if containers.without.is_empty() => Ok(None),
        Containers::All if containers.with.is_empty() => Err(not_found!(
            "{narrowed} names none of the Pod's containers: separate their names by commas, without spaces"
        )),
        Containers::All => {
            let without = listed(containers.without.iter().take(5));
            Ok(Some(format!(
                "{}: the file is not in all containers, as {narrowed} leaves out {without}",
                request.origin
            )))
        }
        Containers::Named(names) => {
            if let Some(name) = names.iter().find(|name| has(&containers.without, name)) {
                return Err(not_found!(
                    "{narrowed} leaves out the container {name:?}, for which the request asks: add it there, separated by a \
                     comma without spaces"
                ));
            }
            let served = names.iter().filter(|name| has(&containers.with, name));
            Ok((served.count() < containers.with.len()).then(|| {
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
pub(super) fn early_containers_warning(
    request: &SecretRequest,
    common: &[Annotation],
    orders: &AgentOrders,
) -> Result<Option<String>, NotServed> {
    let Containers::Named(names) = &request.containers else {
        return Ok(None);
    };
    if !orders.is_injected && effective(AGENT_INIT_FIRST, common, orders).is_some_and(is_true) {
        return Ok(None);
    }
    let before = &orders.containers.before_agent;
    let early = names.iter().filter(|name| has(before, name));
    let count = early.clone().count();
    if count == 0 {
        return Ok(None);
    }
    let text = format!(
        "names {}, which do not find the secret when they start: the Vault Agent's init container runs behind the Pod's \
         own; to let it run before them, set the annotation {PREFIX}{AGENT_INIT_FIRST}: \"true\"",
        listed(early)
    );
    if count == names.len() {
        return Err(not_found!("the request {text}, or name a container that starts later"));
    }
    Ok(Some(format!("{} {text}", request.origin)))
}

fn listed<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// Returns the value that the annotation `name` has in the Pod in the end.
pub(super) fn effective<'v>(name: &str, common: &'v [Annotation], orders: &'v AgentOrders) -> Option<&'v str> {
    let own = orders.get(name);
    match find(common, name) {
        Some(ours) if ours.required || own.is_none() => Some(&ours.value),
        _ => own,
    }
}

/// Returns a warning where the Pod's own role stands against that of the settings. `common` are the annotations that are the
/// same for every secret.
pub(super) fn role_warning(common: &[Annotation], orders: &AgentOrders) -> Option<String> {
    let own = orders.get(ROLE)?;
    let ours = find(common, ROLE)?;
    (!ours.required && own != ours.value).then(|| {
        format!(
            "the Vault Agent logs in with the role {own:?} of the Pod's annotation {PREFIX}{ROLE}, not with {:?} of the \
             policy's settings: if the annotation is left of an earlier injection, remove it",
            ours.value
        )
    })
}

/// Returns warnings about annotations of the Pod's own that change the agent's containers.
pub(super) fn patch_warnings(orders: &AgentOrders) -> impl Iterator<Item = String> {
    let patches = PATCHES.iter().filter(|name| orders.get(name).is_some());
    patches.map(|name| {
        format!(
            "the Pod's annotation {PREFIX}{name} changes the Vault Agent's container: this policy cannot tell whether secrets \
             still arrive"
        )
    })
}
