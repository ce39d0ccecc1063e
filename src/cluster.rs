//! Reading Secrets and asking about permissions, through the host.

#![forbid(unsafe_code)]

mod host;
#[cfg(test)]
mod memory;
mod model;
mod questions;

pub use host::HostCluster;
#[cfg(test)]
pub use memory::MemoryCluster;
pub use model::{Cluster, ClusterError, SecretData};
pub use questions::Questions;
