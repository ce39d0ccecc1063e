//! Group and key that the settings join to one name.
//!
//! `{group}-{key}` is `team-b-prod` for the key `b-prod` of `team` and for the key `prod` of `team-b`: a rule of `access` for
//! one of them would open the other.

#![forbid(unsafe_code)]

use crate::managers::placeholders::{all_but, expand};
use crate::requests::SecretRequest;

/// Stand for group and key in a text that is looked at; no text of the settings has them.
const GROUP: char = '\u{1}';
const KEY: char = '\u{2}';

/// Says why `text`, with the placeholders of the settings, becomes the same for another request than `request`. `allowed` are
/// the characters that group and key may hold besides letters, digits and `._-/`.
///
/// The text between group and key tells them apart where it has a character that neither may hold, and where the later one
/// has none of its characters. A slash behind the group joins them as a rule does.
pub fn ambiguity(text: &str, request: &SecretRequest, allowed: &str) -> Option<String> {
    let mut markers = all_but("group");
    markers.retain(|(name, _)| *name != "key");
    markers.extend([("group", GROUP.to_string()), ("key", KEY.to_string())]);
    let expanded = expand(text, &markers).ok()?;
    let mut before: Option<(char, usize)> = None;
    for (position, character) in expanded.char_indices() {
        if !matches!(character, GROUP | KEY) {
            continue;
        }
        let between = before.and_then(|(first, end)| Some((first, expanded.get(end..position)?)));
        if let Some((first, separator)) = between
            && first != character
            && !tells_apart(separator, first == GROUP, request, allowed)
        {
            return Some(format!(
                "the settings join group and key as {text:?}, and {:?} with {:?} could be another group and key, which no rule \
                 of the setting access can tell apart: ask the cluster's operator to put a character between them that \
                 neither has, such as '/' or '#', or rename the secret",
                request.group, request.key
            ));
        }
        before = Some((character, position.saturating_add(character.len_utf8())));
    }
    None
}

fn tells_apart(separator: &str, group_first: bool, request: &SecretRequest, allowed: &str) -> bool {
    let may_be_inside = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/') || allowed.contains(character)
    };
    let later = if group_first { &request.key } else { &request.group };
    separator.chars().any(|character| !may_be_inside(character))
        || (group_first && separator == "/")
        || (!separator.is_empty() && !later.contains(|character| separator.contains(character)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::json;

    #[test]
    fn joins() {
        for (text, group, key, allowed, told) in [
            ("{group}", "a", "k", "", true),
            ("{group}/{key}", "a/b", "c/d", "", true),
            ("{group}#{key}", "a-b", "c-d", "", true),
            ("{group}#{key}", "a#b", "c#d", "#", false),
            ("{group}-{key}", "team", "prod", "", true),
            ("{group}-{key}", "team-b", "prod", "", true),
            ("{group}-{key}", "team", "b-prod", "", false),
            ("{group}{key}", "team", "prod", "", false),
            ("{key}/{group}", "db", "private/public", "", true),
            ("{key}/{group}", "a/b", "k", "", false),
            ("{group}--{key}", "a-", "b", "", true),
            ("{group}--{key}", "a", "-b", "", false),
            ("{group}: {key}", "a", "b-c", "", true),
            ("{group}-{namespace}-{key}", "a", "b-c", "", false),
            ("s-{id}", "a", "b-c", "", true),
        ] {
            let text_of_request = format!(r#"[{{"group":"{group}","key":"{key}"}}]"#);
            let request = json::decode(&text_of_request).unwrap().remove(0);
            assert_eq!(
                ambiguity(text, &request, allowed).is_none(),
                told,
                "{text} {group} {key}"
            );
        }
    }
}
