//! A host for Kubewarden policies that runs inside a test: no cluster, no policy server, no network.
//!
//! It evaluates a policy the way Kubewarden's policy server does, so that a test can run the very module that is
//! shipped:
//!
//! - [`host`] compiles a module once and makes a fresh instance for each evaluation;
//! - [`capabilities`], [`cluster`], [`session`] and [`review`] are the tool's, from the crate `secret-injector-cli`: what a policy
//!   asks of its host, a cluster in a YAML file, recorded answers, requests and responses;
//! - [`resolver`] says what a container of the admitted Pod finds: its variables, its command and its files;
//! - [`bench`] makes tables of what Criterion measured;
//! - [`cases`] reads the cases of the policy;
//! - [`process`] runs other programs;
//! - [`worst`] notes what the worst inputs of a test cost;
//! - [`modules`] says where the modules under test are, and builds the baselines.
//!
//! ```no_run
//! use e2e_tests::{capabilities::{Grants, Host}, cluster::Cluster, host::PolicyModule, review::Review};
//!
//! # fn main() -> anyhow::Result<()> {
//! let policy = PolicyModule::from_file("policy.wasm")?;
//! let host = Host::new(Cluster::from_file("cluster.yaml")?, Grants::from_metadata_file("metadata.yml")?);
//! let review = Review::from_file("pod.yaml")?;
//! let evaluation = policy.validate(&host, &review.request, &serde_json::json!({}));
//! assert!(evaluation.response.allowed);
//! println!("{:?} after {} host calls", evaluation.response.json_patch(), evaluation.calls.len());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod bench;
pub mod cases;
mod console;
pub mod host;
pub mod modules;
pub mod mutated;
pub mod process;
pub mod resolver;
pub mod worst;

pub use secret_injector_cli::{
    capabilities, cluster, evaluation, field_mask, flyte_config, protocol, rbac, render, requests, review, session,
    settings, wasm, yaml,
};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
