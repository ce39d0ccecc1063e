//! Secrets that Pods get without asking for them.

use serde_json::{Map, Value};

use crate::json::fields::{Fields, SettingsError};
use crate::names::{is_label_value, is_metadata_key};
use crate::patterns::{self, Patterns};
use crate::requests::{Containers, Origin, SecretRequest, json};

/// An item of the settings' `defaults`: Pods that fit all of its conditions get these secrets.
pub(crate) struct DefaultRule {
    namespaces: Patterns,
    service_accounts: Patterns,
    labels: Vec<(String, String)>,
    /// What the Pods get.
    pub(crate) requests: Vec<SecretRequest>,
}

impl DefaultRule {
    /// Reads an item of `defaults`.
    pub(crate) fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let namespaces = Patterns::from_fields(&mut fields, "namespaces", patterns::namespace)?;
        let service_accounts = Patterns::from_fields(&mut fields, "serviceAccounts", patterns::service_account)?;
        let labels = labels(&mut fields)?;
        let containers = json::containers(&mut fields)?;
        let mut requests = Vec::new();
        for item in fields.list("requests")?.unwrap_or_default() {
            requests.push(request(item, &containers)?);
        }
        if requests.is_empty() {
            return Err(fields.invalid("requests", "has no request: list the secrets that the Pods get"));
        }
        if !namespaces.are_given() && !service_accounts.are_given() && labels.is_empty() {
            return Err(fields.invalid(
                "namespaces",
                "is missing, so that every Pod would get these secrets: write [\"*\"] if that is meant",
            ));
        }
        fields.finish()?;
        Ok(Self {
            namespaces,
            service_accounts,
            labels,
            requests,
        })
    }

    /// Returns whether a Pod with these labels, in its namespace and with its service account, gets the secrets.
    pub(crate) fn is_for(&self, namespace: &str, service_account: &str, labels: &Map<String, Value>) -> bool {
        let has = |(key, value): &(String, String)| labels.get(key).is_some_and(|own| *own == **value);
        self.namespaces.fit(namespace) && self.service_accounts.fit(service_account) && self.labels.iter().all(has)
    }
}

/// Reads the labels that a Pod has to have.
fn labels(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, SettingsError> {
    let labels = fields.strings("labels")?;
    let is_label = |(key, value): &(String, String)| is_metadata_key(key) && is_label_value(value);
    match labels.iter().find(|label| !is_label(label)) {
        Some((key, _)) => Err(fields.invalid(
            "labels",
            &format!("holds {key:?}, which no Pod can have with that value"),
        )),
        None => Ok(labels),
    }
}

/// Reads an item of `requests`. `containers` are those of the items that name none.
fn request(mut fields: Fields<'_>, containers: &Containers) -> Result<SecretRequest, SettingsError> {
    fields.reject_null()?;
    let place = fields.place().to_owned();
    let required = fields.take("required")?.unwrap_or(false);
    let mut request = json::read(&mut fields, Origin::Default { place, required })?;
    if request.containers == Containers::All {
        request.containers = containers.clone();
    }
    if required && request.is_optional() {
        return Err(fields.invalid(
            "optional",
            "lets the Pod start without the secret, and required does not: leave one of them out",
        ));
    }
    if request.group.is_empty() && request.key.is_empty() {
        return Err(fields.invalid("key", "is missing: say with group and key which secret the Pods get"));
    }
    fields.finish()?;
    Ok(request)
}
