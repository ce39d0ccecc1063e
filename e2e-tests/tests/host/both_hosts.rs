//! The tool's host gives the same answers as the policy server's engine, byte for byte.

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{self, validate_payload};
use e2e_tests::review::{AdmissionRequest, Review};
use e2e_tests::{cases, modules, wasm};
use serde_json::{Map, Value, json};
use std::num::NonZero;
use std::thread;

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
    let cases = cases::read_first_rows();
    assert!(cases.len() > 100, "{}", cases.len());
    // Interpreting is slow.
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for cases in cases.chunks(cases.len().div_ceil(threads)) {
            scope.spawn(|| compare(cases, &compiled, &interpreted));
        }
    });
}

fn compare(cases: &[(String, Value)], compiled: &host::PolicyModule, interpreted: &wasm::PolicyModule) {
    for (file, case) in cases {
        let name = format!("{file}: {}", case["case"]);
        let settings = match &case["settings"] {
            Value::Null => json!({}),
            settings => settings.clone(),
        };
        let payload = validate_payload(&request(case), &settings).unwrap();
        let host = host(case);
        let expected = compiled.call(&host, "validate", &payload).unwrap();
        let found = interpreted.call(&host, "validate", &payload).unwrap();
        assert!(found == expected, "{name}: {}", String::from_utf8_lossy(&found));
    }
}
