//! Group and key that the settings join to one name.
//!
//! `{group}-{key}` is `team-b-prod` for the key `b-prod` of `team` and for the key `prod` of `team-b`: a rule of `access` for
//! one of them would open the other. A group version that stands beside them may do the same.

use crate::managers::manager::Texts;
use crate::managers::placeholders::{holds, may_hold, replace};
use crate::requests::SecretRequest;

/// Stand for the parts of a request in a text that is looked at; no text of the settings has them.
const GROUP: char = '\u{1}';
const KEY: char = '\u{2}';
const VERSION: char = '\u{3}';

/// Says why `text`, with the placeholders of the settings, becomes the same for another request than `request`. `names` are the
/// texts that made the request's names, `allowed` the characters that group and key may hold besides letters, digits and `._-`,
/// and `path` is what `{path}` stands for: it is made of what was asked for. `owner` are the Pod's namespace and service account.
pub(super) fn ambiguity(
    text: &str,
    request: &SecretRequest,
    names: &Texts,
    owner: (&str, &str),
    made_of: (&str, &str),
) -> Option<String> {
    let asked = request.asked.as_deref().filter(|_| holds(text, "path"));
    let of_asked = || ambiguity_of(text, &asked?.request, &[], owner, made_of);
    ambiguity_of(text, request, names, owner, made_of).or_else(of_asked)
}

/// Does as [`ambiguity`], with a path that is made of `request`.
///
/// The text between group and key tells them apart where it has a character that neither may hold, or where what the request
/// chooses of the later one does not hold its last character. A slash alone, where the text itself has it behind the group, joins
/// them as a rule does. No rule is about the group version, so that it may stand behind such a character alone.
fn ambiguity_of(
    text: &str,
    request: &SecretRequest,
    names: &Texts,
    owner: (&str, &str),
    (allowed, path): (&str, &str),
) -> Option<String> {
    let mark = |name: &str| marked(name, request, names, owner);
    let expanded = replace(text, |name| {
        if name == "path" {
            replace(path, mark)
        } else {
            mark(name)
        }
    });
    let [group, key] = [("group", GROUP), ("key", KEY)].map(|(part, marker)| around(&mark(part), marker));
    let slash = [&group.1, "/", &key.0].concat();
    let is_apart = |separator: &str, first: char| {
        let later = if first == GROUP {
            chosen(&request.key, &key)
        } else {
            chosen(&request.group, &group)
        };
        is_firm(separator, allowed)
            || first == GROUP && separator == slash
            || separator.chars().last().is_some_and(|last| !later.contains(last))
    };
    let mut before: Option<(char, usize)> = None;
    for (position, character) in expanded.char_indices() {
        if !matches!(character, GROUP | KEY | VERSION) {
            continue;
        }
        let between = before.and_then(|(first, end)| Some((first, expanded.get(end..position)?)));
        match between {
            None if character == VERSION && !holds(text, "id") => return Some(by_version(text, request)),
            Some((first, separator)) if first != character => {
                if first == VERSION || character == VERSION {
                    if !is_firm(separator, allowed) {
                        return Some(by_version(text, request));
                    }
                } else if !is_apart(separator, first) {
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
         the setting access can tell apart: ask the cluster's operator to put a character between them that neither can \
         hold, or {{id}} in their place, or rename the secret",
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

/// Returns what the placeholder `name` stands for in a text that is looked at. A part of the request's name is a marker, with
/// what stands before and behind what is chosen in the text of `names` for it.
fn marked(name: &str, request: &SecretRequest, names: &Texts, (namespace, service_account): (&str, &str)) -> String {
    let fact = |name: &str| match name {
        "namespace" => Some(namespace),
        "serviceAccount" => Some(service_account),
        _ => None,
    };
    let marker = match name {
        "group" => GROUP,
        "key" => KEY,
        // Without a version, the placeholder is nothing.
        "groupVersion" if !request.group_version.is_empty() => VERSION,
        "id" => return "0123456789abcdef".repeat(2),
        name => return fact(name).unwrap_or_default().to_owned(),
    };
    let made = names.iter().find(|(part, _)| *part == name);
    // Without a text of its own, the part is what was asked for, as in a text of one placeholder, whichever.
    let mut text = replace(made.map_or("{group}", |(_, text)| text), |name| {
        fact(name).map_or_else(|| marker.to_string(), str::to_owned)
    });
    if let (Some(first), Some(last)) = (text.find(marker), text.rfind(marker)) {
        text.replace_range(first..last, "");
    }
    text
}

/// Returns what the request chooses of `value`: what is between the texts `before` and `after`.
fn chosen<'v>(value: &'v str, (before, after): &(String, String)) -> &'v str {
    let chosen = value
        .strip_prefix(&**before)
        .and_then(|value| value.strip_suffix(&**after));
    chosen.unwrap_or(value)
}

/// Returns what stands before and behind `marker` in `text`.
fn around(text: &str, marker: char) -> (String, String) {
    let (before, after) = text.split_once(marker).unwrap_or_default();
    (before.to_owned(), after.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::placeholders::expand;
    use crate::requests::{JSON_ANNOTATION, Origin, from_annotations};

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
            ("{group}-x-{key}", "a", "x", "", true),
            ("{group}: {key}", "a", "b-c", "", true),
            ("{group}-{namespace}-{key}", "a", "b-c", "", false),
            ("s-{id}", "a", "b-c", "", true),
            ("{path}", "a/b", "c/d", "", true),
            ("{key}-{path}", "b/a-g/a-b", "a", "", false),
            ("{group}{namespace}{key}", "team", "prod", "", true),
            ("{group}{namespace}{key}", "team", "db", "", false),
            ("{group}{serviceAccount}{key}", "team", "cc", "", false),
            ("{{project}}{group}-{key}", "team", "b-prod", "", false),
            ("{{project}}{group}-{key}", "team-b", "prod", "", true),
        ] {
            let text_of_request = format!(r#"[{{"group":"{group}","key":"{key}"}}]"#);
            let request = from_annotations([(JSON_ANNOTATION, text_of_request.as_str())])
                .unwrap()
                .requests
                .remove(0);
            assert_eq!(
                ambiguity(
                    text,
                    &request,
                    &[],
                    ("a-b", "c"),
                    (&format!("/{allowed}"), "{group}/{key}")
                )
                .is_none(),
                told,
                "{text} {group} {key}"
            );
        }
    }

    #[test]
    fn names() {
        for (text, names, told) in [
            ("{group}-{key}", [("key", "my-{key}")], true),
            ("{group}-{key}", [("key", "my-{namespace}-{key}")], true),
            ("{group}-{key}", [("key", "my-{group}")], true),
            ("{group}-{key}", [("key", "key")], true),
            ("{group}-{key}", [("group", "{namespace}-{group}")], true),
            ("{group}{key}", [("group", "{group}#")], true),
            ("{group}{key}", [("group", "{group}/")], true),
            ("{group}/{key}", [("group", "{group}-prod")], true),
            ("{group}/{key}", [("key", "my/{key}")], true),
            ("{path}#{group}/{key}", [("group", "{group}-prod")], true),
            ("{group}{key}", [("key", "prod{key}")], false),
            ("{group}{groupVersion}#{key}", [("groupVersion", "7")], true),
            ("{group}{groupVersion}#{key}", [("groupVersion", "7{key}")], false),
        ] {
            let mut request = SecretRequest::new(Origin::Flyte { key: String::new() });
            let names = names.map(|(part, text)| (part, text.to_owned()));
            let values = [
                ("group", "team"),
                ("groupVersion", "1"),
                ("key", "prod"),
                ("namespace", "a-b"),
            ];
            let values = values.map(|(part, text)| (part, text.to_owned()));
            let made = |part: &str| {
                let text = names.iter().find(|(name, _)| *name == part);
                expand(&text.map_or(format!("{{{part}}}"), |(_, text)| text.clone()), &values).unwrap()
            };
            (request.group, request.group_version, request.key) = (made("group"), made("groupVersion"), made("key"));
            assert_eq!(
                ambiguity(text, &request, &names, ("a-b", "c"), ("/", "")).is_none(),
                told,
                "{text} {names:?}"
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
            let answer = ambiguity(text, &request, &[], ("a-b", "c"), ("/", path));
            assert_eq!(answer.is_none(), told, "{text} {path} {version}");
            assert!(answer.is_none_or(|answer| answer.contains("the group version")));
        }
    }
}
