//! Everything that fuzzing has kept goes to the real module: it answers each time, and never traps.

mod hostile;

use std::fs;
use std::path::Path;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::modules;
use hostile::case::{Case, payload};
use secret_injector_policy::requests::{FLYTE_PREFIX, JSON_ANNOTATION, base32};
use serde_json::{Value, json};

#[test]
fn the_fuzz_corpora() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let host = Host::new(Cluster::from_yaml("").expect("an empty cluster"), Grants::none());
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut count = 0;
    for directory in fs::read_dir(corpora).expect("fuzz/corpus") {
        let directory = directory.expect("a directory").path();
        let target = directory
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
            .to_owned();
        for file in fs::read_dir(&directory).expect("a corpus") {
            let file = file.expect("a file").path();
            let bytes = fs::read(&file).expect("a file");
            for (operation, payload) in payloads(&target, &bytes) {
                let answer = policy.call(&host, operation, &payload);
                let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                let field: &[u8] = if operation == "validate" {
                    b"{\"accepted\":"
                } else {
                    b"{\"valid\":"
                };
                assert!(
                    answer.starts_with(field),
                    "{}: {}",
                    file.display(),
                    String::from_utf8_lossy(&answer)
                );
                count += 1;
            }
        }
    }
    assert!(count > 300, "only {count} inputs");
}

/// What the host would send for an input of the target.
fn payloads(target: &str, bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text = String::from_utf8_lossy(bytes);
    let asking = |key: &str, value: &str| {
        let pod = json!({"metadata": {"annotations": {key: value}}, "spec": {"containers": [{"name": "main"}]}});
        vec![("validate", payload(&pod, &json!({})))]
    };
    match target {
        "base32" => asking(&format!("{FLYTE_PREFIX}0"), &text),
        "text_format" => asking(&format!("{FLYTE_PREFIX}0"), &base32::encode(bytes)),
        "json_requests" => asking(JSON_ANNOTATION, &text),
        "settings" => {
            let mut payloads = vec![("validate_settings", bytes.to_vec())];
            if let Ok(settings) = serde_json::from_slice::<Value>(bytes) {
                let annotations = json!({JSON_ANNOTATION: r#"[{"group":"g","key":"k"}]"#});
                payloads.push((
                    "validate",
                    payload(&json!({"metadata": {"annotations": annotations}}), &settings),
                ));
            }
            payloads
        }
        "validate_pods" => {
            let case = Case::from_bytes(bytes);
            vec![("validate", case.payload(&case.pod))]
        }
        _ => vec![("validate", bytes.to_vec()), ("validate_settings", bytes.to_vec())],
    }
}
