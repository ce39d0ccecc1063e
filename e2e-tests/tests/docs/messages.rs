//! The rejections that the documentation shows are those of the module.

use std::fs;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::requests::{MountRequirement, Request};
use e2e_tests::review::Review;
use e2e_tests::{modules, yaml};
use serde_json::{Value, json};

use super::markdown::{Document, blocks, code, rows};

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

/// The messages in the tables of `docs/reference/errors.md` are written somewhere in the module.
#[test]
fn messages_are_those_of_the_module() {
    let mut sources = String::new();
    let mut directories = vec![modules::repository().join("src")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false => sources.push_str(&fs::read_to_string(path).unwrap()),
            }
        }
    }
    // A text that goes on in the next line.
    let lines: Vec<&str> = sources.split("\\\n").map(str::trim_start).collect();
    let sources = lines.concat();
    let document = Document::read("docs/reference/errors.md");
    let rows = rows(&document.text, "Message");
    assert!(rows.len() > 15, "{}", rows.len());
    for row in rows {
        let message = code(row[0])[0];
        for part in message.split('…').map(str::trim).filter(|part| part.len() > 2) {
            assert!(sources.contains(part), "no message has {part:?}");
        }
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
