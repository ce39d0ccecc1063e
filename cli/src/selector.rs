//! Label selectors, as Kubernetes reads them.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// `meta/v1` LabelSelector: all of its parts must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(default)]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Conditions on labels.
    #[serde(default)]
    pub match_expressions: Option<Vec<Requirement>>,
}

/// `meta/v1` LabelSelectorRequirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// What its value must be.
    pub operator: Operator,
    /// The values of `In` and `NotIn`.
    #[serde(default)]
    pub values: Option<Vec<String>>,
}

/// What a label's value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operator {
    /// One of the values.
    In,
    /// None of the values; a label that is absent matches.
    NotIn,
    /// Anything.
    Exists,
    /// Absent.
    DoesNotExist,
}

type Labels = BTreeMap<String, String>;

impl LabelSelector {
    /// Returns true if `labels` match. An empty selector matches everything.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.mismatch(labels).is_none()
    }

    /// Returns the first condition that `labels` do not fulfill, in words.
    pub fn mismatch(&self, labels: &Labels) -> Option<String> {
        let missing = self
            .match_labels
            .iter()
            .flatten()
            .find(|(key, value)| labels.get(*key) != Some(value))
            .map(|(key, value)| format!("the label {key}: {value:?}"));
        let unfulfilled = || {
            let requirements = self.match_expressions.iter().flatten();
            let unfulfilled = requirements.into_iter().find(|one| !one.is_met(labels))?;
            Some(unfulfilled.to_string())
        };
        missing.or_else(unfulfilled)
    }
}

impl Requirement {
    fn is_met(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.iter().flatten().any(|one| one == value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.as_deref().unwrap_or_default().join(", ");
        match self.operator {
            Operator::In => write!(f, "the label {} with a value of {values}", self.key),
            Operator::NotIn => write!(f, "the label {} absent or with a value other than {values}", self.key),
            Operator::Exists => write!(f, "the label {}", self.key),
            Operator::DoesNotExist => write!(f, "no label {}", self.key),
        }
    }
}
