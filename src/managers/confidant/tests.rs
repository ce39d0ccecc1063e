use serde_json::{Value, json};

use crate::admission;
use crate::cluster::MemoryCluster;
use crate::settings::Settings;

fn manager(changes: &Value) -> Value {
    let mut manager = json!({
        "type": "confidant",
        "url": "https://confidant.example.com",
        "authKey": "alias/confidant-auth",
        "region": "us-east-1",
        "authContext": {"to": "confidant-production"},
        "image": "confidant-client:2.7.1",
    });
    let fields = manager.as_object_mut().unwrap();
    for (field, value) in changes.as_object().unwrap() {
        if value.is_null() {
            fields.remove(field);
        } else {
            fields.insert(field.clone(), value.clone());
        }
    }
    manager
}

/// The policy's answer for a Pod of the service account `worker` in the namespace `payments`.
fn answer(changes: &Value, env_files: bool, service_account: &str, requests: &Value) -> Value {
    let review = json!({
        "settings": {"managers": [manager(changes)], "envFiles": env_files},
        "request": {
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "payments",
            "object": {
                "metadata": {"annotations": {"secret-injector/requests": requests.to_string()}},
                "spec": {
                    "serviceAccountName": service_account,
                    "containers": [{"name": "app", "image": "img"}, {"name": "side", "image": "img"}],
                },
            },
        },
    });
    let cluster = MemoryCluster::default();
    let answer = admission::validate(review.to_string().as_bytes(), &cluster);
    assert_eq!(cluster.questions(), [""; 0], "no question to the cluster");
    serde_json::from_slice(&answer).unwrap()
}

/// The init container's variables as JSON: who the Pod is, the client's configuration, the requests.
fn asked(answer: &Value) -> [Value; 3] {
    let [container] = answer["mutated_object"]["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .as_slice()
    else {
        panic!("one init container: {answer}");
    };
    ["CONFIDANT_SERVICE", "CONFIDANT_CONFIG", "SECRET_REQUESTS"].map(|name| {
        let variables = container["env"].as_array().unwrap();
        let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
        let text = variable["value"].as_str().unwrap().replace("$$", "$");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    })
}

#[test]
fn one_container_asks_for_all() {
    let requests = json!([
        {"group": "DB", "key": "Password", "mountRequirement": "FILE"},
        {"group": "db", "key": "user", "mountRequirement": "ENV_VAR"},
        {"group": "$(X)", "key": "k", "mountRequirement": "FILE", "containers": ["side"]},
    ]);
    let [service, config, requests] = asked(&answer(&json!({}), true, "worker", &requests));
    assert_eq!(service, "payments");
    assert_eq!(
        config,
        json!({"default": {
            "url": "https://confidant.example.com",
            "auth_key": "alias/confidant-auth",
            "auth_context": {"from": "payments", "to": "confidant-production", "user_type": "service"},
            "region": "us-east-1",
            "retries": 3,
            "token_cache_file": "",
        }}),
    );
    let requests = requests.as_array().unwrap();
    let names = |request: &Value| format!("{} {} {}", request["group"], request["key"], request["env"]);
    let mut asked: Vec<String> = requests.iter().map(names).collect();
    asked.dedup();
    assert_eq!(
        asked,
        [
            r#""DB" "Password" null"#,
            r#""db" "user" "_UNION_DB_USER""#,
            r#""$(X)" "k" null"#
        ]
    );
    let paths: Vec<&str> = requests
        .iter()
        .map(|request| request["path"].as_str().unwrap())
        .collect();
    let mut unique = paths.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(
        unique.len(),
        4,
        "a file for each container's volume, and one of variables: {paths:?}"
    );
}

#[test]
fn settings_say_who_the_pod_is() {
    let request = json!([{"group": "g", "key": "k", "mountRequirement": "FILE"}]);
    for (changes, service, from) in [
        (
            json!({"service": "{namespace}_{serviceAccount}"}),
            "payments_worker",
            "payments_worker",
        ),
        (
            json!({"service": "{serviceAccount}.{namespace}"}),
            "worker.payments",
            "worker.payments",
        ),
        (
            json!({"service": "one", "authContext": {"to": "c", "from": "pods/{service}", "userType": "user"}}),
            "one",
            "pods/one",
        ),
    ] {
        let [asked_for, config, _] = asked(&answer(&changes, false, "worker", &request));
        assert_eq!(asked_for, service);
        assert_eq!(config["default"]["auth_context"]["from"], from);
    }
}

#[test]
fn what_it_does_not_serve() {
    let by_account = json!({"service": "{serviceAccount}"});
    for (changes, account, request, reason) in [
        (json!({}), "worker", json!({"group": "g"}), "it needs a group"),
        (json!({}), "worker", json!({"key": "k"}), "it needs a group"),
        (
            json!({}),
            "worker",
            json!({"group": "g", "key": "k", "groupVersion": "2"}),
            "newest revision",
        ),
        (
            json!({}),
            "worker",
            json!({"group": "g", "key": "k", "mountRequirement": "ENV_VAR"}),
            "envFiles: true",
        ),
        (
            json!({}),
            "worker",
            json!({"group": "..", "key": "k", "mountRequirement": "FILE"}),
            "cannot be a file's name",
        ),
        (
            by_account.clone(),
            "../credentials",
            json!({"group": "g", "key": "k"}),
            "\"../credentials\" cannot be a Confidant service",
        ),
        (
            by_account,
            "a?x=$(id)",
            json!({"group": "g", "key": "k"}),
            "cannot be a Confidant service",
        ),
    ] {
        let answer = answer(&changes, false, account, &json!([request]));
        let message = answer["message"].as_str().unwrap();
        assert!(
            answer["code"] == 422 && message.contains(reason),
            "{request}: {message}"
        );
    }
}

#[test]
fn settings_that_are_refused() {
    for (changes, place, problem) in [
        (json!({"image": null}), "image", "pip install confidant-client"),
        (json!({"url": null}), "url", "is missing"),
        (json!({"url": "confidant.example.com"}), "url", "https://"),
        (json!({"url": "https://a\u{85}b"}), "url", "control character"),
        (json!({"authKey": " "}), "authKey", "is empty"),
        (json!({"region": null}), "region", "is missing"),
        (json!({"authContext": null}), "authContext", "is missing"),
        (json!({"authContext": {}}), "authContext.to", "is missing"),
        (
            json!({"authContext": {"to": "c", "from": "{pod}"}}),
            "authContext.from",
            "{service}",
        ),
        (
            json!({"authContext": {"to": "c", "user_type": "service"}}),
            "authContext.user_type",
            "is not a setting",
        ),
        (json!({"service": "{label}"}), "service", "{namespace}"),
        (
            json!({"service": "{namespace}-{serviceAccount}"}),
            "service",
            "one service of different Pods",
        ),
        (
            json!({"service": "x_{serviceAccount}-sa-{namespace}"}),
            "service",
            "one service of different Pods",
        ),
        (
            json!({"service": "{namespace}{serviceAccount}"}),
            "service",
            "{namespace}_{serviceAccount}",
        ),
        (json!({"retries": -1}), "retries", "wrong type"),
    ] {
        let text = json!({"managers": [manager(&changes)]}).to_string();
        let error = Settings::parse(&text).err().unwrap();
        assert_eq!(error.place, format!("managers[0] (confidant).{place}"));
        assert!(error.problem.contains(problem), "{place}: {}", error.problem);
    }
}
