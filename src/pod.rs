//! Adding injections to a Pod.

#![forbid(unsafe_code)]

mod agents;
mod document;
mod earlier;
mod earlier_secrets;
mod env;
mod error;
mod files;
mod init_containers;
mod kinds;
mod metadata;
mod mounts;
mod order;
mod path;
mod plan;
mod room;
mod same;
mod sets;
mod system;
mod template;
mod volumes;
mod yielding;

pub(crate) use document::{Addition, Pod, SHAPE, STATUS_ANNOTATION};
pub(crate) use error::PodError;

use crate::options::Options;
use crate::order::sort_and_dedup;
use crate::requests::Containers;
use document::CONTAINER_LISTS;
use room::Room;

/// How many pairs of a container and a secret are looked at.
const MOST_PAIRS: usize = 1_000_000;

impl Pod<'_> {
    /// Adds what `additions` say and returns what the Pod's author should know.
    ///
    /// # Errors
    /// [`PodError`]; the Pod may then hold a part of the additions and is of no use.
    pub(crate) fn add(&mut self, additions: &[Addition<'_>], options: &Options) -> Result<Vec<String>, PodError> {
        self.check_targets(additions)?;
        let mut warnings: Vec<String> = additions
            .iter()
            .flat_map(|addition| addition.injection.warnings.iter().cloned())
            .collect();
        let mut room = Room::new();
        let files = files::add(self, additions, options, &mut room, &mut warnings)?;
        self.check_reach(additions, &files)?;
        earlier_secrets::warn_of_left(self, files.ours(), &mut warnings)?;
        env::add(self, additions, &files, &mut room, &mut warnings)?;
        self.add_metadata(additions, &mut room, &mut warnings)?;
        self.add_pull_secrets(additions, &mut room)?;
        sort_and_dedup(&mut warnings);
        Ok(warnings)
    }

    fn check_targets(&self, additions: &[Addition<'_>]) -> Result<(), PodError> {
        let mut existing: Vec<&str> = Vec::new();
        let mut containers = 0_usize;
        for container in CONTAINER_LISTS.iter().flat_map(|list| self.spec_items(list)) {
            containers = containers.saturating_add(1);
            existing.extend(container.text("name"));
        }
        if containers.saturating_mul(additions.len()) > MOST_PAIRS {
            return Err(PodError::TooLarge);
        }
        let mut sorted = existing.clone();
        sort_and_dedup(&mut sorted);
        for addition in additions {
            let Containers::Named(names) = &addition.request.containers else {
                continue;
            };
            if let Some(name) = names.iter().find(|name| sorted.binary_search(&name.as_str()).is_err()) {
                existing.truncate(20);
                return Err(PodError::NoSuchContainer {
                    request: addition.request.origin.to_string(),
                    name: name.clone(),
                    existing: existing.join(", "),
                });
            }
        }
        Ok(())
    }
}
