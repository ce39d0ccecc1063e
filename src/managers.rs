//! The secret managers, their order and what happens when one does not serve a request.
//!
//! One file holds one manager. A manager turns a request into an [`Injection`] and changes nothing itself, so that one
//! that cannot serve a request leaves no trace.

#![forbid(unsafe_code)]

mod authorize;
pub mod aws;
pub mod azure;
pub mod common;
pub mod confidant;
pub mod csi;
pub mod fetching;
pub mod flyte;
pub mod gcp;
pub mod global;
mod joins;
pub mod kubernetes;
mod lookup;
mod matching;
pub mod network;
mod owners;
pub mod placeholders;
mod routing;
pub mod template;
mod variables;
pub mod vault;

use std::borrow::Cow;

use serde_json::Value;

use crate::access;
use crate::cluster::Cluster;
use crate::injection::Injection;
use crate::requests::SecretRequest;
use crate::settings::Settings;
use crate::settings::fields::{Fields, SettingsError};

pub use matching::Match;

/// A system that keeps secrets, as an operator has set it up.
pub trait Manager {
    /// What this manager adds to the Pod for `request`.
    ///
    /// # Errors
    /// [`Miss`] says why it does not serve the request.
    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection, Miss>;

    /// The group and the key by which this manager finds the secret of `request`; empty where it takes no notice of the
    /// request's. The settings' `access` is about these: what plays no part must not make a rule fit.
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        (&request.group, &request.key)
    }

    /// Says why the manager might find another secret for `request` than the one that a rule of the settings' `access` is
    /// about: it joins group and key to one name, which another group and key would make as well.
    fn ambiguity(&self, _request: &SecretRequest) -> Option<String> {
        None
    }

    /// Returns what the settings' `access` is matched with: group and key as [`Self::selects`] gives them, with `/` between
    /// them, or the secret's own name where the client is asked for one that both make together.
    fn access_name(&self, request: &SecretRequest) -> String {
        let (group, key) = self.selects(request);
        access::name(group, key)
    }

    /// Returns the name, as [`Self::access_name`], of a further secret that the request may lead to, where the manager
    /// changes the case of letters.
    fn other_access_name(&self, _request: &SecretRequest) -> Option<String> {
        None
    }

    /// The init containers that fetch the secrets of this manager's injections with a [`FileOrigin::Fetched`].
    ///
    /// [`FileOrigin::Fetched`]: crate::injection::FileOrigin::Fetched
    fn fetch(&self, _fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        Vec::new()
    }

    /// The name of the memory volume for this manager's files, when it is free.
    fn files_volume(&self) -> &'static str {
        "secrets"
    }
}

/// Why a manager does not serve a request. The texts are for the Pod's author and name no value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// It has no such secret, or cannot give it in this way: the next manager is asked.
    NotHere(String),
    /// The Pod may not have the secret: the Pod is rejected.
    Denied(String),
    /// The manager could not find out: the Pod is rejected.
    Failed(String),
}

/// What managers may know of the Pod and the settings.
pub struct Context<'a> {
    /// The settings that all managers share.
    pub settings: &'a Settings,
    /// The namespace of the admission request.
    pub namespace: &'a str,
    /// The Pod's service account.
    pub service_account: &'a str,
    /// Who asked for the Pod.
    pub user: User<'a>,
    /// The Pod's labels, those that a manager asks for ([`reads_label`]): a Pod may have thousands.
    pub labels: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// What the Pod says to the Vault Agent injector itself.
    pub agent_orders: &'a vault::AgentOrders<'a>,
    /// The cluster, as far as the host lets the policy see it.
    pub cluster: &'a dyn Cluster,
    /// What the settings' `access` says of this Pod.
    pub rules: &'a access::PodRules<'a>,
}

/// Whether a manager asks for the Pod's label `key`.
pub fn reads_label(key: &str) -> bool {
    flyte::LABELS.contains(&key)
}

/// Who made the admission request.
#[derive(Debug, Clone, Copy, Default)]
pub struct User<'a> {
    /// The user's name.
    pub name: &'a str,
    /// The user's groups.
    pub groups: &'a [&'a str],
}

impl<'a> Context<'a> {
    /// Whether the settings' `access` lets the Pod ask for the key `key` of `group`, see [`Manager::selects`].
    pub fn may_ask(&self, group: &str, key: &str) -> bool {
        self.may_ask_for(&access::name(group, key))
    }

    /// Returns whether the settings' `access` lets the Pod ask for `secret`, see [`Manager::access_name`].
    pub fn may_ask_for(&self, secret: &str) -> bool {
        self.rules.allow(secret)
    }

    /// The value of the Pod's label `key`, see [`reads_label`].
    pub fn label(&self, key: &str) -> Option<&'a str> {
        self.labels
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.as_ref())
    }
}

/// What a manager is to fetch for one Pod.
pub struct Fetch<'a> {
    /// The secrets, in the order of the requests.
    pub items: &'a [FetchItem<'a>],
    /// Where an init container is to mount the first memory volume: nothing else is mounted there.
    pub directory: &'a str,
}

/// One secret to fetch.
pub struct FetchItem<'a> {
    /// What the manager put into its injection.
    pub arguments: &'a [String],
    /// Where the value is to be written: one place for each volume that is to hold it.
    pub copies: Vec<Copy>,
}

/// A place for a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The memory volume; an init container mounts it where it likes, see [`FetchContainer::mounts`].
    pub volume: usize,
    /// The path in the volume.
    pub path: String,
    /// The name in a file of variables, where the value is to be written as such a file.
    pub variable: Option<String>,
}

/// An init container without its mounts, which [`crate::pod`] adds.
pub struct FetchContainer {
    /// Its name, or the beginning of it.
    pub name: ContainerName,
    /// The container's fields but for `name` and `volumeMounts`.
    pub spec: Value,
    /// Which memory volumes it mounts, and where.
    pub mounts: Vec<(usize, String)>,
    /// Further volumes, which it reads.
    pub volumes: Vec<FetchVolume>,
}

/// A volume that an init container reads.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchVolume {
    /// The volume's name, when it is free.
    pub name: &'static str,
    /// The volume without its name.
    pub source: Value,
    /// Where the container mounts it.
    pub path: &'static str,
}

/// The name of an init container that we add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerName {
    /// This name, when it is free.
    Exact(&'static str),
    /// This, a dash and a number.
    Numbered(&'static str),
}

/// A manager of the settings' list.
pub struct Entry {
    /// What messages call it: its type, or a template's name.
    pub name: String,
    /// What it is asked for.
    pub matches: Match,
    /// The manager itself.
    pub manager: Box<dyn Manager>,
}

impl Entry {
    /// See [`Manager::ambiguity`]; without rules, there is nothing to be confused.
    fn ambiguity(&self, request: &SecretRequest, context: &Context<'_>) -> Option<String> {
        context.settings.access.as_ref()?;
        self.manager.ambiguity(request)
    }

    /// Returns the name of what `request` may lead to and the settings' `access` does not allow.
    fn barred(&self, request: &SecretRequest, context: &Context<'_>) -> Option<String> {
        let names = std::iter::once(self.manager.access_name(request)).chain(self.manager.other_access_name(request));
        names.into_iter().find(|name| !context.may_ask_for(name))
    }

    /// Reads one item of the settings' `managers`.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(mut fields: Fields<'_>) -> Result<Self, SettingsError> {
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

/// What one request came to.
pub struct Served {
    /// The position of the manager that serves it in the settings' list.
    pub manager: usize,
    /// What it adds.
    pub injection: Injection,
}

/// Why a request is not served: each manager asked, and what it said.
#[derive(Debug)]
pub struct Unserved {
    /// What the last manager that was asked said; it decides the rejection's code.
    pub severity: Severity,
    /// A line for each manager that was asked.
    pub reasons: Vec<(String, String)>,
}

/// How bad it is that a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// No manager has it.
    Nobody,
    /// A manager could not find out.
    Failed,
    /// The Pod may not have it.
    Denied,
}

/// Asks the managers in the settings' order; the first that serves the request wins. A manager is not asked for what the
/// settings' `access` does not allow.
///
/// # Errors
/// [`Unserved`] when none does, or one denies it or fails, or `access` allows the request with none of them.
pub fn serve(request: &SecretRequest, context: &Context<'_>) -> Result<Served, Unserved> {
    let mut reasons = Vec::new();
    let (mut asked, mut barred) = (false, false);
    for (position, entry) in context.settings.managers.iter().enumerate() {
        let answer = match entry.matches.fits(request) {
            Ok(()) => {
                if let Some(reason) = entry.ambiguity(request, context) {
                    barred = true;
                    Err(Miss::NotHere(reason))
                } else if let Some(secret) = entry.barred(request, context) {
                    barred = true;
                    Err(Miss::NotHere(access::refusal(request, &secret, context)))
                } else {
                    asked = true;
                    let injection = entry.manager.inject(&entry.matches.narrowed(request), context);
                    injection.and_then(|injection| variables::check(request, injection, context.settings))
                }
            }
            Err(reason) => Err(Miss::NotHere(reason.to_owned())),
        };
        let (severity, reason) = match answer {
            Ok(mut injection) => {
                injection.warnings.extend(common::client_variable_warning(request));
                return Ok(Served {
                    manager: position,
                    injection,
                });
            }
            Err(Miss::NotHere(reason)) => (Severity::Nobody, reason),
            Err(Miss::Failed(reason)) => (Severity::Failed, reason),
            Err(Miss::Denied(reason)) => (Severity::Denied, reason),
        };
        reasons.push((entry.name.clone(), reason));
        if severity != Severity::Nobody {
            return Err(Unserved { severity, reasons });
        }
    }
    Err(Unserved {
        severity: if barred && !asked {
            Severity::Denied
        } else {
            Severity::Nobody
        },
        reasons,
    })
}
