//! Flyte 2's own secrets: those that `flyte create secret` makes, each in a Kubernetes Secret of its own.
//!
//! It does what Flyte 2's
//! [embedded secret manager](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/embedded_secret_manager.go)
//! does with its K8s fetcher. A secret belongs to a project, a domain or an organization, and the closest one wins. Where
//! the Secret is in the Pod's namespace, the Pod refers to it; only from another namespace a value is put into the Pod.

pub(super) mod binding;
mod files;
mod labels;
mod store;
mod wanted;

use std::fmt::Write as _;

use base64ct::{Base64, Encoding as _};

use crate::cluster::{Cluster, ClusterError, SecretData};
use crate::injection::{EnvValue, EnvVar, Fetch, FetchContainer, Fetched, Fetcher, FileOrigin, Injection, SecretFile};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::authorize::Authorize;
use crate::managers::context::Context;
use crate::managers::fetch::ContainerSettings;
use crate::managers::manager::{Manager, NotServed, not_found, unavailable};
use crate::managers::{lookup, naming};
use crate::names;
use crate::requests::SecretRequest;

use binding::Binding;
use labels::{Labels, PodLabels, secret_name};
use store::{Kind, Store};
use wanted::{VOLUME, Wanted};

/// The image that Flyte uses, at a version: `latest` is another one on each node.
const IMAGE: &str = "public.ecr.aws/docker/library/busybox:1.37.0";

pub(crate) struct Flyte {
    /// Where Flyte keeps its Secrets: those of `literal`, and the originals of those for image pulls.
    namespace: String,
    /// Whether the Secrets are those of `namespace`. Otherwise they are those of the Pod's namespace.
    literal: bool,
    /// What the labels of a Pod have to agree with.
    binding: Binding,
    /// Whether secrets for image pulls are added to the Pod's `imagePullSecrets`.
    image_pull_secrets: bool,
    /// Who has to be allowed to read a Secret.
    authorize: Authorize,
    /// The init container for files where the values are in the Pod.
    container: ContainerSettings,
}

impl Flyte {
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        if let Some(kind) = fields.choice("store", None, Kind::ALL)? {
            return Store::from_fields(kind, fields);
        }
        let namespace = fields.valid("namespace", "flyte", names::is_dns_label, "is not a namespace's name")?;
        let literal = fields.take("literal")?.unwrap_or(false);
        let binding = Binding::from_fields(fields)?;
        // Whoever may run Pods in a namespace may mount its Secrets, and the binding of the labels keeps out whoever may
        // not. `serviceAccount` would deny the Pods that Flyte starts: their service accounts have no RBAC for Secrets.
        let authorize = Authorize::from_fields(fields, Authorize::None)?;
        Ok(Box::new(Self {
            namespace,
            literal,
            binding,
            image_pull_secrets: fields.take("imagePullSecrets")?.unwrap_or(false),
            authorize,
            container: ContainerSettings::from_fields(fields, IMAGE, r#"{"cpu":"100m","memory":"100Mi"}"#)?,
        }))
    }

    /// Finds the secret `key` in its closest scope.
    ///
    /// # Errors
    /// [`NotServed`] when no scope has it, or when the Secret of a scope has no such key: as in Flyte, wider scopes
    /// then count no more. [`NotServed`] when the cluster could not be asked.
    fn find<'l>(
        &self,
        key: &str,
        labels: Labels<'l>,
        namespace: &str,
        context: &Context<'_>,
    ) -> Result<ScopedSecret<'l>, NotServed> {
        let mut looked = String::new();
        for (name, scope) in labels.scopes() {
            let id = scope.secret_id(key);
            let secret = secret_name(&id);
            let found = lookup::read(format_args!("the {name}'s Secret"), namespace, &secret, &[&id], context)?;
            if let Some(data) = found {
                if data.get(&id).is_none() {
                    return Err(not_found!(
                        "the {name}'s Secret {secret:?} in the namespace {namespace:?} has no key {id:?}, and wider scopes \
                         are not looked at then, as in Flyte: create the secret {key:?} again, or delete that Secret"
                    ));
                }
                return Ok(ScopedSecret {
                    scope,
                    secret,
                    id,
                    data,
                });
            }
            let _ = write!(looked, "\n  Secret {secret}, key {id:?} ({name})");
        }
        Err(not_found!(
            "the namespace {namespace:?} has no secret {key:?} for the Pod's project, domain or organization; looked \
             for:{looked}"
        ))
    }

    /// Adds the Secret for image pulls that goes with a secret, where there is one.
    fn add_pull_secret(
        &self,
        scope: &Labels<'_>,
        key: &str,
        context: &Context<'_>,
        injection: &mut Injection<'_>,
    ) -> Result<(), NotServed> {
        let name = scope.pull_secret(key);
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
    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        ("", &request.key)
    }

    fn finds_by(&self, part: &str) -> bool {
        part == "key"
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        if request.key.is_empty() {
            return Err(not_found!("it needs a key"));
        }
        let labels = context.of_pod(PodLabels::read);
        let labels = Labels::of(&labels)?;
        self.binding.check(&labels, context.namespace)?;
        let wanted = Wanted::new(request.asked(), context.options)?;
        let namespace = if self.literal {
            &self.namespace
        } else {
            context.namespace
        };
        let found = self.find(&request.key, labels, namespace, context)?;
        self.authorize.check(namespace, &found.secret, context)?;
        let mut injection = Injection {
            source: format!("Secret {namespace}/{}, key {}", found.secret, found.id),
            warnings: self.binding.warning(&labels, context.namespace).into_iter().collect(),
            ..Injection::default()
        };
        if self.image_pull_secrets {
            self.add_pull_secret(&found.scope, &request.key, context, &mut injection)?;
        }
        let by_reference = namespace == context.namespace;
        match wanted {
            Wanted::Variable(name) => {
                let value = found.variable(request, by_reference)?;
                injection.env = vec![naming::prefix_variable(context.options), EnvVar::new(name, value)];
            }
            Wanted::File(path) => {
                injection.env = naming::file_variables(request, context.options, &path)?;
                let origin = found.file(request, by_reference, self);
                injection.file = Some(SecretFile { path, origin });
            }
        }
        Ok(injection)
    }
}

impl Fetcher for Flyte {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        vec![files::container(fetch, &self.container)]
    }
}

/// Whether there is a Secret of that name.
fn exists(secret: &str, namespace: &str, context: &Context<'_>) -> Result<bool, NotServed> {
    // The host sends nothing but the keys that are asked for, and a Secret for image pulls has no such key: who pulls
    // is the kubelet, so the credential stays where it is.
    match context.cluster.secret(namespace, secret, &["none"]) {
        Ok(_) => Ok(true),
        Err(ClusterError::NotFound) => Ok(false),
        Err(error) => Err(unavailable!(
            "whether the Secret {secret:?} for image pulls is in the namespace {namespace:?} is unknown: {error}"
        )),
    }
}

/// A secret that was found.
struct ScopedSecret<'l> {
    scope: Labels<'l>,
    /// The Secret's name.
    secret: String,
    /// The key in its data.
    id: String,
    /// The data in which the value is.
    data: SecretData,
}

impl ScopedSecret<'_> {
    fn value(&self) -> &[u8] {
        self.data.get(&self.id).unwrap_or_default()
    }

    /// Returns what a variable is to hold.
    fn variable(self, request: &SecretRequest, by_reference: bool) -> Result<EnvValue, NotServed> {
        let text = std::str::from_utf8(self.value())
            .ok()
            .filter(|text| !text.contains('\0'));
        let Some(text) = text else {
            return Err(not_found!(
                "the value of the secret {:?} is not text, so that no variable can hold it; ask for a file instead",
                request.key
            ));
        };
        Ok(if by_reference {
            EnvValue::SecretKey {
                secret: self.secret,
                key: self.id,
                optional: request.is_optional(),
            }
        } else {
            EnvValue::Literal(text.to_owned())
        })
    }

    /// Returns how a file gets the value: `fetcher` writes one that cannot be referred to.
    fn file<'f>(self, request: &SecretRequest, by_reference: bool, fetcher: &'f Flyte) -> FileOrigin<'f> {
        if by_reference {
            FileOrigin::Secret {
                volume: VOLUME.to_owned(),
                secret: self.secret,
                key: self.id,
                optional: request.is_optional(),
            }
        } else {
            let value = Base64::encode_string(self.value());
            FileOrigin::Fetched(Fetched::new(fetcher, VOLUME, vec![value]))
        }
    }
}
