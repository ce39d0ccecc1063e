//! The managers of the settings: which types there are, and how one is read.

#![forbid(unsafe_code)]

use crate::json::fields::{Fields, SettingsError};
use crate::managers::manager::Manager;
use crate::managers::matching::Match;
use crate::managers::{aws, azure, confidant, csi, flyte, gcp, global, kubernetes, routing, template, vault};

/// A manager of the settings' list.
pub(crate) struct Entry {
    /// What messages call it: its type, or a template's name.
    pub name: String,
    pub matches: Match,
    pub manager: Box<dyn Manager>,
}

impl Entry {
    /// Reads one item of the settings' `managers`.
    ///
    /// # Errors
    /// What an operator has to change.
    pub(crate) fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
        let Some(kind) = fields.take::<String>("type")? else {
            return Err(fields.invalid("type", &format!("is missing: choose one of {}", type_names())));
        };
        let Some((name, make)) = TYPES.iter().find(|(name, _)| *name == kind) else {
            return Err(fields.invalid(
                "type",
                &format!("knows no manager {kind:?}: choose one of {}", type_names()),
            ));
        };
        fields.rename(name);
        let matches = Match::from_fields(fields.nested("match")?)?;
        let (manager, own_name) = make(&mut fields)?;
        if let Some(problem) = routing::problem(manager.as_ref(), &matches.groups) {
            return Err(fields.invalid("match.groups", problem));
        }
        fields.finish()?;
        Ok(Self {
            name: own_name.unwrap_or_else(|| (*name).to_owned()),
            matches,
            manager,
        })
    }
}

/// A manager, and the name that its settings give it.
type Made = (Box<dyn Manager>, Option<String>);

type Make = fn(&mut Fields<'_>) -> Result<Made, SettingsError>;

const TYPES: &[(&str, Make)] = &[
    ("global", |fields| {
        Ok((Box::new(global::Global::from_fields(fields)?), None))
    }),
    ("kubernetes", |fields| {
        Ok((Box::new(kubernetes::Kubernetes::from_fields(fields)?), None))
    }),
    ("vault", |fields| {
        Ok((Box::new(vault::Vault::from_fields(fields)?), None))
    }),
    ("aws", |fields| Ok((Box::new(aws::Aws::from_fields(fields)?), None))),
    ("gcp", |fields| Ok((Box::new(gcp::Gcp::from_fields(fields)?), None))),
    ("azure", |fields| {
        Ok((Box::new(azure::Azure::from_fields(fields)?), None))
    }),
    ("confidant", |fields| {
        Ok((Box::new(confidant::Confidant::from_fields(fields)?), None))
    }),
    ("csi", |fields| Ok((Box::new(csi::Csi::from_fields(fields)?), None))),
    ("flyte", |fields| {
        Ok((Box::new(flyte::Flyte::from_fields(fields)?), None))
    }),
    ("template", |fields| {
        let name = template::name(fields)?;
        Ok((Box::new(template::Template::from_fields(fields)?), name))
    }),
];

fn type_names() -> String {
    TYPES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
