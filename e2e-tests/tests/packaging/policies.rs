//! The policies in `deploy`: which Pods reach them, and what those Pods get.

use e2e_tests::review::Review;
use kubewarden_policy_sdk::crd::policies::ClusterAdmissionPolicy;
use secret_injector_policy::requests::{FLYTE_PREFIX, JSON_ANNOTATION};
use serde_json::{Value, json};

use crate::kustomize::Resources;
use crate::{DEPLOYMENTS, FLYTE_TASK, GENERIC_POD, admit, document, image, metadata, parse, policy, problem, read};

#[test]
fn every_policy_is_what_the_metadata_says() {
    let metadata = metadata();
    for deployment in DEPLOYMENTS {
        let resources = Resources::of(deployment);
        let spec = &resources.one("ClusterAdmissionPolicy")["spec"];
        let module = format!("registry://{}", image(&metadata));
        for (field, expected) in [
            ("module", json!(module)),
            ("rules", metadata["rules"].clone()),
            ("mutating", metadata["mutating"].clone()),
            ("backgroundAudit", metadata["backgroundAudit"].clone()),
            ("mode", json!("protect")),
            ("failurePolicy", json!("Fail")),
            ("sideEffects", json!("None")),
        ] {
            assert_eq!(spec[field], expected, "{deployment}: {field}");
        }
        // Unknown fields are errors of this type; kinds and enumerations are checked by it as well.
        let policy: ClusterAdmissionPolicy = resources.typed("ClusterAdmissionPolicy").remove(0);
        let spec = policy.spec.unwrap();
        let (evaluation, webhook) = (spec.timeout_eval_seconds.unwrap(), spec.timeout_seconds.unwrap());
        let (evaluation, webhook) = (i32::from(evaluation), i32::from(webhook));
        assert!(
            2 <= evaluation && evaluation < webhook && webhook <= 30,
            "{deployment}: {evaluation} {webhook}"
        );
    }
}

#[test]
fn every_policys_settings_are_valid() {
    let policy = policy();
    for deployment in DEPLOYMENTS {
        let settings = Resources::of(deployment).one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
        assert_eq!(problem(policy, &settings), None, "{deployment}");
    }
}

/// The policy server reads a policy that has `module`, and fails on the whole file where one has not.
#[test]
fn the_load_tests_policies_are_what_the_policy_server_reads() {
    let policies = document("e2e-tests/load/policies.yml");
    for (name, served) in policies.as_object().unwrap() {
        let fields: Vec<&String> = served.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["allowedToMutate", "module", "settings"], "{name}");
        assert_eq!(problem(policy(), &served["settings"]), None, "{name}");
        let address = format!("/validate/{name} ");
        assert!(read("e2e-tests/load/README.md").contains(&address), "{address}");
    }
}

/// The first few things that a deployment is for.
#[test]
fn every_deployment_serves_its_pods() {
    for (deployment, pod, cluster, variable) in [
        ("base", FLYTE_TASK, "", "_UNION_WAREHOUSE_PASSWORD"),
        ("overlays/flyte1", FLYTE_TASK, "", "_FSEC_WAREHOUSE_PASSWORD"),
        ("overlays/generic", GENERIC_POD, "", "SECRET_WAREHOUSE_PASSWORD"),
    ] {
        let settings = Resources::of(deployment).one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
        let admitted = admit(&settings, cluster, &Review::from_text(pod).unwrap());
        let variables = admitted["spec"]["containers"][0]["env"].as_array().unwrap();
        assert!(
            variables.iter().any(|env| env["name"] == variable),
            "{deployment}: {variables:#?}"
        );
    }
}

/// The Pod of the README's quick start, whose annotation the README shows.
#[test]
fn the_example_pod_gets_its_secret() {
    let pod = read("deploy/example-pod.yaml");
    let settings = Resources::of("overlays/generic").one("ClusterAdmissionPolicy")["spec"]["settings"].clone();
    let admitted = admit(&settings, "", &Review::from_text(&pod).unwrap());
    let variables = admitted["spec"]["containers"][0]["env"].as_array().unwrap();
    let reference = json!({"name": "example", "key": "password"});
    assert!(
        variables.contains(&json!({"name": "PASSWORD", "valueFrom": {"secretKeyRef": reference}})),
        "{variables:#?}"
    );
    let request = admitted["metadata"]["annotations"][JSON_ANNOTATION].as_str().unwrap();
    assert!(
        read("README.md").contains(request.trim()),
        "README.md does not show {request}"
    );
}

#[test]
fn pods_that_ask_for_something_reach_the_policy() {
    for deployment in DEPLOYMENTS {
        let policy = Resources::of(deployment).one("ClusterAdmissionPolicy");
        let expression = policy["spec"]["matchConditions"][0]["expression"]
            .as_str()
            .unwrap()
            .to_owned();
        for part in [
            format!("key.startsWith('{FLYTE_PREFIX}')"),
            // With whatever name behind it: the policy warns of those that are no names.
            format!("key.startsWith('{JSON_ANNOTATION}')"),
        ] {
            assert!(
                expression.contains(&part),
                "{deployment}: {part} is not in {expression}"
            );
        }
        // Whatever its labels: what asks is the annotation.
        assert_eq!(policy["spec"]["objectSelector"], Value::Null, "{deployment}");
    }
}

/// The overlay `defaults` is a policy beside the others: each Pod gets to one of the two.
#[test]
fn pods_that_ask_for_nothing_reach_the_defaults() {
    let defaults = Resources::of("overlays/defaults");
    let policy = defaults.one("ClusterAdmissionPolicy");
    let _: Vec<ClusterAdmissionPolicy> = defaults.typed("ClusterAdmissionPolicy");
    assert_eq!(defaults.0.len(), 1, "the policy server is that of the other overlay");
    let base = Resources::of("base").one("ClusterAdmissionPolicy");
    assert_ne!(policy["metadata"]["name"], base["metadata"]["name"]);
    for (field, value) in policy["spec"].as_object().unwrap() {
        if !["matchConditions", "namespaceSelector", "settings"].contains(&field.as_str()) {
            assert_eq!(*value, base["spec"][field], "{field}");
        }
    }
    let expression = policy["spec"]["matchConditions"][0]["expression"].as_str().unwrap();
    for part in [
        "!has(object.metadata.annotations) ||",
        "!object.metadata.annotations.exists(key,",
        &format!("key.startsWith('{FLYTE_PREFIX}')"),
        &format!("key.startsWith('{JSON_ANNOTATION}')"),
    ] {
        assert!(expression.contains(part), "{part} is not in {expression}");
    }
    let selector = &policy["spec"]["namespaceSelector"];
    let mut expected = base["spec"]["namespaceSelector"]["matchExpressions"].clone();
    let opted_in = json!({"key": "secret-injector/defaults", "operator": "In", "values": ["enabled"]});
    expected.as_array_mut().unwrap().push(opted_in);
    // Kubewarden leaves matchLabels out.
    assert_eq!(*selector, json!({"matchExpressions": expected}));

    let mut pod = parse(GENERIC_POD);
    pod["metadata"].as_object_mut().unwrap().remove("annotations");
    let admitted = admit(&policy["spec"]["settings"], "", &Review::of_pod(pod));
    let variables = admitted["spec"]["containers"][0]["env"].as_array().unwrap();
    assert!(
        variables.iter().any(|env| env["name"] == "WANDB_API_KEY"),
        "{variables:#?}"
    );
}

/// Kubewarden names the configuration `clusterwide-NAME`, and the API server goes by the names.
#[test]
fn the_policy_comes_before_the_injectors_that_read_what_it_writes() {
    for deployment in DEPLOYMENTS {
        let policy = Resources::of(deployment).one("ClusterAdmissionPolicy");
        let ours = format!("clusterwide-{}", policy["metadata"]["name"].as_str().unwrap());
        for later in [
            "infisical-agent-injector-cfg",
            "vault-agent-injector-cfg",
            "vault-secrets-webhook",
            // Those of the chart kubewarden-defaults that mutate.
            "clusterwide-drop-capabilities",
            "clusterwide-no-privilege-escalation",
        ] {
            assert!(ours.as_str() < later, "{ours} has to come before {later}");
        }
    }
}
