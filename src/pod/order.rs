//! Whether a secret is there before the containers start that need it.

#![forbid(unsafe_code)]

use super::document::{Addition, INIT_CONTAINERS, Pod, described};
use super::error::PodError;
use crate::options::Options;
use crate::order::sort_and_dedup;
use crate::requests::Containers;

/// Fails where init containers stand last and a request names only init containers, which start before the one that
/// fetches the secret. Warns where it names others, too. `ours` holds the positions of init containers that we have added.
pub(super) fn check_order(
    pod: &Pod<'_>,
    additions: &[Addition<'_>],
    options: &Options,
    ours: &[usize],
    warnings: &mut Vec<String>,
) -> Result<(), PodError> {
    if options.init_containers.stand_first() {
        return Ok(());
    }
    let mut early: Vec<&str> = pod
        .spec_items(INIT_CONTAINERS)
        .iter()
        .enumerate()
        .filter(|(index, _)| !ours.contains(index))
        .filter_map(|(_, container)| container.text("name"))
        .collect();
    sort_and_dedup(&mut early);
    for addition in additions.iter().filter(|addition| waits_for_a_container(addition)) {
        let Containers::Named(names) = &addition.request.containers else {
            continue;
        };
        let named: Vec<String> = names
            .iter()
            .filter(|name| early.binary_search(&name.as_str()).is_ok())
            .map(|name| format!("{name:?}"))
            .collect();
        if named.is_empty() {
            continue;
        }
        let containers = named.join(", ");
        if named.len() == names.len() {
            return Err(PodError::TooEarly {
                request: described(addition.request),
                containers,
            });
        }
        warnings.push(format!(
            "{} names {containers}, which do not find the secret when they start: the policy's setting initContainers is \
             last, so that it is fetched after that",
            described(addition.request)
        ));
    }
    Ok(())
}

/// Returns whether an init container that we add writes the secret.
fn waits_for_a_container(addition: &Addition<'_>) -> bool {
    let injection = &addition.injection;
    injection.fetched().is_some() || injection.file.is_some() && !injection.init_containers.is_empty()
}
