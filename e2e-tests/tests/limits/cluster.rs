//! What a Pod may ask of the cluster, and what the cluster may give back: the largest Secrets, the most questions, the
//! longest names. The real module answers each within the policy server's deadline of two seconds.

use std::fs;
use std::time::Duration;

use e2e_tests::capabilities::{Grants, Host, HostCall};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{DEADLINE, Evaluation, PolicyModule};
use e2e_tests::review::{AdmissionRequest, Review};
use e2e_tests::{modules, worst};
use secret_injector_policy::requests::base32;
use serde_json::{Map, Value, json};

/// The most questions to the cluster for one Pod.
const MAX_QUESTIONS: usize = 100;

/// The longest audit annotation, less what its last entry may take.
const MAX_AUDIT: usize = 24 * 1024;

fn policy() -> PolicyModule {
    PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first")
}

fn host(objects: &[Value]) -> Host {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let cluster = Cluster::from_yaml(&list.to_string()).expect("a cluster");
    Host::new(cluster, Grants::all_of_the_policy().expect("grants"))
}

fn pod(annotations: &Value) -> AdmissionRequest {
    Review::of_pod(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "shop-production",
            "labels": {"organization": "acme", "project": "shop", "domain": "production"},
            "annotations": annotations,
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }))
    .request
}

fn asking(requests: &[Value]) -> AdmissionRequest {
    pod(&json!({"secret-injector/requests": json!(requests).to_string()}))
}

/// Evaluates; a trap, or more than half of the deadline, fails the test.
fn evaluate(policy: &PolicyModule, host: &Host, request: &AdmissionRequest, settings: &Value) -> Evaluation {
    for _ in 0..5 {
        let start = processor_time();
        let evaluation = policy.validate(host, request, settings);
        let took = processor_time() - start;
        match &evaluation.failure {
            // A busy machine lets the guest run for a part of its two seconds: that says nothing.
            Some(failure) if failure.contains("deadline") && took < DEADLINE / 2 => {}
            Some(failure) => panic!("{failure}: {settings}"),
            None => {
                assert!(took < DEADLINE / 2, "{took:?}: {settings}");
                let answer = serde_json::to_string(&evaluation.response).expect("JSON");
                worst::note(took, answer.len());
                return evaluation;
            }
        }
    }
    panic!("the machine is too busy for this test");
}

/// How long this thread has been running, waiting not counted; Linux alone tells.
fn processor_time() -> Duration {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn message(evaluation: &Evaluation) -> (u16, String) {
    let response = serde_json::to_value(&evaluation.response).expect("JSON");
    let status = &response["status"];
    (
        u16::try_from(status["code"].as_u64().expect("a code")).expect("a code"),
        status["message"].as_str().expect("a message").to_owned(),
    )
}

/// As many keys as Kubernetes stores in 1 MiB, all of them as long as the one that is asked for, and near it.
fn large_secret(namespace: &str, name: &str) -> Value {
    let keys = (0..14_000).map(|number| (format!("{number:0>61}"), json!("eA==")));
    let data: Map<String, Value> = keys.collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data})
}

#[test]
fn mistyped_keys_of_the_largest_secret() {
    let policy = policy();
    let namespaces = ["shop-production", "flyte-secrets", "flyte"];
    let host = host(&namespaces.map(|namespace| large_secret(namespace, "large")));
    let managers = [
        json!({"type": "kubernetes", "verify": true}),
        json!({"type": "global", "authorize": "none"}),
        json!({"type": "flyte", "literal": true, "podNamespace": "any"}),
    ];
    for count in [1, 50, 1_000] {
        let requests: Vec<Value> = (0..count)
            .map(|number| json!({"group": "large", "key": format!("{number:x>61}"), "mountRequirement": "ENV_VAR"}))
            .collect();
        let request = asking(&requests);
        for manager in &managers {
            for on_unserved in ["reject", "warn"] {
                let settings = json!({"managers": [manager], "onUnserved": on_unserved, "statusAnnotation": false});
                let evaluation = evaluate(&policy, &host, &request, &settings);
                assert!(evaluation.calls.len() <= MAX_QUESTIONS, "{settings}");
                let whole = |call: &&HostCall| call.answer.as_ref().is_ok_and(|answer| answer.len() > 100_000);
                let whole = evaluation.calls.iter().filter(whole).count();
                assert!(
                    whole <= usize::from(on_unserved == "reject"),
                    "{settings}: {whole} whole Secrets"
                );
            }
        }
    }
}

/// Keys with a dot, for which the host sends the whole Secret.
#[test]
fn all_keys_of_a_large_secret() {
    let policy = policy();
    let keys: Vec<String> = (0..1_000).map(|number| format!("key.{number}")).collect();
    let value = base64(&"v".repeat(700));
    let data: Map<String, Value> = keys.iter().map(|key| (key.clone(), json!(value))).collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "large", "namespace": "shop-production"}, "data": data});
    let host = host(&[secret]);
    let requests: Vec<Value> = keys
        .iter()
        .map(|key| json!({"group": "large", "key": key, "mountRequirement": "FILE"}))
        .collect();
    let settings = json!({"managers": [{"type": "kubernetes", "verify": true}]});
    let evaluation = evaluate(&policy, &host, &asking(&requests), &settings);
    assert!(evaluation.response.allowed);
    assert_eq!(evaluation.calls.len(), 1, "one read serves all keys");
}

fn base64(text: &str) -> String {
    assert!(text.bytes().all(|byte| byte == b'v') && text.len().is_multiple_of(2));
    let whole = "dnZ2".repeat(text.len() / 3);
    match text.len() % 3 {
        0 => whole,
        1 => format!("{whole}dg=="),
        _ => format!("{whole}dnY="),
    }
}

#[test]
fn questions_are_counted() {
    let policy = policy();
    let secrets: Vec<Value> = (0..=MAX_QUESTIONS)
        .map(|number| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("s{number}"), "namespace": "shop-production"}, "data": {"k": "eA=="}})
        })
        .collect();
    let host = host(&secrets);
    let requests: Vec<Value> = (0..=MAX_QUESTIONS)
        .map(|number| json!({"group": format!("s{number}"), "key": "k", "mountRequirement": "ENV_VAR"}))
        .collect();
    for on_unserved in ["reject", "warn"] {
        let settings = json!({"managers": [{"type": "kubernetes", "verify": true}], "onUnserved": on_unserved});
        let evaluation = evaluate(&policy, &host, &asking(&requests[..MAX_QUESTIONS]), &settings);
        assert!(evaluation.response.allowed);
        assert_eq!(evaluation.calls.len(), MAX_QUESTIONS);
        let evaluation = evaluate(&policy, &host, &asking(&requests), &settings);
        let (code, message) = message(&evaluation);
        assert_eq!((code, evaluation.calls.len()), (422, MAX_QUESTIONS), "{message}");
        assert!(
            message.contains("more than the 100 questions to the cluster"),
            "{message}"
        );
    }
    // What is not there is asked for as well.
    let settings = json!({
        "managers": [{"type": "global"}, {"type": "flyte", "podNamespace": "any"}, {"type": "kubernetes", "verify": true}],
        "onUnserved": "warn",
    });
    let absent: Vec<Value> = (0..1_000)
        .map(|number| json!({"group": format!("a{number}"), "key": "k", "mountRequirement": "ENV_VAR"}))
        .collect();
    let evaluation = evaluate(&policy, &host, &asking(&absent), &settings);
    assert_eq!((message(&evaluation).0, evaluation.calls.len()), (422, MAX_QUESTIONS));
}

#[test]
fn data_of_secrets_is_counted() {
    let policy = policy();
    let value = "dnZ2".repeat(300_000);
    let secrets: Vec<Value> = (0..20)
        .map(|number| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("s{number}"), "namespace": "shop-production"}, "data": {"k.k": value}})
        })
        .collect();
    let requests: Vec<Value> = (0..20)
        .map(|number| json!({"group": format!("s{number}"), "key": "k.k", "mountRequirement": "FILE"}))
        .collect();
    let settings = json!({"managers": [{"type": "kubernetes", "verify": true}]});
    let evaluation = evaluate(&policy, &host(&secrets), &asking(&requests), &settings);
    let (code, message) = message(&evaluation);
    assert_eq!(code, 422, "{message}");
    assert!(message.contains("hold more than 8 MiB"), "{message}");
}

#[test]
fn fields_have_a_length() {
    let policy = policy();
    let host = Host::isolated();
    let settings = json!({"managers": [{"type": "gcp"}], "onUnserved": "warn"});
    for (camel, snake) in [
        ("group", "group"),
        ("groupVersion", "group_version"),
        ("key", "key"),
        ("envVar", "env_var"),
    ] {
        for (length, refused) in [(1_024, false), (1_025, true)] {
            let text = "x".repeat(length);
            let json = asking(&[json!({"group": "g", "groupVersion": "1", "key": "k", camel: text})]);
            let flyte = pod(&json!({"flyte.secrets/s0": base32::encode(format!("{snake}: {text:?}").as_bytes())}));
            for (request, field) in [(json, camel), (flyte, snake)] {
                let evaluation = evaluate(&policy, &host, &request, &settings);
                if refused {
                    let (code, message) = message(&evaluation);
                    assert_eq!(code, 400, "{message}");
                    assert!(
                        message.contains(&format!("the field {field} is longer than 1024 bytes")),
                        "{message}"
                    );
                } else {
                    assert!(evaluation.response.allowed, "{field}: {:?}", evaluation.response);
                }
            }
        }
    }
    let names = |count: usize| -> Vec<String> { (0..count).map(|number| format!("c{number}")).collect() };
    for (containers, code, part) in [
        (json!(names(1_000)), 422, "names the container"),
        (json!(names(1_001)), 400, "containers has more than 1000 names"),
        (json!(["x".repeat(63)]), 422, "names the container"),
        (json!(["x".repeat(64)]), 400, "a name of more than 63 bytes"),
    ] {
        let request = asking(&[json!({"group": "g", "key": "k", "containers": containers})]);
        let (found, message) = message(&evaluate(&policy, &host, &request, &json!({})));
        assert_eq!(found, code, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn audit_annotations_have_a_length() {
    let policy = policy();
    let host = Host::isolated();
    let requests: Vec<Value> = (0..1_000)
        .map(|number| json!({"group": format!("g{number}"), "key": "k", "mountRequirement": "ENV_VAR"}))
        .collect();
    let unserved = json!({"managers": [{"type": "csi"}], "onUnserved": "warn"});
    let text = |evaluation: &Evaluation, name: &str| -> String {
        let response = serde_json::to_value(&evaluation.response).expect("JSON");
        response["auditAnnotations"][name]
            .as_str()
            .expect("an annotation")
            .to_owned()
    };
    let evaluation = evaluate(&policy, &host, &asking(&requests), &json!({}));
    let injected = text(&evaluation, "injected");
    assert!(injected.len() < MAX_AUDIT, "{} bytes", injected.len());
    let listed: Vec<Value> = serde_json::from_str(&injected).expect("a list");
    let more = listed
        .last()
        .and_then(|last| last["more"].as_u64())
        .expect("how many more");
    assert_eq!(listed.len() as u64 - 1 + more, 1_000);

    let evaluation = evaluate(&policy, &host, &asking(&requests), &unserved);
    let unserved = text(&evaluation, "unserved");
    assert!(unserved.len() < MAX_AUDIT, "{} bytes", unserved.len());
    let (listed, more) = unserved.rsplit_once("; and ").expect("how many more");
    let more: usize = more.trim_end_matches(" more").parse().expect("a number");
    assert_eq!(listed.split("; ").count() + more, 1_000);
}

/// Long names go into the annotations of an agent; the answer stays near what is added to the Pod at most.
#[test]
fn answers_have_a_size() {
    let policy = policy();
    let path = "secret/data/".to_owned() + &"long/".repeat(150);
    let requests: Vec<Value> = (0..1_000)
        .map(|number| json!({"group": format!("{path}{number}"), "key": "k", "mountRequirement": "FILE"}))
        .collect();
    let payload = json!({
        "request": serde_json::to_value(asking(&requests)).expect("JSON"),
        "settings": {"managers": [{"type": "vault"}]},
    });
    let payload = payload.to_string();
    let answer = || policy.call(&Host::isolated(), "validate", payload.as_bytes()).ok();
    // A busy machine lets the guest run for a part of its two seconds.
    let answer = (0..5).find_map(|_| answer()).expect("an answer");
    let size = answer.len();
    assert!(size < 6 * 1024 * 1024, "{size} bytes");
}

/// Names of which each rule looks at every byte, with as many rules and managers as make it too much.
#[test]
fn long_names_and_many_rules() {
    let policy = policy();
    let group = ":secret:/team-".repeat(73);
    let requests: Vec<Value> = (0..1_000)
        .map(|number| json!({"group": format!("{group}{}", number % 100), "key": format!("{number}{}", "x".repeat(400)), "mountRequirement": "FILE"}))
        .collect();
    let rules: Vec<Value> = (0..100)
        .map(|number| json!({"secrets": [format!("arn:aws:secretsmanager:*:secret:/team-{number}-*:x"), format!("*:secret:/team-{number}?*:secret:x*")]}))
        .collect();
    for (managers, rules, too_much) in [
        (3, &rules[..10], false),
        (3, &rules[..], true),
        (1, &rules[..60], false),
    ] {
        let managers = vec![json!({"type": "csi"}); managers];
        let settings = json!({"managers": managers, "access": rules});
        let (code, message) = message(&evaluate(&policy, &Host::isolated(), &asking(&requests), &settings));
        assert_eq!(code, if too_much { 422 } else { 403 }, "{message}");
        assert_eq!(
            message.contains("cannot be matched with the rules"),
            too_much,
            "{message}"
        );
    }
}

/// Copies of a large value for each request would take 2 GiB.
#[test]
fn literals_of_one_large_secret() {
    let policy = policy();
    let value = "v".repeat(1024 * 1024 - 64);
    let id = "u__org__acme__domain__production__project__shop__key__pw";
    let secret = |namespace: &str, name: &str, key: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": {key: value}});
    let flyte_secret = md5::compute(id);
    let host = host(&[
        secret("shared", "db", "pw"),
        secret("flyte", &format!("{flyte_secret:x}"), id),
    ]);
    let global = json!({"type": "global", "namespace": "shared", "authorize": "none"});
    let flyte = json!({"type": "flyte", "literal": true, "podNamespace": "any", "organization": "any"});
    for (manager, mount) in [(&global, "ENV_VAR"), (&flyte, "ENV_VAR"), (&flyte, "FILE")] {
        let requests: Vec<Value> = (0..1000)
            .map(|number| json!({"group": "db", "key": "pw", "mountRequirement": mount, "envVar": format!("V{number}"), "groupVersion": number.to_string()}))
            .collect();
        let (request, settings) = (asking(&requests), json!({"managers": [manager]}));
        let evaluation = evaluate(&policy, &host, &request, &settings);
        let (code, message) = message(&evaluation);
        assert_eq!(code, 422, "{message}");
        assert!(message.contains("more to it than Kubernetes can store"), "{message}");
    }
    let settings = json!({"managers": [global]});
    let requests: Vec<Value> = (0..30)
        .map(|number| json!({"group": "db", "key": "pw", "envVar": format!("V{number}")}))
        .collect();
    let payload = json!({"request": asking(&requests), "settings": settings}).to_string();
    let memory = policy
        .peak_memory(&host, "validate", payload.as_bytes())
        .expect("an answer");
    assert!(memory < 32 * 1024 * 1024, "{memory} bytes");
    // One of them is no more than a Pod may have.
    let one = [json!({"group": "db", "key": "pw", "mountRequirement": "ENV_VAR", "envVar": "V"})];
    let evaluation = evaluate(&policy, &host, &asking(&one), &settings);
    assert!(evaluation.response.allowed, "{evaluation:?}");
}
