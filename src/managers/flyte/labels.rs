//! The labels of a Pod from which Flyte 2 makes the names of its secrets.

use crate::digest;
use crate::json::text_in;
use crate::managers::manager::{NotServed, not_found};
use crate::managers::placeholders;
use crate::pod::Pod;

pub(super) const ORGANIZATION: &str = "organization";
pub(super) const DOMAIN: &str = "domain";
pub(super) const PROJECT: &str = "project";

/// The values of the labels that Flyte puts on its Pods, as one Pod has them; empty where it has none.
pub(super) struct PodLabels([String; 3]);

impl PodLabels {
    /// Reads the labels of a Pod. All are empty where those cannot be read.
    pub(super) fn read(pod: &Pod<'_>) -> Self {
        let labels = pod.labels().unwrap_or_default().into();
        Self([ORGANIZATION, DOMAIN, PROJECT].map(|name| text_in(&labels, name).to_owned()))
    }

    /// Returns the labels, of which any may be empty.
    pub(super) fn labels(&self) -> Labels<'_> {
        let Self([organization, domain, project]) = self;
        Labels {
            organization,
            domain,
            project,
        }
    }
}

/// The values of these labels: all of them, or those of a wider scope, where the rest is empty.
#[derive(Default, Clone, Copy)]
pub(super) struct Labels<'l> {
    pub organization: &'l str,
    pub domain: &'l str,
    pub project: &'l str,
}

impl<'l> Labels<'l> {
    /// Returns the labels of a Pod.
    ///
    /// # Errors
    /// When one is missing.
    pub(super) fn of(pod: &'l PodLabels) -> Result<Self, NotServed> {
        for (name, value) in [ORGANIZATION, DOMAIN, PROJECT].into_iter().zip(&pod.0) {
            if value.is_empty() {
                return Err(not_found!(
                    "the Pod has no label {name:?}; it needs the labels organization, project and domain, as Flyte 2 sets \
                     them"
                ));
            }
        }
        Ok(pod.labels())
    }

    /// Returns `template` with the labels in place of its placeholders.
    ///
    /// # Errors
    /// As [`placeholders::expand`].
    pub(super) fn expand(&self, template: &str) -> Result<String, String> {
        placeholders::expand(
            template,
            &[
                (ORGANIZATION, self.organization.to_owned()),
                (DOMAIN, self.domain.to_owned()),
                (PROJECT, self.project.to_owned()),
            ],
        )
    }

    /// Returns the scopes of a secret, from the closest to the widest.
    pub(super) fn scopes(self) -> [(&'static str, Self); 3] {
        let domain = Self { project: "", ..self };
        let organization = Self { domain: "", ..domain };
        [("project", self), ("domain", domain), ("organization", organization)]
    }

    /// Returns what Flyte calls the secret `key` in its store.
    pub(super) fn secret_id(&self, key: &str) -> String {
        format!(
            "u__org__{}__domain__{}__project__{}__key__{key}",
            self.organization, self.domain, self.project
        )
    }

    /// Returns what Flyte calls the Secret for image pulls that goes with the secret `key`.
    pub(super) fn pull_secret(&self, key: &str) -> String {
        let text = format!("{}:{}:{}:{key}", self.organization, self.domain, self.project);
        format!("img-pull-{}", digest::sha256_prefix(text.as_bytes()))
    }
}

/// Returns the name of the Secret that holds the secret `id`.
pub(super) fn secret_name(id: &str) -> String {
    digest::md5(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The names that Flyte's own code makes.
    #[test]
    fn names_are_flytes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e-tests/golden/secret_names.json");
        let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut checked = 0;
        for vector in &vectors {
            let [input, output] = [&vector["in"], &vector["out"]];
            let (Some(id), Some(organization)) = (output["secret_id"].as_str(), input["org"].as_str()) else {
                continue;
            };
            let labels = Labels {
                organization,
                domain: input["domain"].as_str().unwrap(),
                project: input["project"].as_str().unwrap(),
            };
            let key = input["name"].as_str().unwrap();
            assert_eq!(labels.secret_id(key), id, "{vector}");
            assert_eq!(secret_name(id), output["k8s_secret_name"].as_str().unwrap());
            assert_eq!(labels.pull_secret(key), output["image_pull_name"].as_str().unwrap());
            checked += 1;
        }
        assert_eq!(checked, 9, "of {}", vectors.len());
    }
}
