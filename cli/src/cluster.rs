//! A Kubernetes cluster in a file: the objects a policy may read, and the RBAC it may ask.
//!
//! The file is a multi-document YAML of ordinary manifests (a `v1/List` counts as its items):
//!
//! ```yaml
//! apiVersion: v1
//! kind: Secret
//! metadata: {name: db, namespace: team-a}
//! stringData: {password: s3cr3t}
//! ---
//! apiVersion: e2e-tests/v1       # not Kubernetes: the API server does not answer
//! kind: Outage
//! operations: [can_i]            # absent: none of them
//! message: "ServiceError: error trying to connect: deadline has elapsed"   # absent: connection refused
//! ```
//!
//! `stringData` becomes `data` in base64, as on a write to the API server.

use std::{fs, io, path::Path, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    field_mask::FieldMask,
    host_request::{Answer, HostRequest},
    protocol::SubjectAccessReview,
    rbac::{AccessReviewStatus, Rbac},
    secret::check_secret,
    source::Source,
    yaml::{self, YamlError},
};

const OUTAGE_API_VERSION: &str = "e2e-tests/v1";
/// What kube's client says when nobody listens.
const CONNECTION_REFUSED: &str = "ServiceError: client error (Connect)";
/// The kinds without a namespace that a policy is likely to ask for; all others are taken to have one.
const CLUSTER_SCOPED: [&str; 9] = [
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "StorageClass",
];

/// Why a cluster file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// It cannot be read.
    #[error("cannot read the cluster file {}: {source}", path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not YAML.
    #[error("the cluster file is {0}")]
    Yaml(#[from] YamlError),
    /// A document lacks a field that every object has.
    #[error("{object} has no {field}")]
    Field {
        /// The object, as far as it is told.
        object: String,
        /// Which field.
        field: &'static str,
    },
    /// A document is not what its kind says.
    #[error("the {object}: {source}")]
    Object {
        /// Which one.
        object: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The API server would not take a Secret. The text has no value of it.
    #[error("the {object}: {message}")]
    Secret {
        /// Which one.
        object: String,
        /// Why not.
        message: String,
    },
}

/// The objects of a cluster. The default is a cluster that has none.
#[derive(Debug, Default)]
pub struct Cluster {
    objects: Vec<Value>,
    rbac: Rbac,
    outages: Vec<Outage>,
}

/// A time in which the API server does not answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outage {
    #[serde(default)]
    operations: Vec<String>,
    message: Option<String>,
}

impl Cluster {
    /// The cluster of a file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ClusterError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|source| ClusterError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_yaml(&text)
    }

    /// The cluster of several files.
    ///
    /// # Errors
    /// [`Failure`], which names the file.
    pub fn from_files(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut cluster = Self::default();
        for source in Source::read_all(paths)? {
            for document in source.documents()? {
                let place = source.place(&document);
                let object = yaml::to_json(&document.value).map_err(|error| Failure::at(place, error))?;
                for object in items(object) {
                    check_secret(&object)
                        .map_err(|message| ClusterError::Secret {
                            object: describe(&object),
                            message,
                        })
                        .and_then(|()| cluster.add(object))
                        .map_err(|error| Failure::at(place, error))?;
                }
            }
        }
        Ok(cluster)
    }

    /// The cluster of a text.
    pub fn from_yaml(text: &str) -> Result<Self, ClusterError> {
        let mut cluster = Self::default();
        for document in yaml::documents(text)? {
            items(yaml::to_json(&document)?)
                .into_iter()
                .try_for_each(|object| cluster.add(object))?;
        }
        Ok(cluster)
    }

    /// Returns all objects of a kind.
    pub fn objects_of(&self, api_version: &str, kind: &str) -> impl Iterator<Item = &Value> {
        let wanted = move |object: &&Value| object["apiVersion"] == api_version && object["kind"] == kind;
        self.objects.iter().filter(wanted)
    }

    fn add(&mut self, mut object: Value) -> Result<(), ClusterError> {
        let field = |field: &'static str, pointer: &str| {
            let value = object.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| ClusterError::Field {
                object: describe(&object),
                field,
            })
        };
        let api_version = field("apiVersion", "/apiVersion")?;
        let kind = field("kind", "/kind")?;
        if api_version == OUTAGE_API_VERSION {
            self.outages.push(typed(&object)?);
            return Ok(());
        }
        field("metadata.name", "/metadata/name")?;
        if !CLUSTER_SCOPED.contains(&kind.as_str()) && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!("default");
        }
        match (api_version.as_str(), kind.as_str()) {
            ("v1", "Secret") => encode_string_data(&mut object),
            ("rbac.authorization.k8s.io/v1", "Role") => self.rbac.roles.push(typed(&object)?),
            ("rbac.authorization.k8s.io/v1", "ClusterRole") => {
                self.rbac.cluster_roles.push(typed(&object)?);
            }
            ("rbac.authorization.k8s.io/v1", "RoleBinding") => {
                self.rbac.role_bindings.push(typed(&object)?);
            }
            ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding") => {
                self.rbac.cluster_role_bindings.push(typed(&object)?);
            }
            _ => {}
        }
        self.objects.push(object);
        Ok(())
    }

    /// The object of that name. A kind without namespaces is found whatever `namespace` says, as in the policy server.
    pub fn object(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Option<&Value> {
        self.objects.iter().find(|object| {
            object["apiVersion"] == api_version
                && object["kind"] == kind
                && object["metadata"]["name"] == name
                && (CLUSTER_SCOPED.contains(&kind) || object["metadata"]["namespace"].as_str() == namespace)
        })
    }

    /// Returns the roles and their bindings.
    pub(crate) fn rbac(&self) -> &Rbac {
        &self.rbac
    }

    /// What a SubjectAccessReview says.
    pub fn can_i(&self, review: &SubjectAccessReview) -> AccessReviewStatus {
        let reason = self.rbac.allows(review);
        AccessReviewStatus {
            allowed: reason.is_some(),
            reason: reason.map(|reason| reason.0),
        }
    }

    fn outage(&self, request: &HostRequest) -> Option<String> {
        let operation = request.operation();
        let outage = self
            .outages
            .iter()
            .find(|outage| outage.operations.is_empty() || outage.operations.iter().any(|one| one == operation))?;
        Some(outage.message.clone().unwrap_or_else(|| CONNECTION_REFUSED.to_owned()))
    }
}

impl Answer for Cluster {
    fn answer(&self, request: &HostRequest) -> Result<String, String> {
        if let Some(message) = self.outage(request) {
            return Err(message);
        }
        match request {
            HostRequest::KubernetesGetResource {
                api_version,
                kind,
                name,
                namespace,
                field_masks,
                ..
            } => {
                if namespace.is_none() && !CLUSTER_SCOPED.contains(&kind.as_str()) {
                    return Err(format!(
                        "Resource {api_version}/{kind} is namespaced, but no namespace was provided"
                    ));
                }
                let namespace = namespace.as_deref();
                let mut object = self
                    .object(api_version, kind, namespace, name)
                    .cloned()
                    .ok_or_else(|| {
                        format!("Cannot find {api_version}/{kind} named '{name}' inside of namespace '{namespace:?}'")
                    })?;
                if let Some(masks) = field_masks {
                    prune(&mut object, &FieldMask::new(masks));
                }
                Ok(object.to_string())
            }
            HostRequest::KubernetesCanI { request, .. } => {
                serde_json::to_string(&self.can_i(request)).map_err(|error| error.to_string())
            }
        }
    }
}

/// Removes what a policy did not ask for. The policy server holds type and metadata apart from the rest of an object, and prunes
/// the rest only.
pub(crate) fn prune(object: &mut Value, mask: &FieldMask) {
    let apart = ["apiVersion", "kind", "metadata"].map(|field| (field, object[field].take()));
    mask.prune(object);
    for (field, value) in apart {
        object[field] = value;
    }
}

/// The objects of a list, or the one object.
fn items(object: Value) -> Vec<Value> {
    let is_list = object["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match &object["items"] {
        Value::Array(items) if is_list => items.clone(),
        _ => vec![object],
    }
}

/// What an object is, for a person.
fn describe(object: &Value) -> String {
    let field = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = field("/kind").unwrap_or("object");
    match field("/metadata/name") {
        Some(name) => format!("{kind} {name}"),
        None => kind.to_owned(),
    }
}

fn typed<T: DeserializeOwned>(object: &Value) -> Result<T, ClusterError> {
    T::deserialize(object).map_err(|source| ClusterError::Object {
        object: describe(object),
        source,
    })
}

fn encode_string_data(secret: &mut Value) {
    let Some(secret) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(strings)) = secret.remove("stringData") else {
        return;
    };
    let data = secret.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = json!({});
    }
    let Some(data) = data.as_object_mut() else {
        return;
    };
    for (key, value) in strings {
        if let Some(text) = value.as_str() {
            data.insert(key, json!(STANDARD.encode(text)));
        }
    }
}
