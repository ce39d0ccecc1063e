//! Lists of patterns in the settings, and patterns that cannot mean what they look like.
//!
//! In a pattern, `*` stands for any text, `/` included, and `?` for one character. A pattern that somebody wrote in another
//! language (a regular expression, a negation, a set) is valid here as well, but fits nothing or too much. Such a pattern is
//! an error.

use crate::json::fields::{Fields, SettingsError};
use crate::names::Glob;

/// A condition of a rule: a list of patterns, of which one has to fit. Without a list, everything fits.
pub(crate) struct Patterns(Option<Vec<Glob>>);

impl Patterns {
    /// Reads the list of patterns in the field `name` of a rule.
    ///
    /// # Errors
    /// When it is empty, or a pattern cannot mean what it looks like.
    pub(crate) fn from_fields(
        fields: &mut Fields<'_>,
        name: &'static str,
        check: Check,
    ) -> Result<Self, SettingsError> {
        let globs = read(fields, name, check)?;
        if globs.as_ref().is_some_and(Vec::is_empty) {
            return Err(fields.invalid(
                name,
                "is empty, so that the rule fits nothing: list patterns, or leave it out",
            ));
        }
        Ok(Self(globs))
    }

    /// Returns whether there is a list.
    pub(crate) fn are_given(&self) -> bool {
        self.0.is_some()
    }

    /// Returns whether `text` fits.
    pub(crate) fn fit(&self, text: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|globs| globs.iter().any(|glob| glob.fits(text)))
    }

    /// Returns the patterns: the one that fits everything, where there is no list.
    pub(crate) fn into_globs(self) -> Vec<Glob> {
        self.0.unwrap_or_else(|| vec![Glob::new("*")])
    }
}

/// Says why nothing that a pattern is matched with can fit it.
type Check = fn(&str) -> Option<String>;

/// Reads the list of patterns in the field `name`.
pub(crate) fn read(
    fields: &mut Fields<'_>,
    name: &'static str,
    check: Check,
) -> Result<Option<Vec<Glob>>, SettingsError> {
    let Some(patterns) = fields.take::<Vec<String>>(name)? else {
        return Ok(None);
    };
    for pattern in &patterns {
        if let Some(problem) = of_another_language(pattern).or_else(|| check(pattern)) {
            return Err(fields.invalid(name, &format!("holds {pattern:?}, {problem}")));
        }
    }
    Ok(Some(patterns.iter().map(|pattern| Glob::new(pattern)).collect()))
}

/// Returns what is wrong with a pattern that means something in another language.
fn of_another_language(pattern: &str) -> Option<String> {
    if pattern.starts_with('!') {
        return Some("but there is no negation: list what is meant, and nothing else".to_owned());
    }
    if pattern.contains(char::is_whitespace) {
        return Some(
            "with white space in it, which nothing here has: leave that out, or list patterns one by one".to_owned(),
        );
    }
    let regular = pattern.starts_with('^') || pattern.ends_with('$');
    if regular || [".*", ".+", "\\"].iter().any(|part| pattern.contains(part)) {
        return Some(
            "which looks like a regular expression: write * for any text, ? for one character, and .?* for a dot and more"
                .to_owned(),
        );
    }
    let set = pattern.chars().find(|character| "[]{}()|,$".contains(*character))?;
    Some(format!(
        "but {set:?} makes no set, choice or exception: write a pattern for each, or ? for that very character"
    ))
}

/// Checks a pattern for the names of namespaces.
pub(crate) fn namespace(pattern: &str) -> Option<String> {
    not_a_name(pattern, "namespace", "")
}

/// Checks a pattern for the names of service accounts.
pub(crate) fn service_account(pattern: &str) -> Option<String> {
    not_a_name(pattern, "service account", ".")
}

/// Takes every pattern.
pub(crate) fn anything(_: &str) -> Option<String> {
    None
}

/// Returns why no object of a kind fits: names are lower case letters, digits, `-`, and the characters of `more`.
fn not_a_name(pattern: &str, kind: &str, more: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some(format!("which no {kind} fits: leave it out"));
    }
    let valid = |character: &char| {
        character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || matches!(character, '-' | '*' | '?')
            || more.contains(*character)
    };
    let character = pattern.chars().find(|character| !valid(character))?;
    Some(format!(
        "which no {kind} fits, for its name cannot have {character:?}: write the name alone, in lower case"
    ))
}

/// Checks a pattern for secrets. These are named `group/key`, so that a pattern without a slash is an error, unless it is `*` or
/// for secrets with an address of their own, such as an ARN.
pub(crate) fn secret(pattern: &str) -> Option<String> {
    if pattern.contains('/')
        || pattern.starts_with("arn:")
        || (!pattern.is_empty() && pattern.bytes().all(|byte| byte == b'*'))
    {
        return None;
    }
    if !pattern.contains(['*', '?']) {
        return Some("which no secret fits: they are written as group/key, those of AWS as their ARN".to_owned());
    }
    if pattern.contains(':') {
        return None;
    }
    Some(
        "in which * would stand for a slash as well, and fit other groups: write team-a/* for all keys of a group, and \
         team-*/* for all groups that begin so"
            .to_owned(),
    )
}
