//! The tool's host gives the same answers as the policy server's engine, byte for byte, and the module's messages to its host
//! are those of Kubewarden's SDK.

use std::fs;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{self, validate_payload};
use e2e_tests::review::{AdmissionRequest, Review};
use e2e_tests::{modules, wasm, yaml};
use kubewarden_policy_sdk::host_capabilities::kubernetes as sdk;
use secret_injector_policy::host as ours;
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
    for entry in fs::read_dir(modules::repository().join("e2e-tests/tests/policy")).unwrap() {
        let path = entry.unwrap().path();
        for document in yaml::documents(&fs::read_to_string(&path).unwrap()).unwrap() {
            let case = yaml::to_json(&document).unwrap();
            let name = format!("{}: {}", path.display(), case["case"]);
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
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn questions_to_the_host_are_those_of_the_sdk() {
    let review = |name: &str| ours::SubjectAccessReview {
        groups: Some(vec!["g".to_owned()]),
        resource_attributes: ours::ResourceAttributes {
            group: Some(String::new()),
            name: Some(name.to_owned()),
            namespace: Some("n".to_owned()),
            resource: "secrets".to_owned(),
            subresource: None,
            verb: "get".to_owned(),
            version: Some("v1".to_owned()),
        },
        user: "u".to_owned(),
    };
    let can_i = ours::CanIRequest {
        subject_access_review: review("s"),
        disable_cache: false,
    };
    let text = serde_json::to_string(&can_i).unwrap();
    let read: sdk::CanIRequest = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);

    let get = ours::GetResourceRequest {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        name: "s".to_owned(),
        namespace: Some("n".to_owned()),
        disable_cache: true,
        field_masks: Some(["data.k".to_owned()].into()),
    };
    let text = serde_json::to_string(&get).unwrap();
    let read: sdk::GetResourceRequest = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), text);

    let version = kubewarden_policy_sdk::protocol_version_guest(&[]).unwrap();
    assert_eq!(ours::protocol_version(&[]).unwrap(), version);
}
