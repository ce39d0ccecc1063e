//! The tool's host gives the same answers as the policy server's engine, byte for byte.

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{self, validate_payload};
use e2e_tests::review::{AdmissionRequest, Review};
use e2e_tests::{cases, modules, wasm};
use serde_json::{Map, Value, json};

/// Makes the request of a case: Alice creates the Pod, but for what the case says.
fn request(case: &Value) -> AdmissionRequest {
    let request = Review::of_pod(case["pod"].clone()).request;
    let mut fields = serde_json::to_value(request).unwrap();
    let alice = json!({"username": "alice", "groups": ["system:authenticated"]});
    let mut given = Map::from_iter([("userInfo".to_owned(), alice)]);
    given.extend(case["request"].as_object().cloned().unwrap_or_default());
    fields.as_object_mut().unwrap().extend(given);
    serde_json::from_value(fields).unwrap()
}

fn host(case: &Value) -> Host {
    let objects = case["cluster"].as_array().cloned().unwrap_or_default();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let grants = match case.get("grants") {
        Some(grants) => Grants::from_metadata(&grants.to_string()).unwrap(),
        None => Grants::all_of_the_policy().unwrap(),
    };
    Host::new(Cluster::from_yaml(&list.to_string()).unwrap(), grants)
}

#[test]
fn both_hosts_give_the_same_answers() {
    let compiled = host::PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let interpreted = wasm::PolicyModule::from_file(modules::policy()).unwrap();
    let mut compared = 0;
    for (file, case) in cases::read_first_rows() {
        let name = format!("{file}: {}", case["case"]);
        let settings = match &case["settings"] {
            Value::Null => json!({}),
            settings => settings.clone(),
        };
        let payload = validate_payload(&request(&case), &settings).unwrap();
        let host = host(&case);
        let expected = compiled.call(&host, "validate", &payload).unwrap();
        let found = interpreted.call(&host, "validate", &payload).unwrap();
        assert!(found == expected, "{name}: {}", String::from_utf8_lossy(&found));
        compared += 1;
    }
    assert!(compared > 100, "{compared}");
}
