//! Where the modules under test are.
//!
//! The policy is `policy.wasm` at the root of the repository, or what the environment variable `POLICY_WASM` says; the
//! build makes it. The baselines are built here, when first asked for: cargo does nothing where they are up to date.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The baselines: the least that a policy can do, to measure ours against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Accepts without reading: the host's floor.
    Noop,
    /// Returns the object unchanged as the mutated object: the floor of any mutation.
    Echo,
    /// Adds a variable the way Kubewarden's tutorial teaches it.
    Textbook,
}

impl Baseline {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Noop, Self::Echo, Self::Textbook];

    /// The name of its crate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Echo => "echo",
            Self::Textbook => "textbook",
        }
    }
}

/// Why a baseline could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no cargo.
    #[error("cannot run cargo: {0}")]
    Cargo(io::Error),
    /// The policy's manifest cannot be read.
    #[error("cannot read the policy's Cargo.toml: {0}")]
    Manifest(io::Error),
    /// It does not compile; most likely the target is missing.
    #[error("cannot build the baselines (is the target there? `rustup target add wasm32-wasip1`):\n{0}")]
    Build(String),
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_directory.parent().unwrap_or(crate_directory)
}

/// The policy's module.
pub fn policy() -> PathBuf {
    env::var_os("POLICY_WASM").map_or_else(|| repository().join("policy.wasm"), PathBuf::from)
}

/// A baseline's module, built if need be, with the release profile of the policy and in its target directory, so that
/// the crates they share are compiled once.
pub fn baseline(baseline: Baseline) -> Result<PathBuf, BuildError> {
    static BUILT: OnceLock<Result<(), String>> = OnceLock::new();
    let target = repository().join("target");
    if BUILT.get().is_none() {
        let built = build(&target)?;
        // Another thread may have been first; cargo's lock made one wait for the other.
        let _ = BUILT.set(built);
    }
    match BUILT.get() {
        Some(Err(messages)) => Err(BuildError::Build(messages.clone())),
        _ => Ok(target
            .join("wasm32-wasip1/release")
            .join(format!("{}.wasm", baseline.name()))),
    }
}

fn build(target: &Path) -> Result<Result<(), String>, BuildError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip1",
            "--manifest-path",
        ])
        .arg(repository().join("e2e-tests/baselines/Cargo.toml"))
        .arg("--target-dir")
        .arg(target);
    for setting in release_profile()? {
        command.arg("--config").arg(format!("profile.release.{setting}"));
    }
    let output = command.output().map_err(BuildError::Cargo)?;
    Ok(match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

/// The lines of `[profile.release]` in the policy's manifest.
fn release_profile() -> Result<Vec<String>, BuildError> {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).map_err(BuildError::Manifest)?;
    Ok(manifest
        .lines()
        .skip_while(|line| *line != "[profile.release]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.contains('=') && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_profile_is_found() {
        let profile = release_profile().unwrap();
        assert!(
            profile.iter().any(|line| line.starts_with("opt-level = ")),
            "{profile:?}"
        );
    }
}
