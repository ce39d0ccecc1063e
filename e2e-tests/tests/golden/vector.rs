//! A vector: a Pod, what Flyte was set up to do, and what became of the Pod. It runs on the policy with the same secrets.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::flyte_config::FlyteVersion;
use e2e_tests::host::PolicyModule;
use e2e_tests::requests::Request;
use e2e_tests::review::Review;
use e2e_tests::{flyte_config, requests};
use secret_injector_policy::requests::base32;
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
pub struct Vector {
    pub name: String,
    pub level: Level,
    pub flyte_version: String,
    pub manager: String,
    pub managers: Option<Vec<String>>,
    pub config: Map<String, Value>,
    #[serde(default)]
    pub environment: Environment,
    pub pod: Value,
    pub secrets: Vec<Secret>,
    pub result: FlyteResult,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// One manager, one secret.
    Inject,
    /// The whole webhook.
    Mutate,
}

/// What the webhook's process has, and what its cluster holds.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Environment {
    pub env: BTreeMap<String, String>,
    pub files: BTreeMap<String, String>,
    pub kubernetes_secrets: Vec<Value>,
    /// Stands for a Secret whose name is the MD5 of the key.
    pub secret_values: BTreeMap<String, StoredValue>,
    /// Values that the webhook has read before.
    pub cache: BTreeMap<String, StoredValue>,
    /// A provider of global secrets that answers every request so.
    pub global_provider_mock: Option<String>,
    pub fetch_error: Option<String>,
}

#[derive(Deserialize)]
pub struct StoredValue {
    pub string: Option<String>,
    binary_base64: Option<String>,
}

#[derive(Deserialize)]
pub struct Secret {
    pub group: String,
    pub group_version: String,
    pub key: String,
    pub mount_requirement: Value,
    pub env_var: String,
}

#[derive(Deserialize)]
pub struct FlyteResult {
    pub pod: Option<Value>,
    pub error: Option<String>,
}

/// What becomes of a Pod.
#[derive(Clone)]
pub enum Outcome {
    Admitted(Value),
    Rejected(String),
}

impl Vector {
    pub fn version(&self) -> FlyteVersion {
        match self.flyte_version.as_str() {
            "v1" => FlyteVersion::V1,
            _ => FlyteVersion::V2,
        }
    }

    pub fn managers(&self) -> Vec<&str> {
        match &self.managers {
            Some(managers) => managers.iter().map(String::as_str).collect(),
            None => vec![&self.manager],
        }
    }

    /// What Flyte does. Flyte 1 admits a Pod for which it has no secrets, without them; that is told as the error it is.
    pub fn flyte(&self) -> Outcome {
        match (&self.result.error, &self.result.pod) {
            (None, Some(pod)) => Outcome::Admitted(pod.clone()),
            (error, _) => Outcome::Rejected(error.clone().unwrap_or_default()),
        }
    }

    /// Settings with which the policy is to do what Flyte does.
    pub fn settings(&self) -> Value {
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
    pub fn asking(&self, mut pod: Value) -> (Value, Vec<String>) {
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

    pub fn cluster(&self) -> Cluster {
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
    pub fn global_value(&self, secret: &Secret) -> Option<&String> {
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
    pub fn policy(&self, policy: &PolicyModule, pod: &Value) -> Outcome {
        self.policy_with(policy, &self.settings(), pod)
    }

    pub fn policy_with(&self, policy: &PolicyModule, settings: &Value, pod: &Value) -> Outcome {
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
    pub fn encode(&self) -> String {
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
    pub fn bytes(&self) -> Vec<u8> {
        match (self.string.as_deref().unwrap_or_default(), &self.binary_base64) {
            ("", Some(binary)) => STANDARD.decode(binary).unwrap(),
            (text, _) => text.as_bytes().to_vec(),
        }
    }
}
