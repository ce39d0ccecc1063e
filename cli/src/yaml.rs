//! Reading YAML and JSON alike, and writing YAML whose fields stay in the order in which somebody wrote them.

use serde::Deserialize;
use serde_json::Value;

pub use serde_norway::Value as Yaml;

/// Why a text is neither YAML nor JSON.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// It starts as JSON does, but isn't.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is not YAML.
    #[error("not YAML: {0}")]
    Yaml(#[from] serde_norway::Error),
    /// Kubernetes, which reads YAML as JSON, cannot read it.
    #[error(
        "not YAML of Kubernetes: a field has a mapping or a list as its name, as `{{{{ … }}}}` of a template is one without quotes"
    )]
    Name,
    /// It is not YAML, in a line that this program has found.
    #[error("not YAML: {message} at line {line}")]
    YamlAt {
        /// The line, counted from 1: that of the error, or the first one of its document.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// A document, and where it is in its text.
#[derive(Debug, Clone)]
pub struct Document {
    /// The document.
    pub value: Yaml,
    /// Its number in the text, counted from 1; empty documents are counted.
    pub number: usize,
    /// The number of its first line, counted from 1.
    pub line: usize,
}

/// Returns the documents of `text`, without the empty ones.
///
/// # Errors
/// [`YamlError`]
pub fn documents(text: &str) -> Result<Vec<Yaml>, YamlError> {
    Ok(located(text)?.into_iter().map(|document| document.value).collect())
}

/// Returns the documents of `text` with their places, without the empty ones.
///
/// # Errors
/// [`YamlError`]
pub fn located(text: &str) -> Result<Vec<Document>, YamlError> {
    // YAML readers take most of JSON, but not all of it: surrogate pairs in escapes are where they differ. YAML in flow style
    // begins as JSON does.
    let json = match text.trim_start().starts_with(['{', '[']) {
        true => Some(json_documents(text)),
        false => None,
    };
    let (values, lines) = match json {
        Some(Ok(documents)) => documents.into_iter().unzip(),
        Some(Err(error)) => {
            let values = yaml_documents(text).map_err(|not_yaml| likelier(text, error, not_yaml))?;
            (values, first_lines(text))
        }
        None => (yaml_documents(text)?, first_lines(text)),
    };
    let located = values.into_iter().enumerate().map(|(index, value)| Document {
        value,
        number: index + 1,
        line: lines.get(index).copied().unwrap_or(1),
    });
    Ok(located.filter(|document| !document.value.is_null()).collect())
}

/// The documents with their lines.
fn json_documents(text: &str) -> Result<Vec<(Yaml, usize)>, serde_json::Error> {
    let mut documents = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter();
    loop {
        let (before, rest) = text.split_at_checked(stream.byte_offset()).unwrap_or((text, ""));
        let space = rest.len() - rest.trim_start().len();
        let line = 1 + before.matches('\n').count() + rest.get(..space).unwrap_or_default().matches('\n').count();
        match stream.next() {
            Some(document) => documents.push((document?, line)),
            None => return Ok(documents),
        }
    }
}

fn yaml_documents(text: &str) -> Result<Vec<Yaml>, YamlError> {
    let mut documents = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let read = Yaml::deserialize(document).and_then(|mut value| value.apply_merge().map(|()| value));
        documents.push(read.map_err(|error| with_line(text, documents.len(), error))?);
    }
    Ok(documents)
}

/// Adds the line to an error that has none, or that of the object which has a field twice.
fn with_line(text: &str, document: usize, error: serde_norway::Error) -> YamlError {
    let message = error.to_string();
    // Some errors have the position alone.
    let start = error.location().map(|location| location.line());
    let start = start.filter(|_| message.contains(" at line "));
    let twice = message
        .split('"')
        .nth(1)
        .filter(|_| message.starts_with("duplicate entry"));
    if start.is_some() && twice.is_none() {
        return error.into();
    }
    let start = start.or_else(|| first_lines(text).get(document).copied()).unwrap_or(1);
    let lines = || text.lines().enumerate().skip(start - 1);
    let line = match twice {
        Some(field) => second(lines(), field),
        None => lines().find(|(_, line)| line.contains(|character: char| character.is_control() && character != '\t')),
    };
    YamlError::YamlAt {
        line: line.map_or(start, |(index, _)| index + 1),
        message: message.split(" at ").next().unwrap_or_default().to_owned(),
    }
}

/// The line in which a field begins for the second time, with the indentation of the first.
fn second<'t>(lines: impl Iterator<Item = (usize, &'t str)>, field: &str) -> Option<(usize, &'t str)> {
    let mut first = None;
    for (index, line) in lines {
        let inner = line.trim_start_matches([' ', '-']);
        let rest = inner.trim_start_matches(['"', '\'']).strip_prefix(field);
        if !rest.is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':')) {
            continue;
        }
        let indent = line.len() - inner.len();
        if first.is_some_and(|first| first == indent) {
            return Some((index, line));
        }
        first.get_or_insert(indent);
    }
    None
}

/// Returns the error of the notation that the author more likely meant: keys in quotes, or nothing behind the brace, are JSON.
fn likelier(text: &str, json: serde_json::Error, yaml: YamlError) -> YamlError {
    let first = text
        .trim_start()
        .chars()
        .skip(1)
        .find(|character| !character.is_whitespace());
    match first {
        Some('"' | '{' | '[') | None => json.into(),
        Some(_) => yaml,
    }
}

/// The numbers of the lines in which documents begin.
fn first_lines(text: &str) -> Vec<usize> {
    let mut lines = vec![1];
    let mut empty = true;
    for (index, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            match (empty, lines.last_mut()) {
                // The first document may begin with the separator.
                (true, Some(first)) if *first == 1 => *first = index + 2,
                _ => lines.push(index + 2),
            }
            empty = false;
        } else if !line.trim().is_empty() && !line.starts_with(['#', '%']) {
            empty = false;
        }
    }
    lines
}

/// `value` as JSON.
pub fn to_json(value: &Yaml) -> Result<Value, YamlError> {
    serde_json::to_value(value).map_err(|_| YamlError::Name)
}

/// Fields that manifests have in front, in the order in which they have them.
const LEADING: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "name",
    "namespace",
    "image",
    "imagePullPolicy",
    "command",
    "args",
    "env",
    "value",
];

/// `value` with its fields in the order of `model`, and the fields that `model` lacks behind them.
///
/// The elements of a list follow the element of the same `name`, or else of the same position.
pub fn ordered_like(value: &Value, model: Option<&Yaml>) -> Yaml {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_by_key(|key| (position(key, model), leading(key), key.as_str()));
            keys.into_iter()
                .map(|key| {
                    let field = ordered_like(&fields[key], model.and_then(|m| m.get(key.as_str())));
                    (Yaml::String(key.clone()), field)
                })
                .collect::<serde_norway::Mapping>()
                .into()
        }
        Value::Array(elements) => elements
            .iter()
            .enumerate()
            .map(|(index, element)| ordered_like(element, counterpart(element, index, model)))
            .collect(),
        Value::Null => Yaml::Null,
        Value::Bool(truth) => Yaml::Bool(*truth),
        Value::String(text) => Yaml::String(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => integer.into(),
            (_, Some(integer)) => integer.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
    }
}

/// `value` as YAML text, its fields ordered like those of `model`.
pub fn to_text(value: &Value, model: Option<&Yaml>) -> Result<String, YamlError> {
    let ordered = ordered_like(value, model);
    let mut words = Vec::new();
    ambiguous(&ordered, &mut words);
    if words.is_empty() {
        return Ok(serde_norway::to_string(&ordered)?);
    }
    // The writer quotes what YAML 1.2 reads as no text. Behind a mark that is nowhere else, the other words are found in its text.
    let taken = value.to_string();
    let mut mark = "quote-".to_owned();
    while taken.contains(&mark) {
        mark += "quote-";
    }
    let mut text = serde_norway::to_string(&marked(ordered, &mark))?;
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    for word in words {
        text = text.replace(&format!("{mark}{word}"), &format!("'{word}'"));
    }
    Ok(text)
}

/// Returns whether kubectl and Helm, whose YAML is that of version 1.1, read such a word without quotes as a truth value or a number.
fn is_ambiguous(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    if matches!(word.as_str(), "y" | "yes" | "n" | "no" | "on" | "off") {
        return true;
    }
    let is_number = |character: char| character.is_ascii_hexdigit() || "xob_+-.".contains(character);
    word.contains('_') && word.starts_with(|first: char| "0123456789+-.".contains(first)) && word.chars().all(is_number)
}

fn ambiguous(value: &Yaml, words: &mut Vec<String>) {
    match value {
        Yaml::String(text) if is_ambiguous(text) => words.push(text.clone()),
        Yaml::Sequence(items) => items.iter().for_each(|item| ambiguous(item, words)),
        Yaml::Mapping(fields) => fields.iter().for_each(|(key, value)| {
            ambiguous(key, words);
            ambiguous(value, words);
        }),
        _ => {}
    }
}

/// Puts the mark in front of the ambiguous words.
fn marked(value: Yaml, mark: &str) -> Yaml {
    match value {
        Yaml::String(text) if is_ambiguous(&text) => Yaml::String(format!("{mark}{text}")),
        Yaml::Sequence(items) => items.into_iter().map(|item| marked(item, mark)).collect(),
        Yaml::Mapping(fields) => fields
            .into_iter()
            .map(|(key, value)| (marked(key, mark), marked(value, mark)))
            .collect::<serde_norway::Mapping>()
            .into(),
        other => other,
    }
}

fn position(key: &str, model: Option<&Yaml>) -> usize {
    model
        .and_then(Yaml::as_mapping)
        .and_then(|fields| fields.keys().position(|known| known.as_str() == Some(key)))
        .unwrap_or(usize::MAX)
}

fn leading(key: &str) -> usize {
    LEADING.iter().position(|name| *name == key).unwrap_or(LEADING.len())
}

fn counterpart<'m>(element: &Value, index: usize, model: Option<&'m Yaml>) -> Option<&'m Yaml> {
    let elements = model?.as_sequence()?;
    match element.get("name").and_then(Value::as_str) {
        Some(name) => elements
            .iter()
            .find(|known| known.get("name").and_then(Yaml::as_str) == Some(name)),
        None => elements.get(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_keep_the_order_of_the_model() {
        let model = documents("spec:\n  b: 1\n  a: 2\n  list:\n  - {x: 1, name: two}\nkind: Pod\n").unwrap();
        let value = json!({
            "kind": "Pod", "new": true,
            "spec": {"a": 2, "b": 1, "list": [{"value": "v", "name": "one"}, {"name": "two", "x": 1}]},
        });
        assert_eq!(
            to_text(&value, model.first()).unwrap(),
            "spec:\n  b: 1\n  a: 2\n  list:\n  - name: one\n    value: v\n  - x: 1\n    name: two\nkind: Pod\nnew: true\n"
        );
    }

    #[test]
    fn words_that_kubectl_reads_as_something_else_are_quoted() {
        let value = json!({
            "no": "yes", "quote-": ["Off", "y", "1_000", "0x_1F", "-1_0.5", "1_000 m", "node_1", "quote-on", "yes it is", "true", "007"],
        });
        assert_eq!(
            to_text(&value, None).unwrap(),
            "'no': 'yes'\nquote-:\n- 'Off'\n- 'y'\n- '1_000'\n- '0x_1F'\n- '-1_0.5'\n- 1_000 m\n- node_1\n- quote-on\n- yes it is\n- 'true'\n- '007'\n"
        );
    }

    #[test]
    fn documents_have_their_places() {
        for (text, places) in [
            ("a: 1\n---\nb: 2\n", vec![(1, 1), (2, 3)]),
            ("# about\n---\na: 1\n---\n---\nb: 2\n", vec![(1, 3), (3, 6)]),
            ("{a: 1, b: [c]}\n---\n{d: 2}\n", vec![(1, 1), (2, 3)]),
            ("{\"a\": 1}\n{\"b\": 2}", vec![(1, 1), (2, 2)]),
            ("\n{\"a\":\n 1}\n\n{\"b\": 2}\n", vec![(1, 2), (2, 5)]),
            ("", vec![]),
        ] {
            let found: Vec<_> = located(text)
                .unwrap()
                .iter()
                .map(|one| (one.number, one.line))
                .collect();
            assert_eq!(found, places, "{text}");
        }
    }

    #[test]
    fn errors_are_those_of_the_notation_that_was_meant() {
        for (text, expected) in [
            ("{", "not JSON"),
            ("{\"a\": ]", "not JSON"),
            ("{a: 1", "not YAML"),
            ("a: [", "not YAML"),
        ] {
            let error = documents(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn json_with_surrogate_pairs_is_read() {
        let read = documents("{\"a\": \"\\ud83d\\ude00\"}").unwrap();
        assert_eq!(to_json(&read[0]).unwrap(), json!({"a": "😀"}));
    }
}
