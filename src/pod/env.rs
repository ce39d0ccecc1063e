//! Variables.
//!
//! Ours go to the front, so that the Pod's own may refer to them as `$(NAME)`, and replace the Pod's own of the same
//! name.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::document::{Pod, name_of};
use super::error::PodError;
use super::files::Files;
use super::same::same;
use super::work::{Budget, Work};
use crate::injection::{Addition, EnvFrom, EnvValue, EnvVar};
use crate::json::{Node, Shape, tree};

/// The variables of one container, in the order in which they stand there, and a way to find one by its name.
#[derive(Default)]
struct Variables<'v> {
    ordered: Vec<Variable<'v>>,
    positions: BTreeMap<&'v str, usize>,
    /// How long they are together as JSON.
    bytes: usize,
}

struct Variable<'v> {
    variable: &'v EnvVar,
    /// The volume with the file that holds the value of a fetched variable, and the path in it.
    file: Option<&'v (String, String)>,
    /// The addition that needs it, for messages.
    owner: &'v Addition<'v>,
    node: Node<'static>,
}

/// Adds the variables of all additions.
pub(super) fn add<'w>(pod: &mut Pod<'_>, files: &'w Files, work: &mut Work<'w>) -> Result<(), PodError> {
    // Containers mostly get the same variables: those that the same additions reach share them.
    let mut known: Vec<(Vec<bool>, Variables<'w>)> = Vec::new();
    for (_, container) in pod.containers_mut(&files.ours) {
        let name = name_of(container).to_owned();
        let reached: Vec<bool> = work.additions.iter().map(|addition| addition.reaches(&name)).collect();
        work.budget.compare(1, known.len())?;
        let position = match known.iter().position(|(additions, _)| *additions == reached) {
            Some(position) => position,
            None => {
                let variables = variables(work.additions, files, &reached)?;
                known.push((reached, variables));
                known.len() - 1
            }
        };
        if let Some((_, variables)) = known.get(position)
            && !variables.ordered.is_empty()
        {
            work.budget.spend(variables.bytes)?;
            merge(container, &name, variables, &mut work.warnings)?;
        }
        for addition in work.additions.iter().filter(|addition| addition.reaches(&name)) {
            for source in &addition.injection.env_from {
                add_source(container, source, &mut work.budget)?;
            }
        }
    }
    Ok(())
}

/// Returns the variables that a container gets from the additions that reach it.
fn variables<'w>(additions: &'w [Addition<'w>], files: &'w Files, reached: &[bool]) -> Result<Variables<'w>, PodError> {
    let mut all = Variables::default();
    let additions = additions.iter().enumerate().zip(reached).rev();
    // Each variable is put in front of those before it, so the last one stands first.
    for ((index, owner), _) in additions.filter(|(_, is_reached)| **is_reached) {
        for variable in owner.injection.env.iter().rev() {
            let is_fetched = matches!(variable.value, EnvValue::Fetched { .. });
            let file = files.env_file(index).filter(|_| is_fetched);
            let known = all.positions.get(variable.name.as_str());
            let Some(known) = known.and_then(|position| all.ordered.get(*position)) else {
                all.positions.insert(&variable.name, all.ordered.len());
                let json = variable.to_json(file);
                all.bytes = json.len().saturating_add(all.bytes);
                all.ordered.push(Variable {
                    variable,
                    file,
                    owner,
                    node: Node::Made(json.into()),
                });
                continue;
            };
            if known.variable.value != variable.value || known.file != file {
                return Err(clash(&variable.name, owner, known.owner));
            }
        }
    }
    Ok(all)
}

/// Makes the error for two values of one variable: of two requests, or of one that names a variable which it needs for
/// something else.
fn clash(variable: &str, first: &Addition<'_>, second: &Addition<'_>) -> PodError {
    if std::ptr::eq(first, second) {
        format!("{first} names {variable:?} as its further variable, which Flyte's clients need for something else")
            .into()
    } else {
        format!(
            "{first} and {second} both need the variable {variable:?} in one container; give one of them another name"
        )
        .into()
    }
}

/// Puts `variables` in front of the container's own.
fn merge(
    container: &mut Node<'_>,
    container_name: &str,
    variables: &Variables<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), PodError> {
    let env = container.list_mut("env")?;
    let mut merged: Vec<Node<'_>> = variables.ordered.iter().map(|added| added.node.clone()).collect();
    merged.reserve(env.len());
    for own in env.drain(..) {
        let position = own.text("name").and_then(|name| variables.positions.get(name));
        let Some(position) = position else {
            merged.push(own);
            continue;
        };
        let (Some(added), Some(place)) = (variables.ordered.get(*position), merged.get_mut(*position)) else {
            continue;
        };
        if same(&own.to_value(), &added.node.to_value()) {
            *place = own;
        } else {
            warnings.push(format!(
                "the container {container_name:?} sets the variable {:?} itself; the secret that the Pod asks for \
                 replaces it",
                added.variable.name
            ));
        }
    }
    *env = merged;
    Ok(())
}

/// Adds a Secret of which each key is a variable, behind the container's own: of two variables of one name, the last counts.
fn add_source(container: &mut Node<'_>, source: &EnvFrom, budget: &mut Budget) -> Result<(), PodError> {
    let optional = source.optional.then_some(("optional", true.into()));
    let secret = [("name", source.secret.as_str().into())].into_iter().chain(optional);
    let prefix = (!source.prefix.is_empty()).then_some(("prefix", source.prefix.as_str().into()));
    let ours = tree([("secretRef", tree(secret))].into_iter().chain(prefix));
    container.open("envFrom", Shape::ListOf(&Shape::Closed));
    let sources = container.list_mut("envFrom")?;
    budget.spend(source.prefix.len() + source.secret.len())?;
    budget.compare(1, sources.len())?;
    if !sources.iter().any(|own| same(&own.to_value(), &ours)) {
        sources.push(Node::made(&ours));
    }
    Ok(())
}
