//! How much may be added and compared.

#![forbid(unsafe_code)]

use super::error::PodError;

/// How much may be added to a Pod, in bytes of JSON. Secrets and containers multiply, so that a small request could make
/// a Pod of hundreds of MiB.
///
/// [etcd takes 1.5 MiB](https://etcd.io/docs/latest/dev-guide/limit/) unless it is told otherwise, and Pods are stored as
/// protobuf, which takes more than a third of their JSON.
const MOST_ADDED: usize = 4 * 1024 * 1024;

/// How often something that is to be added is compared with something that is there: what each is compared with each
/// multiplies too, and the host stops the policy after two seconds.
const MOST_COMPARISONS: usize = 10_000_000;

/// What is left of [`MOST_ADDED`] and [`MOST_COMPARISONS`].
pub(super) struct Room {
    bytes: usize,
    comparisons: usize,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self {
            bytes: MOST_ADDED,
            comparisons: MOST_COMPARISONS,
        }
    }

    pub(super) fn take(&mut self, bytes: usize) -> Result<(), PodError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(PodError::TooLarge)?;
        Ok(())
    }

    pub(super) fn compare(&mut self, times: usize) -> Result<(), PodError> {
        self.comparisons = self.comparisons.checked_sub(times).ok_or(PodError::TooMany)?;
        Ok(())
    }
}
