//! What `secret-injector from-flyte` makes of a Flyte webhook's configuration, and that the module takes it.
//!
//! The cases are YAML documents in `tests/flyte_config.yaml`, each with
//!
//! - `case`: what it shows;
//! - `version`: 1 or 2, Flyte's, as `--flyte-version` says it;
//! - `global`: true for `--global-secrets`;
//! - `files`: the files, each a YAML value, or `file`, one in the repository;
//! - `settings`: the policy's settings that come out, or `error`, a part of the message;
//! - `notes`: parts of the notes, in the form `field: text`, of which there must be as many as given;
//! - `policy`: parts of what `-o policy` prints;
//! - `overlay`: parts of the files that `--overlay` writes.

use std::fs;
use std::path::Path;

use secret_injector_cli::capabilities::Host;
use secret_injector_cli::flyte_config::{self, Conversion, FlyteConfigError, FlyteVersion, Found};
use secret_injector_cli::{module, settings, yaml};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    version: Option<u8>,
    #[serde(default)]
    global: bool,
    #[serde(default)]
    files: Vec<Value>,
    file: Option<String>,
    settings: Option<Value>,
    error: Option<String>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    policy: Vec<String>,
    #[serde(default)]
    overlay: Vec<String>,
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

fn converted(case: &Case) -> Result<Conversion, FlyteConfigError> {
    let mut found = Found::default();
    if let Some(file) = &case.file {
        found.add(&fs::read_to_string(directory().join("..").join(file)).unwrap())?;
    }
    for file in &case.files {
        found.add(&yaml::to_text(file, None).unwrap())?;
    }
    let version = case.version.map(|version| match version {
        1 => FlyteVersion::V1,
        _ => FlyteVersion::V2,
    });
    let is_values = found.is_values();
    let (config, version) = found.finish(version)?;
    let conversion = flyte_config::convert(&Value::Object(config.clone()), version)?.lean(&config, case.global);
    Ok(match is_values {
        true => conversion.of_values(),
        false => conversion,
    })
}

#[test]
fn configurations_become_settings_that_the_policy_takes() {
    let policy = module::load(None).expect("run make policy.wasm first");
    for case in cases() {
        let name = &case.case;
        let conversion = match converted(&case) {
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
        let deployed = flyte_config::policy(&conversion).unwrap();
        for part in &case.policy {
            assert!(deployed.contains(part.as_str()), "{name}: no {part:?} in\n{deployed}");
        }
        assert_eq!(settings::from_text(&deployed).unwrap(), conversion.settings, "{name}");
        let overlay = flyte_config::overlay(&conversion).unwrap();
        let written: String = overlay
            .iter()
            .map(|(file, text)| format!("=== {file}\n{text}"))
            .collect();
        for part in &case.overlay {
            assert!(written.contains(part.as_str()), "{name}: no {part:?} in\n{written}");
        }
        let (_, patch) = overlay.iter().find(|(file, _)| *file == "policy.yaml").unwrap();
        assert_eq!(settings::from_text(patch).unwrap(), conversion.settings, "{name}");
        let validity = policy
            .validate_settings(&Host::isolated(), &conversion.settings)
            .unwrap();
        assert!(validity.valid, "{name}: {:?}", validity.message);
    }
}
