//! Init containers that fetch files.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::document::{INIT_CONTAINERS, Pod, object};
use super::earlier::has_command_of;
use super::error::PodError;
use super::plan::Plan;
use super::room::Room;
use super::same::runs_the_same;
use super::volumes::another;
use crate::injection::{ContainerName, FetchContainer};
use crate::json::{Node, tree};
use crate::options::Options;
use serde_json::Value;

impl Plan {
    /// The positions of init containers that look like ours.
    pub(super) fn recognised(&self, pod: &Pod<'_>) -> Vec<usize> {
        let same = |container: &Node<'_>| {
            let name = container.text("name").unwrap_or_default();
            // A container of the Pod's may be large: it is read once, and only if it has such a name.
            let mut fitting = self.containers.iter().filter(|ours| ours.name.fits(name)).peekable();
            if fitting.peek().is_none() {
                return false;
            }
            let existing = container.to_value();
            fitting.any(|ours| {
                // A script is ours whatever image runs it; without one, the image alone tells.
                has_command_of(&existing, ours)
                    && (ours.spec.get("command").is_some() || existing.get("image") == ours.spec.get("image"))
            })
        };
        pod.spec_items(INIT_CONTAINERS)
            .iter()
            .enumerate()
            .filter(|(_, container)| same(container))
            .map(|(index, _)| index)
            .collect()
    }

    /// Those of the init containers at `positions` that run what ours run.
    pub(super) fn running(&self, pod: &Pod<'_>, positions: &[usize]) -> Vec<usize> {
        let containers = pod.spec_items(INIT_CONTAINERS);
        let runs = |position: &usize| {
            let existing = containers.get(*position).map(Node::to_value).unwrap_or_default();
            self.containers.iter().any(|ours| runs_the_same(&existing, &ours.spec))
        };
        positions.iter().copied().filter(runs).collect()
    }

    /// Adds the init containers that are not there yet and returns the positions of all of ours.
    pub(super) fn add_containers(
        &self,
        pod: &mut Pod<'_>,
        options: &Options,
        names: &[String],
        recognised: Vec<usize>,
        room: &mut Room,
    ) -> Result<Vec<usize>, PodError> {
        if self.containers.is_empty() {
            return Ok(recognised);
        }
        let app_containers: Vec<String> = pod
            .spec_items("containers")
            .iter()
            .filter_map(|item| Some(item.text("name")?.to_owned()))
            .collect();
        let shares = shares_amounts(pod);
        let existing = pod.spec_list(INIT_CONTAINERS)?;
        // Each is read once, however many it is compared with.
        let mut known: Vec<Value> = recognised
            .iter()
            .filter_map(|index| Some(existing.get(*index)?.to_value()))
            .collect();
        let mut added: Vec<Node<'_>> = Vec::new();
        let mut number = existing.len().saturating_sub(recognised.len());
        for container in &self.containers {
            let spec = self.with_mounts(container, names, shares);
            room.compare(known.len())?;
            if let Some(there) = known.iter().position(|existing| runs_the_same(existing, &spec)) {
                known.remove(there);
                continue;
            }
            let others = existing.len().saturating_add(added.len());
            let first = number;
            let taken = |name: &str| {
                let mut containers = existing.iter().chain(&added);
                containers.any(|item| item.text("name") == Some(name))
                    || app_containers.iter().any(|known| known == name)
            };
            let name = container.name.free(&mut number, taken)?;
            let tries = number.saturating_sub(first).max(1);
            room.compare(others.saturating_add(app_containers.len()).saturating_mul(tries))?;
            added.push(container_node(&name, spec));
        }
        let first = options.init_containers.stand_first();
        Ok(insert(existing, added, recognised, first))
    }

    /// Returns the container's spec with the mounts of its volumes, and without amounts where it shares those of the Pod.
    fn with_mounts(&self, container: &FetchContainer, names: &[String], shares: bool) -> Value {
        let memory = container.mounts.iter().filter_map(|(volume, path)| {
            Some(tree([
                ("name", names.get(*volume)?.as_str().into()),
                ("mountPath", path.as_str().into()),
            ]))
        });
        let further = container.volumes.iter().filter_map(|volume| {
            Some(tree([
                ("name", self.further_volume(volume, names)?.into()),
                ("readOnly", true.into()),
                ("mountPath", volume.path.into()),
            ]))
        });
        let mounts = memory.chain(further).collect();
        let mut spec = container.spec.clone();
        if let Value::Object(fields) = &mut spec {
            fields.insert("volumeMounts".to_owned(), Value::Array(mounts));
            if shares {
                fields.remove("resources");
            }
        }
        spec
    }
}

/// Puts the init containers `added` before or behind the others, and returns the positions of all of ours.
fn insert<'a>(
    existing: &mut Vec<Node<'a>>,
    added: Vec<Node<'a>>,
    recognised: Vec<usize>,
    stand_first: bool,
) -> Vec<usize> {
    let count = added.len();
    if stand_first {
        existing.splice(0..0, added);
        let moved = recognised.into_iter().map(|index| index + count);
        (0..count).chain(moved).collect()
    } else {
        let first = existing.len();
        existing.extend(added);
        recognised.into_iter().chain(first..first + count).collect()
    }
}

/// Returns whether the Pod has amounts as a whole: containers without amounts of their own share those, and may not ask
/// for more.
fn shares_amounts(pod: &Pod<'_>) -> bool {
    let amounts = pod.field("resources").map(Node::to_value).unwrap_or_default();
    amounts.as_object().is_some_and(|amounts| !amounts.is_empty())
}

impl ContainerName {
    fn fits(self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name.starts_with(exact),
            Self::Numbered(prefix) => name.starts_with(prefix),
        }
    }

    fn free(self, number: &mut usize, taken: impl Fn(&str) -> bool) -> Result<String, PodError> {
        if let Self::Exact(name) = self
            && !taken(name)
        {
            return Ok(name.to_owned());
        }
        let mut tries = 1;
        let (Self::Exact(prefix) | Self::Numbered(prefix)) = self;
        loop {
            let name = format!("{prefix}-{number}");
            *number = number.saturating_add(1);
            if !taken(&name) {
                return Ok(name);
            }
            tries = another(tries, prefix)?;
        }
    }
}

/// An init container of ours. Its name and mounts are opened, as those of the Pod's own are.
fn container_node<'a>(name: &str, spec: Value) -> Node<'a> {
    let mut node = object([("name", Node::Text(Cow::Owned(name.to_owned())))]);
    if let (Node::Object(fields), Value::Object(spec)) = (&mut node, spec) {
        for (field, value) in spec {
            fields.push((Cow::Owned(field), Node::made(&value)));
        }
    }
    node
}
