//! Secret managers whose client is a command: an init container runs a script that fetches all of the Pod's secrets.

use std::cmp::Ordering;

use crate::access;
use crate::injection::{ContainerName, Fetch, FetchContainer, FetchItem, Fetched, Fetcher, Injection};
use crate::json::Node;
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::fetch::{self, ContainerSettings, Layout};
use crate::managers::manager::{FOR_ONE_FILE, Manager, NotServed, not_found};
use crate::managers::naming;
use crate::managers::script::{Script, script, script_of, word};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest, WHOLE};
use crate::sort::positions;

/// What the scripts share that fetch one secret after the other.
const FETCH: Script = script!("scripts/fetch.sh", Shell);
/// What [`FETCH`] needs for a secret that may be missing.
const OPTIONAL: Script = script!("scripts/optional.sh", Shell);
/// What it needs for a field, and for a file of variables.
const WRITE_PART: Script = script!("scripts/write_part.sh", Shell);
/// What [`WRITE_PART`] needs for a file of variables.
const WRITE_ENV: Script = script!("scripts/write_env.sh", Shell);
/// What takes one field out of a JSON object. The clients' images have Python.
const TAKE_FIELD: Script = script!("scripts/take_field.py", Python);

/// Returns the variable of an init container that holds [`TAKE_FIELD`].
pub(crate) fn take_field() -> (&'static str, Node<'static>) {
    ("TAKE_FIELD", script_of(&[TAKE_FIELD]))
}

/// A secret manager whose client is a command.
pub(crate) struct Cli {
    /// What the script calls the manager in its messages.
    pub label: &'static str,
    /// The manager's own part of the script, which defines `prepare` and `fetch` and calls `fetch_all`.
    pub script: Script,
    pub image: &'static str,
    /// The init container's name, before the number.
    pub container: &'static str,
    /// Whether the setting `key` may make the request's key the field.
    pub key_may_be_field: bool,
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
    /// The field that the request's key names.
    pub field: &'r str,
    /// The parts of the file's path.
    pub path: Vec<&'r str>,
    /// Where the secret comes from, for people.
    pub source: String,
    pub warning: Option<String>,
}

/// Returns the secret that a request's group names, where the group alone does.
pub(super) fn secret(request: &SecretRequest) -> &str {
    request.group.trim_end_matches('/')
}

/// Returns the [name](Manager::access_name) of that secret.
pub(super) fn access_name(request: &SecretRequest) -> String {
    access::name(secret(request), "")
}

struct CliManager {
    cli: &'static Cli,
    /// Whether the request's key is the field.
    key_is_field: bool,
    container: ContainerSettings,
}

impl Cli {
    pub(crate) fn read(&'static self, fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let key_is_field =
            self.key_may_be_field && fields.choice("key", false, &[("ignored", false), ("field", true)])?;
        let container = ContainerSettings::of_client(fields, self.image)?;
        Ok(Box::new(CliManager {
            cli: self,
            key_is_field,
            container,
        }))
    }
}

impl Manager for CliManager {
    fn access_name(&self, request: &SecretRequest) -> String {
        (self.cli.access_name)(request)
    }

    fn gives_fields(&self) -> bool {
        true
    }

    fn gives_whole(&self) -> bool {
        true
    }

    /// The secret is one, whatever of it is wanted.
    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        (&request.group, "")
    }

    fn finds_by(&self, part: &str) -> bool {
        part != "key" || self.key_is_field || !self.cli.key_may_be_field
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let Located {
            arguments: [secret, version],
            field,
            mut path,
            mut source,
            warning,
        } = (self.cli.locate)(request)?;
        if let Some(asked) = &request.asked {
            let asked = &asked.request;
            let key = if asked.key == WHOLE { "" } else { &asked.key };
            path = path_parts(&[&asked.group, &asked.group_version, key])?;
        }
        let key_is_field = self.key_is_field || request.key == WHOLE;
        let field = match (if key_is_field { &request.key } else { field }, &*request.field) {
            (by_key, "") => by_key,
            ("", field) => field,
            (by_key, field) if by_key == field => field,
            (by_key, field) => {
                return Err(not_found!(
                    "its key names the field {by_key:?}, and \"field\" {field:?}: leave one of them out"
                ));
            }
        };
        if field == WHOLE {
            check_whole(request)?;
            source.push_str(", all fields");
        } else if !field.is_empty() {
            // Where the settings make the key, the path has the key that was asked for already.
            path.push(if request.asked.is_some() { &request.field } else { field });
            path.retain(|part| !part.is_empty());
            naming::push_detail(&mut source, "field", field);
        }
        let fetched = Fetched::new(self, self.cli.volume, vec![secret, version, field.to_owned()]);
        let mut injection = fetch::injection(request, context, &path, fetched, source)?;
        injection.warnings.extend(warning);
        Ok(injection)
    }
}

impl Fetcher for CliManager {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        vec![self.cli.container(&self.container, None, Vec::new(), fetch)]
    }
}

impl Cli {
    /// Returns the container that fetches all secrets of `fetch`. `functions` replaces functions of the script.
    pub(crate) fn container(
        &self,
        settings: &ContainerSettings,
        functions: Option<Script>,
        env: Vec<(&'static str, Node<'static>)>,
        fetch: &Fetch<'_>,
    ) -> FetchContainer {
        let layout = Layout::new(fetch);
        let wanted = || fetch.items.iter().filter(|item| !item.targets.is_empty());
        let has_fields = wanted().any(|item| field(item).is_some());
        let has_optional = wanted().any(|item| item.fetched.optional);
        let mut targets = fetch.items.iter().flat_map(|item| &item.targets);
        let has_variables = targets.any(|target| target.variable.is_some());
        // Every Pod carries the script. The parts stand in front of what every script has: a script of an earlier injection is
        // recognized by its end.
        let parts = [
            has_optional.then_some(OPTIONAL),
            has_variables.then_some(WRITE_ENV),
            (has_variables || has_fields).then_some(WRITE_PART),
            Some(FETCH),
            functions,
            Some(self.script),
        ];
        let parts: Vec<Script> = parts.into_iter().flatten().collect();
        let command = vec![word("sh"), word("-ec"), script_of(&parts), word(self.label)];
        let args = arguments(fetch, &layout, has_fields);
        let env = if has_fields { vec![take_field()] } else { env };
        let name = ContainerName::Numbered(self.container);
        fetch::with_log_shown(settings.container(name, (command, &args), env, layout.mounts))
    }
}

/// Checks that a request for all fields of a secret is one for files: their names are not known before they are fetched.
fn check_whole(request: &SecretRequest) -> Result<(), NotServed> {
    if request.mount == MountRequirement::EnvVar {
        return Err(not_found!(
            "all fields of a secret come as files only, as nobody knows their names yet: ask for a FILE, or for each field"
        ));
    }
    if request.path.is_empty() && request.mode.is_none() {
        return Ok(());
    }
    Err(not_found!("{FOR_ONE_FILE}"))
}

/// Returns the arguments of the script, see [`FETCH`]. The fields of one secret stand together, so that it is fetched once.
fn arguments(fetch: &Fetch<'_>, layout: &Layout, has_fields: bool) -> Vec<String> {
    let mut args = vec![layout.first().to_owned()];
    let secret = |item: usize| fetch.items.get(item).map(|item| &item.fetched.arguments);
    let order = positions(fetch.items.len(), &|one, other| {
        if has_fields {
            secret(one).cmp(&secret(other))
        } else {
            Ordering::Equal
        }
    });
    for item in order.into_iter().filter_map(|item| fetch.items.get(item)) {
        let (arguments, optional) = (&item.fetched.arguments, item.fetched.optional);
        for target in &item.targets {
            args.extend(arguments.iter().take(2).cloned());
            let path = layout.path(target);
            args.push(if optional { format!("?{path}") } else { path });
            // Empty where the file itself is wanted.
            let mut name = target.variable.clone().unwrap_or_default();
            if let Some(field) = field(item) {
                name.push(':');
                name.push_str(field);
            }
            args.push(name);
        }
    }
    args
}

/// Returns the field that is wanted of a secret.
fn field<'i>(item: &FetchItem<'i>) -> Option<&'i String> {
    item.fetched.arguments.get(2).filter(|field| !field.is_empty())
}

/// Checks that `version` can be one, and nothing else: where the client puts it behind the secret's name, a longer text could
/// name another secret.
///
/// # Errors
/// When it has other characters than versions have.
pub(crate) fn check_version(version: &str) -> Result<(), NotServed> {
    if version.len() <= 63 && names::is_plain(version, "-_") {
        return Ok(());
    }
    Err(not_found!(
        "{version:?} cannot be a version: it has at most 63 letters, digits, '-' and '_'"
    ))
}

/// The file names in `texts`, each of which may hold several with `/` between them, as a secret's full name does. An empty text
/// is passed over.
///
/// # Errors
/// [`NotServed`] when one of `texts` holds none.
pub(super) fn path_parts<'t>(texts: &[&'t str]) -> Result<Vec<&'t str>, NotServed> {
    let mut parts = Vec::new();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        let before = parts.len();
        parts.extend(text.split('/').filter(|part| !matches!(*part, "" | ".")));
        if parts.len() == before {
            return Err(not_found!("{text:?} has nothing that can be a file's name"));
        }
    }
    Ok(parts)
}
