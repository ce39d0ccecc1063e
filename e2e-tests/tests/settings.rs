//! What the policy says of its settings, on the real module: `tests/settings/*.yaml` hold lists of settings, with parts
//! of the message where they are not valid.

use std::fs;
use std::path::Path;

use e2e_tests::capabilities::Host;
use e2e_tests::host::PolicyModule;
use e2e_tests::{modules, yaml};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    settings: Value,
    #[serde(default)]
    invalid: Vec<String>,
}

#[test]
fn settings_are_checked() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let mut failures = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/settings")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let document = yaml::documents(&text).unwrap().into_iter().next().expect("a list of settings");
        let cases: Vec<Case> = serde_json::from_value(yaml::to_json(&document).unwrap()).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let answer = policy.validate_settings(&Host::isolated(), &case.settings).unwrap();
            let message = answer.message.unwrap_or_default();
            if answer.valid != case.invalid.is_empty() || case.invalid.iter().any(|part| !message.contains(part)) {
                failures.push(format!("{}\nexpected {:?}, got {message:?}", case.settings, case.invalid));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
