//! `from-flyte`: what takes the place of the configuration of Flyte's webhook.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::Console;
use crate::{
    failure::Failure,
    flyte_config::{self, FlyteConfigError, FlyteVersion, Found},
    source::Source,
    yaml,
};

/// Turns the configuration of Flyte's webhook into the policy's settings
///
/// Comments in front of the settings say what they do not say, where somebody has to decide.
#[derive(Debug, Args)]
pub(super) struct FromFlyte {
    /// Flyte's configuration in YAML or JSON: its files, which are merged in their order, the ConfigMap that holds them, or the values
    /// of Flyte's Helm chart; `-` is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose configuration it is [default: what it tells by its sections]
    #[arg(long, value_enum, value_name = "VERSION")]
    flyte_version: Option<Version>,
    /// There are secrets in the variables or files of Flyte's webhook (FLYTE_SECRET_GROUP_KEY, /etc/secrets)
    #[arg(long)]
    global_secrets: bool,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Settings)]
    output: Output,
    /// Write an overlay into this directory, for `kubectl apply -k`, and print the names of its files
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "output")]
    overlay: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Version {
    /// Flyte 1
    #[value(name = "1")]
    One,
    /// Flyte 2
    #[value(name = "2")]
    Two,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// The policy's settings
    Settings,
    /// The ClusterAdmissionPolicy with the settings, and the roles with the bindings that they need, to be applied after the base
    Policy,
}

impl FromFlyte {
    pub(super) fn run(&self, console: &Console) -> Result<ExitCode, Failure> {
        let sources = Source::read_all(&self.files)?;
        let mut found = Found::default();
        for source in &sources {
            for document in source.documents()? {
                let place = source.place(&document);
                yaml::to_json(&document.value)
                    .map_err(FlyteConfigError::from)
                    .and_then(|document| found.add_document(document))
                    .map_err(|error| Failure::at(place, error))?;
            }
        }
        let version = self.flyte_version.map(|version| match version {
            Version::One => FlyteVersion::V1,
            Version::Two => FlyteVersion::V2,
        });
        let at = |error| failure(&sources, &error);
        let is_values = found.is_values();
        let (config, version) = found.finish(version).map_err(at)?;
        let conversion = flyte_config::convert(&Value::Object(config.clone()), version).map_err(at)?;
        let mut conversion = conversion.lean(&config, self.global_secrets);
        if is_values {
            conversion = conversion.of_values();
        }
        // Flyte takes some values with which no secret arrives.
        secret_injector_policy::check_settings(&conversion.settings.to_string()).map_err(|error| {
            Failure::new(format!(
                "the policy does not accept what Flyte's configuration says: {error}; change it there, and try again"
            ))
        })?;
        console.print(&match (&self.overlay, self.output) {
            (Some(directory), _) => write_new(directory, &flyte_config::overlay(&conversion)?)?,
            (None, Output::Settings) => conversion.to_yaml()?,
            (None, Output::Policy) => flyte_config::policy(&conversion)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes files that are not there yet: all of them or none. Returns their names, a line each.
fn write_new(directory: &Path, files: &[(&str, String)]) -> Result<String, Failure> {
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| directory.join(name)).collect();
    if let Some(path) = paths.iter().find(|path| path.exists()) {
        let message = "is there already, and nothing was written: name another directory, or remove the file";
        return Err(Failure::at(path.display(), message));
    }
    fs::create_dir_all(directory).map_err(|error| Failure::at(directory.display(), error))?;
    for (path, (_, text)) in paths.iter().zip(files) {
        if let Err(error) = fs::write(path, text) {
            for path in &paths {
                // What was not written cannot be removed.
                _ = fs::remove_file(path);
            }
            return Err(Failure::at(path.display(), error));
        }
    }
    let lines = paths.iter().map(|path| format!("{}\n", path.display()));
    Ok(lines.collect())
}

/// Names the place of the field that is wrong: files that come later count. What is missing is in none of the files.
fn failure(sources: &[Source], error: &FlyteConfigError) -> Failure {
    let message = error.to_string();
    let is_of_field = matches!(error, FlyteConfigError::Value { .. } | FlyteConfigError::NotAMapping(_));
    let mut places = sources.iter().rev();
    let place = places.find_map(|source| Some((&source.name, source.line_of_field(&message)?)));
    match place.filter(|_| is_of_field) {
        Some((name, line)) => Failure::at(format!("{name}, line {line}"), message),
        None => {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            Failure::at(names.join(", "), message)
        }
    }
}
