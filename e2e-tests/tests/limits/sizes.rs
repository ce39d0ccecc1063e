//! How much a Pod may hold: containers, requests and items of its own.

use super::*;

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
        let mut env = pod["spec"]["containers"][0]["env"].as_array().unwrap().iter();
        assert!(env.any(|variable| variable["name"] == "_UNION_DB_PASSWORD"));
        let idle = pod_with(&inside).replace("secret-injector/requests", "example.com/requests");
        assert_eq!(policy.create(&idle), r#"{"accepted":true}"#);
    }
}

/// Whatever a call takes is free for the next one: `kwctl bench` keeps an instance.
#[test]
fn an_instance_that_is_kept_does_not_grow() {
    let policy = Policy::new();
    for settings in EVERY_MANAGER {
        let payload = payload(&pod_of(1, &requests_of(settings, requests(50))), settings);
        let instance = policy.module.instantiate_within(&policy.host, 2 * 1024 * 1024).unwrap();
        let first = instance.call("validate", payload.as_bytes()).unwrap();
        for _ in 0..100 {
            assert_eq!(
                instance.call("validate", payload.as_bytes()).unwrap(),
                first,
                "{settings}"
            );
        }
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

/// A narrow mode needs to know who reads the file: the users of all containers, for each file.
#[test]
fn modes_times_users() {
    let policy = Policy::new();
    let level = "x".repeat(1024);
    let container = |number: usize| json!({"name": format!("c{number}"), "securityContext": {"runAsUser": 7, "seLinuxOptions": {"level": level}}});
    let request =
        |number: usize| json!({"group": "g", "key": format!("k{number}"), "mountRequirement": "FILE", "mode": "0440"});
    let requests = json!((0..1_000).map(request).collect::<Vec<_>>());
    for settings in EVERY_MANAGER {
        let mut pod: Value = serde_json::from_str(&pod_of(0, &requests_of(settings, requests.clone()))).expect("JSON");
        pod["spec"]["containers"] = json!((0..1_000).map(container).collect::<Vec<_>>());
        policy.answer(&payload(&pod.to_string(), settings));
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
