//! Secrets in the Pod's own namespace, by reference: `secretKeyRef` for a variable, a Secret volume for a file.
//!
//! It does what Flyte's
//! [K8s injector](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/k8s_secrets.go) does, and
//! serves whatever makes Kubernetes Secrets: External Secrets, Sealed Secrets, Doppler.

use std::borrow::Cow;

use crate::digest;
use crate::injection::{EnvValue, FileOrigin, Injection, RelativePath, SecretFile};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::manager::{Manager, NotServed, Scope, not_found};
use crate::managers::{lookup, naming, whole};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest, WHOLE, base32};

pub(crate) struct Kubernetes {
    /// Whether a container starts without a Secret or key that is not there.
    optional: bool,
    /// Whether the Secret and the key are looked up at admission.
    verify: bool,
}

impl Kubernetes {
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        Ok(Box::new(Self {
            optional: fields.take("optional")?.unwrap_or(true),
            verify: fields.take("verify")?.unwrap_or(false),
        }))
    }
}

impl Manager for Kubernetes {
    fn scope(&self) -> Scope {
        Scope::Namespace
    }

    fn finds_by(&self, part: &str) -> bool {
        part != "groupVersion"
    }

    fn gives_whole(&self) -> bool {
        true
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let (secret, named) = (secret_name(request)?.into_owned(), secret_name(request.asked())?);
        if request.key.is_empty() {
            return Err(not_found!("it needs a key"));
        }
        if request.key == WHOLE {
            return self.inject_whole(request, secret, &named, context);
        }
        if !names::is_secret_key(&request.key) {
            return Err(not_found!(
                "no Secret can have the key {:?} (letters, digits, '-', '_' and '.')",
                request.key
            ));
        }
        let mut injection = Injection {
            source: ["Secret ", &secret, ", key ", &request.key].concat(),
            ..Injection::default()
        };
        if self.verify {
            verify(request, &secret, context)?;
        } else {
            injection.warnings.extend(name_warning(request, &secret));
        }
        if request.mount == MountRequirement::EnvVar {
            let value = EnvValue::SecretKey {
                secret,
                key: request.key.clone(),
                optional: self.is_optional(request),
            };
            injection.env = naming::variables(request.asked(), context.options, &named, value)?;
            return Ok(injection);
        }
        let path = naming::file_path(&[&named, &request.asked().key])?;
        injection.env = naming::file_variables(request, context.options, &path)?;
        injection.file = Some(self.file(request, secret, &named, path));
        Ok(injection)
    }
}

impl Kubernetes {
    /// Returns whether a container starts without the secret: unless the request says so, not where it was there at
    /// admission.
    fn is_optional(&self, request: &SecretRequest) -> bool {
        request.optional.unwrap_or(self.optional && !self.verify)
    }

    /// Returns the file that shows the request's key of a Secret, which the request calls `named`.
    fn file<'m>(&self, request: &SecretRequest, secret: String, named: &str, path: RelativePath) -> SecretFile<'m> {
        SecretFile {
            path,
            origin: FileOrigin::Secret {
                volume: base32::encode([named, "_", &request.asked().group_version].concat().as_bytes()),
                secret,
                key: request.key.clone(),
                // Without the key, the kubelet would make a directory at the path.
                optional: self.is_optional(request) && request.path.is_empty(),
            },
        }
    }

    /// Returns all keys of a Secret, as variables or as files of one directory.
    fn inject_whole(
        &self,
        request: &SecretRequest,
        secret: String,
        named: &str,
        context: &Context<'_>,
    ) -> Result<Injection<'_>, NotServed> {
        if request.group.is_empty() {
            return Err(not_found!("for the key \"*\" it needs a group, the Secret's name"));
        }
        let mut injection = Injection {
            source: format!("Secret {secret}, all keys"),
            ..Injection::default()
        };
        let mut data = None;
        if self.verify {
            data = Some(whole::read(context.namespace, &secret, context)?);
        } else {
            injection.warnings.extend(name_warning(request, &secret));
        }
        if request.mount != MountRequirement::EnvVar {
            let directory = naming::file_path(&[named])?;
            injection.env = naming::file_variables(request, context.options, &directory)?;
            let path = naming::file_path(&[named, WHOLE])?;
            injection.file = Some(self.file(request, secret, named, path));
            return Ok(injection);
        }
        let Some(data) = data else {
            let source = whole::reference(request, &secret, self.is_optional(request))?;
            injection.env_from.push(source);
            return Ok(injection);
        };
        whole::add_variables(&mut injection, request, &data, |key| {
            Some(EnvValue::SecretKey {
                secret: secret.clone(),
                key: key.to_owned(),
                optional: false,
            })
        })?;
        Ok(injection)
    }
}

/// Returns a warning where no Secret can have the name that the request gives.
fn name_warning(request: &SecretRequest, secret: &str) -> Option<String> {
    (!names::is_dns_subdomain(secret)).then(|| {
        format!(
            "{} asks for the Secret {secret:?}, but no Secret can have that name: it has to be lower case letters, \
             digits, '-' and '.'",
            request.origin
        )
    })
}

/// Looks at admission whether the Secret and the key are in the Pod's namespace.
fn verify(request: &SecretRequest, secret: &str, context: &Context<'_>) -> Result<(), NotServed> {
    let namespace = context.namespace;
    match lookup::read(format_args!("the Secret"), namespace, secret, &[&request.key], context)? {
        None => Err(lookup::no_secret(namespace, secret)),
        Some(data) if data.get(&request.key).is_some() => Ok(()),
        Some(_) => Err(not_found!(
            "the Secret {secret:?} in the namespace {namespace:?} has no key {:?}{}",
            request.key,
            lookup::suggestion(request, namespace, secret, context)
        )),
    }
}

/// The Secret's name: the group, or, where there is none, the MD5 of the key, as Flyte 2 names the Secrets of its own
/// that have no group.
fn secret_name(request: &SecretRequest) -> Result<Cow<'_, str>, NotServed> {
    if request.group.is_empty() {
        return Ok(digest::md5(request.key.as_bytes()).into());
    }
    // Upper case and '_' are let through with a warning, as Flyte does: the Pod is valid, the Secret is just missing.
    let group = request.group.as_str();
    if names::is_plain(group, "-._") && group.len() <= 253 && !matches!(group, "." | "..") {
        return Ok(group.into());
    }
    Err(not_found!(
        "no Secret can have the name {:?} (at most 253 lower case letters, digits, '-' and '.')",
        request.group
    ))
}
