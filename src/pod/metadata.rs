//! Annotations, labels and the Secrets for image pulls.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::document::{Addition, Pod, STATUS_ANNOTATION, described, length, object};
use super::error::PodError;
use super::room::Room;
use crate::injection::{Annotation, Injection};
use crate::json::{Node, WrongType};

/// What all annotations of a Pod may take together, their keys and values, in bytes
/// ([TotalAnnotationSizeLimitB](https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go)).
const MOST_ANNOTATIONS: usize = 256 * 1024;

impl<'a> Pod<'a> {
    pub(super) fn add_metadata(
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
                    self.add_annotation(annotation, addition, warnings)?;
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
                room.compare(self.metadata_mut("labels")?.len())?;
                room.take(key.len().saturating_add(text.len()))?;
                self.add_label(key, text, addition, warnings)?;
            }
        }
        Ok(())
    }

    /// Adds one annotation; a required one replaces the Pod's own.
    ///
    /// # Errors
    /// [`PodError::WrongType`]; [`PodError::Own`] where a default would replace it.
    fn add_annotation(
        &mut self,
        annotation: &Annotation,
        addition: &Addition<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), PodError> {
        let annotations = self.metadata_mut("annotations")?;
        let ours = || Node::Text(Cow::Owned(annotation.value.clone()));
        let Some((_, value)) = annotations.iter_mut().find(|(key, _)| *key == annotation.key) else {
            annotations.push((Cow::Owned(annotation.key.clone()), ours()));
            return Ok(());
        };
        if annotation.required && value.as_text() != Some(&annotation.value) {
            yield_to("annotation", &annotation.key, addition)?;
            *value = ours();
            warnings.push(format!(
                "the Pod's annotation {} was replaced: a secret that the Pod asks for needs it",
                annotation.key
            ));
        }
        Ok(())
    }

    /// Adds one label; the Pod's own stays, with a warning where its value is another one.
    ///
    /// # Errors
    /// [`PodError::WrongType`]; [`PodError::Own`] where a default needs another value.
    fn add_label(
        &mut self,
        key: &str,
        text: &str,
        addition: &Addition<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<(), PodError> {
        let labels = self.metadata_mut("labels")?;
        let Some((_, own)) = labels.iter().find(|(known, _)| known == key) else {
            labels.push((Cow::Owned(key.to_owned()), Node::Text(Cow::Owned(text.to_owned()))));
            return Ok(());
        };
        if own.as_text() != Some(text) {
            yield_to("label", key, addition)?;
            warnings.push(format!(
                "the Pod's label {key} stays, but {} needs the value {text:?} in it: the secret may not arrive; remove the \
                 label or give it that value",
                described(addition.request)
            ));
        }
        Ok(())
    }

    /// Writes the status annotation, a JSON string; what it held is of no interest. Returns whether there was room for it:
    /// where there is none, the Pod has no such annotation.
    ///
    /// # Errors
    /// [`PodError::WrongType`]
    pub(crate) fn set_status(&mut self, status: String) -> Result<bool, PodError> {
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
    pub(crate) fn remove_status(&mut self) -> Result<(), PodError> {
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

    pub(super) fn add_pull_secrets(&mut self, additions: &[Addition<'_>], room: &mut Room) -> Result<(), PodError> {
        for name in additions
            .iter()
            .flat_map(|addition| &addition.injection.image_pull_secrets)
        {
            room.compare(self.spec_items("imagePullSecrets").len())?;
            self.add_pull_secret(name)?;
        }
        Ok(())
    }

    /// Adds a Secret for image pulls behind the Pod's own, if it is not there yet.
    ///
    /// # Errors
    /// [`PodError::WrongType`]
    pub(crate) fn add_pull_secret(&mut self, name: &str) -> Result<(), PodError> {
        let secrets = self.spec_list("imagePullSecrets")?;
        if !secrets.iter().any(|secret| secret.text("name") == Some(name)) {
            secrets.push(object([("name", Node::Text(Cow::Owned(name.to_owned())))]));
        }
        Ok(())
    }
}

/// Fails where the addition is a default: the Pod's own annotation or label stays.
fn yield_to(what: &'static str, name: &str, addition: &Addition<'_>) -> Result<(), PodError> {
    if !addition.request.is_default() {
        return Ok(());
    }
    Err(PodError::Own {
        owner: "the Pod".to_owned(),
        container: String::new(),
        what,
        name: name.to_owned(),
        request: described(addition.request),
    })
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
