//! What several managers do in the same way.

use crate::digest;
use crate::injection::{EnvValue, EnvVar, RelativePath};
use crate::managers::manager::{NotServed, not_found};
use crate::names;
use crate::options::Options;
use crate::requests::{FLYTE_PREFIX, JSON_ANNOTATION, SecretRequest};

/// Tells flytekit where secret files are
/// ([secrets.py](https://github.com/flyteorg/flytekit/blob/master/flytekit/configuration/__init__.py)).
const DEFAULT_DIR: &str = "FLYTE_SECRETS_DEFAULT_DIR";
/// Tells flytekit what the names of secret files begin with; always empty.
const FILE_PREFIX: &str = "FLYTE_SECRETS_FILE_PREFIX";
/// Tells flytekit what the names of variables that hold secrets begin with.
const ENV_PREFIX: &str = "FLYTE_SECRETS_ENV_PREFIX";

/// Says what is wrong with a name that no variable can have.
pub(crate) const NO_VARIABLE: &str =
    "is not a valid environment variable name (letters, digits, '_', '-' and '.', no digit first)";

/// The variable that Flyte's clients look for: the upper case of prefix, group, `_` and key.
pub(crate) fn variable_name(options: &Options, group: &str, key: &str) -> Result<String, NotServed> {
    let mut name = [options.env_prefix.as_str(), group, "_", key].concat();
    name.make_ascii_uppercase();
    if names::is_variable(&name) {
        return Ok(name);
    }
    Err(not_found!("{name:?} {NO_VARIABLE}; ask for a file instead"))
}

/// Returns the variables that hold `value`: the one that Flyte's clients look for, and the one that the request names; and
/// the one that tells the clients the prefix.
pub(crate) fn variables(
    request: &SecretRequest,
    options: &Options,
    group: &str,
    value: EnvValue,
) -> Result<Vec<EnvVar>, NotServed> {
    let name = variable_name(options, group, &request.key)?;
    let mut variables = Vec::with_capacity(3);
    let further = extra_env_var(request)?.map(|further| EnvVar::new(further.to_owned(), value.clone()));
    variables.push(EnvVar::new(name, value));
    variables.extend(further);
    variables.push(prefix_variable(options));
    Ok(variables)
}

/// The further variable that the request names.
pub(crate) fn extra_env_var(request: &SecretRequest) -> Result<Option<&str>, NotServed> {
    match request.env_var.as_str() {
        "" => Ok(None),
        name if names::is_variable(name) => Ok(Some(name)),
        name => Err(not_found!("env_var {name:?} {NO_VARIABLE}")),
    }
}

/// Returns a warning where the request's further variable is one that tells Flyte's clients where secrets are. Where the
/// request itself needs that variable, the Pod is rejected.
pub(crate) fn client_variable_warning(request: &SecretRequest) -> Option<String> {
    matches!(&*request.env_var, DEFAULT_DIR | FILE_PREFIX | ENV_PREFIX).then(|| {
        format!(
            "{} names {:?} as its further variable, in which Flyte's clients read where secrets are: they will not find \
             secrets in this container; name another variable",
            request.origin, request.env_var
        )
    })
}

/// The path of a secret's file: the lower case of `parts`.
pub(crate) fn file_path(parts: &[&str]) -> Result<RelativePath, NotServed> {
    exact_path(parts).map(RelativePath::into_lower_case)
}

/// The path of the file that `parts` name, in their own case.
pub(crate) fn exact_path(parts: &[&str]) -> Result<RelativePath, NotServed> {
    RelativePath::new(parts).map_err(|part| {
        not_found!(
            "{part:?} cannot be a file's name: it is empty, too long, '.' or '..', or holds '/' or a control character"
        )
    })
}

/// The variables that go with a file: where Flyte's clients find it, and the further one, which holds its path.
pub(crate) fn file_variables(
    request: &SecretRequest,
    options: &Options,
    path: &RelativePath,
) -> Result<Vec<EnvVar>, NotServed> {
    let mut variables = vec![
        EnvVar::literal(DEFAULT_DIR, options.mount_path.as_str()),
        EnvVar::literal(FILE_PREFIX, ""),
    ];
    if let Some(name) = extra_env_var(request)? {
        let path = match request.path.as_str() {
            "" => format!("{}/{}", options.mount_path, path.as_str()),
            path => path.to_owned(),
        };
        variables.push(EnvVar::literal(name.to_owned(), path));
    }
    Ok(variables)
}

/// Appends a detail, where there is one, to the text that says where a secret comes from.
pub(crate) fn push_detail(source: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        source.extend([", ", name, " ", text]);
    }
}

/// A name for what `parts` say together: 32 letters and digits, the same for the same parts.
pub(crate) fn identity(parts: &[&str]) -> String {
    // The length tells ["a", "bc"] from ["ab", "c"].
    let mut text = String::new();
    for part in parts {
        text.extend([&part.len().to_string(), ":", part]);
    }
    digest::md5(text.as_bytes())
}

/// The variable that tells Flyte's clients the prefix.
pub(crate) fn prefix_variable(options: &Options) -> EnvVar {
    EnvVar::literal(ENV_PREFIX, options.env_prefix.as_str())
}

/// Returns whether a variable tells Flyte's clients where secrets are, and holds nothing of a secret's own.
pub(crate) fn is_for_clients(variable: &EnvVar, options: &Options) -> bool {
    let expected = match &*variable.name {
        DEFAULT_DIR => options.mount_path.as_str(),
        FILE_PREFIX => "",
        ENV_PREFIX => options.env_prefix.as_str(),
        _ => return false,
    };
    matches!(&variable.value, EnvValue::Literal(value) if value == expected)
}

/// Whether a manager may write the annotation `key`: none in the domains of the requests, where the status stands too.
pub(crate) fn is_annotation(key: &str) -> bool {
    names::is_metadata_key(key)
        && [FLYTE_PREFIX, JSON_ANNOTATION]
            .iter()
            .all(|own| domain(own) != domain(key))
}

fn domain(key: &str) -> Option<&str> {
    key.split_once('/').map(|(domain, _)| domain)
}
