//! Who reaches a policy server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use e2e_tests::modules;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::kustomize::{PolicyServer, Resources};
use crate::{DEPLOYMENTS, document, read};

/// The labels that the controller gives the Pods of a PolicyServer, and the Service's selector for them
/// ([policyserver_types.go](https://github.com/kubewarden/adm-controller/blob/main/api/policies/v1/policyserver_types.go)).
fn labels_of_the_policy_servers_pods(resources: &Resources) -> Value {
    let name = resources.one("PolicyServer")["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    json!({
        "app.kubernetes.io/instance": format!("policy-server-{name}"),
        "app.kubernetes.io/part-of": "kubewarden",
    })
}

/// Reviews come from the API server alone: from addresses, which the operator gives, or from the agents that carry its calls.
/// No rule lets in a whole cluster, a namespace's Pods, or a port that it does not name.
#[test]
fn only_the_api_server_reaches_the_policy_server() {
    for deployment in DEPLOYMENTS {
        let resources = Resources::of(deployment);
        let policies: Vec<NetworkPolicy> = resources.typed("NetworkPolicy");
        assert_eq!(policies.len(), 1, "{deployment}");
        let account = resources.one("ServiceAccount");
        assert_eq!(json!(policies[0].metadata.namespace), account["metadata"]["namespace"]);
        let spec = policies[0].spec.as_ref().unwrap();
        assert_eq!(
            json!(spec.pod_selector),
            json!({"matchLabels": labels_of_the_policy_servers_pods(&resources)})
        );
        assert_eq!(spec.policy_types, Some(vec!["Ingress".to_owned()]), "{deployment}");

        let server: PolicyServer = resources.typed("PolicyServer").remove(0);
        let reviews = i32::from(server.spec.webhook_port.unwrap_or(8443));
        let metrics = i32::from(server.spec.metrics_port.unwrap_or(8080));
        let mut ports = Vec::new();
        for rule in spec.ingress.as_ref().unwrap() {
            let Some([port]) = rule.ports.as_deref() else {
                panic!("{deployment}: a rule is for one port");
            };
            assert_eq!(port.protocol.as_deref(), Some("TCP"), "{deployment}");
            let Some(IntOrString::Int(port)) = port.port else {
                panic!("{deployment}: a rule without a port is for all");
            };
            ports.push(port);
            let peers = rule.from.as_ref().expect("a rule without peers is for everybody");
            assert!(!peers.is_empty(), "{deployment}: an empty list is for everybody");
            for peer in peers.iter().filter(|_| port == reviews) {
                let of_the_api_server = match (&peer.ip_block, &peer.namespace_selector, &peer.pod_selector) {
                    // Shut until the operator writes his API server's address.
                    (Some(block), None, None) => block.cidr == "192.0.2.1/32",
                    (None, Some(namespace), Some(pods)) => {
                        json!(namespace) == json!({"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}})
                            && json!(pods).to_string().contains("konnectivity-agent")
                    }
                    _ => false,
                };
                assert!(of_the_api_server, "{deployment}: {}", json!(peer));
            }
        }
        assert_eq!(ports, [reviews, metrics], "{deployment}");
    }
}

#[test]
fn cilium_lets_in_the_api_server_alone() {
    let mut resources = Resources::of("base");
    resources.add(&modules::repository().join("deploy/components/cilium"));
    let expected = json!({
        "endpointSelector": {"matchLabels": labels_of_the_policy_servers_pods(&resources)},
        "ingress": [{
            "fromEntities": ["kube-apiserver"],
            "toPorts": [{"ports": [{"port": "8443", "protocol": "TCP"}]}],
        }],
    });
    assert_eq!(resources.one("CiliumNetworkPolicy")["spec"], expected);
}

/// Runs the script of `check-reach.yaml`, with a stand-in for curl: it fails where the policy server answered, and says nothing
/// where it cannot know.
#[test]
fn the_check_fails_where_the_policy_server_can_be_reached() {
    let pod: Pod = serde_json::from_value(document("deploy/check-reach.yaml")).unwrap();
    let command = pod.spec.unwrap().containers.remove(0).command.unwrap();
    let address = "https://policy-server-secret-injector.kubewarden.svc/";
    assert!(command[2].contains(address), "{}", command[2]);
    let bin = std::env::temp_dir().join(format!("check-reach-{}", std::process::id()));
    fs::create_dir_all(&bin).unwrap();
    let curl = bin.join("curl");
    fs::write(&curl, "#!/bin/sh\nprintf %s \"$CONNECTED\"\nexit \"$CODE\"\n").unwrap();
    fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).unwrap();
    for (connected, code, expected) in [
        ("0.001234", "0", 1),
        ("0.000000", "7", 0),
        ("0.000000", "28", 0),
        ("0.001234", "35", 0),
        ("0.001234", "56", 0),
        // Connected, and no answer in time.
        ("0.001234", "28", 2),
        // The name is not known, and no curl.
        ("0.000000", "6", 2),
        ("", "127", 2),
    ] {
        let output = Command::new("sh")
            .args(&command[1..])
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
            .env("CONNECTED", connected)
            .env("CODE", code)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(expected), "{connected} {code}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(!said.is_empty(), "{connected} {code}");
        if expected == 0 {
            assert!(
                read("deploy/README.md").contains(said.trim()),
                "deploy/README.md does not show {said}"
            );
        }
    }
    fs::remove_dir_all(&bin).unwrap();
}
