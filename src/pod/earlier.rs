//! What is left of an earlier injection, in a copied manifest or a copied Pod: it would write the old values over the
//! new ones.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::document::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, read};
use super::error::PodError;
use super::path;
use super::plan::{Mount, Plan, memory, visible_files};
use super::room::Room;
use super::same::same;
use crate::injection::{ContainerName, FetchContainer};
use crate::json::Node;
use crate::options::Options;
use crate::order::sort_and_dedup;

/// What is longer, in bytes, in one of our commands is a script.
const SHORTEST_SCRIPT: usize = 100;

/// Takes out the init containers of an earlier injection, and with them the mounts and variables that show what they
/// write. `candidates` are the positions of init containers that look like ours, `running` of those that run what ours
/// are to run. Returns whether there was anything.
///
/// A container of the Pod's own is never taken out: ours have a name of ours, a command of ours, and write into a memory
/// volume of ours.
pub(super) fn take_out(
    pod: &mut Pod<'_>,
    plan: &Plan,
    (candidates, running): (&[usize], &[usize]),
    (additions, options): (&[Addition<'_>], &Options),
    room: &mut Room,
    warnings: &mut Vec<String>,
) -> Result<bool, PodError> {
    room.compare(pod.spec_items("volumes").len().saturating_mul(plan.volumes.len()))?;
    let memory_volumes = memory_volumes(pod, plan);
    let mut written: Vec<String> = Vec::new();
    let mut ours: Vec<usize> = Vec::new();
    let known = warnings.len();
    for index in candidates {
        let Some(container) = pod.spec_items(INIT_CONTAINERS).get(*index) else {
            continue;
        };
        let volumes = mounted(container, &memory_volumes, room)?;
        let name = container.text("name").unwrap_or_default();
        let is_old = !running.contains(index);
        if volumes.is_empty() || is_old && !is_ours(name, &read(container, room)?, plan) {
            continue;
        }
        if is_old {
            warnings.push(format!(
                "the init container {name:?} is left of an earlier injection: it was replaced, with its mounts and \
                 variables, by what the Pod asks for now"
            ));
        }
        ours.push(*index);
        written.extend(volumes);
    }
    sort_and_dedup(&mut written);
    let directory = path::clean(&options.mount_path);
    if warnings.len() == known {
        let Some(container) = with_old_mount(pod, plan, additions, (&ours, &written, &directory), room)? else {
            return Ok(false);
        };
        warnings.push(format!(
            "the container {container:?} has a mount that is left of an earlier injection: it was replaced by what the \
             Pod asks for now"
        ));
    }
    remove(pod, &ours, &written, &directory, room)?;
    Ok(true)
}

/// Returns the container that mounts one of the volumes `written` where it gets no file of it now.
fn with_old_mount(
    pod: &Pod<'_>,
    plan: &Plan,
    additions: &[Addition<'_>],
    (ours, written, directory): (&[usize], &[String], &str),
    room: &mut Room,
) -> Result<Option<String>, PodError> {
    for list in CONTAINER_LISTS {
        for (index, container) in pod.spec_items(list).iter().enumerate() {
            if list == INIT_CONTAINERS && ours.contains(&index) {
                continue;
            }
            let mounts = container.items("volumeMounts");
            if mounts.is_empty() {
                continue;
            }
            let name = container.text("name").unwrap_or_default();
            let wanted = visible_files(additions, name);
            room.compare(plan.sets.len())?;
            let set = plan.sets.iter().find(|(set, _)| *set == wanted);
            let planned: &[Mount] = set.map_or(&[], |(_, mounts)| mounts);
            room.compare(mounts.len().saturating_mul(planned.len().saturating_add(written.len())))?;
            let is_planned = |mount: &Node<'_>| {
                let path = path::clean(mount.text("mountPath").unwrap_or_default());
                planned.iter().any(|planned| path::clean(&planned.path) == path)
            };
            if mounts
                .iter()
                .any(|mount| shows(mount, written, directory) && !is_planned(mount))
            {
                return Ok(Some(name.to_owned()));
            }
        }
    }
    Ok(None)
}

/// Returns the Pod's memory volumes that have a name and a source of ours.
fn memory_volumes(pod: &Pod<'_>, plan: &Plan) -> Vec<String> {
    let ours = memory();
    let bases: Vec<&str> = plan
        .volumes
        .iter()
        .filter(|volume| volume.source == ours)
        .map(|volume| volume.name.trim_end_matches("-env"))
        .collect();
    let is_ours = |volume: &&Node<'_>| {
        let name = volume.text("name").unwrap_or_default();
        let mut value = volume.to_value();
        if let Value::Object(fields) = &mut value {
            fields.remove("name");
        }
        bases.iter().any(|base| name.starts_with(base)) && same(&value, &ours)
    };
    pod.spec_items("volumes")
        .iter()
        .filter(is_ours)
        .filter_map(|volume| Some(volume.text("name")?.to_owned()))
        .collect()
}

/// Returns those of `volumes` that the container mounts.
fn mounted(container: &Node<'_>, volumes: &[String], room: &mut Room) -> Result<Vec<String>, PodError> {
    let mounts = container.items("volumeMounts");
    room.compare(mounts.len().saturating_mul(volumes.len()))?;
    let names = mounts.iter().filter_map(|mount| mount.text("name"));
    let ours = names.filter(|name| volumes.iter().any(|volume| volume == name));
    Ok(ours.map(str::to_owned).collect())
}

/// Returns whether a container of this name has the command of one of ours, or, where ours has none, its image and its
/// variables; the values may be others.
fn is_ours(name: &str, existing: &Value, plan: &Plan) -> bool {
    plan.containers.iter().any(|ours| {
        let is_script = ours.spec.get("command").is_some();
        ours.name.is_given_to(name)
            && has_command_of(existing, ours)
            && (is_script || existing.get("image") == ours.spec.get("image") && has_variables(existing, ours))
    })
}

/// Returns whether a container has the command of one of ours. A script may begin with what writes variables, or lack it.
pub(super) fn has_command_of(existing: &Value, ours: &FetchContainer) -> bool {
    let (existing, ours) = (existing.get("command"), ours.spec.get("command"));
    let (Some(Value::Array(existing)), Some(Value::Array(ours))) = (existing, ours) else {
        return existing == ours;
    };
    let same = |existing: &Value, ours: &Value| match (existing.as_str(), ours.as_str()) {
        (Some(existing), Some(ours)) if existing.len().min(ours.len()) > SHORTEST_SCRIPT => {
            existing.ends_with(ours) || ours.ends_with(existing)
        }
        _ => existing == ours,
    };
    existing.len() == ours.len() && existing.iter().zip(ours).all(|(existing, ours)| same(existing, ours))
}

fn has_variables(existing: &Value, ours: &FetchContainer) -> bool {
    let names = |container: &Value| -> Vec<Value> {
        let env = container.get("env").and_then(Value::as_array);
        let names = env.into_iter().flatten().map(|variable| variable.get("name").cloned());
        names.flatten().collect()
    };
    let existing = names(existing);
    names(&ours.spec).iter().all(|name| existing.contains(name))
}

impl ContainerName {
    /// Returns whether a container of ours may have got this name.
    fn is_given_to(self, name: &str) -> bool {
        let (Self::Exact(prefix) | Self::Numbered(prefix)) = self;
        let number = name.strip_prefix(prefix);
        match number {
            Some("") => matches!(self, Self::Exact(_)),
            Some(rest) => rest
                .strip_prefix('-')
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())),
            None => false,
        }
    }
}

/// Removes the init containers at `left`, what shows the files in the volumes `written`, and those of these volumes that
/// nobody mounts any more.
fn remove(
    pod: &mut Pod<'_>,
    left: &[usize],
    written: &[String],
    directory: &str,
    room: &mut Room,
) -> Result<(), PodError> {
    let mut index = 0;
    pod.spec_list(INIT_CONTAINERS)?.retain(|_| {
        index += 1;
        left.binary_search(&(index - 1)).is_err()
    });
    let mut used: Vec<String> = Vec::new();
    for list in CONTAINER_LISTS {
        if pod.spec_items(list).is_empty() {
            continue;
        }
        for container in pod.spec_list(list)? {
            let mounts = container.items("volumeMounts").len();
            room.compare(mounts.saturating_mul(written.len()))?;
            if !container.items("volumeMounts").is_empty() {
                container
                    .list_mut("volumeMounts")?
                    .retain(|mount| !shows(mount, written, directory));
            }
            if !container.items("env").is_empty() {
                container.list_mut("env")?.retain(|variable| !reads(variable, written));
            }
            used.extend(mounted(container, written, room)?);
        }
    }
    pod.spec_list("volumes")?.retain(|volume| {
        let name = volume.text("name").unwrap_or_default();
        !written.iter().any(|written| written == name) || used.iter().any(|used| used == name)
    });
    Ok(())
}

/// Returns whether a mount is one that we add for files in one of these volumes.
fn shows(mount: &Node<'_>, volumes: &[String], directory: &str) -> bool {
    let path = path::clean(mount.text("mountPath").unwrap_or_default());
    mount
        .text("name")
        .is_some_and(|name| volumes.iter().any(|volume| volume == name))
        && (path == directory || path::is_below(&path, directory))
        && mount.get("readOnly").map(Node::to_value) == Some(Value::Bool(true))
}

/// Returns whether a variable comes from a file in one of these volumes.
fn reads(variable: &Node<'_>, volumes: &[String]) -> bool {
    let Some(source) = variable.get("valueFrom").map(Node::to_value) else {
        return false;
    };
    let volume = source.pointer("/fileKeyRef/volumeName").and_then(Value::as_str);
    volume.is_some_and(|name| volumes.iter().any(|volume| volume == name))
}
