//! The Kubernetes objects, annotations and labels in a template's settings.

use serde_json::Value;

use crate::json::fields::{Fields, SettingsError};
use crate::json::{items_in, text_in, tree};
use crate::managers::placeholders::{Values, expand, expand_all};
use crate::names;
use crate::options;
use crate::schema;

/// The lists of Kubernetes objects: the setting, and the type of its items.
pub(super) const ENV: (&str, &str) = ("env", "EnvVar");
pub(super) const VOLUMES: (&str, &str) = ("volumes", "Volume");
pub(super) const MOUNTS: (&str, &str) = ("volumeMounts", "VolumeMount");
pub(super) const INIT_CONTAINERS: (&str, &str) = ("initContainers", "Container");

pub(super) fn label_problem(key: &str, value: &str) -> Option<&'static str> {
    if !names::is_metadata_key(key) {
        Some("key of a label")
    } else if names::is_label_value(value) {
        None
    } else {
        Some("value of a label")
    }
}

/// Reads a map of texts. `problem` says what is not valid of an expanded pair.
pub(super) fn texts(
    fields: &mut Fields<'_>,
    name: &'static str,
    sample: &Values,
    problem: impl Fn(&str, &str) -> Option<&'static str>,
) -> Result<Vec<(String, String)>, SettingsError> {
    let texts = fields.strings(name)?;
    if fields.is_checked() {
        return Ok(texts);
    }
    for (key, value) in &texts {
        let wrong = |problem: &str| fields.invalid(&format!("{name}[{key:?}]"), problem);
        let expanded_key = expand(key, sample).map_err(|problem| wrong(&problem))?;
        let expanded_value = expand(value, sample).map_err(|problem| wrong(&problem))?;
        if let Some(what) = problem(&expanded_key, &expanded_value) {
            return Err(wrong(&format!("has no valid {what}")));
        }
    }
    Ok(texts)
}

/// Reads a list of Kubernetes objects.
pub(super) fn objects(
    fields: &mut Fields<'_>,
    (name, kind): (&'static str, &'static str),
    sample: &Values,
) -> Result<Vec<Value>, SettingsError> {
    let items = match fields.take::<Value>(name)? {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) if fields.is_checked() => return Ok(items),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(fields.invalid(name, "is not a list")),
    };
    let unique = if name == MOUNTS.0 { "mountPath" } else { "name" };
    let mut known: Vec<String> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = format!("{name}[{index}]");
        let expanded = expand_item(item, name, sample).map_err(|problem| fields.invalid(&place, &problem))?;
        check_item(&expanded, (name, kind)).map_err(|error| error.below(&place).below(fields.place()))?;
        let own = text_in(&expanded, unique).to_owned();
        if known.contains(&own) {
            return Err(fields.invalid(
                &format!("{place}.{unique}"),
                &format!("is {own:?}, as that of another item"),
            ));
        }
        known.push(own);
    }
    Ok(items)
}

/// Expands an item of a list for the first time. `{envVar}` is a placeholder in the name of a variable alone: the Pod's author
/// chooses it freely, so that elsewhere it would choose a secret past `access`.
fn expand_item(item: &Value, list: &str, sample: &Values) -> Result<Value, String> {
    let mut expanded = match item {
        Value::Object(fields) if list == ENV.0 => {
            let others = fields.iter().filter(|(field, _)| *field != "name");
            tree(others.map(|(field, value)| (field.as_str(), value.clone())))
        }
        other => return expand_all(other, sample),
    };
    expanded = expand_all(&expanded, sample)?;
    if let (Some(fields), Some(name)) = (expanded.as_object_mut(), item.get("name")) {
        let mut with_variable = sample.clone();
        with_variable.push(("envVar", "_UNION_GROUP_KEY".to_owned()));
        fields.insert("name".to_owned(), expand_all(name, &with_variable)?);
    }
    Ok(expanded)
}

/// Collects all strings in `value`.
pub(super) fn strings<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| strings(field, found)),
        _ => {}
    }
}

/// Checks that an expanded item is valid for its type, its names included.
pub(super) fn check_item(item: &Value, (name, kind): (&str, &str)) -> Result<(), SettingsError> {
    schema::check(item, kind)?;
    if name == ENV.0 {
        return check_variable(item);
    }
    let own_name = text_in(item, "name");
    if !names::is_dns_label(own_name) {
        return wrong(
            "name",
            &format!("is {own_name:?}; it has to be at most 63 lower case letters, digits and '-'; {{id}} is unique"),
        );
    }
    if name == VOLUMES.0 && given(item) != 2 {
        return wrong("", "has to have its name and one source, such as emptyDir");
    }
    if name == MOUNTS.0 {
        return check_mount(item);
    }
    if name == INIT_CONTAINERS.0 {
        return check_container(item);
    }
    Ok(())
}

/// Checks a variable whose fields have the types that Kubernetes wants.
pub(super) fn check_variable(item: &Value) -> Result<(), SettingsError> {
    let name = text_in(item, "name");
    if !names::is_variable(name) {
        return wrong(
            "name",
            &format!("is {name:?}, which is not a valid environment variable name"),
        );
    }
    let Some(source) = item.get("valueFrom").filter(|source| source.is_object()) else {
        return Ok(());
    };
    if !text_in(item, "value").is_empty() {
        return wrong("valueFrom", "stands beside value: leave one of them out");
    }
    if given(source) != 1 {
        return wrong("valueFrom", "has to have one source, such as secretKeyRef");
    }
    Ok(())
}

fn check_mount(item: &Value) -> Result<(), SettingsError> {
    let path = text_in(item, "mountPath");
    if path.is_empty() || path.contains(':') {
        return wrong("mountPath", "has to be a path without ':'");
    }
    if options::is_over_token(path) {
        let problem = "would lie in the way of the service account's token: choose another directory";
        return wrong("mountPath", problem);
    }
    for field in ["subPath", "subPathExpr"] {
        let path = text_in(item, field);
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return wrong(field, "has to be a path below the volume, without '..'");
        }
    }
    Ok(())
}

fn check_container(item: &Value) -> Result<(), SettingsError> {
    if text_in(item, "image").trim().is_empty() {
        return wrong("image", "is missing");
    }
    for list in [ENV, MOUNTS] {
        for (index, inner) in items_in(item, list.0).enumerate() {
            check_item(inner, list).map_err(|error| error.below(&format!("{}[{index}]", list.0)))?;
        }
    }
    Ok(())
}

fn wrong(place: &str, problem: &str) -> Result<(), SettingsError> {
    Err(SettingsError::new(place, problem))
}

/// Returns how many fields of an object are given.
fn given(object: &Value) -> usize {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(_, value)| !value.is_null()).count()
}
