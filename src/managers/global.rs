//! Secrets in one namespace that the policy server may read, put into the Pod as values.
//!
//! It takes the place of Flyte's
//! [global secrets](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/global_secrets.go), which
//! come from the webhook's own environment and files; a policy has neither.

use std::borrow::Cow;
use std::cell::Cell;

use crate::cluster::SecretData;
use crate::injection::{EnvValue, EnvVar, Injection};
use crate::json;
use crate::json::fields::{Fields, SettingsError};
use crate::managers::authorize::Authorize;
use crate::managers::context::Context;
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::managers::{lookup, naming, whole};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest, WHOLE};

pub(crate) struct Global {
    /// The namespace that holds the Secrets.
    namespace: String,
    /// Who has to be allowed to read a Secret.
    authorize: Authorize,
}

impl Global {
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let namespace = fields.valid(
            "namespace",
            "flyte-secrets",
            names::is_dns_label,
            "is not a namespace's name",
        )?;
        Ok(Box::new(Self {
            namespace,
            authorize: Authorize::from_fields(fields, Authorize::ServiceAccount)?,
        }))
    }

    /// Returns the data with the value, for a Pod that may have it. Without permission a caller must not learn whether a
    /// Secret exists, so a request for an existing key is denied outright.
    fn read(&self, request: &SecretRequest, context: &Context<'_>) -> Result<SecretData, NotServed> {
        let (namespace, secret) = (self.namespace.as_str(), request.group.as_str());
        let found = lookup::read(format_args!("the Secret"), namespace, secret, &[&request.key], context)?;
        let allowed = || self.authorize.check(namespace, secret, context);
        let suggestion = match found {
            Some(data) if data.get(&request.key).is_some() => return allowed().map(|()| data),
            Some(_) if allowed().is_ok() => lookup::suggestion(request, namespace, secret, context),
            _ => String::new(),
        };
        Err(not_found!(
            "the namespace {namespace:?} has no Secret {secret:?} with the key {:?}{suggestion}",
            request.key
        ))
    }

    /// Returns the request's field of the JSON object `text`, the value in the Secret.
    fn field(&self, request: &SecretRequest, text: &str, context: &Context<'_>) -> Result<String, NotServed> {
        let read = context.of_pod(|_| FieldsRead(Cell::new(0)));
        read.0.set(read.0.get().saturating_add(text.len()));
        let problem = if read.0.get() > MAX_READ {
            "cannot be read for so many fields of one Pod: make several Pods, or ask for fewer fields"
        } else {
            match json::field(text, &request.field) {
                Some(Some(value)) => return Ok(value),
                Some(None) => "has no such field",
                None => "is not a JSON object",
            }
        };
        Err(not_found!(
            "the field {:?} cannot be taken: the value under the key {:?} of the Secret {:?} in the namespace {:?} {problem}",
            request.field,
            request.key,
            request.group,
            self.namespace
        ))
    }

    /// Returns a variable for each key of the Secret.
    fn inject_whole(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let (namespace, secret) = (self.namespace.as_str(), request.group.as_str());
        let data = whole::read(namespace, secret, context)?;
        self.authorize.check(namespace, secret, context)?;
        let mut injection = Injection {
            source: format!("Secret {namespace}/{secret}, all keys"),
            ..Injection::default()
        };
        whole::add_variables(&mut injection, request, &data, |key| {
            let text = std::str::from_utf8(data.get(key)?).ok()?;
            (!text.contains('\0')).then(|| EnvValue::Literal(text.to_owned()))
        })?;
        Ok(injection)
    }
}

/// How many bytes of JSON have been read for fields.
struct FieldsRead(Cell<usize>);

/// The most bytes of JSON that are read for the fields of one Pod: each request reads the whole value, and the host stops the
/// policy after two seconds.
const MAX_READ: usize = 16 * 1024 * 1024;

impl Manager for Global {
    fn finds_by(&self, part: &str) -> bool {
        part != "groupVersion"
    }

    fn gives_whole(&self) -> bool {
        true
    }

    fn gives_fields(&self) -> bool {
        true
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        if request.mount == MountRequirement::File {
            return Err(not_found!("it gives variables, no files"));
        }
        if request.group.is_empty() || request.key.is_empty() {
            return Err(not_found!("it needs a group, the Secret's name, and a key"));
        }
        if request.key == WHOLE {
            return self.inject_whole(request, context);
        }
        if !names::is_secret_key(&request.key) {
            return Err(not_found!("no Secret can have the key {:?}", request.key));
        }
        let asked = request.asked();
        let key = match asked.field.as_str() {
            "" => Cow::Borrowed(&*asked.key),
            field => Cow::Owned([&asked.key, field].join("_")),
        };
        let name = naming::variable_name(context.options, &asked.group, &key)?;
        let further = naming::extra_env_var(request)?;
        let data = self.read(request, context)?;
        let mut text = data.get(&request.key).and_then(|value| std::str::from_utf8(value).ok());
        let field;
        if let (Some(json), false) = (text, request.field.is_empty()) {
            field = self.field(request, json, context)?;
            text = Some(&*field);
        }
        let Some(value) = text.filter(|value| !value.contains('\0')) else {
            return Err(not_found!(
                "the value in the Secret {:?} in the namespace {:?} is not text, so that no variable can hold it",
                request.group,
                self.namespace
            ));
        };
        let mut source = format!("Secret {}/{}, key {}", self.namespace, request.group, request.key);
        naming::push_detail(&mut source, "field", &request.field);
        let mut env = vec![naming::prefix_variable(context.options), EnvVar::literal(name, value)];
        if let Some(name) = further {
            env.push(EnvVar::literal(name.to_owned(), value));
        }
        Ok(Injection {
            env,
            source,
            ..Injection::default()
        })
    }
}
