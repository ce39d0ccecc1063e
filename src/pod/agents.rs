//! Files that an agent writes which somebody else injects: what of the Pod's own would hide them.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::document::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod};
use super::error::PodError;
use super::mounts::{mount_clash, with_paths};
use super::path;
use super::room::Room;
use crate::injection::{AgentMounts, FileOrigin, SecretFile};
use crate::json::Node;

/// A file that an agent writes.
struct AgentFile<'a> {
    addition: &'a Addition<'a>,
    /// The path of the volume that holds the file.
    volume: String,
    /// The file's own path.
    file: String,
    /// Whether the agent mounts its volume in the containers that it serves.
    is_mounted_by_agent: bool,
}

/// Returns the containers that an agent serves beside the init containers, all of which it serves; `None` for all.
pub(super) fn served<'a>(addition: Option<&'a Addition<'_>>) -> Option<BTreeSet<&'a str>> {
    match addition.and_then(|addition| addition.injection.file.as_ref()) {
        Some(SecretFile {
            origin: FileOrigin::Agent {
                mounts: AgentMounts::In(names),
                ..
            },
            ..
        }) => Some(names.split(',').collect()),
        _ => None,
    }
}

/// Returns whether a mount is of a volume of the Vault Agent injector's own, which may be there where the injector was
/// called before ([container_volume.go](https://github.com/hashicorp/vault-k8s/blob/main/agent-inject/agent/container_volume.go)).
pub(super) fn is_of_the_agent(mount: &Node<'_>) -> bool {
    mount.text("name").is_some_and(|name| name.starts_with("vault-secrets"))
}

/// Fails where a container mounts something between the volume that holds an agent's file and that file, so that the
/// container would not find it. `agent` is the position of an addition whose agent mounts a volume of its own, `ours` holds
/// those of the init containers that we have added.
pub(super) fn check_hidden(
    pod: &Pod<'_>,
    additions: &[Addition<'_>],
    mount_path: &str,
    (agent, ours): (Option<usize>, &[usize]),
    room: &mut Room,
) -> Result<(), PodError> {
    let mut files: Vec<AgentFile<'_>> = Vec::new();
    for addition in additions {
        files.extend(agent_file(addition, mount_path, room)?);
    }
    if files.is_empty() {
        return Ok(());
    }
    let served = served(agent.and_then(|agent| additions.get(agent)));
    for list in CONTAINER_LISTS {
        let is_init = list == INIT_CONTAINERS;
        for (index, container) in pod.spec_items(list).iter().enumerate() {
            let mut mounts = with_paths(container.items("volumeMounts"));
            mounts.retain(|(_, mount)| !is_of_the_agent(mount));
            if mounts.is_empty() || is_init && ours.contains(&index) {
                continue;
            }
            let name = container.text("name").unwrap_or_default();
            let is_served = is_init || served.as_ref().is_none_or(|served| served.contains(name));
            room.compare(mounts.len().saturating_mul(files.len()))?;
            for file in &files {
                if !file.addition.reaches(name) || file.is_mounted_by_agent && !is_served {
                    continue;
                }
                if let Some((_, own)) = mounts.iter().find(|(path, _)| file.is_hidden_by(path)) {
                    return Err(mount_clash(name.to_owned(), own, Some(file.addition)));
                }
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
    room: &mut Room,
) -> Result<Option<AgentFile<'a>>, PodError> {
    let Some(SecretFile {
        path: relative,
        origin: FileOrigin::Agent { mounts, .. },
    }) = &addition.injection.file
    else {
        return Ok(None);
    };
    let file = path::clean(&format!("{mount_path}/{}", relative.as_str())).into_owned();
    let is_mounted_by_agent = *mounts != AgentMounts::Nowhere;
    let volume = if is_mounted_by_agent {
        Some(path::clean(mount_path))
    } else {
        room.compare(addition.injection.mounts.len())?;
        let mounts = addition.injection.mounts.iter();
        let paths = mounts.filter_map(|mount| Some(path::clean(mount.get("mountPath")?.as_str()?)));
        paths
            .filter(|path| *path == file || path::is_below(&file, path))
            .max_by_key(|path| path.len())
    };
    Ok(volume.map(Cow::into_owned).map(|volume| AgentFile {
        addition,
        volume,
        file,
        is_mounted_by_agent,
    }))
}

impl AgentFile<'_> {
    fn is_hidden_by(&self, path: &str) -> bool {
        path::is_below(path, &self.volume) && (path == self.file || path::is_below(&self.file, path))
    }
}
