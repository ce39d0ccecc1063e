//! The readable form of requests: the annotation `secret-injector/requests`.
//!
//! ```json
//! [
//!   {"group": "db", "key": "password", "mountRequirement": "ENV_VAR", "envVar": "PGPASSWORD"},
//!   {"group": "tls", "key": "ca.crt", "mountRequirement": "FILE", "containers": ["proxy"]}
//! ]
//! ```
//!
//! Each object is Flyte's message in [protobuf's JSON form](https://protobuf.dev/programming-guides/json/): a field may
//! be in `camelCase` or in `snake_case`, an enum by name or by number, and `null` is as good as nothing. `containers`
//! is ours: the names of the containers and init containers that get the secret; all when it is absent.
#![forbid(unsafe_code)]

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::json::without_position;
use crate::names::DNS_LABEL_LENGTH;

use super::excerpt::excerpt;
use super::model::{Containers, MAX_CONTAINERS, MAX_FIELD_LENGTH, MountRequirement, Origin, SecretRequest};

/// A value of the annotation that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("is not JSON: line {line}, column {column}: {reason}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The byte in the line, from 1.
        column: usize,
        /// What the parser says; it does not repeat the input.
        reason: String,
    },
    /// It is JSON, but no list.
    #[error(r#"must be a list of requests, such as [{{"group": "db", "key": "password"}}], not {0}"#)]
    NotAList(Kind),
    /// One item of the list is no request.
    #[error("item {}: {problem}", index.saturating_add(1))]
    Item {
        /// The place in the list, from 0; the message counts from 1.
        index: usize,
        /// What is wrong with it.
        problem: ItemProblem,
    },
}

impl JsonError {
    /// What belongs between the annotation's key and this message.
    pub(super) const fn separator(&self) -> &'static str {
        match self {
            Self::Item { .. } => ", ",
            Self::Syntax { .. } | Self::NotAList(_) => " ",
        }
    }
}

/// What can be wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ItemProblem {
    /// Not an object.
    #[error(r#"a request is an object, such as {{"group": "db", "key": "password"}}, not {0}"#)]
    NotAnObject(Kind),
    /// A field that no request has.
    #[error("there is no field {0}; the fields are group, groupVersion, key, mountRequirement, envVar and containers")]
    UnknownField(String),
    /// A field given twice, perhaps in both spellings.
    #[error("the field {0} is given twice (camelCase and snake_case are the same field)")]
    Repeated(&'static str),
    /// A value of the wrong type.
    #[error("the field {field} must be {expected}, not {found}")]
    WrongKind {
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: Kind,
    },
    /// A string that is too long.
    #[error("the field {0} is longer than {MAX_FIELD_LENGTH} bytes, the most that a request's field may have")]
    TooLong(&'static str),
    /// Not a value of `mountRequirement`.
    #[error("mountRequirement must be \"ANY\", \"ENV_VAR\" or \"FILE\" (or 0, 1 or 2), not {0}")]
    UnknownMount(String),
    /// An empty list of containers.
    #[error("containers is empty, so no container would get the secret; leave it out for all of them")]
    NoContainers,
    /// A list of containers that is too long.
    #[error("containers has more than {MAX_CONTAINERS} names; leave it out for all containers")]
    ManyContainers,
    /// A name in the list of containers that no container has.
    #[error(
        "containers has a name of more than {} bytes, which no container can have",
        DNS_LABEL_LENGTH
    )]
    LongContainerName,
    /// An empty name in the list of containers.
    #[error("containers has an empty name")]
    EmptyContainerName,
    /// Escapes that are no Unicode, such as half a surrogate pair.
    #[error("{0} has a \\u escape that is no character")]
    NotUnicode(&'static str),
}

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Kind {
    /// Nothing at all.
    #[error("empty")]
    Nothing,
    /// `null`
    #[error("null")]
    Null,
    /// `true` or `false`
    #[error("a boolean")]
    Boolean,
    /// A number
    #[error("a number")]
    Number,
    /// A string
    #[error("a string")]
    Text,
    /// An array
    #[error("a list")]
    List,
    /// An object
    #[error("an object")]
    Object,
}

impl Kind {
    /// The type of what `text` starts with, if that can be JSON.
    fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        Some(match text.bytes().next() {
            None => Self::Nothing,
            Some(b'n') => Self::Null,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'-' | b'0'..=b'9') => Self::Number,
            Some(b'"') => Self::Text,
            Some(b'[') => Self::List,
            Some(b'{') => Self::Object,
            Some(_) => return None,
        })
    }
}

/// Reads the value of the annotation. The requests are in the list's order.
///
/// # Errors
/// The value is not JSON, not a list, or one of its items is no request.
pub fn decode(text: &str) -> Result<Vec<SecretRequest>, JsonError> {
    if Kind::of(text) == Some(Kind::Nothing) {
        return Err(JsonError::NotAList(Kind::Nothing));
    }
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    match Kind::of(whole.get()) {
        Some(Kind::List) => {}
        other => return Err(JsonError::NotAList(other.unwrap_or(Kind::Nothing))),
    }
    let items: Vec<&RawValue> = serde_json::from_str(whole.get()).map_err(|error| syntax(&error))?;
    let request = |(index, item): (usize, &RawValue)| {
        decode_item(index, item.get()).map_err(|problem| JsonError::Item { index, problem })
    };
    items.into_iter().enumerate().map(request).collect()
}

fn syntax(error: &serde_json::Error) -> JsonError {
    let (line, column) = (error.line(), error.column());
    JsonError::Syntax {
        line,
        column,
        reason: without_position(error),
    }
}

fn decode_item(index: usize, text: &str) -> Result<SecretRequest, ItemProblem> {
    match Kind::of(text) {
        Some(Kind::Object) => {}
        other => return Err(ItemProblem::NotAnObject(other.unwrap_or(Kind::Nothing))),
    }
    let Members(members) = serde_json::from_str(text).map_err(|_| ItemProblem::NotUnicode("a field's name"))?;
    let mut seen = Vec::new();
    let mut request = SecretRequest {
        origin: Origin::Json { index },
        group: String::new(),
        group_version: String::new(),
        key: String::new(),
        mount: MountRequirement::Any,
        env_var: String::new(),
        containers: Containers::All,
    };
    for (name, value) in members {
        let field = field(&name).ok_or_else(|| ItemProblem::UnknownField(excerpt(&name)))?;
        if seen.contains(&field) {
            return Err(ItemProblem::Repeated(field));
        }
        seen.push(field);
        let value = value.get();
        if Kind::of(value) == Some(Kind::Null) {
            continue;
        }
        match field {
            "group" => request.group = string(field, value)?,
            "groupVersion" => request.group_version = string(field, value)?,
            "key" => request.key = string(field, value)?,
            "envVar" => request.env_var = string(field, value)?,
            "mountRequirement" => request.mount = mount_requirement(field, value)?,
            _ => request.containers = containers(value)?,
        }
    }
    Ok(request)
}

/// The field that is spelled so, in camel case.
fn field(name: &str) -> Option<&'static str> {
    Some(match name {
        "group" => "group",
        "groupVersion" | "group_version" => "groupVersion",
        "key" => "key",
        "mountRequirement" | "mount_requirement" => "mountRequirement",
        "envVar" | "env_var" => "envVar",
        CONTAINERS => CONTAINERS,
        _ => return None,
    })
}

const CONTAINERS: &str = "containers";

fn string(field: &'static str, value: &str) -> Result<String, ItemProblem> {
    match Kind::of(value) {
        Some(Kind::Text) => {
            let text: String = serde_json::from_str(value).map_err(|_| ItemProblem::NotUnicode(field))?;
            if text.len() > MAX_FIELD_LENGTH {
                return Err(ItemProblem::TooLong(field));
            }
            Ok(text)
        }
        other => Err(wrong_kind(field, "a string", other)),
    }
}

fn mount_requirement(field: &'static str, value: &str) -> Result<MountRequirement, ItemProblem> {
    match Kind::of(value) {
        Some(Kind::Text) => {
            let name = string(field, value)?;
            MountRequirement::from_name(&name)
                .ok_or_else(|| ItemProblem::UnknownMount(format!("\"{}\"", excerpt(&name))))
        }
        Some(Kind::Number) => {
            let number = value.parse().ok().and_then(MountRequirement::from_number);
            number.ok_or_else(|| ItemProblem::UnknownMount(excerpt(value)))
        }
        other => Err(wrong_kind(field, "a string or a number", other)),
    }
}

fn containers(value: &str) -> Result<Containers, ItemProblem> {
    match Kind::of(value) {
        Some(Kind::List) => {}
        other => return Err(wrong_kind(CONTAINERS, "a list of names", other)),
    }
    let items: Vec<&RawValue> = serde_json::from_str(value).map_err(|_| ItemProblem::NotUnicode(CONTAINERS))?;
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        if Kind::of(item.get()) != Some(Kind::Text) {
            return Err(wrong_kind(CONTAINERS, "a list of names", Kind::of(item.get())));
        }
        names.push(string(CONTAINERS, item.get())?);
    }
    if names.is_empty() {
        return Err(ItemProblem::NoContainers);
    }
    if names.len() > MAX_CONTAINERS {
        return Err(ItemProblem::ManyContainers);
    }
    if names.iter().any(|name| name.len() > DNS_LABEL_LENGTH) {
        return Err(ItemProblem::LongContainerName);
    }
    if names.iter().any(String::is_empty) {
        return Err(ItemProblem::EmptyContainerName);
    }
    Ok(Containers::named(names))
}

fn wrong_kind(field: &'static str, expected: &'static str, found: Option<Kind>) -> ItemProblem {
    ItemProblem::WrongKind {
        field,
        expected,
        found: found.unwrap_or(Kind::Nothing),
    }
}

/// An object's members as they stand, repeated ones too.
///
/// Values stay text until their field is known: serde's own messages about types would repeat them.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(index: usize) -> SecretRequest {
        SecretRequest {
            origin: Origin::Json { index },
            group: String::new(),
            group_version: String::new(),
            key: String::new(),
            mount: MountRequirement::Any,
            env_var: String::new(),
            containers: Containers::All,
        }
    }

    #[test]
    fn requests() {
        let full = SecretRequest {
            group: "g".to_owned(),
            group_version: "v".to_owned(),
            key: "k".to_owned(),
            mount: MountRequirement::File,
            env_var: "E".to_owned(),
            containers: Containers::Named(vec!["a".to_owned(), "b".to_owned()]),
            ..request(0)
        };
        let mounted = |mount| vec![SecretRequest { mount, ..request(0) }];
        let table = [
            ("[]", vec![]),
            (" \r\n[ ]\t", vec![]),
            ("[{}]", vec![request(0)]),
            ("[{},{ }]", vec![request(0), request(1)]),
            (
                r#"[{"group":"g","groupVersion":"v","key":"k","mountRequirement":"FILE","envVar":"E","containers":["b","a"]}]"#,
                vec![full.clone()],
            ),
            (
                r#"[ { "containers" : [ "b" , "a" , "b" ] , "env_var":"E","mount_requirement":2,"key":"\u006b","group_version":"v","gro\u0075p":"g"}]"#,
                vec![full],
            ),
            (
                r#"[{"group":null,"group_version":null,"key":null,"mountRequirement":null,"envVar":null,"containers":null}]"#,
                vec![request(0)],
            ),
            (r#"[{"mountRequirement":"ANY"}]"#, mounted(MountRequirement::Any)),
            (r#"[{"mountRequirement":"ENV_VAR"}]"#, mounted(MountRequirement::EnvVar)),
            (r#"[{"mountRequirement":0}]"#, mounted(MountRequirement::Any)),
            (r#"[{"mountRequirement":1}]"#, mounted(MountRequirement::EnvVar)),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn errors() {
        let fields = "the fields are group, groupVersion, key, mountRequirement, envVar and containers";
        let list = r#"must be a list of requests, such as [{"group": "db", "key": "password"}], not "#;
        let object = r#"item 1: a request is an object, such as {"group": "db", "key": "password"}, not "#;
        let mount = r#"item 1: mountRequirement must be "ANY", "ENV_VAR" or "FILE" (or 0, 1 or 2), not "#;
        let twice = "is given twice (camelCase and snake_case are the same field)";
        let table = [
            ("", format!("{list}empty")),
            (" \n", format!("{list}empty")),
            ("{}", format!("{list}an object")),
            ("null", format!("{list}null")),
            ("\"s\"", format!("{list}a string")),
            ("hello", "is not JSON: line 1, column 1: expected value".to_owned()),
            (
                "[\n{]",
                "is not JSON: line 2, column 2: key must be a string".to_owned(),
            ),
            (
                "[{}] x",
                "is not JSON: line 1, column 6: trailing characters".to_owned(),
            ),
            ("[{},]", "is not JSON: line 1, column 5: expected value".to_owned()),
            ("[nul]", "is not JSON: line 1, column 5: expected ident".to_owned()),
            ("[1]", format!("{object}a number")),
            ("[[\"g\",\"v\",\"k\"]]", format!("{object}a list")),
            ("[null]", format!("{object}null")),
            ("[true]", format!("{object}a boolean")),
            (
                r#"[{},{"name":1}]"#,
                format!("item 2: there is no field name; {fields}"),
            ),
            (r#"[{"GROUP":1}]"#, format!("item 1: there is no field GROUP; {fields}")),
            (
                r#"[{"a\u202e\n":1}]"#,
                format!(r"item 1: there is no field a\u{{202e}}\n; {fields}"),
            ),
            (r#"[{"key":"a","key":"a"}]"#, format!("item 1: the field key {twice}")),
            (
                r#"[{"envVar":"a","env_var":"a"}]"#,
                format!("item 1: the field envVar {twice}"),
            ),
            (
                r#"[{"envVar":null,"env_var":"a"}]"#,
                format!("item 1: the field envVar {twice}"),
            ),
            (
                r#"[{"key":1}]"#,
                "item 1: the field key must be a string, not a number".to_owned(),
            ),
            (
                r#"[{"group_version":1}]"#,
                "item 1: the field groupVersion must be a string, not a number".to_owned(),
            ),
            (r#"[{"mountRequirement":"file"}]"#, format!("{mount}\"file\"")),
            (r#"[{"mountRequirement":"1"}]"#, format!("{mount}\"1\"")),
            (r#"[{"mountRequirement":3}]"#, format!("{mount}3")),
            (r#"[{"mountRequirement":-1}]"#, format!("{mount}-1")),
            (r#"[{"mountRequirement":1.0}]"#, format!("{mount}1.0")),
            (
                r#"[{"mountRequirement":[]}]"#,
                "item 1: the field mountRequirement must be a string or a number, not a list".to_owned(),
            ),
            (
                r#"[{"containers":[]}]"#,
                "item 1: containers is empty, so no container would get the secret; leave it out for all of them"
                    .to_owned(),
            ),
            (
                r#"[{"containers":[""]}]"#,
                "item 1: containers has an empty name".to_owned(),
            ),
            (
                r#"[{"containers":"a"}]"#,
                "item 1: the field containers must be a list of names, not a string".to_owned(),
            ),
            (
                r#"[{"containers":["a",null]}]"#,
                "item 1: the field containers must be a list of names, not null".to_owned(),
            ),
            (
                r#"[{"key":"\ud800"}]"#,
                "item 1: key has a \\u escape that is no character".to_owned(),
            ),
            (
                r#"[{"\ud800":1}]"#,
                "item 1: a field's name has a \\u escape that is no character".to_owned(),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(decode(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn depth_and_length_cost_no_stack() {
        for part in ["[", "{\"a\":", "[{\"key\":[", "[{},", "\"", "[{\"containers\":[["] {
            assert!(decode(&part.repeat(100_000)).is_err());
        }
        let nested = format!("[{{\"containers\":[{}{}]}}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(decode(&nested).is_err());
        assert_eq!(
            decode(&format!("[{}{{}}]", "{},".repeat(9_999))).map(|list| list.len()),
            Ok(10_000)
        );
    }
}
