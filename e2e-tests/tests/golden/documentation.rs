//! The page that tells people of the differences says what the vectors show.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use e2e_tests::{modules, yaml};
use secret_injector_policy::names::Glob;

use crate::comparison::{Differences, Verdict};
use crate::normalisations::NORMALISATIONS;
use crate::{ALL_VECTORS, differences, vectors};

const BEGIN: &str = "<!-- made of e2e-tests/golden/differences.yaml: begin -->\n";
const END: &str = "<!-- end -->\n";

/// Set it to let the test write the section of `docs/reference/flyte-differences.md` instead of comparing it.
const BLESS_VARIABLE: &str = "GOLDEN_BLESS";

#[test]
fn the_documentation_lists_the_differences() {
    let path = modules::repository().join("docs/reference/flyte-differences.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the beginning is marked");
    let (_, after) = rest.split_once(END).expect("the end is marked");
    let expected = format!("{before}{BEGIN}{}{END}{after}", section(&differences()));
    if std::env::var_os(BLESS_VARIABLE).is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        text == expected,
        "docs/reference/flyte-differences.md is not what differences.yaml says; run {BLESS_VARIABLE}=1 cargo test -p e2e-tests \
         --test golden"
    );
}

fn section(list: &Differences) -> String {
    let mut text = "\n### In many vectors\n\n| Name | What is different, and why |\n|---|---|\n".to_owned();
    for reason in &list.normalisations {
        text.push_str(&format!("| {} | {} |\n", reason.id, reason.reason));
    }
    for (title, verdicts) in [
        (
            "### Both admit the Pod, and it looks different",
            (Verdict::Admitted, Verdict::Admitted),
        ),
        (
            "### Flyte admits the Pod, the policy rejects it",
            (Verdict::Admitted, Verdict::Rejected),
        ),
        (
            "### Flyte rejects the Pod, the policy admits it",
            (Verdict::Rejected, Verdict::Admitted),
        ),
    ] {
        text.push_str(&format!(
            "\n{title}\n\n| Name | What is different, and why | Vectors |\n|---|---|---|\n"
        ));
        for entry in list
            .differences
            .iter()
            .filter(|entry| (entry.flyte, entry.policy) == verdicts)
        {
            let vectors: Vec<String> = entry.vectors.iter().map(|vector| format!("`{vector}`")).collect();
            text.push_str(&format!(
                "| {} | {} | {} |\n",
                entry.id,
                entry.reason,
                vectors.join(", ")
            ));
        }
    }
    text.push('\n');
    text
}

/// What the tables of `docs/reference/flyte-differences.md` name as evidence: groups of differences in italics, vectors as code,
/// cases of `tests/policy/` in quotes.
#[test]
fn the_documentation_cites_what_there_is() {
    let text = fs::read_to_string(modules::repository().join("docs/reference/flyte-differences.md")).unwrap();
    let (_, tables) = text.split_once("\n## Where Flyte is wrong\n").unwrap();
    let (tables, _) = tables.split_once(BEGIN).expect("the beginning is marked");
    let list = differences();
    let groups: BTreeSet<&str> = list
        .differences
        .iter()
        .map(|entry| entry.id.as_str())
        .chain(NORMALISATIONS.iter().map(|one| one.id))
        .collect();
    let vectors: Vec<String> = vectors().into_iter().map(|vector| vector.name).collect();
    let cases = policy_cases();
    let mut cited = BTreeSet::new();
    for evidence in tables
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(last_cell)
    {
        let plain: String = evidence.split('`').step_by(2).collect();
        for group in between(&plain, '*') {
            assert!(groups.contains(group), "no group of differences is called {group:?}");
            cited.insert(group.to_owned());
        }
        for vector in between(evidence, '`').filter(|text| text.starts_with('v') && text.contains('/')) {
            assert!(
                vectors.iter().any(|name| Glob::new(vector).fits(name)),
                "no vector is called {vector:?}"
            );
            cited.insert(vector.to_owned());
        }
        for case in between(&plain, '"') {
            assert!(cases.contains(case), "no case of tests/policy is called {case:?}");
            cited.insert(case.to_owned());
        }
    }
    assert!(cited.len() > 40, "the evidence was found: {cited:?}");
    assert!(
        text.contains(&format!(" {ALL_VECTORS} Pods ")),
        "the number of vectors is right"
    );
}

/// The last cell of a table's row.
fn last_cell(row: &str) -> Option<&str> {
    row.trim_end_matches('|').rsplit(" | ").next()
}

/// The texts between two of `mark`.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

fn policy_cases() -> BTreeSet<String> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/policy");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .flat_map(|file| yaml::documents(&fs::read_to_string(file).unwrap()).unwrap())
        .map(|case| {
            case.get("case")
                .and_then(|name| name.as_str())
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}
