//! What `preview settings-from-flyte` makes of a Flyte webhook's configuration, and that the real module takes it.
//!
//! The cases are YAML documents in `tests/flyte_config.yaml`, each with
//!
//! - `case`: what it shows;
//! - `version`: 1 or 2, Flyte's; it is guessed when absent;
//! - `flyte`: the configuration, or `file`, one in this crate's directory;
//! - `settings`: the policy's settings that come out, or `error`, a part of the message;
//! - `notes`: parts of the notes, in the form `field: text`, of which there must be as many as given.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e_tests::capabilities::Host;
use e2e_tests::flyte_config::{self, FlyteVersion};
use e2e_tests::host::PolicyModule;
use e2e_tests::{modules, settings, yaml};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    version: Option<u8>,
    #[serde(default)]
    flyte: Value,
    file: Option<String>,
    settings: Option<Value>,
    error: Option<String>,
    #[serde(default)]
    notes: Vec<String>,
}

fn directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(directory().join("tests/flyte_config.yaml")).unwrap();
    let cases: Vec<Case> = yaml::documents(&text)
        .unwrap()
        .iter()
        .map(|document| serde_json::from_value(yaml::to_json(document).unwrap()).unwrap())
        .collect();
    assert!(!cases.is_empty());
    cases
}

#[test]
fn configurations_become_settings_that_the_policy_takes() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    for case in cases() {
        let name = &case.case;
        let text = match &case.file {
            Some(file) => fs::read_to_string(directory().join(file)).unwrap(),
            None => yaml::to_text(&case.flyte, None).unwrap(),
        };
        let version = case.version.map(|version| match version {
            1 => FlyteVersion::V1,
            _ => FlyteVersion::V2,
        });
        let conversion = match flyte_config::from_text(&text, version) {
            Ok(conversion) => conversion,
            Err(error) => {
                let expected = case.error.unwrap_or_else(|| panic!("{name}: {error}"));
                assert!(error.to_string().contains(&expected), "{name}: {error}");
                continue;
            }
        };
        assert_eq!(case.error, None, "{name}: {:?}", conversion.settings);
        let text = conversion.to_yaml().unwrap();
        assert_eq!(Some(&conversion.settings), case.settings.as_ref(), "{name}:\n{text}");
        assert_eq!(
            settings::from_text(&text).unwrap(),
            conversion.settings,
            "{name}: the YAML is the settings"
        );
        let notes: Vec<String> = conversion.notes.iter().map(ToString::to_string).collect();
        for part in &case.notes {
            assert!(
                notes.iter().any(|note| note.contains(part.as_str())),
                "{name}: no note {part:?} in {notes:#?}"
            );
        }
        assert_eq!(notes.len(), case.notes.len(), "{name}: {notes:#?}");
        let validity = policy
            .validate_settings(&Host::isolated(), &conversion.settings)
            .unwrap();
        assert!(validity.valid, "{name}: {:?}", validity.message);
    }
}

#[test]
fn the_tool_prints_settings_with_the_notes_as_comments() {
    let config = directory().join("golden/defaults_v1.json");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_preview"))
            .arg("settings-from-flyte")
            .arg(&config)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&["--flyte-version", "1"]);
    assert!(text.starts_with("# - secrets: "), "{text}");
    assert!(text.contains("\n# - webhook.certDir: "), "{text}");
    assert!(
        text.contains("\nenvPrefix: _FSEC_\nmanagers:\n- type: global\n"),
        "{text}"
    );
    assert!(
        run(&[]).contains("\nenvPrefix: _UNION_\n"),
        "Flyte 2 unless told otherwise"
    );
}
