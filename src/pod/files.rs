//! Files: the volumes that hold them, their mounts, and the init containers that fetch them.
//!
//! A container finds the files of those requests that reach it and no others. Containers with the same files share
//! volumes; as a rule that is all of them, and there is one memory volume for what is fetched and one volume for each
//! group of a Kubernetes Secret.

use super::agents::{check_hidden, check_mount_path};
use super::document::Pod;
use super::earlier::take_out;
use super::earlier_secrets::take_out_secrets;
use super::error::PodError;
use super::init_containers::{recognized_templates, running};
use super::modes::check_modes;
use super::order::check_order;
use super::plan::Plan;
use super::system::check_system;
use super::work::Work;
use crate::injection::Addition;
use crate::sort::sorted_set;

/// What [`super::env`] needs to know of the files.
#[derive(Default)]
pub(super) struct Files {
    /// By additions, of those whose value comes through a file of variables: the volume, and the path in it.
    env_files: Vec<Option<(String, String)>>,
    /// The names of our init containers, sorted.
    pub(super) ours: Vec<String>,
}

impl Files {
    /// Returns the volume with the file of variables of an addition, and the path in it.
    pub(super) fn env_file(&self, addition: usize) -> Option<&(String, String)> {
        self.env_files.get(addition)?.as_ref()
    }
}

/// Adds the files of all additions, and what templates ask for.
pub(super) fn add(pod: &mut Pod<'_>, work: &mut Work<'_>) -> Result<Files, PodError> {
    let needs_nothing = |addition: &Addition<'_>| {
        let injection = &addition.injection;
        let has_file = injection.file.is_some() || injection.env_file.is_some() || injection.agent.is_some();
        let lists = [&injection.volumes, &injection.mounts, &injection.init_containers];
        !has_file && lists.iter().all(|list| list.is_empty())
    };
    if work.additions.iter().all(needs_nothing) {
        return Ok(Files::default());
    }
    check_system(pod, work.additions)?;
    pod.open_volumes()?;
    let (mut plan, mut ours) = plan_for(pod, work)?;
    check_order(pod, &ours, work)?;
    check_modes(pod, &ours, work)?;
    take_out_secrets(pod, &plan, &ours, work)?;
    plan.add_volumes(pod, &ours, work)?;
    plan.add_mounts(pod, &ours, work)?;
    plan.add_init_containers(pod, &mut ours, work)?;
    check_mount_path(pod, work)?;
    check_hidden(pod, &plan, &ours, work)?;
    let volumes = plan.volumes;
    let named = |(volume, path): (usize, String)| Some((volumes.get(volume)?.name.clone(), path));
    let env_files = plan.env_files.into_iter().map(|file| file.and_then(named));
    Ok(Files {
        env_files: env_files.collect(),
        ours,
    })
}

/// Makes the plan, and returns with it the names of the init containers of ours that the Pod has already. They must
/// not count as its own. Those of an earlier injection are taken out of the Pod.
fn plan_for<'w>(pod: &mut Pod<'_>, work: &mut Work<'w>) -> Result<(Plan<'w>, Vec<String>), PodError> {
    let templates = recognized_templates(pod, work.additions);
    let plan = Plan::new(pod, work, &templates)?;
    let candidates = plan.recognized(pod);
    if candidates.is_empty() {
        return Ok((plan, templates));
    }
    let ours = sorted_set(templates.iter().chain(candidates.keys()).cloned());
    let plan = Plan::new(pod, work, &ours)?;
    work.budget.compare(candidates.len(), plan.containers.len())?;
    let specs = plan.specs();
    let running = running(&candidates, &specs);
    let taken_out = take_out(pod, (&plan, &specs), (&candidates, &running), work)?;
    if !taken_out && running.len() == candidates.len() {
        return Ok((plan, ours));
    }
    let ours = if taken_out {
        recognized_templates(pod, work.additions)
    } else {
        // One of the Pod's own looks like ours and fetches something else.
        sorted_set(templates.into_iter().chain(running))
    };
    Ok((Plan::new(pod, work, &ours)?, ours))
}
