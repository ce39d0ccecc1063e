//! What Flyte's own code makes of a Pod, against what the policy makes of it; see `golden/README.md`.
//!
//! Every vector runs on the real module, with settings that [`flyte_config`] makes of the vector's configuration and
//! with Flyte's choices where the policy offers one. Where the results differ, `golden/differences.yaml` says why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::flyte_config::{self, FlyteVersion};
use e2e_tests::host::PolicyModule;
use e2e_tests::requests::{self, Request};
use e2e_tests::review::Review;
use e2e_tests::{modules, yaml};
use secret_injector_policy::names::Glob;
use secret_injector_policy::requests::base32;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Vector {
    name: String,
    level: Level,
    flyte_version: String,
    manager: String,
    managers: Option<Vec<String>>,
    config: Map<String, Value>,
    #[serde(default)]
    environment: Environment,
    pod: Value,
    secrets: Vec<Secret>,
    result: FlyteResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// One manager, one secret.
    Inject,
    /// The whole webhook.
    Mutate,
}

/// What the webhook's process has, and what its cluster holds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Environment {
    env: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    kubernetes_secrets: Vec<Value>,
    /// Stands for a Secret whose name is the MD5 of the key.
    secret_values: BTreeMap<String, StoredValue>,
    /// Values that the webhook has read before.
    cache: BTreeMap<String, StoredValue>,
    /// A provider of global secrets that answers every request so.
    global_provider_mock: Option<String>,
    fetch_error: Option<String>,
}

#[derive(Deserialize)]
struct StoredValue {
    string: Option<String>,
    binary_base64: Option<String>,
}

#[derive(Deserialize)]
struct Secret {
    group: String,
    group_version: String,
    key: String,
    mount_requirement: Value,
    env_var: String,
}

#[derive(Deserialize)]
struct FlyteResult {
    pod: Option<Value>,
    error: Option<String>,
}

/// What becomes of a Pod.
#[derive(Clone)]
enum Outcome {
    Admitted(Value),
    Rejected(String),
}

impl Vector {
    fn version(&self) -> FlyteVersion {
        match self.flyte_version.as_str() {
            "v1" => FlyteVersion::V1,
            _ => FlyteVersion::V2,
        }
    }

    fn managers(&self) -> Vec<&str> {
        match &self.managers {
            Some(managers) => managers.iter().map(String::as_str).collect(),
            None => vec![&self.manager],
        }
    }

    /// What Flyte does. Flyte 1 admits a Pod for which it has no secrets, without them; that is told as the error it is.
    fn flyte(&self) -> Outcome {
        match (&self.result.error, &self.result.pod) {
            (None, Some(pod)) => Outcome::Admitted(pod.clone()),
            (error, _) => Outcome::Rejected(error.clone().unwrap_or_default()),
        }
    }

    /// Settings with which the policy is to do what Flyte does.
    fn settings(&self) -> Value {
        let mut config = self.config.clone();
        let behind_global: Vec<&str> = self.managers().into_iter().filter(|name| *name != "Global").collect();
        match (self.version(), behind_global.first()) {
            (_, None) => _ = config.insert("secretManagerType".to_owned(), json!("Global")),
            (FlyteVersion::V1, Some(manager)) => _ = config.insert("secretManagerType".to_owned(), json!(manager)),
            (FlyteVersion::V2, _) => _ = config.insert("secretManagerTypes".to_owned(), json!(behind_global)),
        }
        let conversion = flyte_config::convert(&Value::Object(config), self.version()).unwrap();
        let mut settings = conversion.settings;
        settings["statusAnnotation"] = json!(false);
        settings["initContainers"] = json!("last");
        let managers = settings["managers"].as_array_mut().unwrap();
        if !self.managers().contains(&"Global") {
            managers.remove(0);
        }
        for manager in managers {
            match manager["type"].as_str().unwrap() {
                "global" => manager["authorize"] = json!("none"),
                "aws" | "gcp" | "azure" => manager["securityContext"] = json!({}),
                "flyte" => {
                    manager["securityContext"] = json!({});
                    manager["podNamespace"] = json!("any");
                    manager["organization"] = json!("any");
                }
                _ => {}
            }
        }
        settings
    }

    /// `pod` with annotations that ask for the secrets, and the keys of those that it did not have.
    fn asking(&self, mut pod: Value) -> (Value, Vec<String>) {
        let mut added = Vec::new();
        if !requests::annotations(&self.pod).is_empty() {
            return (pod, added);
        }
        for (index, secret) in self.secrets.iter().enumerate() {
            let key = format!("{}{index}", requests::ANNOTATION_PREFIX);
            pod["metadata"]["annotations"][&key] = json!(secret.encode());
            added.push(key);
        }
        (pod, added)
    }

    fn cluster(&self) -> Cluster {
        let environment = &self.environment;
        let mut objects = environment.kubernetes_secrets.clone();
        for object in &mut objects {
            object["apiVersion"] = json!("v1");
            object["kind"] = json!("Secret");
        }
        let mut add = |namespace: &str, name: &str, key: &str, value: &[u8]| {
            let known = objects
                .iter_mut()
                .find(|object| object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name);
            let data = json!(STANDARD.encode(value));
            match known {
                Some(object) if object["data"][key].is_null() => object["data"][key] = data,
                Some(_) => {}
                None => objects.push(json!({
                    "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
                    "data": {key: data},
                })),
            }
        };
        for secret in &self.secrets {
            // What no Secret can be called has no place in a cluster.
            if let Some(value) = self.global_value(secret)
                && secret_injector_policy::names::is_dns_subdomain(&secret.group)
                && secret_injector_policy::names::is_secret_key(&secret.key)
            {
                add(
                    flyte_config::GLOBAL_NAMESPACE,
                    &secret.group,
                    &secret.key,
                    value.as_bytes(),
                );
            }
        }
        let namespace = self.settings()["managers"]
            .as_array()
            .and_then(|managers| managers.iter().find(|manager| manager["type"] == "flyte"))
            .map_or_else(
                || "flyte".to_owned(),
                |manager| manager["namespace"].as_str().unwrap().to_owned(),
            );
        for (id, value) in environment.secret_values.iter().chain(&environment.cache) {
            let name = format!("{:x}", md5::compute(id));
            add(&namespace, &name, id, &value.bytes());
        }
        if let Some(message) = &environment.fetch_error {
            objects.push(json!({"apiVersion": "e2e-tests/v1", "kind": "Outage", "message": message}));
        }
        Cluster::from_yaml(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap()
    }

    /// The global secret in the webhook's variables or files.
    fn global_value(&self, secret: &Secret) -> Option<&String> {
        let environment = &self.environment;
        let setting = |name: &str, default: &'static str| {
            self.config
                .get("secrets")
                .and_then(|secrets| secrets[name].as_str())
                .unwrap_or(default)
                .to_owned()
        };
        let prefix = setting("env-prefix", "FLYTE_SECRET_");
        let directory = setting("secrets-prefix", "/etc/secrets");
        let variable = format!("{prefix}{}_{}", secret.group.to_uppercase(), secret.key.to_uppercase());
        let file = format!(
            "{directory}/{}/{}",
            secret.group.to_lowercase(),
            secret.key.to_lowercase()
        );
        let mock = environment.global_provider_mock.as_ref();
        mock.or_else(|| environment.env.get(&variable))
            .or_else(|| environment.files.get(&file))
    }

    /// What the policy makes of `pod` with the vector's requests.
    fn policy(&self, policy: &PolicyModule, pod: &Value) -> Outcome {
        self.policy_with(policy, &self.settings(), pod)
    }

    fn policy_with(&self, policy: &PolicyModule, settings: &Value, pod: &Value) -> Outcome {
        let host = Host::new(self.cluster(), Grants::all_of_the_policy().unwrap());
        let validity = policy.validate_settings(&host, settings).unwrap();
        if !validity.valid {
            return Outcome::Rejected(format!("settings: {}", validity.message.unwrap_or_default()));
        }
        let (pod, added) = self.asking(pod.clone());
        let evaluation = policy.validate(&host, &Review::of_pod(pod.clone()).request, settings);
        assert_eq!(evaluation.failure, None, "{}", self.name);
        let response = evaluation.response;
        if !response.allowed {
            return Outcome::Rejected(response.message().to_owned());
        }
        let mut pod = response.patched(&pod).unwrap();
        for key in added {
            pod["metadata"]["annotations"].as_object_mut().unwrap().remove(&key);
        }
        Outcome::Admitted(pod)
    }
}

impl Secret {
    fn encode(&self) -> String {
        let named = serde_json::from_value(self.mount_requirement.clone());
        let request = Request {
            group: self.group.clone(),
            group_version: self.group_version.clone(),
            key: self.key.clone(),
            mount_requirement: named.unwrap_or_default(),
            env_var: self.env_var.clone(),
        };
        let mut text = request.to_text();
        if let Value::Number(number) = &self.mount_requirement {
            text.push_str(&format!("mount_requirement: {number}\n"));
        }
        base32::encode(text.as_bytes())
    }
}

impl StoredValue {
    fn bytes(&self) -> Vec<u8> {
        match (self.string.as_deref().unwrap_or_default(), &self.binary_base64) {
            ("", Some(binary)) => STANDARD.decode(binary).unwrap(),
            (text, _) => text.as_bytes().to_vec(),
        }
    }
}

/// One form for what means the same to Kubernetes: Go's zero values, and lists whose order has no meaning.
fn canonical(pod: &mut Value) {
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

fn names(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items
        .map(|item| item["name"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn containers(pod: &mut Value) -> impl Iterator<Item = &mut Value> {
    let spec = pod["spec"].as_object_mut().unwrap();
    spec.iter_mut()
        .filter(|(field, _)| matches!(field.as_str(), "initContainers" | "containers"))
        .flat_map(|(_, list)| list.as_array_mut().into_iter().flatten())
}

/// A difference that many vectors have in the same way. It is taken out of both Pods before they are compared.
struct Normalisation {
    id: &'static str,
    apply: fn(&Vector, flyte: &mut Value, policy: &mut Value),
}

const NORMALISATIONS: [Normalisation; 11] = [
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
        id: "vault-fields-are-text",
        apply: |vector, _, policy| {
            let before = &vector.pod["metadata"]["annotations"];
            let Some(annotations) = policy["metadata"].get_mut("annotations").and_then(Value::as_object_mut) else {
                return;
            };
            for (_, value) in annotations.iter_mut().filter(|(key, _)| before[key.as_str()].is_null()) {
                let text = value.as_str().unwrap_or_default();
                let check = text.split_once("{{ if sprig_has (sprig_kindOf ");
                if let Some((begin, (_, end))) =
                    check.and_then(|(begin, rest)| Some((begin, rest.split_once("{{ end }}")?)))
                {
                    *value = format!("{begin}{end}").into();
                }
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
    fn own_container(&self, container: &Value) -> Option<&Value> {
        ["initContainers", "containers"]
            .iter()
            .flat_map(|list| self.pod["spec"][list].as_array().into_iter().flatten())
            .find(|own| own["name"] == container["name"])
    }

    /// The variables that Flyte's injectors know.
    fn injected_variables(&self) -> BTreeSet<String> {
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

/// `golden/differences.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Differences {
    normalisations: Vec<Reason>,
    differences: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    id: String,
    reason: String,
}

/// Vectors whose results differ for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    id: String,
    reason: String,
    /// What becomes of the Pods in Flyte, and here.
    flyte: Verdict,
    policy: Verdict,
    /// Names, or patterns with `*` and `?`. They stand for those vectors only that have the two verdicts.
    vectors: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Admitted,
    Rejected,
}

impl Outcome {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Admitted(_) => Verdict::Admitted,
            Self::Rejected(_) => Verdict::Rejected,
        }
    }
}

/// Two outcomes, compared.
struct Comparison {
    name: String,
    verdicts: (Verdict, Verdict),
    /// Nothing where they are equal.
    difference: Option<String>,
    /// The normalisations without which they would differ.
    needed: BTreeSet<&'static str>,
}

impl Comparison {
    fn new(vector: &Vector, flyte: &Outcome, policy: &Outcome) -> Self {
        let all: Vec<&Normalisation> = NORMALISATIONS.iter().collect();
        let difference = difference(vector, flyte, policy, &all);
        let mut needed = BTreeSet::new();
        if difference.is_none() {
            for normalisation in &NORMALISATIONS {
                let others: Vec<&Normalisation> =
                    all.iter().copied().filter(|one| one.id != normalisation.id).collect();
                if self::difference(vector, flyte, policy, &others).is_some() {
                    needed.insert(normalisation.id);
                }
            }
        }
        Self {
            name: vector.name.clone(),
            verdicts: (flyte.verdict(), policy.verdict()),
            difference,
            needed,
        }
    }

    fn fits(&self, difference: &Difference, pattern: &str) -> bool {
        self.verdicts == (difference.flyte, difference.policy) && Glob::new(pattern).fits(&self.name)
    }
}

fn difference(vector: &Vector, flyte: &Outcome, policy: &Outcome, normalisations: &[&Normalisation]) -> Option<String> {
    match (flyte, policy) {
        (Outcome::Rejected(_), Outcome::Rejected(_)) => None,
        (Outcome::Admitted(_), Outcome::Rejected(message)) => Some(format!("the policy rejects it: {message}")),
        (Outcome::Rejected(message), Outcome::Admitted(_)) => Some(format!("Flyte rejects it: {message}")),
        (Outcome::Admitted(flyte), Outcome::Admitted(policy)) => {
            let (mut flyte, mut policy) = (flyte.clone(), policy.clone());
            for normalisation in normalisations {
                (normalisation.apply)(vector, &mut flyte, &mut policy);
            }
            canonical(&mut flyte);
            canonical(&mut policy);
            (flyte != policy).then(|| format!("from Flyte's Pod to the policy's: {}", changes(&flyte, &policy)))
        }
    }
}

/// The JSON patch from one Pod to the other, long texts cut.
fn changes(from: &Value, to: &Value) -> String {
    let mut patch = serde_json::to_value(json_patch::diff(from, to)).unwrap();
    for operation in patch.as_array_mut().unwrap() {
        if let Some(text) = operation["value"].as_str().filter(|text| text.len() > 200) {
            let cut: String = text.chars().take(200).collect();
            operation["value"] = json!(format!("{cut}…"));
        }
    }
    patch.to_string()
}

/// What the API server would find wrong with a Pod.
fn problems(pod: &Value) -> BTreeSet<String> {
    let mut problems = BTreeSet::new();
    let volumes = names(&pod["spec"]["volumes"]);
    let mut containers = names(&pod["spec"]["initContainers"]);
    containers.extend(names(&pod["spec"]["containers"]));
    for (kind, names) in [("volume", &volumes), ("container", &containers)] {
        for (index, name) in names.iter().enumerate() {
            if !secret_injector_policy::names::is_dns_label(name) {
                problems.insert(format!("the {kind} {name:?} has an invalid name"));
            }
            if names[..index].contains(name) {
                problems.insert(format!("two {kind}s are called {name:?}"));
            }
        }
    }
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let mut paths = BTreeSet::new();
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                let path = mount["mountPath"].as_str().unwrap_or_default();
                if !paths.insert(path) {
                    problems.insert(format!("{} has two mounts at {path:?}", container["name"]));
                }
                if !volumes.iter().any(|volume| mount["name"] == *volume) {
                    problems.insert(format!(
                        "{} mounts {}, which is no volume",
                        container["name"], mount["name"]
                    ));
                }
            }
            for variable in names(&container["env"]) {
                if !secret_injector_policy::names::is_variable(&variable) {
                    problems.insert(format!("{} has the variable {variable:?}", container["name"]));
                }
            }
        }
    }
    problems
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn differences() -> Differences {
    let text = fs::read_to_string(golden().join("differences.yaml")).unwrap();
    let document = yaml::to_json(&yaml::documents(&text).unwrap()[0]).unwrap();
    serde_json::from_value(document).unwrap()
}

fn vectors() -> Vec<Vector> {
    let mut files: Vec<PathBuf> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("inject_") || name.starts_with("mutate_")
    });
    files.sort();
    let vectors: Vec<Vector> = files
        .iter()
        .flat_map(|file| serde_json::from_slice::<Vec<Vector>>(&fs::read(file).unwrap()).unwrap())
        .collect();
    assert_eq!(vectors.len(), ALL_VECTORS, "all vectors were read");
    vectors
}

const ALL_VECTORS: usize = 1268;

#[test]
fn the_policy_does_what_flyte_does() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let mut wrong = Vec::new();
    let mut comparisons = Vec::new();
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for vector in vectors() {
        let outcome = vector.policy(&policy, &vector.pod);
        if let Outcome::Admitted(pod) = &outcome {
            let new: Vec<String> = problems(pod).difference(&problems(&vector.pod)).cloned().collect();
            if !new.is_empty() {
                wrong.push(format!("{}: the Pod is not valid: {}", vector.name, new.join("; ")));
            }
            match vector.policy(&policy, pod) {
                Outcome::Admitted(second) if second == *pod => {}
                Outcome::Admitted(second) => {
                    wrong.push(format!(
                        "{}: not idempotent: {}",
                        vector.name,
                        json_patch::diff(pod, &second)
                    ));
                }
                Outcome::Rejected(message) => {
                    wrong.push(format!("{}: rejects its own output: {message}", vector.name));
                }
            }
        }
        let comparison = Comparison::new(&vector, &vector.flyte(), &outcome);
        let count = counts
            .entry(format!(
                "{} {:?} {}",
                vector.flyte_version, vector.level, vector.manager
            ))
            .or_default();
        match &comparison.difference {
            None => count.0 += 1,
            Some(_) => count.1 += 1,
        }
        comparisons.push(comparison);
    }
    for (kind, (equal, different)) in &counts {
        println!("{kind}: {equal} equal, {different} different");
    }
    wrong.extend(wrong_in_list(&differences(), &comparisons));
    assert!(wrong.is_empty(), "{}\n\n{} findings", wrong.join("\n"), wrong.len());
}

/// What `differences.yaml` says and the vectors do not show, and the other way round.
fn wrong_in_list(list: &Differences, comparisons: &[Comparison]) -> Vec<String> {
    let mut wrong = Vec::new();
    for comparison in comparisons {
        let listed: Vec<&str> = list
            .differences
            .iter()
            .filter(|entry| entry.vectors.iter().any(|pattern| comparison.fits(entry, pattern)))
            .map(|entry| entry.id.as_str())
            .collect();
        match (&comparison.difference, listed.as_slice()) {
            (None, []) | (Some(_), [_]) => {}
            (Some(text), []) => wrong.push(format!("{}: not listed: {text}", comparison.name)),
            (None, ids) => wrong.push(format!(
                "{}: listed under {}, but equal",
                comparison.name,
                ids.join(", ")
            )),
            (Some(_), ids) => wrong.push(format!("{}: listed under {}", comparison.name, ids.join(" and "))),
        }
    }
    for entry in &list.differences {
        for pattern in &entry.vectors {
            if !comparisons.iter().any(|comparison| comparison.fits(entry, pattern)) {
                wrong.push(format!("{}: no such vector: {pattern}", entry.id));
            }
        }
    }
    let named: Vec<&str> = list.normalisations.iter().map(|reason| reason.id.as_str()).collect();
    let known: Vec<&str> = NORMALISATIONS.iter().map(|one| one.id).collect();
    if named != known {
        wrong.push(format!("normalisations: listed are {named:?}, done are {known:?}"));
    }
    for id in known {
        if !comparisons.iter().any(|comparison| comparison.needed.contains(id)) {
            wrong.push(format!("{id}: no vector needs it"));
        }
    }
    wrong
}

const BEGIN: &str = "<!-- made of e2e-tests/golden/differences.yaml: begin -->\n";
const END: &str = "<!-- end -->\n";

/// Set it to let the test write the section of `docs/reference/flyte-differences.md` instead of comparing it.
const BLESS_VARIABLE: &str = "GOLDEN_BLESS";

#[test]
fn the_documentation_lists_the_differences() {
    let path = modules::repository().join("docs/reference/flyte-differences.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the beginning is marked");
    let (_, after) = rest.split_once(END).expect("the end is marked");
    let expected = format!("{before}{BEGIN}{}{END}{after}", section(&differences()));
    if std::env::var_os(BLESS_VARIABLE).is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        text == expected,
        "docs/reference/flyte-differences.md is not what differences.yaml says; run {BLESS_VARIABLE}=1 cargo test -p e2e-tests \
         --test golden"
    );
}

fn section(list: &Differences) -> String {
    let mut text = "\n### In many vectors\n\n| Name | What is different, and why |\n|---|---|\n".to_owned();
    for reason in &list.normalisations {
        text.push_str(&format!("| {} | {} |\n", reason.id, reason.reason));
    }
    for (title, verdicts) in [
        (
            "### Both admit the Pod, and it looks different",
            (Verdict::Admitted, Verdict::Admitted),
        ),
        (
            "### Flyte admits the Pod, the policy rejects it",
            (Verdict::Admitted, Verdict::Rejected),
        ),
        (
            "### Flyte rejects the Pod, the policy admits it",
            (Verdict::Rejected, Verdict::Admitted),
        ),
    ] {
        text.push_str(&format!(
            "\n{title}\n\n| Name | What is different, and why | Vectors |\n|---|---|---|\n"
        ));
        for entry in list
            .differences
            .iter()
            .filter(|entry| (entry.flyte, entry.policy) == verdicts)
        {
            let vectors: Vec<String> = entry.vectors.iter().map(|vector| format!("`{vector}`")).collect();
            text.push_str(&format!(
                "| {} | {} | {} |\n",
                entry.id,
                entry.reason,
                vectors.join(", ")
            ));
        }
    }
    text.push('\n');
    text
}

/// What the tables of `docs/reference/flyte-differences.md` name as evidence: groups of differences in italics, vectors as code,
/// cases of `tests/policy/` in quotes.
#[test]
fn the_documentation_cites_what_there_is() {
    let text = fs::read_to_string(modules::repository().join("docs/reference/flyte-differences.md")).unwrap();
    let (_, tables) = text.split_once("\n## Where Flyte is wrong\n").unwrap();
    let (tables, _) = tables.split_once(BEGIN).expect("the beginning is marked");
    let list = differences();
    let groups: BTreeSet<&str> = list
        .differences
        .iter()
        .map(|entry| entry.id.as_str())
        .chain(NORMALISATIONS.iter().map(|one| one.id))
        .collect();
    let vectors: Vec<String> = vectors().into_iter().map(|vector| vector.name).collect();
    let cases = policy_cases();
    let mut cited = BTreeSet::new();
    for evidence in tables
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(last_cell)
    {
        let plain: String = evidence.split('`').step_by(2).collect();
        for group in between(&plain, '*') {
            assert!(groups.contains(group), "no group of differences is called {group:?}");
            cited.insert(group.to_owned());
        }
        for vector in between(evidence, '`').filter(|text| text.starts_with('v') && text.contains('/')) {
            assert!(
                vectors.iter().any(|name| Glob::new(vector).fits(name)),
                "no vector is called {vector:?}"
            );
            cited.insert(vector.to_owned());
        }
        for case in between(&plain, '"') {
            assert!(cases.contains(case), "no case of tests/policy is called {case:?}");
            cited.insert(case.to_owned());
        }
    }
    assert!(cited.len() > 40, "the evidence was found: {cited:?}");
    assert!(
        text.contains(&format!(" {ALL_VECTORS} Pods ")),
        "the number of vectors is right"
    );
}

/// The last cell of a table's row.
fn last_cell(row: &str) -> Option<&str> {
    row.trim_end_matches('|').rsplit(" | ").next()
}

/// The texts between two of `mark`.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

fn policy_cases() -> BTreeSet<String> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policy");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .flat_map(|file| yaml::documents(&fs::read_to_string(file).unwrap()).unwrap())
        .map(|case| {
            case.get("case")
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

#[test]
fn by_default_the_pods_own_init_containers_and_sidecars_find_the_files() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let mut managers = BTreeSet::new();
    for vector in vectors() {
        let fetches = ["AWS", "GCP", "Azure", "Embedded"].contains(vector.managers().last().unwrap());
        if !vector.name.contains("mutate/pods/") || !vector.name.ends_with("/native-sidecar") || !fetches {
            continue;
        }
        let mut settings = vector.settings();
        settings.as_object_mut().unwrap().remove("initContainers");
        let Outcome::Admitted(pod) = vector.policy_with(&policy, &settings, &vector.pod) else {
            panic!("{}: rejected", vector.name);
        };
        let init_containers = pod["spec"]["initContainers"].as_array().unwrap();
        let own: Vec<bool> = init_containers
            .iter()
            .map(|container| vector.own_container(container).is_some())
            .collect();
        assert!(
            own.is_sorted() && own.starts_with(&[false]) && own.ends_with(&[true]),
            "{}: {own:?}",
            vector.name
        );
        managers.extend(vector.managers().last().map(|manager| (*manager).to_owned()));
    }
    assert_eq!(managers.len(), 4, "{managers:?}");
}
