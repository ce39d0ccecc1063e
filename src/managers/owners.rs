//! Namespaces and service accounts that the settings join to the rest of a name.
//!
//! `{namespace}-{group}` is `team-b-prod` for the group `b-prod` in the namespace `team` and for the group `prod` in the
//! namespace `team-b`: a Pod of one namespace would get the secrets of the other.

use crate::managers::manager::{Scope, Texts};
use crate::managers::placeholders::{self, replace};

/// Stand for the placeholders in a text that is looked at; no text of the settings has them.
const NAMESPACE: char = '\u{1}';
const SERVICE_ACCOUNT: char = '\u{2}';
const ID: char = '\u{3}';
/// Stands for all that the request chooses.
const REQUEST: char = '\u{4}';
const PROJECT: char = '\u{5}';
const DOMAIN: char = '\u{6}';
const ORGANIZATION: char = '\u{7}';

/// A placeholder, and the text between it and the one before.
type Part<'t> = (char, &'t str);

/// Returns whether `text` becomes the same for Pods of different namespaces or service accounts that ask for different
/// secrets. `allowed` are the characters that requests may hold besides letters, digits and `._-`; `made` are
/// placeholders that stand for texts with others.
pub(super) fn are_confused(text: &str, scope: Scope, allowed: &str, made: &Texts) -> bool {
    let marker = |name: &str| {
        let marker = match name {
            "namespace" if scope == Scope::Everywhere => NAMESPACE,
            "serviceAccount" => SERVICE_ACCOUNT,
            "id" => ID,
            "group" | "groupVersion" | "key" => REQUEST,
            "project" => PROJECT,
            "domain" => DOMAIN,
            "organization" => ORGANIZATION,
            _ => return String::new(),
        };
        marker.to_string()
    };
    let expanded = replace(text, |name| match made.iter().find(|(made, _)| *made == name) {
        Some((_, text)) => replace(text, marker),
        None => marker(name),
    });
    let is_marker = |character: char| matches!(character, NAMESPACE..=ORGANIZATION);
    let parts: Vec<Part<'_>> = expanded
        .chars()
        .filter(|character| is_marker(*character))
        .zip(expanded.split(is_marker))
        .collect();
    // A character that no part may hold divides the text for certain.
    let is_firm = |separator: &str| {
        separator
            .chars()
            .any(|character| !may_hold(REQUEST, character, allowed))
    };
    parts
        .chunk_by(|_, (_, separator)| !is_firm(separator))
        .any(|parts| !can_be_parted(parts, allowed))
}

/// Returns whether the text tells which part is which: parts are taken off its ends while the text next to them has a
/// character that they cannot hold, until all that is left is of the request.
fn can_be_parted(mut parts: &[Part<'_>], allowed: &str) -> bool {
    let mut known: Vec<char> = Vec::new();
    let ends = |(part, separator): (char, &str), known: &[char]| {
        (part != REQUEST && known.contains(&part))
            || separator.chars().any(|character| !may_hold(part, character, allowed))
    };
    loop {
        let ([(first, _), others @ ..], [before @ .., (last, separator)]) = (parts, parts) else {
            return true;
        };
        let Some((_, next)) = others.first() else {
            return true;
        };
        if others.iter().all(|(part, _)| part == first) {
            return true;
        }
        if ends((*first, next), &known) {
            known.push(*first);
            parts = others;
        } else if ends((*last, separator), &known) {
            known.push(*last);
            parts = before;
        } else {
            return false;
        }
    }
}

/// Returns whether `part` may hold `character`. A namespace is a DNS label, and a service account a DNS subdomain.
fn may_hold(part: char, character: char, allowed: &str) -> bool {
    let lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    match part {
        NAMESPACE => lower || character == '-',
        SERVICE_ACCOUNT => lower || matches!(character, '-' | '.'),
        ID => character.is_ascii_alphanumeric(),
        REQUEST => placeholders::may_hold(character, allowed),
        _ => placeholders::may_hold(character, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners() {
        for (text, allowed, confused) in [
            ("{namespace}", "", false),
            ("{group}-{key}", "", false),
            ("{namespace}-{group}#{key}", "", true),
            ("{namespace}{group}", "", true),
            ("{namespace}/{group}#{key}", "", false),
            ("{namespace}.{group}", "", false),
            ("{group}/{key}/{namespace}", "", false),
            ("{group}/{namespace}/{key}", "", true),
            ("{group}#{namespace}#{key}", "", false),
            ("{group}#{namespace}#{key}", "#", true),
            ("{namespace}#{serviceAccount}-{key}", "", true),
            ("{namespace}/{serviceAccount}/{group}/{key}", "", false),
            ("{namespace}-{serviceAccount}", "", true),
            ("{namespace}.{serviceAccount}", "", false),
            ("{serviceAccount}.{group}", "", true),
            ("{namespace}-{namespace}", "", false),
            ("{namespace}-{group}/{namespace}", "", false),
            ("{namespace}-{id}", "", false),
            ("{namespace}-{path}", "", true),
            ("{{project}}{namespace}-{group}#{key}", "", true),
            ("{{project}}-{path}", "", false),
        ] {
            let found = are_confused(
                text,
                Scope::Everywhere,
                &format!("/{allowed}"),
                &[("path", "{group}/{key}".to_owned())],
            );
            assert_eq!(found, confused, "{text} {allowed}");
        }
        for (text, confused) in [
            ("{namespace}-{group}", false),
            ("{serviceAccount}-{group}", true),
            ("{serviceAccount}-{namespace}-{group}", true),
        ] {
            assert_eq!(are_confused(text, Scope::Namespace, "/", &[]), confused, "{text}");
        }
        for (text, group, confused) in [
            ("{group}-{key}", "{namespace}", true),
            ("{group}#{key}", "{namespace}", false),
            ("{group}/{key}", "{namespace}/{group}", false),
            ("{group}/{key}", "{group}/{namespace}", true),
            ("{path}", "{namespace}-{group}", false),
            ("{group}", "{{envVar}}{namespace}-{key}", true),
        ] {
            let made = [("group", group), ("path", "{group}/{key}")].map(|(name, text)| (name, text.to_owned()));
            let found = are_confused(text, Scope::Everywhere, "/", &made);
            assert_eq!(found, confused, "{text} {group}");
        }
    }
}
