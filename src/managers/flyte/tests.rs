//! A Pod in, a Pod or a refusal out, with a cluster in memory.

use serde_json::{Value, json};

use crate::admission;
use crate::cluster::{ClusterError, MemoryCluster};

use super::labels::{Labels, secret_name};

/// The secret `token` in its three scopes: the Secrets' names, which are MD5 sums of the ids, and the ids.
const PROJECT: [&str; 2] = [
    "3f32b60754c2f15a8a92f018bf6074db",
    "u__org__acme__domain__production__project__shop__key__token",
];
const DOMAIN: [&str; 2] = [
    "2c6f71d2c0363ded0cb00186ad5273a7",
    "u__org__acme__domain__production__project____key__token",
];
const ORGANIZATION: [&str; 2] = [
    "02198ce0b4ce8534dbfe6d8b4c9287f8",
    "u__org__acme__domain____project____key__token",
];
/// The secret `Cert.pem` of the project.
const CERT: [&str; 2] = [
    "98ac594631ce7e8bee3ec4d9ee0cb18d",
    "u__org__acme__domain__production__project__shop__key__Cert.pem",
];
/// What goes with the secret `token` of the project where it is for image pulls.
const PULL: &str = "img-pull-6efc084cf691082e";

fn cluster(namespace: &str, secrets: &[([&str; 2], &[u8])]) -> MemoryCluster {
    secrets
        .iter()
        .fold(MemoryCluster::default(), |cluster, ([name, id], value)| {
            cluster.with_secret(namespace, name, &[(id, value)])
        })
}

/// The policy's answer for a Pod of the project `shop` that asks for `requests`.
fn answer(settings: &Value, requests: &Value, cluster: &MemoryCluster) -> Value {
    let mut manager = json!({"type": "flyte"});
    manager
        .as_object_mut()
        .unwrap()
        .extend(settings.as_object().unwrap().clone());
    let review = json!({
        "settings": {"managers": [manager], "statusAnnotation": false},
        "request": {
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "shop-production",
            "object": {
                "metadata": {
                    "labels": {"organization": "acme", "project": "shop", "domain": "production"},
                    "annotations": {"secret-injector/requests": requests.to_string()},
                },
                "spec": {"containers": [{"name": "main", "image": "img"}]},
            },
        },
    });
    serde_json::from_slice(&admission::validate(review.to_string().as_bytes(), cluster)).unwrap()
}

/// What the policy adds to the Pod's spec.
fn spec(settings: &Value, requests: &Value, cluster: &MemoryCluster) -> Value {
    let answer = answer(settings, requests, cluster);
    assert_eq!(answer["accepted"], true, "{answer}");
    answer["mutated_object"]["spec"].clone()
}

fn refusal(settings: &Value, requests: &Value, cluster: &MemoryCluster) -> (u64, String) {
    let answer = answer(settings, requests, cluster);
    assert_eq!(answer["accepted"], false, "{answer}");
    (
        answer["code"].as_u64().unwrap(),
        answer["message"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn the_closest_scope_wins_and_the_search_ends_there() {
    let all: [([&str; 2], &[u8]); 3] = [(PROJECT, b"p"), (DOMAIN, b"d"), (ORGANIZATION, b"o")];
    for (number, [secret, id]) in [PROJECT, DOMAIN, ORGANIZATION].into_iter().enumerate() {
        let cluster = cluster("shop-production", &all[number..]);
        assert_eq!(
            spec(&json!({}), &json!([{"key": "token"}]), &cluster),
            json!({"containers": [{
                "name": "main",
                "image": "img",
                "env": [
                    {"name": "_UNION_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": id}}},
                    {"name": "FLYTE_SECRETS_ENV_PREFIX", "value": "_UNION_"},
                ],
            }]}),
        );
        let looks = cluster.questions();
        assert_eq!(looks.len(), number + 1, "{looks:?}");
        assert_eq!(looks[number], format!("get shop-production/{secret} {id}"));
    }
}

#[test]
fn a_secret_that_is_nowhere_is_not_here() {
    let cluster = cluster("flyte", &[(PROJECT, b"in the wrong namespace")]);
    let (code, message) = refusal(&json!({}), &json!([{"key": "token"}]), &cluster);
    assert_eq!(code, 422);
    for part in [
        "\"shop-production\" has no secret \"token\"",
        PROJECT[0],
        DOMAIN[1],
        ORGANIZATION[1],
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
    assert_eq!(cluster.questions().len(), 3);
}

#[test]
fn files_by_reference() {
    let cluster = cluster("shop-production", &[(PROJECT, b"t"), (CERT, b"\xff\0")]);
    let one = json!([{"key": "Cert.pem", "mountRequirement": "FILE", "envVar": "CERT"}]);
    let spec_of_one = spec(&json!({}), &one, &cluster);
    assert_eq!(
        spec_of_one["volumes"],
        json!([{"name": "embedded-secret-vol", "secret": {
            "secretName": CERT[0],
            "items": [{"key": CERT[1], "path": "Cert.pem"}],
        }}]),
    );
    assert_eq!(
        spec_of_one["containers"][0]["volumeMounts"],
        json!([{"name": "embedded-secret-vol", "readOnly": true, "mountPath": "/etc/flyte/secrets"}]),
    );
    assert_eq!(
        spec_of_one["containers"][0]["env"],
        json!([
            {"name": "CERT", "value": "/etc/flyte/secrets/Cert.pem"},
            {"name": "FLYTE_SECRETS_FILE_PREFIX"},
            {"name": "FLYTE_SECRETS_DEFAULT_DIR", "value": "/etc/flyte/secrets"},
        ]),
    );
    let two = json!([
        {"key": "Cert.pem", "mountRequirement": "FILE"},
        {"key": "token", "mountRequirement": "FILE"},
    ]);
    assert_eq!(
        spec(&json!({}), &two, &cluster)["volumes"],
        json!([{"name": "embedded-secret-vol", "projected": {"sources": [
            {"secret": {"name": CERT[0], "items": [{"key": CERT[1], "path": "Cert.pem"}]}},
            {"secret": {"name": PROJECT[0], "items": [{"key": PROJECT[1], "path": "token"}]}},
        ]}}]),
    );
}

#[test]
fn values_in_the_pod() {
    let cluster = cluster("vault", &[(PROJECT, b"$(HOME) $$ \xc3\xa9"), (CERT, b"\xff\0")]);
    let settings = json!({"literal": true, "organization": "acme", "namespace": "vault", "image": "busybox:1"});
    let requests = json!([
        {"key": "token", "envVar": "SECRETS"},
        {"key": "Cert.pem", "mountRequirement": "FILE", "envVar": "CERT"},
        {"key": "token", "mountRequirement": "FILE", "envVar": "TOKEN_FILE"},
    ]);
    let spec = spec(&settings, &requests, &cluster);
    assert_eq!(
        spec["containers"][0]["env"],
        json!([
            {"name": "TOKEN_FILE", "value": "/etc/flyte/secrets/token"},
            {"name": "FLYTE_SECRETS_FILE_PREFIX"},
            {"name": "FLYTE_SECRETS_DEFAULT_DIR", "value": "/etc/flyte/secrets"},
            {"name": "CERT", "value": "/etc/flyte/secrets/Cert.pem"},
            {"name": "SECRETS", "value": "$$(HOME) $$$ é"},
            {"name": "FLYTE_SECRETS_ENV_PREFIX", "value": "_UNION_"},
        ]),
    );
    let init = &spec["initContainers"];
    assert_eq!(init.as_array().unwrap().len(), 1);
    assert_eq!(init[0]["name"], "init-embedded-secret");
    assert_eq!(init[0]["image"], "busybox:1");
    assert_eq!(
        init[0]["args"],
        json!([
            "sh",
            "/etc/flyte/secrets/Cert.pem",
            "/wA=",
            "/etc/flyte/secrets/token",
            "JChIT01FKSAkJCDDqQ=="
        ]),
    );
    assert_eq!(
        init[0]["volumeMounts"],
        json!([{"name": "embedded-secret-vol", "mountPath": "/etc/flyte/secrets"}]),
    );
    assert!(init[0].get("env").is_none(), "no variable can be in the way");
    assert_eq!(cluster.questions().len(), 3);
}

#[test]
fn a_long_value_is_several_arguments() {
    let value = vec![7; 300 * 1024];
    let cluster = cluster("flyte", &[(PROJECT, &value)]);
    let requests = json!([{"key": "token", "mountRequirement": "FILE"}]);
    let spec = spec(&json!({"literal": true, "organization": "acme"}), &requests, &cluster);
    let arguments = spec["initContainers"][0]["args"].as_array().unwrap();
    assert_eq!(arguments.len(), 1 + 2 * 5);
    assert!(
        arguments
            .iter()
            .all(|argument| argument.as_str().unwrap().len() < 128 * 1024)
    );
}

#[test]
fn what_it_does_not_serve() {
    let reference = cluster("shop-production", &[(PROJECT, b"\xff")]);
    let literal = cluster("flyte", &[(PROJECT, b"\xff")]);
    let outage = || MemoryCluster::default().with_outage(ClusterError::Unavailable("connection refused".to_owned()));
    for (settings, request, cluster, code, reason) in [
        (json!({}), json!({"group": "g"}), &reference, 422, "it needs a key"),
        (json!({}), json!({"key": "token"}), &reference, 422, "is not text"),
        (
            json!({"literal": true, "organization": "acme"}),
            json!({"key": "token"}),
            &literal,
            422,
            "is not text",
        ),
        (
            json!({}),
            json!({"key": "a=b"}),
            &reference,
            422,
            "\"_UNION_A=B\" cannot be a variable's name",
        ),
        (
            json!({}),
            json!({"key": "../x", "mountRequirement": "FILE"}),
            &reference,
            422,
            "cannot be a file's name",
        ),
        (
            json!({}),
            json!({"key": "..data", "mountRequirement": "FILE"}),
            &reference,
            422,
            "cannot be a file's name",
        ),
        (
            json!({}),
            json!({"key": "token"}),
            &outage(),
            503,
            "the project's Secret \"3f32b60754c2f15a8a92f018bf6074db\"",
        ),
        (
            json!({"podNamespace": "{domain}-{project}"}),
            json!({"key": "token"}),
            &reference,
            403,
            "belong in the namespace \"production-shop\", but this one is in \"shop-production\"",
        ),
        (
            json!({"authorize": "serviceAccount"}),
            json!({"key": "token", "mountRequirement": "FILE"}),
            &reference,
            403,
            "name: read-3f32b60754c2f15a8a92f018bf6074db, namespace: \"shop-production\"",
        ),
        (
            json!({"authorize": "serviceAccount", "literal": true, "organization": "acme"}),
            json!({"key": "token", "mountRequirement": "FILE"}),
            &literal,
            403,
            "name: read-3f32b60754c2f15a8a92f018bf6074db, namespace: \"flyte\"",
        ),
    ] {
        let (found, message) = refusal(&settings, &json!([request]), cluster);
        assert_eq!(found, code, "{request}: {message}");
        assert!(message.contains(reason), "{request}: {message}");
    }
}

#[test]
fn a_pod_elsewhere_is_refused_before_anything_is_read() {
    let cluster = cluster("flyte", &[(PROJECT, b"p")]);
    let settings = json!({"literal": true, "podNamespace": "{organization}-{project}-{domain}"});
    let (code, message) = refusal(&settings, &json!([{"key": "token"}]), &cluster);
    assert_eq!(code, 403, "{message}");
    assert_eq!(cluster.questions(), [""; 0]);
    let unbound = json!({"literal": true, "podNamespace": "any"});
    let spec = spec(&unbound, &json!([{"key": "token"}]), &cluster);
    assert_eq!(spec["containers"][0]["env"][0]["value"], "p");
}

#[test]
fn image_pull_secrets() {
    let token = || cluster("shop-production", &[(PROJECT, b"t")]);
    let mirrored = |namespace| token().with_secret(namespace, PULL, &[(".dockerconfigjson", b"{}")]);
    let requests = json!([{"key": "token"}]);
    let on = json!({"imagePullSecrets": true});
    let spec_with = |cluster| spec(&on, &requests, &cluster)["imagePullSecrets"].clone();
    assert_eq!(spec_with(mirrored("shop-production")), json!([{"name": PULL}]));
    assert_eq!(spec_with(token()), Value::Null);
    assert_eq!(
        spec(&json!({}), &requests, &mirrored("shop-production"))["imagePullSecrets"],
        Value::Null,
    );
    let cluster = mirrored("flyte");
    let warned = answer(&on, &requests, &cluster);
    assert_eq!(warned["mutated_object"]["spec"]["imagePullSecrets"], Value::Null);
    let warning = warned["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains(PULL) && warning.contains("copy it to \"shop-production\""),
        "{warning}"
    );
    assert!(
        !cluster
            .questions()
            .iter()
            .any(|question| question.contains("dockerconfigjson")),
        "the registry's credential is not read",
    );
}

/// The names that Flyte's own code makes.
#[test]
fn names_are_flytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/e2e-tests/golden/secret_names.json");
    let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut checked = 0;
    for vector in &vectors {
        let [input, output] = [&vector["in"], &vector["out"]];
        let (Some(id), Some(organization)) = (output["secret_id"].as_str(), input["org"].as_str()) else {
            continue;
        };
        let labels = Labels {
            organization,
            domain: input["domain"].as_str().unwrap(),
            project: input["project"].as_str().unwrap(),
        };
        let key = input["name"].as_str().unwrap();
        assert_eq!(labels.secret_id(key), id, "{vector}");
        assert_eq!(secret_name(id), output["k8s_secret_name"].as_str().unwrap());
        assert_eq!(labels.pull_secret(key), output["image_pull_name"].as_str().unwrap());
        checked += 1;
    }
    assert_eq!(checked, 9, "of {}", vectors.len());
}

#[test]
fn settings_that_are_refused() {
    for (settings, problem) in [
        (json!({"podNamespace": "{project}-{cluster}"}), "podNamespace"),
        (json!({"podNamespace": "{project}-{domain"}), "podNamespace"),
        (json!({"namespace": "Flyte"}), "namespace"),
        (json!({"authorize": "maybe"}), "authorize"),
        (json!({"literal": "yes"}), "literal"),
        (json!({"podnamespace": "{project}"}), "podnamespace"),
    ] {
        let mut manager = settings;
        manager["type"] = json!("flyte");
        let text = json!({"managers": [manager]}).to_string();
        let error = crate::settings::Settings::parse(&text).err().unwrap();
        assert_eq!(error.place, format!("managers[0] (flyte).{problem}"));
    }
}
