//! Variables.
//!
//! Ours go behind the container's own: nothing of the Pod moves then, so that the host's JSON patch is short. They go to the
//! front where the order matters: where one of the container's own refers to one of ours as `$(NAME)`, which the kubelet
//! expands with what stands before it, where one of ours replaces the container's own of the same name, or where a template
//! adds some, of which one may refer to another. The container's own are not opened where none of our names can be in them.

use std::collections::BTreeMap;

use super::document::{ENV, Pod, name_of};
use super::error::PodError;
use super::files::Files;
use super::same::same;
use super::work::{Budget, Work};
use crate::injection::{Addition, EnvFrom, EnvValue, EnvVar};
use crate::json::{Node, Shape, text_in, tree};

/// The variables of one container, in the order in which they stand there, and a way to find one by its name.
#[derive(Default)]
struct Variables<'v> {
    ordered: Vec<Variable<'v>>,
    positions: BTreeMap<&'v str, usize>,
    /// The Secrets of which each key is a variable, each with whether a default gives it.
    sources: Vec<(&'v EnvFrom, bool)>,
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
pub(super) fn add(pod: &mut Pod<'_>, files: &Files, work: &mut Work<'_>) -> Result<(), PodError> {
    // Containers mostly get the same variables: those that the same additions reach share them.
    let mut known: Vec<(Vec<bool>, Variables<'_>)> = Vec::new();
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
        let Some((_, variables)) = known.get(position) else {
            continue;
        };
        if !variables.ordered.is_empty() {
            work.budget.spend(variables.bytes)?;
            warn_of_sources(container, &name, variables, work)?;
            merge(container, &name, variables, work)?;
        }
        for (source, is_default) in &variables.sources {
            add_source(container, source, *is_default, &mut work.budget)?;
        }
    }
    Ok(())
}

/// Returns the variables that a container gets from the additions that reach it.
fn variables<'w>(additions: &'w [Addition<'w>], files: &'w Files, reached: &[bool]) -> Result<Variables<'w>, PodError> {
    let mut all = Variables::default();
    for (owner, _) in additions.iter().zip(reached).filter(|(_, is_reached)| **is_reached) {
        let sources = owner.injection.env_from.iter();
        all.sources
            .extend(sources.map(|source| (source, owner.request.is_default())));
    }
    let additions = additions.iter().enumerate().zip(reached).rev();
    // Each variable is put in front of those before it, so the last one stands first.
    for ((index, owner), _) in additions.filter(|(_, is_reached)| **is_reached) {
        for variable in owner.injection.env.iter().rev() {
            let is_fetched = matches!(variable.value, EnvValue::Fetched { .. });
            let file = files.env_file(index).filter(|_| is_fetched);
            let last = all.ordered.len();
            let position = *all.positions.entry(&*variable.name).or_insert(last);
            let Some(known) = all.ordered.get_mut(position) else {
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
            // Requests stand before defaults: what one of them needs does not yield.
            if known.owner.request.is_default() {
                known.owner = owner;
            }
        }
    }
    Ok(all)
}

/// Makes the error for two values of one variable: of two requests, or of one that names a variable which it needs for
/// something else.
fn clash(variable: &str, first: &Addition<'_>, second: &Addition<'_>) -> PodError {
    if std::ptr::eq(first, second) {
        let message = format!(
            "{first} names {variable:?} as its further variable, which Flyte's clients need for something else"
        );
        PodError::about(&[first], message)
    } else {
        let message = format!(
            "{first} and {second} both need the variable {variable:?} in one container; give one of them another name"
        );
        PodError::clash(&[first, second], message)
    }
}

/// Adds `variables` to the container's own.
fn merge(
    container: &mut Node<'_>,
    container_name: &str,
    variables: &Variables<'_>,
    work: &mut Work<'_>,
) -> Result<(), PodError> {
    if let Some((env, own)) = container.closed_items("env")
        && !variables.may_be_in(own)
    {
        let own = (!own.is_empty()).then_some(Node::Items(own)).into_iter();
        let added = variables.ordered.iter().map(|added| added.node.clone());
        *env = Node::List(match variables.are_in_front() {
            true => added.chain(own).collect(),
            false => own.chain(added).collect(),
        });
        return Ok(());
    }
    container.open("env", ENV);
    let env = container.list_mut("env")?;
    // The container's own that have the name of one of ours: where they stand, and whether they are the same.
    let mut there = vec![false; variables.ordered.len()];
    let mut moves = variables.are_in_front();
    for own in env.iter() {
        let Some((position, added)) = variables.of(own) else {
            moves |= refers(own, variables);
            continue;
        };
        let is_same = same(&own.to_value(), &added.node.to_value());
        let is_there = there
            .get_mut(position)
            .is_some_and(|there| std::mem::replace(there, true));
        let stays = is_same || added.stays();
        // One that is ours refers to nothing, although its value may have escapes.
        moves |= is_there || !stays || (!is_same && refers(own, variables));
        if !is_same {
            warn_of_own(container_name, added, stays, work)?;
        }
    }
    if moves {
        put_in_front(env, variables);
    } else {
        let missing = variables.ordered.iter().zip(there).filter(|(_, there)| !there);
        env.extend(missing.map(|(added, _)| added.node.clone()));
    }
    Ok(())
}

/// Puts `variables` in front of the container's own, of which those go that have the name of one of them.
fn put_in_front<'a>(env: &mut Vec<Node<'a>>, variables: &Variables<'_>) {
    let mut merged: Vec<Node<'a>> = variables.ordered.iter().map(|added| added.node.clone()).collect();
    merged.reserve(env.len());
    for own in env.drain(..) {
        let Some((position, added)) = variables.of(&own) else {
            merged.push(own);
            continue;
        };
        if let Some(place) = merged.get_mut(position)
            && (added.stays() || same(&own.to_value(), &added.node.to_value()))
        {
            *place = own;
        }
    }
    *env = merged;
}

/// Warns of a variable of the container's own, or notes that a default yields to it.
fn warn_of_own(container: &str, added: &Variable<'_>, stays: bool, work: &mut Work<'_>) -> Result<(), PodError> {
    let (name, owner) = (&added.variable.name, added.owner);
    let warning = if stays {
        format!(
            "the container {container:?} sets the variable {name:?} itself, which stays: Flyte's clients look there for the \
             secrets that the policy gives by default, too"
        )
    } else if owner.request.is_default() {
        let message = format!(
            "the container {container:?} sets the variable {name:?} itself, which {owner} needs for something else"
        );
        return work.yield_to(PodError {
            container: Some(container.to_owned()),
            ..PodError::clash(&[owner], message)
        });
    } else {
        format!(
            "the container {container:?} sets the variable {name:?} itself; the secret that the Pod asks for replaces it"
        )
    };
    work.warnings.push(warning);
    Ok(())
}

/// Warns where a container takes variables from sources that nobody looks into, in which one may be called as a default's: the
/// default's counts then.
fn warn_of_sources(
    container: &mut Node<'_>,
    container_name: &str,
    variables: &Variables<'_>,
    work: &mut Work<'_>,
) -> Result<(), PodError> {
    let is_default = |added: &&Variable<'_>| added.owner.request.is_default() && !added.stays();
    if !variables.ordered.iter().any(|added| is_default(&added)) {
        return Ok(());
    }
    let own = container.get("envFrom").map(Node::to_value).unwrap_or_default();
    let own = own.as_array().into_iter().flatten();
    let asked_for = variables.sources.iter().filter(|(_, is_default)| !is_default);
    let prefixes: Vec<&str> = own
        .map(|source| text_in(source, "prefix"))
        .chain(asked_for.map(|(source, _)| source.prefix.as_str()))
        .collect();
    if prefixes.is_empty() {
        return Ok(());
    }
    container.open("env", ENV);
    let env = container.items("env");
    work.budget
        .compare(variables.ordered.len(), prefixes.len().saturating_add(env.len()))?;
    for added in variables.ordered.iter().filter(is_default) {
        let name = &*added.variable.name;
        let may_be_there = prefixes.iter().any(|prefix| name.starts_with(prefix));
        if may_be_there && !env.iter().any(|own| own.text("name") == Some(name)) {
            work.warnings.push(format!(
                "the container {container_name:?} takes variables from envFrom: where one of them is called {name:?}, the secret that \
                 the policy gives by default counts in its place; set it in env, to which the default yields"
            ));
        }
    }
    Ok(())
}

/// What the names of variables begin with that tell Flyte's clients where secrets are, and hold none.
const FOR_CLIENTS: &str = "FLYTE_SECRETS_";

impl Variable<'_> {
    /// Returns whether the container's own stays, whatever its value: where only defaults need it, to tell Flyte's clients
    /// where secrets are.
    fn stays(&self) -> bool {
        self.owner.request.is_default() && self.variable.name.starts_with(FOR_CLIENTS)
    }
}

/// How many bytes of a variable's name are looked for in the container's own: so many that those with the usual prefix,
/// `_UNION_`, begin alike.
const HEAD: usize = 7;

/// How many beginnings are looked for. Where there are more, opening the container's own is cheaper.
const MAX_HEADS: usize = 4;

impl Variables<'_> {
    /// Returns whether one of them may refer to others, so that all stand in front.
    fn are_in_front(&self) -> bool {
        let mut values = self.ordered.iter().map(|added| &added.variable.value);
        values.any(|value| matches!(value, EnvValue::Template(_)))
    }

    /// Returns whether one of their names may be in `own`, the JSON of the container's own.
    fn may_be_in(&self, own: &str) -> bool {
        // Other escapes than \u hold nothing that a name can have.
        if memchr::memchr_iter(b'\\', own.as_bytes()).any(|place| own.as_bytes().get(place + 1) == Some(&b'u')) {
            return true;
        }
        let mut known = None;
        // Names that begin alike follow each other.
        let heads = self.positions.keys().map(|name| name.get(..HEAD).unwrap_or(name));
        let mut heads = heads.filter(|head| known.replace(*head) != Some(*head));
        heads.by_ref().take(MAX_HEADS).any(|head| own.contains(head)) || heads.next().is_some()
    }

    /// Returns the variable that has the name of the container's own `own`, and its position.
    fn of(&self, own: &Node<'_>) -> Option<(usize, &Variable<'_>)> {
        let position = *own.text("name").and_then(|name| self.positions.get(name))?;
        self.ordered.get(position).map(|added| (position, added))
    }
}

/// Returns whether the container's own variable `own` may refer to one of `variables` as `$(NAME)`. An escape in its JSON may
/// hide such a reference, which is as good as one.
fn refers(own: &Node<'_>, variables: &Variables<'_>) -> bool {
    let Some(Node::Closed(value)) = own.get("value") else {
        return false;
    };
    let text = value.get();
    // Looking for one character is cheap, and most values have neither.
    memchr::memchr2_iter(b'$', b'\\', text.as_bytes()).any(|place| {
        let rest = text.get(place..).unwrap_or_default();
        let referred = rest.strip_prefix("$(").and_then(|rest| rest.split_once(')'));
        rest.starts_with("\\u") || referred.is_some_and(|(name, _)| variables.positions.contains_key(name))
    })
}

/// Adds a Secret of which each key is a variable, behind the container's own: of two variables of one name, the last counts.
/// Hence a default stands in front.
fn add_source(
    container: &mut Node<'_>,
    source: &EnvFrom,
    is_default: bool,
    budget: &mut Budget,
) -> Result<(), PodError> {
    let optional = source.optional.then_some(("optional", true.into()));
    let secret = [("name", source.secret.as_str().into())].into_iter().chain(optional);
    let prefix = (!source.prefix.is_empty()).then_some(("prefix", source.prefix.as_str().into()));
    let ours = tree([("secretRef", tree(secret))].into_iter().chain(prefix));
    container.open("envFrom", Shape::ListOf(&Shape::Closed));
    let sources = container.list_mut("envFrom")?;
    budget.spend(source.prefix.len() + source.secret.len())?;
    budget.compare(1, sources.len())?;
    if !sources.iter().any(|own| same(&own.to_value(), &ours)) {
        let place = if is_default { 0 } else { sources.len() };
        sources.insert(place, Node::made(&ours));
    }
    Ok(())
}
