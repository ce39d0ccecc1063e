//! What is to be added to a Pod for one secret, as plain data.
//!
//! Managers make these; only [`crate::pod`] knows how a Pod is changed. The JSON names are those of the Kubernetes
//! [Pod API](https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/). The types hold only what
//! this policy writes: the generated types of `k8s-openapi` would double the module's size.

mod fetch;
mod path;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::json::Writer;
use crate::requests::SecretRequest;

pub(crate) use fetch::{
    ContainerName, Fetch, FetchContainer, FetchItem, FetchTarget, FetchVolume, Fetched, Fetcher, VolumeSource,
};
pub(crate) use path::RelativePath;

/// A request that a manager serves.
pub(crate) struct Addition<'a> {
    pub request: &'a SecretRequest,
    /// What messages call the manager that serves it.
    pub manager: &'a str,
    /// The manager's position among all. Init containers stand in this order, and what two managers give is never the same.
    pub position: usize,
    pub injection: Box<Injection<'a>>,
    /// The containers that go without it: a default yields to what they have.
    pub without: Vec<String>,
}

impl Addition<'_> {
    /// Returns whether the request is for the container of this name.
    pub(crate) fn reaches(&self, container: &str) -> bool {
        self.request.containers.includes(container) && !self.without.iter().any(|name| name == container)
    }
}

/// Writes how messages name the request: where it stands and what it asks for.
impl fmt::Display for Addition<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SecretRequest { origin, group, key, .. } = self.request;
        write!(formatter, "{origin} ({:?})", format!("{group}/{key}"))
    }
}

/// What one manager adds to a Pod for one secret.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Injection<'m> {
    /// Variables for the request's containers, each put in front of those before it.
    pub env: Vec<EnvVar>,
    /// Secrets in the Pod's namespace whose keys all become variables.
    pub env_from: Vec<EnvFrom>,
    /// The file that holds the secret.
    pub file: Option<SecretFile<'m>>,
    /// The name by which the secret was found, where it is not the one that was asked for.
    pub found_as: Option<String>,
    /// The file of variables that holds the secret.
    pub env_file: Option<EnvFile<'m>>,
    /// Annotations of the Pod.
    pub annotations: Vec<Annotation>,
    /// Labels of the Pod, which its own labels override.
    pub labels: Vec<(String, String)>,
    /// Volumes that an operator's template asks for.
    pub volumes: Vec<Value>,
    /// Mounts, for the request's containers, that an operator's template asks for.
    pub mounts: Vec<Value>,
    /// Init containers that an operator's template asks for.
    pub init_containers: Vec<Value>,
    /// Names of Secrets for the Pod's `imagePullSecrets`.
    pub image_pull_secrets: Vec<String>,
    /// Where the agent that brings the secret mounts a volume of its own at `mountPath`, if somebody else injects one.
    pub agent: Option<AgentMounts>,
    /// Where the secret comes from, for people: names, never values.
    pub source: String,
    /// What the Pod's author should know.
    pub warnings: Vec<String>,
}

impl<'m> Injection<'m> {
    /// Returns the secret that an init container is to fetch, for a file or for a variable.
    pub(crate) fn fetched(&self) -> Option<&Fetched<'m>> {
        match self.file.as_ref().map(|file| &file.origin) {
            Some(FileOrigin::Fetched(fetched)) => Some(fetched),
            _ => self.env_file.as_ref().map(|file| &file.fetched),
        }
    }

    /// Returns how many bytes of secrets it holds.
    pub(crate) fn size_of_secrets(&self) -> usize {
        let literals = self.env.iter().map(|variable| match &variable.value {
            EnvValue::Literal(text) => text.len(),
            _ => 0,
        });
        let arguments = self.fetched().map_or(&[][..], |fetched| &fetched.arguments);
        literals
            .chain(arguments.iter().map(String::len))
            .fold(0, usize::saturating_add)
    }
}

/// An annotation that a secret manager reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Annotation {
    pub key: String,
    pub value: String,
    /// Whether the request cannot be served without this very value. Then it replaces the Pod's own, with a warning;
    /// otherwise the Pod's own stays.
    pub required: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvVar {
    pub name: Cow<'static, str>,
    pub value: EnvValue,
}

/// A Secret of which each key is a variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvFrom {
    /// What the variables' names begin with.
    pub prefix: String,
    pub secret: String,
    /// Whether the container starts without the Secret.
    pub optional: bool,
}

/// What a variable holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EnvValue {
    /// This text, as the process is to see it. Written so that the kubelet does not expand
    /// [`$(NAME)`](https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/)
    /// in it.
    Literal(String),
    /// A key of a Secret in the Pod's namespace.
    SecretKey {
        secret: String,
        key: String,
        /// Whether the container starts without it.
        optional: bool,
    },
    /// A line of a file that an init container of ours writes
    /// ([KEP-3721](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3721-support-for-env-files)).
    /// Which volume and file that is, [`crate::pod`] knows.
    Fetched {
        /// The name that the value has in the file.
        key: String,
        /// Whether the container starts without it.
        optional: bool,
    },
    /// Whatever an operator's template says: the variable's object without its name.
    Template(Value),
}

/// A file of variables with one secret, which an init container writes and no container mounts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvFile<'m> {
    pub fetched: Fetched<'m>,
    /// The name that the value has in the file.
    pub key: String,
}

/// A file that holds a secret.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SecretFile<'m> {
    /// Where the file appears, below the settings' `mountPath`.
    pub path: RelativePath,
    /// How it gets there.
    pub origin: FileOrigin<'m>,
}

impl SecretFile<'_> {
    /// Returns the directory that a volume of its own is mounted at. The files of a CSI volume may be in directories of
    /// that volume.
    pub(crate) fn volume_directory(&self) -> &str {
        match self.origin {
            FileOrigin::Csi { .. } => self.path.first(),
            _ => self.path.directory(),
        }
    }
}

/// How a file gets into a container.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FileOrigin<'m> {
    /// The kubelet takes it from a Secret in the Pod's namespace.
    Secret {
        /// The volume's name, when it is free.
        volume: String,
        secret: String,
        key: String,
        /// Whether the container starts without it.
        optional: bool,
    },
    /// A volume of the Secrets Store CSI driver, mounted at the file's directory.
    Csi {
        /// The volume's name, when it is free.
        volume: String,
        source: Value,
    },
    /// An init container of the manager that serves the request writes it into a memory volume.
    Fetched(Fetched<'m>),
    /// An agent that somebody else injects puts it there, into a volume of its own where [`Injection::agent`] is given.
    Agent {
        /// What the agent is told to write, in a form of the manager's own: two files at one path are the same only
        /// where this is.
        identity: String,
    },
}

/// The containers in which an agent mounts a volume of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AgentMounts {
    /// None.
    Nowhere,
    /// All, init containers among them.
    Everywhere,
    /// All init containers, and the containers whose names are in this list, separated by commas.
    In(Rc<str>),
}

impl EnvVar {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, value: EnvValue) -> Self {
        let name = name.into();
        Self { name, value }
    }

    /// Makes a variable that holds a text.
    pub(crate) fn literal(name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self::new(name, EnvValue::Literal(value.into()))
    }

    /// Returns the variable as an item of a container's `env`. `file` is the volume that holds the file of a fetched one, and
    /// the file's path in the volume.
    pub(crate) fn to_json(&self, file: Option<&(String, String)>) -> String {
        // Growing costs more than what is left over.
        let mut writer = Writer::with_capacity(192);
        writer.byte(b'{');
        writer.text_field("name", &self.name);
        match &self.value {
            EnvValue::Literal(value) if value.is_empty() => {}
            EnvValue::Literal(value) => {
                writer.text_field("value", &unexpanded(value));
            }
            EnvValue::SecretKey { secret, key, optional } => {
                let fields = [("name", secret), ("key", key)];
                write_value_from(&mut writer, "secretKeyRef", &fields, *optional);
            }
            EnvValue::Fetched { key, optional } => {
                if let Some((volume, path)) = file {
                    let fields = [("volumeName", volume), ("path", path), ("key", key)];
                    write_value_from(&mut writer, "fileKeyRef", &fields, *optional);
                }
            }
            EnvValue::Template(Value::Object(fields)) => {
                for (name, value) in fields {
                    writer.value_field(name, value);
                }
            }
            EnvValue::Template(_) => {}
        }
        writer.byte(b'}');
        writer.into_string()
    }
}

fn write_value_from(writer: &mut Writer, kind: &'static str, fields: &[(&'static str, &String)], optional: bool) {
    writer.field("valueFrom");
    writer.byte(b'{');
    writer.field(kind);
    writer.byte(b'{');
    for (name, value) in fields {
        writer.text_field(name, value);
    }
    if optional {
        writer.raw_field("optional", "true");
    }
    writer.raw("}}");
}

/// `value` such that the kubelet's expansion gives it back: it turns `$$` into `$` and replaces `$(NAME)`
/// ([expand.go](https://github.com/kubernetes/kubernetes/blob/master/third_party/forked/golang/expansion/expand.go)).
pub(crate) fn unexpanded(value: &str) -> Cow<'_, str> {
    let dollar = |text: &str| memchr::memchr(b'$', text.as_bytes());
    if dollar(value).is_none() {
        return value.into();
    }
    let mut escaped = String::with_capacity(value.len() + 64);
    let mut rest = value;
    while let Some((text, after)) = dollar(rest).and_then(|place| rest.split_at_checked(place + 1)) {
        escaped.push_str(text);
        if after.starts_with(['$', '(']) {
            escaped.push('$');
        }
        rest = after;
    }
    escaped.push_str(rest);
    escaped.into()
}
