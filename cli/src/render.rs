//! What the preview shows: the difference that a policy makes to a Pod, and where its secrets come from.

use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::yaml::{self, Yaml, YamlError};

/// The audit annotation in which the policy says what it injected.
pub const INJECTED: &str = "injected";

/// The same of a dry run, which injects nothing.
pub const WOULD_INJECT: &str = "wouldInject";

const CONTEXT_LINES: usize = 3;

/// Whether to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// ANSI escape sequences.
    On,
    /// Plain text.
    Off,
}

/// The ANSI colours in use.
#[derive(Debug, Clone, Copy)]
enum Style {
    Bold,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Color {
    /// Returns a word that announces a failure.
    pub fn error(self, text: &str) -> String {
        self.paint(Style::Red, text)
    }

    /// Returns a word that announces a warning.
    pub fn warning(self, text: &str) -> String {
        self.paint(Style::Yellow, text)
    }

    /// Returns a heading.
    pub fn heading(self, text: &str) -> String {
        self.paint(Style::Bold, text)
    }

    fn paint(self, style: Style, text: impl fmt::Display) -> String {
        if self == Self::Off {
            return text.to_string();
        }
        let code = match style {
            Style::Bold => 1,
            Style::Red => 31,
            Style::Green => 32,
            Style::Yellow => 33,
            Style::Cyan => 36,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// One secret that the policy injected, as its audit annotation says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Injected {
    /// Where the Pod asks for it.
    pub request: String,
    /// Group and key.
    pub secret: String,
    /// Who serves it.
    pub manager: String,
    /// The variables that hold it, or its path.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The file that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where the value comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// The unified diff from one object to the other, as YAML with the fields in the order of `source`. Empty where they are
/// equal.
pub fn diff(before: &Value, after: &Value, source: Option<&Yaml>, color: Color) -> Result<String, YamlError> {
    let before = yaml::to_text(before, source)?;
    let after = yaml::to_text(after, source)?;
    let diff = TextDiff::from_lines(&before, &after);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT_LINES).iter_hunks() {
        if text.is_empty() {
            text += &color.paint(Style::Bold, "--- Pod as requested\n+++ Pod as admitted\n");
        }
        text += &color.paint(Style::Cyan, hunk.header());
        text.push('\n');
        for change in hunk.iter_changes() {
            let line = change.to_string_lossy();
            let line = line.trim_end_matches('\n');
            text += &match change.tag() {
                ChangeTag::Delete => color.paint(Style::Red, format_args!("-{line}")),
                ChangeTag::Insert => color.paint(Style::Green, format_args!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            };
            text.push('\n');
        }
    }
    Ok(text)
}

/// The warnings, one a line.
pub fn warnings(warnings: &[String], color: Color) -> String {
    warnings.iter().fold(String::new(), |mut text, warning| {
        // Writing to a String does not fail.
        _ = writeln!(text, "{} {warning}", color.paint(Style::Yellow, "warning:"));
        text
    })
}

/// What the audit annotation [`INJECTED`] says, or nothing where it is not a list of such objects.
pub fn injected(annotation: &str) -> Vec<Injected> {
    serde_json::from_str(annotation).unwrap_or_default()
}

/// A table of the secrets: which, by which manager, as which variables and file, from where.
pub fn table(secrets: &[Injected], color: Color) -> String {
    const HEADINGS: [&str; 4] = ["SECRET", "MANAGER", "AS", "FROM"];
    if secrets.is_empty() {
        return String::new();
    }
    let rows: Vec<[String; 4]> = secrets.iter().flat_map(rows).collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
    });
    let line = |cells: [&str; 4]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = color.paint(Style::Bold, line(HEADINGS)) + "\n";
    for row in &rows {
        text += &line(row.each_ref().map(String::as_str));
        text.push('\n');
    }
    text
}

/// A row for each way in which the container gets the secret; only the first repeats which secret it is.
fn rows(secret: &Injected) -> Vec<[String; 4]> {
    let ways = secret.env.iter().chain(secret.file.as_ref()).cloned();
    let mut rows: Vec<[String; 4]> = ways
        .map(|way| [String::new(), String::new(), way, String::new()])
        .collect();
    if rows.is_empty() {
        rows.push(Default::default());
    }
    rows[0][0].clone_from(&secret.secret);
    rows[0][1].clone_from(&secret.manager);
    rows[0][3] = secret.source.clone().unwrap_or_default();
    rows
}

/// A rejection: what the policy says, and the code.
pub fn rejection(message: &str, code: Option<u16>, color: Color) -> String {
    let rejected = color.paint(Style::Red, "rejected");
    match code {
        Some(code) => format!("{rejected} (code {code}): {message}"),
        None => format!("{rejected}: {message}"),
    }
}
