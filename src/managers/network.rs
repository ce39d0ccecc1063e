//! What an init container needs to reach a store through the cluster's network: an operator's variables, such as those of
//! a proxy, and the certificates of a company's own CA.

use serde_json::Value;

use crate::injection::{FetchVolume, VolumeSource};
use crate::json::fields::{Fields, SettingsError};
use crate::json::{Node, Writer, text_in, tree};
use crate::managers::naming::NO_VARIABLE;
use crate::names;
use crate::schema;

/// Variables that the clients get from us, or that our scripts set: a value from the settings would break them or have no
/// effect.
#[rustfmt::skip]
const OWN: [&str; 14] = [
    "HOME", "TMPDIR", "PYTHONUTF8", "SECRET_ARN", "SECRET_FILENAME", "SECRET_REQUESTS", "TAKE_FIELD", "AWS_PAGER",
    "AZURE_CONFIG_DIR", "AZURE_CORE_COLLECT_TELEMETRY", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_DISABLE_PROMPTS",
    "CLOUDSDK_CORE_DISABLE_FILE_LOGGING", "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK",
];

/// The variables by which the clients find a file of CA certificates: the AWS CLI and boto3, Google Cloud's CLI, Python's
/// requests in Azure's CLI and Confidant's client, and OpenSSL and Go.
#[rustfmt::skip]
const CA_VARIABLES: [&str; 4] = [
    "AWS_CA_BUNDLE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE",
];

/// Where the certificates are in the init containers.
const CA_DIRECTORY: &str = "/etc/secret-injector-ca";
const CA_FILE: &str = "ca.crt";

/// Reads `env` and `caBundle`: the variables of a container, as items of its `env`, and the volumes that it mounts, beside those
/// for the secrets.
pub(super) fn read(fields: &mut Fields<'_>) -> Result<(Vec<Node<'static>>, Vec<FetchVolume>), SettingsError> {
    let given = fields.take::<Vec<Value>>("env")?.unwrap_or_default();
    let (mut env, mut volumes) = (Vec::new(), Vec::new());
    if let Some(bundle) = fields.nested("caBundle")? {
        volumes.push(FetchVolume {
            name: "secret-injector-ca",
            source: ca_volume(bundle)?,
            path: CA_DIRECTORY,
        });
        let file = [CA_DIRECTORY, "/", CA_FILE].concat();
        env.extend(
            CA_VARIABLES.map(|name| Node::made(&tree([("name", name.into()), ("value", file.as_str().into())]))),
        );
    }
    let has_bundle = !volumes.is_empty();
    for (index, variable) in given.iter().enumerate() {
        let place = format!("env[{index}]");
        schema::check(variable, "EnvVar").map_err(|error| error.below(&place).below(fields.place()))?;
        let name = text_in(variable, "name");
        let twice = given.iter().take(index).any(|before| text_in(before, "name") == name);
        if let Some(problem) = name_problem(name, twice, has_bundle) {
            return Err(fields.invalid(&format!("{place}.name"), &problem));
        }
        if let Some(problem) = source_problem(variable) {
            return Err(fields.invalid(&place, problem));
        }
    }
    env.extend(given.iter().map(Node::made));
    Ok((env, volumes))
}

/// Reads `caBundle` and returns the source of the volume that holds the certificates.
fn ca_volume(mut bundle: Fields<'_>) -> Result<VolumeSource, SettingsError> {
    let mut object = |name: &'static str| -> Result<Option<String>, SettingsError> {
        match bundle.take::<String>(name)? {
            Some(object) if !names::is_dns_subdomain(&object) => {
                Err(bundle.invalid(name, "is no name of an object in the Pod's namespace"))
            }
            object => Ok(object),
        }
    };
    let (config_map, secret) = (object("configMap")?, object("secret")?);
    let is_key = names::is_secret_key;
    let key = bundle.valid("key", CA_FILE, is_key, "is no key of a ConfigMap or Secret")?;
    let place = bundle.place().to_owned();
    bundle.finish()?;
    let item = tree([("key", key.into()), ("path", CA_FILE.into())]);
    let (kind, field, name) = match (config_map, secret) {
        (Some(name), None) => ("configMap", "name", name),
        (None, Some(name)) => ("secret", "secretName", name),
        _ => {
            let problem = "has to name either a configMap or a secret that holds the CA certificates";
            return Err(SettingsError::new(&place, problem));
        }
    };
    let source = tree([(field, name.into()), ("items", vec![item].into())]);
    Ok(VolumeSource::new(kind, Writer::text_of(&source)))
}

fn name_problem(name: &str, twice: bool, has_ca: bool) -> Option<String> {
    if !names::is_variable(name) {
        Some(format!("{name:?} {NO_VARIABLE}"))
    } else if OWN.contains(&name) || name.starts_with("CONFIDANT_") {
        Some(format!("{name:?} is set by the policy; leave it out"))
    } else if has_ca && CA_VARIABLES.contains(&name) {
        Some(format!("{name:?} is set by caBundle; leave out one of them"))
    } else if twice {
        Some(format!("{name:?} is there twice"))
    } else {
        None
    }
}

fn source_problem(variable: &Value) -> Option<&'static str> {
    let source = variable.get("valueFrom").filter(|source| !source.is_null())?;
    if variable.get("value").is_some_and(|value| !value.is_null()) {
        return Some("has both value and valueFrom: leave one out");
    }
    let given = source.as_object().into_iter().flatten();
    let mut given = given.filter(|(_, value)| !value.is_null()).map(|(field, _)| &**field);
    match (given.next(), given.next()) {
        (Some("configMapKeyRef" | "secretKeyRef"), None) => None,
        _ => Some("may take its value from one configMapKeyRef or secretKeyRef"),
    }
}
