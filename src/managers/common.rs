//! What several managers do in the same way.

#![forbid(unsafe_code)]

use crate::cluster::ClusterError;
use crate::injection::{EnvVar, RelativePath};
use crate::managers::{Context, Miss};
use crate::md5;
use crate::names;
use crate::order::sort_and_dedup;
use crate::requests::{FLYTE_PREFIX, JSON_ANNOTATION, SecretRequest};
use crate::settings::Settings;
use crate::settings::fields::{Fields, SettingsError};

/// Tells flytekit where secret files are
/// ([secrets.py](https://github.com/flyteorg/flytekit/blob/master/flytekit/configuration/__init__.py)).
const DEFAULT_DIR: &str = "FLYTE_SECRETS_DEFAULT_DIR";
/// Tells flytekit what the names of secret files begin with; always empty.
const FILE_PREFIX: &str = "FLYTE_SECRETS_FILE_PREFIX";
/// Tells flytekit what the names of variables that hold secrets begin with.
const ENV_PREFIX: &str = "FLYTE_SECRETS_ENV_PREFIX";

/// The variables that tell Flyte's clients where secrets are; they hold none.
pub const CLIENT_VARIABLES: [&str; 3] = [DEFAULT_DIR, FILE_PREFIX, ENV_PREFIX];

/// The variable that Flyte's clients look for: the upper case of prefix, group, `_` and key.
///
/// # Errors
/// [`Miss::NotHere`] when Kubernetes does not take it as a name.
pub fn variable_name(settings: &Settings, group: &str, key: &str) -> Result<String, Miss> {
    let mut name = String::with_capacity(settings.env_prefix.len() + group.len() + key.len() + 1);
    for part in [settings.env_prefix.as_str(), group, "_", key] {
        name.push_str(part);
    }
    name.make_ascii_uppercase();
    if names::is_variable(&name) {
        return Ok(name);
    }
    Err(Miss::NotHere(format!(
        "{name:?} cannot be a variable's name (letters, digits, '_', '-' and '.', no digit first); ask for a file instead"
    )))
}

/// The further variable that the request names.
///
/// # Errors
/// [`Miss::NotHere`] when Kubernetes does not take it as a name.
pub fn further_variable(request: &SecretRequest) -> Result<Option<&str>, Miss> {
    match request.env_var.as_str() {
        "" => Ok(None),
        name if names::is_variable(name) => Ok(Some(name)),
        name => Err(Miss::NotHere(format!(
            "env_var {name:?} cannot be a variable's name (letters, digits, '_', '-' and '.', no digit first)"
        ))),
    }
}

/// Returns a warning where the request's further variable is one that tells Flyte's clients where secrets are. Where the
/// request itself needs that variable, the Pod is rejected.
pub fn client_variable_warning(request: &SecretRequest) -> Option<String> {
    CLIENT_VARIABLES.contains(&request.env_var.as_str()).then(|| {
        format!(
            "{} names {:?} as its further variable, in which Flyte's clients read where secrets are: they will not find \
             secrets in this container; name another variable",
            request.origin, request.env_var
        )
    })
}

/// The path of a secret's file: the lower case of `parts`.
///
/// # Errors
/// [`Miss::NotHere`] when a part cannot be a file's name.
pub fn file_path(parts: &[&str]) -> Result<RelativePath, Miss> {
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    exact_path(&lower)
}

/// The path of the file that `parts` name, in their own case.
///
/// # Errors
/// As [`file_path`].
pub fn exact_path(parts: &[&str]) -> Result<RelativePath, Miss> {
    RelativePath::new(parts).map_err(|part| {
        Miss::NotHere(format!(
            "{part:?} cannot be a file's name: it is empty, too long, '.' or '..', or holds '/'"
        ))
    })
}

/// The variables that go with a file: where Flyte's clients find it, and the further one, which holds its path.
///
/// # Errors
/// As [`further_variable`].
pub fn file_variables(request: &SecretRequest, settings: &Settings, path: &RelativePath) -> Result<Vec<EnvVar>, Miss> {
    let mut variables = vec![
        EnvVar::literal(DEFAULT_DIR, settings.mount_path.as_str()),
        EnvVar::literal(FILE_PREFIX, ""),
    ];
    if let Some(name) = further_variable(request)? {
        variables.push(EnvVar::literal(
            name,
            format!("{}/{}", settings.mount_path, path.as_str()),
        ));
    }
    Ok(variables)
}

/// A name for what `parts` say together: 32 letters and digits, the same for the same parts.
pub fn identity(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        // The length tells ["a", "bc"] from ["ab", "c"].
        text.push_str(&part.len().to_string());
        text.push(':');
        text.push_str(part);
    }
    md5::hexadecimal(text.as_bytes())
}

/// The variable that tells Flyte's clients the prefix.
pub fn prefix_variable(settings: &Settings) -> EnvVar {
    EnvVar::literal(ENV_PREFIX, settings.env_prefix.as_str())
}

/// The keys of all requests for the same group, so that one read of the Secret serves them all.
pub fn keys_of_group<'c>(context: &Context<'c>, group: &str) -> Vec<&'c str> {
    let mut keys: Vec<&str> = context
        .requests
        .iter()
        .filter(|request| request.group == group)
        .map(|request| request.key.as_str())
        .filter(|key| names::is_secret_key(key))
        .collect();
    sort_and_dedup(&mut keys);
    keys
}

/// What a look at a Secret found.
pub enum Found {
    /// The value under the request's key.
    Value(Vec<u8>),
    /// The Secret is there, the key is not.
    NoKey,
    /// The Secret is not there.
    NoSecret,
}

/// Looks for the request's key in a Secret. All requests for the same group share one read of it.
///
/// # Errors
/// [`Miss::Failed`] when the cluster could not be asked.
pub fn look_up(request: &SecretRequest, namespace: &str, secret: &str, context: &Context<'_>) -> Result<Found, Miss> {
    if !names::is_dns_subdomain(secret) {
        return Ok(Found::NoSecret);
    }
    let keys = keys_of_group(context, &request.group);
    match context.cluster.secret(namespace, secret, &keys) {
        Ok(data) => Ok(data
            .get(&request.key)
            .map_or(Found::NoKey, |value| Found::Value(value.to_vec()))),
        Err(ClusterError::NotFound) => Ok(Found::NoSecret),
        Err(error) => Err(Miss::Failed(format!(
            "the Secret {secret:?} in the namespace {namespace:?} could not be read: {error}"
        ))),
    }
}

/// A question after the key that the Pod's author may have meant, or nothing. Only keys that the settings' `access`
/// lets the Pod ask for are named.
pub fn suggestion(request: &SecretRequest, namespace: &str, secret: &str, context: &Context<'_>) -> String {
    let keys = context.cluster.secret_keys(namespace, secret).unwrap_or_default();
    let near = keys
        .iter()
        .filter(|key| context.may_ask(&request.group, key))
        .filter_map(|key| Some((names::distance(key, &request.key)?, key)))
        .min();
    near.map_or_else(String::new, |(_, key)| format!("; did you mean key {key:?}?"))
}

/// Whether a manager may write the annotation `key`: none in the domains of the requests, where the status stands too.
pub fn is_annotation(key: &str) -> bool {
    names::is_metadata_key(key)
        && [FLYTE_PREFIX, JSON_ANNOTATION]
            .iter()
            .all(|own| domain(own) != domain(key))
}

fn domain(key: &str) -> Option<&str> {
    key.split_once('/').map(|(domain, _)| domain)
}

/// Who has to be allowed to read a Secret that a manager hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorize {
    /// The Pod's service account.
    ServiceAccount,
    /// The user who asks for the Pod.
    User,
    /// Nobody, as in Flyte.
    None,
}

impl Authorize {
    /// Reads the setting `authorize`.
    ///
    /// # Errors
    /// When it is none of the choices.
    pub fn from_fields(fields: &mut Fields<'_>, default: Self) -> Result<Self, SettingsError> {
        let choices = [
            ("serviceAccount", Self::ServiceAccount),
            ("user", Self::User),
            ("none", Self::None),
        ];
        fields.choice("authorize", default, &choices)
    }

    /// Asks Kubernetes whether the Pod, or its user, may `get` the Secret.
    ///
    /// # Errors
    /// [`Miss::Denied`] with what would allow it, or [`Miss::Failed`].
    pub fn check(self, namespace: &str, secret: &str, context: &Context<'_>) -> Result<(), Miss> {
        let account = context.service_account;
        let (user, groups, subject, who) = match self {
            Self::None => return Ok(()),
            Self::ServiceAccount => (
                format!("system:serviceaccount:{}:{account}", context.namespace),
                vec![
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{}", context.namespace),
                    "system:authenticated".to_owned(),
                ],
                format!(
                    "{{kind: ServiceAccount, name: {account:?}, namespace: {:?}}}",
                    context.namespace
                ),
                format!(
                    "the service account {account:?} in the namespace {:?}",
                    context.namespace
                ),
            ),
            Self::User => (
                context.user.name.to_owned(),
                context.user.groups.iter().map(|group| (*group).to_owned()).collect(),
                format!(
                    "{{kind: User, name: {:?}, apiGroup: rbac.authorization.k8s.io}}",
                    context.user.name
                ),
                format!("the user {:?}", context.user.name),
            ),
        };
        match context.cluster.may_get_secret(&user, &groups, namespace, secret) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Miss::Denied(format!(
                "{who} may not get the Secret {secret:?} in the namespace {namespace:?}. This would allow it:\n\
                 apiVersion: rbac.authorization.k8s.io/v1\n\
                 kind: Role\n\
                 metadata: {{name: read-{secret}, namespace: {namespace:?}}}\n\
                 rules: [{{apiGroups: [\"\"], resources: [secrets], resourceNames: [{secret:?}], verbs: [get]}}]\n\
                 ---\n\
                 apiVersion: rbac.authorization.k8s.io/v1\n\
                 kind: RoleBinding\n\
                 metadata: {{name: read-{secret}, namespace: {namespace:?}}}\n\
                 roleRef: {{kind: Role, name: read-{secret}, apiGroup: rbac.authorization.k8s.io}}\n\
                 subjects: [{subject}]"
            ))),
            Err(error) => Err(Miss::Failed(format!(
                "whether {who} may get the Secret {secret:?} is unknown: {error}"
            ))),
        }
    }
}
