//! Files that an agent writes which somebody else injects: what of the Pod's own would hide them.

use super::at_paths::path_clash;
use super::document::{Pod, name_of};
use super::error::PodError;
use super::kinds::Kinds;
use super::mounts::{mount_clash, parent_of, read_only_parent, with_paths};
use super::path;
use super::plan::Plan;
use super::work::{Budget, Work};
use crate::injection::{Addition, AgentMounts, FileOrigin, SecretFile};
use crate::json::Node;
use crate::sort::{has, sorted_set};
use std::borrow::Cow;
use std::cell::OnceCell;

/// A file that an agent writes.
struct AgentFile<'a> {
    addition: &'a Addition<'a>,
    /// The path of the volume that holds the file.
    volume: String,
    /// The file's own path.
    file: String,
}

/// Returns the containers that an agent serves beside the init containers, all of which it serves; `None` for all.
fn served<'a>(addition: Option<&'a Addition<'_>>) -> Option<Vec<&'a str>> {
    match addition.and_then(|addition| addition.injection.agent.as_ref()) {
        Some(AgentMounts::In(names)) => Some(sorted_set(names.split(','))),
        _ => None,
    }
}

/// Returns whether a mount is of a volume of the Vault Agent injector's own, which may be there where the injector was
/// called before ([container_volume.go](https://github.com/hashicorp/vault-k8s/blob/main/agent-inject/agent/container_volume.go)).
fn is_of_the_agent(mount: &Node<'_>) -> bool {
    name_of(mount).starts_with("vault-secrets")
}

/// Fails where a container mounts something at the settings' `mountPath`, where an agent is going to mount a volume. The
/// agent's own volume may be there already.
pub(super) fn check_mount_path(pod: &Pod<'_>, work: &Work<'_>) -> Result<(), PodError> {
    let Some(agent) = work.agent() else {
        return Ok(());
    };
    let (mount_path, served) = (&work.options.mount_path, served(Some(agent)));
    let kinds = OnceCell::new();
    let clean = path::clean(mount_path);
    for (is_init, container) in pod.containers(&[]) {
        let name = name_of(container);
        if !is_init && served.as_ref().is_some_and(|served| !has(served, name)) {
            continue;
        }
        let mounts = with_paths(container.items("volumeMounts"));
        if let Some((_, own)) = mounts
            .iter()
            .find(|(path, own)| *path == clean && !is_of_the_agent(own))
        {
            return Err(mount_clash(name, own, None, agent));
        }
        let takes_mounts = |own: &Node<'_>| kinds.get_or_init(|| Kinds::of(pod)).takes_mounts(own, false);
        if let Some(parent) = parent_of(&mounts, &clean).filter(|own| !takes_mounts(own)) {
            return Err(read_only_parent(name, parent, mount_path, agent));
        }
    }
    Ok(())
}

/// Fails where a container mounts something between the volume that holds an agent's file and that file, so that the
/// container would not find it. `ours` are the init containers that we have added.
pub(super) fn check_hidden(
    pod: &Pod<'_>,
    plan: &Plan<'_>,
    ours: &[String],
    work: &mut Work<'_>,
) -> Result<(), PodError> {
    let mut files: Vec<AgentFile<'_>> = Vec::new();
    for addition in work.additions {
        files.extend(agent_file(addition, &work.options.mount_path, &mut work.budget)?);
    }
    if files.is_empty() {
        return Ok(());
    }
    let served = served(work.agent());
    for (is_init, container) in pod.containers(ours) {
        let mut mounts = with_paths(container.items("volumeMounts"));
        mounts.retain(|(_, mount)| !is_of_the_agent(mount));
        let name = name_of(container);
        let is_served = is_init || served.as_ref().is_none_or(|served| has(served, name));
        work.budget.compare(mounts.len(), files.len())?;
        for file in &files {
            let is_mounted_by_agent = file.addition.injection.agent.is_some();
            if !file.addition.reaches(name) || is_mounted_by_agent && !is_served {
                continue;
            }
            let is_hidden_by = |path: &str| {
                path::is_below(path, &file.volume) && (path == file.file || path::is_below(&file.file, path))
            };
            if let Some((path, own)) = mounts.iter().find(|(path, _)| is_hidden_by(path)) {
                let mut planned = plan.mounts_of(container, work)?.iter();
                return Err(match planned.find(|planned| path::clean(&planned.path) == *path) {
                    Some(planned) => path_clash(&planned.path, planned.owner, file.addition),
                    None => mount_clash(name, own, None, file.addition),
                });
            }
        }
    }
    Ok(())
}

/// Returns the file that an agent writes for an addition, where it is known which volume holds it: a volume of the agent's
/// own at the settings' `mountPath`, or one that the addition itself mounts.
fn agent_file<'a>(
    addition: &'a Addition<'a>,
    mount_path: &str,
    budget: &mut Budget,
) -> Result<Option<AgentFile<'a>>, PodError> {
    let Some(SecretFile {
        path: relative,
        origin: FileOrigin::Agent { .. },
    }) = &addition.injection.file
    else {
        return Ok(None);
    };
    let file = path::clean(&format!("{mount_path}/{}", relative.as_str())).into_owned();
    let volume = if addition.injection.agent.is_some() {
        Some(path::clean(mount_path))
    } else {
        budget.compare(1, addition.injection.mounts.len())?;
        let mounts = addition.injection.mounts.iter();
        let paths = mounts.filter_map(|mount| Some(path::clean(mount.get("mountPath")?.as_str()?)));
        paths
            .filter(|path| *path == file || path::is_below(&file, path))
            .max_by_key(|path| path.len())
    };
    Ok(volume
        .map(Cow::into_owned)
        .map(|volume| AgentFile { addition, volume, file }))
}
