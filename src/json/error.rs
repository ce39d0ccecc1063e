//! What is wrong with the settings.

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
    /// Returns an error about the setting at `place`, which is empty where [`Self::below`] tells it.
    pub(crate) fn new(place: &str, problem: &str) -> Self {
        Self {
            place: place.to_owned(),
            problem: problem.to_owned(),
        }
    }

    /// Returns the same error, seen from where `step` leads to the value.
    pub(crate) fn below(mut self, step: &str) -> Self {
        let is_field = !self.place.is_empty() && !self.place.starts_with('[');
        let dot = if is_field { "." } else { "" };
        self.place = format!("{step}{dot}{}", self.place);
        self
    }
}
