//! What is wrong with the settings.

#![forbid(unsafe_code)]

/// What an operator has to change in the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}")]
pub(crate) struct SettingsError {
    /// The setting, such as `managers[1] (vault).role`.
    pub place: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

impl SettingsError {
    /// Returns an error about a value whose place is not known yet, see [`Self::below`].
    pub(crate) fn new(problem: String) -> Self {
        Self {
            place: String::new(),
            problem,
        }
    }

    /// Returns the same error, seen from where `step` leads to the value.
    pub(crate) fn below(mut self, step: &str) -> Self {
        let dot = if self.place.is_empty() || self.place.starts_with('[') {
            ""
        } else {
            "."
        };
        self.place = format!("{step}{dot}{}", self.place);
        self
    }
}
