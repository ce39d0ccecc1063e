//! What Flyte's own code makes of a Pod, against what the policy makes of it; see `golden/README.md`.
//!
//! Every vector runs on the real module, with settings that [`flyte_config`](e2e_tests::flyte_config) makes of the vector's configuration
//! and with Flyte's choices where the policy offers one. Where the results differ, `golden/differences.yaml` says why.

mod comparison;
mod documentation;
mod normalisations;
mod vector;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use e2e_tests::host::PolicyModule;
use e2e_tests::{modules, yaml};

use comparison::{Comparison, Differences, problems};
use normalisations::NORMALISATIONS;
use vector::{Outcome, Vector};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn differences() -> Differences {
    let text = fs::read_to_string(golden().join("differences.yaml")).unwrap();
    let document = yaml::to_json(&yaml::documents(&text).unwrap()[0]).unwrap();
    serde_json::from_value(document).unwrap()
}

fn vectors() -> Vec<Vector> {
    let mut files: Vec<PathBuf> = fs::read_dir(golden())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with("inject_") || name.starts_with("mutate_")
    });
    files.sort();
    let vectors: Vec<Vector> = files
        .iter()
        .flat_map(|file| serde_json::from_slice::<Vec<Vector>>(&fs::read(file).unwrap()).unwrap())
        .collect();
    assert_eq!(vectors.len(), ALL_VECTORS, "all vectors were read");
    vectors
}

const ALL_VECTORS: usize = 1268;

#[test]
fn the_policy_does_what_flyte_does() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let mut wrong = Vec::new();
    let mut comparisons = Vec::new();
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for vector in vectors() {
        let outcome = vector.policy(&policy, &vector.pod);
        if let Outcome::Admitted(pod) = &outcome {
            let new: Vec<String> = problems(pod).difference(&problems(&vector.pod)).cloned().collect();
            if !new.is_empty() {
                wrong.push(format!("{}: the Pod is not valid: {}", vector.name, new.join("; ")));
            }
            match vector.policy(&policy, pod) {
                Outcome::Admitted(second) if second == *pod => {}
                Outcome::Admitted(second) => {
                    wrong.push(format!(
                        "{}: not idempotent: {}",
                        vector.name,
                        json_patch::diff(pod, &second)
                    ));
                }
                Outcome::Rejected(message) => {
                    wrong.push(format!("{}: rejects its own output: {message}", vector.name));
                }
            }
        }
        let comparison = Comparison::new(&vector, &vector.flyte(), &outcome);
        let count = counts
            .entry(format!(
                "{} {:?} {}",
                vector.flyte_version, vector.level, vector.manager
            ))
            .or_default();
        match &comparison.difference {
            None => count.0 += 1,
            Some(_) => count.1 += 1,
        }
        comparisons.push(comparison);
    }
    for (kind, (equal, different)) in &counts {
        println!("{kind}: {equal} equal, {different} different");
    }
    wrong.extend(wrong_in_list(&differences(), &comparisons));
    assert!(wrong.is_empty(), "{}\n\n{} findings", wrong.join("\n"), wrong.len());
}

/// What `differences.yaml` says and the vectors do not show, and the other way round.
fn wrong_in_list(list: &Differences, comparisons: &[Comparison]) -> Vec<String> {
    let mut wrong = Vec::new();
    for comparison in comparisons {
        let listed: Vec<&str> = list
            .differences
            .iter()
            .filter(|entry| entry.vectors.iter().any(|pattern| comparison.fits(entry, pattern)))
            .map(|entry| entry.id.as_str())
            .collect();
        match (&comparison.difference, listed.as_slice()) {
            (None, []) | (Some(_), [_]) => {}
            (Some(text), []) => wrong.push(format!("{}: not listed: {text}", comparison.name)),
            (None, ids) => wrong.push(format!(
                "{}: listed under {}, but equal",
                comparison.name,
                ids.join(", ")
            )),
            (Some(_), ids) => wrong.push(format!("{}: listed under {}", comparison.name, ids.join(" and "))),
        }
    }
    for entry in &list.differences {
        for pattern in &entry.vectors {
            if !comparisons.iter().any(|comparison| comparison.fits(entry, pattern)) {
                wrong.push(format!("{}: no such vector: {pattern}", entry.id));
            }
        }
    }
    let named: Vec<&str> = list.normalisations.iter().map(|reason| reason.id.as_str()).collect();
    let known: Vec<&str> = NORMALISATIONS.iter().map(|one| one.id).collect();
    if named != known {
        wrong.push(format!("normalisations: listed are {named:?}, done are {known:?}"));
    }
    for id in known {
        if !comparisons.iter().any(|comparison| comparison.needed.contains(id)) {
            wrong.push(format!("{id}: no vector needs it"));
        }
    }
    wrong
}

#[test]
fn by_default_the_pods_own_init_containers_and_sidecars_find_the_files() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let mut managers = BTreeSet::new();
    for vector in vectors() {
        let fetches = ["AWS", "GCP", "Azure", "Embedded"].contains(vector.managers().last().unwrap());
        if !vector.name.contains("mutate/pods/") || !vector.name.ends_with("/native-sidecar") || !fetches {
            continue;
        }
        let mut settings = vector.settings();
        settings.as_object_mut().unwrap().remove("initContainers");
        let Outcome::Admitted(pod) = vector.policy_with(&policy, &settings, &vector.pod) else {
            panic!("{}: rejected", vector.name);
        };
        let init_containers = pod["spec"]["initContainers"].as_array().unwrap();
        let own: Vec<bool> = init_containers
            .iter()
            .map(|container| vector.own_container(container).is_some())
            .collect();
        assert!(
            own.is_sorted() && own.starts_with(&[false]) && own.ends_with(&[true]),
            "{}: {own:?}",
            vector.name
        );
        managers.extend(vector.managers().last().map(|manager| (*manager).to_owned()));
    }
    assert_eq!(managers.len(), 4, "{managers:?}");
}
