//! What is added to one Pod, and how much of it.

use super::error::PodError;
use crate::injection::{Addition, AgentMounts, Injection};
use crate::options::Options;

/// How much may be added to a Pod, in bytes of JSON. Secrets and containers multiply, so that a small request could make
/// a Pod of hundreds of MiB.
///
/// [etcd takes 1.5 MiB](https://etcd.io/docs/latest/dev-guide/limit/) unless it is told otherwise, and Pods are stored as
/// protobuf, which takes more than a third of their JSON.
const MAX_ADDED: usize = 4 * 1024 * 1024;

/// How often something that is to be added is compared with something that is there: what each is compared with each
/// multiplies too, and the host stops the policy after two seconds.
const MAX_COMPARISONS: usize = 10_000_000;

/// What is left of [`MAX_ADDED`] and [`MAX_COMPARISONS`].
pub(super) struct Budget {
    bytes: usize,
    comparisons: usize,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self {
            bytes: MAX_ADDED,
            comparisons: MAX_COMPARISONS,
        }
    }

    /// Spends the bytes that something takes in the Pod.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), PodError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(PodError::too_large)?;
        Ok(())
    }

    /// Spends the comparisons of each of `some` with each of `others`.
    pub(super) fn compare(&mut self, some: usize, others: usize) -> Result<(), PodError> {
        let left = self.comparisons.checked_sub(some.saturating_mul(others));
        self.comparisons = left.ok_or_else(PodError::too_many)?;
        Ok(())
    }
}

/// What is added to one Pod.
pub(super) struct Work<'w> {
    pub(super) additions: &'w [Addition<'w>],
    pub(super) options: &'w Options,
    pub(super) budget: Budget,
    /// What the Pod's author should know.
    pub(super) warnings: Vec<String>,
    /// Where defaults have to yield.
    pub(super) yielding: Vec<PodError>,
    /// Where something is first in the way that an earlier injection may have left, in which a default has yielded.
    pub(super) doubtful: Option<PodError>,
}

impl<'w> Work<'w> {
    pub(super) fn new(additions: &'w [Addition<'w>], options: &'w Options) -> Self {
        let warnings = additions.iter().flat_map(|addition| &addition.injection.warnings);
        Self {
            additions,
            options,
            budget: Budget::new(),
            warnings: warnings.cloned().collect(),
            yielding: Vec::new(),
            doubtful: None,
        }
    }

    /// Notes that a default has to yield, so that further ones can be looked for.
    ///
    /// # Errors
    /// The error, where it is about no default.
    pub(super) fn yield_to(&mut self, error: PodError) -> Result<(), PodError> {
        if !self.defaults().any(|default| error.is_about(default)) {
            return Err(error);
        }
        self.yielding.push(error);
        Ok(())
    }

    /// Notes what is in the way, unless a default yields to something else: without that default, other mounts are planned.
    ///
    /// # Errors
    /// The error, where there are no defaults.
    pub(super) fn doubt(&mut self, error: PodError) -> Result<(), PodError> {
        if self.defaults().next().is_none() {
            return Err(error);
        }
        self.doubtful.get_or_insert(error);
        Ok(())
    }

    fn defaults(&self) -> impl Iterator<Item = &'w Addition<'w>> {
        self.additions.iter().filter(|addition| addition.request.is_default())
    }

    /// Returns the first addition whose agent mounts a volume of its own where files appear.
    pub(super) fn agent(&self) -> Option<&'w Addition<'w>> {
        let is_by_agent = |addition: &&Addition<'_>| {
            let mounts = addition.injection.agent.as_ref();
            mounts.is_some_and(|mounts| *mounts != AgentMounts::Nowhere)
        };
        self.additions.iter().find(is_by_agent)
    }

    /// Returns the positions of the additions whose files the container sees.
    pub(super) fn visible_files(&self, container: &str) -> Vec<usize> {
        let is_visible = |addition: &Addition<'_>| {
            let Injection { file, agent, .. } = &*addition.injection;
            file.is_some() && (addition.reaches(container) || agent.is_some())
        };
        let additions = self.additions.iter().enumerate();
        let visible = additions.filter(|(_, addition)| is_visible(addition));
        visible.map(|(index, _)| index).collect()
    }
}
