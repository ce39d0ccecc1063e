//! The settings that the documentation shows are valid, and those with several managers say which requests each is for.

use e2e_tests::capabilities::Host;
use e2e_tests::host::PolicyModule;
use e2e_tests::{modules, yaml};
use serde_json::Value;

use super::markdown::{Document, blocks};

#[test]
fn settings_that_are_shown_are_valid() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let mut checked = 0;
    for document in Document::all() {
        for block in blocks(&document.text) {
            let first = block.lines.first().copied().unwrap_or_default();
            if block.language != "yaml" || !["managers:", "access:"].contains(&first) {
                continue;
            }
            let text = block.lines.join("\n");
            let place = document.path.display();
            let settings = yaml::to_json(&yaml::documents(&text).unwrap()[0]).unwrap();
            let answer = policy.validate_settings(&Host::isolated(), &settings).unwrap();
            assert!(answer.valid, "{place}:\n{text}\n{:?}", answer.message);
            if let Some(managers) = settings["managers"].as_array() {
                let (_, others) = managers.split_last().unwrap();
                for manager in others.iter().filter(|manager| !looks(manager)) {
                    assert!(
                        !manager["match"].is_null(),
                        "{place}: {manager} takes the requests of those behind it"
                    );
                }
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} blocks were found");
}

/// Whether a manager leaves a secret that is not there to the next one.
fn looks(manager: &Value) -> bool {
    ["global", "flyte"].contains(&manager["type"].as_str().unwrap()) || manager["verify"] == true
}
