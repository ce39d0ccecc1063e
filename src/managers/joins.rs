//! Group and key that the settings join to one name.
//!
//! `{group}-{key}` is `team-b-prod` for the key `b-prod` of `team` and for the key `prod` of `team-b`: a rule of `access` for
//! one of them would open the other. A group version that stands beside them may do the same.

#![forbid(unsafe_code)]

use crate::managers::placeholders::{all_but, expand, holds, may_hold};
use crate::requests::SecretRequest;

/// Stand for the parts of a request in a text that is looked at; no text of the settings has them.
const GROUP: char = '\u{1}';
const KEY: char = '\u{2}';
const VERSION: char = '\u{3}';

/// Says why `text`, with the placeholders of the settings, becomes the same for another request than `request`. `allowed` are
/// the characters that group and key may hold besides letters, digits and `._-`; `path` is what `{path}` stands for.
///
/// The text between group and key tells them apart where it has a character that neither may hold, and where the later one
/// has none of its characters. A slash behind the group joins them as a rule does. No rule is about the group version, so
/// that it may stand behind such a character alone.
pub(super) fn ambiguity(text: &str, request: &SecretRequest, allowed: &str, path: &str) -> Option<String> {
    let mut markers = all_but("group");
    markers.retain(|(name, _)| !matches!(*name, "key" | "groupVersion" | "path"));
    // Without a version, the placeholder is nothing.
    let version = (!request.group_version.is_empty()).then_some(VERSION);
    markers.extend([
        ("group", GROUP.to_string()),
        ("key", KEY.to_string()),
        ("groupVersion", version.map(String::from).unwrap_or_default()),
    ]);
    markers.push(("path", expand(path, &markers).ok()?));
    let expanded = expand(text, &markers).ok()?;
    let by_id = holds(text, "id");
    let mut before: Option<(char, usize)> = None;
    for (position, character) in expanded.char_indices() {
        if !matches!(character, GROUP | KEY | VERSION) {
            continue;
        }
        let between = before.and_then(|(first, end)| Some((first, expanded.get(end..position)?)));
        match between {
            None if character == VERSION && !by_id => return Some(by_version(text, request)),
            Some((first, separator)) if first != character => {
                if first == VERSION || character == VERSION {
                    if !is_firm(separator, allowed) {
                        return Some(by_version(text, request));
                    }
                } else if !tells_apart(separator, first == GROUP, request, allowed) {
                    return Some(by_group_and_key(text, request));
                }
            }
            _ => {}
        }
        before = Some((character, position.saturating_add(character.len_utf8())));
    }
    None
}

fn by_group_and_key(text: &str, request: &SecretRequest) -> String {
    format!(
        "the settings join group and key as {text:?}, and {:?} with {:?} could be another group and key, which no rule of \
         the setting access can tell apart: ask the cluster's operator to put a character between them that neither has, \
         such as '/' or '#', or rename the secret",
        request.group, request.key
    )
}

fn by_version(text: &str, request: &SecretRequest) -> String {
    format!(
        "the settings find the secret by {text:?}, in which the group version {:?} could be a part of another secret's name, \
         and no rule of the setting access is about group versions: leave the group version out of the request, or ask the \
         cluster's operator to write {{groupVersion}} behind group and key, after a character that none of them has, such as \
         '#', or not at all",
        request.group_version
    )
}

/// Returns whether `separator` has a character that neither group nor version nor key may hold.
fn is_firm(separator: &str, allowed: &str) -> bool {
    separator.chars().any(|character| !may_hold(character, allowed))
}

fn tells_apart(separator: &str, group_first: bool, request: &SecretRequest, allowed: &str) -> bool {
    let later = if group_first { &request.key } else { &request.group };
    is_firm(separator, allowed)
        || (group_first && separator == "/")
        || (!separator.is_empty() && !later.contains(|character| separator.contains(character)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{JSON_ANNOTATION, from_annotations};

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
            ("{path}", "a/b", "c/d", "", true),
            ("{key}-{path}", "b/a-g/a-b", "a", "", false),
        ] {
            let text_of_request = format!(r#"[{{"group":"{group}","key":"{key}"}}]"#);
            let request = from_annotations([(JSON_ANNOTATION, text_of_request.as_str())])
                .unwrap()
                .requests
                .remove(0);
            assert_eq!(
                ambiguity(text, &request, &format!("/{allowed}"), "{group}/{key}").is_none(),
                told,
                "{text} {group} {key}"
            );
        }
    }

    #[test]
    fn versions() {
        for (text, path, version, told) in [
            ("{group}#{key}#{groupVersion}", "", "team-b", true),
            (
                "{{ with secret \"{group}?version={groupVersion}\" }}{{ .{key} }}",
                "",
                "2",
                true,
            ),
            ("{key}#{groupVersion}", "", "team-b", true),
            ("{id}-{groupVersion}", "", "team-b", true),
            ("{groupVersion}", "", "", true),
            ("{group}-{groupVersion}", "", "", true),
            ("{groupVersion}", "", "1", false),
            ("{groupVersion}#{key}", "", "team-b", false),
            ("{namespace}#{groupVersion}", "", "team-b", false),
            ("{group}-{groupVersion}", "", "b", false),
            ("{group}/{groupVersion}#{key}", "", "b", false),
            ("{group}#{groupVersion}{key}", "", "b", false),
            ("x/{path}", "{group}/{groupVersion}/{key}", "b", false),
            ("x/{path}", "{group}@{groupVersion}@{key}", "b", true),
        ] {
            let text_of_request = format!(r#"[{{"group":"team","groupVersion":"{version}","key":"k"}}]"#);
            let request = from_annotations([(JSON_ANNOTATION, text_of_request.as_str())])
                .unwrap()
                .requests
                .remove(0);
            let answer = ambiguity(text, &request, "/", path);
            assert_eq!(answer.is_none(), told, "{text} {path} {version}");
            assert!(answer.is_none_or(|answer| answer.contains("the group version")));
        }
    }
}
