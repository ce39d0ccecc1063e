//! Whether a secret is there before the containers start that need it.

use super::document::{INIT_CONTAINERS, Pod, name_of};
use super::error::PodError;
use super::work::Work;
use crate::injection::Addition;
use crate::requests::Containers;
use crate::sort::{has, sorted_set};

/// Fails where init containers stand last and a request names only init containers, which start before the one that
/// fetches the secret. Warns where it names others, too. `ours` are the init containers that we have added.
pub(super) fn check_order(pod: &Pod<'_>, ours: &[String], work: &mut Work<'_>) -> Result<(), PodError> {
    if work.options.init_containers_first {
        return Ok(());
    }
    let early = pod.spec_items(INIT_CONTAINERS).iter().map(name_of);
    let early = sorted_set(early.filter(|name| !has(ours, name)));
    for addition in work.additions.iter().filter(|addition| waits_for_a_container(addition)) {
        let Containers::Named(names) = &addition.request.containers else {
            continue;
        };
        let named = names.iter().filter(|name| has(&early, name));
        let named: Vec<String> = named.map(|name| format!("{name:?}")).collect();
        if named.is_empty() {
            continue;
        }
        let containers = named.join(", ");
        if named.len() == names.len() {
            let message = format!(
                "{addition} names {containers}, which start before the init container that fetches the secret, because the \
                 policy's setting initContainers is last; name a container that starts after it, or let an operator set \
                 initContainers: first"
            );
            return Err(PodError::about(&[addition], message));
        }
        work.warnings.push(format!(
            "{addition} names {containers}, which do not find the secret when they start: the policy's setting \
             initContainers is last, so that it is fetched after that"
        ));
    }
    Ok(())
}

/// Returns whether an init container that we add writes the secret.
fn waits_for_a_container(addition: &Addition<'_>) -> bool {
    let injection = &addition.injection;
    injection.fetched().is_some() || injection.file.is_some() && !injection.init_containers.is_empty()
}
