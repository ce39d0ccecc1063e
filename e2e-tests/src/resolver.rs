//! What a container finds when it starts: its variables, its command and its mounts, as the kubelet makes them of a Pod
//! and the Secrets of a cluster.
//!
//! Only what a secret can travel through is resolved: literals with `$(NAME)` in them, references to Secrets, ConfigMaps,
//! fields of the Pod and files of variables; volumes of Secrets and ConfigMaps, projected or not, and `emptyDir`.
//! A variable from anything else is an error, a mount of anything else is listed in [`Container::unresolved`].
//!
//! Volumes become directories, which containers resolved after one another share. So init containers can run: resolve
//! one, run its command where its mounts are, then resolve the next.
//!
//! ```
//! use e2e_tests::{cluster::Cluster, resolver::resolve};
//! use serde_json::json;
//!
//! # fn main() -> anyhow::Result<()> {
//! let cluster = Cluster::from_yaml("
//! apiVersion: v1
//! kind: Secret
//! metadata: {name: db, namespace: team-a}
//! stringData: {password: s3cr3t}
//! ")?;
//! let pod = json!({
//!     "metadata": {"name": "p", "namespace": "team-a"},
//!     "spec": {"containers": [{"name": "app", "env": [
//!         {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
//!         {"name": "URL", "value": "postgres://me:$(PASSWORD)@db"},
//!     ]}]},
//! });
//! let directory = std::env::temp_dir().join("resolver-example");
//! let container = resolve(&pod, "app", &cluster, &directory)?;
//! assert_eq!(container.env["URL"], "postgres://me:s3cr3t@db");
//! # Ok(())
//! # }
//! ```

mod env_file;
mod expansion;
mod volumes;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::Value;

use crate::cluster::Cluster;

/// A container, ready to start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its variables, without those of the image.
    pub env: BTreeMap<String, String>,
    /// What replaces the image's entrypoint, where it is not empty.
    pub command: Vec<String>,
    /// The arguments.
    pub args: Vec<String>,
    /// What is mounted, in the order in which it has to be: a directory before what lies in it.
    pub mounts: Vec<Mount>,
    /// The mounts of volumes that are not resolved, such as a service account's token.
    pub unresolved: Vec<Unresolved>,
}

/// A file or directory that a container sees at another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Where the container sees it.
    pub mount_path: PathBuf,
    /// Where it is.
    pub source: PathBuf,
    /// Whether the container may not write to it. So it is for Secrets, whatever the Pod says.
    pub read_only: bool,
}

/// A mount that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unresolved {
    /// Where the container would see the volume.
    pub mount_path: PathBuf,
    /// The volume's name.
    pub volume: String,
}

/// Why a container cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The Pod has no such container.
    #[error("the Pod has no container {0:?}")]
    NoContainer(String),
    /// What the kubelet reports as `CreateContainerConfigError`.
    #[error("CreateContainerConfigError: the variable {name}: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// Why it has no value.
        reason: String,
    },
    /// What the kubelet reports in an event `FailedMount`; the container stays in `ContainerCreating`.
    #[error("FailedMount: the volume {volume}: {reason}")]
    Volume {
        /// The volume.
        volume: String,
        /// Why it cannot be mounted.
        reason: String,
    },
    /// A volume's directory cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// What could not be written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The container `name` of `pod`. Volumes are directories in `directory/volumes` of the volumes' names: those of
/// Secrets and ConfigMaps are written anew, an `emptyDir` stays as it is or is made.
///
/// # Errors
/// [`ResolveError`] says why the container would not start.
pub fn resolve(pod: &Value, name: &str, cluster: &Cluster, directory: &Path) -> Result<Container, ResolveError> {
    let resolver = Resolver {
        pod,
        cluster,
        volumes: directory.join("volumes"),
    };
    let container = ["initContainers", "containers"]
        .iter()
        .flat_map(|list| items(&pod["spec"][list]))
        .find(|container| container["name"] == name)
        .ok_or_else(|| ResolveError::NoContainer(name.to_owned()))?;
    let env = resolver.variables(container)?;
    let words = |field: &str| {
        let words = items(&container[field]).iter().filter_map(Value::as_str);
        words.map(|word| expansion::expand(word, &env)).collect()
    };
    let (command, args) = (words("command"), words("args"));
    let (mounts, unresolved) = resolver.mounts(container, &env)?;
    Ok(Container {
        command,
        args,
        mounts,
        unresolved,
        env,
    })
}

struct Resolver<'a> {
    pod: &'a Value,
    cluster: &'a Cluster,
    volumes: PathBuf,
}

impl Resolver<'_> {
    fn variables(&self, container: &Value) -> Result<BTreeMap<String, String>, ResolveError> {
        let mut env = BTreeMap::new();
        let failed = |name: &str, reason: String| ResolveError::Variable {
            name: name.to_owned(),
            reason,
        };
        if !items(&container["envFrom"]).is_empty() {
            return Err(failed("of envFrom", "only env is resolved here".to_owned()));
        }
        for variable in items(&container["env"]) {
            let name = variable["name"].as_str().unwrap_or_default();
            let value = match variable["valueFrom"].as_object() {
                None => Some(expansion::expand(variable["value"].as_str().unwrap_or_default(), &env)),
                Some(from) => {
                    let (kind, reference) = from.iter().next().ok_or_else(|| failed(name, "empty".to_owned()))?;
                    self.referenced(kind, reference)
                        .map_err(|reason| failed(name, reason))?
                }
            };
            if let Some(value) = value {
                env.insert(name.to_owned(), value);
            }
        }
        Ok(env)
    }

    /// The value that a reference gives; none where it is optional and leads nowhere.
    fn referenced(&self, kind: &str, reference: &Value) -> Result<Option<String>, String> {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let found = match kind {
            "secretKeyRef" => self.key("Secret", text("name"), text("key")),
            "configMapKeyRef" => self.key("ConfigMap", text("name"), text("key")),
            "fileKeyRef" => self.file_key(text("volumeName"), text("path"), text("key")),
            "fieldRef" => return self.field(text("fieldPath")).map(Some),
            _ => return Err(format!("{kind} is not resolved here")),
        };
        match found {
            Ok(value) => String::from_utf8(value)
                .map(Some)
                .map_err(|_| "the value is not UTF-8".to_owned()),
            Err(Missing::Absent(_)) if reference["optional"] == true => Ok(None),
            Err(Missing::Absent(reason) | Missing::Wrong(reason)) => Err(reason),
        }
    }

    fn key(&self, kind: &str, name: &str, key: &str) -> Result<Vec<u8>, Missing> {
        let data = self
            .data(kind, name)
            .ok_or_else(|| Missing::Absent(format!("{} {name:?} not found", kind.to_lowercase())))?;
        data.into_iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
            .ok_or_else(|| Missing::Absent(format!("couldn't find key {key} in {kind} {}/{name}", self.namespace())))
    }

    /// The content of a Secret or a ConfigMap.
    fn data(&self, kind: &str, name: &str) -> Option<Vec<(String, Vec<u8>)>> {
        let object = self.cluster.object("v1", kind, Some(self.namespace()), name)?;
        let text = |value: &Value| value.as_str().unwrap_or_default().as_bytes().to_vec();
        let bytes = |value: &Value| STANDARD.decode(text(value)).unwrap_or_default();
        let fields = |field: &str| object[field].as_object().into_iter().flatten();
        Some(match kind {
            "Secret" => fields("data").map(|(key, value)| (key.clone(), bytes(value))).collect(),
            _ => {
                let texts = fields("data").map(|(key, value)| (key.clone(), text(value)));
                let binary = fields("binaryData").map(|(key, value)| (key.clone(), bytes(value)));
                texts.chain(binary).collect()
            }
        })
    }

    fn file_key(&self, volume: &str, path: &str, key: &str) -> Result<Vec<u8>, Missing> {
        let known = self.volume(volume).filter(|volume| !volume["emptyDir"].is_null());
        if known.is_none() {
            return Err(Missing::Wrong(format!("the Pod has no emptyDir volume {volume:?}")));
        }
        let directory = self.directory(volume).map_err(Missing::Wrong)?;
        let file = volumes::inside(&directory, path)
            .ok_or_else(|| Missing::Wrong(format!("{path:?} leads out of the volume {volume:?}")))?;
        let content = std::fs::read(&file)
            .map_err(|error| Missing::Absent(format!("the file {path:?} in the volume {volume:?}: {error}")))?;
        let value = env_file::value(&content, key)
            .map_err(|reason| Missing::Wrong(format!("the file {path:?} in the volume {volume:?}: {reason}")))?;
        value.ok_or_else(|| Missing::Absent(format!("key {key:?} not found in the file {path:?} of {volume:?}")))
    }

    /// A field of the Pod as far as it is known before the Pod runs.
    fn field(&self, path: &str) -> Result<String, String> {
        let metadata = &self.pod["metadata"];
        let value = match path {
            "metadata.name" | "metadata.uid" => &metadata[path.trim_start_matches("metadata.")],
            "metadata.namespace" => return Ok(self.namespace().to_owned()),
            "spec.nodeName" | "spec.serviceAccountName" => &self.pod["spec"][path.trim_start_matches("spec.")],
            _ => {
                let subscript = path.strip_suffix("']").and_then(|path| path.split_once("['"));
                match subscript {
                    Some(("metadata.labels", key)) => &metadata["labels"][key],
                    Some(("metadata.annotations", key)) => &metadata["annotations"][key],
                    _ => return Err(format!("the field {path} is not resolved here")),
                }
            }
        };
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    fn namespace(&self) -> &str {
        self.pod["metadata"]["namespace"].as_str().unwrap_or("default")
    }

    fn volume(&self, name: &str) -> Option<&Value> {
        items(&self.pod["spec"]["volumes"])
            .iter()
            .find(|volume| volume["name"] == name)
    }
}

/// Why a reference gives no value.
enum Missing {
    /// What it names is not there, which `optional` allows.
    Absent(String),
    /// It is wrong in any case.
    Wrong(String),
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
