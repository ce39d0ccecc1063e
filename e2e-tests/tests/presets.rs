//! The presets and examples that operators start from, on the real module.

use std::fs;
use std::path::{Path, PathBuf};

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::review::{AdmissionRequest, Review};
use e2e_tests::{modules, settings, yaml};
use serde_json::Value;

/// The directories in `e2e-tests/<folder>`.
fn directories(folder: &str) -> Vec<PathBuf> {
    let mut directories: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    directories.sort();
    assert!(!directories.is_empty());
    directories
}

/// The Pod that comes out of a directory's `pod.yaml` with its `settings.yaml`, and the warnings.
fn mutated(policy: &PolicyModule, directory: &Path) -> (Value, Vec<String>) {
    let name = directory.display();
    let settings = settings::from_file(directory.join("settings.yaml")).unwrap();
    let cluster = directory.join("cluster.yaml");
    let cluster = if cluster.exists() {
        Cluster::from_file(cluster).unwrap()
    } else {
        Cluster::default()
    };
    let grants = Grants::all_of_the_policy().unwrap();
    let host = Host::new(cluster, grants);
    let valid = policy.validate_settings(&host, &settings).unwrap();
    assert!(valid.valid, "{name}: {:?}", valid.message);
    let request = Review::from_file(directory.join("pod.yaml")).unwrap().request;
    let evaluation = policy.validate(&host, &request, &settings);
    assert!(evaluation.failure.is_none(), "{name}: {:?}", evaluation.failure);
    assert!(evaluation.response.allowed, "{name}: {}", evaluation.response.message());
    let pod = evaluation.response.patched(request.object.as_ref().unwrap()).unwrap();
    assert_ne!(Some(&pod), request.object.as_ref(), "{name}");

    let again = AdmissionRequest {
        object: Some(pod.clone()),
        ..request
    };
    let second = policy.validate(&host, &again, &settings).response;
    assert!(second.allowed, "{name}, the second time: {}", second.message());
    assert_eq!(second.patched(&pod).unwrap(), pod, "{name}, the second time");
    (pod, evaluation.response.warnings.unwrap_or_default())
}

fn policy() -> PolicyModule {
    PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first")
}

#[test]
fn presets_give_the_pods_beside_them() {
    let policy = policy();
    for directory in directories("presets") {
        let (pod, warnings) = mutated(&policy, &directory);
        let text = fs::read_to_string(directory.join("expected.yaml")).unwrap_or_default();
        let expected = yaml::documents(&text)
            .unwrap()
            .first()
            .map(|document| yaml::to_json(document).unwrap());
        let got = yaml::to_text(&pod, None).unwrap();
        assert!(Some(&pod) == expected.as_ref(), "{} gives\n{got}", directory.display());
        // Only this Pod tries to be its own operator.
        let tries = usize::from(directory.ends_with("bank-vaults"));
        assert_eq!(warnings.len(), tries, "{}: {warnings:?}", directory.display());
    }
}

#[test]
fn examples_are_served() {
    let policy = policy();
    for directory in directories("examples") {
        mutated(&policy, &directory);
    }
}
