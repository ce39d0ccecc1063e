//! Reading JSON into a [`Node`].

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::node::{Node, Shape, TWICE};

impl<'a> Node<'a> {
    /// Parses `text`, opening what `shape` names.
    ///
    /// # Errors
    /// When `text` is not JSON.
    pub(crate) fn parse(text: &'a str, shape: Shape) -> serde_json::Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let node = Open(shape).deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(node)
    }
}

/// Deserializes a [`Node`] of a [`Shape`].
#[derive(Debug, Clone, Copy)]
struct Open(Shape);

impl<'de> DeserializeSeed<'de> for Open {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        match self.0 {
            Shape::Closed => <&RawValue>::deserialize(deserializer).map(Node::Closed),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Open {
    type Value = Node<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Invalid("a boolean stands where Kubernetes has none"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Invalid("a number stands where Kubernetes has none"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Invalid("a number stands where Kubernetes has none"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Invalid("a number stands where Kubernetes has none"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let item = match self.0 {
            Shape::ListOf(item) => *item,
            _ => Shape::Closed,
        };
        let mut items = Vec::new();
        while let Some(node) = list.next_element_seed(Open(item))? {
            items.push(node);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        // The containers and the metadata of most Pods have some eight fields.
        let mut room = match self.0 {
            Shape::Fields(known) | Shape::Only(known) => (known.len() * 4).min(8),
            _ => 0,
        };
        let mut fields: Vec<(Cow<'de, str>, Node<'de>)> = Vec::new();
        let mut twice = false;
        while let Some(Name(name)) = map.next_key()? {
            fields.reserve_exact(std::mem::take(&mut room));
            let shape = match self.0 {
                Shape::Fields(known) | Shape::Only(known) => {
                    known.iter().find(|(field, _)| *field == name).map(|(_, shape)| *shape)
                }
                Shape::MapOf(shape) => Some(*shape),
                _ => None,
            };
            // Only the fields that are known could be misread; a map's keys may be many.
            if shape.is_some() && !matches!(self.0, Shape::MapOf(_)) {
                twice |= fields.iter().any(|(known, _)| *known == name);
            }
            match (self.0, shape) {
                (Shape::Only(_), None) => _ = map.next_value::<IgnoredAny>()?,
                _ => fields.push((name, map.next_value_seed(Open(shape.unwrap_or(Shape::Closed)))?)),
            }
        }
        Ok(if twice {
            Node::Invalid(TWICE)
        } else {
            Node::Object(fields)
        })
    }
}

/// An object's key, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
