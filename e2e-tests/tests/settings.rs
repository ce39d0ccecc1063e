//! What the policy says of its settings, on the real module: `tests/settings/*.yaml` hold lists of settings, with parts
//! of the message where they are not valid.

use std::fs;
use std::path::Path;

use e2e_tests::capabilities::Host;
use e2e_tests::host::PolicyModule;
use e2e_tests::settings::MANAGERS;
use e2e_tests::{modules, yaml};
use serde::Deserialize;
use serde_json::{Value, json};

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
        let document = yaml::documents(&text)
            .unwrap()
            .into_iter()
            .next()
            .expect("a list of settings");
        let cases: Vec<Case> = serde_json::from_value(yaml::to_json(&document).unwrap()).unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let answer = policy.validate_settings(&Host::isolated(), &case.settings).unwrap();
            let message = answer.message.unwrap_or_default();
            if answer.valid != case.invalid.is_empty() || case.invalid.iter().any(|part| !message.contains(part)) {
                failures.push(format!(
                    "{}\nexpected {:?}, got {message:?}",
                    case.settings, case.invalid
                ));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// What a manager's settings need beside its type, so that they are read to the end.
const REQUIRED: [(&str, &str); 3] = [
    (
        "confidant",
        r#"{"url": "https://c", "authKey": "k", "region": "r", "image": "i", "authContext": {"to": "t"}}"#,
    ),
    ("template", r#"{"env": [{"name": "{envVar}", "value": "{key}"}]}"#),
    ("csi", "{}"),
];

#[test]
fn every_setting_is_documented() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let text = fs::read_to_string(modules::repository().join("docs/reference/settings.md")).unwrap();
    let known_here = |settings: Value| -> Vec<String> {
        let answer = policy.validate_settings(&Host::isolated(), &settings).unwrap();
        let message = answer.message.unwrap_or_default();
        let (_, known) = message
            .split_once("known here are ")
            .unwrap_or_else(|| panic!("{settings}: {message}"));
        known.split(", ").map(str::to_owned).collect()
    };
    let section = |title: &str| -> &str {
        let start = text
            .find(&format!("\n## {title}\n"))
            .unwrap_or_else(|| panic!("no section {title}"));
        let rest = &text[start + 1..];
        rest.find("\n## ").map_or(rest, |end| &rest[..end])
    };
    let mut missing = Vec::new();
    let mut check = |place: &str, names: Vec<String>| {
        assert!(!names.is_empty());
        for name in names {
            if !place.contains(&format!("| `{name}` |")) {
                missing.push(name);
            }
        }
    };
    check(section("All Pods"), known_here(json!({"unknown": 1})));
    check(section("`access`"), known_here(json!({"access": [{"unknown": 1}]})));
    check(
        section("`imagePullSecrets`"),
        known_here(json!({"imagePullSecrets": [{"name": "s", "images": ["*"], "unknown": 1}]})),
    );
    let default = json!({"namespaces": ["*"], "requests": [{"key": "k"}], "unknown": 1});
    check(section("`defaults`"), known_here(json!({"defaults": [default]})));
    let nested = known_here(json!({"managers": [{"type": "kubernetes", "match": {"unknown": 1}}]}));
    check(
        section("Every manager"),
        nested.iter().map(|name| format!("match.{name}")).collect(),
    );
    let named = known_here(json!({"managers": [{"type": "kubernetes", "names": {"group": "a", "unknown": 1}}]}));
    check(
        section("Every manager"),
        named.iter().map(|name| format!("names.{name}")).collect(),
    );
    let mut types = 0;
    for kind in MANAGERS {
        let required = REQUIRED
            .iter()
            .find(|(name, _)| *name == kind)
            .map_or("{}", |(_, settings)| settings);
        let mut manager: Value = serde_json::from_str(required).unwrap();
        manager["type"] = json!(kind);
        manager["unknown"] = json!(1);
        let title = format!("`{kind}`");
        let shared = [
            section("Every manager"),
            section("Managers with init containers"),
            section("Managers that fetch"),
            section(&title),
        ]
        .concat();
        check(&shared, known_here(json!({"managers": [manager]})));
        types += 1;
    }
    assert!(missing.is_empty(), "docs/reference/settings.md lacks {missing:?}");
    let message = policy
        .validate_settings(&Host::isolated(), &json!({"managers": [{}]}))
        .unwrap()
        .message;
    let all = message
        .unwrap_or_default()
        .split("use one of ")
        .nth(1)
        .map_or(0, |names| names.split(", ").count());
    assert_eq!(all, types, "a manager has no section");
}
