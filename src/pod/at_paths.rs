//! Files that appear at paths of their own, beside the usual ones.

use super::error::PodError;
use super::path;
use super::plan::{Mount, OwnedFile};
use crate::injection::{Addition, FileOrigin};

/// A volume by its position, and the path in it.
type Place = (usize, String);

/// A file for which the request names a path.
pub(super) struct PlacedFile<'p> {
    file: OwnedFile<'p>,
    /// The volume that holds it, and the path in the volume.
    place: Option<Place>,
}

impl<'p> PlacedFile<'p> {
    pub(super) fn new(file: OwnedFile<'p>) -> Self {
        Self { file, place: None }
    }

    pub(super) fn is_fetched(&self) -> bool {
        matches!(self.file.file.origin, FileOrigin::Fetched(_))
    }

    /// Returns whether the kubelet or a driver fills the volume that is mounted at `directory` with the file.
    pub(super) fn is_in_directory(&self, directory: &str) -> bool {
        let file = self.file.file;
        matches!(file.origin, FileOrigin::Secret { .. } | FileOrigin::Csi { .. })
            && file.volume_directory() == directory
    }

    /// Notes that the file is in `volume`, which is for the files below `directory`.
    pub(super) fn find_in(&mut self, volume: usize, directory: &str) {
        let path = self.file.file.path.as_str();
        let in_volume = path.strip_prefix(directory).unwrap_or(path);
        self.place = Some((volume, in_volume.trim_start_matches('/').to_owned()));
    }
}

/// Adds the mounts of single files. A file that an agent writes is in none of our volumes; its manager mounts it.
///
/// # Errors
/// Where a path is in the way of the usual files, or of another one.
pub(super) fn mount_at_paths<'p>(
    placed: Vec<PlacedFile<'p>>,
    mount_path: &str,
    mounts: &mut Vec<Mount<'p>>,
) -> Result<(), PodError> {
    let usual = path::clean(mount_path);
    let mut known: Vec<(String, Option<Place>, OwnedFile<'p>)> = Vec::new();
    for PlacedFile { file, place } in placed {
        let wanted = file.owner.request.path.as_str();
        let at = path::clean(wanted).into_owned();
        if at == usual || path::is_below(&at, &usual) || path::is_below(&usual, &at) {
            let message = format!(
                "{} names the path {wanted:?}, but at {mount_path:?} the policy mounts secrets itself: choose a path elsewhere",
                file.owner
            );
            return Err(PodError::about(&[file.owner], message));
        }
        let other = known
            .iter()
            .find(|(other, ..)| *other == at || path::is_below(other, &at) || path::is_below(&at, other));
        if let Some((other, there, owned)) = other {
            if *other != at || *there != place || owned.file != file.file {
                return Err(path_clash(wanted, owned.owner, file.owner));
            }
            continue;
        }
        if let Some((volume, part)) = &place {
            mounts.push(Mount {
                volume: *volume,
                path: wanted.to_owned(),
                sub_path: Some(part.clone()),
                is_file: true,
                owner: file.owner,
            });
        }
        known.push((at, place, file));
    }
    Ok(())
}

/// Makes the error for two files at one path.
pub(super) fn path_clash(path: &str, first: &Addition<'_>, second: &Addition<'_>) -> PodError {
    let hint = if first.request.mode == second.request.mode {
        ""
    } else {
        "; ask for both with one mode if it is one file"
    };
    let message = format!("{first} and {second} both need the path {path:?} in one container{hint}");
    PodError::clash(&[first, second], message)
}
