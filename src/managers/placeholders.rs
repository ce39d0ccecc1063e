//! Texts of the settings in which `{name}` stands for something of the request.
//!
//! | Text | Becomes |
//! |---|---|
//! | `{group}`, a name that is known there | its value |
//! | `{foo}`, a name that is not known | an error |
//! | `\{` | `{` |
//! | `{{` | `{{`, so that Go's and similar template languages can be written; `{{group}}` is an error |
//! | any other brace, as in JSON | itself |

use serde_json::Value;

use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::manager::{NotServed, not_found};
use crate::managers::naming;
use crate::names;
use crate::requests::SecretRequest;

/// Names and what they stand for.
pub(crate) type Values = Vec<(&'static str, String)>;

/// What every request has. `id` is a name of 32 letters and digits for the group, its version and the key.
pub(crate) fn values(request: &SecretRequest, context: &Context<'_>) -> Values {
    vec![
        ("group", request.group.clone()),
        ("groupVersion", request.group_version.clone()),
        ("key", request.key.clone()),
        ("namespace", context.namespace.to_owned()),
        ("serviceAccount", context.service_account.to_owned()),
        (
            "id",
            naming::identity(&[&request.group, &request.group_version, &request.key]),
        ),
    ]
}

/// What every request has, as a request may have it.
const SAMPLE: [(&str, &str); 6] = [
    ("group", "group"),
    ("groupVersion", "version"),
    ("key", "key"),
    ("namespace", "namespace"),
    ("serviceAccount", "default"),
    ("id", "0123456789abcdef0123456789abcdef"),
];

/// The placeholders that only some texts have.
const FURTHER: [&str; 6] = ["envVar", "mountPath", "path", "project", "domain", "organization"];

/// Values as a request may have them, to try the settings' texts with.
pub(crate) fn sample() -> Values {
    SAMPLE.map(|(name, value)| (name, value.to_owned())).to_vec()
}

/// Sets what a placeholder stands for.
pub(crate) fn set(values: &mut Values, name: &'static str, value: String) {
    values.retain(|(known, _)| *known != name);
    values.push((name, value));
}

/// Returns whether a valid text has the placeholder `name` in it.
pub(crate) fn holds(text: &str, name: &str) -> bool {
    let is_other =
        |other: &str| other != name && (SAMPLE.iter().any(|(known, _)| *known == other) || FURTHER.contains(&other));
    // All other placeholders are known, so that an error is about this one.
    text.contains(name) && replace(text, |other| is_other(other).then_some("")).is_err()
}

/// Returns all placeholders but `name`, with values that stand for nothing.
pub(crate) fn all_but(name: &str) -> Values {
    let mut others = sample();
    others.extend(FURTHER.map(|further| (further, String::new())));
    others.retain(|(known, _)| *known != name);
    others
}

/// Returns whether what a Pod's author writes may hold `character` where a text of the settings takes it in. `allowed` are
/// the characters that the settings add to letters, digits and `._-`.
pub(crate) fn may_hold(character: char, allowed: &str) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-') || allowed.contains(character)
}

/// Returns whether a valid `text` has a placeholder in it that stands for something that the request chooses. The others
/// stand for facts of the cluster.
pub(crate) fn is_of_request(text: &str) -> bool {
    let facts = ["namespace", "serviceAccount", "mountPath"].map(|name| (name, String::new()));
    expand(text, &facts).is_err()
}

/// `text` with the placeholders replaced.
pub(crate) fn expand(text: &str, values: &[(&'static str, String)]) -> Result<String, String> {
    let find = |name: &str| values.iter().find(|(known, _)| *known == name);
    replace(text, |name| find(name).map(|(_, value)| value.as_str())).map_err(|problem| match problem {
        Wrong::Doubled(name) => format!("has {{{{{name}}}}}; the placeholder is {{{name}}}"),
        Wrong::Unknown(name) => {
            let known: Vec<String> = values.iter().map(|(known, _)| format!("{{{known}}}")).collect();
            format!(
                "has {{{name}}}, which is no placeholder here; there are {}; write \\{{{name}}} for the text itself",
                known.join(", ")
            )
        }
    })
}

/// Why the placeholders of a text cannot be replaced.
enum Wrong<'t> {
    /// The name of a placeholder stands in two pairs of braces.
    Doubled(&'t str),
    /// There is no such placeholder.
    Unknown(&'t str),
}

/// Replaces the placeholders of `text` with what `find` has for their names.
fn replace<'t, 'v>(text: &'t str, find: impl Fn(&str) -> Option<&'v str>) -> Result<String, Wrong<'t>> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) =
        memchr::memchr2(b'{', b'\\', rest.as_bytes()).and_then(|position| rest.split_at_checked(position))
    {
        expanded.push_str(before);
        if let Some(after) = from.strip_prefix(r"\{") {
            expanded.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("{{") {
            if let Some((name, _)) = name(after)
                && find(name).is_some()
                && !expanded.ends_with('{')
            {
                return Err(Wrong::Doubled(name));
            }
            expanded.push_str("{{");
            rest = after;
        } else if let Some((name, after)) = from.strip_prefix('{').and_then(name) {
            let Some(value) = find(name) else {
                return Err(Wrong::Unknown(name));
            };
            expanded.push_str(value);
            rest = after;
        } else {
            let mut characters = from.chars();
            expanded.extend(characters.next());
            rest = characters.as_str();
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The name before the next `}`, and what comes after that.
fn name(text: &str) -> Option<(&str, &str)> {
    text.split_once('}').filter(|(name, _)| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

/// `value` with the placeholders replaced in all its strings; the keys of its objects stay.
pub(crate) fn expand_all(value: &Value, values: &[(&'static str, String)]) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(expand(text, values)?),
        Value::Array(items) => Value::Array(
            items
                .iter()
                .map(|item| expand_all(item, values))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let mut expanded = serde_json::Map::new();
            for (field, value) in fields {
                expanded.insert(field.clone(), expand_all(value, values)?);
            }
            Value::Object(expanded)
        }
        other => other.clone(),
    })
}

/// The text in the field `name`, in which the placeholders of `sample` may stand and which is to become the name of a
/// Kubernetes object.
pub(crate) fn object_name(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<String>, SettingsError> {
    let Some(text) = fields.take::<String>(name)? else {
        return Ok(None);
    };
    match expand(&text, &sample()) {
        Ok(expanded) if names::is_dns_subdomain(&expanded) => Ok(Some(text)),
        Ok(expanded) => Err(fields.invalid(name, &format!("becomes {expanded:?}, which is no name of an object"))),
        Err(problem) => Err(fields.invalid(name, &problem)),
    }
}

/// The name that such a text becomes for a request; `what` says what it is the name of.
pub(crate) fn expand_name(text: &str, what: &str, values: &[(&'static str, String)]) -> Result<String, NotServed> {
    match expand(text, values) {
        Ok(name) if names::is_dns_subdomain(&name) => Ok(name),
        Ok(name) => Err(not_found!(
            "no {what} can have the name {name:?} (at most 253 lower case letters, digits, '-' and '.')"
        )),
        Err(problem) => Err(not_found!("the settings' name of the {what} {problem}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_other_braces_stay() {
        for (text, expected) in [
            ("", Ok("")),
            ("vault:{group}#{key}", Ok("vault:group#key")),
            ("{group}{group}", Ok("groupgroup")),
            (r#"{"path": "{group}", "x": {}}"#, Ok(r#"{"path": "group", "x": {}}"#)),
            (
                r#"{{ with secret "{group}" }}{{ end }}"#,
                Ok(r#"{{ with secret "group" }}{{ end }}"#),
            ),
            ("{{end}}", Ok("{{end}}")),
            ("{{{group}}}", Ok("{{group}}")),
            (r"$\{HOME}/\{group}", Ok("${HOME}/{group}")),
            (r"a\b\", Ok(r"a\b\")),
            ("{ group }", Ok("{ group }")),
            ("{", Ok("{")),
            ("{group", Ok("{group")),
            ("größe {key}", Ok("größe key")),
            ("{{group}}", Err("has {{group}}; the placeholder is {group}")),
            (
                "${HOME}",
                Err(
                    r"has {HOME}, which is no placeholder here; there are {group}, {key}; write \{HOME} for the text itself",
                ),
            ),
        ] {
            let values = [("group", "group".to_owned()), ("key", "key".to_owned())];
            assert_eq!(
                expand(text, &values),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn a_value_is_never_read_as_a_placeholder() {
        let values = [("group", r"{key}\{{{key}}".to_owned()), ("key", "SECRET".to_owned())];
        assert_eq!(expand("<{group}>", &values).unwrap(), r"<{key}\{{{key}}>");
    }
}
