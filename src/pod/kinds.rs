//! Into which of the Pod's volumes the container runtime can mount something else.

use serde_json::Value;

use super::document::{Pod, is_true, name_of};
use crate::json::{Node, Shape};
use crate::sort::{beside, sort_by};

/// What the kubelet fills from the API. It makes the directories in them that other mounts need
/// ([nested_volumes.go](https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/nested_volumes.go)), which
/// the container runtime cannot: the volumes are mounted read-only.
const FILLED_BY_KUBELET: [&str; 4] = ["secret", "configMap", "downwardAPI", "projected"];

/// What is read of a volume's source.
const READ_ONLY: Shape = Shape::Only(&[("readOnly", Shape::Closed)]);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    FilledByKubelet,
    ReadOnly,
}

/// The volumes of a Pod that are read-only, sorted by their names.
pub(super) struct Kinds(Vec<(String, Kind)>);

impl Kinds {
    /// Looks at the volumes of a Pod.
    pub(super) fn of(pod: &Pod<'_>) -> Self {
        let volumes = pod.spec_items("volumes").iter();
        let mut kinds = volumes
            .filter_map(|volume| Some((volume.text("name")?.to_owned(), kind(volume)?)))
            .collect();
        sort_by(&mut kinds, |(one, _), (other, _)| one.cmp(other));
        Self(kinds)
    }

    /// Returns whether something can be mounted below `mount`: a file, or a directory.
    pub(super) fn takes_mounts(&self, mount: &Node<'_>, is_file: bool) -> bool {
        let shows_a_part = ["subPath", "subPathExpr"].iter().any(|field| {
            let part = mount.get(field).map(Node::to_value);
            part.is_some_and(|part| part != Value::String(String::new()))
        });
        match beside(&self.0, name_of(mount)) {
            Some(Kind::FilledByKubelet) => !shows_a_part && !is_file,
            Some(Kind::ReadOnly) => false,
            None => !is_true(mount, "readOnly"),
        }
    }
}

fn is_null(value: &Node<'_>) -> bool {
    match value {
        Node::Null => true,
        Node::Closed(raw) => raw.get() == "null",
        Node::Made(text) => text.as_str() == "null",
        _ => false,
    }
}

fn kind(volume: &Node<'_>) -> Option<Kind> {
    let Node::Object(fields) = volume else {
        return None;
    };
    let (name, source) = fields
        .iter()
        .find(|(field, value)| field != "name" && !is_null(value))?;
    if FILLED_BY_KUBELET.contains(&name.as_ref()) {
        return Some(Kind::FilledByKubelet);
    }
    let text = match source {
        Node::Closed(text) => text.get(),
        Node::Made(text) => text,
        _ => "{}",
    };
    let read_only = Node::parse(text, READ_ONLY).is_ok_and(|source| is_true(&source, "readOnly"));
    (name == "image" || read_only).then_some(Kind::ReadOnly)
}
