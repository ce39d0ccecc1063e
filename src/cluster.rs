//! Reading Secrets and asking about permissions, through the host.

#[cfg(feature = "host")]
mod host;
#[cfg(any(test, feature = "memory-cluster"))]
mod memory;
mod model;
mod questions;

#[cfg(feature = "host")]
pub use host::HostCluster;
#[cfg(any(test, feature = "memory-cluster"))]
pub use memory::MemoryCluster;
pub(crate) use model::subject;
pub use model::{Cluster, ClusterError, SecretData};
pub use questions::Questions;
