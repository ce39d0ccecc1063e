//! What a template makes of a request.

use serde_json::{Map, Value};

use super::objects::{ENV, INIT_CONTAINERS, MOUNTS, VOLUMES, check_item, check_variable, label_problem};
use super::settings::Template;
use crate::injection::{Annotation, EnvValue, EnvVar, Injection};
use crate::json::fields::SettingsError;
use crate::json::{items_in, text_in};
use crate::managers::context::Context;
use crate::managers::manager::{NotServed, not_found};
use crate::managers::placeholders::{Values, expand, expand_all};
use crate::managers::{naming, variables};
use crate::requests::{MountRequirement, SecretRequest};

impl Template {
    /// The variables of a request: each entry once, and again for the request's `env_var` where its name tells. Their names are
    /// made of `names`, and what they hold of `values`.
    pub(super) fn variables(
        &self,
        request: &SecretRequest,
        context: &Context<'_>,
        (values, names): (&Values, &Values),
    ) -> Result<Vec<EnvVar>, NotServed> {
        let further = naming::extra_env_var(request)?;
        let flytes = naming::variable_name(context.options, &request.group, &request.key);
        // A path in a secret store makes no variable's name; then the request has to give one.
        let variables: Vec<String> = match (flytes, further) {
            (Ok(name), further) => std::iter::once(name).chain(further.map(str::to_owned)).collect(),
            (Err(_), Some(further)) => vec![further.to_owned()],
            (Err(NotServed { reason, .. }), None) => {
                return Err(not_found!("{reason}, or give the variable a name with env_var"));
            }
        };
        let mut env: Vec<EnvVar> = Vec::new();
        for variable in variables {
            let with_variable = |values: &Values| [values.as_slice(), &[("envVar", variable.clone())]].concat();
            let (values, names) = (with_variable(values), with_variable(names));
            for entry in self.env.iter().rev() {
                let Some((name, fields)) = made_variable(entry, (&values, &names), request)? else {
                    continue;
                };
                // The same entry again: its name does not hold {envVar}.
                if !env.iter().any(|known| known.name == name) {
                    env.push(EnvVar::new(name, EnvValue::Template(Value::Object(fields))));
                }
            }
        }
        if let Some(further) = further
            && !env.iter().any(|variable| variable.name == further)
        {
            return Err(not_found!(
                "the settings' env names its variables without {{envVar}}, so that none can be called {further:?}"
            ));
        }
        env.push(naming::prefix_variable(context.options));
        Ok(env)
    }

    /// Returns whether a request gets a file, and not a variable.
    pub(super) fn serves_file(&self, mount: MountRequirement) -> Result<bool, NotServed> {
        Ok(match mount {
            MountRequirement::Any => self.gives_files,
            MountRequirement::File if !self.gives_files => {
                return Err(not_found!(
                    "it gives variables only: its settings have neither path nor {{path}}"
                ));
            }
            MountRequirement::EnvVar if self.env.is_empty() => {
                return Err(not_found!("it gives files only: its settings have no env"));
            }
            MountRequirement::File => true,
            MountRequirement::EnvVar => false,
        })
    }

    pub(super) fn add_metadata(&self, values: &Values, injection: &mut Injection<'_>) -> Result<(), NotServed> {
        for (key, value) in &self.annotations {
            let key = expand(key, values).map_err(wrong_text)?;
            if !naming::is_annotation(&key) {
                return Err(not_found!("{key:?} cannot be the key of an annotation"));
            }
            if injection.annotations.iter().any(|other| other.key == key) {
                return Err(twice("annotations", &key));
            }
            injection.annotations.push(Annotation {
                key,
                value: expand(value, values).map_err(wrong_text)?,
                required: true,
            });
        }
        for (key, value) in &self.labels {
            let key = expand(key, values).map_err(wrong_text)?;
            let value = expand(value, values).map_err(wrong_text)?;
            if let Some(what) = label_problem(&key, &value) {
                return Err(not_found!("{key:?}: {value:?} has no valid {what}"));
            }
            if injection.labels.iter().any(|(other, _)| *other == key) {
                return Err(twice("labels", &key));
            }
            injection.labels.push((key, value));
        }
        Ok(())
    }

    pub(super) fn add_objects(
        &self,
        values: (&Values, &Values),
        injection: &mut Injection<'_>,
    ) -> Result<(), NotServed> {
        for (from, to, list) in [
            (&self.volumes, &mut injection.volumes, VOLUMES),
            (&self.mounts, &mut injection.mounts, MOUNTS),
            (&self.init_containers, &mut injection.init_containers, INIT_CONTAINERS),
        ] {
            for template in from {
                let item = expand_object(template, values).map_err(wrong_text)?;
                check_item(&item, list).map_err(|mistake| wrong_object(&mistake, list.1))?;
                if list == INIT_CONTAINERS {
                    variables::check_init_container(template, &item)?;
                }
                to.push(item);
            }
        }
        Ok(())
    }
}

/// Expands an object with `values`, which say where the secret is found. What it is called and where it appears is made of
/// `names`, in the mounts and variables of a container too.
#[inline(never)] // The module is smaller with it apart.
fn expand_object(object: &Value, (values, names): (&Values, &Values)) -> Result<Value, String> {
    let mut expanded = expand_all(object, values)?;
    for field in ["name", "mountPath"] {
        if let (Some(text), Some(made)) = (object.get(field), expanded.get_mut(field)) {
            *made = expand_all(text, names)?;
        }
    }
    for (list, _) in [MOUNTS, ENV] {
        let items = expanded.get_mut(list).and_then(Value::as_array_mut);
        for (item, made) in items_in(object, list).zip(items.into_iter().flatten()) {
            *made = expand_object(item, (values, names))?;
        }
    }
    Ok(expanded)
}

/// A variable's name, and the other fields of its object.
type Variable = (String, Map<String, Value>);

/// Returns what an entry of `env` is for a request.
fn made_variable(
    entry: &Value,
    values: (&Values, &Values),
    request: &SecretRequest,
) -> Result<Option<Variable>, NotServed> {
    let expanded = expand_object(entry, values).map_err(wrong_text)?;
    // Without a source there are texts alone, of which only the name cannot be any text.
    let checked = match expanded.get("valueFrom") {
        None => check_variable(&expanded),
        Some(_) => check_item(&expanded, ENV),
    };
    checked.map_err(|mistake| wrong_object(&mistake, "variable"))?;
    let Value::Object(mut fields) = expanded else {
        return Ok(None);
    };
    let Some(Value::String(name)) = fields.remove("name") else {
        return Ok(None);
    };
    variables::check_name(text_in(entry, "name"), &name, request)?;
    Ok(Some((name, fields)))
}

fn twice(what: &str, key: &str) -> NotServed {
    not_found!("with this request, two of the policy's {what} have the key {key:?}, and one would be lost")
}

fn wrong_object(error: &SettingsError, what: &str) -> NotServed {
    not_found!("its settings make no valid {what} of this request: {error}")
}

/// A text that was valid with the sample is not with this request: it has no such value.
pub(super) fn wrong_text(problem: String) -> NotServed {
    not_found!("a text of its settings {problem}")
}
