//! The cases of `tests/policy/*.yaml`; `tests/policy.rs` says what their fields are.
//!
//! A case with `each` is a table: each row is a case of its own, whose fields replace those of the table. `requests`, of a case or
//! a row, are written into the Pod's annotation.

use std::fs;

use secret_injector_policy::requests::JSON_ANNOTATION;
use serde_json::{Value, json};

use crate::modules;
use crate::yaml::{self, YamlError};

/// Returns the cases of all files, each with its file's name.
pub fn read() -> Vec<(String, Value)> {
    let directory = modules::repository().join("e2e-tests/tests/policy");
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the folder of the cases")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    let mut cases = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().display().to_string();
        let text = fs::read_to_string(file).expect("a file of cases");
        let of_file = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.extend(of_file.into_iter().map(|case| (name.clone(), case)));
    }
    assert!(!cases.is_empty());
    cases
}

/// Returns the cases in the text of a file.
///
/// # Errors
/// When it is not YAML.
pub fn parse(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents = yaml::documents(text)?;
    let cases: Vec<Value> = documents.iter().map(yaml::to_json).collect::<Result<_, _>>()?;
    Ok(cases.into_iter().flat_map(rows).collect())
}

/// Returns the cases as [`read`] does, but of each table the first row alone.
pub fn read_first_rows() -> Vec<(String, Value)> {
    let mut cases = read();
    cases.retain(|(_, case)| {
        let name = case["case"].as_str().unwrap_or_default();
        name.rsplit_once(ROW).is_none_or(|(_, number)| number == "1")
    });
    cases
}

/// Stands between a table's name and a row's number.
const ROW: &str = ", row ";

/// Returns the rows of a table, or the one case.
fn rows(mut case: Value) -> Vec<Value> {
    let Some(rows) = case.as_object_mut().and_then(|fields| fields.remove("each")) else {
        return vec![with_requests(case)];
    };
    let rows = rows.as_array().expect("each is a list").iter();
    rows.zip(1..)
        .map(|(row, number)| {
            let mut one = case.clone();
            for (field, value) in row.as_object().expect("a row is an object") {
                one[field] = value.clone();
            }
            one["case"] = json!(format!("{}{ROW}{number}", case["case"].as_str().unwrap_or_default()));
            with_requests(one)
        })
        .collect()
}

fn with_requests(mut case: Value) -> Value {
    if let Some(requests) = case.as_object_mut().and_then(|fields| fields.remove("requests")) {
        case["pod"]["metadata"]["annotations"][JSON_ANNOTATION] = json!(requests.to_string());
    }
    case
}
