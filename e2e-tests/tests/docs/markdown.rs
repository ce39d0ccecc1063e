//! As much of Markdown as the documentation uses.

use std::fs;
use std::path::{Path, PathBuf};

use e2e_tests::modules;

/// A file of the documentation.
pub struct Document {
    /// Where it is, from the root of the repository.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// A block between fences.
pub struct Block<'t> {
    /// What stands behind the opening fence.
    pub language: &'t str,
    /// Its lines, without the indentation of the fence.
    pub lines: Vec<&'t str>,
}

impl Document {
    /// The file at `path`, from the root of the repository.
    pub fn read(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let text = fs::read_to_string(modules::repository().join(&path))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, text }
    }

    /// All of them: what git would see, without what is built.
    pub fn all() -> Vec<Self> {
        let root = modules::repository();
        let mut directories = vec![root.to_owned()];
        let mut documents = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    if !["target", ".git", ".venv", "node_modules"].contains(&name.as_str()) {
                        directories.push(path);
                    }
                } else if name.ends_with(".md") {
                    documents.push(Self::read(path.strip_prefix(root).unwrap()));
                }
            }
        }
        documents.sort_by(|a, b| a.path.cmp(&b.path));
        documents
    }

    /// The part under the heading `## title`, up to the next of this level.
    pub fn section(&self, title: &str) -> &str {
        let heading = format!("\n## {title}\n");
        let start = self
            .text
            .find(&heading)
            .unwrap_or_else(|| panic!("{} has no section {title:?}", self.path.display()));
        let rest = &self.text[start + heading.len()..];
        rest.find("\n## ").map_or(rest, |end| &rest[..end])
    }

    /// What GitHub calls the headings in addresses.
    pub fn anchors(&self) -> Vec<String> {
        prose(&self.text)
            .into_iter()
            .filter(|line| line.starts_with('#'))
            .map(|line| {
                let title = line.trim_start_matches('#').trim().to_lowercase();
                let kept = title
                    .chars()
                    .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
                kept.map(|c| if c == ' ' { '-' } else { c }).collect()
            })
            .collect()
    }
}

/// The lines outside of fences.
pub fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines
}

/// What stands between fences.
pub fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Block<'_>)> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (None, Some(language)) => {
                let indentation = line.len() - trimmed.len();
                open = Some((
                    indentation,
                    Block {
                        language,
                        lines: Vec::new(),
                    },
                ));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(_, block)| block)),
            (Some((indentation, block)), None) => block.lines.push(line.get(*indentation..).unwrap_or_default()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

/// The files that a reader makes: blocks behind a comment `<!-- file: NAME -->`, with their names.
pub fn files(text: &str) -> Vec<(&str, String)> {
    let parts = text.split("\n<!-- file: ").skip(1);
    parts
        .map(|part| {
            let (name, rest) = part
                .split_once(" -->\n")
                .expect("a comment for a file is a line of its own");
            let block = blocks(rest).into_iter().next().expect("behind it stands a block");
            (name, block.lines.join("\n") + "\n")
        })
        .collect()
}

/// The rows of the tables whose first column is called `first`, cell by cell.
pub fn rows<'t>(text: &'t str, first: &str) -> Vec<Vec<&'t str>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in prose(text) {
        let cells = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|'));
        let Some(cells) = cells else {
            inside = false;
            continue;
        };
        let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
        if cells[0] == first {
            inside = true;
        } else if inside && !cells[0].starts_with("---") {
            rows.push(cells);
        }
    }
    rows
}

/// What stands in backticks.
pub fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
