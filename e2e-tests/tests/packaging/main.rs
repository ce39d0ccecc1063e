//! What is shipped beside the module agrees with it and with itself: `Cargo.toml`, `metadata.yml`,
//! `artifacthub-pkg.yml`, `questions-ui.yml`, the manifests in `deploy` and the workflows.
//!
//! The manifests are resolved as kustomize does it for kinds whose schema it does not know, and read with the types of
//! Kubewarden's policy SDK; their settings are judged by the real module.

mod form;
mod kustomize;
mod network;
mod package;
mod policies;
mod repository;
mod server;

#[path = "../docs/markdown.rs"]
#[expect(dead_code, reason = "the tests of the documentation need more of it")]
mod markdown;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::review::Review;
use e2e_tests::{modules, yaml};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The base, which can be deployed as it is, and each overlay.
const DEPLOYMENTS: [&str; 4] = ["base", "overlays/flyte1", "overlays/flyte2", "overlays/generic"];

/// What an overlay adds where its settings or its cluster need it.
const COMPONENTS: [&str; 3] = ["read-secrets", "authorize", "cilium"];

const FLYTE_TASK: &str = include_str!("../../examples/flyte-task/pod.yaml");

const GENERIC_POD: &str = r#"
apiVersion: v1
kind: Pod
metadata:
  name: loader
  namespace: team-a
  annotations:
    secret-injector/requests: '[{"group": "warehouse", "key": "password", "mountRequirement": "ENV_VAR"}]'
spec:
  containers:
    - name: loader
      image: ghcr.io/example/loader:1.0.0
"#;

/// The Pod that comes out of the real module.
fn admit(settings: &Value, cluster: &str, review: &Review) -> Value {
    let grants = Grants::from_metadata(&read("metadata.yml")).unwrap();
    let host = Host::new(Cluster::from_yaml(cluster).unwrap(), grants);
    let response = policy().validate(&host, &review.request, settings).response;
    assert!(response.allowed, "{}", response.message());
    response.patched(review.request.object.as_ref().unwrap()).unwrap()
}

/// The module, compiled once for all tests.
fn policy() -> &'static PolicyModule {
    static POLICY: LazyLock<PolicyModule> =
        LazyLock::new(|| PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first"));
    &POLICY
}

/// What the module has against `settings`.
fn problem(policy: &PolicyModule, settings: &Value) -> Option<String> {
    let answer = policy.validate_settings(&Host::isolated(), settings).unwrap();
    (!answer.valid).then(|| answer.message.unwrap_or_default())
}

fn metadata() -> Value {
    document("metadata.yml")
}

fn annotation_of(metadata: &Value, annotation: &str) -> String {
    let value = metadata["annotations"][annotation].as_str();
    value
        .unwrap_or_else(|| panic!("metadata.yml has no {annotation}"))
        .to_owned()
}

/// Where the policy of this version is.
fn image(metadata: &Value) -> String {
    format!(
        "{}:v{}",
        annotation_of(metadata, "io.kubewarden.policy.ociUrl"),
        annotation_of(metadata, "io.kubewarden.policy.version")
    )
}

fn read(path: &str) -> String {
    let path = modules::repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn document(path: &str) -> Value {
    parse(&read(path))
}

fn parse_as<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_value(parse(&text)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Value {
    let mut documents = documents(text);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn documents(text: &str) -> Vec<Value> {
    let documents = yaml::documents(text).unwrap();
    documents
        .iter()
        .map(|document| yaml::to_json(document).unwrap())
        .collect()
}

/// The `[package]` of the policy's `Cargo.toml`, whose values are texts and lists of texts, each on a line.
struct Cargo(BTreeMap<String, Value>);

impl Cargo {
    fn read() -> Self {
        let manifest = read("Cargo.toml");
        let lines = manifest.lines().skip_while(|line| *line != "[package]").skip(1);
        let fields = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| {
            let (name, value) = line.split_once(" = ")?;
            Some((name.to_owned(), serde_json::from_str(value).ok()?))
        });
        Self(fields.collect())
    }

    fn text(&self, field: &str) -> String {
        self.0[field].as_str().unwrap().to_owned()
    }

    fn list(&self, field: &str) -> Vec<String> {
        serde_json::from_value(self.0[field].clone()).unwrap()
    }
}
