//! The settings of a policy, from where an operator has them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::yaml::{self, YamlError};

/// The types of managers that there are: the tests go through all of them.
pub const MANAGERS: [&str; 10] = [
    "kubernetes",
    "global",
    "vault",
    "aws",
    "gcp",
    "azure",
    "confidant",
    "csi",
    "flyte",
    "template",
];

/// Why a file has no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read the settings {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not YAML.
    #[error("the settings are {0}")]
    Yaml(#[from] YamlError),
    /// It has several documents, of which no single one is a policy.
    #[error(
        "expected one document with settings, or one policy among the documents, found {documents} documents with {policies} policies"
    )]
    Count {
        /// How many documents it has.
        documents: usize,
        /// How many of them are policies.
        policies: usize,
    },
}

/// The settings in a file: see [`from_text`].
pub fn from_file(path: impl AsRef<Path>) -> Result<Value, SettingsError> {
    let path = path.as_ref();
    let text = fs::read_to_string(path).map_err(|source| SettingsError::Read {
        path: path.to_owned(),
        source,
    })?;
    from_text(&text)
}

/// The settings in a text: the settings themselves, or a ClusterAdmissionPolicy or AdmissionPolicy whose `spec.settings`
/// they are. Nothing is no settings.
pub fn from_text(text: &str) -> Result<Value, SettingsError> {
    let mut documents = yaml::documents(text)?
        .iter()
        .map(yaml::to_json)
        .collect::<Result<Vec<_>, _>>()?;
    let count = documents.len();
    if count > 1 {
        documents.retain(is_policy);
    }
    match documents.as_slice() {
        [] if count == 0 => Ok(json!({})),
        [policy] if is_policy(policy) => Ok(of_policy(policy)),
        [settings] => Ok(settings.clone()),
        policies => Err(SettingsError::Count {
            documents: count,
            policies: policies.len(),
        }),
    }
}

/// Returns the settings of a policy's object.
pub(crate) fn of_policy(policy: &Value) -> Value {
    match &policy["spec"]["settings"] {
        Value::Null => json!({}),
        settings => settings.clone(),
    }
}

/// Returns true if an object is a ClusterAdmissionPolicy or an AdmissionPolicy.
pub(crate) fn is_policy(document: &Value) -> bool {
    let api_version = document["apiVersion"].as_str().unwrap_or_default();
    let kind = document["kind"].as_str().unwrap_or_default();
    api_version.starts_with("policies.kubewarden.io/") && kind.ends_with("AdmissionPolicy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_where_they_are() {
        let policy = "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nspec: {settings: {a: 1}}\n";
        for (text, expected) in [
            ("", json!({})),
            ("a: 1", json!({"a": 1})),
            (policy, json!({"a": 1})),
            (&format!("kind: Namespace\n---\n{policy}"), json!({"a": 1})),
            (
                "apiVersion: policies.kubewarden.io/v1\nkind: AdmissionPolicy\nspec: {}\n",
                json!({}),
            ),
        ] {
            assert_eq!(from_text(text).unwrap(), expected, "{text}");
        }
        let error = from_text("a: 1\n---\nmanagers: []\n").unwrap_err().to_string();
        assert!(error.ends_with("found 2 documents with 0 policies"), "{error}");
    }
}
