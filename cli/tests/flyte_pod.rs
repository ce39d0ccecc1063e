//! What Flyte's webhook added to Pods is taken out again: tried on what Flyte's own code makes.

use std::{fs, path::Path};

use secret_injector_cli::{flyte_pod, requests};
use serde_json::{Value, json};

/// Parts of the names of cases whose Pods have something of their own where Flyte writes, so that it is lost, and of cases with an
/// empty prefix or with annotations of an operator's own for Vault, which look like the Pod's.
const LOST: [&str; 18] = [
    "-clash",
    "-dup",
    "Embedded/init-names",
    "Embedded/pod-init-names/",
    "/again/",
    "/config/annotations",
    "/flyte-test/extra-annotations",
    "/flyte-test/image-pull-existing",
    "/flyte-test/present-annotation-kept",
    "/init-exists/",
    "/mount/",
    "/prefix-0/",
    "/pull/present/",
    "/pull/sorted/",
    "same-secret",
    "env_var-is/FLYTE_SECRETS_DEFAULT_DIR/",
    "env_var-named-SECRETS-",
    "name-taken-by",
];

/// Leaves out what Go writes of empty fields.
fn without_empty(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), without_empty(value)))
            .filter(|(_, value)| !(value.is_null() || *value == json!({}) || *value == json!([])))
            .collect(),
        Value::Array(items) => items.iter().map(without_empty).collect(),
        other => other.clone(),
    }
}

#[test]
fn what_flyte_added_is_taken_out() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e-tests/golden");
    let (mut same, mut differ) = (0, Vec::new());
    for entry in fs::read_dir(golden).expect("the golden data") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with("inject_") && !name.starts_with("mutate_") {
            continue;
        }
        let cases: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
        for case in cases.as_array().into_iter().flatten() {
            if case["result"]["pod"].is_null() || case["result"]["pod"] == case["pod"] {
                continue;
            }
            let mut before = case["pod"].clone();
            let mut after = case["result"]["pod"].clone();
            for (index, secret) in case["secrets"].as_array().into_iter().flatten().enumerate() {
                let Ok(request) = serde_json::from_value::<requests::Request>(secret.clone()) else {
                    continue;
                };
                for pod in [&mut before, &mut after] {
                    pod["metadata"]["annotations"][format!("flyte.secrets/s{index}")] = json!(request.encode());
                }
            }
            flyte_pod::strip(&mut after);
            same += usize::from(without_empty(&after) == without_empty(&before));
            let name = case["name"].as_str().unwrap_or_default();
            if without_empty(&after) != without_empty(&before) && !LOST.iter().any(|part| name.contains(part)) {
                differ.push(name.to_owned());
            }
        }
    }
    assert!(same > 600, "{same}");
    assert!(differ.is_empty(), "{differ:#?}");
}
