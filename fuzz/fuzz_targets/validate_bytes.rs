//! The whole of `validate` on any bytes: always a response, and one that the host can read wherever it could have sent
//! the bytes. What is JSON for no parser, such as half a surrogate pair in a part that the policy does not open, may come
//! back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::admission;
use secret_injector_policy::cluster::MemoryCluster;
use serde_json::Value;

fuzz_target!(|payload: &[u8]| {
    let cluster = MemoryCluster::default().with_secret("flyte-secrets", "group", &[("key", b"value")]);
    let answer = admission::validate(payload, &cluster);
    assert!(answer.starts_with(b"{\"accepted\":"));
    if serde_json::from_slice::<Value>(payload).is_err() && answer.starts_with(b"{\"accepted\":true,") {
        return;
    }
    let answer: Value = serde_json::from_slice(&answer).expect("a JSON response");
    let accepted = answer["accepted"].as_bool().expect("accepted");
    assert!(
        accepted || answer["message"].is_string() && answer["code"].is_u64(),
        "{answer}"
    );
    assert!(accepted || answer.get("mutated_object").is_none(), "{answer}");
});
