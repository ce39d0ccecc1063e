//! Files that appear at paths of their own, beside the usual ones.

use super::error::PodError;
use super::path;
use super::plan::{Mount, OwnedFile};
use crate::injection::Addition;

/// A volume by its position, and the path in it.
pub(super) type Place = (usize, String);

/// Adds the mounts of files for which the request names a path. A file that an agent writes is in none of our volumes; its
/// manager mounts it.
///
/// # Errors
/// Where a path is in the way of the usual files, or of another one.
pub(super) fn mount_at_paths<'p>(
    placed: impl Iterator<Item = (OwnedFile<'p>, Option<Place>)>,
    mount_path: &str,
    mounts: &mut Vec<Mount<'p>>,
) -> Result<(), PodError> {
    let usual = path::clean(mount_path);
    let mut known: Vec<(String, Option<Place>, OwnedFile<'p>)> = Vec::new();
    for (file, place) in placed {
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
