//! The managers of the settings: which types there are, and how one is read.

use crate::json::fields::{Fields, SettingsError};
use crate::managers::manager::Manager;
use crate::managers::mapping::Mapping;
use crate::managers::selector::Selector;
use crate::managers::{aws, azure, confidant, csi, flyte, gcp, global, kubernetes, template, vault};
use crate::requests::{Origin, SecretRequest};

/// A manager of the settings' list.
pub(crate) struct ConfiguredManager {
    /// What messages call it: its type, or a template's name.
    pub name: String,
    pub selector: Selector,
    /// By which names it finds secrets, where the settings say so.
    pub mapping: Option<Mapping>,
    pub manager: Box<dyn Manager>,
}

type Read = fn(&mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError>;

/// The types of managers, and what reads their settings.
const TYPES: &[(&str, Read)] = &[
    ("global", global::Global::from_fields),
    ("kubernetes", kubernetes::Kubernetes::from_fields),
    ("vault", vault::Vault::from_fields),
    ("aws", aws::from_fields),
    ("gcp", |fields| gcp::CLI.read(fields)),
    ("azure", |fields| azure::CLI.read(fields)),
    ("confidant", confidant::Confidant::from_fields),
    ("csi", csi::Csi::from_fields),
    ("flyte", flyte::Flyte::from_fields),
    ("template", template::Template::from_fields),
];

impl ConfiguredManager {
    /// Reads one item of the settings' `managers`.
    pub(crate) fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let kind = fields.take::<String>("type")?;
        let Some((name, read)) = TYPES.iter().find(|(name, _)| Some(*name) == kind.as_deref()) else {
            let problem = kind.map_or("is missing".to_owned(), |kind| {
                format!("is the unknown manager type {kind:?}")
            });
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            return Err(fields.invalid("type", &format!("{problem}; use one of {}", names.join(", "))));
        };
        fields.rename(name);
        let selector = Selector::from_fields(fields.nested("match")?)?;
        let manager = read(&mut fields)?;
        let names = fields.nested("names")?;
        let mapping = Mapping::from_fields(names, &fields, manager.as_ref())?;
        if !fields.is_checked() && !mapping.as_ref().is_some_and(Mapping::puts_group_into_key) {
            check_groups(manager.as_ref(), &selector, &fields)?;
        }
        fields.finish()?;
        Ok(Self {
            name: manager.name().unwrap_or(name).to_owned(),
            selector,
            mapping,
            manager,
        })
    }
}

/// Checks the patterns of `match.groups`. A manager that finds a secret by the key alone gives a Pod every secret, whichever
/// of the groups the Pod writes: patterns would look like a gate and be none. So only those are taken that fit a request
/// without a group.
fn check_groups(manager: &dyn Manager, selector: &Selector, fields: &Fields<'_>) -> Result<(), SettingsError> {
    let sample = SecretRequest {
        group: "group".to_owned(),
        key: "key".to_owned(),
        ..SecretRequest::new(Origin::Flyte { key: String::new() })
    };
    let (group, key) = manager.access_key(&sample);
    if group.is_empty() && !key.is_empty() && !selector.groups.iter().all(|glob| glob.fits("")) {
        return Err(fields.invalid(
            "match.groups",
            "would keep no secret from a Pod: this manager finds secrets by the key alone, and a Pod can write every group. \
             Write [\"\"] for requests without a group, leave it out, or say with the setting access who may ask for which \
             key",
        ));
    }
    Ok(())
}
