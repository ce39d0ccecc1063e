//! Defaults, which yield: where the Pod has or asks for the same variable or path, the Pod's stays.

#![forbid(unsafe_code)]

use super::document::{Addition, CONTAINER_LISTS, Pod, default_of, described, is_about, length};
use super::error::PodError;
use super::files::Files;
use crate::options::Options;
use crate::requests::{Containers, Origin};

/// How much may be read again, in bytes, because defaults yield: the host stops the policy after two seconds.
const MOST_READ: usize = 8 * 1024 * 1024;

/// What an addition counts as when the Pod is read again.
const ADDITION_BYTES: usize = 1024;

impl Pod<'_> {
    /// Adds what `additions` say, as [`Self::add`] does. Where a default is in the way of what the Pod has or asks for, it is
    /// taken out of `additions`, or out of a container. Each time, the rest is added anew, so that the Pod holds nothing of
    /// what was left out.
    ///
    /// # Errors
    /// As [`Self::add`]. Where a required default cannot be added, for another reason than that the Pod has its own.
    pub(crate) fn add_yielding(
        &mut self,
        additions: &mut Vec<Addition<'_>>,
        options: &Options,
    ) -> Result<Vec<String>, PodError> {
        let mut warnings = Vec::new();
        let mut read = 0_usize;
        while additions.iter().any(|addition| addition.request.is_default()) {
            let mut trial = self.clone();
            let (errors, is_only) = match trial.add(additions, options) {
                Ok(more) => {
                    *self = trial;
                    warnings.extend(more);
                    return Ok(warnings);
                }
                Err(PodError::Several(errors)) => (errors, false),
                Err(error) => (vec![error], true),
            };
            let additional = additions.len().saturating_mul(ADDITION_BYTES);
            read = read.saturating_add(length(&self.0)).saturating_add(additional);
            if read > MOST_READ {
                return Err(PodError::TooMany);
            }
            for error in errors {
                leave_out(error, is_only, additions, &mut warnings)?;
            }
        }
        warnings.extend(self.add(additions, options)?);
        Ok(warnings)
    }

    /// Fails where a default has yielded in all the containers that it is for. `files` tells which containers are ours.
    pub(super) fn check_reach(&self, additions: &[Addition<'_>], files: &Files) -> Result<(), PodError> {
        for addition in additions.iter().filter(|addition| !addition.without.is_empty()) {
            let is_reached = CONTAINER_LISTS.iter().any(|list| {
                let mut containers = self.spec_items(list).iter().enumerate();
                containers.any(|(index, container)| {
                    !files.is_ours(list, index) && addition.reaches(container.text("name").unwrap_or_default())
                })
            });
            if !is_reached {
                return Err(PodError::NoContainer {
                    request: described(addition.request),
                });
            }
        }
        Ok(())
    }
}

/// Takes the default that `error` is about out of the containers where it is in the way. Where that changes nothing and the
/// error is the only one, the default is taken out of `additions`.
///
/// # Errors
/// `error`, where it is about no default, or about one that is required and finds nothing of the Pod's own.
fn leave_out(
    error: PodError,
    is_only: bool,
    additions: &mut Vec<Addition<'_>>,
    warnings: &mut Vec<String>,
) -> Result<(), PodError> {
    let Some(position) = default_of(&error, additions) else {
        return Err(error);
    };
    let names = match error.container() {
        Some(name) => vec![name.to_owned()],
        None => other_containers(additions, position, &error),
    };
    let Some(addition) = additions.get_mut(position) else {
        return Err(error);
    };
    let is_required = matches!(addition.request.origin, Origin::Default { required: true, .. });
    if is_required && !error.is_clash() {
        return Err(error);
    }
    if !matches!(error, PodError::NoContainer { .. }) {
        let who = match names.as_slice() {
            [] => "the Pod".to_owned(),
            names => format!("the container {}", names.join(", ")),
        };
        warnings.push(format!("{who} goes without a default: {error}"));
    }
    let known = addition.without.len();
    for name in names {
        if !addition.without.contains(&name) {
            addition.without.push(name);
        }
    }
    // An agent, for one, serves the containers that it likes.
    if is_only && addition.without.len() == known {
        additions.remove(position);
    }
    Ok(())
}

/// Returns the containers of the other addition that an error is about; none where it is for all containers.
fn other_containers(additions: &[Addition<'_>], position: usize, error: &PodError) -> Vec<String> {
    let mut others = additions.iter().enumerate();
    let other = others.find(|(index, addition)| *index != position && is_about(error, addition));
    match other.map(|(_, addition)| &addition.request.containers) {
        Some(Containers::Named(names)) => names.clone(),
        _ => Vec::new(),
    }
}
