//! The readable annotation: a text is a list of requests or an error, and writing the list out again gives the same list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::requests::{Containers, JSON_ANNOTATION, SecretRequest, from_annotations};
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    match from_annotations([(JSON_ANNOTATION, text)]) {
        Ok(read) => {
            let written: Value = read.requests.iter().map(written).collect();
            let again = from_annotations([(JSON_ANNOTATION, written.to_string().as_str())]).expect("written requests");
            assert_eq!(again.requests.len(), read.requests.len(), "{written}");
            for (one, other) in read.requests.iter().zip(&again.requests) {
                assert!(same(one, other), "{one:?} is not {other:?}");
            }
        }
        Err(error) => assert!(error.chars().count() < 300, "{error}"),
    }
});

fn written(request: &SecretRequest) -> Value {
    let mut item = json!({
        "group": request.group,
        "group_version": request.group_version,
        "key": request.key,
        "mountRequirement": request.mount.name(),
        "envVar": request.env_var,
    });
    if let Containers::Named(names) = &request.containers {
        item["containers"] = json!(names);
    }
    item
}

fn same(one: &SecretRequest, other: &SecretRequest) -> bool {
    let origin = one.origin.clone();
    *one == SecretRequest { origin, ..other.clone() }
}
