//! A document of which parts are opened.

use std::borrow::Cow;
use std::rc::Rc;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::writer::Writer;

/// Which places of a document are opened.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Kept as it came.
    Closed,
    /// A string that is read.
    Text,
    /// An object of which these fields are opened, or may be later; the others stay closed.
    Fields(&'static [(&'static str, Shape)]),
    /// An object of which these fields are opened; the others are left out. It is not for what is written again.
    Only(&'static [(&'static str, Shape)]),
    /// An object whose values all have this shape.
    MapOf(&'static Shape),
    /// An array whose items all have this shape.
    ListOf(&'static Shape),
}

/// Why a document cannot be read that has a field twice.
pub(super) const TWICE: &str = "a field stands twice in an object";

/// A document, or a part of one.
#[derive(Debug, Clone)]
pub(crate) enum Node<'a> {
    /// JSON's `null`, where something was to be opened. Kubernetes reads it as an absent field.
    Null,
    /// A part that is not opened, as its text.
    Closed(&'a RawValue),
    /// Some items of an array, as the text that they came as; not empty.
    Items(&'a str),
    /// A part that was made here; shared, as the same variable goes into many containers.
    Made(Rc<String>),
    /// A string. One that is borrowed, here and as a field's name, stands in JSON as it is, without escapes.
    Text(Cow<'a, str>),
    /// An object, its fields in their order.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    /// An array.
    List(Vec<Node<'a>>),
    /// A number or a boolean where something was to be opened, or an object in which a field stands twice that matters: such a
    /// document can neither be read nor written.
    Invalid(&'static str),
}

impl<'a> Node<'a> {
    /// A part made of `value`.
    pub(crate) fn made(value: &Value) -> Self {
        Self::Made(Writer::text_of(value).into())
    }

    /// The field `name`, when this is an object that has it and it is not `null`.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        fields
            .iter()
            .find(|(key, value)| key == name && !matches!(value, Self::Null))
            .map(|(_, value)| value)
    }

    /// Opens the field `name` by `shape`, when this is an object that has it and it is closed.
    pub(crate) fn open(&mut self, name: &str, shape: Shape) {
        if let Some((field, text)) = self.closed(name) {
            *field = Self::parse(text.get(), shape).unwrap_or(Self::Invalid("a string is not valid"));
        }
    }

    /// The field `name`, and what stands between its brackets, when this is an object that has it and it is a closed array.
    pub(crate) fn closed_items(&mut self, name: &str) -> Option<(&mut Self, &'a str)> {
        let (field, text) = self.closed(name)?;
        let items = text.get().strip_prefix('[')?.strip_suffix(']')?;
        Some((field, items.trim()))
    }

    /// The field `name` and its text, when this is an object that has it and it is closed. One that stands twice is invalid from
    /// now on.
    fn closed(&mut self, name: &str) -> Option<(&mut Self, &'a RawValue)> {
        let Self::Object(fields) = self else {
            return None;
        };
        let mut named = fields.iter_mut().filter(|(key, _)| key == name);
        let (_, field) = named.next()?;
        match *field {
            Self::Closed(text) if named.next().is_none() => Some((field, text)),
            Self::Closed(_) => {
                *field = Self::Invalid(TWICE);
                None
            }
            _ => None,
        }
    }

    /// Takes the field `name` out of an object; `null` stays in its place.
    pub(crate) fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        let (_, value) = fields.iter_mut().find(|(key, _)| key == name)?;
        Some(std::mem::replace(value, Self::Null))
    }

    /// The string, when this is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The field `name` as a string.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_text()
    }

    /// The items of the array in the field `name`; none where it is absent.
    pub(crate) fn items(&self, name: &str) -> &[Self] {
        match self.get(name) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The field `name` as an object that can be added to; made where it is absent or `null`.
    pub(crate) fn object_mut(&mut self, name: &'static str) -> Result<&mut Vec<(Cow<'a, str>, Self)>, WrongType> {
        match self.field_mut(name, || Self::Object(Vec::new()))? {
            Self::Object(fields) => Ok(fields),
            _ => Err(WrongType(name, "an object")),
        }
    }

    /// The field `name` as an array that can be added to; made where it is absent or `null`.
    pub(crate) fn list_mut(&mut self, name: &'static str) -> Result<&mut Vec<Self>, WrongType> {
        match self.field_mut(name, || Self::List(Vec::new()))? {
            Self::List(items) => Ok(items),
            _ => Err(WrongType(name, "a list")),
        }
    }

    /// The field `name`, made by `missing` where it is absent or `null`.
    pub(crate) fn field_mut(
        &mut self,
        name: &'static str,
        missing: impl FnOnce() -> Self,
    ) -> Result<&mut Self, WrongType> {
        let Self::Object(fields) = self else {
            return Err(WrongType(name, "in an object"));
        };
        // Looked up by position: a borrow from `find` would live on through the push.
        let position = fields.iter().position(|(key, _)| key == name).unwrap_or_else(|| {
            fields.push((Cow::Borrowed(name), Self::Null));
            fields.len() - 1
        });
        let (_, value) = fields.get_mut(position).ok_or(WrongType(name, "present"))?;
        if matches!(value, Self::Null) {
            *value = missing();
        }
        Ok(value)
    }

    /// Adds the document to `writer`.
    ///
    /// # Errors
    /// Why it cannot be written: it holds an [`Invalid`](Self::Invalid) part.
    pub(crate) fn write(&self, writer: &mut Writer) -> Result<(), &'static str> {
        match self {
            Self::Null => writer.raw("null"),
            Self::Closed(raw) => writer.raw(raw.get()),
            Self::Items(text) => writer.raw(text),
            Self::Made(text) => writer.raw(text),
            Self::Text(text) => write_text(text, writer),
            Self::Object(fields) => {
                writer.byte(b'{');
                for (name, value) in fields {
                    writer.item();
                    write_text(name, writer);
                    writer.byte(b':');
                    value.write(writer)?;
                }
                writer.byte(b'}');
            }
            Self::List(items) => {
                writer.byte(b'[');
                for item in items {
                    writer.item();
                    item.write(writer)?;
                }
                writer.byte(b']');
            }
            Self::Invalid(what) => return Err(what),
        }
        Ok(())
    }

    /// What an array with this item holds of it.
    fn values(&self) -> Vec<Value> {
        match (self, self.to_value()) {
            (Self::Items(_), Value::Array(values)) => values,
            (_, value) => vec![value],
        }
    }

    /// The same as a `serde_json` tree, for comparisons. What cannot be written is `null`.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Null | Self::Invalid(_) => Value::Null,
            Self::Closed(raw) => serde_json::from_str(raw.get()).unwrap_or(Value::Null),
            Self::Items(text) => serde_json::from_str(&["[", text, "]"].concat()).unwrap_or(Value::Null),
            Self::Made(text) => serde_json::from_str(text).unwrap_or(Value::Null),
            Self::Text(text) => Value::String(text.clone().into_owned()),
            Self::Object(fields) => tree(fields.iter().map(|(name, value)| (name.as_ref(), value.to_value()))),
            Self::List(items) => Value::Array(items.iter().flat_map(Self::values).collect()),
        }
    }
}

/// Adds a string of a document.
#[expect(clippy::ptr_arg, reason = "whether it is borrowed says whether it needs escapes")]
fn write_text(text: &Cow<'_, str>, writer: &mut Writer) {
    match text {
        Cow::Borrowed(text) => writer.plain(text),
        Cow::Owned(text) => writer.text(text),
    }
}

/// A field that has the wrong type: its name, and what it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the field {0:?} is not {1}")]
pub(crate) struct WrongType(pub &'static str, pub &'static str);

/// An object of these fields. `json!` does the same with some 100 bytes of code for each field, and copies each value;
/// collecting sorts first, which is 4 KiB more.
pub(crate) fn tree<'f>(fields: impl IntoIterator<Item = (&'f str, Value)>) -> Value {
    let mut tree = Map::new();
    for (name, value) in fields {
        tree.insert(name.to_owned(), value);
    }
    Value::Object(tree)
}

/// What serde says, without the line and column.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    text.truncate(text.find(" at line ").unwrap_or(text.len()));
    text
}
