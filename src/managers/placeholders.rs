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

use crate::managers::context::Context;
use crate::managers::naming;
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

/// Values as a request may have them, to try the settings' texts with.
pub(crate) fn sample() -> Values {
    let values = [
        ("group", "group"),
        ("groupVersion", "version"),
        ("key", "key"),
        ("namespace", "namespace"),
        ("serviceAccount", "default"),
        ("id", "0123456789abcdef0123456789abcdef"),
    ];
    values.map(|(name, value)| (name, value.to_owned())).into()
}

/// Returns whether a valid text has the placeholder `name` in it.
pub(crate) fn holds(text: &str, name: &str) -> bool {
    text.contains(name) && pieces(text).any(|piece| matches!(piece, Piece::Placeholder(other) if other == name))
}

/// Replaces each placeholder of a valid text with what `value` returns for its name.
pub(crate) fn replace(text: &str, value: impl Fn(&str) -> String) -> String {
    pieces(text).fold(String::with_capacity(text.len()), |mut replaced, piece| {
        match piece {
            Piece::Text(text) => replaced.push_str(text),
            // No placeholder of this text has the name behind the braces, or the text would not be valid.
            Piece::Doubled(_) => replaced.push_str("{{"),
            Piece::Placeholder(name) => replaced.push_str(&value(name)),
        }
        replaced
    })
}

/// Returns whether what a Pod's author writes may hold `character` where a text of the settings takes it in. `allowed` are
/// the characters that the settings add to letters, digits and `._-`.
pub(crate) fn may_hold(character: char, allowed: &str) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-') || allowed.contains(character)
}

/// The placeholders that stand for facts of the cluster. The others stand for something that the request chooses.
const FACTS: [&str; 3] = ["namespace", "serviceAccount", "mountPath"];

/// Returns whether a valid `text` has a placeholder in it that stands for something that the request chooses.
pub(crate) fn is_of_request(text: &str) -> bool {
    pieces(text).any(|piece| matches!(piece, Piece::Placeholder(name) if !FACTS.contains(&name)))
}

/// `text` with the placeholders replaced.
pub(crate) fn expand(text: &str, values: &[(&'static str, String)]) -> Result<String, String> {
    let find = |name: &str| values.iter().find(|(known, _)| *known == name);
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Doubled(name) if find(name).is_some() => {
                return Err(format!("has {{{{{name}}}}}; the placeholder is {{{name}}}"));
            }
            Piece::Doubled(_) => expanded.push_str("{{"),
            Piece::Placeholder(name) => match find(name) {
                Some((_, value)) => expanded.push_str(value),
                None => return Err(unknown(name, values)),
            },
        }
    }
    Ok(expanded)
}

fn unknown(name: &str, values: &[(&'static str, String)]) -> String {
    let known: Vec<String> = values.iter().map(|(known, _)| format!("{{{known}}}")).collect();
    format!(
        "has {{{name}}}, which is no placeholder here; there are {}; write \\{{{name}}} for the text itself",
        known.join(", ")
    )
}

/// A piece of a text of the settings.
#[derive(Clone, Copy)]
enum Piece<'t> {
    /// Stands for itself.
    Text(&'t str),
    /// A name in braces.
    Placeholder(&'t str),
    /// Two braces in front of a name and a closing brace, which the next pieces hold.
    Doubled(&'t str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    let mut is_behind_brace = false;
    std::iter::from_fn(move || {
        let piece;
        (piece, rest) = first_piece(rest, is_behind_brace)?;
        is_behind_brace = matches!(piece, Piece::Text(text) if text.ends_with('{'));
        Some(piece)
    })
}

/// Returns the first piece of `text` and what comes after that.
#[inline(never)]
fn first_piece(text: &str, is_behind_brace: bool) -> Option<(Piece<'_>, &str)> {
    let position = memchr::memchr2(b'{', b'\\', text.as_bytes()).unwrap_or(text.len());
    // A brace or a backslash is one byte.
    let (before, from) = text.split_at_checked(position.max(1))?;
    if position > 0 {
        return Some((Piece::Text(before), from));
    }
    Some(match (before, from.strip_prefix('{')) {
        ("\\", Some(after)) => (Piece::Text("{"), after),
        (_, Some(after)) => match name(after) {
            Some((name, _)) if !is_behind_brace => (Piece::Doubled(name), after),
            _ => (Piece::Text("{{"), after),
        },
        (_, None) => match name(from) {
            Some((name, after)) if before == "{" => (Piece::Placeholder(name), after),
            _ => (Piece::Text(before), from),
        },
    })
}

/// Returns the name that `text` begins with, up to a `}`, and what comes after that.
fn name(text: &str) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_alphanumeric() && byte != b'_')?;
    let (name, after) = text.split_at_checked(end)?;
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    Some((name, after.strip_prefix('}')?)).filter(|_| is_name)
}

/// `value` with the placeholders replaced in all its strings; the keys of its objects stay.
pub(crate) fn expand_all(value: &Value, values: &[(&'static str, String)]) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(expand(text, values)?),
        Value::Array(items) => items
            .iter()
            .map(|item| expand_all(item, values))
            .collect::<Result<_, _>>()?,
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
    fn two_braces_are_no_placeholder() {
        assert!(holds("{{domain}}{key}", "key"));
        for text in ["{{domain}}key", "{{key}}", r"\{key}", "{key", "{keys}"] {
            assert!(!holds(text, "key"), "{text}");
        }
        assert!(is_of_request("{namespace}{envVar}"));
        assert!(!is_of_request("{{envVar}}{namespace}"));
        assert_eq!(replace("{{project}}{{{key}}}", str::to_uppercase), "{{project}}{{KEY}}");
    }

    #[test]
    fn a_value_is_never_read_as_a_placeholder() {
        let values = [("group", r"{key}\{{{key}}".to_owned()), ("key", "SECRET".to_owned())];
        assert_eq!(expand("<{group}>", &values).unwrap(), r"<{key}\{{{key}}>");
    }
}
