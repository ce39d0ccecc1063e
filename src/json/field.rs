//! One field of an object that is otherwise left alone.

use super::node::{Node, Shape};

/// Returns the value of the field `name` of the JSON object `text`: a string as it is, other values as JSON without white
/// space, `Some(None)` where there is no such field, `None` where `text` is no object.
pub(crate) fn field(text: &str, name: &str) -> Option<Option<String>> {
    let Ok(Node::Object(fields)) = Node::parse(text, Shape::MapOf(&Shape::Closed)) else {
        return None;
    };
    let value = fields.into_iter().rev().find_map(|(known, value)| match value {
        Node::Closed(raw) if known == name => Some(raw.get()),
        _ => None,
    });
    match value {
        Some(text) if text.starts_with('"') => serde_json::from_str(text).ok().map(Some),
        value => Some(value.map(compact)),
    }
}

/// Returns the JSON `text` without the white space outside of its strings.
fn compact(text: &str) -> String {
    let (mut is_inside, mut is_escaped) = (false, false);
    let is_kept = |character: &char| {
        is_inside ^= *character == '"' && !is_escaped;
        is_escaped = *character == '\\' && !is_escaped;
        is_inside || !matches!(character, ' ' | '\t' | '\n' | '\r')
    };
    text.chars().filter(is_kept).collect()
}
