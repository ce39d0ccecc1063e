//! A Pod, of which only the fields below are opened, so that all else comes out as it went in.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use serde_json::Value;

use super::error::PodError;
use super::room::Room;
use crate::injection::Injection;
use crate::json::{Node, Shape, WrongType};
use crate::requests::SecretRequest;

const NAMED: Shape = Shape::Fields(&[("name", Shape::Text)]);
const CONTAINER: Shape = Shape::Fields(&[("name", Shape::Text), ("env", Shape::ListOf(&NAMED))]);

/// The shapes of `volumes` and of a container's `volumeMounts`, which variables alone do not need.
const VOLUMES: Shape = Shape::ListOf(&NAMED);
const VOLUME_MOUNTS: Shape = Shape::ListOf(&Shape::Fields(&[("name", Shape::Text), ("mountPath", Shape::Text)]));

/// The fields of a Pod that are opened.
pub(crate) const SHAPE: Shape = Shape::Fields(&[
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
pub(super) const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

/// The field of a Pod's spec that holds the containers that run first.
pub(super) const INIT_CONTAINERS: &str = "initContainers";

/// The annotation that says what was injected.
pub(crate) const STATUS_ANNOTATION: &str = "secret-injector/status";

/// A Pod that can be added to.
#[derive(Debug, Clone)]
pub(crate) struct Pod<'a>(pub(super) Node<'a>);

/// One request and what it came to.
pub(crate) struct Addition<'a> {
    pub request: &'a SecretRequest,
    /// What messages call the manager that serves it.
    pub manager: &'a str,
    /// The manager's position among all. Init containers stand in this order, and what two managers give is never the same.
    pub position: usize,
    pub injection: Injection<'a>,
    /// The containers that go without it: a default yields to what they have.
    pub without: Vec<String>,
}

impl Addition<'_> {
    pub(super) fn reaches(&self, container: &str) -> bool {
        self.request.containers.includes(container) && !self.without.iter().any(|name| name == container)
    }
}

impl<'a> Pod<'a> {
    /// Takes a document of the [`SHAPE`].
    pub(crate) fn new(node: Node<'a>) -> Self {
        Self(node)
    }

    /// The Pod as JSON.
    pub(crate) fn into_node(self) -> Node<'a> {
        self.0
    }

    /// Its annotations, those that are strings.
    pub(crate) fn annotations(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Cow<'a, str>)> {
        self.metadata("annotations")
    }

    /// Its labels, those that are strings.
    pub(crate) fn labels(&self) -> impl Iterator<Item = (&Cow<'a, str>, &Cow<'a, str>)> {
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

    /// Returns whether it has a container or init container of this name.
    pub(crate) fn has_container(&self, name: &str) -> bool {
        CONTAINER_LISTS
            .iter()
            .any(|list| self.container_names(list).any(|known| known == name))
    }

    /// Returns the images of its containers and init containers.
    pub(crate) fn images(&self) -> Vec<String> {
        let containers = CONTAINER_LISTS.iter().flat_map(|list| self.spec_items(list));
        let images = containers.filter_map(|container| match container.get("image")?.to_value() {
            Value::String(image) => Some(image),
            _ => None,
        });
        images.collect()
    }

    /// Returns the names in one of the Pod's lists of containers.
    pub(crate) fn container_names(&self, list: &str) -> impl Iterator<Item = &str> {
        self.spec_items(list)
            .iter()
            .filter_map(|container| container.text("name"))
    }

    /// Returns the service account that the Pod runs as. `serviceAccount` is the older name of `serviceAccountName`; the API
    /// server fills in both.
    ///
    /// # Errors
    /// [`PodError::TwoServiceAccounts`]
    pub(crate) fn service_account(&self) -> Result<&str, PodError> {
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
    pub(crate) fn annotation_without_text(&self, is_read: impl Fn(&str) -> bool) -> Option<&str> {
        let annotations = self.0.get("metadata")?.get("annotations")?;
        let Node::Object(fields) = annotations else {
            return None;
        };
        let mut others = fields.iter().filter(|(_, value)| !matches!(value, Node::Text(_)));
        others.find(|(key, _)| is_read(key)).map(|(key, _)| key.as_ref())
    }

    /// The field `name` of its spec.
    pub(super) fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.0.get("spec")?.get(name)
    }

    /// Opens what files need besides variables.
    pub(super) fn open_volumes(&mut self) -> Result<(), WrongType> {
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

    pub(super) fn spec_items(&self, list: &str) -> &[Node<'a>] {
        self.0.get("spec").map_or(&[], |spec| spec.items(list))
    }

    pub(super) fn spec_list(&mut self, list: &'static str) -> Result<&mut Vec<Node<'a>>, WrongType> {
        self.0.field_mut("spec", || Node::Object(Vec::new()))?.list_mut(list)
    }
}

/// An object of these fields.
pub(super) fn object<'a, const N: usize>(fields: [(&'static str, Node<'a>); N]) -> Node<'a> {
    Node::Object(
        fields
            .into_iter()
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect(),
    )
}

/// `existing` read in full, which costs time by its length and may happen for each of the secrets.
pub(super) fn read(existing: &Node<'_>, room: &mut Room) -> Result<Value, PodError> {
    room.compare(length(existing).saturating_mul(2))?;
    Ok(existing.to_value())
}

/// How many bytes of JSON `node` is, about.
pub(super) fn length(node: &Node<'_>) -> usize {
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
pub(super) fn described(request: &SecretRequest) -> String {
    format!(
        "{} ({:?})",
        request.origin,
        format!("{}/{}", request.group, request.key)
    )
}

/// Returns the error of `outcome` where it is about a default, so that further ones can be looked for.
///
/// # Errors
/// The error, where it is about something else.
pub(super) fn of_default(
    outcome: Result<(), PodError>,
    additions: &[Addition<'_>],
) -> Result<Option<PodError>, PodError> {
    match outcome {
        Ok(()) => Ok(None),
        Err(error) if default_of(&error, additions).is_some() => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// Returns the position of the last default that `error` is about.
pub(super) fn default_of(error: &PodError, additions: &[Addition<'_>]) -> Option<usize> {
    additions
        .iter()
        .rposition(|addition| addition.request.is_default() && is_about(error, addition))
}

/// Returns whether `error` names the request of `addition`.
pub(super) fn is_about(error: &PodError, addition: &Addition<'_>) -> bool {
    error.requests().contains(&described(addition.request).as_str())
}
