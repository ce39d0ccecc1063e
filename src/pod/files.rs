//! Files: the volumes that hold them, their mounts, and the init containers that fetch them.
//!
//! A container finds the files of those requests that reach it and no others. Containers with the same files share
//! volumes; as a rule that is all of them, and there is one memory volume for what is fetched and one volume for each
//! group of a Kubernetes Secret.

#![forbid(unsafe_code)]

use super::agents::{check_hidden, is_of_the_agent, served};
use super::document::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod};
use super::earlier::take_out;
use super::earlier_secrets::take_out_secrets;
use super::error::PodError;
use super::kinds::Kinds;
use super::mounts::{mount_clash, parent_of, read_only_parent, with_paths};
use super::order::check_order;
use super::plan::Plan;
use super::room::Room;
use super::system::check_system;
use super::{path, template};
use crate::injection::{EnvValue, EnvVar};
use crate::json::Node;
use crate::options::Options;
use crate::order::has;

/// What [`super::env`] needs to know of the files.
#[derive(Default)]
pub(super) struct Files {
    /// By additions, of those whose value comes through a file of variables: the volume, and the path in it.
    env_files: Vec<Option<(String, String)>>,
    /// The positions of our init containers.
    ours: Vec<usize>,
}

impl Files {
    /// Whether the container is one of those that fetch secrets for the Pod's own.
    pub(super) fn is_ours(&self, list: &str, index: usize) -> bool {
        list == INIT_CONTAINERS && self.ours.contains(&index)
    }

    /// Returns the positions of our init containers.
    pub(super) fn ours(&self) -> &[usize] {
        &self.ours
    }

    /// The variable, its file filled in.
    pub(super) fn resolve(&self, addition: usize, variable: &EnvVar) -> EnvVar {
        let value = match (&variable.value, self.env_files.get(addition)) {
            (EnvValue::Fetched { key, optional }, Some(Some((volume, path)))) => EnvValue::FileKey {
                volume: volume.clone(),
                path: path.clone(),
                key: key.clone(),
                optional: *optional,
            },
            (other, _) => other.clone(),
        };
        EnvVar {
            name: variable.name.clone(),
            value,
        }
    }
}

/// Adds the files of all additions.
pub(super) fn add(
    pod: &mut Pod<'_>,
    additions: &[Addition<'_>],
    options: &Options,
    room: &mut Room,
    warnings: &mut Vec<String>,
) -> Result<Files, PodError> {
    let templates = additions.iter().any(|addition| {
        let injection = &addition.injection;
        !injection.volumes.is_empty() || !injection.mounts.is_empty() || !injection.init_containers.is_empty()
    });
    if !templates
        && additions
            .iter()
            .all(|addition| addition.injection.file.is_none() && addition.injection.env_file.is_none())
    {
        return Ok(Files::default());
    }
    check_system(pod, additions)?;
    pod.open_volumes()?;
    let (plan, ours) = plan_for(pod, additions, options, room, warnings)?;
    check_order(pod, additions, options, &ours, warnings)?;
    take_out_secrets(pod, &plan, additions, &ours, room, warnings)?;
    let names = plan.add_volumes(pod, &ours, room)?;
    plan.add_mounts(pod, additions, options, &names, &ours, room)?;
    let ours = plan.add_containers(pod, options, &names, ours, room)?;
    let env_files = plan
        .env_files
        .into_iter()
        .map(|file| file.and_then(|(volume, path)| Some((names.get(volume)?.clone(), path))))
        .collect();
    let mut files = Files { env_files, ours };
    template::add(
        pod,
        additions,
        &mut files.ours,
        options.init_containers.stand_first(),
        room,
    )?;
    if let Some(agent) = plan.agent {
        keep_free(pod, &options.mount_path, additions.get(agent))?;
    }
    let agent = (plan.agent, files.ours.as_slice());
    check_hidden(pod, additions, &options.mount_path, agent, room)?;
    Ok(files)
}

/// Makes the plan, and returns with it the positions of the init containers of ours that the Pod has already. They must
/// not count as its own. Those of an earlier injection are taken out of the Pod.
fn plan_for(
    pod: &mut Pod<'_>,
    additions: &[Addition<'_>],
    options: &Options,
    room: &mut Room,
    warnings: &mut Vec<String>,
) -> Result<(Plan, Vec<usize>), PodError> {
    let templates = template::recognised(pod, additions);
    let plan = Plan::new(pod, additions, options, &templates)?;
    if plan.containers.is_empty() {
        return Ok((plan, templates));
    }
    let candidates = plan.recognised(pod);
    if candidates.is_empty() {
        return Ok((plan, templates));
    }
    let ours = [templates.as_slice(), &candidates].concat();
    let plan = Plan::new(pod, additions, options, &ours)?;
    room.compare(candidates.len().saturating_mul(plan.containers.len()))?;
    let running = plan.running(pod, &candidates);
    let taken_out = take_out(
        pod,
        &plan,
        (&candidates, &running),
        (additions, options),
        room,
        warnings,
    )?;
    if !taken_out && running.len() == candidates.len() {
        return Ok((plan, ours));
    }
    let ours = if taken_out {
        template::recognised(pod, additions)
    } else {
        // One of the Pod's own looks like ours and fetches something else.
        [templates, running].concat()
    };
    Ok((Plan::new(pod, additions, options, &ours)?, ours))
}

/// Fails where a container mounts something at `path`, where the agent of `addition` is going to mount a volume. The
/// agent's own volume may be there already.
fn keep_free(pod: &Pod<'_>, path: &str, addition: Option<&Addition<'_>>) -> Result<(), PodError> {
    let in_the_way = |own: &&Node<'_>| {
        own.text("mountPath").map(path::clean).as_deref() == Some(&*path::clean(path)) && !is_of_the_agent(own)
    };
    let served = served(addition);
    let kinds = Kinds::of(pod);
    for list in CONTAINER_LISTS {
        for container in pod.spec_items(list) {
            let name = container.text("name").unwrap_or_default();
            let is_served = list == INIT_CONTAINERS || served.as_ref().is_none_or(|names| has(names, name));
            if !is_served {
                continue;
            }
            if let Some(own) = container.items("volumeMounts").iter().find(in_the_way) {
                return Err(mount_clash(name.to_owned(), own, addition));
            }
            let mounts = with_paths(container.items("volumeMounts"));
            if let Some(parent) = parent_of(&mounts, &path::clean(path)).filter(|own| !kinds.takes_mounts(own, false)) {
                return Err(read_only_parent(name.to_owned(), parent, path, addition));
            }
        }
    }
    Ok(())
}
