//! The readable annotation: a text is a list of requests or an error, and writing the list out again gives the same list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::requests::{Containers, JSON_ANNOTATION, SecretRequest, from_annotations, json};
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    match json::decode(text) {
        Ok(requests) => {
            let written = Value::Array(requests.iter().map(written).collect()).to_string();
            assert_eq!(json::decode(&written).as_ref(), Ok(&requests), "{written}");
            let read = from_annotations([(JSON_ANNOTATION, text)]).expect("requests that were read just before");
            assert!(read.requests.len() <= requests.len());
            for request in &requests {
                assert!(
                    read.requests.iter().any(|kept| same_secret(kept, request)),
                    "{request:?} is gone"
                );
            }
        }
        Err(error) => assert!(error.to_string().chars().count() < 300, "{error}"),
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

fn same_secret(one: &SecretRequest, other: &SecretRequest) -> bool {
    let identity = |request: &SecretRequest| {
        let fields = [&request.group, &request.group_version, &request.key, &request.env_var];
        (fields.map(Clone::clone), request.mount)
    };
    identity(one) == identity(other)
}
