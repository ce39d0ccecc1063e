//! What to deploy: the policy with its settings, and the rights that these settings need, as objects or as an overlay of
//! `deploy/base`.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::Conversion;
use crate::yaml::{self, Yaml, YamlError};

/// The policy that all overlays share.
const BASE: &str = include_str!("../../../deploy/base/policy.yaml");
/// What the component `read-secrets` makes, but for the policy's grant.
const READ_SECRETS: &str = include_str!("../../../deploy/components/read-secrets/cluster-role.yaml");
/// What the component `authorize` makes.
const AUTHORIZE: &str = include_str!("../../../deploy/components/authorize/access-reviews.yaml");
/// Where the manifests of this version are.
const REPOSITORY: &str = "https://github.com/secret-injector/secret-injector-policy//deploy";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest time that the API server waits for a webhook.
const LONGEST_TIMEOUT: u64 = 30;
/// Fields of Flyte that the policy has, so that no note on them is needed.
const IN_THE_POLICY: [&str; 2] = ["webhook.namespaceSelector", "webhook.webhookTimeout"];

/// Returns the ClusterAdmissionPolicy with the settings, the roles, and their bindings, as YAML with the notes in front. It is applied
/// after the base.
///
/// # Errors
/// None: a test makes one.
pub fn policy(conversion: &Conversion) -> Result<String, YamlError> {
    let model = base()?;
    let mut policy = yaml::to_json(&model)?;
    let needs = Needs::of(&conversion.settings);
    let spec = &mut policy["spec"];
    for (field, value) in changes(conversion, spec) {
        spec[&field] = value;
    }
    // What the policy cannot do it cannot be made to do.
    spec["contextAwareResources"] = match needs.reads() {
        false => json!([]),
        true => json!([{"apiVersion": "v1", "kind": "Secret"}]),
    };
    let mut text = format!(
        "# Apply it after the base, which has the policy server: kubectl apply -k \"{REPOSITORY}/base?ref=v{VERSION}\"\n{}{}",
        conversion.comments_without(&IN_THE_POLICY),
        yaml::to_text(&policy, Some(&model))?
    );
    if needs.reads() {
        text = text + "---\n" + READ_SECRETS;
    }
    if needs.authorize {
        text = text + "---\n" + AUTHORIZE;
    }
    for namespace in &needs.namespaces {
        text = text + "---\n" + &role_binding(namespace)?;
    }
    Ok(text)
}

/// Returns the files of an overlay, as names and texts: the base of this version, the components that the settings need, and the
/// bindings of their roles.
///
/// # Errors
/// None: a test makes one.
pub fn overlay(conversion: &Conversion) -> Result<Vec<(&'static str, String)>, YamlError> {
    let needs = Needs::of(&conversion.settings);
    let mut kustomization = format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n  - {REPOSITORY}/base?ref=v{VERSION}\n"
    );
    if needs.reads() {
        kustomization += "  - secrets.yaml\ncomponents:\n";
        for (component, needed) in [("read-secrets", true), ("authorize", needs.authorize)] {
            if needed {
                // Writing to a String does not fail.
                _ = writeln!(kustomization, "  - {REPOSITORY}/components/{component}?ref=v{VERSION}");
            }
        }
    }
    kustomization += "patches:\n  - path: policy.yaml\n";
    let mut files = vec![
        ("kustomization.yaml", kustomization),
        ("policy.yaml", patch(conversion)?),
    ];
    if needs.reads() {
        let bindings: Vec<String> = needs
            .namespaces
            .iter()
            .map(|namespace| role_binding(namespace))
            .collect::<Result<_, _>>()?;
        files.push(("secrets.yaml", bindings.join("---\n")));
    }
    Ok(files)
}

/// The patch of the base's policy.
fn patch(conversion: &Conversion) -> Result<String, YamlError> {
    let model = base()?;
    let base = yaml::to_json(&model)?;
    let patch = json!({
        "apiVersion": base["apiVersion"],
        "kind": base["kind"],
        "metadata": {"name": base["metadata"]["name"]},
        "spec": changes(conversion, &base["spec"]),
    });
    Ok(conversion.comments_without(&IN_THE_POLICY) + &yaml::to_text(&patch, Some(&model))?)
}

fn base() -> Result<Yaml, YamlError> {
    Ok(yaml::documents(BASE)?.into_iter().next().unwrap_or_default())
}

/// The fields of `spec` that are not as in the base.
fn changes(conversion: &Conversion, base: &Value) -> Map<String, Value> {
    let mut changes = Map::new();
    if let Some(timeout) = conversion.timeout {
        let timeout = timeout.clamp(1, LONGEST_TIMEOUT);
        // The webhook's time has to be longer than the policy's.
        let evaluation = base["timeoutEvalSeconds"].as_u64().unwrap_or(timeout);
        let evaluation = evaluation.min(timeout.saturating_sub(1).max(1));
        changes.insert("timeoutSeconds".to_owned(), json!(timeout));
        changes.insert("timeoutEvalSeconds".to_owned(), json!(evaluation));
    }
    if let Some(selector) = select_namespaces(&base["namespaceSelector"], &conversion.namespace_selector) {
        changes.insert("namespaceSelector".to_owned(), selector);
    }
    changes.insert("settings".to_owned(), conversion.settings.clone());
    changes
}

/// Adds Flyte's selector, if there is one, to that of the base, which leaves out the control plane and Kubewarden. Its labels become
/// expressions: Kubewarden does not hand `matchLabels` on to the API server.
fn select_namespaces(base: &Value, flytes: &Value) -> Option<Value> {
    let labels = flytes["matchLabels"].as_object().into_iter().flatten();
    let labels = labels.map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}));
    let expressions = flytes["matchExpressions"].as_array().into_iter().flatten().cloned();
    let more: Vec<Value> = labels.chain(expressions).collect();
    if more.is_empty() {
        return None;
    }
    let mut selector = base.clone();
    selector["matchExpressions"].as_array_mut()?.extend(more);
    Some(selector)
}

/// What the policy server has to be allowed.
struct Needs {
    /// The namespaces whose Secrets it reads.
    namespaces: Vec<String>,
    /// True if it asks who may read them.
    authorize: bool,
}

impl Needs {
    fn of(settings: &Value) -> Self {
        let mut needs = Self {
            namespaces: Vec::new(),
            authorize: false,
        };
        for manager in settings["managers"].as_array().into_iter().flatten() {
            needs.add(manager);
        }
        needs.namespaces.sort();
        needs.namespaces.dedup();
        needs
    }

    fn add(&mut self, manager: &Value) {
        let namespace = manager["namespace"].as_str();
        match manager["type"].as_str() {
            Some("global") => {
                self.namespaces.extend(namespace.map(str::to_owned));
                self.authorize |= manager["authorize"] != "none";
            }
            Some("flyte") if manager["store"].is_null() => {
                self.namespaces.push(namespace.unwrap_or("flyte").to_owned());
                let pods = manager["podNamespace"].as_str();
                let named = pods.filter(|pods| !pods.contains('{') && *pods != "any");
                let read = manager["literal"] != true || manager["imagePullSecrets"] == true;
                self.namespaces.extend(named.filter(|_| read).map(str::to_owned));
            }
            _ => {}
        }
    }

    fn reads(&self) -> bool {
        !self.namespaces.is_empty()
    }
}

fn role_binding(namespace: &str) -> Result<String, YamlError> {
    let model = serde_norway::from_str("{apiVersion: 0, kind: 0, metadata: {name: 0}, roleRef: 0, subjects: 0}")?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "secret-injector-secrets", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secret-injector-secrets"},
        "subjects": [{"kind": "ServiceAccount", "name": "secret-injector", "namespace": "kubewarden"}],
    });
    yaml::to_text(&binding, Some(&model))
}
