//! Secrets whose keys all become variables.

#![forbid(unsafe_code)]

use serde_json::Value;

use crate::json::tree;

/// A Secret of which each key is a variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvFrom {
    /// What the variables' names begin with.
    pub prefix: String,
    pub secret: String,
    /// Whether the container starts without the Secret.
    pub optional: bool,
}

impl EnvFrom {
    /// Returns it as an item of a container's `envFrom`.
    pub(crate) fn to_value(&self) -> Value {
        let optional = self.optional.then_some(("optional", true.into()));
        let secret = [("name", self.secret.as_str().into())].into_iter().chain(optional);
        let prefix = (!self.prefix.is_empty()).then_some(("prefix", self.prefix.as_str().into()));
        tree([("secretRef", tree(secret))].into_iter().chain(prefix))
    }
}
