//! Flyte's annotations from readable requests, and back: what `preview encode` and `preview decode` do.

use std::fmt::Write;

use secret_injector_policy::requests::{self as policy, base32, flyte};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::yaml::{self, Yaml, YamlError};

/// What Flyte's annotations start with; a number follows.
pub const ANNOTATION_PREFIX: &str = "flyte.secrets/s";
/// The label that Flyte puts on Pods which have such annotations.
pub const LABEL: (&str, &str) = ("inject-flyte-secrets", "true");

/// Why requests cannot be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// They are not YAML.
    #[error("the requests are {0}")]
    Yaml(#[from] YamlError),
    /// They are not a list of requests.
    #[error("the requests: {0}")]
    Form(#[from] serde_json::Error),
    /// One of them is no mapping.
    #[error("the requests: item {0} is no request, which is a mapping such as {{group: db, key: password}}")]
    NoRequest(usize),
    /// A value is none that Flyte makes.
    #[error("{name}: {message}")]
    Decode {
        /// The annotation, or the value itself.
        name: String,
        /// What is wrong with it.
        message: String,
    },
}

/// A request for a secret, in its JSON form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Request {
    /// The group, in Kubernetes the Secret.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The group's version.
    #[serde(alias = "group_version", skip_serializing_if = "String::is_empty")]
    pub group_version: String,
    /// The key within the group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// How the container is to get it.
    #[serde(alias = "mount_requirement")]
    pub mount_requirement: MountRequirement,
    /// A further variable to hold the value, or the path.
    #[serde(alias = "env_var", skip_serializing_if = "String::is_empty")]
    pub env_var: String,
}

/// How a container gets a secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MountRequirement {
    /// As the manager sees fit.
    #[default]
    Any,
    /// As a variable.
    EnvVar,
    /// As a file.
    File,
}

impl Request {
    /// The request as a protobuf message in text format, byte for byte as Flyte writes it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        push_string(&mut text, "group", &self.group);
        push_string(&mut text, "group_version", &self.group_version);
        push_string(&mut text, "key", &self.key);
        match self.mount_requirement {
            MountRequirement::Any => {}
            MountRequirement::EnvVar => text.push_str("mount_requirement: ENV_VAR\n"),
            MountRequirement::File => text.push_str("mount_requirement: FILE\n"),
        }
        push_string(&mut text, "env_var", &self.env_var);
        text
    }

    /// The value of the annotation that Flyte makes of the request.
    pub fn encode(&self) -> String {
        base32::encode(self.to_text().as_bytes())
    }
}

impl From<flyte::DecodedSecret> for Request {
    fn from(secret: flyte::DecodedSecret) -> Self {
        Self {
            group: secret.group,
            group_version: secret.group_version,
            key: secret.key,
            mount_requirement: match secret.mount {
                policy::MountRequirement::Any => MountRequirement::Any,
                policy::MountRequirement::EnvVar => MountRequirement::EnvVar,
                policy::MountRequirement::File => MountRequirement::File,
            },
            env_var: secret.env_var,
        }
    }
}

/// The request in one of Flyte's annotations, decoded as the policy decodes it. `name` is for the error.
pub fn decode(name: &str, value: &str) -> Result<Request, RequestError> {
    flyte::decode(value)
        .map(Request::from)
        .map_err(|error| RequestError::Decode {
            name: name.to_owned(),
            message: error.to_string(),
        })
}

/// The requests in a text: a list of them in YAML or JSON, or a single one.
pub fn from_text(text: &str) -> Result<Vec<Request>, RequestError> {
    let mut requests = Vec::new();
    for document in yaml::documents(text)? {
        requests.extend(from_document(&document)?);
    }
    Ok(requests)
}

/// The requests in a document: a list of them, or a single one.
///
/// # Errors
/// A document that is neither.
pub fn from_document(document: &Yaml) -> Result<Vec<Request>, RequestError> {
    let items = match yaml::to_json(document)? {
        Value::Array(items) => items,
        request => vec![request],
    };
    let requests = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| match item.is_object() {
            true => Ok(Request::deserialize(item)?),
            false => Err(RequestError::NoRequest(index + 1)),
        });
    requests.collect()
}

/// The labels and annotations that ask for `requests`, as the part of a Pod's manifest that holds them.
pub fn manifest(requests: &[Request]) -> String {
    let mut text = format!(
        "metadata:\n  labels:\n    {}: \"{}\"\n  annotations:\n",
        LABEL.0, LABEL.1
    );
    for (index, request) in requests.iter().enumerate() {
        text.push_str(&format!("    {ANNOTATION_PREFIX}{index}: {}\n", request.encode()));
    }
    text
}

/// The values of Flyte's annotations in `pod`, with their keys, in Flyte's order.
pub fn annotations(pod: &Value) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = pod["metadata"]["annotations"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(ANNOTATION_PREFIX))
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    found.sort_by_key(|(key, _)| key[ANNOTATION_PREFIX.len()..].parse().unwrap_or(u64::MAX));
    found
}

fn push_string(text: &mut String, field: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    text.push_str(field);
    text.push_str(": \"");
    for byte in value.bytes() {
        match byte {
            b'"' => text.push_str("\\\""),
            b'\\' => text.push_str("\\\\"),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            // Writing to a String does not fail.
            _ => _ = write!(text, "\\{byte:03o}"),
        }
    }
    text.push_str("\"\n");
}
