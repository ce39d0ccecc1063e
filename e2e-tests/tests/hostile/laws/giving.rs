//! What holds for the settings that give Pods what they do not ask for: `defaults` and `imagePullSecrets`.

use secret_injector_policy::names::Glob;
use secret_injector_policy::requests::{
    Containers, JSON_ANNOTATION, Origin, PRIMARY_ANNOTATION, PRIMARY_CONTAINER, SecretRequest, from_annotations,
};
use serde_json::{Value, json};

use super::super::case::{Case, NAMESPACE, answer, payload};
use super::{Audit, CONTAINER_LISTS};

/// A default that the settings have for a Pod, as somebody who reads them would say.
pub struct Due {
    pub request: SecretRequest,
    required: bool,
}

impl Due {
    /// The defaults for the Pod of `case`, in the settings' order.
    pub fn of(case: &Case) -> Vec<Self> {
        let mut due = Vec::new();
        let declined = case.pod["metadata"]["annotations"]["secret-injector/defaults"] == "false";
        for (number, rule) in items(&case.settings, "defaults").enumerate() {
            if !is_for(rule, &case.pod) {
                continue;
            }
            for (position, item) in items(rule, "requests").enumerate() {
                let required = item["required"] == true;
                let containers = if item["containers"].is_null() {
                    &rule["containers"]
                } else {
                    &item["containers"]
                };
                let place = format!("defaults[{number}].requests[{position}]");
                let mut request = read(item, Origin::Default { place, required });
                if let Some(containers) = own_containers(containers, &case.pod)
                    && (required || !declined)
                {
                    request.containers = containers;
                    due.push(Self { request, required });
                }
            }
        }
        due
    }
}

fn items<'v>(object: &'v Value, list: &str) -> impl Iterator<Item = &'v Value> {
    items_of(&object[list])
}

fn items_of(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Whether one of the patterns fits; all texts do where there are none.
fn fits(patterns: &Value, text: &str) -> bool {
    let mut patterns = items_of(patterns).filter_map(Value::as_str);
    patterns.any(|pattern| Glob::new(pattern).fits(text))
}

/// Whether the conditions of a rule are about the Pod.
fn is_for(rule: &Value, pod: &Value) -> bool {
    let allows = |field: &str, text: &str| rule[field].is_null() || fits(&rule[field], text);
    let mut labels = rule["labels"].as_object().into_iter().flatten();
    allows("namespaces", NAMESPACE)
        && allows("serviceAccounts", "default")
        && labels.all(|(key, value)| pod["metadata"]["labels"].get(key) == Some(value))
}

fn read(item: &Value, origin: Origin) -> SecretRequest {
    let mut item = item.clone();
    if let Some(fields) = item.as_object_mut() {
        fields.remove("required");
        fields.remove("containers");
    }
    let text = json!([item]).to_string();
    let read = from_annotations([(JSON_ANNOTATION, text.as_str())]).expect("the settings' own request");
    let request = read.requests.into_iter().next().expect("a request");
    SecretRequest { origin, ..request }
}

/// Those of the containers that the Pod has; nothing where it has none of them.
fn own_containers(containers: &Value, pod: &Value) -> Option<Containers> {
    if containers.is_null() {
        return Some(Containers::All);
    }
    let names = items_of(containers).filter_map(Value::as_str).map(str::to_owned);
    let Containers::Named(mut names) = with_primary(Containers::Named(names.collect()), pod) else {
        return None;
    };
    let is_own = |name: &str| {
        let mut lists = CONTAINER_LISTS.iter().flat_map(|list| items(&pod["spec"], list));
        !is_ours(name) && lists.any(|own| own["name"] == name)
    };
    names.retain(|name| is_own(name));
    (!names.is_empty()).then(|| Containers::named(names))
}

/// Whether one of our init containers may be called so, for which there are no defaults.
fn is_ours(name: &str) -> bool {
    ["aws-pull-secret-", "gcp-pull-secret-", "azure-pull-secret-"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// The containers, with the name of that which the Pod's annotation names, or of its only one, for `$primary`.
pub fn with_primary(containers: Containers, pod: &Value) -> Containers {
    let Containers::Named(mut names) = containers else {
        return containers;
    };
    let mut known = items(&pod["spec"], "containers").filter_map(|container| container["name"].as_str());
    let primary = match pod["metadata"]["annotations"][PRIMARY_ANNOTATION].as_str() {
        Some(named) => known.find(|name| *name == named),
        None => known.next().filter(|_| known.next().is_none()),
    };
    for name in &mut names {
        if name == PRIMARY_CONTAINER
            && let Some(primary) = primary
        {
            primary.clone_into(name);
        }
    }
    Containers::named(names)
}

/// Takes a setting away.
pub fn leave_out(name: &str, settings: &mut Value) {
    if let Some(settings) = settings.as_object_mut() {
        settings.remove(name);
    }
}

/// Whether a warning says that the Pod, or its containers, go without a default because of something else there.
pub fn goes_without(request: &SecretRequest, container: Option<&str>, warnings: &[&str]) -> bool {
    warnings.iter().any(|warning| {
        let Some((who, why)) = warning.split_once(" without a default: ") else {
            return false;
        };
        let named = |name| {
            let names = who
                .trim_start_matches("the container")
                .trim_start_matches('s')
                .trim_start();
            let names = names.trim_end_matches(" goes").trim_end_matches(" go");
            names.split(", ").any(|known| known == name)
        };
        container.is_none_or(named) && why.contains(&request.origin.to_string())
    })
}

/// Each default that is due is injected, or there is a warning, or the Pod asks for it itself. No other is injected.
pub fn is_accounted_for(due: &[Due], own: &[SecretRequest], audit: &Audit<'_>, warnings: &[&str]) {
    if warnings
        .iter()
        .any(|warning| warning.ends_with("more warnings are left out"))
    {
        return;
    }
    let injected: Vec<&str> = audit
        .injected
        .iter()
        .filter_map(|entry| entry["request"].as_str())
        .collect();
    for (position, Due { request, .. }) in due.iter().enumerate() {
        let place = request.origin.place();
        let earlier = own.iter().chain(due[..position].iter().map(|due| &due.request));
        let is_known = earlier.into_iter().any(|other| is_same(other, request));
        let is_unserved = warnings
            .iter()
            .any(|warning| warning.starts_with(&format!("the Pod goes without a secret: setting {place} asks for")));
        assert!(
            injected.contains(&&*place) || is_known || is_unserved || goes_without(request, None, warnings),
            "the default {place} is dropped: {warnings:?}"
        );
    }
    for entry in &audit.injected {
        let is_due = |due: &Due| entry["request"] == *due.request.origin.place();
        assert!(
            entry["origin"] != "default" || due.iter().any(is_due),
            "no default for this Pod: {entry}"
        );
    }
}

/// Whether `other` asks for the same secret in the same way, for the same containers or for all.
fn is_same(other: &SecretRequest, request: &SecretRequest) -> bool {
    let containers = request.containers.clone();
    let alike = SecretRequest {
        containers,
        origin: request.origin.clone(),
        optional: request.optional,
        ..other.clone()
    };
    alike == *request && (other.containers == Containers::All || other.containers == request.containers)
}

/// Without the defaults, the Pod's requests come to the same, and what it had of its own it has as well. One that is not
/// required rejects no Pod, unless a store could not be asked.
pub fn takes_nothing(case: &Case, with: &Value, due: &[Due], policy: &mut dyn FnMut(&[u8]) -> Vec<u8>) {
    if case.settings["defaults"].is_null() {
        return;
    }
    let mut settings = case.settings.clone();
    leave_out("defaults", &mut settings);
    let without = answer(&policy(&payload(&case.pod, &settings)));
    if without["accepted"] == false {
        // Files beside a default's are mounted one by one, where a mount of the Pod's own may have room among them.
        return;
    }
    if with["accepted"] == false {
        let is_required = due.iter().any(|due| due.required);
        assert!(is_required || with["code"] == 503, "a default rejects the Pod: {with}");
        return;
    }
    let (audit, own) = (Audit::of(with), Audit::of(&without));
    assert_eq!(audit.own(), own.own(), "the defaults change what the Pod asks for");
    if let Some(after) = with.get("mutated_object") {
        keeps(&case.pod, without.get("mutated_object").unwrap_or(&case.pod), after);
    }
}

/// Fails where a container has lost a variable of its own that is still in `without`.
fn keeps(before: &Value, without: &Value, after: &Value) {
    for list in CONTAINER_LISTS {
        for own in items(&before["spec"], list) {
            let find = |pod: &'_ Value| -> Vec<Value> {
                let container = items(&pod["spec"], list).find(|container| container["name"] == own["name"]);
                items(container.expect("the Pod's own container"), "env")
                    .cloned()
                    .collect()
            };
            let (kept, has) = (find(without), find(after));
            for variable in items(own, "env").filter(|variable| kept.contains(variable)) {
                assert!(has.contains(variable), "{} lost {variable} to a default", own["name"]);
            }
        }
    }
}

/// The Secrets of exactly those rules are added which have a pattern for one of the Pod's images, ours included.
pub fn pulls_by_rule(case: &Case, answer: &Value, audit: &Audit<'_>) {
    let pod = answer.get("mutated_object").unwrap_or(&case.pod);
    let containers = CONTAINER_LISTS.iter().flat_map(|list| items(&pod["spec"], list));
    let images: Vec<&str> = containers.filter_map(|container| container["image"].as_str()).collect();
    let mut expected: Vec<&str> = Vec::new();
    for rule in items(&case.settings, "imagePullSecrets") {
        // The images here that name no registry have no slash either.
        let full = |image: &str| match image.contains('/') {
            true => image.to_owned(),
            false => format!("docker.io/library/{image}"),
        };
        let fits_one = |image: &&str| fits(&rule["images"], image) || fits(&rule["images"], &full(image));
        let is_here = rule["namespaces"].is_null() || fits(&rule["namespaces"], NAMESPACE);
        let name = rule["name"].as_str().unwrap_or_default();
        if is_here && images.iter().any(fits_one) && !expected.contains(&name) {
            expected.push(name);
        }
    }
    assert_eq!(audit.pulled, expected, "{images:?}: {answer}");
    for name in expected {
        let found = items(&pod["spec"], "imagePullSecrets").filter(|secret| secret["name"] == name);
        assert_eq!(
            found.count(),
            1,
            "the Secret {name} in {}",
            pod["spec"]["imagePullSecrets"]
        );
    }
}
