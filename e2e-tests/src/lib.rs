//! A host for Kubewarden policies that runs inside a test: no cluster, no policy server, no network.
//!
//! It evaluates a policy the way Kubewarden's policy server does, so that a test can run the very module that is
//! shipped:
//!
//! - [`host`] compiles a module once and makes a fresh instance for each evaluation;
//! - [`capabilities`] answers what the policy asks of its host, and refuses what it was not granted;
//! - [`cluster`] is a Kubernetes cluster in a YAML file, with RBAC;
//! - [`session`] records and replays those answers in kwctl's format;
//! - [`review`] goes from a Pod manifest to an `AdmissionReview`, and from the policy's answer to a JSON patch;
//! - [`render`], [`settings`] and [`requests`] are what the `preview` tool is made of;
//! - [`flyte_config`] turns the configuration of Flyte's webhook into the policy's settings;
//! - [`resolver`] says what a container of the admitted Pod finds: its variables, its command and its files;
//! - [`bench`] makes tables of what Criterion measured;
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
pub mod capabilities;
pub mod cluster;
mod console;
pub mod field_mask;
pub mod flyte_config;
pub mod host;
pub mod modules;
pub mod mutated;
pub mod rbac;
pub mod render;
pub mod requests;
pub mod resolver;
pub mod review;
pub mod session;
pub mod settings;
pub mod yaml;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
