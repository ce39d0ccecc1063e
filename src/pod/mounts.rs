//! Mounts.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::plan::{Plan, visible_files};
use super::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, MOUNT_BYTES, Pod, PodError, Room, described};
use crate::injection::SecretFile;
use crate::json::Node;
use crate::settings::Settings;
use serde_json::Value;

/// A mount that a container gets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) volume: usize,
    pub(super) path: String,
    pub(super) sub_path: Option<String>,
    /// The addition that needs it, for messages.
    pub(super) owner: usize,
}

impl Plan {
    pub(super) fn add_mounts(
        &self,
        pod: &mut Pod<'_>,
        additions: &[Addition<'_>],
        settings: &Settings,
        names: &[String],
        ours: &[usize],
        room: &mut Room,
    ) -> Result<(), PodError> {
        for list in CONTAINER_LISTS {
            if pod.spec_items(list).is_empty() {
                continue;
            }
            for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
                if list == INIT_CONTAINERS && ours.contains(&index) {
                    continue;
                }
                let container_name = container.text("name").unwrap_or_default().to_owned();
                let wanted = visible_files(additions, &container_name);
                room.compare(self.sets.len())?;
                let Some((_, mounts)) = self.sets.iter().find(|(set, _)| *set == wanted) else {
                    continue;
                };
                let too_early = list == INIT_CONTAINERS && !settings.init_containers.stand_first();
                let in_time = |mount: &&Mount| !(too_early && self.is_part_of_memory(mount));
                let mounts: Vec<&Mount> = mounts.iter().filter(in_time).collect();
                if mounts.is_empty() {
                    continue;
                }
                for mount in &mounts {
                    room.take(mount.path.len().saturating_add(MOUNT_BYTES))?;
                }
                let container_mounts = container.list_mut("volumeMounts")?;
                room.compare(mounts.len().saturating_mul(container_mounts.len()))?;
                let mut added = Vec::with_capacity(mounts.len());
                for mount in mounts {
                    let Some(volume) = names.get(mount.volume) else {
                        continue;
                    };
                    match missing(container_mounts, mount, volume) {
                        Ok(false) => {}
                        Ok(true) => added.push(mount_node(mount, volume)),
                        Err(own) => return Err(mount_clash(container_name, own, additions.get(mount.owner))),
                    }
                }
                container_mounts.append(&mut added);
            }
        }
        Ok(())
    }

    /// Whether the mount is of a part of a memory volume. Where nobody has written that part yet, the kubelet makes a
    /// directory in its place, in which no file of that name can be.
    fn is_part_of_memory(&self, mount: &Mount) -> bool {
        let volume = self.volumes.get(mount.volume);
        mount.sub_path.is_some() && volume.is_some_and(|volume| volume.source.get("emptyDir").is_some())
    }
}

/// One mount for each first part of the paths in the memory volume.
pub(super) fn mount_parts(files: &[(usize, &SecretFile)], volume: usize, mount_path: &str, mounts: &mut Vec<Mount>) {
    let mut parts: Vec<&str> = Vec::new();
    for (owner, file) in files {
        let part = file.path.first();
        if !parts.contains(&part) {
            parts.push(part);
            mounts.push(Mount {
                volume,
                path: format!("{mount_path}/{part}"),
                sub_path: Some(part.to_owned()),
                owner: *owner,
            });
        }
    }
}

/// Whether a container has still to get `mount`.
///
/// # Errors
/// The mount of its own that is in the way: at the same path, or, where ours is new, below it. That would hide files,
/// and its directory cannot be made in a read-only volume.
fn missing<'m, 'a>(existing: &'m [Node<'a>], mount: &Mount, volume: &str) -> Result<bool, &'m Node<'a>> {
    let (mut there, mut below) = (false, None);
    for own in existing {
        let path = own.text("mountPath").unwrap_or_default().trim_end_matches('/');
        let Some(rest) = path.strip_prefix(&mount.path) else {
            continue;
        };
        if rest.starts_with('/') {
            below = Some(own);
        } else if rest.is_empty() {
            let sub_path = own.get("subPath").map(Node::to_value);
            let same = own.text("name") == Some(volume)
                && sub_path.as_ref().and_then(Value::as_str) == mount.sub_path.as_deref()
                && own.get("subPathExpr").is_none();
            if !same {
                return Err(own);
            }
            there = true;
        }
    }
    match below {
        Some(own) if !there => Err(own),
        _ => Ok(!there),
    }
}

pub(super) fn mount_clash(container: String, own: &Node<'_>, addition: Option<&Addition<'_>>) -> PodError {
    PodError::MountClash {
        container,
        volume: own.text("name").unwrap_or_default().to_owned(),
        path: own.text("mountPath").unwrap_or_default().to_owned(),
        request: addition.map_or_else(String::new, |addition| described(addition.request)),
    }
}

fn mount_node<'a>(mount: &Mount, volume: &str) -> Node<'a> {
    let mut fields = vec![
        (Cow::Borrowed("name"), Node::Text(Cow::Owned(volume.to_owned()))),
        (Cow::Borrowed("readOnly"), Node::made(&Value::Bool(true))),
        (Cow::Borrowed("mountPath"), Node::Text(Cow::Owned(mount.path.clone()))),
    ];
    if let Some(sub_path) = &mount.sub_path {
        fields.push((Cow::Borrowed("subPath"), Node::Text(Cow::Owned(sub_path.clone()))));
    }
    Node::Object(fields)
}
