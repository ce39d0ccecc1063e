//! Reading an object of the settings, or of an annotation, field by field, so that each error names its place.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::node::{Node, Shape, without_position};
use crate::names::excerpt;

pub(crate) use super::error::SettingsError;

/// What is wrong with `null`, which a line with nothing behind its colon is. It is not taken for the default: a setting
/// that closes a gate would be lost with a value that was commented out.
const NOTHING: &str = "has nothing under it: give it a value, or leave the line out";

/// What is wrong with a string whose escapes are no Unicode, such as half a surrogate pair.
pub(crate) const NOT_UNICODE: &str = "has a \\u escape that is no character";

/// An object of the settings of which every field has to be asked for.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    place: String,
    fields: Vec<(String, &'a RawValue)>,
    known: Vec<&'static str>,
    is_checked: bool,
}

impl<'a> Fields<'a> {
    /// Reads the object `text`, which stands at `place`: a path such as `managers[1].match`, or a sentence's start with a
    /// colon at its end. Settings as a whole, whose place is empty, may be `null`.
    ///
    /// # Errors
    /// When it is not an object, or has a field twice.
    pub(crate) fn parse(text: &'a str, place: &str) -> Result<Self, SettingsError> {
        let not_an_object = || {
            let problem = match kind(text) {
                "an object" => "has a name with a \\u escape that is no character",
                _ => "is not an object (a YAML mapping)",
            };
            SettingsError::new(if place.is_empty() { "settings" } else { place }, problem)
        };
        let node = Node::parse(text, Shape::MapOf(&Shape::Closed)).map_err(|_| not_an_object())?;
        let nodes = match node {
            Node::Null if place.is_empty() => Vec::new(),
            Node::Null => return Err(SettingsError::new(place, NOTHING)),
            Node::Object(fields) => fields,
            _ => return Err(not_an_object()),
        };
        let mut fields: Vec<(String, &'a RawValue)> = Vec::with_capacity(nodes.len());
        for (name, node) in nodes {
            if fields.iter().any(|(known, _)| *known == *name) {
                return Err(SettingsError::new(&join(place, &excerpt(&name)), "is given twice"));
            }
            if let Node::Closed(raw) = node {
                fields.push((name.into_owned(), raw));
            }
        }
        Ok(Self {
            place: place.to_owned(),
            fields,
            known: Vec::new(),
            is_checked: false,
        })
    }

    /// Marks the fields, and those below, as the ones of settings that the host has had checked when it loaded the policy.
    pub(crate) fn checked(mut self) -> Self {
        self.is_checked = true;
        self
    }

    /// Returns whether what only looks for an operator's mistakes can be left out.
    pub(crate) fn is_checked(&self) -> bool {
        self.is_checked
    }

    /// Reads an object of these fields.
    fn below(&self, text: &'a str, place: &str) -> Result<Self, SettingsError> {
        let mut fields = Self::parse(text, place)?;
        fields.is_checked = self.is_checked;
        Ok(fields)
    }

    /// Removes the fields that are `null`, and renames those that have the first name of a pair in `aliases` to the second.
    ///
    /// # Errors
    /// When a field is there under both names.
    pub(crate) fn normalize(&mut self, aliases: &[(&str, &str)]) -> Result<(), SettingsError> {
        for (alias, name) in aliases {
            let both = [alias, name].map(|name| self.fields.iter().position(|(field, _)| field == name));
            match both {
                [Some(_), Some(_)] => {
                    return Err(self.invalid(name, "is given twice (camelCase and snake_case are the same field)"));
                }
                [Some(position), None] => {
                    if let Some((field, _)) = self.fields.get_mut(position) {
                        (*name).clone_into(field);
                    }
                }
                _ => {}
            }
        }
        self.fields.retain(|(_, raw)| raw.get() != "null");
        Ok(())
    }

    /// Where this object stands.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Adds to the place what kind of object this is.
    pub(crate) fn rename(&mut self, kind: &str) {
        if !self.is_checked {
            self.place = format!("{} ({kind})", self.place);
        }
    }

    /// Takes the text of the field `name`.
    ///
    /// # Errors
    /// When it is `null`.
    pub(crate) fn take_raw(&mut self, name: &'static str) -> Result<Option<&'a RawValue>, SettingsError> {
        if !self.is_checked {
            self.known.push(name);
        }
        let Some(position) = self.fields.iter().position(|(field, _)| field == name) else {
            return Ok(None);
        };
        match self.fields.swap_remove(position) {
            (_, raw) if raw.get() == "null" => Err(self.invalid(name, NOTHING)),
            (_, raw) => Ok(Some(raw)),
        }
    }

    /// Returns whether the field `name` is given as `null`, which is an error with a better message here and there.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|(field, raw)| field == name && raw.get() == "null")
    }

    /// Fails where a field is `null`.
    ///
    /// # Errors
    /// The first such field.
    pub(crate) fn reject_null(&self) -> Result<(), SettingsError> {
        match self.fields.iter().find(|(_, raw)| raw.get() == "null") {
            Some((name, _)) => Err(self.invalid(name, NOTHING)),
            None => Ok(()),
        }
    }

    /// Returns whether the field `name` is given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Takes the field `name`.
    ///
    /// # Errors
    /// When it has another type, or is `null`.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>, SettingsError> {
        let Some(raw) = self.take_raw(name)? else {
            return Ok(None);
        };
        match serde_json::from_str(raw.get()) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(self.invalid(name, &format!("has the wrong type: {}", without_position(&error)))),
        }
    }

    /// Takes the string in the field `name`. Unlike the message of [`Self::take`], that of this method does not repeat the
    /// value.
    ///
    /// # Errors
    /// When it is something else than a string.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, SettingsError> {
        let Some(raw) = self.take_raw(name)? else {
            return Ok(None);
        };
        match serde_json::from_str(raw.get()) {
            Ok(text) => Ok(Some(text)),
            Err(_) if raw.get().starts_with('"') => Err(self.invalid(name, NOT_UNICODE)),
            Err(_) => Err(self.invalid(name, &format!("must be a string, not {}", kind(raw.get())))),
        }
    }

    /// Takes the string in the field `name`, or `default` where the field is absent.
    ///
    /// # Errors
    /// When it is not valid; `problem` says why.
    pub(crate) fn valid(
        &mut self,
        name: &'static str,
        default: &str,
        is_valid: fn(&str) -> bool,
        problem: &str,
    ) -> Result<String, SettingsError> {
        match self.take::<String>(name)?.unwrap_or_else(|| default.to_owned()) {
            text if self.is_checked || is_valid(&text) => Ok(text),
            _ => Err(self.invalid(name, problem)),
        }
    }

    /// Takes the object of strings in the field `name`; an empty one where the field is absent.
    ///
    /// # Errors
    /// When it is something else.
    pub(crate) fn strings(&mut self, name: &'static str) -> Result<Vec<(String, String)>, SettingsError> {
        let given = match self.take::<Value>(name)? {
            None => return Ok(Vec::new()),
            Some(Value::Object(given)) => given,
            Some(_) => return Err(self.invalid(name, "is not an object (a YAML mapping) of strings")),
        };
        let mut strings = Vec::with_capacity(given.len());
        for (key, value) in given {
            match value {
                Value::String(value) => strings.push((key, value)),
                _ => return Err(self.invalid(&format!("{name}[{key:?}]"), "has to be a string: quote it")),
            }
        }
        Ok(strings)
    }

    /// One of `choices` by the text in the field `name`; `default` where it is absent.
    ///
    /// # Errors
    /// When it is none of them.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        name: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, SettingsError> {
        let Some(given) = self.take::<String>(name)? else {
            return Ok(default);
        };
        match choices.iter().find(|(choice, _)| *choice == given) {
            Some((_, chosen)) => Ok(*chosen),
            None => {
                let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
                Err(self.invalid(name, &format!("has to be {}", names.join(" or "))))
            }
        }
    }

    /// The object in the field `name`.
    ///
    /// # Errors
    /// When it is not an object.
    pub(crate) fn nested(&mut self, name: &'static str) -> Result<Option<Fields<'a>>, SettingsError> {
        match self.take_raw(name)? {
            Some(raw) => self.below(raw.get(), &join(&self.place, name)).map(Some),
            None => Ok(None),
        }
    }

    /// The objects in the list `name`.
    ///
    /// # Errors
    /// When it is not a list of objects.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<Option<Vec<Fields<'a>>>, SettingsError> {
        let Some(raw) = self.take_raw(name)? else {
            return Ok(None);
        };
        let Ok(items) = serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) else {
            return Err(self.invalid(name, "is not a list"));
        };
        let place = join(&self.place, name);
        items
            .iter()
            .enumerate()
            .map(|(index, item)| self.below(item.get(), &format!("{place}[{index}]")))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// What `read` makes of the objects in the list `name`.
    pub(crate) fn list_of<T>(
        &mut self,
        name: &'static str,
        read: fn(Fields<'a>) -> Result<T, SettingsError>,
    ) -> Result<Option<Vec<T>>, SettingsError> {
        let items = self.list(name)?;
        items.map(|items| items.into_iter().map(read).collect()).transpose()
    }

    /// An error about the field `name`.
    pub(crate) fn invalid(&self, name: &str, problem: &str) -> SettingsError {
        SettingsError::new(&join(&self.place, name), problem)
    }

    /// The first field that nobody has asked for.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.fields.first().map(|(name, _)| name.as_str())
    }

    /// Returns the names of the fields that somebody has asked for. They are not noted where the host has had settings checked.
    pub(crate) fn known(&self) -> String {
        self.known.join(", ")
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When a field is left that nobody has asked for.
    pub(crate) fn finish(self) -> Result<(), SettingsError> {
        match self.unknown() {
            None => Ok(()),
            Some(name) => {
                let known = match self.known() {
                    known if self.is_checked => known,
                    known => format!("; known here are {known}"),
                };
                Err(self.invalid(name, &format!("is not a setting{known}")))
            }
        }
    }
}

/// Returns the type of the JSON that `text` starts with.
pub(crate) fn kind(text: &str) -> &'static str {
    match text.trim_start_matches([' ', '\t', '\r', '\n']).bytes().next() {
        None => "empty",
        Some(b'n') => "null",
        Some(b't' | b'f') => "a boolean",
        Some(b'"') => "a string",
        Some(b'[') => "a list",
        Some(b'{') => "an object",
        Some(_) => "a number",
    }
}

fn join(place: &str, name: &str) -> String {
    // A field may be called nothing at all; the message still says which one.
    let name = if name.is_empty() { "\"\"" } else { name };
    if place.is_empty() {
        name.to_owned()
    } else if place.ends_with(':') {
        format!("{place} the field {name}")
    } else {
        format!("{place}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::Fields;

    #[test]
    fn errors_name_fields_without_a_name() {
        for (text, message) in [
            (r#"{"": 1}"#, r#""" is not a setting; known here are "#),
            (r#"{"": 1, "": 2}"#, r#""" is given twice"#),
        ] {
            let error = Fields::parse(text, "").and_then(Fields::finish).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
