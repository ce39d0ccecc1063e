//! Adding injections to a Pod.
//!
//! The Pod is a [`Node`] of which only the fields below are opened, so that all else comes out as it went in.

#![forbid(unsafe_code)]

mod agents;
mod earlier;
mod earlier_secrets;
mod env;
mod error;
mod files;
mod init_containers;
mod kinds;
mod metadata;
mod mounts;
mod order;
mod path;
mod plan;
mod room;
mod same;
mod sets;
mod system;
mod template;
mod volumes;

pub use error::PodError;

use std::borrow::Cow;

use serde_json::Value;

use crate::injection::Injection;
use crate::json::{Node, Shape, WrongType};
use crate::order::sort_and_dedup;
use crate::requests::{Containers, SecretRequest};
use crate::settings::Settings;
use room::Room;

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

/// The field of a Pod's spec that holds the containers that run first.
const INIT_CONTAINERS: &str = "initContainers";

/// The annotation that says what was injected.
pub const STATUS_ANNOTATION: &str = "secret-injector/status";

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

/// How many pairs of a container and a secret are looked at.
const MOST_PAIRS: usize = 1_000_000;

/// What a mount takes at least, beside its path and its volume's name.
const MOUNT_BYTES: usize = 40;

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
        let files = files::add(self, additions, settings, &mut room, &mut warnings)?;
        earlier_secrets::warn_of_left(self, files.ours(), &mut warnings)?;
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

/// How a request is named in messages: where it stands and what it asks for.
fn described(request: &SecretRequest) -> String {
    format!(
        "{} ({:?})",
        request.origin,
        format!("{}/{}", request.group, request.key)
    )
}
