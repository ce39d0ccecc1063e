//! Files, and where something is in them.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::{
    failure::Failure,
    yaml::{self, Document},
};

const STANDARD_INPUT: &str = "-";
/// True once somebody has read it: there is nothing left then.
static STANDARD_INPUT_IS_READ: AtomicBool = AtomicBool::new(false);

/// Returns what a file is called in messages.
pub fn name(path: &Path) -> String {
    match path == Path::new(STANDARD_INPUT) {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// The text of a file, or of standard input.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's name, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// Reads a file; `-` is standard input, which can be read once.
    ///
    /// # Errors
    /// A file that cannot be read, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = name(path);
        let text = if path != Path::new(STANDARD_INPUT) {
            fs::read_to_string(path)
        } else if STANDARD_INPUT_IS_READ.swap(true, Ordering::Relaxed) {
            return Err(Failure::new(
                "standard input (-) can be read only once: put one of its readers' inputs into a file",
            ));
        } else {
            io::read_to_string(io::stdin().lock())
        };
        let text = text.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Failure::new(format!("cannot read {name}: it is not UTF-8")),
            _ => Failure::new(format!("cannot read {name}: {error}")),
        })?;
        // Editors of Windows put a byte order mark in front.
        let text = match text.strip_prefix('\u{feff}') {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        Ok(Self { name, text })
    }

    /// Reads files one after another.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Self>, Failure> {
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Returns the documents of the text.
    ///
    /// # Errors
    /// A text that is neither YAML nor JSON.
    pub fn documents(&self) -> Result<Vec<Document>, Failure> {
        yaml::located(&self.text).map_err(|error| Failure::at(&self.name, error))
    }

    /// Returns where a document is, in words.
    pub fn place(&self, document: &Document) -> Place<'_> {
        Place {
            source: self,
            number: document.number,
            line: document.line,
        }
    }

    /// Returns the line of the field that `message` begins with, such as `webhook.secretManagerType`, wherever it is in the text.
    pub fn line_of_field(&self, message: &str) -> Option<usize> {
        find_field(&self.text, 1, self.text.lines().count(), message)
    }

    /// Returns the place of the field that `message` begins with, such as `managers[1] (vault).role`, in the document that begins
    /// at `line`: the line of the deepest part of the path that is found.
    pub fn place_of_field(&self, number: usize, line: usize, message: &str) -> Place<'_> {
        Place {
            source: self,
            number,
            line: find_field(&self.text, line, end_of_document(&self.text, line), message).unwrap_or(line),
        }
    }
}

/// A place in a source: `FILE, document 2, line 14`.
#[derive(Debug, Clone, Copy)]
pub struct Place<'s> {
    source: &'s Source,
    number: usize,
    line: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, document {}, line {}", self.source.name, self.number, self.line)
    }
}

/// Follows the path at the front of a message through lines in block style.
fn find_field(text: &str, first: usize, end: usize, message: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let lines = lines.get(first.saturating_sub(1)..end)?;
    let (mut position, mut found) = (0, None);
    for step in path(message) {
        let next = match step {
            Step::Field(name) => lines.iter().skip(position).position(|line| has_field(line, &name)),
            Step::Item(number) => item(lines.get(position..)?, number),
        };
        let Some(next) = next else { break };
        position += next;
        found = Some(first + position);
    }
    found
}

/// The number of the last line of the document that begins at `first`.
fn end_of_document(text: &str, first: usize) -> usize {
    let mut lines = text.lines().enumerate();
    let end = lines.find(|(index, line)| *index >= first && line.starts_with("---"));
    end.map_or_else(|| text.lines().count(), |(index, _)| index)
}

enum Step {
    Field(String),
    Item(usize),
}

/// The path at the front of a message. The type of a manager, in parentheses, is a part of it.
fn path(message: &str) -> Vec<Step> {
    let mut words = message.split(' ');
    let mut path = words.next().unwrap_or_default().to_owned();
    if let Some((kind, rest)) = words.next().and_then(|word| word.split_once(')'))
        && kind.starts_with('(')
    {
        path += rest;
    }
    let mut steps = Vec::new();
    for part in path.split(['.', '[']).filter(|part| !part.is_empty()) {
        let part = part.trim_end_matches(':');
        match part.strip_suffix(']').map(str::parse) {
            Some(Ok(number)) => steps.push(Step::Item(number)),
            _ => steps.push(Step::Field(part.to_owned())),
        }
    }
    steps
}

fn has_field(line: &str, name: &str) -> bool {
    let line = line.split(" #").next().unwrap_or_default();
    line.match_indices(name).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        let after = line[index + name.len()..].trim_start_matches(['"', '\'']);
        before.is_none_or(|character| " {,\"'-".contains(character)) && after.trim_start().starts_with(':')
    })
}

/// The line of the item in a list that begins behind the first of `lines`.
fn item(lines: &[&str], number: usize) -> Option<usize> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_item = |line: &str| line.trim_start().starts_with("- ") || line.trim() == "-";
    let first = lines.iter().skip(1).position(|line| is_item(line))? + 1;
    let depth = indent(lines.get(first)?);
    let of_list = |(_, line): &(usize, &&str)| is_item(line) && indent(line) == depth;
    lines
        .iter()
        .enumerate()
        .skip(first)
        .filter(of_list)
        .nth(number)
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_messages_are_found() {
        let text = "# about\nenvPrefix: X\nmanagers:\n  - type: kubernetes\n    verify: true\n  - type: vault\n    rol: x\naccess:\n- {a: 1}\n- {secrets: null}\n";
        for (message, line) in [
            ("managers[1] (vault).rol is not a setting", 7),
            ("managers[0] (kubernetes).verify has the wrong type", 5),
            ("managers[1] (vault).role is missing", 6),
            ("access[1].secrets has nothing under it", 10),
            ("envPrefix cannot begin an environment variable name", 2),
            ("settings is not an object", 1),
        ] {
            assert_eq!(
                find_field(text, 1, text.lines().count(), message).unwrap_or(1),
                line,
                "{message}"
            );
        }
    }
}
