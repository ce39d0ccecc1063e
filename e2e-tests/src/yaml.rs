//! Reading YAML and JSON alike, and writing YAML whose fields stay in the order in which somebody wrote them.

use serde::Deserialize;
use serde_json::Value;

pub use serde_norway::Value as Yaml;

/// Why a text is neither YAML nor JSON.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It starts as JSON does, but isn't.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not YAML.
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
}

/// The documents of `text`, without the empty ones.
pub fn documents(text: &str) -> Result<Vec<Yaml>, YamlError> {
    // YAML readers take most of JSON, but not all of it: surrogate pairs in escapes are where they differ.
    if text.trim_start().starts_with('{') {
        return Ok(vec![serde_json::from_str(text)?]);
    }
    let mut documents = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let mut value = Yaml::deserialize(document)?;
        value.apply_merge()?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

/// `value` as JSON.
pub fn to_json(value: &Yaml) -> Result<Value, YamlError> {
    Ok(serde_json::to_value(value)?)
}

/// Fields that manifests have in front, in the order in which they have them.
const LEADING: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "name",
    "namespace",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "value",
];

/// `value` with its fields in the order of `model`, and the fields that `model` lacks behind them.
///
/// The elements of a list follow the element of the same `name`, or else of the same position.
pub fn ordered_like(value: &Value, model: Option<&Yaml>) -> Yaml {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| (position(key, model), leading(key), key.as_str()));
            keys.into_iter()
                .map(|key| {
                    let field = ordered_like(&fields[key], model.and_then(|m| m.get(key.as_str())));
                    (Yaml::String(key.clone()), field)
                })
                .collect::<serde_norway::Mapping>()
                .into()
        }
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, element)| ordered_like(element, counterpart(element, index, model)))
            .collect(),
        Value::Null => Yaml::Null,
        Value::Bool(truth) => Yaml::Bool(*truth),
        Value::String(text) => Yaml::String(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => integer.into(),
            (_, Some(integer)) => integer.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
    }
}

/// `value` as YAML text, its fields ordered like those of `model`.
pub fn to_text(value: &Value, model: Option<&Yaml>) -> Result<String, YamlError> {
    Ok(serde_norway::to_string(&ordered_like(value, model))?)
}

fn position(key: &str, model: Option<&Yaml>) -> usize {
    model
        .and_then(Yaml::as_mapping)
        .and_then(|fields| fields.keys().position(|known| known.as_str() == Some(key)))
        .unwrap_or(usize::MAX)
}

fn leading(key: &str) -> usize {
    LEADING.iter().position(|name| *name == key).unwrap_or(LEADING.len())
}

fn counterpart<'m>(element: &Value, index: usize, model: Option<&'m Yaml>) -> Option<&'m Yaml> {
    let elements = model?.as_sequence()?;
    match element.get("name").and_then(Value::as_str) {
        Some(name) => elements
            .iter()
            .find(|known| known.get("name").and_then(Yaml::as_str) == Some(name)),
        None => elements.get(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_keep_the_order_of_the_model() {
        let model = documents("spec:\n  b: 1\n  a: 2\n  list:\n  - {x: 1, name: two}\nkind: Pod\n").unwrap();
        let value = json!({
            "kind": "Pod", "new": true,
            "spec": {"a": 2, "b": 1, "list": [{"value": "v", "name": "one"}, {"name": "two", "x": 1}]},
        });
        assert_eq!(
            to_text(&value, model.first()).unwrap(),
            "spec:\n  b: 1\n  a: 2\n  list:\n  - name: one\n    value: v\n  - x: 1\n    name: two\nkind: Pod\nnew: true\n"
        );
    }

    #[test]
    fn json_with_surrogate_pairs_is_read() {
        let read = documents("{\"a\": \"\\ud83d\\ude00\"}").unwrap();
        assert_eq!(to_json(&read[0]).unwrap(), json!({"a": "😀"}));
    }
}
