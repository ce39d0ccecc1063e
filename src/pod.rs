//! Adding injections to a Pod.

mod agents;
mod at_paths;
mod document;
mod earlier;
mod earlier_secrets;
mod env;
mod error;
mod files;
mod init_containers;
mod kinds;
mod metadata;
mod modes;
mod mounts;
mod order;
mod our_names;
mod path;
mod plan;
mod same;
mod sets;
mod system;
mod volumes;
mod work;
mod yielding;

pub(crate) use document::{Pod, SHAPE, STATUS_ANNOTATION, length};
pub(crate) use error::PodError;
pub(crate) use modes::WAYS_TO_READ;

use crate::injection::Addition;
use crate::requests::Containers;
use crate::sort::{has, sort_and_dedup, sorted_set};
use document::name_of;
use work::Work;

/// How many pairs of a container and a secret are looked at.
const MAX_PAIRS: usize = 1_000_000;

impl Pod<'_> {
    /// Adds what `work` says. Where defaults have to yield, the Pod is of no use.
    fn add_all(&mut self, work: &mut Work<'_>) -> Result<(), PodError> {
        self.check_targets(work.additions)?;
        let files = files::add(self, work)?;
        if !work.yielding.is_empty() {
            return Ok(());
        }
        earlier_secrets::warn_of_left(self, &files.ours, &mut work.warnings)?;
        env::add(self, &files, work)?;
        self.add_metadata(work)?;
        self.add_pull_secrets(work)?;
        sort_and_dedup(&mut work.warnings);
        Ok(())
    }

    fn check_targets(&self, additions: &[Addition<'_>]) -> Result<(), PodError> {
        let names: Vec<&str> = self.containers(&[]).map(|(_, container)| name_of(container)).collect();
        if names.len().saturating_mul(additions.len()) > MAX_PAIRS {
            return Err(PodError::too_large());
        }
        let sorted = sorted_set(names.iter().copied());
        for addition in additions {
            let Containers::Named(wanted) = &addition.request.containers else {
                continue;
            };
            if let Some(name) = wanted.iter().find(|name| !has(&sorted, name)) {
                let origin = &addition.request.origin;
                let existing = names.get(..20).unwrap_or(&names).join(", ");
                return Err(format!(
                    "{origin} names the container {name:?}, which the Pod does not have; it has {existing}"
                )
                .into());
            }
        }
        Ok(())
    }
}
