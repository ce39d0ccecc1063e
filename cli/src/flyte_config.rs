//! The settings that take the place of a Flyte webhook's configuration: what `secret-injector from-flyte` does.
//!
//! Flyte's webhook reads the sections
//! [`webhook`](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/config/config.go) and
//! [`secrets`](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/controller/nodes/task/secretmanager/config.go)
//! of its configuration. What is absent there has a default, which differs between Flyte 1 and Flyte 2; the defaults are
//! those of `golden/defaults_v1.json` and `golden/defaults_v2.json`. As in Flyte, upper and lower case of field names do
//! not matter.

mod deploy;
mod fields;
mod input;
mod lean;
mod managers;
mod notes;

use std::{fmt, fmt::Write};

use serde_json::{Map, Value, json};

pub use deploy::{overlay, policy};
use fields::{Fields, mapping, take};
pub use input::Found;
use managers::{FlyteManager, manager_types};

use crate::yaml::{self, YamlError};

/// The namespace that the settings name for global secrets.
pub const GLOBAL_NAMESPACE: &str = "flyte-secrets";

const DEFAULTS_V1: &str = include_str!("../../e2e-tests/golden/defaults_v1.json");
const DEFAULTS_V2: &str = include_str!("../../e2e-tests/golden/defaults_v2.json");
/// Defaults of the section `secrets`, the same in both versions.
const SECRETS_DEFAULTS: &str = r#"{"secrets-prefix": "/etc/secrets", "env-prefix": "FLYTE_SECRET_"}"#;

/// Why a configuration cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum FlyteConfigError {
    /// It is not YAML.
    #[error("Flyte's configuration is {0}")]
    Yaml(#[from] YamlError),
    /// A part of it is not a mapping.
    #[error("{0} is not a mapping")]
    NotAMapping(String),
    /// There is nothing to convert.
    #[error("{0}")]
    NotFound(String),
    /// Nothing says whether it is Flyte 1 or Flyte 2.
    #[error(
        "nothing in Flyte's configuration tells whether it is of Flyte 1 or Flyte 2, whose defaults differ: name it with \
         --flyte-version 1 or --flyte-version 2"
    )]
    Version,
    /// A field has a value that Flyte does not take.
    #[error("{field} is {found}, but Flyte takes {wanted}")]
    Value {
        /// The field.
        field: String,
        /// What it holds.
        found: Value,
        /// What it may hold.
        wanted: &'static str,
    },
}

/// Flyte's major version: it decides the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlyteVersion {
    /// Flyte 1: variables start with `_FSEC_`, and one manager stands behind the global secrets.
    V1,
    /// Flyte 2: variables start with `_UNION_`, and the managers are a list.
    V2,
}

impl FlyteVersion {
    /// Returns the section `webhook` where nobody says anything.
    fn defaults(self) -> Map<String, Value> {
        // The defaults are a part of this program, and a test reads them.
        match self {
            Self::V1 => {
                let mut defaults: Map<String, Value> = serde_json::from_str(DEFAULTS_V1).unwrap_or_default();
                // 1.16.8 has two fields more than the release whose defaults these are.
                defaults.insert("namespaceSelector".to_owned(), Value::Null);
                defaults.insert("disableCreateMutatingWebhookConfig".to_owned(), json!(false));
                defaults
            }
            Self::V2 => serde_json::from_str(DEFAULTS_V2).unwrap_or_default(),
        }
    }
}

impl fmt::Display for FlyteVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "Flyte 1",
            Self::V2 => "Flyte 2",
        })
    }
}

/// What has no equivalent in the settings, or behaves in another way, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The field of Flyte's configuration, such as `webhook.certDir`.
    pub field: String,
    /// The rest of the sentence. May have several lines.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.text)
    }
}

/// A converted configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// Whose configuration it is.
    pub version: FlyteVersion,
    /// The policy's settings.
    pub settings: Value,
    /// What the settings do not say.
    pub notes: Vec<Note>,
    /// True if Flyte's configuration names its global secrets.
    names_global: bool,
    /// The namespaces whose Pods Flyte's webhook sees; null for all.
    pub namespace_selector: Value,
    /// How many seconds the API server waits for Flyte's webhook, if that is said.
    pub timeout: Option<u64>,
}

impl Conversion {
    /// The settings as YAML, the notes in front of them as comments.
    pub fn to_yaml(&self) -> Result<String, YamlError> {
        let mut text = self.comments_without(&[]);
        // Settings are read in this order; the rest has no order that helps.
        let count = self.settings["managers"].as_array().map_or(0, Vec::len);
        let managers = "- {type: 0, namespace: 0, role: 0, image: 0}\n".repeat(count);
        let model = serde_norway::from_str(&format!("envPrefix: 0\nmanagers:\n{managers}"))?;
        text.push_str(&yaml::to_text(&self.settings, Some(&model))?);
        Ok(text)
    }

    /// The notes as comments, but for those on fields that are taken care of.
    fn comments_without(&self, done: &[&str]) -> String {
        let mut text = String::new();
        for note in self.notes.iter().filter(|note| !done.contains(&note.field.as_str())) {
            for (index, line) in note.to_string().lines().flat_map(wrapped).enumerate() {
                let bullet = if index == 0 { "- " } else { "  " };
                // Writing to a String does not fail.
                _ = writeln!(text, "# {bullet}{line}");
            }
        }
        text
    }
}

/// The lines of a comment: words in lines of at most a hundred characters; a command, which is indented, stays whole.
fn wrapped(line: &str) -> Vec<String> {
    if line.starts_with(' ') {
        return vec![line.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in line.split(' ') {
        match lines.last_mut() {
            Some(last) if last.len() + word.len() < 100 => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Converts a configuration: a mapping with the sections `webhook` and `secrets`, or the fields of `webhook` themselves
/// with `secrets` beside them. Flyte's defaults are written out, and the global secrets stand first, as in Flyte; [`Conversion::lean`]
/// is what one would deploy.
///
/// # Errors
/// [`FlyteConfigError`]
pub fn convert(config: &Value, version: FlyteVersion) -> Result<Conversion, FlyteConfigError> {
    let mut config = mapping(config.clone(), "the configuration")?;
    let secrets = mapping(take(&mut config, "secrets"), "secrets")?;
    let given = match take(&mut config, "webhook") {
        Value::Null if config.keys().any(|key| input::is_webhook_field(key)) => config.clone(),
        section => mapping(section, "webhook")?,
    };
    let mut notes = Vec::new();
    let mut fields = Fields::default();
    let webhook = fields.over_defaults(version.defaults(), &given, "webhook");
    let secrets_defaults = serde_json::from_str(SECRETS_DEFAULTS).unwrap_or_default();
    let secrets = fields.over_defaults(secrets_defaults, &secrets, "secrets");
    if let Some(wrong) = fields.wrong.take() {
        return Err(wrong);
    }

    let managers = manager_types(&webhook, version)?;
    let mut settings = Map::new();
    let prefix = match version {
        FlyteVersion::V1 => "_FSEC_",
        FlyteVersion::V2 => webhook["secretEnvVarPrefix"].as_str().unwrap_or_default(),
    };
    settings.insert("envPrefix".to_owned(), json!(prefix));
    let mut list = vec![json!({"type": "global", "namespace": GLOBAL_NAMESPACE})];
    notes.push(notes::global(&secrets));
    for (manager, _) in &managers {
        list.extend(manager.settings(&webhook, &mut notes)?);
    }
    notes.extend(managers::part(list.get_mut(1..).unwrap_or_default(), &managers));
    settings.insert("managers".to_owned(), Value::Array(list));
    notes.extend(
        fields
            .given
            .iter()
            .filter_map(|(field, value)| notes::host(field, value)),
    );
    notes.extend(fields.unknown.iter().map(|field| Note {
        field: field.clone(),
        text: format!("is not a field of {version}; nothing was made of it."),
    }));
    Ok(Conversion {
        version,
        settings: Value::Object(settings),
        notes,
        names_global: managers.iter().any(|(manager, _)| *manager == FlyteManager::Global),
        namespace_selector: webhook.get("namespaceSelector").cloned().unwrap_or_default(),
        timeout: given_value(&fields.given, "webhook.webhookTimeout"),
    })
}

fn given_value(given: &[(String, Value)], field: &str) -> Option<u64> {
    let (_, value) = given.iter().find(|(name, _)| name == field)?;
    value.as_u64()
}
