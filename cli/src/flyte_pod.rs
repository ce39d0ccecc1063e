//! Pods that Flyte's webhook has changed already: what it added, and the Pod without that.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::requests;

/// The variables that Flyte's webhook gives to every container that it changes.
const PREFIX: &str = "FLYTE_SECRETS_ENV_PREFIX";
const DIRECTORY: &str = "FLYTE_SECRETS_DEFAULT_DIR";
const MARKERS: [&str; 3] = [PREFIX, DIRECTORY, "FLYTE_SECRETS_FILE_PREFIX"];
/// The init containers that fetch secrets, without their numbers, and the volume into which they write.
const FETCHERS: [(&str, &str); 3] = [
    ("aws-pull-secret-", "aws-secret-vol"),
    ("gcp-pull-secret-", "gcp-secret-vol"),
    ("azure-pull-secret-", "azure-secret-vol"),
];
/// The variable of the init container that writes Flyte's own secrets, and its volume. Its name is a setting of Flyte.
const WRITER: (&str, &str) = ("SECRETS", "embedded-secret-vol");
/// What the names of the Secrets begin with that Flyte makes for images.
const IMAGE_PULL: &str = "img-pull-";
/// Where this policy says that it was there.
const STATUS: &str = "secret-injector/status";
const VAULT: &str = "vault.hashicorp.com/";
/// The annotations with which Flyte asks Vault's injector for one secret; the secret's identifier follows.
const VAULT_SECRET: [&str; 3] = ["agent-inject-file-", "agent-inject-secret-", "agent-inject-template-"];
/// Those for the whole Pod, and what the injector answers.
const VAULT_POD: [&str; 5] = [
    "agent-inject",
    "agent-inject-status",
    "agent-pre-populate-only",
    "role",
    "secret-volume-path",
];
/// The containers of Vault's injector.
const VAULT_CONTAINERS: [&str; 2] = ["vault-agent-init", "vault-agent"];
const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Returns true if Flyte's webhook has changed the Pod: it asks with Flyte's annotations and has Flyte's variables, and this policy
/// has not been there.
pub fn is_changed(pod: &Value) -> bool {
    let annotations = &pod["metadata"]["annotations"];
    !requests::annotations(pod).is_empty()
        && annotations[STATUS].is_null()
        && CONTAINERS.iter().any(|list| items(&pod["spec"][list]).any(is_marked))
}

/// Returns the values that Flyte's webhook has written into the Pod, with the names of their variables.
pub fn values(pod: &Value) -> Vec<(String, String)> {
    if !is_changed(pod) {
        return Vec::new();
    }
    let names = own_names(pod);
    let mut found = Vec::new();
    for container in CONTAINERS.iter().flat_map(|list| items(&pod["spec"][list])) {
        for one in items(&container["env"]) {
            let (name, value) = (text(one, "name"), text(one, "value"));
            if is_fetcher(container) && name == WRITER.0 {
                let parts = value.lines().filter_map(|line| line.split_once('='));
                found.extend(parts.map(|(_, part)| (name.to_owned(), part.to_owned())));
            }
            let directory = variable(container, DIRECTORY);
            let is_path = !directory.is_empty() && value.starts_with(directory);
            if is_secret(container, name, &names) && !is_path {
                found.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    found.retain(|(_, value)| !value.is_empty());
    found
}

/// Takes out what Flyte's webhook added, and returns what that was, in words. Nothing happens to a Pod that the webhook has not
/// changed.
pub fn strip(pod: &mut Value) -> Vec<String> {
    if !is_changed(pod) {
        return Vec::new();
    }
    let names = own_names(pod);
    let mut stripped = Stripped::default();
    let vault = strip_vault(pod, &mut stripped);
    for list in CONTAINERS {
        let Some(containers) = pod["spec"].get_mut(list).and_then(Value::as_array_mut) else {
            continue;
        };
        containers.retain(|container| {
            let ours = is_fetcher(container) || vault && VAULT_CONTAINERS.contains(&text(container, "name"));
            if ours {
                stripped.containers.insert(text(container, "name").to_owned());
                stripped.mounts.extend(mounted(container));
            }
            !ours
        });
        for container in containers.iter_mut().filter(|container| is_marked(container)) {
            strip_container(container, &names, &mut stripped);
        }
    }
    strip_volumes(pod, &mut stripped);
    if let Some(secrets) = pod["spec"].get_mut("imagePullSecrets").and_then(Value::as_array_mut) {
        secrets.retain(|secret| !text(secret, "name").starts_with(IMAGE_PULL));
    }
    if let Some(spec) = pod["spec"].as_object_mut() {
        remove_empty(spec, &["imagePullSecrets", "initContainers", "volumes"]);
    }
    stripped.words()
}

/// What was taken out.
#[derive(Default)]
struct Stripped {
    annotations: BTreeSet<String>,
    variables: BTreeSet<String>,
    containers: BTreeSet<String>,
    volumes: BTreeSet<String>,
    /// The volumes of the mounts that were taken out.
    mounts: BTreeSet<String>,
}

impl Stripped {
    fn words(self) -> Vec<String> {
        [
            ("annotation", self.annotations),
            ("variable", self.variables),
            ("container", self.containers),
            ("volume", self.volumes),
        ]
        .into_iter()
        .flat_map(|(what, names)| names.into_iter().map(move |name| format!("{what} {name}")))
        .collect()
    }
}

/// Returns true if Vault's injector was asked by nobody but Flyte.
fn strip_vault(pod: &mut Value, stripped: &mut Stripped) -> bool {
    let paths: BTreeSet<String> = requests_of(pod).iter().map(|request| request.group.clone()).collect();
    let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() else {
        return false;
    };
    let secret = format!("{VAULT}{}", VAULT_SECRET[1]);
    let (flytes, own): (Vec<_>, Vec<_>) = annotations
        .iter()
        .filter_map(|(key, path)| Some((key.strip_prefix(&secret)?.to_owned(), path.as_str()?.to_owned())))
        .partition(|(_, path)| paths.contains(path));
    let only_flytes = own.is_empty() && !flytes.is_empty();
    annotations.retain(|key, _| {
        let name = key.strip_prefix(VAULT).unwrap_or_default();
        let mut ids = VAULT_SECRET.iter().filter_map(|start| name.strip_prefix(start));
        let is_flytes =
            ids.any(|id| flytes.iter().any(|(one, _)| one == id)) || only_flytes && VAULT_POD.contains(&name);
        if is_flytes {
            stripped.annotations.insert(key.clone());
        }
        !is_flytes
    });
    only_flytes
}

fn strip_container(container: &mut Value, names: &BTreeSet<String>, stripped: &mut Stripped) {
    let directory = variable(container, DIRECTORY).to_owned();
    let below = format!("{directory}/");
    let whole = container.clone();
    if let Some(env) = container.get_mut("env").and_then(Value::as_array_mut) {
        env.retain(|one| {
            let name = text(one, "name");
            let flytes = MARKERS.contains(&name) || is_secret(&whole, name, names);
            if flytes {
                stripped.variables.insert(name.to_owned());
            }
            !flytes
        });
    }
    if let Some(mounts) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
        mounts.retain(|mount| {
            let path = text(mount, "mountPath");
            let flytes = !directory.is_empty() && (path == directory || path.starts_with(&below));
            if flytes {
                stripped.mounts.insert(text(mount, "name").to_owned());
            }
            !flytes
        });
    }
    if let Some(fields) = container.as_object_mut() {
        remove_empty(fields, &["env", "volumeMounts"]);
    }
}

/// Takes out the volumes that only Flyte mounted.
fn strip_volumes(pod: &mut Value, stripped: &mut Stripped) {
    let containers = CONTAINERS.iter().flat_map(|list| items(&pod["spec"][list]));
    let needed: BTreeSet<String> = containers.flat_map(mounted).collect();
    let Some(volumes) = pod["spec"].get_mut("volumes").and_then(Value::as_array_mut) else {
        return;
    };
    volumes.retain(|volume| {
        let name = text(volume, "name");
        let flytes = stripped.mounts.contains(name) && !needed.contains(name);
        if flytes {
            stripped.volumes.insert(name.to_owned());
        }
        !flytes
    });
}

/// The variables that the requests name.
fn own_names(pod: &Value) -> BTreeSet<String> {
    requests_of(pod)
        .into_iter()
        .map(|request| request.env_var)
        .filter(|name| !name.is_empty())
        .collect()
}

fn requests_of(pod: &Value) -> Vec<requests::Request> {
    let annotations = requests::annotations(pod);
    let decoded = annotations.iter().map(|(name, value)| requests::decode(name, value));
    decoded.filter_map(Result::ok).collect()
}

fn is_secret(container: &Value, name: &str, names: &BTreeSet<String>) -> bool {
    // Most of Flyte's managers write the prefix in upper case, whatever it is.
    let prefix = variable(container, PREFIX).to_ascii_uppercase();
    let begins = !prefix.is_empty() && name.to_ascii_uppercase().starts_with(&prefix);
    is_marked(container) && (names.contains(name) || begins)
}

fn is_marked(container: &Value) -> bool {
    items(&container["env"]).any(|one| MARKERS.contains(&text(one, "name")))
}

fn is_fetcher(container: &Value) -> bool {
    let name = text(container, "name");
    // Those that read the volume cannot write to it.
    let writes = |mount: &Value, volume: &str| text(mount, "name") == volume && mount["readOnly"] != true;
    let mounts = |volume: &str| items(&container["volumeMounts"]).any(|mount| writes(mount, volume));
    let fetches = FETCHERS.iter().any(|(start, volume)| {
        let number = name.strip_prefix(start);
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) && mounts(volume)
    });
    fetches || !variable(container, WRITER.0).is_empty() && mounts(WRITER.1)
}

fn mounted(container: &Value) -> impl Iterator<Item = String> {
    items(&container["volumeMounts"]).map(|mount| text(mount, "name").to_owned())
}

fn variable<'v>(container: &'v Value, name: &str) -> &'v str {
    let found = items(&container["env"]).find(|one| text(one, "name") == name);
    found.map(|one| text(one, "value")).unwrap_or_default()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object[field].as_str().unwrap_or_default()
}

/// A list that Flyte began is not there without it.
fn remove_empty(fields: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        if fields.get(*name).and_then(Value::as_array).is_some_and(Vec::is_empty) {
            fields.remove(*name);
        }
    }
}
