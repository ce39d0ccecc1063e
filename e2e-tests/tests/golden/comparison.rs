//! Where two Pods differ, and what is listed of it.

use std::collections::BTreeSet;

use secret_injector_policy::names::Glob;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::normalisations::{NORMALISATIONS, Normalisation, canonical, names};
use crate::vector::{Outcome, Vector};

/// `golden/differences.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Differences {
    pub normalisations: Vec<Reason>,
    pub differences: Vec<Difference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    pub id: String,
    pub reason: String,
}

/// Vectors whose results differ for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    pub id: String,
    pub reason: String,
    /// What becomes of the Pods in Flyte, and here.
    pub flyte: Verdict,
    pub policy: Verdict,
    /// Names, or patterns with `*` and `?`. They stand for those vectors only that have the two verdicts.
    pub vectors: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Admitted,
    Rejected,
}

impl Outcome {
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Admitted(_) => Verdict::Admitted,
            Self::Rejected(_) => Verdict::Rejected,
        }
    }
}

/// Two outcomes, compared.
pub struct Comparison {
    pub name: String,
    pub verdicts: (Verdict, Verdict),
    /// Nothing where they are equal.
    pub difference: Option<String>,
    /// The normalisations without which they would differ.
    pub needed: BTreeSet<&'static str>,
}

impl Comparison {
    pub fn new(vector: &Vector, flyte: &Outcome, policy: &Outcome) -> Self {
        let all: Vec<&Normalisation> = NORMALISATIONS.iter().collect();
        let difference = difference(vector, flyte, policy, &all);
        let mut needed = BTreeSet::new();
        if difference.is_none() {
            for normalisation in &NORMALISATIONS {
                let others: Vec<&Normalisation> =
                    all.iter().copied().filter(|one| one.id != normalisation.id).collect();
                if self::difference(vector, flyte, policy, &others).is_some() {
                    needed.insert(normalisation.id);
                }
            }
        }
        Self {
            name: vector.name.clone(),
            verdicts: (flyte.verdict(), policy.verdict()),
            difference,
            needed,
        }
    }

    pub fn fits(&self, difference: &Difference, pattern: &str) -> bool {
        self.verdicts == (difference.flyte, difference.policy) && Glob::new(pattern).fits(&self.name)
    }
}

fn difference(vector: &Vector, flyte: &Outcome, policy: &Outcome, normalisations: &[&Normalisation]) -> Option<String> {
    match (flyte, policy) {
        (Outcome::Rejected(_), Outcome::Rejected(_)) => None,
        (Outcome::Admitted(_), Outcome::Rejected(message)) => Some(format!("the policy rejects it: {message}")),
        (Outcome::Rejected(message), Outcome::Admitted(_)) => Some(format!("Flyte rejects it: {message}")),
        (Outcome::Admitted(flyte), Outcome::Admitted(policy)) => {
            let (mut flyte, mut policy) = (flyte.clone(), policy.clone());
            for normalisation in normalisations {
                (normalisation.apply)(vector, &mut flyte, &mut policy);
            }
            canonical(&mut flyte);
            canonical(&mut policy);
            (flyte != policy).then(|| format!("from Flyte's Pod to the policy's: {}", changes(&flyte, &policy)))
        }
    }
}

/// The JSON patch from one Pod to the other, long texts cut.
fn changes(from: &Value, to: &Value) -> String {
    let mut patch = serde_json::to_value(json_patch::diff(from, to)).unwrap();
    for operation in patch.as_array_mut().unwrap() {
        if let Some(text) = operation["value"].as_str().filter(|text| text.len() > 200) {
            let cut: String = text.chars().take(200).collect();
            operation["value"] = json!(format!("{cut}…"));
        }
    }
    patch.to_string()
}

/// What the API server would find wrong with a Pod.
pub fn problems(pod: &Value) -> BTreeSet<String> {
    let mut problems = BTreeSet::new();
    let volumes = names(&pod["spec"]["volumes"]);
    let mut containers = names(&pod["spec"]["initContainers"]);
    containers.extend(names(&pod["spec"]["containers"]));
    for (kind, names) in [("volume", &volumes), ("container", &containers)] {
        for (index, name) in names.iter().enumerate() {
            if !secret_injector_policy::names::is_dns_label(name) {
                problems.insert(format!("the {kind} {name:?} has an invalid name"));
            }
            if names[..index].contains(name) {
                problems.insert(format!("two {kind}s are called {name:?}"));
            }
        }
    }
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array().into_iter().flatten() {
            let mut paths = BTreeSet::new();
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                let path = mount["mountPath"].as_str().unwrap_or_default();
                if !paths.insert(path) {
                    problems.insert(format!("{} has two mounts at {path:?}", container["name"]));
                }
                if !volumes.iter().any(|volume| mount["name"] == *volume) {
                    problems.insert(format!(
                        "{} mounts {}, which is no volume",
                        container["name"], mount["name"]
                    ));
                }
            }
            for variable in names(&container["env"]) {
                if !secret_injector_policy::names::is_variable(&variable) {
                    problems.insert(format!("{} has the variable {variable:?}", container["name"]));
                }
            }
        }
    }
    problems
}
