//! Annotations, labels and the Secrets for image pulls.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::document::{Pod, STATUS_ANNOTATION, TEXTS, item, length, text};
use super::error::PodError;
use super::work::Work;
use crate::injection::{Addition, Annotation};
use crate::json::{Node, WrongType};
use serde_json::Value;

/// What all annotations of a Pod may take together, their keys and values, in bytes
/// ([TotalAnnotationSizeLimitB](https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apimachinery/pkg/api/validation/objectmeta.go)).
const MAX_ANNOTATIONS: usize = 256 * 1024;

impl<'a> Pod<'a> {
    pub(super) fn add_metadata(&mut self, work: &mut Work<'_>) -> Result<(), PodError> {
        let (mut annotations, mut labels) = (Known::default(), Known::default());
        for addition in work.additions {
            for annotation in &addition.injection.annotations {
                let Annotation { key, value, required } = annotation;
                if !annotations.is_new("annotation", (key, value), addition)? {
                    continue;
                }
                let own = self.own_metadata("annotations", (key, value), work)?;
                if let Some(own) = own.filter(|own| *required && own.as_text() != Some(value)) {
                    yield_to("annotation", key, addition)?;
                    *own = text(value);
                    work.warnings.push(format!(
                        "the Pod's annotation {key} was replaced: a secret that the Pod asks for needs it"
                    ));
                }
            }
            for (key, value) in &addition.injection.labels {
                if !labels.is_new("label", (key, value), addition)? {
                    continue;
                }
                let own = self.own_metadata("labels", (key, value), work)?;
                if own.is_some_and(|own| own.as_text() != Some(value)) {
                    yield_to("label", key, addition)?;
                    work.warnings.push(format!(
                        "the Pod's label {key} stays, but {addition} needs the value {value:?} in it: the secret may not \
                         arrive; remove the label or give it that value"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns what the Pod has under `key` in `field`. Adds `value` where it has nothing.
    fn own_metadata(
        &mut self,
        field: &'static str,
        (key, value): (&str, &str),
        work: &mut Work<'_>,
    ) -> Result<Option<&mut Node<'a>>, PodError> {
        let fields = self.metadata_mut(field)?;
        work.budget.compare(1, fields.len())?;
        work.budget.spend(key.len().saturating_add(value.len()))?;
        if let Some(position) = fields.iter().position(|(known, _)| known == key) {
            return Ok(fields.get_mut(position).map(|(_, own)| own));
        }
        fields.push((Cow::Owned(key.to_owned()), text(value)));
        Ok(None)
    }

    /// Writes the status annotation, a JSON string; what it held is of no interest. Returns whether there was room for it:
    /// where there is none, the Pod has no such annotation.
    pub(crate) fn set_status(&mut self, status: String) -> Result<bool, PodError> {
        let annotations = self.metadata_mut("annotations")?;
        let others: usize = annotations
            .iter()
            .filter(|(key, _)| key != STATUS_ANNOTATION)
            .map(|(key, value)| key.len().saturating_add(length(value)))
            .sum();
        let fits = |size: usize| others.saturating_add(STATUS_ANNOTATION.len()).saturating_add(size) <= MAX_ANNOTATIONS;
        // Its quotation marks have escapes here, and there are hardly any others.
        let without_escapes = || {
            let escapes = status.as_bytes().windows(2).filter(|pair| *pair == br#"\""#).count();
            status.len().saturating_sub(escapes.saturating_add(2))
        };
        if !fits(status.len()) && !fits(without_escapes()) {
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
    pub(crate) fn remove_status(&mut self) -> Result<(), PodError> {
        if self.annotations().any(|(key, _)| key == STATUS_ANNOTATION) {
            self.metadata_mut("annotations")?
                .retain(|(key, _)| key != STATUS_ANNOTATION);
        }
        Ok(())
    }

    fn metadata_mut(&mut self, field: &'static str) -> Result<&mut Vec<(Cow<'a, str>, Node<'a>)>, WrongType> {
        let metadata = self.node.field_mut("metadata", || Node::Object(Vec::new()))?;
        metadata.open(field, TEXTS);
        metadata.object_mut(field)
    }

    pub(super) fn add_pull_secrets(&mut self, work: &mut Work<'_>) -> Result<(), PodError> {
        let injections = work.additions.iter().map(|addition| &addition.injection);
        for name in injections.flat_map(|injection| &injection.image_pull_secrets) {
            work.budget.compare(1, self.spec_items("imagePullSecrets").len())?;
            self.add_pull_secret(name)?;
        }
        Ok(())
    }

    /// Adds a Secret for image pulls behind the Pod's own, if it is not there yet.
    pub(crate) fn add_pull_secret(&mut self, name: &str) -> Result<(), PodError> {
        let secrets = self.spec_list("imagePullSecrets")?;
        if !secrets.iter().any(|secret| secret.text("name") == Some(name)) {
            secrets.push(item(name, &Value::Null));
        }
        Ok(())
    }
}

/// Fails where the addition is a default: the Pod's own annotation or label stays.
fn yield_to(kind: &str, key: &str, addition: &Addition<'_>) -> Result<(), PodError> {
    if !addition.request.is_default() {
        return Ok(());
    }
    let message = format!("the Pod sets the {kind} {key:?} itself, which {addition} needs for something else");
    Err(PodError::clash(&[addition], message))
}

/// The annotations or labels that additions need, so far.
#[derive(Default)]
struct Known<'k> {
    positions: BTreeMap<&'k str, usize>,
    /// By position: the value, and the addition that needs it.
    values: Vec<(&'k str, &'k Addition<'k>)>,
}

impl<'k> Known<'k> {
    /// Returns whether no addition before `addition` needs `key`.
    ///
    /// # Errors
    /// Where one needs another value in it.
    fn is_new(
        &mut self,
        kind: &str,
        (key, value): (&'k str, &'k str),
        addition: &'k Addition<'k>,
    ) -> Result<bool, PodError> {
        let Some((known, first)) = self.positions.get(key).and_then(|position| self.values.get(*position)) else {
            self.positions.insert(key, self.values.len());
            self.values.push((value, addition));
            return Ok(true);
        };
        if *known == value || std::ptr::eq(*first, addition) {
            return Ok(false);
        }
        let message = format!("{first} and {addition} need different values in the Pod's {kind} {key:?}");
        Err(PodError::clash(&[first, addition], message))
    }
}
