//! What is legal in settings, and unwise.

use std::fmt;

use serde_json::{Value, json};

use crate::admission_policy::AdmissionPolicy;

/// A piece of advice on one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// The setting, such as `managers[0] (global).authorize`.
    pub setting: String,
    /// What it leads to, and what to do.
    pub text: String,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.setting, self.text)
    }
}

/// Returns the advice on settings that are valid, and on the policy that has them.
pub fn on(settings: &Value, policy: Option<&AdmissionPolicy>) -> Vec<Advice> {
    let mut advice = Advices::default();
    let managers = managers(settings);
    let open = settings["access"].is_null();
    if open {
        advice.add(
            "access",
            "is absent: every Pod may have every secret that the managers can serve; list who may have which secrets",
        );
    }
    if settings["onUnserved"] == "warn" {
        advice.add(
            "onUnserved",
            "is warn: a Pod whose secret is not found starts without it; set reject when the roll-out is over",
        );
    }
    if settings["dryRun"] == true {
        advice.add(
            "dryRun",
            "is true: no Pod gets a secret, and none is rejected; take it out when the dry run is over",
        );
    }
    for (index, manager) in managers.iter().enumerate() {
        on_manager(index, manager, managers.len(), &mut advice);
    }
    for (index, default) in settings["defaults"].as_array().into_iter().flatten().enumerate() {
        if default["namespaces"].is_null() && default["serviceAccounts"].is_null() {
            advice.add(
                format!("defaults[{index}].labels"),
                "is the only condition: whoever makes a Pod sets its labels, and gets these secrets; add namespaces or \
                 serviceAccounts",
            );
        }
    }
    if let Some(policy) = policy {
        on_policy(policy, &managers, open, &mut advice);
    }
    advice.0
}

#[derive(Default)]
struct Advices(Vec<Advice>);

impl Advices {
    fn add(&mut self, setting: impl Into<String>, text: impl Into<String>) {
        self.0.push(Advice {
            setting: setting.into(),
            text: text.into(),
        });
    }
}

/// The managers as the policy has them: the default where there are none.
fn managers(settings: &Value) -> Vec<Value> {
    let listed = settings["managers"].as_array().cloned();
    listed.unwrap_or_else(|| vec![json!({"type": "kubernetes"})])
}

fn on_manager(index: usize, manager: &Value, count: usize, advice: &mut Advices) {
    let kind = manager["type"].as_str().unwrap_or_default();
    let setting = |name: &str| match name {
        "" => format!("managers[{index}] ({kind})"),
        name => format!("managers[{index}] ({kind}).{name}"),
    };
    if manager["authorize"] == "none" {
        advice.add(
            setting("authorize"),
            "is none: RBAC is not asked, so every Pod that access lets through has the secrets of the manager's namespace",
        );
    }
    if kind == "global" || manager["literal"] == true {
        let name = if kind == "global" { "" } else { "literal" };
        advice.add(
            setting(name),
            "puts values into the Pod, where everybody can read them who may read the Pod, and so can the audit log and etcd; \
             a manager that refers to a Secret in the Pod's namespace does not",
        );
    }
    if kind == "vault" && manager["role"].is_null() {
        advice.add(
            setting("role"),
            "is absent: the agent logs in to Vault with the role flyte, as with Flyte; write the role of your Pods",
        );
    }
    if kind == "flyte" {
        if manager["organization"] == "any" {
            advice.add(
                setting("organization"),
                "is any: a Pod may say that it is of every organization; name yours",
            );
        } else if leaves_organization_open(manager) {
            advice.add(
                setting("organization"),
                "is absent, and podNamespace does not name it: a Pod may say that it is of every organization, whose Secrets are all \
                 in one namespace; write organization: flyte for open-source Flyte 2, or yours",
            );
        }
        on_pod_namespace(manager, &setting("podNamespace"), advice);
    }
    if !leaves_the_rest(manager) && manager["match"].is_null() && index + 1 < count {
        advice.add(
            setting(""),
            "has no match, and does not look whether a secret exists: the managers behind it get only the requests whose form it \
             cannot serve; give it a match",
        );
    }
}

/// Returns whether nothing binds the label `organization` of Pods that get values from the namespace of all organizations.
fn leaves_organization_open(manager: &Value) -> bool {
    let template = manager["podNamespace"].as_str().unwrap_or("{project}-{domain}");
    manager["literal"] == true
        && manager["organization"].is_null()
        && template.contains('{')
        && !template.contains("{organization}")
}

fn on_pod_namespace(manager: &Value, setting: &str, advice: &mut Advices) {
    let Some(value) = manager.get("podNamespace") else {
        return;
    };
    if value.is_null() {
        advice.add(
            setting,
            "is null, which kubectl apply, Argo CD and merge patches leave out before it reaches the cluster: write a namespace, or any",
        );
    } else if value == "any" {
        advice.add(
            setting,
            "is any: the Pod's labels alone say whose secrets it gets, and whoever creates a Pod writes them; name the namespace, or a \
             template such as {project}-{domain}",
        );
    }
}

/// Returns whether a manager leaves the requests of others to them: it looks whether the secret is there, or its secrets have a form
/// that no others have.
fn leaves_the_rest(manager: &Value) -> bool {
    let names_are_its_own = manager["type"] == "azure" || manager["type"] == "aws" && manager["client"] == "cli";
    reads_secrets(manager) || names_are_its_own
}

/// Returns whether a manager looks at Secrets at admission. Where Flyte's own secrets are in a cloud's store, an init container
/// looks there.
fn reads_secrets(manager: &Value) -> bool {
    match manager["type"].as_str() {
        Some("global") => true,
        Some("flyte") => manager["store"].is_null(),
        _ => manager["verify"] == true,
    }
}

fn on_policy(policy: &AdmissionPolicy, managers: &[Value], open: bool, advice: &mut Advices) {
    let authorized = |manager: &Value| {
        matches!(manager["type"].as_str(), Some("global" | "flyte"))
            && manager["store"].is_null()
            && manager["authorize"] != "none"
    };
    if open
        && !managers.iter().all(authorized)
        && let Some(label) = policy.namespace_label()
    {
        advice.add(
            "spec.namespaceSelector",
            format!(
                "is the only guard: whoever may write the label {label} of a namespace opens the secrets to its Pods; set access too"
            ),
        );
    }
    let asks = managers.iter().any(reads_secrets);
    if asks && !policy.reads_secrets() && !policy.is_patch() {
        advice.add(
            "spec.contextAwareResources",
            "has no Secret of v1, which these managers read: every Pod that asks them is rejected with the code 503",
        );
    }
    for (setting, text) in policy.weaknesses() {
        advice.add(setting, text);
    }
}
