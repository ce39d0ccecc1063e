//! The secret managers, their order and what happens when one does not serve a request.
//!
//! One file holds one manager. A manager turns a request into an [`Injection`](crate::injection::Injection) and changes nothing itself, so that one
//! that cannot serve a request leaves no trace.

#![forbid(unsafe_code)]

mod authorize;
pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod common;
pub(crate) mod confidant;
mod context;
pub(crate) mod csi;
mod entry;
pub(crate) mod fetching;
pub(crate) mod flyte;
pub(crate) mod gcp;
pub(crate) mod global;
mod joins;
pub(crate) mod kubernetes;
mod lookup;
mod manager;
mod matching;
pub(crate) mod network;
mod owners;
pub(crate) mod placeholders;
mod routing;
pub(crate) mod template;
mod variables;
pub(crate) mod vault;

use crate::injection::Addition;
use crate::requests::SecretRequest;

pub(crate) use context::{Context, User};
pub(crate) use entry::Entry;
pub(crate) use manager::Miss;

/// Whether a manager asks for the Pod's label `key`.
pub(crate) fn reads_label(key: &str) -> bool {
    flyte::LABELS.contains(&key)
}

/// Why a request is not served: each manager asked, and what it said.
#[derive(Debug)]
pub(crate) struct Unserved {
    /// What the last manager that was asked said; it decides the rejection's code.
    pub severity: Severity,
    /// A line for each manager that was asked.
    pub reasons: Vec<(String, String)>,
}

/// How bad it is that a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
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
pub(crate) fn serve<'m>(
    managers: &'m [Entry],
    request: &'m SecretRequest,
    context: &Context<'_>,
) -> Result<Addition<'m>, Unserved> {
    let mut reasons = Vec::new();
    let (mut asked, mut barred) = (false, false);
    for (position, entry) in managers.iter().enumerate() {
        let answer = match gate(entry, request, context) {
            Gate::Open => {
                asked = true;
                let injection = entry.manager.inject(&entry.matches.narrowed(request), context);
                injection.and_then(|injection| variables::check(request, injection, context.options))
            }
            Gate::Elsewhere(reason) => Err(Miss::NotHere(reason)),
            Gate::Barred(reason) => {
                barred = true;
                Err(Miss::NotHere(reason))
            }
        };
        let (severity, reason) = match answer {
            Ok(mut injection) => {
                injection.warnings.extend(common::client_variable_warning(request));
                return Ok(Addition {
                    request,
                    manager: &entry.name,
                    position,
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

/// Whether a manager is asked for a request.
enum Gate {
    Open,
    /// The settings' `match` leaves the request to other managers.
    Elsewhere(String),
    /// The settings' `access` does not let the Pod ask for it, or cannot tell what it asks for.
    Barred(String),
}

fn gate(entry: &Entry, request: &SecretRequest, context: &Context<'_>) -> Gate {
    if let Err(reason) = entry.matches.fits(request) {
        return Gate::Elsewhere(reason.to_owned());
    }
    // Without rules, there is nothing to be confused.
    if context.rules.are_given()
        && let Some(reason) = entry.manager.ambiguity(request)
    {
        return Gate::Barred(reason);
    }
    let names = std::iter::once(entry.manager.access_name(request)).chain(entry.manager.other_access_name(request));
    match names.into_iter().find(|name| !context.rules.allow(name)) {
        None => Gate::Open,
        Some(secret) => Gate::Barred(context.rules.refusal(request, &secret)),
    }
}
