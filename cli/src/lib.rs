//! What the tool `secret-injector` is made of: it shows operators what the policy does, without a cluster.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admission_policy;
pub mod advice;
pub mod capabilities;
pub mod cel;
pub mod cluster;
pub mod command;
pub mod evaluation;
pub mod failure;
pub mod field_mask;
pub mod flyte_config;
pub mod flyte_pod;
mod grants;
mod host_request;
pub mod input;
#[cfg(feature = "kube")]
pub mod kube;
#[cfg(not(feature = "kube"))]
#[path = "no_kube.rs"]
pub mod kube;
pub mod mask;
pub mod module;
pub mod policy_server;
pub mod protocol;
pub mod rbac;
pub mod render;
pub mod requests;
mod response;
pub mod review;
mod secret;
pub mod selector;
pub mod session;
pub mod settings;
pub mod settings_source;
pub mod source;
pub mod wasm;
pub mod workload;
pub mod yaml;
