//! Sections of Flyte's configuration over Flyte's defaults.

use serde_json::{Map, Value};

use super::FlyteConfigError;

/// Fields over their defaults, and what was found on the way.
#[derive(Default)]
pub(super) struct Fields {
    /// The fields of the sections that are given, spelled as Flyte spells them.
    pub(super) given: Vec<(String, Value)>,
    /// The fields that Flyte does not know, with their places.
    pub(super) unknown: Vec<String>,
    /// The first value that Flyte could not read.
    pub(super) wrong: Option<FlyteConfigError>,
}

impl Fields {
    pub(super) fn over_defaults(
        &mut self,
        defaults: Map<String, Value>,
        given: &Map<String, Value>,
        place: &str,
    ) -> Map<String, Value> {
        let mut merged = defaults;
        for (field, value) in given {
            let known = merged.keys().find(|known| known.eq_ignore_ascii_case(field)).cloned();
            let Some(known) = known else {
                self.unknown.push(format!("{place}.{field}"));
                continue;
            };
            self.given.push((format!("{place}.{known}"), value.clone()));
            self.merge(&mut merged[&known], value, &format!("{place}.{known}"));
        }
        merged
    }

    fn merge(&mut self, default: &mut Value, given: &Value, place: &str) {
        match (default, given) {
            (_, Value::Null) => {}
            // Kubernetes' own types have fields that the defaults do not show.
            (Value::Object(defaults), Value::Object(fields))
                if !place.ends_with(".resources") && !place.ends_with(".labelSelector") =>
            {
                for (field, value) in fields {
                    let known = defaults.keys().find(|known| known.eq_ignore_ascii_case(field)).cloned();
                    let place = format!("{place}.{}", known.as_ref().unwrap_or(field));
                    match known {
                        Some(known) => self.merge(&mut defaults[&known], value, &place),
                        None => self.unknown.push(place),
                    }
                }
            }
            (default, given) => {
                let wanted = match (&*default, given) {
                    (Value::Object(_), given) if !given.is_object() => Some("a mapping"),
                    (Value::String(_), Value::Array(_) | Value::Object(_)) => Some("a text"),
                    (Value::Bool(_) | Value::Number(_), Value::Array(_) | Value::Object(_)) => Some("a single value"),
                    _ => None,
                };
                match wanted {
                    Some(wanted) => {
                        self.wrong.get_or_insert_with(|| FlyteConfigError::Value {
                            field: place.to_owned(),
                            found: given.clone(),
                            wanted,
                        });
                    }
                    None => *default = given.clone(),
                }
            }
        }
    }
}

pub(super) fn mapping(value: Value, place: &str) -> Result<Map<String, Value>, FlyteConfigError> {
    match value {
        Value::Object(fields) => Ok(fields),
        Value::Null => Ok(Map::new()),
        _ => Err(FlyteConfigError::NotAMapping(place.to_owned())),
    }
}

pub(super) fn take(fields: &mut Map<String, Value>, name: &str) -> Value {
    let key = fields.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
    key.and_then(|key| fields.remove(&key)).unwrap_or_default()
}
