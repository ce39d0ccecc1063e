//! A Pod, of which only the fields below are opened, so that all else comes out as it went in.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde_json::{Map, Value};

use super::error::PodError;
use super::our_names::is_named_as_ours;
use super::work::Budget;
use crate::json::{Node, Shape, WrongType};
use crate::requests::{Origin, PRIMARY_ANNOTATION};
use crate::sort::has;

const NAMED: Shape = Shape::Fields(&[("name", Shape::Text)]);
const CONTAINER: Shape = Shape::Fields(&[("name", Shape::Text), ("env", Shape::Closed)]);

/// The fields of a Pod that are opened.
pub(crate) const SHAPE: Shape = Shape::Fields(&[
    (
        "metadata",
        Shape::Fields(&[("annotations", TEXTS), ("labels", Shape::Closed)]),
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

/// The shape of annotations, and of labels, which few settings need.
pub(super) const TEXTS: Shape = Shape::MapOf(&Shape::Text);

/// The shape of a container's `env`, which is opened where one of its variables may have to do with what is added.
pub(super) const ENV: Shape = Shape::ListOf(&NAMED);

/// The shapes of `volumes` and of a container's `volumeMounts`, which variables alone do not need.
const VOLUMES: Shape = Shape::ListOf(&NAMED);
const VOLUME_MOUNTS: Shape = Shape::ListOf(&Shape::Fields(&[("name", Shape::Text), ("mountPath", Shape::Text)]));

/// The fields of a Pod's spec that hold the containers of a Pod that is created.
pub(super) const INIT_CONTAINERS: &str = "initContainers";
pub(super) const CONTAINERS: &str = "containers";

/// The annotation that says what was injected.
pub(crate) const STATUS_ANNOTATION: &str = "secret-injector/status";

/// A Pod that can be added to.
#[derive(Debug, Clone)]
pub(crate) struct Pod<'a> {
    pub(crate) node: Node<'a>,
    /// Who its containers run as, once that was looked at.
    pub(super) users: OnceCell<Users>,
}

/// Who the Pod's own containers run as.
#[derive(Debug, Clone)]
pub(super) struct Users {
    /// Whether each is an init container, its name, and its user where the Pod says one. Those with a name of ours or of an
    /// agent are left out.
    pub(super) containers: Vec<(bool, String, Option<i64>)>,
    /// Whether all have a group in common, which owns the Pod's volumes.
    pub(super) has_group: bool,
}

impl<'a> Pod<'a> {
    /// Takes a document of the [`SHAPE`].
    pub(crate) const fn new(node: Node<'a>) -> Self {
        let users = OnceCell::new();
        Self { node, users }
    }

    /// Its annotations, those that are strings.
    pub(crate) fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = match self.metadata("annotations") {
            Some(Node::Object(fields)) => fields.as_slice(),
            _ => &[],
        };
        fields
            .iter()
            .filter_map(|(key, value)| Some((&**key, value.as_text()?)))
    }

    /// Returns its labels, strings.
    ///
    /// # Errors
    /// When they cannot be read, so that nobody can tell which the Pod has.
    pub(crate) fn labels(&self) -> Result<Map<String, Value>, PodError> {
        let unreadable = WrongType("labels", "an object of strings");
        let labels = match self.metadata("labels") {
            Some(Node::Closed(text)) => serde_json::from_str(text.get()).map_err(|_| unreadable)?,
            opened => opened.map(Node::to_value).unwrap_or_default(),
        };
        match labels {
            Value::Null => Ok(Map::new()),
            Value::Object(labels) if labels.values().all(Value::is_string) => Ok(labels),
            _ => Err(unreadable.into()),
        }
    }

    fn metadata(&self, field: &str) -> Option<&Node<'a>> {
        self.node.get("metadata")?.get(field)
    }

    /// Returns whether it has a container or init container of this name that is not one of ours, which are not there before they
    /// are added.
    pub(crate) fn has_own_container(&self, name: &str) -> bool {
        let mut containers = self.containers(&[]);
        !is_named_as_ours(name) && containers.any(|(_, container)| container.text("name") == Some(name))
    }

    /// Returns the images of its containers and init containers.
    pub(crate) fn images(&self) -> Vec<String> {
        let images = self.containers(&[]).filter_map(|(_, container)| {
            let image = container.get("image")?.to_value();
            image.as_str().map(str::to_owned)
        });
        images.collect()
    }

    /// Returns the names in one of the Pod's lists of containers.
    pub(crate) fn container_names(&self, list: &str) -> impl Iterator<Item = &str> {
        self.spec_items(list)
            .iter()
            .filter_map(|container| container.text("name"))
    }

    /// Returns the container that Flyte's annotation names, or the only one of the Pod, for the request at `origin`.
    pub(crate) fn primary_container(&self, origin: &Origin) -> Result<&str, PodError> {
        let annotation = self.annotations().find(|(key, _)| *key == PRIMARY_ANNOTATION);
        let containers = self.spec_items("containers");
        let (found, problem) = match (annotation, containers) {
            (Some((_, name)), _) => (
                containers.iter().find(|own| own.text("name") == Some(name)),
                "names none of its containers",
            ),
            (None, [only]) => (Some(only), "is not there"),
            _ => (None, "is not there, and the Pod has several containers"),
        };
        found
            .and_then(|container| container.text("name"))
            .ok_or_else(|| {
                format!(
                    "{origin} is for $primary, the container that the Pod's annotation {PRIMARY_ANNOTATION} names, but that \
                     annotation {problem}; correct it, or write the container's name"
                )
                .into()
            })
    }

    /// Returns the service account that the Pod runs as. `serviceAccount` is the older name of `serviceAccountName`; the API
    /// server fills in both.
    pub(crate) fn service_account(&self) -> Result<&str, PodError> {
        let name = |field| {
            self.field(field)
                .and_then(Node::as_text)
                .filter(|name| !name.is_empty())
        };
        match (name("serviceAccountName"), name("serviceAccount")) {
            (Some(name), Some(older)) if name != older => Err(PodError::invalid(
                "its serviceAccountName and its serviceAccount differ; leave serviceAccount out",
            )),
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Ok("default"),
        }
    }

    /// Returns the first annotation among those with which `is_read` is about that has no string. The API server would
    /// refuse it; here, what it asks for would be passed over.
    pub(crate) fn annotation_without_text(&self, is_read: impl Fn(&str) -> bool) -> Option<&str> {
        let Node::Object(fields) = self.metadata("annotations")? else {
            return None;
        };
        let mut others = fields.iter().filter(|(_, value)| !matches!(value, Node::Text(_)));
        others.find(|(key, _)| is_read(key)).map(|(key, _)| key.as_ref())
    }

    pub(super) fn spec(&self) -> Option<&Node<'a>> {
        self.node.get("spec")
    }

    /// Returns the field `name` of its spec.
    pub(super) fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.spec()?.get(name)
    }

    /// Opens what files need besides variables.
    pub(super) fn open_volumes(&mut self) -> Result<(), WrongType> {
        let spec = self.node.field_mut("spec", || Node::Object(Vec::new()))?;
        spec.open("volumes", VOLUMES);
        for (_, container) in self.containers_mut(&[]) {
            container.open("volumeMounts", VOLUME_MOUNTS);
        }
        Ok(())
    }

    /// Returns the containers but for the init containers whose names are in the sorted list `ours`, each with whether it is
    /// an init container; those stand first.
    pub(super) fn containers<'p>(&'p self, ours: &'p [String]) -> impl Iterator<Item = (bool, &'p Node<'a>)> {
        let init = self.spec_items(INIT_CONTAINERS).iter();
        let init = init.filter(|container| !has(ours, name_of(container)));
        let others = self.spec_items(CONTAINERS).iter();
        init.map(|container| (true, container))
            .chain(others.map(|container| (false, container)))
    }

    /// Returns what [`Self::containers`] returns, to be changed.
    pub(super) fn containers_mut<'p>(
        &'p mut self,
        ours: &'p [String],
    ) -> impl Iterator<Item = (bool, &'p mut Node<'a>)> {
        let (mut init, mut others): (&mut [Node<'a>], &mut [Node<'a>]) = (&mut [], &mut []);
        let spec = fields_mut(&mut self.node).iter_mut().filter(|(name, _)| name == "spec");
        for (list, value) in spec.flat_map(|(_, spec)| fields_mut(spec)) {
            match (list.as_ref(), value) {
                (INIT_CONTAINERS, Node::List(items)) => init = items,
                (CONTAINERS, Node::List(items)) => others = items,
                _ => {}
            }
        }
        let init = init.iter_mut().filter(|container| !has(ours, name_of(container)));
        init.map(|container| (true, container))
            .chain(others.iter_mut().map(|container| (false, container)))
    }

    pub(super) fn spec_items(&self, list: &str) -> &[Node<'a>] {
        self.spec().map_or(&[], |spec| spec.items(list))
    }

    pub(super) fn spec_list(&mut self, list: &'static str) -> Result<&mut Vec<Node<'a>>, WrongType> {
        self.node.field_mut("spec", || Node::Object(Vec::new()))?.list_mut(list)
    }
}

fn fields_mut<'n, 'a>(node: &'n mut Node<'a>) -> &'n mut [(Cow<'a, str>, Node<'a>)] {
    match node {
        Node::Object(fields) => fields,
        _ => &mut [],
    }
}

/// Returns an item of one of the Pod's lists: the name, and the other fields of `value`. Its strings are opened, as those of
/// the Pod's own items are.
pub(super) fn item<'a>(name: &str, value: &Value) -> Node<'a> {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.filter(|(field, _)| *field != "name").map(|(field, value)| {
        let node = value.as_str().map_or_else(|| Node::made(value), text);
        (Cow::Owned(field.clone()), node)
    });
    named(name, Node::Object(fields.collect()))
}

/// Returns an object with a name in front of its fields.
pub(super) fn named<'a>(name: &str, mut object: Node<'a>) -> Node<'a> {
    if let Node::Object(fields) = &mut object {
        fields.insert(0, (Cow::Borrowed("name"), text(name)));
    }
    object
}

/// Returns a string of the Pod.
pub(super) fn text<'a>(text: &str) -> Node<'a> {
    Node::Text(Cow::Owned(text.to_owned()))
}

/// Returns the name of a container, a volume or a mount's volume; empty where it has none.
pub(super) fn name_of<'n>(node: &'n Node<'_>) -> &'n str {
    node.text("name").unwrap_or_default()
}

/// Returns whether the field is `true`.
pub(super) fn is_true(node: &Node<'_>, field: &str) -> bool {
    node.get(field).map(Node::to_value) == Some(Value::Bool(true))
}

/// Reads `existing` in full, which costs time by its length and may happen for each of the secrets.
pub(super) fn read(existing: &Node<'_>, budget: &mut Budget) -> Result<Value, PodError> {
    budget.compare(length(existing), 2)?;
    Ok(existing.to_value())
}

/// How many bytes of JSON `node` is, about.
pub(crate) fn length(node: &Node<'_>) -> usize {
    match node {
        Node::Null | Node::Invalid(_) => 4,
        Node::Closed(raw) => raw.get().len(),
        Node::Items(text) => text.len(),
        Node::Made(text) => text.len(),
        Node::Text(text) => text.len(),
        // Mostly there are four quotation marks, a colon and a comma.
        Node::Object(fields) => fields
            .iter()
            .map(|(name, value)| name.len().saturating_add(length(value)).saturating_add(6))
            .sum(),
        Node::List(items) => items.iter().map(|item| length(item).saturating_add(1)).sum(),
    }
}
