//! Init containers: those that fetch files, and those of templates.

use super::document::{CONTAINERS, INIT_CONTAINERS, Pod, is_true, item, name_of, named, read};
use super::earlier::looks_like;
use super::error::PodError;
use super::our_names::is_numbered;
use super::plan::{Plan, Volume};
use super::same::{runs_the_same, with_host_ports};
use super::volumes::{next_number, template_clash};
use super::work::Work;
use crate::injection::{Addition, ContainerName, FetchContainer};
use crate::json::{Node, text_in, tree};
use crate::sort::{has, sort_and_dedup, sorted_set};
use serde_json::{Map, Value};

/// Returns the names of the init containers of templates that the Pod has already, sorted.
pub(super) fn recognized_templates(pod: &Pod<'_>, additions: &[Addition<'_>]) -> Vec<String> {
    let of_templates = || {
        let injections = additions.iter().map(|addition| &addition.injection);
        injections.flat_map(|injection| &injection.init_containers)
    };
    let host_network = is_on_host_network(pod);
    let is_ours = |existing: &&Node<'_>| {
        // It may be large, and have the name of every one of ours.
        let mut value = None;
        of_templates().any(|ours| {
            existing.text("name") == Some(text_in(ours, "name"))
                && runs(value.get_or_insert_with(|| existing.to_value()), ours, host_network)
        })
    };
    let containers = pod.spec_items(INIT_CONTAINERS).iter().filter(is_ours);
    sorted_set(containers.map(|container| name_of(container).to_owned()))
}

impl Plan<'_> {
    /// Returns the init containers that look like ours, by name.
    pub(super) fn recognized(&self, pod: &Pod<'_>) -> Map<String, Value> {
        let mut alike = Map::new();
        let mut specs = None;
        for container in pod.spec_items(INIT_CONTAINERS) {
            let name = name_of(container);
            // A container of the Pod's may be large: it is read once, and only if it has such a name.
            let is_named = |ours: &FetchContainer| name.starts_with(ours.name.base());
            if !self.containers.iter().any(is_named) {
                continue;
            }
            let existing = container.to_value();
            let specs = specs.get_or_insert_with(|| self.specs());
            let mut ours = self.containers.iter().zip(specs);
            if ours.any(|(ours, spec)| is_named(ours) && looks_like(&existing, spec)) {
                alike.insert(name.to_owned(), existing);
            }
        }
        alike
    }

    /// Returns the containers that fetch, for comparisons, in their order.
    pub(super) fn specs(&self) -> Vec<Value> {
        let containers = self.containers.iter();
        containers.map(|container| container.spec.to_value()).collect()
    }

    /// Adds the init containers of templates and those that fetch, where they are not there yet. `ours` are the names of those
    /// that are there; those that are added come to them.
    pub(super) fn add_init_containers(
        &mut self,
        pod: &mut Pod<'_>,
        ours: &mut Vec<String>,
        work: &mut Work<'_>,
    ) -> Result<(), PodError> {
        let (recognized, stand_first) = (ours.clone(), work.options.init_containers_first);
        let fetching = self.new_containers(pod, &recognized, work)?;
        insert(pod, fetching, stand_first, ours)?;
        let of_templates = new_templates(pod, ours, work)?;
        insert(pod, of_templates, stand_first, ours)?;
        sort_and_dedup(ours);
        Ok(())
    }

    /// Returns the init containers that fetch and that are still to be added.
    fn new_containers<'a>(
        &mut self,
        pod: &Pod<'a>,
        recognized: &[String],
        work: &mut Work<'_>,
    ) -> Result<Vec<Node<'a>>, PodError> {
        let mut added: Vec<Node<'_>> = Vec::new();
        if self.containers.is_empty() {
            return Ok(added);
        }
        let existing = pod.spec_items(INIT_CONTAINERS);
        let others = pod.spec_items(CONTAINERS);
        let shares = shares_amounts(pod);
        // Each is read once, however many it is compared with.
        let known = existing.iter().filter(|container| has(recognized, name_of(container)));
        let mut known: Vec<Value> = known.map(Node::to_value).collect();
        let mut number = existing.len().saturating_sub(known.len());
        for mut container in std::mem::take(&mut self.containers) {
            self.add_mounts_of(&mut container, shares);
            work.budget.compare(1, known.len())?;
            let spec = (!known.is_empty()).then(|| container.spec.to_value());
            let is_there = |existing: &Value| spec.as_ref().is_some_and(|spec| runs_the_same(existing, spec));
            if let Some(there) = known.iter().position(is_there) {
                known.remove(there);
                continue;
            }
            let first = number;
            let taken = |name: &str| {
                let mut containers = existing.iter().chain(&added).chain(others);
                containers.any(|container| container.text("name") == Some(name))
            };
            let name = container.name.free(&mut number, taken)?;
            let tries = number.saturating_sub(first).max(1);
            let containers = [existing.len(), added.len(), others.len()];
            work.budget.compare(tries, containers.iter().sum())?;
            added.push(named(&name, container.spec));
        }
        Ok(added)
    }

    /// Adds the mounts of the container's volumes, and leaves out its amounts where it shares those of the Pod.
    fn add_mounts_of(&self, container: &mut FetchContainer, shares: bool) {
        let memory = container.mounts.iter().filter_map(|(volume, path)| {
            Some(tree([
                ("name", self.volumes.get(*volume)?.name.as_str().into()),
                ("mountPath", path.as_str().into()),
            ]))
        });
        let further = container.volumes.iter().filter_map(|volume| {
            let is_same = |known: &&Volume| known.wanted == volume.name && known.source == volume.source;
            let planned = self.volumes.iter().find(is_same)?;
            Some(tree([
                ("name", planned.name.as_str().into()),
                ("readOnly", true.into()),
                ("mountPath", volume.path.into()),
            ]))
        });
        let mounts = memory.chain(further).collect();
        if let Node::Object(fields) = &mut container.spec {
            fields.retain(|(field, _)| !shares || field != "resources");
            fields.push(("volumeMounts".into(), Node::made(&Value::Array(mounts))));
        }
    }
}

/// Returns the names of those of the init containers that run what one of `specs` runs, sorted.
pub(super) fn running(existing: &Map<String, Value>, specs: &[Value]) -> Vec<String> {
    let runs = |existing: &Value| specs.iter().any(|ours| runs_the_same(existing, ours));
    let running = existing.iter().filter(|(_, existing)| runs(existing));
    running.map(|(name, _)| name.clone()).collect()
}

/// Returns the init containers of templates that are still to be added. Those that are there become `ours`.
fn new_templates<'a>(pod: &Pod<'a>, ours: &mut Vec<String>, work: &mut Work<'_>) -> Result<Vec<Node<'a>>, PodError> {
    let host_network = is_on_host_network(pod);
    let (existing, others) = (pod.spec_items(INIT_CONTAINERS), pod.spec_items(CONTAINERS));
    let mut added: Vec<Node<'_>> = Vec::new();
    for addition in work.additions {
        for container in &addition.injection.init_containers {
            let name = text_in(container, "name");
            let is_named = |other: &&Node<'_>| other.text("name") == Some(name);
            let clash = || template_clash(addition, "the init container", name);
            work.budget.compare(1, existing.len() + added.len() + others.len())?;
            if others.iter().any(|other| is_named(&other)) {
                return Err(clash());
            }
            match existing.iter().chain(&added).find(is_named) {
                None => added.push(item(name, container)),
                Some(there) if runs(&read(there, &mut work.budget)?, container, host_network) => {
                    ours.push(name.to_owned());
                }
                Some(_) => return Err(clash()),
            }
        }
    }
    Ok(added)
}

/// Puts the init containers `added` before or behind the others, and their names to `ours`.
fn insert<'a>(
    pod: &mut Pod<'a>,
    added: Vec<Node<'a>>,
    stand_first: bool,
    ours: &mut Vec<String>,
) -> Result<(), PodError> {
    if added.is_empty() {
        return Ok(());
    }
    ours.extend(added.iter().map(|container| name_of(container).to_owned()));
    let containers = pod.spec_list(INIT_CONTAINERS)?;
    let place = if stand_first { 0 } else { containers.len() };
    containers.splice(place..place, added);
    Ok(())
}

/// Returns whether the Pod has amounts as a whole: containers without amounts of their own share those, and may not ask
/// for more.
fn shares_amounts(pod: &Pod<'_>) -> bool {
    let amounts = pod.field("resources").map(Node::to_value).unwrap_or_default();
    amounts.as_object().is_some_and(|amounts| !amounts.is_empty())
}

fn is_on_host_network(pod: &Pod<'_>) -> bool {
    pod.spec().is_some_and(|spec| is_true(spec, "hostNetwork"))
}

/// Returns whether `existing` does what an init container of a template does, also as the API server writes it.
fn runs(existing: &Value, ours: &Value, host_network: bool) -> bool {
    runs_the_same(existing, ours) || host_network && runs_the_same(existing, &with_host_ports(ours))
}

impl ContainerName {
    /// Returns what the name begins with.
    fn base(self) -> &'static str {
        let (Self::Exact(base) | Self::Numbered(base)) = self;
        base
    }

    /// Returns whether a container of ours may have got this name.
    pub(super) fn is_given_to(self, name: &str) -> bool {
        is_numbered(name, self.base()) || matches!(self, Self::Exact(exact) if exact == name)
    }

    fn free(self, number: &mut usize, taken: impl Fn(&str) -> bool) -> Result<String, PodError> {
        let base = self.base();
        if matches!(self, Self::Exact(_)) && !taken(base) {
            return Ok(base.to_owned());
        }
        let mut tries = 1;
        loop {
            let name = format!("{base}-{number}");
            *number = number.saturating_add(1);
            if !taken(&name) {
                return Ok(name);
            }
            tries = next_number(tries, base)?;
        }
    }
}
