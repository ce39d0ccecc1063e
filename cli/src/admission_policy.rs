//! A ClusterAdmissionPolicy or an AdmissionPolicy: the policy's settings, what it is granted, and which Pods reach it.

use std::collections::BTreeMap;

use secret_injector_policy::requests::JSON_ANNOTATION;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    capabilities::Grants,
    cel::{self, CelError, Scope},
    failure::Failure,
    requests::LABEL,
    review::AdmissionRequest,
    selector::LabelSelector,
    settings,
    source::Source,
    yaml,
};

/// What becomes of labels in the namespaceSelector of a ClusterAdmissionPolicy.
const LOST_LABELS: &str = "are left out by Kubewarden 1.36, so that Pods of all namespaces reach the policy: write them as matchExpressions, \
                           such as {key: LABEL, operator: In, values: [VALUE]}";

/// A policy as it is deployed.
#[derive(Debug, Clone)]
pub struct AdmissionPolicy {
    /// `clusterwide-NAME`, or `namespaced-NAMESPACE-NAME`: what Kubewarden calls the webhook's configuration.
    pub unique_name: String,
    /// The policy's settings.
    pub settings: Value,
    /// The document's number and first line.
    pub place: (usize, usize),
    /// The service account of the policy server, if the files have it.
    pub service_account: Option<String>,
    /// The namespace of an AdmissionPolicy.
    namespace: Option<String>,
    /// What a policy server lets AdmissionPolicies ask for; all if absent.
    namespaced_capabilities: Option<Vec<String>>,
    spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    module: Option<String>,
    mode: Option<String>,
    mutating: Option<bool>,
    failure_policy: Option<String>,
    policy_server: Option<String>,
    rules: Vec<Rule>,
    match_conditions: Option<Vec<MatchCondition>>,
    object_selector: Option<LabelSelector>,
    namespace_selector: Option<LabelSelector>,
    allow_inside_admission_controller_namespace: bool,
    context_aware_resources: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
    scope: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct MatchCondition {
    name: String,
    expression: String,
}

/// Whether a Pod reaches a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// It does, as far as is known; the notes say what is not.
    Yes(Vec<String>),
    /// It does not, for this reason.
    No(String),
}

impl AdmissionPolicy {
    /// Reads the one policy among the documents of a source.
    ///
    /// # Errors
    /// A source without a policy, or with several.
    pub fn read(source: &Source) -> Result<Self, Failure> {
        let mut policies = Vec::new();
        let mut servers = Vec::new();
        for document in source.documents()? {
            let place = source.place(&document).to_string();
            let object = yaml::to_json(&document.value)?;
            if settings::is_policy(&object) {
                policies.push((place, (document.number, document.line), object));
            } else if object["kind"] == "PolicyServer" {
                servers.push(object);
            }
        }
        let names = || {
            policies
                .iter()
                .map(|(_, _, policy)| policy["metadata"]["name"].as_str().unwrap_or("?"))
        };
        match policies.as_slice() {
            [(place, numbers, policy)] => {
                Self::from_object(policy, *numbers, &servers).map_err(|error| Failure::at(place, error))
            }
            [] => Err(Failure::at(
                &source.name,
                "found no ClusterAdmissionPolicy and no AdmissionPolicy",
            )),
            _ => Err(Failure::at(
                &source.name,
                format!(
                    "found several policies ({}); leave one",
                    names().collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }

    fn from_object(policy: &Value, place: (usize, usize), servers: &[Value]) -> Result<Self, serde_json::Error> {
        let spec = Spec::deserialize(&policy["spec"])?;
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = match policy["kind"] == "AdmissionPolicy" {
            true => Some(policy["metadata"]["namespace"].as_str().unwrap_or("default").to_owned()),
            false => None,
        };
        let server = servers
            .iter()
            .find(|server| server["metadata"]["name"].as_str() == spec.policy_server.as_deref());
        let capabilities = server.and_then(|server| server["spec"]["namespacedPoliciesCapabilities"].as_array());
        Ok(Self {
            unique_name: match &namespace {
                Some(namespace) => format!("namespaced-{namespace}-{name}"),
                None => format!("clusterwide-{name}"),
            },
            settings: settings::of_policy(policy),
            place,
            service_account: server
                .and_then(|server| server["spec"]["serviceAccountName"].as_str())
                .map(str::to_owned),
            namespaced_capabilities: capabilities.map(|listed| {
                let listed = listed.iter().filter_map(Value::as_str);
                listed.map(str::to_owned).collect()
            }),
            namespace,
            spec,
        })
    }

    /// Returns what the policy is granted: the kinds that it lists, and the capabilities that the controller gives its kind of
    /// policy.
    ///
    /// # Errors
    /// A list that is not as Kubewarden has it.
    pub fn grants(&self) -> Result<Grants, Failure> {
        let capabilities = match (&self.namespace, &self.namespaced_capabilities) {
            (Some(_), Some(listed)) => listed.clone(),
            _ => vec!["*".to_owned()],
        };
        // An AdmissionPolicy reads no objects of the cluster, whatever it lists.
        let resources = self
            .spec
            .context_aware_resources
            .as_ref()
            .filter(|_| self.namespace.is_none());
        let metadata = json!({
            "contextAwareResources": resources,
            "hostCapabilities": capabilities,
        });
        Ok(Grants::from_metadata(&metadata.to_string())?)
    }

    /// Returns whether the API server, and then the policy server, would let the policy change this Pod.
    ///
    /// `namespace_labels` are those of the Pod's namespace, if they are known.
    pub fn reach(&self, request: &AdmissionRequest, namespace_labels: Option<&BTreeMap<String, String>>) -> Reach {
        let mut notes = Vec::new();
        let pod = request.object.clone().unwrap_or_default();
        let obstacle = self
            .by_kind()
            .or_else(|| self.by_rules(request))
            .or_else(|| self.by_namespace(request, namespace_labels, &mut notes))
            .or_else(|| {
                let labels = labels(&pod["metadata"]["labels"]);
                let mismatch = self.spec.object_selector.as_ref()?.mismatch(&labels)?;
                Some(format!(
                    "its objectSelector asks for {mismatch}, which the Pod's labels do not have"
                ))
            })
            .or_else(|| self.by_conditions(request, &pod, &mut notes));
        match obstacle {
            Some(reason) => Reach::No(reason),
            None => Reach::Yes(notes),
        }
    }

    /// Returns a label that the namespaceSelector asks for and that is not the namespace's name, which the API server writes.
    pub fn namespace_label(&self) -> Option<&str> {
        let selector = self.spec.namespace_selector.as_ref()?;
        let labels = selector.match_labels.iter().flatten().map(|(key, _)| key);
        let labels = labels.filter(|_| !self.loses_labels());
        let expressions = selector.match_expressions.iter().flatten().map(|one| &one.key);
        let mut keys = labels.chain(expressions).map(String::as_str);
        keys.find(|key| *key != "kubernetes.io/metadata.name")
    }

    /// Returns true if Kubewarden leaves labels that the namespaceSelector asks for out of the webhook's configuration: it makes a selector
    /// of its own for a ClusterAdmissionPolicy, into which it copies the expressions alone.
    fn loses_labels(&self) -> bool {
        let selector = self.spec.namespace_selector.as_ref();
        let labels = selector.and_then(|selector| selector.match_labels.as_ref());
        labels.is_some_and(|labels| !labels.is_empty())
            && self.namespace.is_none()
            && !self.spec.allow_inside_admission_controller_namespace
    }

    /// Returns true if the policy may read Secrets.
    pub fn reads_secrets(&self) -> bool {
        let resources = self.spec.context_aware_resources.as_ref().and_then(Value::as_array);
        let is_secret = |resource: &Value| resource["apiVersion"] == "v1" && resource["kind"] == "Secret";
        self.namespace.is_none() && resources.is_some_and(|resources| resources.iter().any(is_secret))
    }

    /// Returns true for a patch of kustomize, which has some of a policy's fields: what it lacks is in the base.
    pub fn is_patch(&self) -> bool {
        self.spec.module.is_none() && self.spec.mutating.is_none()
    }

    /// Returns the fields of the policy that let Pods start without their secrets, with what to do.
    pub fn weaknesses(&self) -> Vec<(&'static str, &'static str)> {
        let mut found = Vec::new();
        if self.spec.mode.as_deref() == Some("monitor") {
            found.push((
                "spec.mode",
                "is monitor: every Pod starts without its secrets; set protect",
            ));
        }
        if self.spec.mutating != Some(true) && !self.is_patch() {
            found.push(("spec.mutating", "is not true: the policy may not change a Pod"));
        }
        if self.spec.failure_policy.as_deref() == Some("Ignore") {
            found.push((
                "spec.failurePolicy",
                "is Ignore: while no policy server answers, Pods start without their secrets; set Fail",
            ));
        }
        if self.loses_labels() {
            found.push(("spec.namespaceSelector.matchLabels", LOST_LABELS));
        }
        found.extend(self.left_behind());
        let asks = self.spec.match_conditions.as_ref().is_some_and(|all| !all.is_empty())
            || self.spec.object_selector.is_some();
        if !asks && !self.is_patch() {
            found.push((
                "spec.matchConditions",
                "is absent: every Pod of the cluster waits for the policy server, and none starts while it is away; ask for the \
                 annotations as deploy/base/policy.yaml does",
            ));
        }
        found
    }

    /// Returns what keeps Pods from the policy that ask with the readable annotation.
    fn left_behind(&self) -> Option<(&'static str, &'static str)> {
        let flytes_label = BTreeMap::from([(LABEL.0.to_owned(), LABEL.1.to_owned())]);
        let selector = self.spec.object_selector.as_ref();
        if selector.is_some_and(|selector| {
            selector.mismatch(&BTreeMap::new()).is_some() && selector.mismatch(&flytes_label).is_none()
        }) {
            return Some((
                "spec.objectSelector",
                "asks for Flyte's label: a Pod that asks with secret-injector/requests, and lacks the label, starts without its \
                 secrets; leave the selector out, spec.matchConditions look for the annotations",
            ));
        }
        // Conditions may be about other things too: what counts is that the name makes the difference.
        let holds = |condition: &MatchCondition, key: &str| {
            let pod = json!({"metadata": {"annotations": {key: "[]"}, "labels": {LABEL.0: LABEL.1}}});
            cel::holds(&condition.expression, &Scope::default().with("object", pod)).ok()
        };
        let named = format!("{JSON_ANNOTATION}-db");
        let conditions = self.spec.match_conditions.iter().flatten();
        let misses = |condition: &&MatchCondition| {
            let known = [JSON_ANNOTATION, "flyte.secrets/s0"].map(|key| holds(condition, key));
            known.contains(&Some(true)) && holds(condition, &named) == Some(false)
        };
        conditions.into_iter().find(misses).map(|_| {
            (
                "spec.matchConditions",
                "do not let Pods through that ask with secret-injector/requests-NAME: these start without their secrets; write \
                 key.startsWith('secret-injector/requests'), as deploy/base/policy.yaml does",
            )
        })
    }

    fn by_kind(&self) -> Option<String> {
        if self.spec.mode.as_deref() == Some("monitor") {
            return Some("its mode is monitor, which changes no Pod".to_owned());
        }
        match self.spec.mutating {
            Some(true) => None,
            _ => Some("it does not say mutating: true, so it may not change a Pod".to_owned()),
        }
    }

    fn by_rules(&self, request: &AdmissionRequest) -> Option<String> {
        let resource = &request.resource;
        let has = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        let plural = |rule: &Rule| match request.sub_resource.as_deref().filter(|name| !name.is_empty()) {
            None => has(&rule.resources, &resource.resource) || rule.resources.iter().any(|one| one == "*/*"),
            Some(sub) => rule.resources.iter().any(|one| {
                [
                    format!("{}/{sub}", resource.resource),
                    format!("*/{sub}"),
                    "*/*".to_owned(),
                ]
                .contains(one)
            }),
        };
        let fits = |rule: &Rule| {
            has(&rule.api_groups, &resource.group)
                && has(&rule.api_versions, &resource.version)
                && has(&rule.operations, &request.operation)
                && plural(rule)
                && rule.scope.as_deref() != Some("Cluster")
        };
        if self.spec.rules.iter().any(fits) {
            return None;
        }
        Some(format!(
            "none of its rules has the operation {} on {}",
            request.operation, resource.resource
        ))
    }

    fn by_namespace(
        &self,
        request: &AdmissionRequest,
        known: Option<&BTreeMap<String, String>>,
        notes: &mut Vec<String>,
    ) -> Option<String> {
        let namespace = request.namespace.clone().unwrap_or_default();
        if let Some(own) = self.namespace.as_ref().filter(|own| **own != namespace) {
            return Some(format!(
                "it is an AdmissionPolicy of the namespace {own:?}, and the Pod is in {namespace:?}"
            ));
        }
        let mut selector = self.spec.namespace_selector.clone()?;
        if self.loses_labels() {
            notes.push(format!(
                "spec.namespaceSelector.matchLabels of the policy {LOST_LABELS}"
            ));
            selector.match_labels = None;
        }
        let mut labels = known.cloned().unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.clone());
        let mismatch = selector.mismatch(&labels)?;
        if known.is_none() && !mismatch.contains("kubernetes.io/metadata.name") {
            notes.push(format!(
                "the policy's namespaceSelector asks for {mismatch}; add the Namespace {namespace:?} to the files of --cluster \
                 to see whether it has that"
            ));
            return None;
        }
        Some(format!(
            "its namespaceSelector asks for {mismatch}, which the namespace {namespace:?} does not have"
        ))
    }

    fn by_conditions(&self, request: &AdmissionRequest, pod: &Value, notes: &mut Vec<String>) -> Option<String> {
        let scope = Scope::default()
            .with("object", pod.clone())
            .with("oldObject", request.old_object.clone().unwrap_or_default())
            .with("request", serde_json::to_value(request).unwrap_or_default());
        for condition in self.spec.match_conditions.iter().flatten() {
            match cel::holds(&condition.expression, &scope) {
                Ok(true) => {}
                Ok(false) => {
                    return Some(format!(
                        "its matchCondition {:?} does not hold: {}",
                        condition.name,
                        condition.expression.trim()
                    ));
                }
                Err(error @ CelError::Unsupported(_)) => notes.push(format!(
                    "whether the policy's matchCondition {:?} holds is not known: {error}",
                    condition.name
                )),
                Err(error @ CelError::Evaluation(_)) => notes.push(format!(
                    "the policy's matchCondition {:?} fails ({error}); the API server then does what failurePolicy says",
                    condition.name
                )),
            }
        }
        None
    }
}

/// Returns the labels of an object's metadata.
pub fn labels(labels: &Value) -> BTreeMap<String, String> {
    let labels = labels.as_object().into_iter().flatten();
    labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
