//! The fields of the Kubernetes objects that an operator may write into a template, and their types.
//!
//! The generated types of `k8s-openapi` would tell the same, but reading JSON into them doubles the module's size. The
//! table `schema/types.txt` is checked against them by the tests of this module: field by field, in both directions.

use serde_json::{Map, Value};

use crate::json::fields::SettingsError;
use crate::quantity::of_value as amount;

/// The types, each as `Name { field:Type … }`. A `!` marks a field that has to be there; `[]` stands for a list, `{}`
/// for a map. The primitive types are `Text`, `Integer`, `Boolean`, `Quantity`, `IntOrText` and `Any`; `A|B` is the text
/// `A` or `B`.
const TYPES: &str = include_str!("schema/types.txt");

/// Checks `value` against the type `name` of the
/// [Pod API](https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/).
///
/// # Errors
/// The first field that the type does not know, that has another type, or that is missing.
pub(crate) fn check(value: &Value, name: &str) -> Result<(), SettingsError> {
    // As in the API server, null is an absent field.
    if value.is_null() {
        return Ok(());
    }
    if let Some(item) = name.strip_prefix("[]") {
        let Value::Array(items) = value else {
            return Err(SettingsError::new("", "has to be a list"));
        };
        for (index, value) in items.iter().enumerate() {
            check(value, item).map_err(|error| error.below(&format!("[{index}]")))?;
        }
        return Ok(());
    }
    if let Some(item) = name.strip_prefix("{}") {
        for (key, value) in object(value)? {
            check(value, item).map_err(|error| error.below(key))?;
        }
        return Ok(());
    }
    let (fits, expected) = match name {
        "Any" => (true, ""),
        "Text" => (value.is_string(), "a string: quote it"),
        "Integer" => (value.is_i64(), "an integer"),
        "Boolean" => (value.is_boolean(), "true or false"),
        "IntOrText" => (value.is_i64() || value.is_string(), "an integer or a string"),
        "Quantity" => return check_amount(value),
        choices if choices.contains('|') => (
            value
                .as_str()
                .is_some_and(|text| choices.split('|').any(|choice| choice == text)),
            choices.trim_start_matches('|'),
        ),
        _ => return check_object(value, name),
    };
    if fits {
        Ok(())
    } else {
        Err(SettingsError::new("", &format!("has to be {expected}")))
    }
}

fn check_object(value: &Value, name: &str) -> Result<(), SettingsError> {
    let given = object(value)?;
    for (field, value) in given {
        let Some((_, kind, _)) = fields(name).find(|(known, _, _)| known == field) else {
            let known = fields(name).map(|(known, _, _)| known).collect::<Vec<_>>().join(", ");
            let problem = format!("is not a field of Kubernetes' {name}; it has {known}");
            return Err(SettingsError::new(field, &problem));
        };
        check(value, kind).map_err(|error| error.below(field))?;
    }
    let missing = fields(name).find(|(field, _, needed)| *needed && given.get(*field).is_none_or(Value::is_null));
    match missing {
        Some((field, _, _)) => Err(SettingsError::new(field, "is missing")),
        None if name == "ResourceRequirements" => check_resources(given),
        None => Ok(()),
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>, SettingsError> {
    let object = value.as_object();
    object.ok_or_else(|| SettingsError::new("", "has to be an object (a YAML mapping)"))
}

/// The fields of the type `name`: each with its type, and whether it has to be there.
fn fields(name: &str) -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let mut rest = TYPES;
    // A type begins a line. Templates are looked up for each request, and passing over a line takes less than its words.
    let body = loop {
        if let Some(body) = rest.strip_prefix(name).and_then(|rest| rest.strip_prefix(" {")) {
            break body;
        }
        match rest.split_once('\n') {
            Some((_, next)) => rest = next,
            None => break "",
        }
    };
    let words = body.split_ascii_whitespace();
    words.take_while(|word| *word != "}").filter_map(|word| {
        let (field, kind) = word.split_once(':')?;
        Some(match field.strip_suffix('!') {
            Some(field) => (field, kind, true),
            None => (field, kind, false),
        })
    })
}

/// Checks that an amount is one, and not below zero, which Kubernetes takes nowhere in a Pod.
fn check_amount(value: &Value) -> Result<(), SettingsError> {
    let problem = match amount(value) {
        None => "has to be an amount, such as 100m or 64Mi",
        Some(amount) if amount < 0 => "is below zero: give an amount such as 100m or 64Mi",
        Some(_) => return Ok(()),
    };
    Err(SettingsError::new("", problem))
}

/// Checks what the API server does: a container has the resources that Kubernetes knows, and asks for no more than its
/// limits.
fn check_resources(given: &Map<String, Value>) -> Result<(), SettingsError> {
    let amounts = |list: &str| given.get(list).and_then(Value::as_object);
    let is_shared = |name: &str| matches!(name, "cpu" | "memory" | "ephemeral-storage");
    for list in ["limits", "requests"] {
        let known = |name: &str| is_shared(name) || name.starts_with("hugepages-") || name.contains('/');
        if let Some(name) = amounts(list).into_iter().flat_map(Map::keys).find(|name| !known(name)) {
            let problem = "is no resource of a container: there are cpu, memory, ephemeral-storage, hugepages-SIZE and \
                           those of vendors with a '/'";
            return Err(SettingsError::new("", problem).below(name).below(list));
        }
    }
    for (name, request) in amounts("requests").into_iter().flatten() {
        let limit = amounts("limits")
            .and_then(|limits| limits.get(name))
            .filter(|limit| !limit.is_null());
        let problem = match limit {
            Some(limit) if amount(request) > amount(limit) && is_shared(name) => {
                format!("is above limits.{name}: ask for {limit} at most, or raise the limit")
            }
            limit if !is_shared(name) && limit.map(amount) != Some(amount(request)) => {
                format!("needs the same amount in limits.{name}: this resource is not shared")
            }
            _ => continue,
        };
        return Err(SettingsError::new("", &problem).below(name).below("requests"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, EnvVar, Volume, VolumeMount};
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Map, json};

    use super::*;

    fn is_primitive(kind: &str) -> bool {
        ["Text", "Integer", "Boolean", "Quantity", "IntOrText", "Any"].contains(&kind) || kind.contains('|')
    }

    /// A value of the type, with every field of every type below it.
    fn full(kind: &str) -> Value {
        if let Some(item) = kind.strip_prefix("[]") {
            return json!([full(item)]);
        }
        if let Some(item) = kind.strip_prefix("{}") {
            return json!({"a/a": full(item)});
        }
        match kind {
            "Text" | "IntOrText" => json!("a"),
            "Integer" => json!(1),
            "Boolean" => json!(true),
            "Quantity" => json!("1"),
            "Any" => json!({}),
            choices if choices.contains('|') => json!(choices.split('|').next_back()),
            name => fields(name)
                .map(|(field, kind, _)| (field.to_owned(), full(kind)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// What `k8s-openapi` makes of the JSON: without the fields that it does not know, with those that it needs.
    fn through<T: DeserializeOwned + Serialize>(value: &Value) -> Result<Value, serde_json::Error> {
        serde_json::from_value::<T>(value.clone()).and_then(serde_json::to_value)
    }

    /// The names of the fields that a type of `k8s-openapi` asks its deserializer for, type by type.
    mod names {
        use std::cell::RefCell;
        use std::collections::BTreeMap;

        use serde::de::value::{Error, StrDeserializer};
        use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
        use serde::forward_to_deserialize_any;

        /// Notes what `T` and all types below it ask for.
        pub(super) fn read<T: serde::de::DeserializeOwned>(found: &Found) {
            T::deserialize(Asked(found)).map(drop).unwrap();
        }

        pub(super) type Found = RefCell<BTreeMap<String, Vec<&'static str>>>;

        #[derive(Clone, Copy)]
        pub(super) struct Asked<'f>(pub &'f Found);

        impl<'de> Deserializer<'de> for Asked<'_> {
            type Error = Error;

            fn deserialize_struct<V: Visitor<'de>>(
                self,
                name: &'static str,
                fields: &'static [&'static str],
                visitor: V,
            ) -> Result<V::Value, Error> {
                let again = self.0.borrow_mut().insert(name.to_owned(), fields.to_vec()).is_some();
                visitor.visit_map(Items(self, if again { [].iter() } else { fields.iter() }))
            }

            fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_str("1")
            }
            fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_bool(true)
            }
            fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_i32(1)
            }
            fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_i64(1)
            }
            fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_some(self)
            }
            fn deserialize_newtype_struct<V: Visitor<'de>>(
                self,
                name: &'static str,
                visitor: V,
            ) -> Result<V::Value, Error> {
                match name {
                    "Time" => visitor.visit_newtype_struct("2026-01-01T00:00:00Z".into_deserializer()),
                    _ => visitor.visit_newtype_struct(self),
                }
            }
            fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_seq(Items(self, ["item"].iter()))
            }
            fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                visitor.visit_map(Items(self, ["key"].iter()))
            }
            forward_to_deserialize_any! {
                i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
                tuple_struct enum identifier ignored_any
            }
        }

        struct Items<'f>(Asked<'f>, std::slice::Iter<'static, &'static str>);

        impl<'de> MapAccess<'de> for Items<'_> {
            type Error = Error;

            fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
                let key = self.1.next().map(|name| StrDeserializer::<Error>::new(name));
                key.map(|key| seed.deserialize(key)).transpose()
            }
            fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
                seed.deserialize(self.0)
            }
        }

        impl<'de> SeqAccess<'de> for Items<'_> {
            type Error = Error;

            fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
                self.1.next().map(|_| seed.deserialize(self.0)).transpose()
            }
        }
    }

    #[test]
    fn the_table_has_the_fields_of_kubernetes_and_no_others() {
        let found = names::Found::default();
        for ask in [
            |found: &names::Found| names::read::<Container>(found),
            |found: &names::Found| names::read::<Volume>(found),
        ] {
            ask(&found);
        }
        let mut theirs = found.into_inner();
        assert!(theirs.len() > 60, "only {} types were found", theirs.len());
        // Metadata is not looked into.
        for name in ["ObjectMeta", "OwnerReference", "ManagedFieldsEntry"] {
            theirs.remove(name);
        }
        let mut ours: Vec<&str> = TYPES
            .split(" }")
            .filter_map(|text| text.split_ascii_whitespace().next())
            .collect();
        ours.sort_unstable();
        assert_eq!(ours, theirs.keys().collect::<Vec<_>>());
        for (name, mut expected) in theirs {
            let mut found: Vec<_> = fields(&name).map(|(field, _, _)| field).collect();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn the_table_has_the_types_of_kubernetes() {
        for (name, through) in [
            ("Container", through::<Container> as fn(&Value) -> _),
            ("EnvVar", through::<EnvVar>),
            ("Volume", through::<Volume>),
            ("VolumeMount", through::<VolumeMount>),
        ] {
            let value = full(name);
            assert_eq!(through(&value).unwrap(), value, "{name}");
            assert_eq!(check(&value, name), Ok(()));
            each_place(name, &mut Vec::new(), &mut |path, kind| {
                let described = format!("{name} {path:?} {kind}");
                // A value of another type is refused there by both.
                if kind != "Any" {
                    let wrong = if matches!(kind, "Text" | "IntOrText" | "Quantity") || kind.contains('|') {
                        json!([])
                    } else {
                        json!("a")
                    };
                    let value = place(path, wrong);
                    assert!(through(&value).is_err(), "{described}");
                    assert!(check(&value, name).is_err(), "{described}");
                }
                // An integer is no string, and the other way round, except where the table says so.
                let value = place(path, json!(1));
                let takes_integers = matches!(kind, "Integer" | "IntOrText");
                if is_primitive(kind) && !matches!(kind, "Any" | "Quantity") {
                    assert_eq!(through(&value).is_ok(), takes_integers, "{described}");
                }
                // Of an empty object, Kubernetes writes just the fields that it needs.
                if !is_primitive(kind) && !kind.starts_with(['[', '{']) {
                    let written = through(&place(path, json!({}))).unwrap();
                    let mut written = at(&written, path).as_object().unwrap().keys().collect::<Vec<_>>();
                    written.sort_unstable();
                    let mut needed: Vec<_> = fields(kind).filter(|field| field.2).map(|field| field.0).collect();
                    needed.sort_unstable();
                    assert_eq!(written, needed, "{described}");
                }
            });
        }
    }

    /// Calls `see` for each place below the type `name`, and its type.
    fn each_place(name: &str, path: &mut Vec<&'static str>, see: &mut dyn FnMut(&[&'static str], &'static str)) {
        for (field, kind, _) in fields(name) {
            path.push(field);
            see(path, kind);
            let mut inner = kind;
            let mut steps = 0;
            while let Some(item) = inner.strip_prefix("[]").or_else(|| inner.strip_prefix("{}")) {
                path.push(if inner.starts_with('[') { "[]" } else { "{}" });
                inner = item;
                steps += 1;
                see(path, inner);
            }
            if !is_primitive(inner) {
                each_place(inner, path, see);
            }
            path.truncate(path.len() - steps - 1);
        }
    }

    /// An object with `value` at `path`.
    fn place(path: &[&str], value: Value) -> Value {
        path.iter().rev().fold(value, |value, step| match *step {
            "[]" => json!([value]),
            "{}" => json!({"a": value}),
            field => json!({field: value}),
        })
    }

    fn at<'v>(value: &'v Value, path: &[&str]) -> &'v Value {
        path.iter().fold(value, |value, step| match *step {
            "[]" => &value[0],
            "{}" => &value["a"],
            field => &value[field],
        })
    }

    #[test]
    fn mistakes_name_their_place() {
        for (kind, value, expected) in [
            (
                "EnvVar",
                json!({"name": "A", "valueFrom": {"secretKeyRef": {"nmae": "x", "key": "y"}}}),
                "valueFrom.secretKeyRef.nmae is not a field of Kubernetes' SecretKeySelector; it has key, name, optional",
            ),
            ("EnvVar", json!({"value": "x"}), "name is missing"),
            (
                "EnvVar",
                json!({"name": "A", "value": 5}),
                "value has to be a string: quote it",
            ),
            (
                "Volume",
                json!({"name": "a", "secret": {"items": [{"key": "k", "path": "p"}, {"key": "k"}]}}),
                "secret.items[1].path is missing",
            ),
            (
                "Volume",
                json!({"name": "a", "emptyDir": {"sizeLimit": "10 MB"}}),
                "emptyDir.sizeLimit has to be an amount, such as 100m or 64Mi",
            ),
            (
                "Container",
                json!({"name": "a", "imagePullPolicy": "Sometimes"}),
                "imagePullPolicy has to be Always|IfNotPresent|Never",
            ),
            ("VolumeMount", json!([]), " has to be an object (a YAML mapping)"),
        ] {
            let error = check(&value, kind).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn resources_that_no_container_can_have() {
        for (value, expected) in [
            (json!({"limits": {"cpu": "1"}, "requests": {"cpu": "1000m"}}), None),
            (
                json!({"limits": {"cpu": 1}, "requests": {"cpu": 0.5, "memory": "1Gi"}}),
                None,
            ),
            (json!({"limits": {"cpu": null}, "requests": {"cpu": "1"}}), None),
            (json!({"limits": {"nvidia.com/gpu": 1, "hugepages-2Mi": "4Mi"}}), None),
            (
                json!({"limits": {"memory": "1000Mi"}, "requests": {"memory": "1Gi"}}),
                Some("requests.memory is above limits.memory: ask for \"1000Mi\" at most, or raise the limit"),
            ),
            (
                json!({"requests": {"cpu": "-100m"}}),
                Some("requests.cpu is below zero: give an amount such as 100m or 64Mi"),
            ),
            (
                json!({"limits": {"cpu": -1}}),
                Some("limits.cpu is below zero: give an amount such as 100m or 64Mi"),
            ),
            (
                json!({"limits": {"memroy": "1Gi"}}),
                Some(
                    "limits.memroy is no resource of a container: there are cpu, memory, ephemeral-storage, \
                     hugepages-SIZE and those of vendors with a '/'",
                ),
            ),
        ] {
            let error = check(&value, "ResourceRequirements").err();
            let found = error.map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
    }
}
