//! What is large, deep or strange: the real module answers each within the policy server's deadline of two seconds.
//!
//! The payloads are texts, for the host's own tree would lose what some of them are about.

mod cluster;
mod shapes;
mod sizes;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{DEADLINE, PolicyModule};
use e2e_tests::{modules, worst};
use secret_injector_policy::requests::base32;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// What the policy server takes, less room for the AdmissionReview around the Pod.
const LARGEST: usize = 3 * 512 * 1024;

/// A readable request for the key `db/password`.
const REQUEST: &str = r#"[{\"group\":\"db\",\"key\":\"password\",\"mountRequirement\":\"ENV_VAR\"}]"#;

/// Each manager at its default, but for what it cannot do without.
const EVERY_MANAGER: [&str; 15] = [
    r#"{"managers":[{"type":"kubernetes"}]}"#,
    r#"{"managers":[{"type":"global"}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"vault"}]}"#,
    r#"{"managers":[{"type":"vault","enforce":true}]}"#,
    r#"{"managers":[{"type":"aws"}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"aws","client":"cli"}],"envFiles":true}"#,
    r#"{"managers":[{"type":"gcp"}],"envFiles":true}"#,
    r#"{"managers":[{"type":"azure"}],"envFiles":true}"#,
    r#"{"managers":[{"type":"confidant","image":"c","url":"https://c.example.com","authKey":"k","authContext":{"to":"c"},"region":"r"}],"envFiles":true}"#,
    r#"{"managers":[{"type":"csi"}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"flyte","podNamespace":"any"}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"template","env":[{"name":"{envVar}","value":"v:{group}#{key}"}]}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"template","path":"{group}/{key}","volumes":[{"name":"agent-{id}","emptyDir":{}}],"volumeMounts":[{"name":"agent-{id}","mountPath":"{mountPath}/{id}"}],"initContainers":[{"name":"agent-{id}","image":"agent","args":["{group}/{key}"]}],"annotations":{"a.example.com/{id}":"{group}"}}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"template","env":[{"name":"{envVar}","value":"v"}],"labels":{"a-{id}":"","b-{id}":"","c-{id}":"","d-{id}":"","e-{id}":"","f-{id}":"","g-{id}":"","h-{id}":"","i-{id}":"","j-{id}":"","k-{id}":"","l-{id}":"","m-{id}":"","n-{id}":"","o-{id}":"","p-{id}":""}}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"template","path":"{group}/{key}","volumes":[{"name":"agent","emptyDir":{}}],"volumeMounts":[{"name":"agent","mountPath":"{mountPath}"}],"initContainers":[{"name":"agent","image":"agent"}]}]}"#,
];

struct Policy {
    module: PolicyModule,
    host: Host,
}

impl Policy {
    fn new() -> Self {
        Self {
            module: PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first"),
            host: Host::new(Cluster::from_yaml("").expect("an empty cluster"), Grants::none()),
        }
    }

    /// The answer as text: a trap, or the deadline, fails the test, and so does an answer after more than half of the
    /// deadline, for there are slower machines.
    fn answer(&self, payload: &str) -> String {
        for _ in 0..10 {
            let start = processor_time();
            let answer = self.module.call(&self.host, "validate", payload.as_bytes());
            let took = processor_time() - start;
            assert!(took < DEADLINE / 2, "{took:?}: {}…", &payload[..payload.len().min(300)]);
            match answer {
                Ok(answer) => {
                    worst::note(took, answer.len());
                    return String::from_utf8(answer).expect("UTF-8");
                }
                // A busy machine lets the guest run for a part of its two seconds: that says nothing.
                Err(error) if error.to_string().contains("deadline") => {}
                Err(error) => panic!("{error}: {}…", &payload[..payload.len().min(300)]),
            }
        }
        panic!("the machine is too busy for this test");
    }

    /// The answer to the creation of a Pod, which is given as text.
    fn create(&self, pod: &str) -> String {
        self.answer(&payload(pod, "{}"))
    }

    /// The Pod that comes out.
    fn mutated(&self, pod: &str, settings: &str) -> Value {
        let answer: Value = serde_json::from_str(&self.answer(&payload(pod, settings))).expect("JSON");
        assert_eq!(answer["accepted"], json!(true), "{answer}");
        answer["mutated_object"].clone()
    }

    /// The code and the message of a rejection.
    fn rejected(&self, pod: &str, settings: &str) -> (u64, String) {
        let answer: Value = serde_json::from_str(&self.answer(&payload(pod, settings))).expect("JSON");
        assert_eq!(answer["accepted"], json!(false), "{}…", &answer.to_string()[..200]);
        (
            answer["code"].as_u64().expect("a code"),
            answer["message"].as_str().expect("a message").to_owned(),
        )
    }
}

/// How long this thread has been running, waiting not counted; Linux alone tells.
fn processor_time() -> Duration {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

fn payload(pod: &str, settings: &str) -> String {
    format!(
        r#"{{"request":{{"uid":"u","kind":{{"group":"","version":"v1","kind":"Pod"}},"namespace":"default","operation":"CREATE","userInfo":{{"username":"alice"}},"object":{pod}}},"settings":{settings}}}"#
    )
}

/// A Pod that asks for [`REQUEST`], `inside` its container.
fn pod_with(inside: &str) -> String {
    format!(
        r#"{{"metadata":{{"annotations":{{"secret-injector/requests":"{REQUEST}"}}}},"spec":{{"containers":[{{"name":"main"{inside}}}]}}}}"#
    )
}

/// A Pod with the readable `requests` and this many containers.
fn pod_of(containers: usize, requests: &Value) -> String {
    let containers: Vec<Value> = (0..containers)
        .map(|number| json!({"name": format!("c{number}")}))
        .collect();
    let annotations = json!({"secret-injector/requests": requests.to_string()});
    json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}}).to_string()
}

fn requests(count: usize) -> Value {
    let request = |number: usize| {
        let mount = if number.is_multiple_of(2) { "ENV_VAR" } else { "FILE" };
        json!({"group": format!("g{}", number / 4), "key": format!("k{number}"), "mountRequirement": mount})
    };
    Value::Array((0..count).map(request).collect())
}

/// `requests` as the settings' manager takes them: the AWS CLI is asked for an ARN, with a name for it in the variables.
fn requests_of(settings: &str, mut requests: Value) -> Value {
    if settings.contains(r#""client":"cli""#) {
        for request in requests.as_array_mut().into_iter().flatten() {
            let name = format!("{}-{}", request["group"], request["key"]).replace('"', "");
            request["envVar"] = json!(format!("V_{name}"));
            request["group"] = json!("arn:aws:secretsmanager:eu-west-1:1:secret");
            request["key"] = json!(name);
        }
    }
    requests
}

/// The managers that need nothing but the request.
const SETTINGS: [&str; 5] = [
    r#"{"managers":[{"type":"kubernetes"}]}"#,
    r#"{"managers":[{"type":"vault"},{"type":"kubernetes"}]}"#,
    r#"{"managers":[{"type":"csi"}],"onUnserved":"warn"}"#,
    r#"{"managers":[{"type":"aws","client":"cli"}],"envFiles":true}"#,
    r#"{"managers":[{"type":"azure"}],"envFiles":true}"#,
];

#[test]
fn a_rejection_is_short_whatever_it_quotes() {
    let policy = Policy::new();
    let long = "x".repeat(60);
    let wrong: Vec<Value> = (0..15).map(|_| json!({"type": "kubernetes"})).collect();
    let settings = json!({"managers": wrong}).to_string();
    for (request, end) in [
        (
            json!([{"group": "g", "key": format!("{}/", "x".repeat(1_023))}]),
            "letters, digits, '-', '_' and '.')",
        ),
        (json!([{"group": "g", "key": "k", "containers": [long]}]), "it has c0"),
    ] {
        let (code, message) = policy.rejected(&pod_of(1, &request), &settings);
        assert_eq!(code, 422);
        assert!(
            message.starts_with("annotation secret-injector/requests, item 1"),
            "{}…",
            &message[..200]
        );
        assert!(message.ends_with(end), "{}", &message[message.len() - 200..]);
        assert!(message.len() < 6_000, "{} bytes", message.len());
    }
}

#[test]
fn the_status_does_not_make_annotations_too_large() {
    let policy = Policy::new();
    let pod = |own: usize| {
        let mut pod: Value = serde_json::from_str(&pod_of(1, &requests(100))).expect("JSON");
        pod["metadata"]["annotations"]["own"] = "x".repeat(own).into();
        pod
    };
    let annotations = |pod: &Value| pod["metadata"]["annotations"].as_object().expect("annotations").clone();
    let size = |pod: &Value| -> usize {
        let sizes = annotations(pod).into_iter();
        sizes
            .map(|(key, value)| key.len() + value.as_str().expect("a string").len())
            .sum()
    };
    const STATUS: &str = "secret-injector/status";
    let evaluate = |pod: &Value| -> (Value, String) {
        let answer: Value = serde_json::from_str(&policy.create(&pod.to_string())).expect("JSON");
        assert!(answer["mutated_object"]["spec"]["containers"][0]["env"].is_array());
        (answer["mutated_object"].clone(), answer["warnings"].to_string())
    };
    let room = 256 * 1024 - size(&evaluate(&pod(0)).0);

    let (mutated, warnings) = evaluate(&pod(room));
    assert_eq!(size(&mutated), 256 * 1024);
    assert!(annotations(&mutated).contains_key(STATUS) && !warnings.contains(STATUS));

    // Kubernetes takes this Pod as it is, but not with a status of ours, and what it has is none.
    let mut full = pod(room + 1);
    full["metadata"]["annotations"][STATUS] = "somebody's".into();
    let (mutated, warnings) = evaluate(&full);
    assert!(!annotations(&mutated).contains_key(STATUS));
    assert!(warnings.contains("secret-injector/status is left out"), "{warnings}");
    assert_eq!(evaluate(&mutated).0, mutated);
}

/// Files and variables have one case, so that two secrets may want the same one.
#[test]
fn names_that_differ_by_case_only() {
    let policy = Policy::new();
    for mount in ["ENV_VAR", "FILE"] {
        for (first, second) in [(("db", "key"), ("DB", "key")), (("db", "key"), ("db", "KEY"))] {
            let requests: Vec<Value> = [first, second]
                .map(|(group, key)| json!({"group": group, "key": key, "mountRequirement": mount}))
                .to_vec();
            let (code, message) = policy.rejected(&pod_of(1, &json!(requests)), "{}");
            assert!(
                code == 422 && message.contains("item 1") && message.contains("item 2"),
                "{code} {message}"
            );
        }
    }
}

/// Volumes and init containers whose names would be ours: numbers are tried, but not without end.
#[test]
fn names_that_are_taken() {
    let policy = Policy::new();
    let volume = base32::encode(b"db_");
    let name = |number| match number {
        0 => volume.clone(),
        _ => format!("{volume}-{number}"),
    };
    let volumes: Vec<Value> = (0..30_000).map(|number| json!({"name": name(number)})).collect();
    let (some, all) = (&volumes[..2_000], &volumes[..]);
    let request = json!([{"group": "db", "key": "password", "mountRequirement": "FILE"}]);
    let with = |field: &str, items: &[Value]| {
        let containers = r#""containers":[{"name":"c0"}]"#;
        pod_of(1, &request).replace(containers, &format!(r#""{field}":{},{containers}"#, json!(items)))
    };
    for (volumes, reason) in [(some, "rename"), (all, "so many")] {
        let (code, message) = policy.rejected(&with("volumes", volumes), "{}");
        assert!(code == 422 && message.contains(reason), "{code} {message}");
    }

    let containers: Vec<Value> = (1..20_000)
        .map(|number| json!({"name": format!("aws-pull-secret-{number}")}))
        .collect();
    policy.answer(&payload(
        &with("initContainers", &containers),
        r#"{"managers":[{"type":"aws"}]}"#,
    ));
}

/// As many containers, requests and choices of secrets as fit: answered in time, whatever the answer.
#[test]
fn many_choices() {
    let policy = Policy::new();
    let dense = |every: usize| {
        // Any two containers differ in some request, mostly in many.
        move |container: usize, number: usize| {
            (container * 7919 + number * 104_729 + (container >> (number % 11))).is_multiple_of(every)
        }
    };
    choose(&policy, 1_000, 100, dense(2));
    choose(&policy, 250, 1_000, dense(5));
    choose(&policy, 20_000, 20, dense(9_000));
    // A few secrets for each container, no two containers the same ones.
    for (containers, secrets) in [(13_000, 76), (2_000, 500)] {
        choose(&policy, containers, secrets, |container, number| {
            let (first, second, third) = (
                container % secrets,
                container / secrets % secrets,
                (container * 31) % secrets,
            );
            number == first || number == (first + second + 1) % secrets || number == (first + 2 * third) % secrets
        });
    }
}

/// Asks for `secrets`, each for the `containers` that are `chosen` for it.
fn choose(policy: &Policy, containers: usize, secrets: usize, chosen: impl Fn(usize, usize) -> bool) {
    let mut items = requests(secrets);
    for (number, item) in items.as_array_mut().into_iter().flatten().enumerate() {
        let chosen = (0..containers).filter(|container| chosen(*container, number));
        let chosen: Vec<String> = chosen.map(|container| format!("c{container}")).collect();
        item["containers"] = if chosen.is_empty() {
            json!(["c0"])
        } else {
            json!(chosen)
        };
    }
    for settings in EVERY_MANAGER {
        policy.answer(&payload(
            &pod_of(containers, &requests_of(settings, items.clone())),
            settings,
        ));
    }
}
