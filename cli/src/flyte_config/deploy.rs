//! The objects to deploy: the policy with its settings, and the rights that these settings need.

use serde_json::{Value, json};

use super::Conversion;
use crate::yaml::{self, Yaml, YamlError};

/// The policy that all overlays share.
const BASE: &str = include_str!("../../../deploy/base/policy.yaml");
/// The longest time that the API server waits for a webhook.
const LONGEST_TIMEOUT: u64 = 30;

/// Returns the ClusterAdmissionPolicy with the settings, and the RoleBindings for the policy server, as YAML with the notes in
/// front.
///
/// # Errors
/// None: a test makes one.
pub fn policy(conversion: &Conversion) -> Result<String, YamlError> {
    let model = yaml::documents(BASE)?.into_iter().next().unwrap_or_default();
    let mut policy = yaml::to_json(&model)?;
    let spec = &mut policy["spec"];
    spec["settings"] = conversion.settings.clone();
    if let Some(timeout) = conversion.timeout {
        let timeout = timeout.clamp(1, LONGEST_TIMEOUT);
        spec["timeoutSeconds"] = json!(timeout);
        // The webhook's time has to be longer than the policy's.
        let evaluation = spec["timeoutEvalSeconds"].as_u64().unwrap_or(timeout);
        spec["timeoutEvalSeconds"] = json!(evaluation.min(timeout.saturating_sub(1).max(1)));
    }
    select_namespaces(&mut spec["namespaceSelector"], &conversion.namespace_selector);
    // What the policy cannot do it cannot be made to do.
    let namespaces = namespaces(&conversion.settings);
    spec["contextAwareResources"] = match namespaces.is_empty() {
        true => json!([]),
        false => json!([{"apiVersion": "v1", "kind": "Secret"}]),
    };
    let overlay = conversion.version.overlay();
    let mut text = format!(
        "# Apply it after deploy/overlays/{overlay}, which has the policy server and its roles.\n{}{}",
        conversion.comments_without(&["webhook.namespaceSelector", "webhook.webhookTimeout"]),
        yaml::to_text(&policy, Some(&model))?
    );
    for namespace in namespaces {
        text += "---\n";
        text += &yaml::to_text(&role_binding(&namespace), Some(&binding_model()?))?;
    }
    Ok(text)
}

/// Adds Flyte's selector to that of the base, which leaves out the control plane and Kubewarden.
fn select_namespaces(ours: &mut Value, flytes: &Value) {
    let labels = flytes["matchLabels"].as_object();
    if let Some(labels) = labels.filter(|labels| !labels.is_empty()) {
        ours["matchLabels"] = json!(labels);
    }
    if let (Some(ours), Some(more)) = (
        ours["matchExpressions"].as_array_mut(),
        flytes["matchExpressions"].as_array(),
    ) {
        ours.extend(more.iter().cloned());
    }
}

/// The namespaces whose Secrets the policy server has to read.
fn namespaces(settings: &Value) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for manager in settings["managers"].as_array().into_iter().flatten() {
        let namespace = manager["namespace"].as_str();
        let pods = manager["podNamespace"]
            .as_str()
            .filter(|pods| !pods.contains('{') && *pods != "any");
        match manager["type"].as_str() {
            Some("global") => found.extend(namespace.map(str::to_owned)),
            Some("flyte") if manager["store"].is_null() => {
                found.push(namespace.unwrap_or("flyte").to_owned());
                found.extend(pods.filter(|_| manager["literal"] != true).map(str::to_owned));
            }
            _ => {}
        }
    }
    found.sort();
    found.dedup();
    found
}

fn role_binding(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "secret-injector-secrets", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secret-injector-secrets"},
        "subjects": [{"kind": "ServiceAccount", "name": "secret-injector", "namespace": "kubewarden"}],
    })
}

fn binding_model() -> Result<Yaml, YamlError> {
    Ok(serde_norway::from_str(
        "{apiVersion: 0, kind: 0, metadata: {name: 0}, roleRef: 0, subjects: 0}",
    )?)
}
