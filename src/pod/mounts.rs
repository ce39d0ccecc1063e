//! Mounts.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::document::{Addition, CONTAINER_LISTS, INIT_CONTAINERS, Pod, described, of_default};
use super::error::PodError;
use super::kinds::Kinds;
use super::path;
use super::plan::{Mount, Plan, visible_files};
use super::room::Room;
use super::same::same_mount;
use crate::injection::SecretFile;
use crate::json::Node;
use crate::options::Options;
use serde_json::Value;

/// What a mount takes at least, beside its path and its volume's name.
pub(super) const MOUNT_BYTES: usize = 40;

impl Plan {
    pub(super) fn add_mounts(
        &self,
        pod: &mut Pod<'_>,
        additions: &[Addition<'_>],
        options: &Options,
        names: &[String],
        ours: &[usize],
        room: &mut Room,
    ) -> Result<(), PodError> {
        if self.sets.is_empty() {
            return Ok(());
        }
        let kinds = Kinds::of(pod);
        let mut errors = Vec::new();
        for list in CONTAINER_LISTS {
            if pod.spec_items(list).is_empty() {
                continue;
            }
            for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
                if list == INIT_CONTAINERS && ours.contains(&index) {
                    continue;
                }
                let wanted = visible_files(additions, container.text("name").unwrap_or_default());
                room.compare(self.sets.len())?;
                let Some((_, mounts)) = self.sets.iter().find(|(set, _)| *set == wanted) else {
                    continue;
                };
                let too_early = list == INIT_CONTAINERS && !options.init_containers.stand_first();
                let in_time = |mount: &&Mount| !(too_early && self.is_part_of_memory(mount));
                let mounts: Vec<&Mount> = mounts.iter().filter(in_time).collect();
                if !mounts.is_empty() {
                    let outcome = mount_in(container, &mounts, names, &kinds, additions, room);
                    errors.extend(of_default(outcome, additions)?);
                }
            }
        }
        PodError::all(errors)
    }

    /// Whether the mount is of a part of a memory volume. Where nobody has written that part yet, the kubelet makes a
    /// directory in its place, in which no file of that name can be.
    fn is_part_of_memory(&self, mount: &Mount) -> bool {
        let volume = self.volumes.get(mount.volume);
        mount.sub_path.is_some() && volume.is_some_and(|volume| volume.source.get("emptyDir").is_some())
    }
}

/// Adds those of `mounts` to a container that it has not yet.
fn mount_in(
    container: &mut Node<'_>,
    mounts: &[&Mount],
    names: &[String],
    kinds: &Kinds,
    additions: &[Addition<'_>],
    room: &mut Room,
) -> Result<(), PodError> {
    for mount in mounts {
        room.take(mount.path.len().saturating_add(MOUNT_BYTES))?;
    }
    let container_name = container.text("name").unwrap_or_default().to_owned();
    let container_mounts = container.list_mut("volumeMounts")?;
    room.compare(mounts.len().saturating_mul(container_mounts.len()))?;
    let existing = with_paths(container_mounts);
    let mut added = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let Some(volume) = names.get(mount.volume) else {
            continue;
        };
        match missing(&existing, mount, mounts, volume, kinds) {
            Ok(false) => {}
            Ok(true) => added.push(mount_node(mount, volume)),
            Err(Obstacle::InTheWay(own)) => {
                return Err(mount_clash(container_name, own, additions.get(mount.owner)));
            }
            Err(Obstacle::ReadOnly(own)) => {
                return Err(read_only_parent(
                    container_name,
                    own,
                    &mount.path,
                    additions.get(mount.owner),
                ));
            }
        }
    }
    container_mounts.append(&mut added);
    Ok(())
}

/// One mount for each first part of the paths in the memory volume.
pub(super) fn mount_parts(
    files: &[(usize, &SecretFile<'_>)],
    volume: usize,
    mount_path: &str,
    mounts: &mut Vec<Mount>,
) {
    let mut parts: Vec<&str> = Vec::new();
    for (owner, file) in files {
        let part = file.path.first();
        if !parts.contains(&part) {
            parts.push(part);
            mounts.push(Mount {
                volume,
                path: format!("{mount_path}/{part}"),
                sub_path: Some(part.to_owned()),
                is_file: file.path.as_str() == part,
                owner: *owner,
            });
        }
    }
}

/// Why a secret cannot be mounted: a mount of the container's own.
enum Obstacle<'m, 'a> {
    /// It is at the same path, or, where ours is new, below it. That would hide files, and its directory cannot be made
    /// in a read-only volume.
    InTheWay(&'m Node<'a>),
    /// It is above ours, and the runtime cannot make a directory in it.
    ReadOnly(&'m Node<'a>),
}

/// Whether a container has still to get `mount` of the volume that has the name `volume`. `planned` are all that it gets.
fn missing<'m, 'a>(
    existing: &[PlacedMount<'m, 'a>],
    mount: &Mount,
    planned: &[&Mount],
    volume: &str,
    kinds: &Kinds,
) -> Result<bool, Obstacle<'m, 'a>> {
    let ours = path::clean(&mount.path);
    let (mut there, mut below) = (false, None);
    let mut parent: Option<&PlacedMount<'_, '_>> = None;
    for placed in existing {
        let (path, own) = placed;
        // Most are elsewhere: one look tells.
        let (inner, outer) = if path.len() < ours.len() {
            (&ours, path)
        } else {
            (path, &ours)
        };
        if !inner.starts_with(outer.as_ref()) {
            continue;
        }
        if path::is_below(&ours, path) {
            if parent.is_none_or(|(nearest, _)| nearest.len() < path.len()) {
                parent = Some(placed);
            }
        } else if *path == ours {
            if !same_mount(&own.to_value(), &mount_node(mount, volume).to_value()) {
                return Err(Obstacle::InTheWay(own));
            }
            there = true;
        } else if path::is_below(path, &ours) {
            below = Some(*own);
        }
    }
    let parent = parent.filter(|(path, _)| !planned.iter().any(|mount| path::clean(&mount.path) == *path));
    match (parent, below) {
        (Some((_, own)), _) if !kinds.takes_mounts(own, mount.is_file) => Err(Obstacle::ReadOnly(own)),
        (_, Some(own)) if !there => Err(Obstacle::InTheWay(own)),
        _ => Ok(!there),
    }
}

/// A mount of a container, and its path as the container runtime understands it.
pub(super) type PlacedMount<'m, 'a> = (Cow<'m, str>, &'m Node<'a>);

/// Returns the mount in which the runtime has to make the directory for a mount at the clean path `inner`.
pub(super) fn parent_of<'m, 'a>(existing: &[PlacedMount<'m, 'a>], inner: &str) -> Option<&'m Node<'a>> {
    let above = existing.iter().filter(|(path, _)| path::is_below(inner, path));
    above.max_by_key(|(path, _)| path.len()).map(|(_, mount)| *mount)
}

/// The mounts of a container with their paths as the container runtime understands them.
pub(super) fn with_paths<'m, 'a>(mounts: &'m [Node<'a>]) -> Vec<PlacedMount<'m, 'a>> {
    mounts
        .iter()
        .map(|mount| (path::clean(mount.text("mountPath").unwrap_or_default()), mount))
        .collect()
}

pub(super) fn mount_clash(container: String, own: &Node<'_>, addition: Option<&Addition<'_>>) -> PodError {
    PodError::MountClash {
        container,
        volume: own.text("name").unwrap_or_default().to_owned(),
        path: own.text("mountPath").unwrap_or_default().to_owned(),
        request: addition.map_or_else(String::new, |addition| described(addition.request)),
    }
}

pub(super) fn read_only_parent(
    container: String,
    parent: &Node<'_>,
    path: &str,
    addition: Option<&Addition<'_>>,
) -> PodError {
    PodError::ReadOnlyParent {
        container,
        volume: parent.text("name").unwrap_or_default().to_owned(),
        parent: parent.text("mountPath").unwrap_or_default().to_owned(),
        path: path.to_owned(),
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
