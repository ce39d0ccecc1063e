//! What an operator's templates add: volumes, mounts and init containers as they are written in the settings.
//!
//! What is there already stays as it is. Something else of the same name is an error: a template's mount would show
//! the wrong volume.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::document::{Addition, CONTAINER_LISTS, Pod, described, read};
use super::error::PodError;
use super::kinds::Kinds;
use super::mounts::MOUNT_BYTES;
use super::mounts::{mount_clash, parent_of, read_only_parent, with_paths};
use super::path;
use super::room::Room;
use super::same::{runs_the_same, same, same_mount, with_host_ports};
use crate::json::Node;

/// The init containers of templates that the Pod has already, by their positions.
pub(super) fn recognised(pod: &Pod<'_>, additions: &[Addition<'_>]) -> Vec<usize> {
    let ours = || {
        additions
            .iter()
            .flat_map(|addition| &addition.injection.init_containers)
    };
    if ours().next().is_none() {
        return Vec::new();
    }
    let host_network = is_on_host_network(pod);
    pod.spec_items(CONTAINER_LISTS[0])
        .iter()
        .enumerate()
        .filter(|(_, existing)| {
            // It may be large, and have the name of every one of ours.
            let mut value = None;
            ours().any(|container| {
                same_name(existing, container)
                    && runs(
                        value.get_or_insert_with(|| existing.to_value()),
                        container,
                        host_network,
                    )
            })
        })
        .map(|(index, _)| index)
        .collect()
}

/// Adds the volumes, mounts and init containers of templates. `ours` holds the positions of the init containers that we
/// have added.
pub(super) fn add(
    pod: &mut Pod<'_>,
    additions: &[Addition<'_>],
    ours: &mut Vec<usize>,
    first: bool,
    room: &mut Room,
) -> Result<(), PodError> {
    let mut inserted = 0;
    for addition in additions {
        for container in &addition.injection.init_containers {
            let place = first.then_some(inserted);
            if add_init_container(pod, container, addition, ours, place, room)? {
                inserted += 1;
            }
        }
    }
    let mut is_ours = vec![false; pod.spec_items(CONTAINER_LISTS[0]).len()];
    for index in ours {
        if let Some(is_ours) = is_ours.get_mut(*index) {
            *is_ours = true;
        }
    }
    for addition in additions {
        for volume in &addition.injection.volumes {
            let volumes = pod.spec_list("volumes")?;
            room.compare(volumes.len())?;
            match volumes.iter().find(|existing| same_name(existing, volume)) {
                None => volumes.push(node(volume)?),
                Some(existing) if same(&read(existing, room)?, volume) => {}
                Some(_) => return Err(clash(addition, "the volume", volume)),
            }
        }
    }
    if additions.iter().any(|addition| !addition.injection.mounts.is_empty()) {
        let kinds = Kinds::of(pod);
        for addition in additions {
            add_mounts(pod, addition, &is_ours, &kinds, room)?;
        }
    }
    Ok(())
}

/// Adds the mounts of one request to the containers that it reaches.
fn add_mounts(
    pod: &mut Pod<'_>,
    addition: &Addition<'_>,
    is_ours: &[bool],
    kinds: &Kinds,
    room: &mut Room,
) -> Result<(), PodError> {
    if addition.injection.mounts.is_empty() {
        return Ok(());
    }
    for list in CONTAINER_LISTS {
        if pod.spec_items(list).is_empty() {
            continue;
        }
        for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
            let name = container.text("name").unwrap_or_default().to_owned();
            let is_ours = list == CONTAINER_LISTS[0] && is_ours.get(index).is_some_and(|is_ours| *is_ours);
            if is_ours || !addition.reaches(&name) {
                continue;
            }
            let mounts = container.list_mut("volumeMounts")?;
            for mount in &addition.injection.mounts {
                // Each is cleaned, and looked at as the mount itself, as one above it and as one below it.
                room.compare(mounts.len().saturating_mul(3))?;
                if let Some(added) = missing(&name, mounts, mount, kinds, addition, room)? {
                    room.take(MOUNT_BYTES.saturating_add(text(mount, "mountPath").len()))?;
                    mounts.push(added);
                }
            }
        }
    }
    Ok(())
}

/// Returns the mount that a container has still to get.
fn missing<'a>(
    container: &str,
    mounts: &[Node<'a>],
    mount: &Value,
    kinds: &Kinds,
    addition: &Addition<'_>,
    room: &mut Room,
) -> Result<Option<Node<'a>>, PodError> {
    let path = path::clean(text(mount, "mountPath"));
    let existing = with_paths(mounts);
    let there = existing.iter().find(|(other, _)| *other == path);
    if let Some((_, there)) = there
        && !same_mount(&read(there, room)?, mount)
    {
        return Err(PodError::MountClash {
            container: container.to_owned(),
            volume: there.text("name").unwrap_or_default().to_owned(),
            path: text(mount, "mountPath").to_owned(),
            request: described(addition.request),
        });
    }
    let ours = node(mount)?;
    if let Some(parent) = parent_of(&existing, &path)
        && !kinds.takes_mounts(parent, false)
    {
        let path = text(mount, "mountPath");
        return Err(read_only_parent(container.to_owned(), parent, path, Some(addition)));
    }
    if !kinds.takes_mounts(&ours, false)
        && let Some((_, below)) = existing.iter().find(|(other, _)| path::is_below(other, &path))
    {
        return Err(mount_clash(container.to_owned(), below, Some(addition)));
    }
    Ok(there.is_none().then_some(ours))
}

/// Adds an init container where it is not there yet: at `place`, or last. Returns whether it had to be added.
fn add_init_container(
    pod: &mut Pod<'_>,
    container: &Value,
    addition: &Addition<'_>,
    ours: &mut Vec<usize>,
    place: Option<usize>,
    room: &mut Room,
) -> Result<bool, PodError> {
    let taken = |existing: &Node<'_>| same_name(existing, container);
    room.compare(CONTAINER_LISTS.iter().map(|list| pod.spec_items(list).len()).sum())?;
    if pod.spec_items(CONTAINER_LISTS[1]).iter().any(taken) {
        return Err(clash(addition, "the init container", container));
    }
    let host_network = is_on_host_network(pod);
    let containers = pod.spec_list(CONTAINER_LISTS[0])?;
    if let Some((index, existing)) = containers.iter().enumerate().find(|(_, existing)| taken(existing)) {
        if !runs(&read(existing, room)?, container, host_network) {
            return Err(clash(addition, "the init container", container));
        }
        if !ours.contains(&index) {
            ours.push(index);
        }
        return Ok(false);
    }
    let place = place.map_or(containers.len(), |place| place.min(containers.len()));
    containers.insert(place, node(container)?);
    for index in ours.iter_mut().filter(|index| **index >= place) {
        *index += 1;
    }
    ours.push(place);
    Ok(true)
}

fn is_on_host_network(pod: &Pod<'_>) -> bool {
    pod.field("hostNetwork").map(Node::to_value) == Some(Value::Bool(true))
}

/// Returns whether `existing` does what our init container does, also as the API server writes ours.
fn runs(existing: &Value, ours: &Value, host_network: bool) -> bool {
    runs_the_same(existing, ours) || host_network && runs_the_same(existing, &with_host_ports(ours))
}

fn clash(addition: &Addition<'_>, what: &'static str, value: &Value) -> PodError {
    PodError::TemplateClash {
        request: described(addition.request),
        what,
        name: text(value, "name").to_owned(),
    }
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn same_name(existing: &Node<'_>, ours: &Value) -> bool {
    existing
        .text("name")
        .is_some_and(|name| ours.get("name").and_then(Value::as_str) == Some(name))
}

fn node<'a>(value: &Value) -> Result<Node<'a>, PodError> {
    let Value::Object(fields) = value else {
        return Err(PodError::Unwritable);
    };
    let fields = fields.iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) => Node::Text(text.clone().into()),
            other => Node::made(other),
        };
        Ok((name.clone().into(), value))
    });
    Ok(Node::Object(fields.collect::<Result<_, PodError>>()?))
}
