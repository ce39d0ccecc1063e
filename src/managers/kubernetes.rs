//! Secrets in the Pod's own namespace, by reference: `secretKeyRef` for a variable, a Secret volume for a file.
//!
//! It does what Flyte's
//! [K8s injector](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/k8s_secrets.go) does, and
//! serves whatever makes Kubernetes Secrets: External Secrets, Sealed Secrets, Doppler.

#![forbid(unsafe_code)]

use crate::digest;
use crate::injection::{EnvValue, EnvVar, FileOrigin, Injection, SecretFile};
use crate::managers::common::Found;
use crate::managers::{Context, Manager, Miss, common};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest, base32};
use crate::settings::fields::{Fields, SettingsError};

/// The manager `kubernetes`.
#[derive(Debug)]
pub struct Kubernetes {
    /// Whether a container starts without a Secret or key that is not there.
    optional: bool,
    /// Whether the Secret and the key are looked up at admission.
    verify: bool,
}

impl Kubernetes {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            optional: fields.take("optional")?.unwrap_or(true),
            verify: fields.take("verify")?.unwrap_or(false),
        })
    }
}

impl Manager for Kubernetes {
    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection, Miss> {
        if request.key.is_empty() {
            return Err(Miss::NotHere("it needs a key".to_owned()));
        }
        if !names::is_secret_key(&request.key) {
            return Err(Miss::NotHere(format!(
                "no Secret can have the key {:?} (letters, digits, '-', '_' and '.')",
                request.key
            )));
        }
        let secret = secret_name(request)?;
        let mut injection = Injection {
            source: format!("Secret {secret}, key {}", request.key),
            ..Injection::default()
        };
        let optional = self.optional && !self.verify;
        if self.verify {
            verify(request, &secret, context)?;
        } else if !names::is_dns_subdomain(&secret) {
            injection.warnings.push(format!(
                "{} asks for the Secret {secret:?}, but no Secret can have that name: it has to be lower case letters, \
                 digits, '-' and '.'",
                request.origin
            ));
        }
        if request.mount == MountRequirement::EnvVar {
            let value = EnvValue::SecretKey {
                secret: secret.clone(),
                key: request.key.clone(),
                optional,
            };
            let name = common::variable_name(context.settings, &secret, &request.key)?;
            injection.env.push(EnvVar {
                name,
                value: value.clone(),
            });
            if let Some(name) = common::further_variable(request)? {
                injection.env.push(EnvVar {
                    name: name.to_owned(),
                    value,
                });
            }
            injection.env.push(common::prefix_variable(context.settings));
            return Ok(injection);
        }
        let path = common::file_path(&[&secret, &request.key])?;
        injection.env = common::file_variables(request, context.settings, &path)?;
        injection.file = Some(SecretFile {
            path,
            origin: FileOrigin::Secret {
                volume: base32::encode(format!("{secret}_{}", request.group_version).as_bytes()),
                secret,
                key: request.key.clone(),
                optional,
            },
        });
        Ok(injection)
    }
}

/// Looks at admission whether the Secret and the key are in the Pod's namespace.
fn verify(request: &SecretRequest, secret: &str, context: &Context<'_>) -> Result<(), Miss> {
    let namespace = context.namespace;
    match common::look_up(request, namespace, secret, context)? {
        Found::Value(_) => Ok(()),
        Found::NoSecret => Err(Miss::NotHere(format!(
            "there is no Secret {secret:?} in the namespace {namespace:?}"
        ))),
        Found::NoKey => Err(Miss::NotHere(format!(
            "the Secret {secret:?} in the namespace {namespace:?} has no key {:?}{}",
            request.key,
            common::suggestion(request, namespace, secret, context)
        ))),
    }
}

/// The Secret's name: the group, or, where there is none, the MD5 of the key, as Flyte 2 names the Secrets of its own
/// that have no group.
fn secret_name(request: &SecretRequest) -> Result<String, Miss> {
    if request.group.is_empty() {
        return Ok(digest::md5(request.key.as_bytes()));
    }
    // Upper case and '_' are let through with a warning, as Flyte does: the Pod is valid, the Secret is just missing.
    let plain = request
        .group
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    if plain && request.group.len() <= 253 && !matches!(request.group.as_str(), "." | "..") {
        return Ok(request.group.clone());
    }
    Err(Miss::NotHere(format!(
        "no Secret can have the name {:?} (at most 253 lower case letters, digits, '-' and '.')",
        request.group
    )))
}
