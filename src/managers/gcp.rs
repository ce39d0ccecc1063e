//! Google Cloud's Secret Manager: an init container that fetches all of the Pod's secrets with `gcloud`.
//!
//! Volume, path and image are those of Flyte's
//! [GCP injector](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/gcp_secret_manager.go): the
//! group is the secret, the group version its version, the key plays no part.

#![forbid(unsafe_code)]

use crate::injection::{Fetch, FetchContainer, Fetched, Fetcher, Injection};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::fetching::{self, ContainerSettings};
use crate::managers::manager::{Manager, Miss};
use crate::requests::SecretRequest;

const SCRIPT: &str = include_str!("scripts/gcp.sh");

const IMAGE: &str = "gcr.io/google.com/cloudsdktool/cloud-sdk:alpine";

#[derive(Debug)]
pub(crate) struct Gcp {
    container: ContainerSettings,
}

impl Gcp {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            container: ContainerSettings::from_fields(fields, IMAGE, "200m", "500Mi")?.with_network(fields)?,
        })
    }
}

impl Manager for Gcp {
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        (request.group.trim_end_matches('/'), "")
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, Miss> {
        let (secret, version) = (request.group.trim_end_matches('/'), request.group_version.as_str());
        if secret.is_empty() || version.is_empty() {
            return Err(Miss::NotHere(
                "it needs a group, the secret, and a group version such as \"latest\"".to_owned(),
            ));
        }
        let mut parts: Vec<&str> = secret.split('/').collect();
        // To gcloud, a version with '/' is a secret's version by its full name, whatever the secret; in the API's URL, what
        // stands behind '?' or '#' is no name.
        if !matches!(parts.as_slice(), [_] | ["projects", _, "secrets", _]) || secret.contains(['?', '#']) {
            return Err(Miss::NotHere(format!(
                "{secret:?} is no secret's name; it is NAME or projects/PROJECT/secrets/NAME"
            )));
        }
        fetching::check_version(version)?;
        parts.push(version);
        let arguments = vec![secret.to_owned(), version.to_owned()];
        let source = format!("Google Cloud secret {secret}, version {version}");
        fetching::injection(request, context, &parts, Fetched::new(self, arguments), source)
    }
}

impl Fetcher for Gcp {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        vec![fetching::scripted(
            fetch,
            &self.container,
            "gcp-pull-secret",
            "gcp",
            SCRIPT,
        )]
    }

    fn files_volume(&self) -> &'static str {
        "gcp-secret-vol"
    }
}
