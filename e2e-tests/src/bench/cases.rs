//! The requests that the modules are measured with.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    capabilities::{Grants, Host},
    cluster::Cluster,
    modules::repository,
    requests::{ANNOTATION_PREFIX, MountRequirement, Request},
    review::{AdmissionRequest, Review},
};

const CASES: &str = include_str!("cases.yaml");
/// How long the value of a variable is that a Pod is filled with.
const FILLING: usize = 100;

/// One request and what goes with it.
pub struct Case {
    /// Its short name.
    pub name: String,
    /// What is particular about it.
    pub about: String,
    /// What the API server asks.
    pub request: AdmissionRequest,
    /// What the operator has set.
    pub settings: Value,
    /// Who answers the policy.
    pub host: Host,
    /// Whether the Pod asks for a secret.
    pub asks: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Description {
    name: String,
    about: String,
    #[serde(default)]
    secrets: usize,
    #[serde(default = "as_variable")]
    mount: MountRequirement,
    #[serde(default)]
    requests: Vec<Request>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    kibibytes: usize,
    #[serde(default = "no_settings")]
    settings: Value,
    #[serde(default)]
    cluster: Vec<Value>,
}

fn as_variable() -> MountRequirement {
    MountRequirement::EnvVar
}

fn no_settings() -> Value {
    json!({})
}

/// All cases, in the order of the file.
pub fn all() -> Result<Vec<Case>> {
    let descriptions: Vec<Description> = serde_norway::from_str(CASES)?;
    let task = repository().join("e2e-tests/examples/flyte-task/pod.yaml");
    let task = Review::from_file(task)?
        .request
        .object
        .context("the example is no Pod")?;
    descriptions
        .into_iter()
        .map(|described| case(&task, described))
        .collect()
}

fn case(task: &Value, described: Description) -> Result<Case> {
    let mut pod = task.clone();
    let mut requests = described.requests;
    requests.extend((0..described.secrets).map(|number| Request {
        group: format!("warehouse-{number}"),
        key: "password".to_owned(),
        mount_requirement: described.mount,
        ..Request::default()
    }));
    let annotations = pod["metadata"]["annotations"]
        .as_object_mut()
        .context("no annotations")?;
    annotations.retain(|key, _| !key.starts_with(ANNOTATION_PREFIX));
    for (number, request) in requests.iter().enumerate() {
        annotations.insert(format!("{ANNOTATION_PREFIX}{number}"), request.encode().into());
    }
    let labels = pod["metadata"]["labels"].as_object_mut().context("no labels")?;
    labels.extend(described.labels.into_iter().map(|(key, value)| (key, value.into())));
    fill(&mut pod, described.kibibytes * 1024)?;
    let objects: String = described
        .cluster
        .iter()
        .map(|object| format!("---\n{object}\n"))
        .collect();
    let cluster = Cluster::from_yaml(&objects)?;
    let grants = Grants::all_of_the_policy()?;
    Ok(Case {
        name: described.name,
        about: described.about,
        request: Review::of_pod(pod).request,
        settings: described.settings,
        host: Host::new(cluster, grants),
        asks: !requests.is_empty(),
    })
}

/// Makes `pod` `size` bytes of JSON, give or take a variable.
fn fill(pod: &mut Value, size: usize) -> Result<()> {
    let Some(missing) = size.checked_sub(pod.to_string().len()) else {
        ensure!(size == 0, "the Pod is larger than {size} bytes already");
        return Ok(());
    };
    let container = &mut pod["spec"]["containers"][0];
    let arguments = container["args"].as_array_mut().context("no args")?;
    arguments.push("x".repeat(missing / 2).into());
    let variables = container["env"].as_array_mut().context("no env")?;
    let variable = |number: usize| json!({"name": format!("FILLING_{number:05}"), "value": "x".repeat(FILLING)});
    let count = missing / 2 / (variable(0).to_string().len() + 1);
    variables.extend((0..count).map(variable));
    Ok(())
}
