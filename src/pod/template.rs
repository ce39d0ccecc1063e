//! What an operator's templates add: volumes, mounts and init containers as they are written in the settings.
//!
//! What is there already stays as it is. Something else of the same name is an error: a template's mount would show
//! the wrong volume.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::{Addition, CONTAINER_LISTS, MOUNT_BYTES, Pod, PodError, Room, described, read};
use crate::json::{Node, covers, says_nothing};

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
    pod.spec_items(CONTAINER_LISTS[0])
        .iter()
        .enumerate()
        .filter(|(_, existing)| {
            // It may be large, and have the name of every one of ours.
            let mut value = None;
            ours().any(|container| {
                same_name(existing, container) && runs(value.get_or_insert_with(|| existing.to_value()), container)
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
                Some(existing) if covers(&read(existing, room)?, volume) => {}
                Some(_) => return Err(clash(addition, "the volume", volume)),
            }
        }
        add_mounts(pod, addition, &is_ours, room)?;
    }
    Ok(())
}

/// Adds the mounts of one request to the containers that it reaches.
fn add_mounts(pod: &mut Pod<'_>, addition: &Addition<'_>, is_ours: &[bool], room: &mut Room) -> Result<(), PodError> {
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
                let path = text(mount, "mountPath");
                room.compare(mounts.len())?;
                let there = mounts
                    .iter()
                    .find(|existing| existing.text("mountPath").map(without_slash) == Some(without_slash(path)));
                match there {
                    None => {
                        room.take(MOUNT_BYTES.saturating_add(path.len()))?;
                        mounts.push(node(mount)?);
                    }
                    Some(existing) if covers(&read(existing, room)?, mount) => {}
                    Some(existing) => {
                        return Err(PodError::MountClash {
                            container: name,
                            volume: existing.text("name").unwrap_or_default().to_owned(),
                            path: path.to_owned(),
                            request: described(addition.request),
                        });
                    }
                }
            }
        }
    }
    Ok(())
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
    let containers = pod.spec_list(CONTAINER_LISTS[0])?;
    if let Some((index, existing)) = containers.iter().enumerate().find(|(_, existing)| taken(existing)) {
        if !runs(&read(existing, room)?, container) {
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

fn clash(addition: &Addition<'_>, what: &'static str, value: &Value) -> PodError {
    PodError::TemplateClash {
        request: described(addition.request),
        what,
        name: text(value, "name").to_owned(),
    }
}

fn without_slash(path: &str) -> &str {
    path.trim_end_matches('/')
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Whether an init container of the Pod does what ours does. Other webhooks may have added mounts and variables to it,
/// and the API server writes amounts in its own way, so that only what it runs is compared.
pub(super) fn runs(existing: &Value, ours: &Value) -> bool {
    ["image", "command", "args", "env", "volumeMounts"].iter().all(|field| {
        match (existing.get(field), ours.get(field)) {
            (_, None) => true,
            (None, Some(ours)) => says_nothing(ours),
            (Some(Value::Array(existing)), Some(Value::Array(ours))) if matches!(*field, "env" | "volumeMounts") => {
                ours.iter().all(|item| existing.iter().any(|found| covers(found, item)))
            }
            (existing, ours) => existing == ours,
        }
    })
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
