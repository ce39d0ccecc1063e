//! Mounts.

use std::borrow::Cow;

use super::document::{Pod, item, name_of, read, text};
use super::error::PodError;
use super::kinds::Kinds;
use super::path;
use super::plan::{Mount, Plan};
use super::same::same_mount;
use super::work::{Budget, Work};
use crate::injection::Addition;
use crate::json::{Node, text_in};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a mount takes at least, beside its path and its volume's name.
const MOUNT_BYTES: usize = 40;

/// A mount that a container is to have.
struct NewMount<'m> {
    shows: Shows<'m>,
    /// Its path as the container runtime understands it.
    clean_path: String,
    /// The addition that needs it, for messages.
    owner: &'m Addition<'m>,
    /// Whether it shows a file, not a directory.
    is_file: bool,
    /// Whether something can be mounted below a template's.
    takes_mounts: Option<bool>,
}

/// What a mount shows.
#[derive(Clone, Copy)]
enum Shows<'m> {
    /// A planned mount's volume, which has this name.
    Planned(&'m str, &'m Mount<'m>),
    /// What a template says.
    Template(&'m Value),
}

impl<'m> NewMount<'m> {
    fn new(shows: Shows<'m>, owner: &'m Addition<'m>, is_file: bool, takes_mounts: Option<bool>) -> Self {
        Self {
            clean_path: path::clean(shows.path()).into_owned(),
            shows,
            owner,
            is_file,
            takes_mounts,
        }
    }
}

impl<'m> Shows<'m> {
    fn path(self) -> &'m str {
        match self {
            Self::Planned(_, mount) => &mount.path,
            Self::Template(mount) => text_in(mount, "mountPath"),
        }
    }

    fn to_node<'a>(self) -> Node<'a> {
        let (volume, mount) = match self {
            Self::Planned(volume, mount) => (volume, mount),
            Self::Template(mount) => return item(text_in(mount, "name"), mount),
        };
        let sub_path = mount.sub_path.as_deref().map(|part| ("subPath", text(part)));
        let fields = [
            ("name", text(volume)),
            ("mountPath", text(&mount.path)),
            ("readOnly", Node::Closed(RawValue::TRUE)),
        ];
        let fields = fields.into_iter().chain(sub_path);
        Node::Object(fields.map(|(name, value)| (name.into(), value)).collect())
    }
}

impl<'p> Plan<'p> {
    /// Adds the planned mounts and those of templates to the containers but for the init containers `ours`.
    pub(super) fn add_mounts(&self, pod: &mut Pod<'_>, ours: &[String], work: &mut Work<'p>) -> Result<(), PodError> {
        let mut injections = work.additions.iter().map(|addition| &addition.injection);
        if self.sets.iter().all(|(_, mounts)| mounts.is_empty())
            && injections.all(|injection| injection.mounts.is_empty())
        {
            return Ok(());
        }
        let mut of_templates = Vec::new();
        let kinds = Kinds::of(pod);
        for owner in work.additions {
            of_templates.extend(owner.injection.mounts.iter().map(|mount| {
                let takes_mounts = kinds.takes_mounts(&item(text_in(mount, "name"), mount), false);
                NewMount::new(Shows::Template(mount), owner, false, Some(takes_mounts))
            }));
        }
        for ((is_init, container), planned) in pod.containers_mut(ours).zip(self.mounts()) {
            let too_early = is_init && !work.options.init_containers_first;
            let planned = planned.iter().filter_map(|mount| self.new_mount(mount, too_early));
            let planned: Vec<NewMount<'_>> = planned.collect();
            let mut groups = vec![planned.as_slice()];
            for mount in &of_templates {
                if mount.owner.reaches(name_of(container)) {
                    groups.push(std::slice::from_ref(mount));
                }
            }
            groups.retain(|group| !group.is_empty());
            mount_in(container, &groups, (self, &kinds), work)?;
        }
        Ok(())
    }

    /// Returns a planned mount as a container gets it, unless it is of a part of a memory volume and the container starts
    /// `too_early`. Where nobody has written that part yet, the kubelet makes a directory in its place, in which no file of
    /// that name can be.
    fn new_mount<'m>(&'m self, mount: &'m Mount<'p>, too_early: bool) -> Option<NewMount<'m>> {
        let volume = self.volumes.get(mount.volume)?;
        if too_early && mount.sub_path.is_some() && volume.is_memory() {
            return None;
        }
        let shows = Shows::Planned(&volume.name, mount);
        Some(NewMount::new(shows, mount.owner, mount.is_file, None))
    }
}

/// Adds those mounts to a container that it has not yet, a group after the other.
fn mount_in(
    container: &mut Node<'_>,
    groups: &[&[NewMount<'_>]],
    (plan, kinds): (&Plan<'_>, &Kinds),
    work: &mut Work<'_>,
) -> Result<(), PodError> {
    if groups.is_empty() {
        return Ok(());
    }
    let name = name_of(container).to_owned();
    let own = container.list_mut("volumeMounts")?;
    // A template may have a mount for each of a thousand secrets: the paths are cleaned once.
    let mut paths: Vec<String> = own.iter().map(|mount| path_of(mount).into_owned()).collect();
    for group in groups {
        work.budget.compare(group.len().saturating_add(2), own.len())?;
        let existing = paths.iter().map(|path| Cow::Borrowed(path.as_str())).zip(&*own);
        let existing: Vec<_> = existing.collect();
        let mut missing = Vec::with_capacity(group.len());
        for mount in *group {
            work.budget
                .spend(mount.shows.path().len().saturating_add(MOUNT_BYTES))?;
            match is_missing(&name, &existing, mount, group, (kinds, &mut work.budget)) {
                Ok(is_missing) => missing.extend(is_missing.then_some(mount)),
                // What an earlier injection has left may fit without a default that yields to something else.
                Err(error) if error.volume.as_deref().is_some_and(|name| plan.is_named(name)) => work.doubt(error)?,
                Err(error) => {
                    work.yield_to(error)?;
                    missing.clear();
                    break;
                }
            }
        }
        for mount in missing {
            paths.push(mount.clean_path.clone());
            own.push(mount.shows.to_node());
        }
    }
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
    let ours = &mount.clean_path;
    let (mut is_there, mut below) = (false, None);
    let mut parent: Option<&PlacedMount<'_, '_>> = None;
    for placed in existing {
        let (path, own) = placed;
        // Most are elsewhere: one look tells.
        let (inner, outer): (&str, &str) = if path.len() < ours.len() {
            (ours, path)
        } else {
            (path, ours)
        };
        if !inner.starts_with(outer) {
            continue;
        }
        if path::is_below(ours, path) {
            if parent.is_none_or(|(nearest, _)| nearest.len() < path.len()) {
                parent = Some(placed);
            }
        } else if path == ours {
            if !same_mount(&read(own, budget)?, &mount.shows.to_node().to_value()) {
                let place = mount.takes_mounts.map(|_| mount.shows.path());
                return Err(mount_clash(container, own, place, mount.owner));
            }
            is_there = true;
        } else if path::is_below(path, ours) {
            below = Some(*own);
        }
    }
    let parent = parent.filter(|(path, _)| !planned.iter().any(|mount| mount.clean_path == *path));
    if let Some((_, own)) = parent.filter(|(_, own)| !kinds.takes_mounts(own, mount.is_file)) {
        return Err(read_only_parent(container, own, mount.shows.path(), mount.owner));
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
    in_the_way(container, volume, addition, message)
}

/// Makes the error for a secret below a mount in which the container runtime cannot make a directory.
pub(super) fn read_only_parent(container: &str, parent: &Node<'_>, path: &str, addition: &Addition<'_>) -> PodError {
    let (volume, place) = (name_of(parent), parent.text("mountPath").unwrap_or_default());
    let message = format!(
        "{addition} has to appear at {path:?} in the container {container:?}, below {place:?}, where the volume {volume:?} is \
         mounted: that is read-only, so that the container runtime cannot make a directory in it; mount that volume elsewhere"
    );
    in_the_way(container, volume, addition, message)
}

/// Makes the error for a mount of `volume` that is in the way.
fn in_the_way(container: &str, volume: &str, addition: &Addition<'_>, message: String) -> PodError {
    PodError {
        container: Some(container.to_owned()),
        volume: Some(volume.to_owned()),
        ..PodError::clash(&[addition], message)
    }
}
