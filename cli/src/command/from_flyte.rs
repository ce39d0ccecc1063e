//! `from-flyte`: what takes the place of the configuration of Flyte's webhook.

use std::{path::PathBuf, process::ExitCode};

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
    /// The ClusterAdmissionPolicy with the settings, and the RoleBindings that they need, to be applied after the overlay
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
        let (config, version) = found.finish(version).map_err(at)?;
        let conversion = flyte_config::convert(&Value::Object(config.clone()), version).map_err(at)?;
        let conversion = conversion.lean(&config, self.global_secrets);
        // Flyte takes some values with which no secret arrives.
        secret_injector_policy::check_settings(&conversion.settings.to_string()).map_err(|error| {
            Failure::new(format!(
                "the policy does not accept what Flyte's configuration says: {error}; change it there, and try again"
            ))
        })?;
        console.print(&match self.output {
            Output::Settings => conversion.to_yaml()?,
            Output::Policy => flyte_config::policy(&conversion)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
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
