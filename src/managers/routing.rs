//! What the setting `match` of a manager cannot do.

#![forbid(unsafe_code)]

use crate::managers::manager::Manager;
use crate::names::Glob;
use crate::requests::{Origin, SecretRequest};

/// Returns what is wrong with the patterns of `match.groups` for `manager`, if anything.
///
/// A manager that finds a secret by the key alone gives a Pod every secret, whichever of the groups the Pod writes. The
/// patterns would look like a gate and be none, so that only those are taken that fit a request without a group.
pub(super) fn problem(manager: &dyn Manager, groups: &[Glob]) -> Option<&'static str> {
    let origin = Origin::Flyte { key: String::new() };
    let sample = SecretRequest {
        group: "group".to_owned(),
        key: "key".to_owned(),
        ..SecretRequest::new(origin)
    };
    let (group, key) = manager.selects(&sample);
    let misleads = group.is_empty() && !key.is_empty() && !groups.iter().all(|glob| glob.fits(""));
    misleads.then_some(
        "would keep no secret from a Pod: this manager finds secrets by the key alone, and a Pod can write every group. \
         Write [\"\"] for requests without a group, leave it out, or say with the setting access who may ask for which \
         key",
    )
}
