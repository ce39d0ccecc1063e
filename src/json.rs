//! JSON that is opened only where it is read or changed.
//!
//! A [`Node`] is a document in which the places that a [`Shape`] names are parsed and everything else is kept as the
//! text it came as. Writing the document back therefore costs a copy for what nobody looked at, and a field that this
//! crate does not know comes out as it went in.

mod error;
mod field;
pub(crate) mod fields;
mod node;
mod reader;
mod writer;

use serde_json::Value;

pub(crate) use field::field;
pub(crate) use node::{Node, Shape, WrongType, tree, without_position};
pub(crate) use writer::Writer;

/// Returns the string in the field `field` of `object`; an empty one where there is none.
pub(crate) fn text_in<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the items of the list in the field `field` of `object`.
pub(crate) fn items_in<'v>(object: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    object.get(field).and_then(Value::as_array).into_iter().flatten()
}
