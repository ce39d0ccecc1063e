//! The rejections that the documentation shows are those of the module.

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::requests::{MountRequirement, Request};
use e2e_tests::review::Review;
use e2e_tests::{modules, yaml};
use serde_json::{Value, json};

use super::markdown::{Document, blocks};

/// For each document the managers, the secret that is asked for, and a Secret that is there.
#[test]
fn rejections_are_as_shown() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let grants = Grants::from_metadata_file(modules::repository().join("metadata.yml")).unwrap();
    for (path, managers, (group, key), there) in [
        (
            "README.md",
            json!([{"type": "global"}, {"type": "kubernetes", "verify": true}]),
            ("db", "pasword"),
            json!({"name": "db", "namespace": "team-a"}),
        ),
        (
            "docs/reference/requests.md",
            json!([{"type": "kubernetes", "verify": true}]),
            ("g", "k"),
            json!({"name": "other", "namespace": "team-a"}),
        ),
    ] {
        let document = Document::read(path);
        let shown = blocks(&document.text)
            .into_iter()
            .find(|block| block.lines[0].starts_with("annotation "))
            .unwrap_or_else(|| panic!("{path} shows no rejection"));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": there, "stringData": {"password": "x"}});
        let cluster = Cluster::from_yaml(&yaml::to_text(&secret, None).unwrap()).unwrap();
        let review = Review::of_pod(pod(group, key));
        let host = Host::new(cluster, grants.clone());
        let response = policy
            .validate(&host, &review.request, &json!({"managers": managers}))
            .response;
        assert_eq!(response.message(), shown.lines.join("\n"), "{path}");
    }
}

/// A Pod that asks for one secret, as Flyte does.
fn pod(group: &str, key: &str) -> Value {
    let request = Request {
        group: group.to_owned(),
        key: key.to_owned(),
        mount_requirement: MountRequirement::EnvVar,
        ..Default::default()
    };
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "task", "namespace": "team-a", "annotations": {}},
        "spec": {"containers": [{"name": "task", "image": "task:1"}]},
    });
    pod["metadata"]["annotations"]["flyte.secrets/s0"] = json!(request.encode());
    pod
}
