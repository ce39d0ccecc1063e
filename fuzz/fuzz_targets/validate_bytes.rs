//! The whole of `validate` on any bytes: always a response that the host can read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use secret_injector_policy::admission;
use secret_injector_policy::cluster::MemoryCluster;
use serde_json::Value;

fuzz_target!(|payload: &[u8]| {
    let cluster = MemoryCluster::default().with_secret("flyte-secrets", "group", &[("key", b"value")]);
    let answer = admission::validate(payload, &cluster);
    let answer: Value = serde_json::from_slice(&answer).expect("a JSON response");
    let accepted = answer["accepted"].as_bool().expect("accepted");
    assert!(accepted || answer["message"].is_string() && answer["code"].is_u64(), "{answer}");
    assert!(accepted || answer.get("mutated_object").is_none(), "{answer}");
});
