//! A [Kubewarden](https://www.kubewarden.io/) policy that injects secrets into Pods.
//!
//! The host evaluates it for each Pod that is created. It finds the secrets that the Pod asks for, lets the secret
//! managers of its settings serve them, and returns the Pod with what they need.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod access;
pub mod admission;
pub mod cluster;
mod defaults;
mod digest;
mod injection;
mod json;
mod managers;
pub mod names;
mod options;
mod patterns;
mod pod;
mod pull_secrets;
mod quantity;
pub mod requests;
mod schema;
mod settings;
mod sort;

#[cfg(feature = "host")]
use kubewarden_policy_sdk::{protocol_version_guest, settings::SettingsValidationResponse};
#[cfg(feature = "host")]
use wapc_guest::{CallResult, register_function};

/// Registers the policy's functions with the host.
#[cfg(feature = "host")]
#[allow(unsafe_code)] // The host looks the function up by this name.
#[unsafe(no_mangle)]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version_guest);
}

/// Checks the policy's settings, a JSON object.
///
/// # Errors
/// A sentence with the place of the first setting that an operator has to change, and what to do.
pub fn check_settings(settings: &str) -> Result<(), String> {
    let parsed = settings::Settings::parse(settings);
    parsed.map(drop).map_err(|error| error.to_string())
}

#[cfg(feature = "host")]
fn validate(payload: &[u8]) -> CallResult {
    Ok(admission::validate(payload, &cluster::HostCluster))
}

#[cfg(feature = "host")]
fn validate_settings(payload: &[u8]) -> CallResult {
    let problem = match std::str::from_utf8(payload) {
        Ok(text) => check_settings(text).err(),
        Err(_) => Some("settings are not UTF-8".to_owned()),
    };
    let response = SettingsValidationResponse {
        valid: problem.is_none(),
        message: problem,
    };
    Ok(serde_json::to_vec(&response)?)
}
