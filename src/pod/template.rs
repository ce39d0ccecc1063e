//! What an operator's templates add: volumes, mounts and init containers as they are written in the settings.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::{Addition, CONTAINER_LISTS, Pod, PodError, says};
use crate::json::Node;

/// Adds the volumes, mounts and init containers of templates; those that are there already stay. `ours` holds the
/// positions of the init containers that we have added.
pub(super) fn add(
    pod: &mut Pod<'_>,
    additions: &[Addition<'_>],
    ours: &mut Vec<usize>,
    first: bool,
) -> Result<(), PodError> {
    for addition in additions {
        let injection = &addition.injection;
        for container in &injection.init_containers {
            add_init_container(pod, container, ours, first)?;
        }
        for volume in &injection.volumes {
            let volumes = pod.spec_list("volumes")?;
            if !volumes.iter().any(|existing| same_name(existing, volume)) {
                volumes.push(node(volume)?);
            }
        }
        if injection.mounts.is_empty() {
            continue;
        }
        for list in CONTAINER_LISTS {
            if pod.spec_items(list).is_empty() {
                continue;
            }
            for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
                let is_ours = list == CONTAINER_LISTS[0] && ours.contains(&index);
                if is_ours || !addition.reaches(container.text("name").unwrap_or_default()) {
                    continue;
                }
                let mounts = container.list_mut("volumeMounts")?;
                for mount in &injection.mounts {
                    if !mounts.iter().any(|existing| says(existing, mount)) {
                        mounts.push(node(mount)?);
                    }
                }
            }
        }
    }
    Ok(())
}

fn add_init_container(
    pod: &mut Pod<'_>,
    container: &Value,
    ours: &mut Vec<usize>,
    first: bool,
) -> Result<(), PodError> {
    let containers = pod.spec_list(CONTAINER_LISTS[0])?;
    if let Some(index) = containers.iter().position(|existing| same_name(existing, container)) {
        if !ours.contains(&index) {
            ours.push(index);
        }
        return Ok(());
    }
    if first {
        containers.insert(0, node(container)?);
        for index in ours.iter_mut() {
            *index += 1;
        }
        ours.push(0);
    } else {
        containers.push(node(container)?);
        ours.push(containers.len() - 1);
    }
    Ok(())
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
            other => Node::made(other).map_err(|_| PodError::Unwritable)?,
        };
        Ok((name.clone().into(), value))
    });
    Ok(Node::Object(fields.collect::<Result<_, PodError>>()?))
}
