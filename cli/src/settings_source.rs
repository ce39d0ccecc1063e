//! The settings that somebody wants tried, and where they are.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    admission_policy::AdmissionPolicy, capabilities::Host, failure::Failure, settings, source::Source,
    wasm::PolicyModule, yaml,
};

/// Settings with their source.
#[derive(Debug)]
pub struct SettingsSource {
    /// The settings.
    pub settings: Value,
    /// The policy that has them, if it is one.
    pub policy: Option<AdmissionPolicy>,
    source: Option<Source>,
    place: (usize, usize),
}

impl SettingsSource {
    /// Returns the settings of nobody: the defaults.
    pub fn defaults() -> Self {
        Self {
            settings: json!({}),
            policy: None,
            source: None,
            place: (1, 1),
        }
    }

    /// Reads a file with a policy.
    ///
    /// # Errors
    /// A file that cannot be read, or has no policy, or several.
    pub fn of_policy(path: &Path) -> Result<Self, Failure> {
        let source = Source::read(path)?;
        let policy = AdmissionPolicy::read(&source)?;
        if policy.is_patch() {
            let message = "this policy has no spec.module, as a patch of kustomize has none: give the whole policy, which `kubectl kustomize \
                           DIRECTORY` prints, or its settings alone with --settings";
            return Err(Failure::at(&source.name, message));
        }
        Ok(Self {
            settings: policy.settings.clone(),
            place: policy.place,
            policy: Some(policy),
            source: Some(source),
        })
    }

    /// Reads a file with settings, or with the policy that has them.
    ///
    /// # Errors
    /// As [`SettingsSource::of_policy`].
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let source = Source::read(path)?;
        let documents = source.documents()?;
        if documents.is_empty() {
            let message = "found no settings: nothing is in it; write {} for settings that are all defaults";
            return Err(Failure::at(&source.name, message));
        }
        for document in &documents {
            if settings::is_policy(&yaml::to_json(&document.value)?) {
                let policy = AdmissionPolicy::read(&source)?;
                return Ok(Self {
                    settings: policy.settings.clone(),
                    place: policy.place,
                    policy: Some(policy),
                    source: Some(source),
                });
            }
        }
        let settings = settings::from_text(&source.text).map_err(|error| Failure::at(&source.name, error))?;
        if settings["kind"].is_string() && settings["apiVersion"].is_string() {
            let message = format!("a {} has no settings", settings["kind"].as_str().unwrap_or_default());
            return Err(Failure::at(&source.name, message));
        }
        Ok(Self {
            settings,
            policy: None,
            place: documents.first().map_or((1, 1), |first| (first.number, first.line)),
            source: Some(source),
        })
    }

    /// Asks the policy whether the settings are valid.
    ///
    /// # Errors
    /// The policy's message, with its place.
    pub fn validate(&self, module: &PolicyModule) -> Result<(), Failure> {
        let validity = module.validate_settings(&Host::isolated(), &self.settings)?;
        if validity.valid {
            return Ok(());
        }
        let message = validity.message.unwrap_or_default();
        Err(match &self.source {
            Some(source) => {
                let place = source.place_of_field(self.place.0, self.place.1, &message);
                Failure::at(place, format!("invalid settings: {message}"))
            }
            None => Failure::new(format!("invalid settings: {message}")),
        })
    }
}
