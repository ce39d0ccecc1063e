//! What keeps the tool from doing what it was asked to.

use std::{error::Error, fmt};

/// A message for a person: what is wrong, where, and what to do. The tool ends with the status 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// Makes it of a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Makes it of a message about a place, such as a file.
    pub fn at(place: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self(format!("{place}: {message}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text of this crate's errors names their cause, so the cause is not printed again.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
