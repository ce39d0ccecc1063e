//! A cluster in memory for the policy's own code, without a host. It is the one of the policy's unit tests.
#![forbid(unsafe_code)]

#[path = "../../src/cluster/memory.rs"]
mod memory;

pub use memory::MemoryCluster;
use secret_injector_policy::cluster::{Cluster, ClusterError, SecretData};
