//! Where a file appears, below the directory of secrets.

use std::cmp::Ordering;

/// A path below a directory: no empty, `.` or `..` part, so that it cannot leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RelativePath(String);

impl RelativePath {
    /// Joins `parts`, each a file's name.
    ///
    /// # Errors
    /// The first part that cannot be a file's name: empty, `.`, `..`, with a `/` or a control character, or longer than
    /// the 255 bytes that Linux allows.
    pub(crate) fn new<'p>(parts: &[&'p str]) -> Result<Self, &'p str> {
        let is_name = |part: &&&str| {
            !matches!(**part, "" | "." | "..")
                && part.len() <= 255
                && !part.contains(|character: char| character == '/' || character.is_control())
        };
        match parts.iter().find(|part| !is_name(part)) {
            Some(part) => Err(part),
            None => Ok(Self(parts.join("/"))),
        }
    }

    /// The path in lower case.
    pub(crate) fn into_lower_case(mut self) -> Self {
        self.0.make_ascii_lowercase();
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares part by part: what is below a directory stands right behind that directory.
    pub(crate) fn compare_parts(&self, other: &Self) -> Ordering {
        self.0.split('/').cmp(other.0.split('/'))
    }

    /// The path without its last part; empty where there is only one.
    pub(crate) fn directory(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// The last part.
    pub(crate) fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The first part.
    pub(crate) fn first(&self) -> &str {
        self.0.split_once('/').map_or(self.0.as_str(), |(first, _)| first)
    }
}
