//! Flyte 2's own secrets: those that `flyte create secret` makes, each in a Kubernetes Secret of its own.
//!
//! It does what Flyte 2's
//! [embedded secret manager](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/embedded_secret_manager.go)
//! does with its K8s fetcher. A secret belongs to a project, a domain or an organization, and the closest one wins.

#![forbid(unsafe_code)]

mod sha256;

use std::fmt::Write as _;

use crate::base64;
use crate::cluster::ClusterError;
use crate::injection::{EnvValue, EnvVar, FileOrigin, Injection, RelativePath, SecretFile};
use crate::managers::fetching::{ContainerSettings, Layout};
use crate::managers::{ContainerName, Context, Fetch, FetchContainer, Manager, Miss, common, placeholders};
use crate::md5;
use crate::names;
use crate::requests::{MountRequirement, SecretRequest};
use crate::settings::Settings;
use crate::settings::fields::{Fields, SettingsError};

/// What writes the files where the values are in the Pod: arguments are a path and base64, several times; where a path
/// follows itself, the value goes on.
const SCRIPT: &str = include_str!("scripts/flyte.sh");

/// The image that Flyte uses, at a version: `latest` is another one on each node.
const IMAGE: &str = "public.ecr.aws/docker/library/busybox:1.37.0";

/// The longest part of a value in one argument, which Linux limits to
/// [128 KiB](https://man7.org/linux/man-pages/man2/execve.2.html); a multiple of four, so that each part is base64.
const LONGEST_ARGUMENT: usize = 96 * 1024;

/// The volume's name where it is free.
const VOLUME: &str = "embedded-secret-vol";

/// The manager `flyte`.
#[derive(Debug)]
pub struct Flyte {
    /// Where the Secrets are that are put in as values, and the originals of those for image pulls.
    namespace: String,
    /// Whether the values themselves are put into the Pod.
    literal: bool,
    /// The namespace that the labels of a Pod belong to.
    pod_namespace: Option<String>,
    /// Whether secrets for image pulls are added to the Pod's `imagePullSecrets`.
    image_pull_secrets: bool,
    /// Who has to be allowed to read a Secret.
    authorize: common::Authorize,
    /// The init container for files where the values are in the Pod.
    container: ContainerSettings,
}

impl Flyte {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        let namespace = fields
            .take::<String>("namespace")?
            .unwrap_or_else(|| "flyte".to_owned());
        if !names::is_dns_label(&namespace) {
            return Err(fields.invalid("namespace", "is not a namespace's name"));
        }
        let unbound = fields.is_null("podNamespace");
        let pod_namespace = fields
            .take::<String>("podNamespace")?
            .or_else(|| (!unbound).then(|| "{project}-{domain}".to_owned()));
        if let Some(template) = &pod_namespace {
            let sample = Labels {
                organization: "a",
                domain: "a",
                project: "a",
            };
            let namespace = sample
                .expand(template)
                .map_err(|problem| fields.invalid("podNamespace", &problem))?;
            if namespace == *template || !names::is_dns_label(&namespace) {
                return Err(fields.invalid(
                    "podNamespace",
                    "is not a namespace's name with {project}, {domain} or {organization} in it; null turns the check off",
                ));
            }
        }
        // Whoever may run Pods in a namespace may mount its Secrets, and `podNamespace` keeps out whoever may not.
        // `serviceAccount` would deny the Pods that Flyte starts: their service accounts have no RBAC for Secrets.
        let authorize = common::Authorize::from_fields(fields, common::Authorize::None)?;
        Ok(Self {
            namespace,
            literal: fields.take("literal")?.unwrap_or(false),
            pod_namespace,
            image_pull_secrets: fields.take("imagePullSecrets")?.unwrap_or(false),
            authorize,
            container: ContainerSettings::from_fields(fields, IMAGE, "100m", "100Mi")?,
        })
    }

    /// Refuses a Pod whose labels belong to another namespace: it would get the secrets of another project.
    fn check_namespace(&self, labels: &Labels<'_>, context: &Context<'_>) -> Result<(), Miss> {
        let Some(template) = &self.pod_namespace else {
            return Ok(());
        };
        // The settings are checked: every placeholder is known.
        let expected = labels.expand(template).unwrap_or_default();
        if expected == context.namespace {
            return Ok(());
        }
        Err(Miss::Denied(format!(
            "the Pod's labels say organization {:?}, project {:?} and domain {:?}, whose Pods belong in the namespace \
             {expected:?}, but this one is in {:?}: correct the labels or run it there (the setting podNamespace is \
             {template:?})",
            labels.organization, labels.project, labels.domain, context.namespace
        )))
    }

    /// The closest scope that has the secret, and its value.
    fn find<'l>(&self, key: &str, labels: Labels<'l>, context: &Context<'_>) -> Result<(Found<'l>, Vec<u8>), Miss> {
        let namespace = if self.literal {
            &self.namespace
        } else {
            context.namespace
        };
        let mut looked = String::new();
        for (name, scope) in labels.scopes() {
            let id = scope.secret_id(key);
            let secret = secret_name(&id);
            match context.cluster.secret(namespace, &secret, &[&id]) {
                Ok(data) => {
                    if let Some(value) = data.get(&id) {
                        return Ok((Found { scope, secret, id }, value.to_vec()));
                    }
                }
                Err(ClusterError::NotFound) => {}
                Err(error) => {
                    return Err(Miss::Failed(format!(
                        "the {name}'s Secret {secret:?} in the namespace {namespace:?} could not be read: {error}"
                    )));
                }
            }
            let _ = write!(looked, "\n  Secret {secret}, key {id:?} ({name})");
        }
        Err(Miss::NotHere(format!(
            "the namespace {namespace:?} has no secret {key:?} for the Pod's project, domain or organization; looked \
             for:{looked}"
        )))
    }

    /// Adds the Secret for image pulls that goes with a secret, where there is one.
    fn add_pull_secret(
        &self,
        found: &Found<'_>,
        key: &str,
        context: &Context<'_>,
        injection: &mut Injection,
    ) -> Result<(), Miss> {
        let name = found.scope.pull_secret(key);
        if exists(&name, context.namespace, context)? {
            injection.image_pull_secrets.push(name);
        } else if self.namespace != context.namespace && exists(&name, &self.namespace, context)? {
            injection.warnings.push(format!(
                "the secret {key:?} is for image pulls, but its Secret {name:?} is only in the namespace {:?} and a \
                 policy cannot copy it: copy it to {:?}, or images may not be pulled",
                self.namespace, context.namespace
            ));
        }
        Ok(())
    }
}

impl Manager for Flyte {
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        ("", &request.key)
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection, Miss> {
        if request.key.is_empty() {
            return Err(Miss::NotHere("it needs a key".to_owned()));
        }
        let labels = Labels::of(context)?;
        self.check_namespace(&labels, context)?;
        let wanted = Wanted::new(request, context.settings)?;
        let (found, value) = self.find(&request.key, labels, context)?;
        let namespace = if self.literal {
            &self.namespace
        } else {
            context.namespace
        };
        self.authorize.check(namespace, &found.secret, context)?;
        let mut injection = Injection {
            source: format!("Secret {namespace}/{}, key {}", found.secret, found.id),
            ..Injection::default()
        };
        if self.image_pull_secrets {
            self.add_pull_secret(&found, &request.key, context, &mut injection)?;
        }
        match wanted {
            Wanted::Variable(name) => {
                let value = String::from_utf8(value).ok().filter(|value| !value.contains('\0'));
                let Some(value) = value else {
                    return Err(Miss::NotHere(format!(
                        "the value of the secret {:?} is not text, so that no variable can hold it; ask for a file \
                         instead",
                        request.key
                    )));
                };
                let value = if self.literal {
                    EnvValue::Literal(value)
                } else {
                    EnvValue::SecretKey {
                        secret: found.secret,
                        key: found.id,
                        optional: false,
                    }
                };
                injection.env = vec![common::prefix_variable(context.settings), EnvVar { name, value }];
            }
            Wanted::File(path) => {
                injection.env = common::file_variables(request, context.settings, &path)?;
                let origin = if self.literal {
                    FileOrigin::Fetched {
                        arguments: vec![base64::encode(&value)],
                        variable: None,
                    }
                } else {
                    FileOrigin::Secret {
                        volume: VOLUME.to_owned(),
                        secret: found.secret,
                        key: found.id,
                        optional: false,
                    }
                };
                injection.file = Some(SecretFile { path, origin });
            }
        }
        Ok(injection)
    }

    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        let layout = Layout::new(fetch);
        let mut arguments = vec!["sh".to_owned()];
        for item in fetch.items {
            let mut parts: Vec<String> = Vec::new();
            for value in item.arguments {
                let mut rest = value.as_str();
                while let Some((part, after)) = rest.split_at_checked(LONGEST_ARGUMENT) {
                    parts.push(part.to_owned());
                    rest = after;
                }
                parts.push(rest.to_owned());
            }
            for copy in &item.copies {
                for part in &parts {
                    arguments.push(layout.path(copy));
                    arguments.push(part.clone());
                }
            }
        }
        vec![FetchContainer {
            name: ContainerName::Exact("init-embedded-secret"),
            spec: self.container.container(&["sh", "-c", SCRIPT], &arguments, &[]),
            mounts: layout.mounts(),
            volumes: Vec::new(),
        }]
    }

    fn files_volume(&self) -> &'static str {
        VOLUME
    }
}

/// What the Secret is called that holds the secret `id`.
fn secret_name(id: &str) -> String {
    md5::hexadecimal(id.as_bytes())
}

/// Whether there is a Secret of that name.
fn exists(secret: &str, namespace: &str, context: &Context<'_>) -> Result<bool, Miss> {
    // The host sends nothing but the keys that are asked for, and a Secret for image pulls has no such key: who pulls
    // is the kubelet, so the credential stays where it is.
    match context.cluster.secret(namespace, secret, &["none"]) {
        Ok(_) => Ok(true),
        Err(ClusterError::NotFound) => Ok(false),
        Err(error) => Err(Miss::Failed(format!(
            "whether the Secret {secret:?} for image pulls is in the namespace {namespace:?} is unknown: {error}"
        ))),
    }
}

/// How the secret is to reach the container.
enum Wanted {
    Variable(String),
    File(RelativePath),
}

impl Wanted {
    fn new(request: &SecretRequest, settings: &Settings) -> Result<Self, Miss> {
        let key = request.key.as_str();
        if request.mount == MountRequirement::File {
            // Flyte keeps upper case here, and the kubelet takes no file whose name begins with "..".
            return RelativePath::new(&[key])
                .ok()
                .filter(|_| !key.starts_with(".."))
                .map(Self::File)
                .ok_or_else(|| {
                    Miss::NotHere(format!(
                        "{key:?} cannot be a file's name: it is too long, '.', begins with '..', or holds '/' or a \
                         control character"
                    ))
                });
        }
        if let Some(name) = common::further_variable(request)? {
            return Ok(Self::Variable(name.to_owned()));
        }
        let name = format!("{}{}", settings.env_prefix, key.to_ascii_uppercase());
        if names::is_variable(&name) {
            return Ok(Self::Variable(name));
        }
        Err(Miss::NotHere(format!(
            "{name:?} cannot be a variable's name (letters, digits, '_', '-' and '.', no digit first); name one with \
             env_var, or ask for a file"
        )))
    }
}

/// Where a secret was found.
struct Found<'l> {
    scope: Labels<'l>,
    /// The Secret's name.
    secret: String,
    /// The key in its data.
    id: String,
}

/// The labels that Flyte puts on its Pods.
pub const LABELS: [&str; 3] = [ORGANIZATION, DOMAIN, PROJECT];
const ORGANIZATION: &str = "organization";
const DOMAIN: &str = "domain";
const PROJECT: &str = "project";

/// The values of [`LABELS`], all of them or those of a wider scope, where the rest is empty.
#[derive(Debug, Default, Clone, Copy)]
struct Labels<'l> {
    organization: &'l str,
    domain: &'l str,
    project: &'l str,
}

impl<'l> Labels<'l> {
    fn of(context: &Context<'l>) -> Result<Self, Miss> {
        let label = |name| {
            context.label(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                Miss::NotHere(format!(
                    "the Pod has no label {name:?}; it needs the labels organization, project and domain, as Flyte 2 \
                     sets them"
                ))
            })
        };
        Ok(Self {
            organization: label(ORGANIZATION)?,
            domain: label(DOMAIN)?,
            project: label(PROJECT)?,
        })
    }

    fn expand(&self, template: &str) -> Result<String, String> {
        placeholders::expand(
            template,
            &[
                (ORGANIZATION, self.organization.to_owned()),
                (DOMAIN, self.domain.to_owned()),
                (PROJECT, self.project.to_owned()),
            ],
        )
    }

    /// From the closest to the widest.
    fn scopes(self) -> [(&'static str, Self); 3] {
        let domain = Self { project: "", ..self };
        let organization = Self { domain: "", ..domain };
        [("project", self), ("domain", domain), ("organization", organization)]
    }

    /// What Flyte calls a secret in its store.
    fn secret_id(&self, key: &str) -> String {
        format!(
            "u__org__{}__domain__{}__project__{}__key__{key}",
            self.organization, self.domain, self.project
        )
    }

    /// What Flyte calls the Secret for image pulls that goes with a secret.
    fn pull_secret(&self, key: &str) -> String {
        let text = format!("{}:{}:{}:{key}", self.organization, self.domain, self.project);
        let [first, second, ..] = sha256::digest(text.as_bytes());
        format!("img-pull-{first:08x}{second:08x}")
    }
}

#[cfg(test)]
mod tests;
