//! What holds for every Pod, every request and all settings: see [`hostile::laws`].
//!
//! A case is made of bytes, as fuzzing does it, so that what one finds the other can repeat: see `fuzz/README.md`.

mod hostile;

use std::collections::BTreeMap;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::modules;
use e2e_tests::settings::MANAGERS;
use hostile::case::Case;
use hostile::laws;
use proptest::prelude::any;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config as ProptestConfig, TestRunner};
use secret_injector_policy::admission;
use serde_json::Value;

fn cases() -> impl Strategy<Value = Case> {
    proptest::collection::vec(any::<u8>(), 0..800).prop_map(|bytes| Case::from_bytes(&bytes))
}

proptest::proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hold_for_every_pod(case in cases()) {
        let cluster = Case::cluster();
        laws::check(&case, &mut |payload| admission::validate(payload, &cluster));
    }
}

/// The cases are not all rejected, and reach what they are to test.
#[test]
fn cases_reach_every_manager() {
    let cluster = Case::cluster();
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..3_000 {
        let case = cases().new_tree(&mut runner).expect("a case").current();
        let answer = hostile::case::answer(&admission::validate(&case.payload(&case.pod), &cluster));
        let injected = answer["audit_annotations"]["injected"].as_str().unwrap_or("[]");
        for entry in serde_json::from_str::<Vec<Value>>(injected).expect("a list") {
            let mut kinds = vec![entry["manager"].as_str().unwrap_or("a Secret for images")];
            kinds.extend((entry["origin"] == "default").then_some("a default"));
            for kind in kinds {
                *seen.entry(kind.to_owned()).or_default() += 1;
            }
        }
        let warnings = answer["warnings"].as_array().into_iter().flatten();
        let mut texts = warnings.filter_map(Value::as_str);
        if texts.any(|text| text.contains("goes without a default")) {
            *seen.entry("a default yields".to_owned()).or_default() += 1;
        }
        let outcome = match (answer["accepted"].as_bool(), answer.get("mutated_object")) {
            (Some(true), Some(_)) => "mutated".to_owned(),
            (Some(true), None) => "left alone".to_owned(),
            _ => format!("rejected {}", answer["code"]),
        };
        *seen.entry(outcome).or_default() += 1;
    }
    let outcomes = ["mutated", "left alone", "rejected 403", "rejected 422"];
    let given = ["a default", "a default yields", "a Secret for images"];
    let known = outcomes.into_iter().chain(given).chain(MANAGERS);
    for wanted in known.chain(["bank-vaults"]) {
        assert!(seen.get(wanted).is_some_and(|count| *count >= 5), "{wanted}: {seen:#?}");
    }
}

/// The same on the real module, where no Secret can be read.
#[test]
fn hold_for_the_module() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let host = Host::new(Cluster::from_yaml("").expect("an empty cluster"), Grants::none());
    let config = ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&cases(), |case| {
        laws::check(&case, &mut |payload| {
            policy
                .call(&host, "validate", payload)
                .expect("an answer of the module")
        });
        Ok(())
    });
    outcome.unwrap();
}
