//! Each manager has a page of its own with all that such a page is to have, and the README has them all in its table.

use std::collections::BTreeSet;
use std::fs;

use e2e_tests::{modules, settings};

use super::markdown::{Document, code, prose, rows};
use super::settings::kinds;

/// The page for a type of manager.
fn page(kind: &str) -> Document {
    let store = if kind == "gcp" { "google" } else { kind };
    Document::read(format!("docs/how-to/use-{store}.md"))
}

#[test]
fn every_manager_has_a_whole_page() {
    for kind in kinds() {
        let page = page(&kind);
        for part in ["What you need", "What the Pod gets", "Limits"] {
            assert!(!page.section(part).trim().is_empty(), "{kind}: {part} is empty");
        }
        assert!(
            prose(&page.text)
                .iter()
                .any(|line| line.contains(&format!("settings.md#{kind}"))),
            "{kind}: the page does not lead to its settings"
        );

        let examples = examples_of(&page.text);
        assert!(!examples.is_empty(), "{kind}: no `make run EXAMPLE=…`");
        let serves = |example: &String| {
            let path = modules::repository().join(format!("e2e-tests/examples/{example}/settings.yaml"));
            let settings = settings::from_file(&path).unwrap_or_else(|error| panic!("{kind}: {error}"));
            // Without managers there is the default one.
            let managers = settings["managers"].as_array().cloned().unwrap_or_default();
            managers.iter().any(|manager| manager["type"] == kind.as_str())
                || managers.is_empty() && kind == "kubernetes"
        };
        assert!(
            examples.iter().all(serves),
            "{kind}: {examples:?} are not of this manager"
        );
    }
}

/// A setting that is described in two places is soon described in two ways: how-tos show settings, and lead to their tables.
#[test]
fn settings_stand_in_one_document() {
    for document in Document::all() {
        if document.path.starts_with("docs/how-to") || document.path.starts_with("docs/tutorials") {
            let settings = rows(&document.text, "Setting");
            assert!(settings.is_empty(), "{}: {settings:?}", document.path.display());
        }
    }
}

#[test]
fn every_example_is_mentioned() {
    let mentioned: BTreeSet<String> = Document::all()
        .iter()
        .filter(|document| document.path.starts_with("docs/how-to"))
        .flat_map(|document| examples_of(&document.text))
        .collect();
    let there: BTreeSet<String> = fs::read_dir(modules::repository().join("e2e-tests/examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        mentioned, there,
        "in docs/how-to on the left, in e2e-tests/examples on the right"
    );
}

#[test]
fn the_readme_has_all_managers() {
    let readme = Document::read("README.md");
    let listed: BTreeSet<String> = rows(&readme.text, "Type")
        .iter()
        .map(|row| code(row[0])[0].to_owned())
        .collect();
    assert_eq!(listed, kinds().into_iter().collect());
}

/// The names in `make run EXAMPLE=name`.
fn examples_of(text: &str) -> BTreeSet<String> {
    text.split("EXAMPLE=")
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            rest[..end.unwrap_or(rest.len())].to_owned()
        })
        .collect()
}
