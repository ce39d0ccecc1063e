//! `docs/managers.md` has a section for each manager, with all that a section is to have, and the README has them all in its
//! table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use e2e_tests::{modules, settings};

use super::markdown::{Document, code, rows};
use super::settings::{documented, kinds, known_of};

#[test]
fn every_manager_has_a_whole_section() {
    let document = Document::read("docs/managers.md");
    for kind in kinds() {
        let section = document.section(&kind);
        for part in ["**What it needs.**", "**What comes out.**", "**Limits.**"] {
            assert!(section.contains(part), "{kind}: no {part}");
        }
        let shown: BTreeSet<String> = rows(section, "Setting")
            .iter()
            .flat_map(|row| code(row[0]))
            .map(str::to_owned)
            .collect();
        let known = known_of(&kind);
        // An object is there with its fields.
        let whole = |name: &String| known.iter().any(|field| field.starts_with(&format!("{name}.")));
        let expected: BTreeSet<String> = known.iter().filter(|name| !whole(name)).cloned().collect();
        assert_eq!(shown, expected, "{kind}: documented on the left, known on the right");

        let examples = examples_of(section);
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

/// Where both documents give a default as a value, it is one and the same.
#[test]
fn the_defaults_are_those_of_the_settings() {
    let document = Document::read("docs/managers.md");
    for kind in kinds() {
        let expected: BTreeMap<String, String> = documented(&kind).into_iter().map(|s| (s.name, s.default)).collect();
        for row in rows(document.section(&kind), "Setting") {
            let names = code(row[0]);
            let Some(expected) = expected.get(names[0]).filter(|_| names.len() == 1) else {
                continue;
            };
            if expected.starts_with('`') && row[1].starts_with('`') {
                assert_eq!(
                    code(row[1])[0].trim_matches('"'),
                    code(expected)[0],
                    "{kind}: {}",
                    row[0]
                );
            }
        }
    }
}

#[test]
fn every_example_is_mentioned() {
    let mentioned = examples_of(&Document::read("docs/managers.md").text);
    let there: BTreeSet<String> = fs::read_dir(modules::repository().join("e2e-tests/examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        mentioned, there,
        "in docs/managers.md on the left, in e2e-tests/examples on the right"
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
