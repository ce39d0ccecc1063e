//! The settings that take the place of a Flyte webhook's configuration: what `preview settings-from-flyte` does.
//!
//! Flyte's webhook reads the sections
//! [`webhook`](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/config/config.go) and
//! [`secrets`](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/controller/nodes/task/secretmanager/config.go)
//! of its configuration. What is absent there has a default, which differs between Flyte 1 and Flyte 2; the defaults are
//! those of `golden/defaults_v1.json` and `golden/defaults_v2.json`. As in Flyte, upper and lower case of field names do
//! not matter.

mod notes;

use std::{fmt, fmt::Write};

use serde_json::{Map, Value, json};

use crate::yaml::{self, YamlError};

/// The namespace that the settings name for global secrets.
pub const GLOBAL_NAMESPACE: &str = "flyte-secrets";

/// The annotation of Vault's injector that says where files appear.
const VAULT_PATH: &str = "vault.hashicorp.com/secret-volume-path";

const DEFAULTS_V1: &str = include_str!("../golden/defaults_v1.json");
const DEFAULTS_V2: &str = include_str!("../golden/defaults_v2.json");
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
    /// The policy's settings.
    pub settings: Value,
    /// What the settings do not say.
    pub notes: Vec<Note>,
}

impl Conversion {
    /// The settings as YAML, the notes in front of them as comments.
    pub fn to_yaml(&self) -> Result<String, YamlError> {
        let mut text = String::new();
        for note in &self.notes {
            for (index, line) in note.to_string().lines().flat_map(wrapped).enumerate() {
                let bullet = if index == 0 { "- " } else { "  " };
                // Writing to a String does not fail.
                _ = writeln!(text, "# {bullet}{line}");
            }
        }
        // Settings are read in this order; the rest has no order that helps.
        let count = self.settings["managers"].as_array().map_or(0, Vec::len);
        let managers = "- {type: 0, namespace: 0, role: 0, image: 0}\n".repeat(count);
        let model = serde_norway::from_str(&format!("envPrefix: 0\nmanagers:\n{managers}"))?;
        text.push_str(&yaml::to_text(&self.settings, Some(&model))?);
        Ok(text)
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

/// Converts a text: Flyte's configuration in YAML or JSON, as one file, as several documents, or as the ConfigMap that
/// holds the files.
pub fn from_text(text: &str, version: Option<FlyteVersion>) -> Result<Conversion, FlyteConfigError> {
    let mut config = Map::new();
    for document in yaml::documents(text)? {
        let document = yaml::to_json(&document)?;
        if document["kind"] == "ConfigMap" {
            for file in document["data"].as_object().into_iter().flat_map(Map::values) {
                for file in yaml::documents(file.as_str().unwrap_or_default())? {
                    // Other keys of a ConfigMap may hold anything.
                    if let Value::Object(sections) = yaml::to_json(&file)? {
                        config.extend(sections);
                    }
                }
            }
        } else {
            config.extend(mapping(document, "the configuration")?);
        }
    }
    convert(&Value::Object(config), version)
}

/// Converts a configuration: a mapping with the sections `webhook` and `secrets`, or the fields of `webhook` themselves
/// with `secrets` beside them. Without a `version`, the fields tell which it is, or else it is Flyte 2.
pub fn convert(config: &Value, version: Option<FlyteVersion>) -> Result<Conversion, FlyteConfigError> {
    let mut config = mapping(config.clone(), "the configuration")?;
    let secrets = mapping(take(&mut config, "secrets"), "secrets")?;
    let given = match take(&mut config, "webhook") {
        Value::Null if config.keys().any(|key| is_webhook_field(key)) => config,
        section => mapping(section, "webhook")?,
    };
    let mut notes = Vec::new();
    let version = version.unwrap_or_else(|| guess(&given, &mut notes));
    let mut fields = Fields::default();
    let webhook = fields.over_defaults(
        match version {
            FlyteVersion::V1 => DEFAULTS_V1,
            FlyteVersion::V2 => DEFAULTS_V2,
        },
        &given,
        "webhook",
    );
    let secrets = fields.over_defaults(SECRETS_DEFAULTS, &secrets, "secrets");

    let managers = manager_types(&webhook, version)?;
    let mut settings = Map::new();
    let prefix = match version {
        FlyteVersion::V1 => "_FSEC_",
        FlyteVersion::V2 => webhook["secretEnvVarPrefix"].as_str().unwrap_or_default(),
    };
    settings.insert("envPrefix".to_owned(), json!(prefix));
    let mut list = vec![json!({"type": "global", "namespace": GLOBAL_NAMESPACE})];
    notes.push(notes::global(&secrets));
    for (manager, field) in &managers {
        list.extend(manager.settings(&webhook, field, &mut notes)?);
    }
    settings.insert("managers".to_owned(), Value::Array(list));
    notes.extend(notes::unused_sections(&fields.given, &managers));
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
        settings: Value::Object(settings),
        notes,
    })
}

/// A secret manager of Flyte's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlyteManager {
    Global,
    K8s,
    Aws,
    Gcp,
    Vault,
    Embedded,
    Azure,
}

impl FlyteManager {
    const ALL: [(&'static str, Self); 7] = [
        ("Global", Self::Global),
        ("K8s", Self::K8s),
        ("AWS", Self::Aws),
        ("GCP", Self::Gcp),
        ("Vault", Self::Vault),
        ("Embedded", Self::Embedded),
        ("Azure", Self::Azure),
    ];

    fn read(value: &Value, field: &str, version: FlyteVersion) -> Result<Self, FlyteConfigError> {
        let found = value.as_str().unwrap_or_default();
        let (known, wanted) = match version {
            FlyteVersion::V1 => (&Self::ALL[..5], "Global, K8s, AWS, GCP and Vault in Flyte 1"),
            FlyteVersion::V2 => (&Self::ALL[..], "Global, K8s, AWS, GCP, Vault, Embedded and Azure"),
        };
        known
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(found))
            .map(|(_, manager)| *manager)
            .ok_or_else(|| FlyteConfigError::Value {
                field: field.to_owned(),
                found: value.clone(),
                wanted,
            })
    }

    /// The field of `webhook` that sets the manager up.
    fn section(self) -> Option<&'static str> {
        match self {
            Self::Global | Self::K8s => None,
            Self::Aws => Some("awsSecretManager"),
            Self::Gcp => Some("gcpSecretManager"),
            Self::Vault => Some("vaultSecretManager"),
            Self::Embedded => Some("embeddedSecretManagerConfig"),
            Self::Azure => Some("azureSecretManager"),
        }
    }

    /// The items of the settings' `managers` that take its place; none where nothing can.
    fn settings(
        self,
        webhook: &Map<String, Value>,
        field: &str,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Value>, FlyteConfigError> {
        let section = self.section().map_or(&Value::Null, |section| &webhook[section]);
        let sidecar = |kind: &str| container(json!({"type": kind}), section, "sidecarImage");
        let manager = match self {
            Self::Global => {
                notes.push(Note {
                    field: field.to_owned(),
                    text: "names Global, which stands in front of all others anyway.".to_owned(),
                });
                return Ok(None);
            }
            Self::K8s => json!({"type": "kubernetes"}),
            Self::Aws => sidecar("aws"),
            Self::Gcp => sidecar("gcp"),
            Self::Azure => sidecar("azure"),
            Self::Vault => vault(section, notes)?,
            Self::Embedded => return embedded(section, notes),
        };
        if matches!(self, Self::Aws | Self::Gcp | Self::Azure) {
            notes.extend(notes::sidecar(self.section().unwrap_or_default()));
        }
        Ok(Some(manager))
    }
}

/// `manager` with the image and the resources of a section.
fn container(mut manager: Value, section: &Value, image: &str) -> Value {
    // Kubernetes takes no container without an image, so an empty one is not worth keeping.
    if section[image].as_str().is_some_and(|image| !image.is_empty()) {
        manager["image"] = section[image].clone();
    }
    manager["resources"] = section["resources"].clone();
    manager
}

fn vault(section: &Value, notes: &mut Vec<Note>) -> Result<Value, FlyteConfigError> {
    let version = match &section["kvVersion"] {
        Value::String(text) if text == "1" => 1,
        Value::String(text) if text == "2" => 2,
        Value::Number(number) if number.as_u64() == Some(1) => 1,
        Value::Number(number) if number.as_u64() == Some(2) => 2,
        other => {
            return Err(FlyteConfigError::Value {
                field: "webhook.vaultSecretManager.kvVersion".to_owned(),
                found: other.clone(),
                wanted: "1 and 2",
            });
        }
    };
    let mut manager = json!({"type": "vault", "role": section["role"], "kvVersion": version});
    for (key, value) in section["annotations"].as_object().into_iter().flatten() {
        if key == VAULT_PATH {
            notes.push(notes::vault_path(value));
        } else {
            manager["annotations"][key] = value.clone();
        }
    }
    Ok(manager)
}

/// Flyte 2's own secrets. Flyte can keep them in a cloud's secret manager too; a policy can only read Kubernetes.
fn embedded(section: &Value, notes: &mut Vec<Note>) -> Result<Option<Value>, FlyteConfigError> {
    let store = section["type"].as_str().unwrap_or_default();
    let container = &section["fileMountInitContainer"];
    match store.to_ascii_lowercase().as_str() {
        "k8s" => {}
        "aws" | "gcp" | "azure" => {
            notes.push(notes::embedded_store(store));
            return Ok(None);
        }
        _ => {
            return Err(FlyteConfigError::Value {
                field: "webhook.embeddedSecretManagerConfig.type".to_owned(),
                found: section["type"].clone(),
                wanted: "AWS, GCP, Azure and K8s",
            });
        }
    }
    let pull_secrets = section["imagePullSecrets"]["enabled"] == true;
    let namespace = &section["k8sConfig"]["namespace"];
    notes.extend(notes::embedded(
        namespace.as_str().unwrap_or_default(),
        container,
        pull_secrets,
    ));
    // Open-source Flyte 2 has one organization, whose name is a constant.
    let manager = json!({"type": "flyte", "namespace": namespace, "literal": true, "organization": "flyte"});
    let mut manager = self::container(manager, container, "image");
    if pull_secrets {
        manager["imagePullSecrets"] = json!(true);
    }
    Ok(Some(manager))
}

/// The managers behind the global secrets, with the field that names each.
fn manager_types(
    webhook: &Map<String, Value>,
    version: FlyteVersion,
) -> Result<Vec<(FlyteManager, String)>, FlyteConfigError> {
    let several = webhook.get("secretManagerTypes").and_then(Value::as_array);
    let Some(several) = several.filter(|several| !several.is_empty()) else {
        let field = "webhook.secretManagerType";
        let manager = FlyteManager::read(&webhook["secretManagerType"], field, version)?;
        return Ok(vec![(manager, field.to_owned())]);
    };
    several
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let field = format!("webhook.secretManagerTypes[{index}]");
            Ok((FlyteManager::read(value, &field, version)?, field))
        })
        .collect()
}

/// Fields over their defaults, and what was found on the way.
#[derive(Default)]
struct Fields {
    /// The fields of the sections that are given, spelled as Flyte spells them.
    given: Vec<(String, Value)>,
    /// The fields that Flyte does not know, with their places.
    unknown: Vec<String>,
}

impl Fields {
    fn over_defaults(&mut self, defaults: &str, given: &Map<String, Value>, place: &str) -> Map<String, Value> {
        // The defaults are a part of this program, and a test reads them.
        let mut merged: Map<String, Value> = serde_json::from_str(defaults).unwrap_or_default();
        for (field, value) in given {
            let known = merged.keys().find(|known| known.eq_ignore_ascii_case(field)).cloned();
            let Some(known) = known else {
                self.unknown.push(format!("{place}.{field}"));
                continue;
            };
            self.given.push((format!("{place}.{known}"), value.clone()));
            self.merge(&mut merged[&known], value, &format!("{place}.{known}"));
        }
        merged
    }

    fn merge(&mut self, default: &mut Value, given: &Value, place: &str) {
        match (default, given) {
            (_, Value::Null) => {}
            // Kubernetes' own types have fields that the defaults do not show.
            (Value::Object(defaults), Value::Object(fields))
                if !place.ends_with(".resources") && !place.ends_with(".labelSelector") =>
            {
                for (field, value) in fields {
                    let known = defaults.keys().find(|known| known.eq_ignore_ascii_case(field)).cloned();
                    let place = format!("{place}.{}", known.as_ref().unwrap_or(field));
                    match known {
                        Some(known) => self.merge(&mut defaults[&known], value, &place),
                        None => self.unknown.push(place),
                    }
                }
            }
            (default, given) => *default = given.clone(),
        }
    }
}

/// The version whose fields these are.
fn guess(given: &Map<String, Value>, notes: &mut Vec<Note>) -> FlyteVersion {
    let v1: Map<String, Value> = serde_json::from_str(DEFAULTS_V1).unwrap_or_default();
    let knows =
        |defaults: &Map<String, Value>, field: &String| defaults.keys().any(|known| known.eq_ignore_ascii_case(field));
    if let Some(field) = given.keys().find(|field| !knows(&v1, field) && is_webhook_field(field)) {
        notes.push(Note {
            field: format!("webhook.{field}"),
            text: format!("is a field of {} only, so its defaults apply.", FlyteVersion::V2),
        });
    } else {
        notes.push(Note {
            field: "webhook".to_owned(),
            text: format!(
                "nothing in it tells the version, so {}'s defaults apply (variables start with _UNION_, the manager is \
                 Embedded); use --flyte-version 1 for a Flyte 1.",
                FlyteVersion::V2
            ),
        });
    }
    FlyteVersion::V2
}

fn is_webhook_field(field: &str) -> bool {
    let defaults: Map<String, Value> = serde_json::from_str(DEFAULTS_V2).unwrap_or_default();
    defaults.keys().any(|known| known.eq_ignore_ascii_case(field))
}

fn mapping(value: Value, place: &str) -> Result<Map<String, Value>, FlyteConfigError> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        _ => Err(FlyteConfigError::NotAMapping(place.to_owned())),
    }
}

fn take(fields: &mut Map<String, Value>, name: &str) -> Value {
    let key = fields.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    key.and_then(|key| fields.remove(&key)).unwrap_or_default()
}
