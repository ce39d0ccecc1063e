//! Flyte 2's own secrets where they are in a cloud's secret manager: Flyte's webhook reads them there with an identity of its
//! own, and here an init container does, with the Pod's.
//!
//! What the secrets are called is in Flyte's
//! [azure_utils.go](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/azure_utils.go)
//! and the fetchers beside it.

use crate::injection::{Fetch, FetchContainer, Fetched, Fetcher, Injection};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::cli::{Cli, take_field};
use crate::managers::context::Context;
use crate::managers::fetch::{self, ContainerSettings};
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::managers::script::{Script, script, word};
use crate::managers::{aws, azure, gcp};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest, base32};

use super::binding::Binding;
use super::labels::{Labels, PodLabels};
use super::wanted::{VOLUME, Wanted};

/// Tries the secrets of all scopes in turn.
const SCRIPT: Script = script!("../scripts/flyte_store.sh", Shell);

/// A cloud's secret manager.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Aws,
    Gcp,
    Azure,
}

impl Kind {
    pub(super) const ALL: &'static [(&'static str, Option<Self>)] = &[
        ("aws", Some(Self::Aws)),
        ("gcp", Some(Self::Gcp)),
        ("azure", Some(Self::Azure)),
    ];

    fn cli(self) -> &'static Cli {
        match self {
            Self::Aws => &aws::CLI,
            Self::Gcp => &gcp::CLI,
            Self::Azure => &azure::CLI,
        }
    }

    /// Returns the setting that says where the secrets are, and what it holds.
    fn setting(self) -> (&'static str, &'static str) {
        match self {
            Self::Aws => ("region", "the AWS region of the secrets, such as eu-west-1"),
            Self::Gcp => ("project", "the Google Cloud project of the secrets"),
            Self::Azure => ("vault", "the key vault's URL, such as https://NAME.vault.azure.net"),
        }
    }
}

pub(super) struct Store {
    kind: Kind,
    /// The region, the project or the vault's URL.
    place: String,
    /// What the labels of a Pod have to agree with.
    binding: Binding,
    container: ContainerSettings,
}

impl Store {
    pub(super) fn from_fields(kind: Kind, fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let (setting, meaning) = kind.setting();
        let given = fields.take::<String>(setting)?.unwrap_or_default();
        let place = given.trim_end_matches('/');
        let is_valid = match kind {
            Kind::Azure => place.strip_prefix("https://").is_some_and(azure::is_host),
            _ => !place.is_empty() && names::is_plain(place, "-.:"),
        };
        if !is_valid {
            return Err(fields.invalid(setting, &["has to be ", meaning].concat()));
        }
        Ok(Box::new(Self {
            kind,
            place: place.to_owned(),
            binding: Binding::from_fields(fields)?,
            container: ContainerSettings::of_client(fields, kind.cli().image)?,
        }))
    }

    /// Returns what the client is asked for, for the secret `key` of a scope.
    fn name(&self, scope: &Labels<'_>, key: &str) -> Result<String, NotServed> {
        let id = scope.secret_id(key);
        let (name, further, longest) = match self.kind {
            Kind::Aws => (id, "/_+=.@-", 512),
            Kind::Gcp => (id, "_-", 255),
            Kind::Azure => (azure_name(scope, key), "-", 127),
        };
        if name.len() > longest || !names::is_plain(&name, further) {
            return Err(not_found!(
                "its key {key:?} makes the name {name:?}, but a secret's name there has at most {longest} letters, digits and \
                 characters of {further:?}"
            ));
        }
        Ok(match self.kind {
            Kind::Aws => name,
            Kind::Gcp => ["projects/", &self.place, "/secrets/", &name].concat(),
            Kind::Azure => [&self.place, "/secrets/", &name].concat(),
        })
    }
}

/// Returns what Flyte calls a secret in Azure, whose names have letters, digits and `-` alone.
fn azure_name(scope: &Labels<'_>, key: &str) -> String {
    let escaped = |text: &str| text.replace('0', "00").replace('-', "01");
    // Flyte's annotations have an alphabet of their own.
    let encoded: String = base32::encode(key.as_bytes())
        .chars()
        .map(|character| match character {
            '1'..='6' => char::from_u32(u32::from(character) + 1).unwrap_or_default(),
            letter => letter.to_ascii_uppercase(),
        })
        .collect();
    [
        "1",
        &escaped(scope.organization),
        &escaped(scope.domain),
        &escaped(scope.project),
        &encoded,
    ]
    .join("-")
}

impl Manager for Store {
    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        ("", &request.key)
    }

    fn finds_by(&self, part: &str) -> bool {
        part == "key"
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let labels = context.of_pod(PodLabels::read);
        let labels = Labels::of(&labels)?;
        self.binding.check(&labels, context.namespace)?;
        if request.key.is_empty() {
            return Err(not_found!("it needs a key"));
        }
        let [project, domain, organization] = labels.scopes().map(|(_, scope)| self.name(&scope, &request.key));
        let names = [project?, domain?, organization?];
        let mut request = request.asked().clone();
        if request.mount == MountRequirement::Any && !context.options.env_files {
            request.mount = MountRequirement::File;
        }
        let version = if self.kind == Kind::Gcp { "latest" } else { "" };
        let fetched = Fetched {
            optional: request.is_optional(),
            ..Fetched::new(self, VOLUME, vec![names.join(" "), version.to_owned()])
        };
        let source = format!("{} secret, the first of {}", self.kind.cli().label, names.join(", "));
        let mut injection = match Wanted::new(&request, context.options)? {
            Wanted::Variable(name) => {
                fetch::check_env_files(context.options)?;
                fetch::in_env_file(vec![name], context.options, fetched, source)
            }
            Wanted::File(path) => fetch::in_file(&request, context.options, path, (fetched, source))?,
        };
        injection
            .warnings
            .extend(self.binding.warning(&labels, context.namespace));
        Ok(injection)
    }
}

impl Fetcher for Store {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        let env = match self.kind {
            Kind::Aws => ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .map(|name| (name, word(&self.place)))
                .into(),
            Kind::Gcp => Vec::new(),
            Kind::Azure => vec![take_field()],
        };
        vec![self.kind.cli().container(&self.container, Some(SCRIPT), env, fetch)]
    }
}
