//! Variables.
//!
//! Ours go to the front, so that the Pod's own may refer to them as `$(NAME)`, and replace the Pod's own of the same
//! name.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::document::{Addition, CONTAINER_LISTS, Pod, described};
use super::error::PodError;
use super::files::Files;
use super::room::Room;
use super::same::same;
use crate::injection::EnvVar;
use crate::json::Node;

/// The variables of one container, in the order in which they stand there, and a way to find one by its name.
struct Variables<'v> {
    ordered: Vec<(&'v EnvVar, Node<'static>)>,
    /// The first addition that needs each of them.
    owners: Vec<usize>,
    positions: BTreeMap<&'v str, usize>,
    /// How long they are together as JSON.
    bytes: usize,
}

/// Adds the variables of all additions.
pub(super) fn add(
    pod: &mut Pod<'_>,
    additions: &[Addition<'_>],
    files: &Files,
    room: &mut Room,
    warnings: &mut Vec<String>,
) -> Result<(), PodError> {
    let resolved: Vec<(usize, EnvVar)> = additions
        .iter()
        .enumerate()
        .flat_map(|(index, addition)| addition.injection.env.iter().map(move |variable| (index, variable)))
        .map(|(index, variable)| (index, files.resolve(index, variable)))
        .collect();
    // Containers mostly get the same variables: those that the same additions reach share them.
    let mut known: Vec<(Vec<bool>, Variables<'_>)> = Vec::new();
    let mut yielding = Vec::new();
    for list in CONTAINER_LISTS {
        if pod.spec_items(list).is_empty() {
            continue;
        }
        for (index, container) in pod.spec_list(list)?.iter_mut().enumerate() {
            if files.is_ours(list, index) {
                continue;
            }
            let name = container.text("name").unwrap_or_default().to_owned();
            let reached: Vec<bool> = additions.iter().map(|addition| addition.reaches(&name)).collect();
            room.compare(known.len())?;
            let position = match known.iter().position(|(additions, _)| *additions == reached) {
                Some(position) => position,
                None => {
                    let variables = variables(additions, &resolved, &reached)?;
                    known.push((reached, variables));
                    known.len() - 1
                }
            };
            if let Some((_, variables)) = known.get(position)
                && !variables.ordered.is_empty()
            {
                room.take(variables.bytes)?;
                let default = |position: usize| {
                    let owner = additions.get(*variables.owners.get(position)?)?;
                    owner.request.is_default().then_some(owner)
                };
                yielding.extend(merge(container, &name, variables, &default, warnings)?);
            }
        }
    }
    PodError::all(yielding)
}

/// What the names of variables begin with that tell Flyte's clients where secrets are, and hold none.
const FOR_CLIENTS: &str = "FLYTE_SECRETS_";

/// The variables that a container gets from the additions that reach it.
fn variables<'v>(
    additions: &[Addition<'_>],
    resolved: &'v [(usize, EnvVar)],
    reached: &[bool],
) -> Result<Variables<'v>, PodError> {
    let mut ordered = Vec::new();
    let mut owners: Vec<usize> = Vec::new();
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut bytes = 0_usize;
    // Each variable is put in front of those before it, so the last one stands first.
    for (owner, variable) in resolved.iter().rev() {
        if !reached.get(*owner).is_some_and(|reached| *reached) {
            continue;
        }
        let Some(position) = positions.get(variable.name.as_str()) else {
            positions.insert(&variable.name, ordered.len());
            let json = variable.to_json();
            bytes = json.len().saturating_add(bytes);
            ordered.push((variable, Node::Made(json.into())));
            owners.push(*owner);
            continue;
        };
        let same = ordered
            .get(*position)
            .is_some_and(|(known, _): &(&EnvVar, _)| known.value == variable.value);
        if !same {
            let other = owners.get(*position).copied().unwrap_or(*owner);
            return Err(clash(&variable.name, *owner, other, additions));
        }
        if let Some(first) = owners.get_mut(*position) {
            *first = *owner;
        }
    }
    Ok(Variables {
        ordered,
        owners,
        positions,
        bytes,
    })
}

/// Two values for one variable: of two requests, or of one that names a variable which it needs for something else.
fn clash(variable: &str, first: usize, second: usize, additions: &[Addition<'_>]) -> PodError {
    let request = |owner: usize| {
        additions
            .get(owner)
            .map_or_else(String::new, |addition| described(addition.request))
    };
    let variable = variable.to_owned();
    if first == second {
        return PodError::ReservedVariable {
            variable,
            request: request(first),
        };
    }
    PodError::VariableClash {
        variable,
        first: request(first),
        second: request(second),
    }
}

fn own_variable(container: &str, variable: &str, default: &Addition<'_>) -> PodError {
    PodError::Own {
        owner: format!("the container {container:?}"),
        container: container.to_owned(),
        what: "variable",
        name: variable.to_owned(),
        request: described(default.request),
    }
}

/// Puts `variables` in front of the container's own. Returns an error for each that the container has for something else, and
/// that only a default needs: `default` finds it by the variable's position.
fn merge<'d>(
    container: &mut Node<'_>,
    container_name: &str,
    variables: &Variables<'_>,
    default: &dyn Fn(usize) -> Option<&'d Addition<'d>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<PodError>, PodError> {
    let mut yielding = Vec::new();
    let env = container.list_mut("env")?;
    let mut merged: Vec<Node<'_>> = variables.ordered.iter().map(|(_, node)| node.clone()).collect();
    merged.reserve(env.len());
    for own in env.drain(..) {
        let position = own.text("name").and_then(|name| variables.positions.get(name));
        let Some(position) = position else {
            merged.push(own);
            continue;
        };
        let (Some((variable, node)), Some(place)) = (variables.ordered.get(*position), merged.get_mut(*position))
        else {
            continue;
        };
        if same(&own.to_value(), &node.to_value()) {
            *place = own;
        } else if let Some(default) = default(*position) {
            if variable.name.starts_with(FOR_CLIENTS) {
                warnings.push(format!(
                    "the container {container_name:?} sets the variable {:?} itself, which stays: Flyte's clients look there for \
                     the secrets that the policy gives by default, too",
                    variable.name
                ));
                *place = own;
            } else {
                yielding.push(own_variable(container_name, &variable.name, default));
            }
        } else {
            warnings.push(format!(
                "the container {container_name:?} sets the variable {:?} itself; the secret that the Pod asks for \
                 replaces it",
                variable.name
            ));
        }
    }
    *env = merged;
    Ok(yielding)
}
