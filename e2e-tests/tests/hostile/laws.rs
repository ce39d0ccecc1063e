//! What holds for every Pod, as checks that panic.

mod giving;

use std::collections::BTreeSet;

use secret_injector_policy::names;
use secret_injector_policy::requests::{
    Containers, FLYTE_PREFIX, JSON_ANNOTATION, Origin, SecretRequest, from_annotations,
};
use serde_json::{Map, Value, json};

use super::case::{Case, SECRET_VALUE, answer};
use giving::{Due, goes_without};

/// The codes with which the policy rejects. There is no 500: the settings are valid.
const CODES: [u64; 4] = [400, 403, 422, 503];

/// The two lists of containers.
const CONTAINER_LISTS: [&str; 2] = ["initContainers", "containers"];

/// Variables that are the same for every secret; the audit annotation leaves them out.
const COMMON_VARIABLES: [&str; 3] = [
    "FLYTE_SECRETS_DEFAULT_DIR",
    "FLYTE_SECRETS_FILE_PREFIX",
    "FLYTE_SECRETS_ENV_PREFIX",
];

/// Checks `case` against all laws; `policy` is `validate`, from payload to answer.
pub fn check(case: &Case, policy: &mut dyn FnMut(&[u8]) -> Vec<u8>) {
    let payload = case.payload(&case.pod);
    let bytes = policy(&payload);
    assert_eq!(policy(&payload), bytes, "the second answer differs");
    let answer = answer(&bytes);
    let accepted = answer["accepted"].as_bool().expect("accepted");
    keeps_values_secret(&answer);
    says_the_same_in_a_dry_run(case, &answer, policy);
    let due = Due::of(case);
    giving::takes_nothing(case, &answer, &due, policy);
    if !accepted {
        let code = answer["code"].as_u64().expect("a code");
        let message = answer["message"].as_str().expect("a message");
        assert!(CODES.contains(&code) && !message.is_empty(), "{answer}");
        assert!(answer.get("mutated_object").is_none(), "{answer}");
        let is_asked = !case.requests.is_empty() || !due.is_empty();
        assert!(is_asked, "rejected without a request: {answer}");
        return;
    }
    let audit = Audit::of(&answer);
    let mut requests = requests_of(&case.pod);
    let warnings = warnings_of(&answer);
    giving::is_accounted_for(&due, &requests, &audit, &warnings);
    giving::pulls_by_rule(case, &answer, &audit);
    let Some(pod) = answer.get("mutated_object") else {
        assert!(case.requests.is_empty(), "requests are passed over: {answer}");
        return;
    };
    assert!(
        !case.requests.is_empty() || !audit.is_empty(),
        "nothing is asked for, but the Pod is mutated"
    );
    assert_eq!(audit.own_count(), requests.len(), "a request is dropped: {answer}");
    requests.extend(due.into_iter().map(|due| due.request));
    let told = warnings
        .iter()
        .filter(|warning| warning.starts_with("the Pod goes without a secret"))
        .count();
    assert_eq!(told, audit.unserved.len(), "a request is not warned about: {answer}");

    let additions = added(&case.pod, pod, "", &warnings).unwrap_or_else(|lost| panic!("lost: {lost}\n{answer}"));
    for (place, value) in &additions {
        audit.explains(place, value);
    }
    let before = problems(&case.pod);
    let after = problems(pod);
    assert!(before.is_empty(), "the test's own Pod is not valid: {before:?}");
    assert!(after.is_empty(), "the Pod is not valid any more: {after:?}\n{answer}");
    for (entry, request) in audit.served(&requests) {
        reaches(entry, request, (&case.pod, pod), &warnings);
    }
    first_manager_wins(case, &audit, &requests, policy);
    idempotent(case, pod, &audit, policy);
}

fn warnings_of(answer: &Value) -> Vec<&str> {
    let warnings = answer["warnings"].as_array().into_iter().flatten();
    warnings.filter_map(Value::as_str).collect()
}

fn requests_of(pod: &Value) -> Vec<SecretRequest> {
    let annotations = pod["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations = annotations.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    let mut requests = from_annotations(annotations).expect("the case's own requests").requests;
    for request in &mut requests {
        request.containers = giving::with_primary(std::mem::take(&mut request.containers), pod);
    }
    requests
}

/// Values are in the Pod's spec and nowhere else.
fn keeps_values_secret(answer: &Value) {
    let mut answer = answer.clone();
    if let Some(pod) = answer.get_mut("mutated_object").and_then(Value::as_object_mut) {
        pod.remove("spec");
    }
    let text = answer.to_string();
    assert!(!text.contains(&SECRET_VALUE[..5]), "a value of a Secret: {text}");
}

/// With `dryRun` the Pod is admitted as it is, and the audit annotations say what happens without.
fn says_the_same_in_a_dry_run(case: &Case, real: &Value, policy: &mut dyn FnMut(&[u8]) -> Vec<u8>) {
    let mut settings = case.settings.clone();
    settings["dryRun"] = json!(true);
    let dry = answer(&policy(&super::case::payload(&case.pod, &settings)));
    keeps_values_secret(&dry);
    assert_eq!(dry["accepted"], json!(true), "{dry}");
    assert!(dry.get("mutated_object").is_none(), "{dry}");
    let said = &dry["audit_annotations"];
    if real["accepted"] == json!(true) {
        assert_eq!(said["wouldInject"], real["audit_annotations"]["injected"], "{dry}");
        assert_eq!(said["unserved"], real["audit_annotations"]["unserved"], "{dry}");
        let warnings = warnings_of(&dry);
        let said = warnings
            .iter()
            .filter(|warning| warning.starts_with("dryRun: "))
            .count();
        let audit = Audit::of(real);
        let is_cut = warnings.iter().any(|warning| warning.ends_with("left out"));
        assert!(is_cut || said == audit.injected.len() + audit.pulled.len(), "{dry}");
    } else {
        let text = format!("{}: {}", real["code"], real["message"].as_str().expect("a message"));
        assert_eq!(said["wouldReject"], json!(text), "{dry}");
    }
}

/// The policy's answer to its own Pod is that very Pod, and `audit` again.
fn idempotent(case: &Case, pod: &Value, audit: &Audit<'_>, policy: &mut dyn FnMut(&[u8]) -> Vec<u8>) {
    let again = answer(&policy(&case.payload(pod)));
    assert_eq!(again["accepted"], json!(true), "the second time: {again}");
    assert_eq!(
        &again["mutated_object"], pod,
        "the second time, the Pod is changed again"
    );
    let audit_again = Audit::of(&again);
    assert_eq!(audit_again.injected, audit.injected, "the second time");
    assert_eq!(audit_again.pulled, audit.pulled, "the second time");
    let warnings = again["warnings"].to_string();
    assert!(!warnings.contains("replace"), "the second time: {warnings}");
}

/// No manager before the one that served a request would have served it, asked for that alone.
fn first_manager_wins(
    case: &Case,
    audit: &Audit<'_>,
    requests: &[SecretRequest],
    policy: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) {
    let managers = case.settings["managers"].as_array().cloned().unwrap_or_default();
    for (entry, request) in audit.served(requests) {
        nobody_before_serves(case, &managers, entry, request, policy);
    }
}

fn nobody_before_serves(
    case: &Case,
    managers: &[Value],
    entry: &Value,
    request: &SecretRequest,
    policy: &mut dyn FnMut(&[u8]) -> Vec<u8>,
) {
    let name = |manager: &Value| manager["name"].as_str().or(manager["type"].as_str()).map(str::to_owned);
    let served = managers
        .iter()
        .position(|manager| name(manager).as_deref() == entry["manager"].as_str());
    let served = served.expect("a manager of the settings");
    // A manager passes over a path for an optional file. Alone, the request is not optional, so that nobody's is a rejection.
    if served == 0 || (request.optional == Some(true) && !request.path.is_empty()) {
        return;
    }
    let mut settings = case.settings.clone();
    settings["managers"] = json!(managers[..served]);
    settings["onUnserved"] = json!("reject");
    giving::leave_out("defaults", &mut settings);
    if matches!(request.origin, Origin::Default { .. }) {
        // The operator's own list is not matched with the rules.
        giving::leave_out("access", &mut settings);
    }
    let mut pod = case.pod.clone();
    // A manager may go by the others of the Pod's annotations.
    let mut annotations = pod["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    annotations.retain(|key, _| !key.starts_with(FLYTE_PREFIX));
    let mut item = json!({
        "group": request.group,
        "groupVersion": request.group_version,
        "key": request.key,
        "field": request.field,
        "mountRequirement": request.mount.name(),
        "envVar": request.env_var,
        "path": request.path,
        "mode": request.mode.map(|mode| format!("{mode:04o}")),
    });
    if let Containers::Named(names) = &request.containers {
        item["containers"] = json!(names);
    }
    annotations.insert(JSON_ANNOTATION.to_owned(), json!(json!([item]).to_string()));
    pod["metadata"]["annotations"] = Value::Object(annotations);
    let alone = answer(&policy(&super::case::payload(&pod, &settings)));
    assert_eq!(
        alone["accepted"],
        json!(false),
        "a manager before {} serves {request:?}: {alone}",
        entry["manager"]
    );
    // A manager that a rule of `access` keeps from being asked is passed over; one that denies the secret is not.
    let barred = alone["message"]
        .as_str()
        .is_some_and(|text| text.contains("the policy's setting access"));
    assert!(alone["code"] == 422 || barred && alone["code"] == 403, "{alone}");
}

/// What the audit annotations say.
struct Audit<'a> {
    /// The secrets.
    injected: Vec<Value>,
    /// The names of the Secrets for the Pod's images.
    pulled: Vec<String>,
    /// Who asks for what nobody serves.
    unserved: Vec<&'a str>,
    status: Option<&'a Value>,
}

impl<'a> Audit<'a> {
    fn of(answer: &'a Value) -> Self {
        let text = |name: &str| answer["audit_annotations"][name].as_str();
        let entries: Vec<Value> = serde_json::from_str(text("injected").unwrap_or("[]")).expect("a list");
        let (pulled, injected): (Vec<Value>, Vec<Value>) = entries
            .into_iter()
            .partition(|entry| entry["imagePullSecret"].is_string());
        let name = |entry: &Value| entry["imagePullSecret"].as_str().map(str::to_owned);
        Self {
            injected,
            pulled: pulled.iter().filter_map(name).collect(),
            unserved: text("unserved")
                .into_iter()
                .flat_map(|origins| origins.split("; "))
                .collect(),
            status: answer["mutated_object"]["metadata"]["annotations"].get("secret-injector/status"),
        }
    }

    fn is_empty(&self) -> bool {
        self.injected.is_empty() && self.pulled.is_empty()
    }

    /// What the Pod itself asks for.
    fn own(&self) -> Vec<&Value> {
        let own = self.injected.iter().filter(|entry| entry["origin"] != "default");
        own.collect()
    }

    /// How many requests of the Pod itself it has.
    fn own_count(&self) -> usize {
        let unserved = self.unserved.iter().filter(|origin| origin.starts_with("annotation "));
        self.own().len() + unserved.count()
    }

    /// Each entry with its request.
    fn served<'r>(&self, requests: &'r [SecretRequest]) -> Vec<(&Value, &'r SecretRequest)> {
        let request = |entry: &Value| {
            let wanted = entry["request"].as_str();
            requests.iter().find(|request| wanted == Some(&request.origin.place()))
        };
        self.injected
            .iter()
            .map(|entry| (entry, request(entry).expect("the entry's request")))
            .collect()
    }

    /// Fails unless what was added at `place` follows from what the audit annotation says.
    fn explains(&self, place: &str, value: &Value) {
        let says = |field: &str, wanted: &str| {
            self.injected.iter().any(|entry| match &entry[field] {
                Value::String(text) => text == wanted,
                Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
                _ => false,
            })
        };
        let managed = |managers: &[&str]| {
            let known = |entry: &Value| {
                entry["manager"]
                    .as_str()
                    .is_some_and(|manager| managers.contains(&manager))
            };
            self.injected.iter().any(known)
        };
        let name = value["name"].as_str().unwrap_or_default();
        let explained = match place {
            "/spec/containers/*/env" | "/spec/initContainers/*/env" => {
                COMMON_VARIABLES.contains(&name) || says("env", name)
            }
            "/spec/containers/*/volumeMounts" | "/spec/initContainers/*/volumeMounts" => {
                let path = value["mountPath"].as_str().unwrap_or_default();
                managed(&["template"])
                    || self.injected.iter().any(|entry| {
                        let is_at = |file: &str| file == path || file.starts_with(&format!("{path}/"));
                        entry["path"] == path || entry["file"].as_str().is_some_and(is_at)
                    })
                    || managed(&["csi"])
            }
            "/spec/containers/*/envFrom" | "/spec/initContainers/*/envFrom" => {
                says("env", &format!("{}*", value["prefix"].as_str().unwrap_or_default()))
            }
            "/spec/volumes" => !self.injected.is_empty(),
            "/spec/initContainers" => managed(&["aws", "gcp", "azure", "confidant", "flyte", "template"]),
            "/spec/imagePullSecrets" => managed(&["flyte"]) || self.pulled.iter().any(|pulled| pulled == name),
            "/metadata/annotations" => managed(&["vault", "template"]) || Some(value) == self.status,
            _ => false,
        };
        assert!(
            explained,
            "the audit annotation does not explain {place}: {value}\n{:?}",
            self.injected
        );
    }
}

type Additions = Vec<(String, Value)>;

/// What `after` has beyond `before`, place by place.
///
/// # Errors
/// What of `before` is lost or changed.
fn added(before: &Value, after: &Value, place: &str, warnings: &[&str]) -> Result<Additions, String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) if place == "/metadata/annotations" => {
            added_annotations(before, after, place, warnings)
        }
        (Value::Object(before), Value::Object(after)) => {
            let mut additions = Vec::new();
            for (name, after) in after {
                let before = before.get(name).unwrap_or(&Value::Null);
                additions.extend(added(before, after, &format!("{place}/{name}"), warnings)?);
            }
            match before.keys().find(|name| !after.contains_key(*name)) {
                Some(name) => Err(format!("{place}/{name}")),
                None => Ok(additions),
            }
        }
        (Value::Array(before), Value::Array(after)) if place.ends_with("/env") => {
            added_variables(before, after, place, warnings)
        }
        (Value::Array(before), Value::Array(after)) if is_list(place) => added_items(before, after, place, warnings),
        (Value::Null, Value::Array(items)) if is_list(place) && !items.is_empty() => {
            added(&json!([]), after, place, warnings)
        }
        (Value::Null, Value::Object(_)) if matches!(place, "/metadata/annotations" | "/metadata/labels") => {
            added(&json!({}), after, place, warnings)
        }
        _ if before == after => Ok(Vec::new()),
        _ => Err(format!("{place}: {before} became {after}")),
    }
}

fn is_list(place: &str) -> bool {
    let spec = [
        "/spec/volumes",
        "/spec/initContainers",
        "/spec/containers",
        "/spec/imagePullSecrets",
    ];
    let container = |place: &str| matches!(place, "/spec/initContainers/*" | "/spec/containers/*");
    spec.contains(&place)
        || ["/env", "/envFrom", "/volumeMounts"]
            .iter()
            .any(|list| place.strip_suffix(list).is_some_and(container))
}

/// The Pod's own items keep their order; others may stand between them.
fn added_items(before: &[Value], after: &[Value], place: &str, warnings: &[&str]) -> Result<Additions, String> {
    let mut additions = Vec::new();
    let mut rest = before.iter().peekable();
    for item in after {
        let place = format!("{place}/*");
        match rest.peek() {
            Some(own) if own["name"] == item["name"] && own["mountPath"] == item["mountPath"] => {
                additions.extend(added(own, item, &place, warnings)?);
                rest.next();
            }
            _ => additions.push((place.trim_end_matches("/*").to_owned(), item.clone())),
        }
    }
    match rest.next() {
        Some(own) => Err(format!("{place}: {own}")),
        None => Ok(additions),
    }
}

/// Ours stand first; one of the Pod's own that says the same may stand among them, and one that says something else is
/// replaced with a warning.
fn added_variables(before: &[Value], after: &[Value], place: &str, warnings: &[&str]) -> Result<Additions, String> {
    for own in before {
        let name = own["name"].as_str().unwrap_or_default();
        let warned = || {
            warnings
                .iter()
                .any(|warning| warning.contains(&format!("sets the variable {name:?} itself")))
        };
        if !after.contains(own) && !warned() {
            return Err(format!("{place}: {own}"));
        }
    }
    let kept: Vec<&Value> = after.iter().filter(|variable| before.contains(variable)).collect();
    let ours = after.iter().take_while(|variable| !before.contains(variable)).count();
    let own_order: Vec<&Value> = before.iter().filter(|variable| after.contains(variable)).collect();
    let moved = after.len() > before.len() || ours > 0;
    if !moved && kept != own_order {
        return Err(format!("{place}: the order of {own_order:?}"));
    }
    Ok(after
        .iter()
        .filter(|variable| !before.contains(variable))
        .map(|variable| (place.to_owned(), variable.clone()))
        .collect())
}

fn added_annotations(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    place: &str,
    warnings: &[&str],
) -> Result<Additions, String> {
    for (key, own) in before {
        let replaced = key == "secret-injector/status"
            || warnings
                .iter()
                .any(|warning| warning.starts_with(&format!("the Pod's annotation {key} was replaced")));
        if after.get(key) != Some(own) && !replaced {
            return Err(format!("{place}/{key}"));
        }
    }
    let additions = after.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    Ok(additions.map(|(_, value)| (place.to_owned(), value.clone())).collect())
}

/// What the API server would find wrong with the Pod, as far as the policy could be the cause.
fn problems(pod: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let items = |object: &Value, list: &str| object[list].as_array().cloned().unwrap_or_default();
    let mut volumes = BTreeSet::new();
    for volume in items(&pod["spec"], "volumes") {
        let name = volume["name"].as_str().unwrap_or_default().to_owned();
        if !names::is_dns_label(&name) {
            problems.push(format!("the volume's name {name:?}"));
        }
        if !volumes.insert(name.clone()) {
            problems.push(format!("two volumes {name:?}"));
        }
        for item in [&volume["secret"], &volume["configMap"]]
            .into_iter()
            .flat_map(|source| items(source, "items"))
        {
            let path = item["path"].as_str().unwrap_or_default();
            if path.is_empty() || path.starts_with('/') || path.split('/').any(|part| part == "..") {
                problems.push(format!("the path {path:?} in the volume {name:?}"));
            }
        }
    }
    // The Vault Agent injector adds its volume, and mounts its volumes there.
    let annotations = &pod["metadata"]["annotations"];
    if annotations["vault.hashicorp.com/agent-inject"] == "true" {
        volumes.insert("vault-secrets".to_owned());
    }
    let agents_paths: BTreeSet<&str> = annotations
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with("vault.hashicorp.com/secret-volume-path"))
        .filter_map(|(_, path)| path.as_str())
        .filter(|_| annotations["vault.hashicorp.com/agent-inject"] == "true")
        .collect();
    let served = annotations["vault.hashicorp.com/agent-inject-containers"].as_str();
    let mut container_names = BTreeSet::new();
    for list in CONTAINER_LISTS {
        for container in items(&pod["spec"], list) {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            if !names::is_dns_label(&name) {
                problems.push(format!("the container's name {name:?}"));
            }
            if !container_names.insert(name.clone()) {
                problems.push(format!("two containers {name:?}"));
            }
            let mut paths = BTreeSet::new();
            for mount in items(&container, "volumeMounts") {
                let path = mount["mountPath"].as_str().unwrap_or_default().to_owned();
                // The API server takes a ':' too; docs/how-to/use-aws.md says which runtimes do not.
                if path.is_empty() {
                    problems.push(format!("{name}: the path {path:?}"));
                }
                let is_served = served.is_none_or(|names| names.split(',').any(|served| served == name));
                if agents_paths.contains(path.as_str()) && (is_served || list == "initContainers") {
                    problems.push(format!("{name}: the agent's path {path:?} is taken"));
                }
                if !paths.insert(path.clone()) {
                    problems.push(format!("{name}: two mounts at {path:?}"));
                }
                if !mount["name"].as_str().is_some_and(|volume| volumes.contains(volume)) {
                    problems.push(format!("{name}: a mount of the missing volume {}", mount["name"]));
                }
            }
            for variable in items(&container, "env") {
                if !variable["name"].as_str().is_some_and(names::is_variable) {
                    problems.push(format!("{name}: the variable {}", variable["name"]));
                }
                let source = &variable["valueFrom"];
                if variable.get("value").is_some_and(|value| value != "") && source.is_object() {
                    problems.push(format!(
                        "{name}: the variable {} has value and valueFrom",
                        variable["name"]
                    ));
                }
                if let Some(volume) = source["fileKeyRef"]["volumeName"].as_str()
                    && !volumes.contains(volume)
                {
                    problems.push(format!("{name}: a variable of the missing volume {volume:?}"));
                }
            }
        }
    }
    for (key, value) in pod["metadata"]["annotations"].as_object().into_iter().flatten() {
        if !value.is_string() {
            problems.push(format!("the annotation {key}"));
        }
    }
    problems
}

/// Fails unless each container that the request is for has its variables, and its file at each of its paths where that is a
/// Secret's. A container that has its own goes without a default.
fn reaches(entry: &Value, request: &SecretRequest, (before, after): (&Value, &Value), warnings: &[&str]) {
    for list in CONTAINER_LISTS {
        for own in before["spec"][list].as_array().into_iter().flatten() {
            let name = own["name"].as_str().unwrap_or_default();
            if !matches!(&request.containers, Containers::All) && !request.containers.includes(name) {
                continue;
            }
            if goes_without(request, Some(name), warnings) {
                continue;
            }
            let containers = after["spec"][list].as_array().into_iter().flatten();
            let container = containers
                .into_iter()
                .find(|container| container["name"] == own["name"]);
            let container = container.expect("the Pod's own container");
            for variable in entry["env"].as_array().into_iter().flatten() {
                let has = |known: &Value| known["name"] == *variable;
                // The keys of a whole Secret, behind a prefix.
                let is_source = |source: &Value| {
                    let prefix = variable.as_str().and_then(|names| names.strip_suffix('*'));
                    source.get("secretRef").is_some() && prefix == Some(source["prefix"].as_str().unwrap_or_default())
                };
                let sources = container["envFrom"].as_array().into_iter().flatten();
                assert!(
                    container["env"].as_array().into_iter().flatten().any(has) || sources.into_iter().any(is_source),
                    "{name} goes without {variable}: {entry}"
                );
            }
            if entry["manager"] != "kubernetes" {
                continue;
            }
            for file in [&entry["file"], &entry["path"]].into_iter().filter_map(Value::as_str) {
                assert!(
                    shows(container, &after["spec"], file),
                    "{name} has no file {file}: {entry}\n{container}"
                );
            }
        }
    }
}

/// Whether the container finds a key of a Secret in `file`: the mount closest to it has that file.
fn shows(container: &Value, spec: &Value, file: &str) -> bool {
    let path = |mount: &Value| {
        mount["mountPath"]
            .as_str()
            .unwrap_or_default()
            .trim_end_matches('/')
            .to_owned()
    };
    let below = |mount: &&Value| file == path(mount) || file.starts_with(&format!("{}/", path(mount)));
    let mounts = container["volumeMounts"].as_array().into_iter().flatten().filter(below);
    let Some(mount) = mounts.max_by_key(|mount| path(mount).len()) else {
        return false;
    };
    let inside = file
        .strip_prefix(&path(mount))
        .unwrap_or_default()
        .trim_start_matches('/');
    let inside = match mount["subPath"].as_str() {
        Some(sub_path) if inside.is_empty() => sub_path.to_owned(),
        Some(sub_path) => format!("{sub_path}/{inside}"),
        None => inside.to_owned(),
    };
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let Some(volume) = volumes.into_iter().find(|volume| volume["name"] == mount["name"]) else {
        return false;
    };
    let projected = volume["projected"]["sources"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|source| &source["secret"]);
    let has = |secret: &Value| {
        if secret["items"].is_null() {
            return secret.is_object() && !inside.contains('/');
        }
        let items = secret["items"].as_array().into_iter().flatten();
        items.into_iter().any(|item| item["path"].as_str() == Some(&inside))
    };
    has(&volume["secret"]) || projected.into_iter().any(has)
}
