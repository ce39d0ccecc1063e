//! Fifty secrets of all managers on one Pod, ten of them by default, on the real module.

use std::collections::BTreeMap;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::modules;
use e2e_tests::review::Review;
use e2e_tests::settings::MANAGERS;
use serde_json::{Value, json};

const EACH: usize = 5;

/// The group, version, key and way to mount of a request that the manager serves, by its number.
fn request(manager: &str, number: usize) -> Value {
    let (group, version, key) = match manager {
        "kubernetes" => (format!("k8s-{}", number / 2), "", format!("key-{number}")),
        "global" => ("shared".to_owned(), "", format!("token-{number}")),
        "vault" => (format!("secret/data/app-{number}"), "", "password".to_owned()),
        "aws" => (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:".to_owned(),
            "",
            format!("db{number}-AbCdEf"),
        ),
        "gcp" => (format!("projects/1/secrets/gcp-{number}"), "latest", String::new()),
        "azure" => (
            format!("https://v.vault.azure.net/secrets/az-{number}"),
            "",
            String::new(),
        ),
        "confidant" => (format!("confidant-{number}"), "", "password".to_owned()),
        "csi" => (format!("csi-{}", number / 2), "", format!("file-{number}")),
        "flyte" => (String::new(), "", format!("flyte-{number}")),
        _ => (format!("bank-{number}"), "", "password".to_owned()),
    };
    let variable = matches!(manager, "global" | "template")
        || number.is_multiple_of(2) && matches!(manager, "kubernetes" | "gcp" | "confidant" | "flyte");
    json!({
        "group": group,
        "groupVersion": version,
        "key": key,
        "mountRequirement": if variable { "ENV_VAR" } else { "FILE" },
        "envVar": format!("{}_{number}", manager.to_uppercase()),
    })
}

/// Each manager is narrowed to its own groups; `kubernetes` takes the rest. The Pod gets `given` without asking for them.
fn settings(given: &[Value]) -> Value {
    let defaults = json!([{"namespaces": ["shop-*"], "requests": given}]);
    let pull_secrets = json!([{"name": "registry", "images": ["own:*"]}]);
    json!({"envFiles": true, "defaults": defaults, "imagePullSecrets": pull_secrets, "managers": [
        {"type": "global", "match": {"groups": ["shared"]}, "authorize": "none"},
        {"type": "vault", "match": {"groups": ["secret/*"]}},
        {"type": "aws", "client": "cli", "match": {"groups": ["arn:*"]}},
        {"type": "gcp", "match": {"groups": ["projects/*"]}},
        {"type": "azure", "match": {"groups": ["https://*"]}},
        {"type": "confidant", "match": {"groups": ["confidant-*"]}, "url": "https://confidant.example.com",
         "authKey": "alias/confidant", "region": "eu-west-1", "authContext": {"to": "confidant"}, "image": "confidant:1"},
        {"type": "csi", "match": {"groups": ["csi-*"]}},
        {"type": "template", "match": {"groups": ["bank-*"]},
         "env": [{"name": "{envVar}", "value": "vault:secret/data/{group}#{key}"}]},
        {"type": "flyte", "match": {"groups": [""]}, "literal": true, "podNamespace": "any"},
        {"type": "kubernetes"},
    ]})
}

fn cluster() -> Cluster {
    let tokens: String = (0..EACH).map(|number| format!("  token-{number}: value\n")).collect();
    let mut objects = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: shared, namespace: flyte-secrets}}\nstringData:\n{tokens}"
    );
    for number in 0..EACH {
        let id = format!("u__org__acme__domain__development__project__shop__key__flyte-{number}");
        let name = format!("{:x}", md5::compute(&id));
        objects.push_str(&format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: flyte}}\nstringData: {{{id}: value}}\n"
        ));
    }
    Cluster::from_yaml(&objects).expect("a cluster")
}

#[test]
fn fifty_secrets_of_all_managers() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let grants = Grants::all_of_the_policy().expect("grants");
    let host = Host::new(cluster(), grants);
    let requests: Vec<Value> = (0..EACH)
        .flat_map(|number| MANAGERS.map(|manager| request(manager, number)))
        .collect();
    assert_eq!(requests.len(), 50);
    let (asked, given) = requests.split_at(40);
    let settings = settings(given);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "namespace": "shop-development",
            "labels": {"organization": "acme", "project": "shop", "domain": "development"},
            "annotations": {"secret-injector/requests": json!(asked).to_string()},
        },
        "spec": {
            "initContainers": [
                {"name": "own", "image": "own:1"},
                {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
            ],
            "containers": [
                {"name": "app", "image": "app:1", "env": [{"name": "OWN", "value": "$(KUBERNETES_0)"}]},
                {"name": "other", "image": "other:1", "volumeMounts": [{"name": "own", "mountPath": "/own"}]},
            ],
            "volumes": [{"name": "own", "emptyDir": {}}],
        },
    });
    let evaluation = policy.validate(&host, &Review::of_pod(pod.clone()).request, &settings);
    let response = &evaluation.response;
    assert!(response.allowed, "{}", response.message());

    let audit = response.audit_annotations.as_ref().expect("audit annotations");
    let injected: Vec<Value> = serde_json::from_str(&audit["injected"]).expect("a list");
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    let (secrets, pulled) = injected.split_at(50);
    assert_eq!(pulled, [json!({"imagePullSecret": "registry"})]);
    assert_eq!(secrets.iter().filter(|entry| entry["origin"] == "default").count(), 10);
    for entry in secrets {
        *served.entry(entry["manager"].as_str().expect("a name")).or_default() += 1;
    }
    assert_eq!(served, MANAGERS.map(|manager| (manager, EACH)).into());

    let mutated = response.patched(&pod).expect("a patch that applies");
    let again = policy.validate(&host, &Review::of_pod(mutated.clone()).request, &settings);
    assert!(again.response.allowed, "{}", again.response.message());
    assert_eq!(again.response.patched(&mutated).expect("a patch"), mutated);

    // All variables reach the Pod's own containers, and one init container of ours is enough for each manager.
    for container in ["app", "other"] {
        let containers = mutated["spec"]["containers"].as_array().expect("containers");
        let found = containers
            .iter()
            .find(|found| found["name"] == container)
            .expect(container);
        for manager in MANAGERS {
            for number in 0..EACH {
                let name = format!("{}_{number}", manager.to_uppercase());
                let env = found["env"].as_array().expect("variables");
                assert!(
                    env.iter().any(|variable| variable["name"] == name),
                    "{container}: {name}"
                );
            }
        }
    }
    let init_containers = mutated["spec"]["initContainers"].as_array().expect("init containers");
    let names: Vec<&str> = init_containers
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    assert_eq!(names.len(), 2 + 5, "{names:?}");
    assert_eq!(names[5..], ["own", "proxy"]);
}
