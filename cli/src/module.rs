//! The policy's module, and what its metadata say.

use std::path::{Path, PathBuf};

use crate::{
    capabilities::{Grants, GrantsError},
    failure::Failure,
    wasm::PolicyModule,
};

/// The metadata of the policy that this tool is released with.
const METADATA: &str = include_str!("../../metadata.yml");

#[cfg(feature = "embedded")]
const EMBEDDED: Option<&[u8]> = Some(include_bytes!("../../policy.wasm"));
#[cfg(not(feature = "embedded"))]
const EMBEDDED: Option<&[u8]> = None;

/// Where the build of the policy puts the module.
const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy.wasm");

/// Loads the module of a file, or else the one that belongs to this program.
///
/// # Errors
/// A file that cannot be read, or is no module.
pub fn load(file: Option<&Path>) -> Result<PolicyModule, Failure> {
    if let Some(path) = file {
        return PolicyModule::from_file(path).map_err(|error| Failure::at("--wasm", error));
    }
    if let Some(bytes) = EMBEDDED {
        return Ok(PolicyModule::new(bytes)?);
    }
    let here = PathBuf::from("policy.wasm");
    let path = if here.exists() { here } else { PathBuf::from(BUILT) };
    if !path.exists() {
        return Err(Failure::new(
            "this build has no module in it, and there is no policy.wasm: make one with `make policy.wasm`, or name one with --wasm FILE",
        ));
    }
    Ok(PolicyModule::from_file(path)?)
}

/// Returns what the policy's metadata ask the host for.
///
/// # Errors
/// None: a test reads them.
pub fn grants() -> Result<Grants, GrantsError> {
    Grants::from_metadata(METADATA)
}
