//! Pruning an object to the fields that a policy asked for, as the policy server does it before it answers.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The fields to keep, as a tree. A leaf keeps all that is below it.
#[derive(Debug, Default)]
pub struct FieldMask {
    fields: BTreeMap<String, FieldMask>,
}

impl FieldMask {
    /// The tree of `paths`. Dots separate fields and cannot be escaped, so a key that has a dot in it (as in a Secret's
    /// `tls.crt`) cannot be named by a mask.
    pub fn new(paths: &BTreeSet<String>) -> Self {
        let mut root = Self::default();
        for path in paths {
            let mut node = &mut root;
            for field in path.split('.') {
                node = node.fields.entry(field.to_owned()).or_default();
            }
        }
        root
    }

    /// Removes from `value` what the mask does not name. Lists are looked through.
    pub fn prune(&self, value: &mut Value) {
        if self.fields.is_empty() {
            return;
        }
        match value {
            Value::Object(object) => object.retain(|key, field| match self.fields.get(key) {
                Some(mask) => {
                    mask.prune(field);
                    true
                }
                None => false,
            }),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.prune(element)),
            _ => {}
        }
    }
}
