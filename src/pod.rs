//! Adding injections to a Pod.
//!
//! The Pod is a [`Node`] of which only the fields below are opened, so that all else comes out as it went in.

#![forbid(unsafe_code)]

mod env;
mod files;
mod template;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::injection::{Annotation, Injection};
use crate::json::{Node, Shape, WrongType, covers};
use crate::order::sort_and_dedup;
use crate::requests::{Containers, SecretRequest};
use crate::settings::Settings;

const NAMED: Shape = Shape::Fields(&[("name", Shape::Text)]);
const CONTAINER: Shape = Shape::Fields(&[("name", Shape::Text), ("env", Shape::ListOf(&NAMED))]);

/// The shapes of `volumes` and of a container's `volumeMounts`, which variables alone do not need.
const VOLUMES: Shape = Shape::ListOf(&NAMED);
const VOLUME_MOUNTS: Shape = Shape::ListOf(&Shape::Fields(&[("name", Shape::Text), ("mountPath", Shape::Text)]));

/// The fields of a Pod that are opened.
pub const SHAPE: Shape = Shape::Fields(&[
    (
        "metadata",
        Shape::Fields(&[
            ("annotations", Shape::MapOf(&Shape::Text)),
            ("labels", Shape::MapOf(&Shape::Text)),
        ]),
    ),
    (
        "spec",
        Shape::Fields(&[
            ("initContainers", Shape::ListOf(&CONTAINER)),
            ("containers", Shape::ListOf(&CONTAINER)),
            ("imagePullSecrets", Shape::ListOf(&NAMED)),
            ("serviceAccountName", Shape::Text),
            ("serviceAccount", Shape::Text),
            ("os", Shape::Fields(&[("name", Shape::Text)])),
        ]),
    ),
]);

/// The two lists of containers that a Pod has when it is created.
const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

/// The annotation that says what was injected.
pub const STATUS_ANNOTATION: &str = "secret-injector/status";

/// What all annotations of a Pod may take together, their keys and values, in bytes
/// ([TotalAnnotationSizeLimitB](https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go)).
const MOST_ANNOTATIONS: usize = 256 * 1024;

/// A Pod that can be added to.
#[derive(Debug)]
pub struct Pod<'a>(Node<'a>);

/// One request and what it came to.
pub struct Addition<'a> {
    /// The request.
    pub request: &'a SecretRequest,
    /// The position of the manager that serves it.
    pub manager: usize,
    /// What is to be added.
    pub injection: Injection,
}

impl Addition<'_> {
    fn reaches(&self, container: &str) -> bool {
        self.request.containers.includes(container)
    }
}

/// Why the additions cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    /// A field of the Pod has a type that Kubernetes does not know for it.
    #[error("the Pod is not valid: {0}")]
    WrongType(#[from] WrongType),
    /// The Pod has two names for its service account, which are not the same.
    #[error("the Pod is not valid: its serviceAccountName and its serviceAccount differ; leave serviceAccount out")]
    TwoServiceAccounts,
    /// A request names a container that is not there.
    #[error("{request} names the container {name:?}, which the Pod does not have; it has {existing}")]
    NoSuchContainer {
        /// The request.
        request: String,
        /// The container.
        name: String,
        /// The Pod's containers.
        existing: String,
    },
    /// Two requests want different values in one variable.
    #[error("{first} and {second} both need the variable {variable:?} in one container; give one of them another name")]
    VariableClash {
        /// The variable.
        variable: String,
        /// A request.
        first: String,
        /// Another one.
        second: String,
    },
    /// A request names a variable that it needs for something else.
    #[error("{request} names {variable:?} as its further variable, which Flyte's clients need for something else")]
    ReservedVariable {
        /// The variable.
        variable: String,
        /// The request.
        request: String,
    },
    /// Two requests want different files at one path.
    #[error("{first} and {second} both need the path {path:?} in one container")]
    PathClash {
        /// The path, or the one below which the other is.
        path: String,
        /// A request.
        first: String,
        /// Another one.
        second: String,
    },
    /// Two requests want different values in one annotation or label.
    #[error("{first} and {second} need different values in the Pod's {kind} {key:?}")]
    MetadataClash {
        /// `annotation` or `label`.
        kind: &'static str,
        /// Its key.
        key: String,
        /// A request.
        first: String,
        /// Another one.
        second: String,
    },
    /// What an operator's template adds has the name or the path of something else in the Pod.
    #[error(
        "{request} needs {what} {name:?}, but the Pod or another request has a different one of that name; rename the \
         Pod's, or put {{id}} into the name in the policy's settings"
    )]
    TemplateClash {
        /// The request.
        request: String,
        /// What kind of thing it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The Pod has a mount of its own where a secret has to be mounted.
    #[error(
        "the container {container:?} mounts its volume {volume:?} at {path:?}, where {request} has to appear; mount \
         that volume elsewhere"
    )]
    MountClash {
        /// The container.
        container: String,
        /// The Pod's volume.
        volume: String,
        /// The path.
        path: String,
        /// The request.
        request: String,
    },
    /// The Pod is for Windows, where our init containers do not run.
    #[error("{request} needs an init container for Linux, but the Pod's os is Windows; use a manager without one")]
    Windows {
        /// The request.
        request: String,
    },
    /// The Pod uses up the names that are wanted for volumes or init containers.
    #[error("{name:?} and a thousand names like it are taken in the Pod; rename its own volumes or containers")]
    NoFreeName {
        /// The name.
        name: String,
    },
    /// There is more to add than anybody could store.
    #[error(
        "the secrets that the Pod asks for would add more to it than Kubernetes can store (4 MiB, and etcd takes 1.5 MiB \
         in all); let each request name the containers that need it in secret-injector/requests, or make several Pods"
    )]
    TooLarge,
    /// There is more to go through than there is time for.
    #[error(
        "the Pod has so many containers, volumes, mounts or annotations that the secrets it asks for cannot be added in \
         time; make several Pods"
    )]
    TooMany,
    /// Something that was made here has no JSON form.
    #[error("what is to be added cannot be written as JSON")]
    Unwritable,
}

/// How much may be added to a Pod, in bytes of JSON. Secrets and containers multiply, so that a small request could make
/// a Pod of hundreds of MiB.
///
/// [etcd takes 1.5 MiB](https://etcd.io/docs/latest/dev-guide/limit/) unless it is told otherwise, and Pods are stored as
/// protobuf, which takes more than a third of their JSON.
const MOST_ADDED: usize = 4 * 1024 * 1024;

/// How many pairs of a container and a secret are looked at.
const MOST_PAIRS: usize = 1_000_000;

/// How often something that is to be added is compared with something that is there: what each is compared with each
/// multiplies too, and the host stops the policy after two seconds.
const MOST_COMPARISONS: usize = 10_000_000;

/// What a mount takes at least, beside its path and its volume's name.
const MOUNT_BYTES: usize = 40;

/// What is left of [`MOST_ADDED`] and [`MOST_COMPARISONS`].
struct Room {
    bytes: usize,
    comparisons: usize,
}

impl Room {
    const fn new() -> Self {
        Self {
            bytes: MOST_ADDED,
            comparisons: MOST_COMPARISONS,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<(), PodError> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(PodError::TooLarge)?;
        Ok(())
    }

    fn compare(&mut self, times: usize) -> Result<(), PodError> {
        self.comparisons = self.comparisons.checked_sub(times).ok_or(PodError::TooMany)?;
        Ok(())
    }
}

impl<'a> Pod<'a> {
    /// Takes a document of the [`SHAPE`].
    pub fn new(node: Node<'a>) -> Self {
        Self(node)
    }

    /// The Pod as JSON.
    pub fn into_node(self) -> Node<'a> {
        self.0
    }

    /// Its annotations, those that are strings.
    pub fn annotations(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Cow<'a, str>)> {
        self.metadata("annotations")
    }

    /// Its labels, those that are strings.
    pub fn labels(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Cow<'a, str>)> {
        self.metadata("labels")
    }

    fn metadata(&self, field: &str) -> impl Iterator<Item = (&Cow<'a, str>, &Cow<'a, str>)> {
        let fields = match self.0.get("metadata").and_then(|metadata| metadata.get(field)) {
            Some(Node::Object(fields)) => fields.as_slice(),
            _ => &[],
        };
        fields.iter().filter_map(|(key, value)| match value {
            Node::Text(text) => Some((key, text)),
            _ => None,
        })
    }

    /// Returns the names in one of the Pod's lists of containers.
    pub fn container_names(&self, list: &str) -> impl Iterator<Item = &str> {
        self.spec_items(list)
            .iter()
            .filter_map(|container| container.text("name"))
    }

    /// Returns the service account that the Pod runs as. `serviceAccount` is the older name of `serviceAccountName`; the API
    /// server fills in both.
    ///
    /// # Errors
    /// [`PodError::TwoServiceAccounts`]
    pub fn service_account(&self) -> Result<&str, PodError> {
        let name = |field| {
            self.field(field)
                .and_then(Node::as_text)
                .filter(|name| !name.is_empty())
        };
        match (name("serviceAccountName"), name("serviceAccount")) {
            (Some(name), Some(older)) if name != older => Err(PodError::TwoServiceAccounts),
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Ok("default"),
        }
    }

    /// Returns the first annotation among those with which `is_read` is about that has no string. The API server would
    /// refuse it; here, what it asks for would be passed over.
    pub fn annotation_without_text(&self, is_read: impl Fn(&str) -> bool) -> Option<&str> {
        let annotations = self.0.get("metadata")?.get("annotations")?;
        let Node::Object(fields) = annotations else {
            return None;
        };
        let mut others = fields.iter().filter(|(_, value)| !matches!(value, Node::Text(_)));
        others.find(|(key, _)| is_read(key)).map(|(key, _)| key.as_ref())
    }

    /// The field `name` of its spec.
    fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.0.get("spec")?.get(name)
    }

    /// Opens what files need besides variables.
    fn open_volumes(&mut self) -> Result<(), WrongType> {
        let spec = self.0.field_mut("spec", || Node::Object(Vec::new()))?;
        spec.open("volumes", VOLUMES);
        for list in CONTAINER_LISTS {
            if spec.items(list).is_empty() {
                continue;
            }
            for container in spec.list_mut(list)? {
                container.open("volumeMounts", VOLUME_MOUNTS);
            }
        }
        Ok(())
    }

    fn spec_items(&self, list: &str) -> &[Node<'a>] {
        self.0.get("spec").map_or(&[], |spec| spec.items(list))
    }

    fn spec_list(&mut self, list: &'static str) -> Result<&mut Vec<Node<'a>>, WrongType> {
        self.0.field_mut("spec", || Node::Object(Vec::new()))?.list_mut(list)
    }

    /// Adds what `additions` say and returns what the Pod's author should know.
    ///
    /// # Errors
    /// [`PodError`]; the Pod may then hold a part of the additions and is of no use.
    pub fn add(&mut self, additions: &[Addition<'_>], settings: &Settings) -> Result<Vec<String>, PodError> {
        self.check_targets(additions)?;
        let mut warnings: Vec<String> = additions
            .iter()
            .flat_map(|addition| addition.injection.warnings.iter().cloned())
            .collect();
        let mut room = Room::new();
        let files = files::add(self, additions, settings, &mut room)?;
        env::add(self, additions, &files, &mut room, &mut warnings)?;
        self.add_metadata(additions, &mut room, &mut warnings)?;
        self.add_pull_secrets(additions, &mut room)?;
        sort_and_dedup(&mut warnings);
        Ok(warnings)
    }

    fn check_targets(&self, additions: &[Addition<'_>]) -> Result<(), PodError> {
        let mut existing: Vec<&str> = Vec::new();
        let mut containers = 0_usize;
        for container in CONTAINER_LISTS.iter().flat_map(|list| self.spec_items(list)) {
            containers = containers.saturating_add(1);
            existing.extend(container.text("name"));
        }
        if containers.saturating_mul(additions.len()) > MOST_PAIRS {
            return Err(PodError::TooLarge);
        }
        let mut sorted = existing.clone();
        sort_and_dedup(&mut sorted);
        for addition in additions {
            let Containers::Named(names) = &addition.request.containers else {
                continue;
            };
            if let Some(name) = names.iter().find(|name| sorted.binary_search(&name.as_str()).is_err()) {
                existing.truncate(20);
                return Err(PodError::NoSuchContainer {
                    request: addition.request.origin.to_string(),
                    name: name.clone(),
                    existing: existing.join(", "),
                });
            }
        }
        Ok(())
    }

    fn add_metadata(
        &mut self,
        additions: &[Addition<'_>],
        room: &mut Room,
        warnings: &mut Vec<String>,
    ) -> Result<(), PodError> {
        let mut annotations: BTreeMap<&str, usize> = BTreeMap::new();
        let mut labels: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, addition) in additions.iter().enumerate() {
            for annotation in &addition.injection.annotations {
                let value = |injection: &Injection| {
                    let mut all = injection.annotations.iter();
                    all.find(|other| other.key == annotation.key)
                        .map(|other| other.value.clone())
                };
                if is_new(&annotation.key, "annotation", index, additions, &mut annotations, value)? {
                    room.compare(self.metadata_mut("annotations")?.len())?;
                    room.take(annotation.key.len().saturating_add(annotation.value.len()))?;
                    self.add_annotation(annotation, warnings)?;
                }
            }
            for (key, text) in &addition.injection.labels {
                let value = |injection: &Injection| {
                    let mut all = injection.labels.iter();
                    all.find(|(other, _)| other == key).map(|(_, other)| other.clone())
                };
                if !is_new(key, "label", index, additions, &mut labels, value)? {
                    continue;
                }
                let labels = self.metadata_mut("labels")?;
                room.compare(labels.len())?;
                room.take(key.len().saturating_add(text.len()))?;
                if !labels.iter().any(|(known, _)| known == key) {
                    labels.push((Cow::Owned(key.clone()), Node::Text(Cow::Owned(text.clone()))));
                }
            }
        }
        Ok(())
    }

    /// Adds one annotation; a required one replaces the Pod's own.
    ///
    /// # Errors
    /// [`PodError::WrongType`]
    fn add_annotation(&mut self, annotation: &Annotation, warnings: &mut Vec<String>) -> Result<(), PodError> {
        let annotations = self.metadata_mut("annotations")?;
        let ours = || Node::Text(Cow::Owned(annotation.value.clone()));
        let Some((_, value)) = annotations.iter_mut().find(|(key, _)| *key == annotation.key) else {
            annotations.push((Cow::Owned(annotation.key.clone()), ours()));
            return Ok(());
        };
        if annotation.required && value.as_text() != Some(&annotation.value) {
            *value = ours();
            warnings.push(format!(
                "the Pod's annotation {} was replaced: a secret that the Pod asks for needs it",
                annotation.key
            ));
        }
        Ok(())
    }

    /// Writes the status annotation, a JSON string; what it held is of no interest. Returns whether there was room for it:
    /// where there is none, the Pod has no such annotation.
    ///
    /// # Errors
    /// [`PodError::WrongType`]
    pub fn set_status(&mut self, status: String) -> Result<bool, PodError> {
        let annotations = self.metadata_mut("annotations")?;
        let others: usize = annotations
            .iter()
            .filter(|(key, _)| key != STATUS_ANNOTATION)
            .map(|(key, value)| key.len().saturating_add(length(value)))
            .sum();
        // Its quotation marks have escapes here, and there are hardly any others.
        let escapes = status.as_bytes().windows(2).filter(|pair| *pair == br#"\""#).count();
        let size = status.len().saturating_sub(escapes.saturating_add(2));
        let fits = others.saturating_add(STATUS_ANNOTATION.len()).saturating_add(size) <= MOST_ANNOTATIONS;
        if !fits {
            annotations.retain(|(key, _)| key != STATUS_ANNOTATION);
            return Ok(false);
        }
        let status = Node::Made(status.into());
        match annotations.iter_mut().find(|(key, _)| key == STATUS_ANNOTATION) {
            Some((_, value)) => *value = status,
            None => annotations.push((Cow::Borrowed(STATUS_ANNOTATION), status)),
        }
        Ok(true)
    }

    /// Takes the status annotation away, which says nothing where the policy does not write it.
    ///
    /// # Errors
    /// [`PodError::WrongType`]
    pub fn remove_status(&mut self) -> Result<(), PodError> {
        if self.annotations().any(|(key, _)| key == STATUS_ANNOTATION) {
            self.metadata_mut("annotations")?
                .retain(|(key, _)| key != STATUS_ANNOTATION);
        }
        Ok(())
    }

    fn metadata_mut(&mut self, field: &'static str) -> Result<&mut Vec<(Cow<'a, str>, Node<'a>)>, WrongType> {
        self.0
            .field_mut("metadata", || Node::Object(Vec::new()))?
            .object_mut(field)
    }

    fn add_pull_secrets(&mut self, additions: &[Addition<'_>], room: &mut Room) -> Result<(), PodError> {
        for name in additions
            .iter()
            .flat_map(|addition| &addition.injection.image_pull_secrets)
        {
            let secrets = self.spec_list("imagePullSecrets")?;
            room.compare(secrets.len())?;
            if !secrets.iter().any(|secret| secret.text("name") == Some(name)) {
                secrets.push(object([("name", Node::Text(Cow::Owned(name.clone())))]));
            }
        }
        Ok(())
    }
}

/// Whether no addition before `index` has the annotation or label `key`. `owners` holds those seen so far, `value` takes
/// the value out of an injection.
fn is_new<'k>(
    key: &'k str,
    kind: &'static str,
    index: usize,
    additions: &[Addition<'_>],
    owners: &mut BTreeMap<&'k str, usize>,
    value: impl Fn(&Injection) -> Option<String>,
) -> Result<bool, PodError> {
    let Some(owner) = owners.get(key) else {
        owners.insert(key, index);
        return Ok(true);
    };
    let (Some(first), Some(second)) = (additions.get(*owner), additions.get(index)) else {
        return Ok(false);
    };
    if value(&first.injection) == value(&second.injection) {
        return Ok(false);
    }
    Err(PodError::MetadataClash {
        kind,
        key: key.to_owned(),
        first: described(first.request),
        second: described(second.request),
    })
}

/// An object of these fields.
fn object<'a, const N: usize>(fields: [(&'static str, Node<'a>); N]) -> Node<'a> {
    Node::Object(
        fields
            .into_iter()
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect(),
    )
}

/// `existing` read in full, which costs time by its length and may happen for each of the secrets.
fn read(existing: &Node<'_>, room: &mut Room) -> Result<Value, PodError> {
    room.compare(length(existing).saturating_mul(2))?;
    Ok(existing.to_value())
}

/// How many bytes of JSON `node` is, about.
fn length(node: &Node<'_>) -> usize {
    match node {
        Node::Null | Node::Invalid(_) => 4,
        Node::Closed(raw) => raw.get().len(),
        Node::Made(text) => text.len(),
        Node::Text(text) => text.len(),
        Node::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len().saturating_add(length(value)))
            .sum(),
        Node::List(items) => items.iter().map(|item| length(item).saturating_add(1)).sum(),
    }
}

/// Whether the item of a list `existing` says all that `ours` says.
fn says(existing: &Node<'_>, ours: &Value) -> bool {
    covers(&existing.to_value(), ours)
}

/// How a request is named in messages: where it stands and what it asks for.
fn described(request: &SecretRequest) -> String {
    format!(
        "{} ({:?})",
        request.origin,
        format!("{}/{}", request.group, request.key)
    )
}
