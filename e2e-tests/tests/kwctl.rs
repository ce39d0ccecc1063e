//! The embedded host and kwctl agree, case by case.
//!
//! A case is a directory of `examples` or `cases` with `pod.yaml`, `settings.yaml` and, where the policy asks the cluster,
//! `cluster.yaml`. Its counterpart in `sessions` is what kwctl needs to do the same without a cluster:
//!
//! - `request.json`: the admission request;
//! - `session.yml`: what the policy asks of its host and the answers, for `--replay-host-capabilities-interactions`; absent
//!   where the policy asks nothing;
//! - `response.json`: what has to come out, with the Pod as admitted.
//!
//! `kwctl.bats` evaluates these files with kwctl. The tests here evaluate the same cases on the embedded host, once with
//! the cluster and once with the session. With `UPDATE_SESSIONS=1` in the environment they write the files anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use e2e_tests::capabilities::{Answer, Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::review::{AdmissionRequest, AdmissionResponse, Review};
use e2e_tests::session::{Recorder, Replay};
use e2e_tests::{modules, settings};
use serde_json::{Value, json};

/// A test of `kwctl.bats` for a case is a line with this word and the case's name.
const CHECK: &str = "check ";

#[test]
fn sessions_are_what_the_policy_does() {
    for case in cases() {
        let cluster = match case.source.join("cluster.yaml") {
            path if path.exists() => Cluster::from_file(path).unwrap(),
            _ => Cluster::default(),
        };
        let recorder = Arc::new(Recorder::new(cluster));
        let review = Review::from_file(case.source.join("pod.yaml")).unwrap();
        let response = case.evaluate(Arc::clone(&recorder), &review.request);
        let session = recorder.to_yaml().unwrap();
        case.check("request.json", &pretty(&json!(review.request)));
        case.check("session.yml", if session.trim() == "[]" { "" } else { &session });
        case.check("response.json", &pretty(&response));
    }
}

#[test]
fn sessions_can_be_replayed() {
    for case in cases() {
        let replay = Arc::new(match case.recorded("session.yml") {
            text if text.is_empty() => Replay::from_yaml("[]").unwrap(),
            text => Replay::from_yaml(&text).unwrap(),
        });
        let request: AdmissionRequest = serde_json::from_str(&case.recorded("request.json")).unwrap();
        let response = case.evaluate(Arc::clone(&replay), &request);
        assert_eq!(pretty(&response), case.recorded("response.json"), "{}", case.name);
        assert_eq!(replay.remaining(), 0, "{}: exchanges that nobody asked for", case.name);
    }
}

#[test]
fn kwctl_evaluates_every_case() {
    let bats = fs::read_to_string(directory("kwctl.bats")).unwrap();
    let mut checked: Vec<&str> = bats
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(CHECK))
        .collect();
    checked.sort_unstable();
    let names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    assert_eq!(checked, names, "kwctl.bats on the left, the directories on the right");
}

/// The twin of the test in `kwctl.bats` that leaves `--allow-context-aware` out.
#[test]
fn without_a_grant_the_policy_says_what_to_grant() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "kubernetes-verified")
        .unwrap();
    let request: AdmissionRequest = serde_json::from_str(&case.recorded("request.json")).unwrap();
    let grants = Grants::new([], ["kubernetes/get_resource", "kubernetes/can_i"]).unwrap();
    let host = Host::new(Replay::from_yaml(&case.recorded("session.yml")).unwrap(), grants);
    let response = POLICY.validate(&host, &request, &case.settings()).response;
    assert!(!response.allowed);
    assert_eq!(response.code(), Some(503));
    assert!(
        response.message().contains("contextAwareResources"),
        "{}",
        response.message()
    );
}

static POLICY: LazyLock<PolicyModule> =
    LazyLock::new(|| PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first"));

struct Case {
    name: String,
    source: PathBuf,
}

impl Case {
    fn settings(&self) -> Value {
        settings::from_file(self.source.join("settings.yaml")).unwrap()
    }

    /// What `response.json` holds.
    fn evaluate(&self, answers: impl Answer + 'static, request: &AdmissionRequest) -> Value {
        let grants = Grants::from_metadata_file(modules::repository().join("metadata.yml")).unwrap();
        let host = Host::new(answers, grants);
        let settings = self.settings();
        let valid = POLICY.validate_settings(&host, &settings).unwrap();
        assert!(valid.valid, "{}: {:?}", self.name, valid.message);
        let evaluation = POLICY.validate(&host, request, &settings);
        assert_eq!(evaluation.failure, None, "{}", self.name);
        summary(&evaluation.response, request.object.as_ref().unwrap())
    }

    /// Compares a file of the session with what it should be; nothing stands for no file.
    fn check(&self, file: &str, expected: &str) {
        let path = directory("sessions").join(&self.name).join(file);
        if std::env::var_os("UPDATE_SESSIONS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match expected {
                "" => _ = fs::remove_file(&path),
                _ => fs::write(&path, expected).unwrap(),
            }
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            found,
            expected,
            "{} is not what the policy does; if the policy is right: UPDATE_SESSIONS=1 cargo test -p e2e-tests --test kwctl sessions_are",
            path.display()
        );
    }

    fn recorded(&self, file: &str) -> String {
        fs::read_to_string(directory("sessions").join(&self.name).join(file)).unwrap_or_default()
    }
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = ["examples", "cases"]
        .into_iter()
        .flat_map(|parent| fs::read_dir(directory(parent)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("pod.yaml").exists())
        .map(|source| Case {
            name: source.file_name().unwrap().to_string_lossy().into_owned(),
            source,
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty());
    cases
}

fn summary(response: &AdmissionResponse, pod: &Value) -> Value {
    match response.allowed {
        true => json!({
            "allowed": true,
            "warnings": response.warnings.clone().unwrap_or_default(),
            "pod": response.patched(pod).unwrap(),
        }),
        false => json!({"allowed": false, "code": response.code(), "message": response.message()}),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
