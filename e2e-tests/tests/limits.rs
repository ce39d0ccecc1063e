//! What is large, deep or strange: the real module answers each within the policy server's deadline of two seconds.
//!
//! The payloads are texts, for the host's own tree would lose what some of them are about.

use std::fs;
use std::time::Duration;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{DEADLINE, PolicyModule};
use e2e_tests::{modules, worst};
use secret_injector_policy::requests::base32;
use serde_json::{Value, json};

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
fn the_largest_pods() {
    let policy = Policy::new();
    let filler = "x".repeat(LARGEST);
    let escapes = r"\n\u00e9".repeat(LARGEST / 8);
    let list = format!("[{}0]", "0,".repeat(LARGEST / 2));
    let objects = format!("[{}{{}}]", r#"{"name":"x"},"#.repeat(LARGEST / 13));
    for inside in [
        format!(r#","args":["{filler}"]"#),
        format!(r#","args":["{escapes}"]"#),
        format!(r#","args":{list}"#),
        format!(r#","env":{objects}"#),
        format!(r#","env":[{{"name":"X","value":"{escapes}"}}]"#),
        format!(r#","volumeMounts":{objects}"#),
        format!(r#","{filler}":1"#),
    ] {
        let pod = policy.mutated(&pod_with(&inside), "{}");
        assert_eq!(
            pod["spec"]["containers"][0]["env"][1]["name"],
            json!("_UNION_DB_PASSWORD")
        );
        let idle = pod_with(&inside).replace("secret-injector/requests", "example.com/requests");
        assert_eq!(policy.create(&idle), r#"{"accepted":true}"#);
    }
}

/// The module's memory after the largest Pod: some three copies of it.
#[test]
fn memory_is_bounded() {
    let policy = Policy::new();
    let filler = "x".repeat(LARGEST);
    let objects = format!("[{}{{}}]", r#"{"name":"x"},"#.repeat(LARGEST / 13));
    let smallest = format!("[{}{{}}]", r#"{"":0},"#.repeat(LARGEST / 7));
    for (name, pod, bound) in [
        (
            "nothing asked for",
            pod_with("").replace("secret-injector/requests", "example.com/requests"),
            2,
        ),
        ("one secret", pod_with(""), 3),
        ("1.5 MiB of text", pod_with(&format!(r#","args":["{filler}"]"#)), 12),
        ("1.5 MiB of variables", pod_with(&format!(r#","env":{objects}"#)), 64),
        (
            "1.5 MiB of the smallest objects",
            pod_with(&format!(r#","env":{smallest}"#)),
            64,
        ),
        ("500 secrets", pod_of(1, &requests(500)), 8),
        ("100 containers with 500 secrets", pod_of(100, &requests(500)), 64),
        ("1,000 containers", pod_of(1000, &requests(1)), 8),
    ] {
        let payload = payload(&pod, "{}");
        let bytes = policy
            .module
            .peak_memory(&policy.host, "validate", payload.as_bytes())
            .expect("a size");
        println!(
            "{name}: {} KiB of payload, {} KiB of memory",
            payload.len() / 1024,
            bytes / 1024
        );
        assert!(bytes <= bound * 1024 * 1024, "{name}: {bytes} bytes");
    }
}

#[test]
fn a_thousand_containers() {
    let policy = Policy::new();
    for settings in SETTINGS {
        let pod = policy.mutated(&pod_of(1000, &requests_of(settings, requests(2))), settings);
        assert_eq!(
            pod["spec"]["containers"].as_array().map(Vec::len),
            Some(1000),
            "{settings}"
        );
    }
}

#[test]
fn five_hundred_requests() {
    let policy = Policy::new();
    for settings in SETTINGS {
        let pod = policy.mutated(&pod_of(3, &requests_of(settings, requests(500))), settings);
        let status = pod["metadata"]["annotations"]["secret-injector/status"]
            .as_str()
            .expect("a status");
        assert!(status.len() > 500, "{settings}");
    }
}

/// Requests and containers multiply: what no API server could store is refused before it is made.
#[test]
fn a_thousand_containers_with_five_hundred_requests() {
    let policy = Policy::new();
    for settings in SETTINGS {
        let (code, message) = policy.rejected(&pod_of(1000, &requests_of(settings, requests(500))), settings);
        assert_eq!(code, 422, "{settings}: {message}");
        assert!(message.contains("MiB"), "{settings}: {message}");
    }
}

/// As many secrets as fit, of one group, of some, or each of its own. More than a thousand are refused.
#[test]
fn as_many_requests_as_fit() {
    let policy = Policy::new();
    for mount in ["ENV_VAR", "FILE"] {
        for groups in [1, 30, usize::MAX] {
            let request = |number: usize| json!({"group": format!("g{}", number % groups), "key": format!("{number}"), "mountRequirement": mount});
            let of = |count: usize| json!((0..count).map(request).collect::<Vec<_>>());
            for settings in EVERY_MANAGER {
                let thousand = pod_of(1, &requests_of(settings, of(1_000)));
                policy.answer(&payload(&thousand, settings));
            }
            let size = request(20_000).to_string().len() + 9;
            let (code, message) = policy.rejected(&pod_of(1, &of(LARGEST / size)), "{}");
            assert!(code == 422 && message.contains("1000"), "{code} {message}");
        }
    }
}

/// What the Pod has of its own, times what it asks for.
#[test]
fn own_items_times_secrets() {
    let policy = Policy::new();
    let requests: Vec<Value> = (0..1_000)
        .map(|number| json!({"group": format!("g{number}"), "key": "k", "mountRequirement": "FILE"}))
        .collect();
    let asking = pod_of(1, &json!(requests));
    let many = |item: &dyn Fn(usize) -> Value| {
        let mut items = String::new();
        for number in 0.. {
            let item = item(number).to_string();
            if asking.len() + items.len() + item.len() > LARGEST {
                break;
            }
            if number > 0 {
                items.push(',');
            }
            items.push_str(&item);
        }
        items
    };
    let volumes = many(&|number| {
        // All names for each of our volumes in turn.
        let group = base32::encode(format!("g{}_", number / 30).as_bytes());
        let name = if number % 30 == 0 {
            group
        } else {
            format!("{group}-{}", number % 30)
        };
        json!({"name": name})
    });
    let mounts = many(&|number| json!({"mountPath": format!("/{number}")}));
    let annotations = many(&|number| json!({format!("{number}"): ""}));
    let lookalike = |number| {
        json!({
            "name": "aws-pull-secret-x",
            "image": "docker.io/amazon/aws-secrets-manager-secret-sidecar:v0.1.4",
            "env": [{"value": number}],
        })
    };
    let large = format!(
        r#"{{"name":"agent","image":"agent","env":[{}{{}}],"ports":[{}{{}}]}}"#,
        r#"{"name":"x"},"#.repeat(LARGEST / 40),
        r#"{"name":"x"},"#.repeat(LARGEST / 40)
    );
    let orders = many(&|number| json!({format!("vault.hashicorp.com/template-{number}"): ""}));
    let fields = |items: &str| items.replace("},{", ",").trim_matches(['{', '}']).to_owned();
    let (annotations, orders) = (fields(&annotations), fields(&orders));
    for pod in [
        asking.replace(r#""containers""#, &format!(r#""volumes":[{volumes}],"containers""#)),
        asking.replace(r#""name":"c0""#, &format!(r#""name":"c0","volumeMounts":[{mounts}]"#)),
        asking.replace(r#""annotations":{"#, &format!(r#""annotations":{{{annotations},"#)),
        asking.replace(r#""annotations":{"#, &format!(r#""annotations":{{{orders},"#)),
        asking.replace(
            r#""annotations":{"#,
            &format!(r#""labels":{{{annotations}}},"annotations":{{"#),
        ),
        asking.replace(
            r#""containers""#,
            &format!(r#""initContainers":[{}],"containers""#, many(&lookalike)),
        ),
        asking.replace(
            r#""containers""#,
            &format!(r#""initContainers":[{}],"containers""#, large),
        ),
    ] {
        assert!(pod.len() > asking.len() + LARGEST / 4);
        for settings in EVERY_MANAGER {
            policy.answer(&payload(&pod, settings));
        }
    }
}

/// Each container its own choice of secrets: nothing can be shared between them.
#[test]
fn every_container_its_own_secrets() {
    let policy = Policy::new();
    let chosen = |number: usize| {
        let bits = (0..200).filter(|container| (container >> (number % 8)) & 1 == 1);
        bits.map(|container| format!("c{container}")).collect::<Vec<_>>()
    };
    let mut items = requests(40);
    for (number, item) in items.as_array_mut().into_iter().flatten().enumerate() {
        item["containers"] = json!(chosen(number));
    }
    for settings in SETTINGS {
        policy.answer(&payload(&pod_of(200, &requests_of(settings, items.clone())), settings));
    }
}

/// Lookalikes of our own init containers are compared with them; a large one must not be read again for each.
#[test]
fn lookalikes_of_our_init_containers() {
    let policy = Policy::new();
    let large = format!(
        r#""initContainers":[{{"name":"aws-pull-secret-x","image":"another","args":["{}"]}}],"#,
        "x".repeat(LARGEST / 2)
    );
    let lookalike = json!({
        "name": "aws-pull-secret-y",
        "image": "docker.io/amazon/aws-secrets-manager-secret-sidecar:v0.1.4",
        "env": [{"name": "SECRET_ARN", "value": "another"}],
    });
    let many = format!(
        r#""initContainers":[{}{lookalike}],"#,
        format!("{lookalike},").repeat(100)
    );
    for own in [large, many] {
        let pod = pod_of(1, &requests(300)).replace(r#""containers""#, &format!(r#"{own}"containers""#));
        policy.mutated(&pod, r#"{"managers":[{"type":"aws"},{"type":"kubernetes"}]}"#);
    }
}

#[test]
fn depth() {
    let policy = Policy::new();
    const DEPTH: usize = 100_000;
    let (lists, objects) = (
        format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH)),
    );
    for deep in [&lists, &objects] {
        // Where nobody looks, it comes out as it went in.
        let answer = policy.create(&pod_with(&format!(r#","futureField":{deep}"#)));
        assert!(answer.starts_with(r#"{"accepted":true"#) && answer.contains(deep.as_str()));
        for inside in ["env", "volumeMounts", "name2\":1,\"env"] {
            policy.create(&pod_with(&format!(r#","{inside}":{deep}"#)));
            policy.create(&pod_with(&format!(r#","{inside}":[{{"name":{deep}}}]"#)));
        }
        policy.create(&pod_with("").replace("\"main\"", deep));
        policy.create(&pod_with("").replace("[{\\\"group\\\"", &deep.replace('"', "\\\"")));
        policy.answer(&payload(&pod_with(""), deep));
        policy.answer(&payload(
            &pod_with(""),
            &format!(r#"{{"managers":[{{"type":"template","env":{deep}}}]}}"#),
        ));
        policy.answer(&payload(&pod_with(""), "{}").replace(r#"{"username":"alice"}"#, deep));
        policy.answer(deep);
    }
}

#[test]
fn every_character() {
    let policy = Policy::new();
    let all: Vec<char> = (0..=0x0010_ffff).filter_map(char::from_u32).collect();
    for part in all.chunks(200_000) {
        let quoted = serde_json::to_string(&part.iter().collect::<String>()).expect("a string");
        let part = quoted
            .strip_prefix('"')
            .and_then(|part| part.strip_suffix('"'))
            .expect("quotes");
        for text in [
            format!(r#","{part}":"{part}""#),
            format!(r#","env":[{{"name":"A","value":"{part}"}}]"#),
        ] {
            assert!(policy.create(&pod_with(&text)).contains(part));
        }
    }
    for odd in [
        r"\u0000",
        r"\ud83d\udd11",
        r"\u202e",
        r"\ufeff",
        r"\/",
        r"é́",
        "日本",
        r"\u2028",
        "\u{fffe}",
    ] {
        for pod in [
            pod_with("").replace(r#"\"group\":\"db\""#, &format!(r#"\"group\":\"{odd}\""#)),
            pod_with("").replace(
                r#"\"key\":\"password\""#,
                &format!(r#"\"key\":\"{}\""#, odd.replace('\\', r"\\")),
            ),
            pod_with("").replace("\"main\"", &format!("\"{odd}\"")),
            pod_with("").replace("requests", &format!("requests{odd}")),
        ] {
            serde_json::from_str::<Value>(&policy.create(&pod)).expect("JSON");
        }
    }
}

/// A field twice comes out twice where nobody looks, and is refused where it matters which one counts.
#[test]
fn duplicate_keys() {
    let policy = Policy::new();
    let twice = r#""image":"a","image":"b","resources":{"limits":1,"limits":2}"#;
    assert!(policy.create(&pod_with(&format!(",{twice}"))).contains(twice));
    for pod in [
        pod_with(r#","env":[],"env":[]"#),
        pod_with(r#","name":"other""#),
        pod_with("").replace(r#""spec":"#, r#""spec":{},"spec":"#),
        pod_with("").replace(r#""metadata":"#, r#""metadata":{},"metadata":"#),
        pod_with("").replace(r#""annotations":"#, r#""annotations":{},"annotations":"#),
    ] {
        let answer: Value = serde_json::from_str(&policy.create(&pod)).expect("JSON");
        assert!(answer.get("mutated_object").is_none(), "{pod}: {answer}");
    }
    for settings in [
        r#"{"envPrefix":"A","envPrefix":"B"}"#,
        r#"{"managers":[{"type":"aws","type":"vault"}]}"#,
    ] {
        let (code, message) = policy.rejected(&pod_with(""), settings);
        assert!(code == 500 && message.contains("twice"), "{code} {message}");
    }
}

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

#[test]
fn numbers_that_no_float_holds() {
    let policy = Policy::new();
    let numbers = "[123456789012345678901234567890,1e999,-0,0.1000000000000000055511151231257827,1E+2,-1e-999,18446744073709551616]";
    for inside in [
        format!(r#","futureField":{numbers}"#),
        format!(r#","env":[{{"name":"A","futureField":{numbers}}}]"#),
    ] {
        assert!(policy.create(&pod_with(&inside)).contains(numbers));
    }
}

#[test]
fn null_where_an_object_belongs() {
    let policy = Policy::new();
    let annotations = format!(r#""annotations":{{"secret-injector/requests":"{REQUEST}"}}"#);
    for (pod, served) in [
        (pod_with(r#","env":null,"volumeMounts":null"#), true),
        (pod_with("").replace(r#""spec":"#, r#""status":null,"spec":"#), true),
        (
            pod_with("").replace(
                r#""containers":"#,
                r#""volumes":null,"initContainers":null,"imagePullSecrets":null,"containers":"#,
            ),
            true,
        ),
        (pod_with(r#","env":[null,{"name":null},{}]"#), true),
        (
            pod_with("").replace(
                r#"{"annotations""#,
                r#"{"labels":null,"ownerReferences":null,"annotations""#,
            ),
            true,
        ),
        (format!(r#"{{"metadata":{{{annotations}}},"spec":{{}}}}"#), true),
        (format!(r#"{{"metadata":{{{annotations}}},"spec":null}}"#), true),
        (format!(r#"{{"metadata":{{{annotations}}}}}"#), true),
        (
            format!(r#"{{"metadata":{{{annotations}}},"spec":{{"containers":null}}}}"#),
            true,
        ),
        (
            format!(r#"{{"metadata":{{{annotations}}},"spec":{{"containers":[null]}}}}"#),
            false,
        ),
        (format!(r#"{{"metadata":{{{annotations}}},"spec":7}}"#), false),
    ] {
        let answer: Value = serde_json::from_str(&policy.create(&pod)).expect("JSON");
        assert_eq!(answer["accepted"], json!(served), "{pod}: {answer}");
    }
    // Nothing is mounted into an init container that starts before the files are there.
    let files = json!([
        {"group": "a", "key": "k", "mountRequirement": "FILE"},
        {"group": "b", "key": "k", "mountRequirement": "FILE"},
    ]);
    let own = r#""initContainers":[{"name":"own","volumeMounts":null}],"containers""#;
    let pod = policy.mutated(
        &pod_of(1, &files).replace(r#""containers""#, own),
        r#"{"initContainers":"last","managers":[{"type":"aws","client":"cli","match":{"groups":["a"]}},{"type":"vault"}]}"#,
    );
    assert_eq!(pod["spec"]["initContainers"][0]["volumeMounts"], Value::Null, "{pod}");
    // The API server reads a Pod before it asks, so these do not come; they are no reason to trap.
    for spec in [
        "[]",
        "\"x\"",
        r#"{"containers":{}}"#,
        r#"{"containers":"x","volumes":{}}"#,
    ] {
        policy.create(&format!(r#"{{"metadata":{{{annotations}}},"spec":{spec}}}"#));
    }
    for metadata in ["null", "{}", r#"{"annotations":null}"#, "[]", r#"{"annotations":[]}"#] {
        let pod = format!(r#"{{"metadata":{metadata},"spec":{{"containers":[]}},"hint":"secret-injector/requests"}}"#);
        assert_eq!(policy.create(&pod), r#"{"accepted":true}"#, "{metadata}");
    }
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
