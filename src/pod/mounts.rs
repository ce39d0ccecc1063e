//! Mounts.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::document::{Pod, item, name_of, read, text_of};
use super::error::PodError;
use super::kinds::Kinds;
use super::path;
use super::plan::{Mount, Plan};
use super::same::same_mount;
use super::work::{Budget, Work};
use crate::injection::Addition;
use crate::json::{Node, tree};
use serde_json::Value;

/// What a mount takes at least, beside its path and its volume's name.
const MOUNT_BYTES: usize = 40;

/// A mount that a container is to have.
struct NewMount<'m> {
    value: Cow<'m, Value>,
    /// The addition that needs it, for messages.
    owner: &'m Addition<'m>,
    /// Whether it shows a file, not a directory.
    is_file: bool,
    /// Whether something can be mounted below a template's.
    takes_mounts: Option<bool>,
}

impl NewMount<'_> {
    fn path(&self) -> &str {
        text_of(&self.value, "mountPath")
    }

    fn to_node<'a>(&self) -> Node<'a> {
        item(text_of(&self.value, "name"), &self.value)
    }
}

impl<'p> Plan<'p> {
    /// Adds the planned mounts and those of templates to the containers but for the init containers `ours`.
    pub(super) fn add_mounts(&self, pod: &mut Pod<'_>, ours: &[String], work: &mut Work<'p>) -> Result<(), PodError> {
        let mut of_templates = Vec::new();
        let kinds = Kinds::of(pod);
        for owner in work.additions {
            of_templates.extend(owner.injection.mounts.iter().map(|mount| NewMount {
                value: Cow::Borrowed(mount),
                owner,
                is_file: false,
                takes_mounts: Some(kinds.takes_mounts(&item(text_of(mount, "name"), mount), false)),
            }));
        }
        if self.sets.is_empty() && of_templates.is_empty() {
            return Ok(());
        }
        for (is_init, container) in pod.containers_mut(ours) {
            let too_early = is_init && !work.options.init_containers.stand_first();
            let mounts = self.mounts_of(container, work)?.iter();
            let mounts = mounts
                .filter_map(|mount| self.new_mount(mount, too_early))
                .collect::<Vec<_>>();
            if let Err(error) = mount_in(container, &mounts, &kinds, &mut work.budget) {
                work.yield_to(error)?;
            }
            for mount in &of_templates {
                if mount.owner.reaches(name_of(container))
                    && let Err(error) = mount_in(container, std::slice::from_ref(mount), &kinds, &mut work.budget)
                {
                    work.yield_to(error)?;
                }
            }
        }
        Ok(())
    }

    /// Returns a planned mount as a container gets it, unless it is of a part of a memory volume and the container starts
    /// `too_early`. Where nobody has written that part yet, the kubelet makes a directory in its place, in which no file of
    /// that name can be.
    fn new_mount<'m>(&self, mount: &'m Mount<'p>, too_early: bool) -> Option<NewMount<'m>> {
        let volume = self.volumes.get(mount.volume)?;
        if too_early && mount.sub_path.is_some() && volume.is_memory() {
            return None;
        }
        let fields = [
            ("name", volume.name.as_str().into()),
            ("readOnly", true.into()),
            ("mountPath", mount.path.as_str().into()),
        ];
        let sub_path = mount.sub_path.as_deref().map(|part| ("subPath", part.into()));
        Some(NewMount {
            value: Cow::Owned(tree(fields.into_iter().chain(sub_path))),
            owner: mount.owner,
            is_file: mount.is_file,
            takes_mounts: None,
        })
    }
}

/// Adds those of `mounts` to a container that it has not yet.
fn mount_in(
    container: &mut Node<'_>,
    mounts: &[NewMount<'_>],
    kinds: &Kinds,
    budget: &mut Budget,
) -> Result<(), PodError> {
    if mounts.is_empty() {
        return Ok(());
    }
    let name = name_of(container).to_owned();
    let own = container.list_mut("volumeMounts")?;
    // Cleaning the container's paths costs more than to compare them.
    budget.compare(mounts.len().saturating_add(2), own.len())?;
    let existing = with_paths(own);
    let mut added = Vec::with_capacity(mounts.len());
    for mount in mounts {
        budget.spend(mount.path().len().saturating_add(MOUNT_BYTES))?;
        if is_missing(&name, &existing, mount, mounts, (kinds, &mut *budget))? {
            added.push(mount.to_node());
        }
    }
    own.append(&mut added);
    Ok(())
}

/// Returns whether a container has still to get `mount`, one of those `planned` for it.
///
/// # Errors
/// Where a mount of the container's own is in the way: at the same path; below it, where it would hide files, or its directory
/// cannot be made in a read-only volume; or above it, where the runtime cannot make a directory.
fn is_missing(
    container: &str,
    existing: &[PlacedMount<'_, '_>],
    mount: &NewMount<'_>,
    planned: &[NewMount<'_>],
    (kinds, budget): (&Kinds, &mut Budget),
) -> Result<bool, PodError> {
    let ours = path::clean(mount.path());
    let (mut is_there, mut below) = (false, None);
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
            if !same_mount(&read(own, budget)?, &mount.value) {
                let place = mount.takes_mounts.map(|_| mount.path());
                return Err(mount_clash(container, own, place, mount.owner));
            }
            is_there = true;
        } else if path::is_below(path, &ours) {
            below = Some(*own);
        }
    }
    let parent = parent.filter(|(path, _)| !planned.iter().any(|mount| path::clean(mount.path()) == *path));
    if let Some((_, own)) = parent.filter(|(_, own)| !kinds.takes_mounts(own, mount.is_file)) {
        return Err(read_only_parent(container, own, mount.path(), mount.owner));
    }
    match below {
        Some(own) if !mount.takes_mounts.unwrap_or(is_there) => Err(mount_clash(container, own, None, mount.owner)),
        _ => Ok(!is_there),
    }
}

/// A mount of a container, and its path as the container runtime understands it.
pub(super) type PlacedMount<'m, 'a> = (Cow<'m, str>, &'m Node<'a>);

/// Returns the mount in which the runtime has to make the directory for a mount at the clean path `inner`.
pub(super) fn parent_of<'m, 'a>(existing: &[PlacedMount<'m, 'a>], inner: &str) -> Option<&'m Node<'a>> {
    let above = existing.iter().filter(|(path, _)| path::is_below(inner, path));
    above.max_by_key(|(path, _)| path.len()).map(|(_, mount)| *mount)
}

/// Returns the mounts of a container with their clean paths.
pub(super) fn with_paths<'m, 'a>(mounts: &'m [Node<'a>]) -> Vec<PlacedMount<'m, 'a>> {
    mounts.iter().map(|mount| (path_of(mount), mount)).collect()
}

/// Returns the path of a mount as the container runtime understands it.
pub(super) fn path_of<'m>(mount: &'m Node<'_>) -> Cow<'m, str> {
    path::clean(mount.text("mountPath").unwrap_or_default())
}

/// Makes the error for a mount of the container's own where a secret has to be mounted. `path` is how the settings write the
/// place of a template's mount.
pub(super) fn mount_clash(container: &str, own: &Node<'_>, path: Option<&str>, addition: &Addition<'_>) -> PodError {
    let path = path.or_else(|| own.text("mountPath")).unwrap_or_default();
    let volume = name_of(own);
    let message = format!(
        "the container {container:?} mounts its volume {volume:?} at {path:?}, where {addition} has to appear; mount that \
         volume elsewhere, or take the mount out if it is left of an earlier injection"
    );
    PodError::clash(&[addition], message).in_container(container)
}

/// Makes the error for a secret below a mount in which the container runtime cannot make a directory.
pub(super) fn read_only_parent(container: &str, parent: &Node<'_>, path: &str, addition: &Addition<'_>) -> PodError {
    let (volume, place) = (name_of(parent), parent.text("mountPath").unwrap_or_default());
    let message = format!(
        "{addition} has to appear at {path:?} in the container {container:?}, below {place:?}, where the volume {volume:?} is \
         mounted: that is read-only, so that the container runtime cannot make a directory in it; mount that volume elsewhere"
    );
    PodError::clash(&[addition], message).in_container(container)
}
