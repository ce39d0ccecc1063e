//! What is different in many vectors for one reason, and is taken out of both Pods before they are compared.

use std::collections::BTreeSet;

use e2e_tests::flyte_config::FlyteVersion;
use serde_json::{Value, json};

use crate::vector::Vector;

/// One form for what means the same to Kubernetes: Go's zero values, and lists whose order has no meaning.
pub fn canonical(pod: &mut Value) {
    drop_if(pod, "status", &json!({}));
    drop_if(&mut pod["metadata"], "creationTimestamp", &Value::Null);
    drop_if(&mut pod["metadata"], "annotations", &json!({}));
    drop_if(&mut pod["spec"], "containers", &Value::Null);
    drop_if(&mut pod["spec"], "containers", &json!([]));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if let Some(volumes) = pod["spec"].get_mut("volumes").and_then(Value::as_array_mut) {
        volumes.sort_by_key(|volume| text(&volume["name"]));
    }
    for container in containers(pod) {
        drop_if(container, "resources", &json!({}));
        if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
            mounts.sort_by_key(|mount| (text(&mount["mountPath"]), text(&mount["name"])));
        }
    }
}

fn drop_if(object: &mut Value, field: &str, zero: &Value) {
    if object.get(field) == Some(zero) {
        object.as_object_mut().unwrap().remove(field);
    }
}

pub fn names(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

pub fn containers(pod: &mut Value) -> impl Iterator<Item = &mut Value> {
    let spec = pod["spec"].as_object_mut().unwrap();
    spec.iter_mut()
        .filter(|(field, _)| matches!(field.as_str(), "initContainers" | "containers"))
        .flat_map(|(_, list)| list.as_array_mut().into_iter().flatten())
}

/// A difference that many vectors have in the same way. It is taken out of both Pods before they are compared.
pub struct Normalisation {
    pub id: &'static str,
    pub apply: fn(&Vector, flyte: &mut Value, policy: &mut Value),
}

pub const NORMALISATIONS: [Normalisation; 10] = [
    Normalisation {
        id: "memory-limit",
        apply: |vector, _, policy| {
            let own = names(&vector.pod["spec"]["volumes"]);
            let volumes = policy["spec"].get_mut("volumes").and_then(Value::as_array_mut);
            for volume in volumes.into_iter().flatten() {
                let name = volume["name"].as_str().unwrap_or_default().to_owned();
                if !own.contains(&name) && volume["emptyDir"] == json!({"medium": "Memory", "sizeLimit": "64Mi"}) {
                    volume["emptyDir"] = json!({"medium": "Memory"});
                }
            }
        },
    },
    Normalisation {
        id: "pull-policy",
        apply: |vector, _, policy| {
            for container in new_containers(vector, policy) {
                drop_if(container, "imagePullPolicy", &json!("IfNotPresent"));
            }
        },
    },
    Normalisation {
        id: "termination-message",
        apply: |vector, _, policy| {
            for container in new_containers(vector, policy) {
                drop_if(container, "terminationMessagePolicy", &json!("FallbackToLogsOnError"));
            }
        },
    },
    Normalisation {
        id: "variables-of-fetching-containers",
        apply: |vector, flyte, _| {
            let injected = vector.injected_variables();
            for container in new_containers(vector, flyte) {
                injected.iter().for_each(|name| remove_variable(container, name));
            }
        },
    },
    Normalisation {
        id: "one-container-fetches-all",
        apply: |vector, flyte, policy| {
            merge_fetching_containers(vector, flyte, flyte_files);
            merge_fetching_containers(vector, policy, policy_files);
        },
    },
    Normalisation {
        id: "vault-files-for-themselves",
        apply: |vector, _, policy| {
            let before = &vector.pod["metadata"]["annotations"];
            if let Some(annotations) = policy["metadata"].get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.retain(|key, value| {
                    let expected = [("secret-volume-path-", MOUNT_PATH), ("error-on-missing-key-", "true")];
                    !before[key.as_str()].is_null()
                        || !expected.iter().any(|(begin, wanted)| {
                            key.starts_with(&format!("vault.hashicorp.com/{begin}")) && value == *wanted
                        })
                });
            }
        },
    },
    Normalisation {
        id: "vault-ids-are-stable",
        apply: |vector, _, policy| number_vault_ids(vector, policy),
    },
    Normalisation {
        id: "env_var-is-honoured",
        apply: |vector, flyte, policy| {
            for name in vector.secrets.iter().map(|secret| secret.env_var.as_str()) {
                let honoured = own_containers(vector, policy).all(|container| copies(container, name) == 1);
                let dropped = containers(flyte).all(|container| {
                    let before = vector.own_container(container).map_or(0, |own| copies(own, name));
                    copies(container, name) == before
                });
                if !name.is_empty() && honoured && dropped {
                    containers(flyte).for_each(|container| remove_variable(container, name));
                    own_containers(vector, policy).for_each(|container| remove_variable(container, name));
                }
            }
        },
    },
    Normalisation {
        id: "v1-own-variables-stay",
        apply: |vector, flyte, policy| {
            if vector.version() == FlyteVersion::V1 {
                let injected = vector.injected_variables();
                for container in containers(flyte).chain(containers(policy)) {
                    let own = vector.own_container(container);
                    for name in injected
                        .iter()
                        .filter(|name| own.is_some_and(|own| copies(own, name) > 0))
                    {
                        remove_variable(container, name);
                    }
                }
            }
        },
    },
    Normalisation {
        id: "order-of-variables",
        apply: |vector, flyte, policy| {
            for container in containers(flyte).chain(containers(policy)) {
                if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut)
                    && (vector.version() == FlyteVersion::V1
                        || !env.iter().any(|variable| variable["value"].to_string().contains("$(")))
                {
                    env.sort_by_key(|variable| variable["name"].as_str().unwrap_or_default().to_owned());
                }
            }
        },
    },
];

impl Vector {
    /// The container as it was in the Pod that was asked about.
    pub fn own_container(&self, container: &Value) -> Option<&Value> {
        ["initContainers", "containers"]
            .iter()
            .flat_map(|list| self.pod["spec"][list].as_array().into_iter().flatten())
            .find(|own| own["name"] == container["name"])
    }

    /// The variables that Flyte's injectors know.
    pub fn injected_variables(&self) -> BTreeSet<String> {
        let prefix = self.settings()["envPrefix"].as_str().unwrap().to_owned();
        let mut names: BTreeSet<String> = ["DEFAULT_DIR", "FILE_PREFIX", "ENV_PREFIX"]
            .iter()
            .map(|name| format!("FLYTE_SECRETS_{name}"))
            .collect();
        for secret in &self.secrets {
            names.insert(format!("{prefix}{}_{}", secret.group, secret.key).to_uppercase());
            names.insert(secret.env_var.clone());
        }
        names
    }
}

/// The containers that are there to fetch secrets.
fn new_containers<'p>(vector: &'p Vector, pod: &'p mut Value) -> impl Iterator<Item = &'p mut Value> {
    containers(pod).filter(|container| vector.own_container(container).is_none())
}

/// Puts those containers of one manager that are equal but for what they fetch into the first of them, as the list of
/// what they fetch, where that can be told.
fn merge_fetching_containers(vector: &Vector, pod: &mut Value, files: fn(&str, &Value) -> Option<Vec<Value>>) {
    let Some(list) = pod["spec"].get_mut("initContainers").and_then(Value::as_array_mut) else {
        return;
    };
    let mut merged: Vec<Value> = Vec::new();
    for mut container in std::mem::take(list) {
        let name = container["name"].as_str().unwrap_or_default().to_owned();
        let manager = ["gcp-pull-secret", "azure-pull-secret", "init-embedded-secret"]
            .into_iter()
            .find(|manager| name.starts_with(manager));
        if let (Some(manager), None) = (manager, vector.own_container(&container))
            && let Some(files) = files(manager, &container)
        {
            for field in ["command", "args", "env"] {
                container.as_object_mut().unwrap().remove(field);
            }
            let rest = |container: &Value| {
                let mut container = container.clone();
                container["name"] = Value::Null;
                container["files"] = json!([]);
                container
            };
            let same = |first: &&mut Value| !first["files"].is_null() && rest(first) == rest(&container);
            if let Some(first) = merged.iter_mut().find(same) {
                first["files"].as_array_mut().unwrap().extend(files);
                continue;
            }
            container["files"] = Value::Array(files);
        }
        merged.push(container);
    }
    *list = merged;
}

/// What one of Flyte's containers fetches, if its command is the one that Flyte makes of names without shell syntax.
fn flyte_files(manager: &str, container: &Value) -> Option<Vec<Value>> {
    if manager == "init-embedded-secret" {
        let env = container["env"].as_array()?;
        let secrets = env.iter().find(|variable| variable["name"] == "SECRETS")?;
        let lines = secrets["value"].as_str()?.lines();
        return lines
            .map(|line| {
                line.split_once('=')
                    .map(|(name, value)| json!([format!("{MOUNT_PATH}/{name}"), value]))
            })
            .collect();
    }
    let command = container["command"][2].as_str()?;
    let words: Vec<&str> = command.split_whitespace().collect();
    let (secret, version, path) = if manager == "gcp-pull-secret" {
        let (secret, version) = words.get(4)?.rsplit_once("/versions/")?;
        (secret, version, words.get(5)?.strip_prefix("--out-file=")?)
    } else {
        let path = *words.last()?;
        let id = command.split("--id \"").nth(1)?.split('"').next()?;
        let (secret, version) = id.rsplit_once('/')?;
        (secret, version, path)
    };
    (command == flyte_command(manager, secret, version, path)).then(|| vec![json!([secret, version, path])])
}

/// The command that Flyte makes.
fn flyte_command(manager: &str, secret: &str, version: &str, path: &str) -> String {
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    if manager == "gcp-pull-secret" {
        return format!(
            "gcloud secrets versions access {secret}/versions/{version} --out-file={path} || gcloud secrets versions \
             access {version} --secret={secret} --out-file={path}; chmod +rX {directory} {path}"
        );
    }
    // The part that makes the directory is there for a version only.
    let make = if version.is_empty() {
        String::new()
    } else {
        format!("mkdir -p {directory}; ")
    };
    format!(
        "az login --service-principal -u $AZURE_CLIENT_ID -t $AZURE_TENANT_ID --federated-token \"$(cat \
         $AZURE_FEDERATED_TOKEN_FILE)\"; {make}az keyvault secret show --id \"{secret}/{version}\" --query \"value\" -o tsv \
         > {path}"
    )
}

/// What one of the policy's containers fetches.
fn policy_files(manager: &str, container: &Value) -> Option<Vec<Value>> {
    let words: Vec<&str> = container["args"]
        .as_array()?
        .iter()
        .map(|word| word.as_str().unwrap())
        .collect();
    // In front stands the script's name, or the directory of the files.
    let [_, words @ ..] = words.as_slice() else { return None };
    Some(match manager {
        "init-embedded-secret" => words.chunks(2).map(|file| json!(file)).collect(),
        // The fourth word would be the name of a variable.
        _ => words.chunks(4).map(|file| json!(file[..3])).collect(),
    })
}

const MOUNT_PATH: &str = "/etc/flyte/secrets";

const VAULT_ID_PREFIXES: [&str; 3] = ["file", "secret", "template"];

/// Numbers the identities of Vault's annotations as the vectors do, by what they ask for.
fn number_vault_ids(vector: &Vector, pod: &mut Value) {
    let before = &vector.pod["metadata"]["annotations"];
    let Some(annotations) = pod["metadata"].get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    let key = |kind: &str, id: &str| format!("vault.hashicorp.com/agent-inject-{kind}-{id}");
    let ids: BTreeSet<String> = annotations
        .keys()
        .filter(|known| before[known.as_str()].is_null())
        .filter_map(|known| {
            VAULT_ID_PREFIXES
                .iter()
                .find_map(|kind| known.strip_prefix(&key(kind, "")))
        })
        .map(str::to_owned)
        .collect();
    let mut groups: Vec<Vec<Option<Value>>> = ids
        .iter()
        .map(|id| {
            VAULT_ID_PREFIXES
                .iter()
                .map(|kind| annotations.remove(&key(kind, id)))
                .collect()
        })
        .collect();
    groups.sort_by_key(|values| {
        let text = |value: &Option<Value>| {
            value
                .as_ref()
                .map(|value| value.as_str().unwrap_or_default().to_owned())
        };
        values.iter().map(text).collect::<Vec<_>>()
    });
    for (number, values) in groups.into_iter().enumerate() {
        for (kind, value) in VAULT_ID_PREFIXES.iter().zip(values) {
            if let Some(value) = value {
                annotations.insert(key(kind, &format!("<ID{}>", number + 1)), value);
            }
        }
    }
}

/// The containers that the Pod had before.
fn own_containers<'p>(vector: &'p Vector, pod: &'p mut Value) -> impl Iterator<Item = &'p mut Value> {
    containers(pod).filter(|container| vector.own_container(container).is_some())
}

fn copies(container: &Value, name: &str) -> usize {
    let env = container["env"].as_array().into_iter().flatten();
    env.filter(|variable| variable["name"] == name).count()
}

fn remove_variable(container: &mut Value, name: &str) {
    let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) else {
        return;
    };
    env.retain(|variable| variable["name"] != name);
    if env.is_empty() {
        container.as_object_mut().unwrap().remove("env");
    }
}
