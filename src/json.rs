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

pub(crate) use field::field;
pub(crate) use node::{Node, Shape, WrongType, tree, without_position};
pub(crate) use writer::Writer;
