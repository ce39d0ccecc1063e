//! AWS Secrets Manager: init containers that fetch the Pod's secrets, with the image that Flyte uses or with the AWS CLI, which
//! fetches parameters of Systems Manager as well.
//!
//! Volume, path, variables and image are those of Flyte's
//! [AWS injector](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/secret/aws_secret_manager.go): group
//! and key together are the secret's ARN, wherever the request puts the border between them.

use crate::injection::{ContainerName, Fetch, FetchContainer, Fetched, Fetcher, Injection};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::cli::{Cli, Located, check_version, path_parts};
use crate::managers::context::Context;
use crate::managers::fetch::{self, ContainerSettings};
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::managers::naming;
use crate::managers::script::{script, word};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest, WHOLE};

/// Flyte's image; its makers have archived it.
const SIDECAR_IMAGE: &str = "docker.io/amazon/aws-secrets-manager-secret-sidecar:v0.1.4";

/// Where Flyte's image writes
/// ([main.go](https://github.com/aws-samples/aws-secret-sidecar-injector/blob/master/secrets-manager-secret-sidecar/main.go)).
const SIDECAR_DIRECTORY: &str = "/tmp";

const CONTAINER: &str = "aws-pull-secret";
const VOLUME: &str = "aws-secret-vol";

/// The AWS CLI: one container for all secrets.
pub(super) static CLI: Cli = Cli {
    label: "aws",
    script: script!("scripts/aws.sh", Shell),
    image: "docker.io/amazon/aws-cli:2.37.5",
    container: CONTAINER,
    key_may_be_field: false,
    volume: VOLUME,
    access_name: |request| secret_id(&request.group, key_of(request).key),
    locate,
};

pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
    if fields.choice("client", false, &[("sidecar", false), ("cli", true)])? {
        return CLI.read(fields);
    }
    let container = ContainerSettings::of_client(fields, SIDECAR_IMAGE)?;
    Ok(Box::new(Sidecar { container }))
}

/// Finds out what the AWS CLI is asked for.
fn locate(request: &SecretRequest) -> Result<Located<'_>, NotServed> {
    let Key { key, field, versions } = key_of(request);
    let (secret, service) = secret(&request.group, key)?;
    let mut versions = versions
        .into_iter()
        .chain([&*request.group_version])
        .filter(|version| !version.is_empty());
    let version = versions.next().unwrap_or_default();
    if versions.any(|other| other != version) {
        return Err(not_found!("it names two versions; leave one of them out"));
    }
    let kind = match service {
        None => return Err(no_arn(&secret, PARAMETER_FORM)),
        // The CLI reads a value such as file:///etc/passwd from that file
        // (https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters-file.html).
        Some(SECRETS) if version.contains("://") => return Err(not_found!("no version is called {version:?}")),
        Some(SECRETS) => "AWS secret ",
        Some(_) => {
            // It stands behind the parameter's name.
            check_version(version)?;
            "AWS parameter "
        }
    };
    let mut source = [kind, &secret].concat();
    naming::push_detail(&mut source, "version", version);
    let key = if key == WHOLE { "" } else { key };
    Ok(Located {
        path: path_parts(&[&request.group, version, key])?,
        arguments: [secret, version.to_owned()],
        field,
        source,
        warning: None,
    })
}

/// Flyte's image: one container for each file.
struct Sidecar {
    container: ContainerSettings,
}

impl Manager for Sidecar {
    fn finds_by(&self, part: &str) -> bool {
        part != "groupVersion"
    }

    /// The ARN alone chooses the secret, not what of it is the group.
    fn access_name(&self, request: &SecretRequest) -> String {
        secret_id(&request.group, &request.key)
    }

    fn takes_optional(&self) -> bool {
        false
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let (secret, service) = secret(&request.group, &request.key)?;
        if request.mount == MountRequirement::EnvVar {
            return Err(not_found!(
                "with the setting client: sidecar it gives files only; client: cli with the policy's setting envFiles: \
                 true (Kubernetes 1.35 and later) gives variables too"
            ));
        }
        if request.mode.is_some() {
            return Err(not_found!(
                "with the setting client: sidecar no file has a mode of its own; client: cli knows the request's mode"
            ));
        }
        let asked = request.asked();
        let path = path_parts(&[&asked.group, &asked.key])?;
        let source = format!("AWS secret {secret}");
        let fetched = Fetched::new(self, VOLUME, vec![secret.clone()]);
        let mut injection = fetch::injection(request, context, &path, fetched, source)?;
        if service != Some(SECRETS) {
            injection.warnings.push(format!(
                "{} asks for {secret:?}, which is not the ARN of a secret, so that the image of client: sidecar will not \
                 find it and the Pod will not start; {ARN_FORM}",
                request.origin
            ));
        }
        let version = &request.group_version;
        if !version.is_empty() {
            injection.warnings.push(format!(
                "{} asks for the version {version:?}, but the image of client: sidecar always takes AWSCURRENT; client: \
                 cli knows versions",
                request.origin
            ));
        }
        Ok(injection)
    }
}

impl Fetcher for Sidecar {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        let mut containers = Vec::new();
        for item in fetch.items {
            let secret = item.fetched.arguments.first().map_or("", String::as_str);
            for target in &item.targets {
                let name = ContainerName::Numbered(CONTAINER);
                let file = format!("/{}", target.path);
                let env = vec![("SECRET_ARN", word(secret)), ("SECRET_FILENAME", word(&file))];
                let mounts = vec![(target.volume, SIDECAR_DIRECTORY.to_owned())];
                containers.push(self.container.container(name, (Vec::new(), &[]), env, mounts));
            }
        }
        containers
    }
}

/// Returns what the client is asked for, and the service whose secret that is, if it is an ARN.
///
/// # Errors
/// When the request lacks a part, or makes a text that looks like an ARN and is none: it could fit a rule for another secret.
fn secret(group: &str, key: &str) -> Result<(String, Option<&'static str>), NotServed> {
    if group.is_empty() || key.is_empty() {
        return Err(not_found!(
            "it needs a group and a key, which are the secret's ARN together"
        ));
    }
    let secret = secret_id(group, key);
    let service = service(&secret);
    if service.is_none() && secret.contains(":secretsmanager:") {
        return Err(no_arn(&secret, ""));
    }
    Ok((secret, service))
}

fn no_arn(secret: &str, other_form: &str) -> NotServed {
    not_found!("{secret:?} is not the ARN of a secret; {ARN_FORM}{other_form}")
}

/// What the client is asked for: group and key with one colon between them, or one slash behind the beginning of a parameter's
/// ARN, on whichever side the request writes it. Without a key of its own, the group is the ARN.
fn secret_id(group: &str, key: &str) -> String {
    let border = if group.contains(":ssm:") { '/' } else { ':' };
    if key == WHOLE {
        return group.trim_end_matches(border).to_owned();
    }
    let (group, key) = (group.trim_end_matches(border), key.trim_start_matches(border));
    format!("{group}{border}{key}")
}

/// A request's key, taken apart.
struct Key<'r> {
    /// What of the ARN is in it.
    key: &'r str,
    field: &'r str,
    /// The staging label and the id, of which each may be empty.
    versions: [&'r str; 2],
}

/// Takes the key apart where it has the form of
/// [ECS](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html), in which the field,
/// the staging label and the id of the version stand behind the ARN, each after a colon.
fn key_of(request: &SecretRequest) -> Key<'_> {
    let mut parts = request.key.rsplitn(4, ':');
    if let (Some(id), Some(stage), Some(field), Some(key)) = (parts.next(), parts.next(), parts.next(), parts.next())
        && service(&secret_id(&request.group, key)).is_some()
    {
        let versions = [stage, id];
        return Key { key, field, versions };
    }
    Key {
        key: &request.key,
        field: "",
        versions: [""; 2],
    }
}

const ARN_FORM: &str = "group and key together have to be arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME, such as \
                        the group arn:aws:secretsmanager:eu-west-1:123456789012:secret: and the key NAME-AbCdEf";

/// What the CLI takes as well.
const PARAMETER_FORM: &str = "; of a parameter, arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME";

/// The services, as ARNs call them.
const SECRETS: &str = "secretsmanager";
const PARAMETERS: &str = "ssm";

/// Returns the service, if `text` is the [ARN of a
/// secret](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_iam-permissions.html#iam-resources) or of a
/// [parameter](https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html). A name
/// has [no colon](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html), so that no part
/// of it can look like an ARN of its own. A parameter below `aws/reference/` is
/// [a secret](https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html) that has an ARN of
/// its own.
fn service(text: &str) -> Option<&'static str> {
    let parts: Vec<&str> = text.split(':').collect();
    let (service, name, further) = match *parts.as_slice() {
        ["arn", _, SECRETS, _, _, "secret", name] => (SECRETS, name, "/_+=.@!-"),
        ["arn", _, PARAMETERS, _, _, name] => (PARAMETERS, name.strip_prefix("parameter/")?, "/_.-"),
        _ => return None,
    };
    let is_name = !name.is_empty() && !name.contains("aws/reference/") && names::is_plain(name, further);
    let is_word = |word: &str| !word.is_empty() && names::is_lower(word, "-");
    let is_account = |account: &str| !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
    matches!(*parts.as_slice(), [_, partition, _, region, account, ..]
        if is_name && is_word(partition) && is_word(region) && is_account(account))
    .then_some(service)
}
