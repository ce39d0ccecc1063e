//! Secret managers whose client is a command: an init container runs a script that fetches all of the Pod's secrets.

#![forbid(unsafe_code)]

use serde_json::Value;

use crate::injection::{ContainerName, Fetch, FetchContainer, Fetched, Fetcher, Injection};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::fetch::{self, ContainerSettings, Layout};
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::requests::SecretRequest;

/// What the scripts share that fetch one secret after the other.
const FETCH: &str = include_str!("scripts/fetch.sh");
/// What they need for a file of variables.
const WRITE_ENV: &str = include_str!("scripts/write_env.sh");

/// A secret manager whose client is a command.
pub(crate) struct Cli {
    /// What the script calls the manager in its messages.
    pub label: &'static str,
    /// The manager's own part of the script, which defines `prepare` and `fetch` and calls `fetch_all`.
    pub script: &'static str,
    pub image: &'static str,
    /// The init container's name, before the number.
    pub container: &'static str,
    /// The name of the memory volume for the files.
    pub volume: &'static str,
    /// See [`Manager::access_name`].
    pub access_name: fn(&SecretRequest) -> String,
    /// Finds out what the client is asked for.
    pub locate: for<'r> fn(&'r SecretRequest) -> Result<Located<'r>, NotServed>,
}

/// Where the client finds a secret.
pub(crate) struct Located<'r> {
    /// What the client is asked for: the secret and its version.
    pub arguments: [String; 2],
    /// The parts of the file's path.
    pub path: Vec<&'r str>,
    /// Where the secret comes from, for people.
    pub source: String,
    pub warning: Option<String>,
}

struct CliManager {
    cli: &'static Cli,
    container: ContainerSettings,
}

impl Cli {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub(crate) fn read(&'static self, fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let container = ContainerSettings::of_client(fields, self.image)?;
        Ok(Box::new(CliManager { cli: self, container }))
    }
}

impl Manager for CliManager {
    fn access_name(&self, request: &SecretRequest) -> String {
        (self.cli.access_name)(request)
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let Located {
            arguments,
            path,
            source,
            warning,
        } = (self.cli.locate)(request)?;
        let fetched = Fetched::new(self, arguments.into());
        let mut injection = fetch::injection(request, context, &path, fetched, source)?;
        injection.warnings.extend(warning);
        Ok(injection)
    }
}

impl Fetcher for CliManager {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        let layout = Layout::new(fetch);
        let mut args = vec![layout.first().to_owned()];
        let mut has_variables = false;
        for item in fetch.items {
            for target in &item.targets {
                args.extend_from_slice(item.arguments);
                let path = layout.path(target);
                args.push(if item.optional { format!("?{path}") } else { path });
                // Empty where the file itself is wanted.
                args.push(target.variable.clone().unwrap_or_default());
                has_variables |= target.variable.is_some();
            }
        }
        let script = [if has_variables { WRITE_ENV } else { "" }, FETCH, self.cli.script].concat();
        let command = ["sh", "-ec", &script, self.cli.label];
        let mut spec = self.container.container(&command, &args, &[]);
        if let Value::Object(fields) = &mut spec {
            // `kubectl describe pod` then says which secret is missing.
            fields.insert("terminationMessagePolicy".to_owned(), "FallbackToLogsOnError".into());
        }
        vec![FetchContainer {
            name: ContainerName::Numbered(self.cli.container),
            spec,
            mounts: layout.mounts(),
            volumes: self.container.volumes(),
        }]
    }

    fn files_volume(&self) -> &'static str {
        self.cli.volume
    }
}

/// Checks that `version` can be one, and nothing else: where the client puts it behind the secret's name, a longer text could
/// name another secret.
///
/// # Errors
/// When it has other characters than versions have.
pub(crate) fn check_version(version: &str) -> Result<(), NotServed> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if version.len() <= 63 && version.bytes().all(plain) {
        return Ok(());
    }
    Err(not_found!(
        "{version:?} cannot be a version: it has at most 63 letters, digits, '-' and '_'"
    ))
}
