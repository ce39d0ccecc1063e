//! The Pods that controllers make of what has a Pod template.

use serde_norway::Mapping;

use crate::yaml::Yaml;

/// The value of labels that a controller computes.
const COMPUTED: &str = "computed";

/// A kind whose controller makes Pods.
struct Kind {
    name: &'static str,
    /// Where the Pod template is.
    template: &'static str,
    /// The controller's service account, in kube-system.
    controller: &'static str,
    /// The labels that the controller adds; `{name}` stands for the owner's name.
    labels: &'static [(&'static str, &'static str)],
    /// The Pod's name, or what the API server makes one of if it ends with a hyphen.
    pod: &'static str,
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "Deployment",
        template: "spec.template",
        controller: "replicaset-controller",
        labels: &[("pod-template-hash", COMPUTED)],
        pod: "{name}-computed-",
    },
    Kind {
        name: "ReplicaSet",
        template: "spec.template",
        controller: "replicaset-controller",
        labels: &[],
        pod: "{name}-",
    },
    Kind {
        name: "ReplicationController",
        template: "spec.template",
        controller: "replication-controller",
        labels: &[],
        pod: "{name}-",
    },
    Kind {
        name: "StatefulSet",
        template: "spec.template",
        controller: "statefulset-controller",
        labels: &[
            ("apps.kubernetes.io/pod-index", "0"),
            ("controller-revision-hash", COMPUTED),
            ("statefulset.kubernetes.io/pod-name", "{name}-0"),
        ],
        pod: "{name}-0",
    },
    Kind {
        name: "DaemonSet",
        template: "spec.template",
        controller: "daemon-set-controller",
        labels: &[("controller-revision-hash", COMPUTED), ("pod-template-generation", "1")],
        pod: "{name}-",
    },
    Kind {
        name: "Job",
        template: "spec.template",
        controller: "job-controller",
        labels: &[
            ("batch.kubernetes.io/controller-uid", COMPUTED),
            ("batch.kubernetes.io/job-name", "{name}"),
            ("controller-uid", COMPUTED),
            ("job-name", "{name}"),
        ],
        pod: "{name}-",
    },
    Kind {
        name: "CronJob",
        template: "spec.jobTemplate.spec.template",
        controller: "job-controller",
        labels: &[
            ("batch.kubernetes.io/controller-uid", COMPUTED),
            ("batch.kubernetes.io/job-name", "{name}-0"),
            ("controller-uid", COMPUTED),
            ("job-name", "{name}-0"),
        ],
        pod: "{name}-0-",
    },
];

/// A Pod that a controller makes.
#[derive(Debug)]
pub struct Created {
    /// The Pod.
    pub pod: Yaml,
    /// The service account, in kube-system, that creates it; none for a controller that is not Kubernetes' own.
    pub controller: Option<&'static str>,
}

/// Returns the Pod that the controller of `owner` makes; nothing for a kind that has no controller of Kubernetes.
///
/// # Errors
/// The path of the Pod template, where none is there.
pub fn created(owner: &Yaml) -> Option<Result<Created, &'static str>> {
    let name = owner.get("kind").and_then(Yaml::as_str)?;
    let kind = KINDS.iter().find(|kind| kind.name == name)?;
    let Some(template) = at(owner, kind.template) else {
        return Some(Err(kind.template));
    };
    let owner_name = text(owner, "name").unwrap_or_default();
    let mut pod = pod_of(owner, template);
    let metadata = child_of(&mut pod, "metadata");
    let pod_name = kind.pod.replace("{name}", owner_name);
    let field = if pod_name.ends_with('-') {
        "generateName"
    } else {
        "name"
    };
    metadata.insert(field.into(), pod_name.into());
    let labels = child_of(metadata, "labels");
    for (label, value) in kind.labels {
        labels.insert((*label).into(), value.replace("{name}", owner_name).into());
    }
    Some(Ok(Created {
        pod: Yaml::Mapping(pod),
        controller: Some(kind.controller),
    }))
}

/// Returns the Pod of the template at `path` in an object of any kind: a Pod template, or a Pod's spec. Nothing where
/// there is none.
pub fn at_path(owner: &Yaml, path: &str) -> Option<Created> {
    let template = at(owner, path)?;
    let mut pod = match template.get("containers") {
        Some(_) => {
            let mut whole = Mapping::new();
            whole.insert("spec".into(), template.clone());
            pod_of(owner, &Yaml::Mapping(whole))
        }
        None => {
            template.get("spec")?.get("containers")?;
            pod_of(owner, template)
        }
    };
    let name = format!("{}-", text(owner, "name").unwrap_or_default());
    child_of(&mut pod, "metadata").insert("generateName".into(), name.into());
    Some(Created {
        pod: Yaml::Mapping(pod),
        controller: None,
    })
}

/// Follows a path such as `spec.workerGroupSpecs[0].template`.
fn at<'y>(object: &'y Yaml, path: &str) -> Option<&'y Yaml> {
    let mut value = object;
    for part in path.trim_start_matches('.').split('.') {
        let mut steps = part.split('[');
        value = value.get(steps.next()?)?;
        for index in steps {
            value = value.get(index.strip_suffix(']')?.parse::<usize>().ok()?)?;
        }
    }
    Some(value)
}

/// A Pod in the owner's namespace with what the template says.
fn pod_of(owner: &Yaml, template: &Yaml) -> Mapping {
    let mut metadata = match template.get("metadata") {
        Some(Yaml::Mapping(metadata)) => metadata.clone(),
        _ => Mapping::new(),
    };
    metadata.remove("name");
    metadata.remove("creationTimestamp");
    if let Some(namespace) = text(owner, "namespace") {
        metadata.insert("namespace".into(), namespace.into());
    }
    let mut pod = Mapping::new();
    pod.insert("apiVersion".into(), "v1".into());
    pod.insert("kind".into(), "Pod".into());
    pod.insert("metadata".into(), metadata.into());
    pod.insert("spec".into(), template.get("spec").cloned().unwrap_or_default());
    pod
}

fn text<'y>(object: &'y Yaml, field: &str) -> Option<&'y str> {
    object.get("metadata")?.get(field)?.as_str()
}

/// The mapping under `field`, made where there is none.
fn child_of<'m>(object: &'m mut Mapping, field: &str) -> &'m mut Mapping {
    let value = object.entry(field.into()).or_insert_with(|| Mapping::new().into());
    if !value.is_mapping() {
        *value = Mapping::new().into();
    }
    match value {
        Yaml::Mapping(mapping) => mapping,
        _ => unreachable!("it was made a mapping above"),
    }
}
