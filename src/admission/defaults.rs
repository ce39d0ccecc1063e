//! The secrets that the settings give to a Pod which does not ask for them.

use super::rejection::Rejection;
use super::request::AdmissionRequest;
use crate::cluster::Cluster;
use crate::defaults::DefaultRule;
use crate::pod::Pod;
use crate::pull_secrets::PullSecret;
use crate::requests::{Containers, Origin, SecretRequest};

/// The annotation with which a Pod declines the defaults.
const DEFAULTS_ANNOTATION: &str = "secret-injector/defaults";

/// Adds the requests that `rules` have for the Pod behind those of the Pod's own.
pub(super) fn add_defaults(
    rules: &[DefaultRule],
    admission: &AdmissionRequest<'_>,
    requests: &mut Vec<SecretRequest>,
    warnings: &mut Vec<String>,
) -> Result<(), Rejection> {
    if rules.is_empty() {
        return Ok(());
    }
    let (pod, namespace) = (&admission.pod, admission.namespace()?);
    let (service_account, labels) = (pod.service_account()?, pod.labels()?);
    let declined = declines(pod, warnings);
    let own = rules
        .iter()
        .filter(|rule| rule.is_for(namespace, service_account, &labels));
    for default in own.flat_map(|rule| &rule.requests) {
        if declined && !matches!(default.origin, Origin::Default { required: true, .. }) {
            continue;
        }
        let Some(containers) = existing(default, pod) else {
            continue;
        };
        let is_same = |request: &SecretRequest| {
            request.identity() == default.identity()
                && (request.containers == Containers::All || request.containers == containers)
        };
        if !requests.iter().any(is_same) {
            requests.push(SecretRequest {
                containers,
                ..default.clone()
            });
        }
    }
    Ok(())
}

/// Adds the Secrets that `rules` have for the Pod's images, those of our init containers included. Returns their names.
pub(super) fn add_pull_secrets<'s>(
    rules: &'s [PullSecret],
    pod: &mut Pod<'_>,
    namespace: &str,
    cluster: &dyn Cluster,
    warnings: &mut Vec<String>,
) -> Result<Vec<&'s str>, Rejection> {
    let mut names: Vec<&str> = Vec::new();
    if rules.is_empty() {
        return Ok(names);
    }
    let images = pod.images();
    for rule in rules.iter().filter(|rule| rule.is_for(namespace, &images)) {
        if !names.contains(&rule.name.as_str()) {
            names.push(&rule.name);
            pod.add_pull_secret(&rule.name)?;
            warnings.extend(rule.problem(namespace, cluster));
        }
    }
    Ok(names)
}

/// Returns whether the Pod's annotation declines the defaults.
fn declines(pod: &Pod<'_>, warnings: &mut Vec<String>) -> bool {
    let mut annotations = pod.annotations().filter(|(key, _)| *key == DEFAULTS_ANNOTATION);
    match annotations.next().map_or("true", |(_, value)| value) {
        "false" => true,
        "true" => false,
        _ => {
            warnings.push(format!(
                "the annotation {DEFAULTS_ANNOTATION} is ignored: \"false\" declines the secrets that the policy gives to \
                 Pods by default, and there is nothing else to say"
            ));
            false
        }
    }
}

/// Returns those of the default's containers that the Pod has, or nothing where it has none of them.
fn existing(default: &SecretRequest, pod: &Pod<'_>) -> Option<Containers> {
    let mut containers = default.containers.clone();
    if let Some(name) = containers.primary()
        && let Ok(primary) = pod.primary_container(&default.origin)
    {
        primary.clone_into(name);
    }
    let Containers::Named(names) = containers else {
        return Some(Containers::All);
    };
    let names: Vec<String> = names.into_iter().filter(|name| pod.has_own_container(name)).collect();
    (!names.is_empty()).then(|| Containers::named(names))
}
