//! Flyte's secret managers, and the policy's managers that take their place.

use serde_json::{Map, Value, json};

use super::{FlyteConfigError, FlyteVersion, Note, notes};

/// The annotation of Vault's injector that says where files appear.
const VAULT_PATH: &str = "vault.hashicorp.com/secret-volume-path";

/// A secret manager of Flyte's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlyteManager {
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

    /// What Flyte calls it.
    fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, manager)| *manager == self);
        known.map_or("", |(name, _)| name)
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
    pub(super) fn settings(
        self,
        webhook: &Map<String, Value>,
        notes: &mut Vec<Note>,
    ) -> Result<Option<Value>, FlyteConfigError> {
        let section = self.section().map_or(&Value::Null, |section| &webhook[section]);
        let sidecar = |kind: &str| container(json!({"type": kind}), section, "sidecarImage");
        let manager = match self {
            // It stands in front of all others anyway.
            Self::Global => return Ok(None),
            Self::K8s => json!({"type": "kubernetes"}),
            Self::Aws => sidecar("aws"),
            Self::Gcp => sidecar("gcp"),
            Self::Azure => sidecar("azure"),
            Self::Vault => vault(section, notes)?,
            Self::Embedded => return embedded(section, notes),
        };
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

/// Flyte 2's own secrets in a cloud's secret manager. `setting` is what our setting, Flyte's section and its field are called.
fn embedded_store(section: &Value, (setting, part, field): (&'static str, &str, &str), notes: &mut Vec<Note>) -> Value {
    let store = section["type"].as_str().unwrap_or_default();
    notes.push(notes::embedded_store(store));
    json!({
        "type": "flyte",
        "store": store.to_ascii_lowercase(),
        setting: section[part][field],
        "organization": "flyte",
    })
}

/// Flyte 2's own secrets.
fn embedded(section: &Value, notes: &mut Vec<Note>) -> Result<Option<Value>, FlyteConfigError> {
    let store = section["type"].as_str().unwrap_or_default();
    let container = &section["fileMountInitContainer"];
    match store.to_ascii_lowercase().as_str() {
        "k8s" => {}
        "aws" => return Ok(Some(embedded_store(section, ("region", "awsConfig", "region"), notes))),
        "gcp" => {
            return Ok(Some(embedded_store(
                section,
                ("project", "gcpConfig", "project"),
                notes,
            )));
        }
        "azure" => {
            return Ok(Some(embedded_store(
                section,
                ("vault", "azureConfig", "vaultURI"),
                notes,
            )));
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
    notes.extend(notes::embedded(container, pull_secrets));
    // Open-source Flyte 2 has one organization, whose name is a constant.
    let manager = json!({"type": "flyte", "namespace": namespace, "literal": true, "organization": "flyte"});
    let mut manager = self::container(manager, container, "image");
    if pull_secrets {
        manager["imagePullSecrets"] = json!(true);
    }
    Ok(Some(manager))
}

/// Keeps managers from taking the requests of those behind them, where that loses nothing, and else says so: `items` are the settings
/// of `managers`, without the global secrets.
pub(super) fn part(items: &mut [Value], managers: &[(FlyteManager, String)]) -> Vec<Note> {
    let listed: Vec<_> = managers
        .iter()
        .filter(|(manager, _)| *manager != FlyteManager::Global)
        .collect();
    let mut notes = Vec::new();
    for ((item, (manager, field)), (next, _)) in items.iter_mut().zip(&listed).zip(listed.iter().skip(1)) {
        match manager {
            // Flyte's container reads nothing but ARNs.
            FlyteManager::Aws => item["match"] = json!({"groups": ["arn:aws*"]}),
            // It takes URLs of secrets alone, and the other looks whether the secret is there.
            FlyteManager::Azure => {}
            FlyteManager::Embedded if item["store"].is_null() => {}
            _ => notes.push(notes::takes_all(field, manager.name(), next.name())),
        }
    }
    notes
}

/// The managers behind the global secrets, with the field that names each.
pub(super) fn manager_types(
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
