//! The settings that `docs/how-to/other-systems.md` shows are valid.

use e2e_tests::capabilities::Host;
use e2e_tests::host::PolicyModule;
use e2e_tests::{modules, yaml};

use super::markdown::{Document, blocks};

#[test]
fn its_settings_are_valid() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let document = Document::read("docs/how-to/other-systems.md");
    let mut checked = 0;
    for block in blocks(&document.text) {
        if block.language != "yaml" || block.lines[0] != "managers:" {
            continue;
        }
        let text = block.lines.join("\n");
        let settings = yaml::to_json(&yaml::documents(&text).unwrap()[0]).unwrap();
        let answer = policy.validate_settings(&Host::isolated(), &settings).unwrap();
        assert!(answer.valid, "{text}\n{:?}", answer.message);
        checked += 1;
    }
    assert!(checked >= 2, "only {checked} blocks were found");
}
