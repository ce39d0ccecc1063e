//! What is left of an earlier injection, in a copied manifest or a copied Pod: it would write the old values over the
//! new ones.

use serde_json::{Map, Value};

use super::document::{ENV, INIT_CONTAINERS, Pod, is_true, name_of};
use super::error::PodError;
use super::mounts::path_of;
use super::path;
use super::plan::{Plan, memory};
use super::volumes::has_source;
use super::work::Work;
use crate::json::{Node, items_in};
use crate::sort::{has, sort_and_dedup, sorted_set};

/// What is longer, in bytes, in one of our commands is a script.
const MIN_SCRIPT: usize = 100;

/// Takes out the init containers of an earlier injection, and with them the mounts and variables that show what they
/// write. `specs` are those of the plan, `candidates` the init containers that look like ours, `running` the names of those
/// that run what ours are to run. Returns whether there was anything.
///
/// A container of the Pod's own is never taken out: ours have a name of ours, a command of ours, and write into a memory
/// volume of ours.
pub(super) fn take_out(
    pod: &mut Pod<'_>,
    (plan, specs): (&Plan<'_>, &[Value]),
    (candidates, running): (&Map<String, Value>, &[String]),
    work: &mut Work<'_>,
) -> Result<bool, PodError> {
    work.budget
        .compare(pod.spec_items("volumes").len(), plan.volumes.len())?;
    let memory_volumes = memory_volumes(pod, plan);
    let mut old = Old {
        directory: path::clean(&work.options.mount_path).into_owned(),
        ..Old::default()
    };
    let known = work.warnings.len();
    for container in pod.spec_items(INIT_CONTAINERS) {
        let name = name_of(container);
        let Some(existing) = candidates.get(name) else {
            continue;
        };
        let is_old = !has(running, name);
        let mut volumes = mounted(container, &memory_volumes).peekable();
        if volumes.peek().is_none() || is_old && !is_ours(name, existing, plan, specs) {
            continue;
        }
        if is_old {
            work.warnings.push(format!(
                "the init container {name:?} is left of an earlier injection: it was replaced, with its mounts and \
                 variables, by what the Pod asks for now"
            ));
        }
        old.containers.push(name.to_owned());
        old.volumes.extend(volumes.map(str::to_owned));
    }
    sort_and_dedup(&mut old.containers);
    sort_and_dedup(&mut old.volumes);
    if work.warnings.len() == known {
        let Some(container) = old.container_with_mount(pod, plan, work)? else {
            return Ok(false);
        };
        work.warnings.push(format!(
            "the container {container:?} has a mount that is left of an earlier injection: it was replaced by what the \
             Pod asks for now"
        ));
    }
    old.remove(pod)?;
    Ok(true)
}

/// What an earlier injection has added, sorted.
#[derive(Default)]
struct Old {
    /// The init containers that fetch.
    containers: Vec<String>,
    /// The memory volumes into which they write.
    volumes: Vec<String>,
    /// The clean path at or below which the files are.
    directory: String,
}

impl Old {
    /// Returns the container that mounts one of the volumes where it gets no file of it now.
    fn container_with_mount(
        &self,
        pod: &Pod<'_>,
        plan: &Plan<'_>,
        work: &mut Work<'_>,
    ) -> Result<Option<String>, PodError> {
        for (_, container) in pod.containers(&self.containers) {
            let mounts = container.items("volumeMounts");
            if mounts.is_empty() {
                continue;
            }
            let planned = plan.mounts_of(container, work)?;
            work.budget.compare(mounts.len(), planned.len().saturating_add(1))?;
            let is_at = |path: &str| planned.iter().any(|planned| path::clean(&planned.path) == path);
            if mounts.iter().any(|mount| self.shows(mount) && !is_at(&path_of(mount))) {
                return Ok(Some(name_of(container).to_owned()));
            }
        }
        Ok(None)
    }

    /// Removes the init containers, what shows the files in the volumes, and those of the volumes that nobody mounts any more.
    fn remove(&self, pod: &mut Pod<'_>) -> Result<(), PodError> {
        pod.spec_list(INIT_CONTAINERS)?
            .retain(|container| !has(&self.containers, name_of(container)));
        let mut used: Vec<String> = Vec::new();
        for (_, container) in pod.containers_mut(&[]) {
            if !container.items("volumeMounts").is_empty() {
                container.list_mut("volumeMounts")?.retain(|mount| !self.shows(mount));
            }
            container.open("env", ENV);
            if !container.items("env").is_empty() {
                container.list_mut("env")?.retain(|variable| !self.is_read_by(variable));
            }
            used.extend(mounted(container, &self.volumes).map(str::to_owned));
        }
        sort_and_dedup(&mut used);
        pod.spec_list("volumes")?
            .retain(|volume| !has(&self.volumes, name_of(volume)) || has(&used, name_of(volume)));
        Ok(())
    }

    /// Returns whether a mount is one that we add for files in one of the volumes: at or below the directory, or of one file.
    fn shows(&self, mount: &Node<'_>) -> bool {
        let path = path_of(mount);
        has(&self.volumes, name_of(mount))
            && (path == self.directory || path::is_below(&path, &self.directory) || mount.get("subPath").is_some())
            && is_true(mount, "readOnly")
    }

    /// Returns whether a variable comes from a file in one of the volumes.
    fn is_read_by(&self, variable: &Node<'_>) -> bool {
        let source = variable.get("valueFrom").map(Node::to_value).unwrap_or_default();
        let volume = source.pointer("/fileKeyRef/volumeName").and_then(Value::as_str);
        volume.is_some_and(|name| has(&self.volumes, name))
    }
}

/// Returns the Pod's memory volumes that have a name and a source of ours, sorted.
fn memory_volumes(pod: &Pod<'_>, plan: &Plan<'_>) -> Vec<String> {
    let source = memory().to_value();
    let planned = plan.volumes.iter().filter(|volume| volume.is_memory());
    let bases: Vec<&str> = planned.map(|volume| volume.name.trim_end_matches("-env")).collect();
    let is_ours = |volume: &&Node<'_>| {
        let name = volume.text("name");
        name.is_some_and(|name| bases.iter().any(|base| name.starts_with(base)))
            && has_source(&volume.to_value(), &source)
    };
    let ours = pod.spec_items("volumes").iter().filter(is_ours);
    sorted_set(ours.map(|volume| name_of(volume).to_owned()))
}

/// Returns those of the sorted `volumes` that the container mounts.
fn mounted<'n>(container: &'n Node<'_>, volumes: &[String]) -> impl Iterator<Item = &'n str> {
    let names = container.items("volumeMounts").iter().map(name_of);
    names.filter(|name| has(volumes, name))
}

/// Returns whether a container of this name looks like one of ours, also by its variables where ours has no command; the values
/// may be others.
fn is_ours(name: &str, existing: &Value, plan: &Plan<'_>, specs: &[Value]) -> bool {
    plan.containers.iter().zip(specs).any(|(container, ours)| {
        container.name.is_given_to(name)
            && looks_like(existing, ours)
            && (ours.get("command").is_some() || has_variables(existing, ours))
    })
}

/// Returns whether a container has the command of one of ours, or, where ours has none, its image: a script is ours whatever
/// image runs it. What our scripts begin with depends on the requests, so it is enough that they end alike.
pub(super) fn looks_like(existing: &Value, ours: &Value) -> bool {
    let (command, our_command) = (existing.get("command"), ours.get("command"));
    let (Some(Value::Array(command)), Some(Value::Array(our_command))) = (command, our_command) else {
        return command == our_command && (our_command.is_some() || existing.get("image") == ours.get("image"));
    };
    let same = |(existing, ours): (&Value, &Value)| match (existing.as_str(), ours.as_str()) {
        (Some(existing), Some(ours)) if existing.len().min(ours.len()) > MIN_SCRIPT => end_alike(existing, ours),
        _ => existing == ours,
    };
    command.len() == our_command.len() && command.iter().zip(our_command).all(same)
}

/// Returns whether two scripts have the same ending, three quarters of the shorter one at least. Scripts of different managers
/// share less than a half.
fn end_alike(one: &str, other: &str) -> bool {
    let from_the_end = one.bytes().rev().zip(other.bytes().rev());
    let alike = from_the_end.take_while(|(one, other)| one == other).count();
    alike >= one.len().min(other.len()) / 4 * 3
}

fn has_variables(existing: &Value, ours: &Value) -> bool {
    let names = |container: &Value| -> Vec<Value> {
        let names = items_in(container, "env").map(|variable| variable.get("name").cloned());
        names.flatten().collect()
    };
    let existing = names(existing);
    names(ours).iter().all(|name| existing.contains(name))
}
