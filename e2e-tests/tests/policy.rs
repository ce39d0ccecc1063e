//! What the policy does, case by case: a Pod in, a Pod or a rejection out, on the real module.
//!
//! The cases are YAML documents in `tests/policy/*.yaml`, each with
//!
//! - `case`: what it shows;
//! - `settings`: the policy's; `statusAnnotation` is off unless given;
//! - `cluster`: Kubernetes objects that the host knows;
//! - `grants`: what the host lets the policy ask for; all that the policy can use when absent;
//! - `request`: fields of the AdmissionRequest that differ from those of a Pod's creation by `alice`;
//! - `pod`: the Pod;
//! - `requests`: what the Pod asks for in `secret-injector/requests`, for short;
//! - `expect`: what comes out, see [`Expect`];
//! - `each`: rows of a table, each a case whose fields replace those above.
//!
//! Each Pod that comes out goes in again and must come out unchanged and without a warning about a replacement.

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::review::{AdmissionRequest, Review};
use e2e_tests::{cases, modules, yaml};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Case {
    case: String,
    #[serde(default)]
    settings: Value,
    #[serde(default)]
    cluster: Vec<Value>,
    grants: Option<Value>,
    #[serde(default)]
    request: Value,
    pod: Value,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Expect {
    /// The whole Pod.
    pod: Option<Value>,
    /// Parts of the Pod.
    #[serde(default)]
    part: Vec<Part>,
    /// Whether the Pod comes out as it went in.
    #[serde(default)]
    unchanged: bool,
    rejected: Option<Rejected>,
    /// Parts of the warnings, of which there have to be as many.
    #[serde(default)]
    warnings: Vec<String>,
    audit_annotations: Option<Value>,
    /// The number of calls to the host.
    host_calls: Option<usize>,
    /// What no call to the host names.
    #[serde(default)]
    not_asked_for: Vec<String>,
}

/// What is at a JSON pointer in the Pod: the value, where null stands for none, or texts that its JSON or its string has or has not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    at: String,
    #[serde(default)]
    is: Value,
    #[serde(default)]
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
}

impl Part {
    fn fits(&self, pod: &Value) -> bool {
        let found = pod.pointer(&self.at).unwrap_or(&Value::Null);
        if self.has.is_empty() && self.lacks.is_empty() {
            return *found == self.is;
        }
        let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
        self.has.iter().all(|part| text.contains(part)) && !self.lacks.iter().any(|part| text.contains(part))
    }

    fn describe(&self) -> String {
        let Self { at, is, has, lacks } = self;
        match (has.is_empty(), lacks.is_empty()) {
            (true, true) => format!("{is} at {at}"),
            _ => format!("{has:?} and not {lacks:?} at {at}"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejected {
    code: u16,
    /// Parts of the message.
    #[serde(default)]
    message: Vec<String>,
    /// What the message does not have.
    #[serde(default)]
    without: Vec<String>,
}

#[test]
fn cases() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let all = cases::read();
    let mut failures = Vec::new();
    for (file, value) in &all {
        let name = value["case"].as_str().unwrap_or("a case without a name");
        let outcome = serde_json::from_value(value.clone())
            .map_err(|error| error.to_string())
            .and_then(|case: Case| check(&policy, &case));
        if let Err(problem) = outcome {
            failures.push(format!("{file}: {name}\n{problem}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n\n{}",
        failures.len(),
        all.len(),
        failures.join("\n\n")
    );
}

/// What stands in every Secret: as it is, in base64, and as base64 that is none.
const CANARIES: [(&str, &str); 3] = [
    ("stringData", "CANARY-IN-A-SECRET"),
    ("data", "Q0FOQVJZLUlOLUEtU0VDUkVU/w=="),
    ("data", "CANARY-IN-A-SECRET, no base64"),
];

#[test]
fn no_value_of_a_secret_leaves_the_policy_but_into_the_pods_spec() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let (mut evaluations, mut reads) = (0, 0);
    for (field, canary) in CANARIES {
        for (file, value) in cases::read() {
            let mut case: Case = serde_json::from_value(value).unwrap();
            for secret in case.cluster.iter_mut().filter(|object| object["kind"] == "Secret") {
                plant(secret, field, canary);
            }
            case.settings["statusAnnotation"] = json!(true);
            let Ok(host) = host(&case) else { continue };
            let evaluation = policy.validate(&host, &request(&case).unwrap(), &case.settings);
            evaluations += 1;
            reads += evaluation.calls.len();
            let mut said = json!({
                "response": evaluation.response,
                "failure": evaluation.failure,
                "log": format!("{:?}", evaluation.log),
                "object": evaluation.mutated_object,
            });
            // The patch holds the spec; the object beside it is looked at without its spec.
            said["response"]["patch"] = Value::Null;
            said["object"]["spec"] = Value::Null;
            for text in ["CANARY", "Q0FOQVJZ"] {
                assert!(!said.to_string().contains(text), "{file}: {}: {said}", case.case);
            }
        }
    }
    assert!(
        evaluations > 100 && reads > 30,
        "{evaluations} evaluations, {reads} calls to the host"
    );
}

/// Puts `canary` under every key of a Secret.
fn plant(secret: &mut Value, field: &str, canary: &str) {
    let keys: Vec<String> = ["data", "stringData"]
        .iter()
        .filter_map(|field| secret[field].as_object())
        .flat_map(|data| data.keys().cloned())
        .collect();
    secret["data"] = json!({});
    secret["stringData"] = json!({});
    for key in keys {
        secret[field][key] = json!(canary);
    }
}

fn check(policy: &PolicyModule, case: &Case) -> Result<(), String> {
    let host = host(case)?;
    let request = request(case)?;
    let settings = settings(case);
    let valid = policy
        .validate_settings(&host, &settings)
        .map_err(|error| error.to_string())?;
    if !valid.valid {
        return Err(format!(
            "the settings are not valid: {}",
            valid.message.unwrap_or_default()
        ));
    }
    let evaluation = policy.validate(&host, &request, &settings);
    let response = &evaluation.response;
    let got = || {
        format!(
            "got: allowed {}, code {:?}, {}",
            response.allowed,
            response.code(),
            response.message()
        )
    };
    if let Some(failure) = &evaluation.failure {
        return Err(format!("the policy failed: {failure}"));
    }
    if let Some(rejected) = &case.expect.rejected {
        if response.allowed || response.code() != Some(rejected.code) {
            return Err(format!("expected a rejection with code {}, {}", rejected.code, got()));
        }
        for part in &rejected.message {
            if !response.message().contains(part) {
                return Err(format!("expected the message to contain {part:?}, {}", got()));
            }
        }
        for part in &rejected.without {
            if response.message().contains(part) {
                return Err(format!("expected the message not to contain {part:?}, {}", got()));
            }
        }
        if response.message().lines().count() > 24 {
            return Err(format!("the message is longer than a screen, {}", got()));
        }
    } else if !response.allowed {
        return Err(format!("expected the Pod to be admitted, {}", got()));
    }
    let object = request.object.clone().unwrap_or_default();
    let out = response.patched(&object).map_err(|error| error.to_string())?;
    let expected = if case.expect.unchanged {
        Some(&object)
    } else {
        case.expect.pod.as_ref()
    };
    if let Some(expected) = expected
        && out != *expected
    {
        return Err(format!(
            "expected\n{}\ngot\n{}",
            yaml::to_text(expected, None).unwrap_or_default(),
            yaml::to_text(&out, None).unwrap_or_default()
        ));
    }
    for part in &case.expect.part {
        if !part.fits(&out) {
            let found = out.pointer(&part.at).unwrap_or(&Value::Null);
            return Err(format!("expected {}, got {found}", part.describe()));
        }
    }
    if let Some(expected) = &case.expect.audit_annotations {
        let got = json!(response.audit_annotations);
        if got != *expected {
            return Err(format!("expected the audit annotations {expected}, got {got}"));
        }
    }
    let warnings: Vec<&str> = response.warnings.iter().flatten().map(String::as_str).collect();
    if let Some(warning) = warnings.iter().find(|warning| warning.contains(char::is_control)) {
        return Err(format!(
            "the API server drops a warning with a control character: {warning:?}"
        ));
    }
    if warnings.len() != case.expect.warnings.len()
        || case
            .expect
            .warnings
            .iter()
            .any(|part| !warnings.iter().any(|warning| warning.contains(part.as_str())))
    {
        return Err(format!(
            "expected the warnings {:?}, got {warnings:#?}",
            case.expect.warnings
        ));
    }
    if let Some(calls) = case.expect.host_calls
        && evaluation.calls.len() != calls
    {
        return Err(format!("expected {calls} host calls, got {:#?}", evaluation.calls));
    }
    let asked: Vec<_> = evaluation.calls.iter().map(|call| &call.request).collect();
    for text in &case.expect.not_asked_for {
        if format!("{asked:?}").contains(text.as_str()) {
            return Err(format!("expected no question about {text}, got {asked:#?}"));
        }
    }
    if response.allowed && evaluation.mutated_object.is_some() {
        let again = AdmissionRequest {
            object: Some(out.clone()),
            ..request
        };
        let second = policy.validate(&host, &again, &settings).response;
        if !second.allowed || second.patched(&out).map_err(|error| error.to_string())? != out {
            return Err(format!(
                "the second time: {:?} {}",
                second.json_patch(),
                second.message()
            ));
        }
        if let Some(warning) = second
            .warnings
            .iter()
            .flatten()
            .find(|warning| warning.contains("replace"))
        {
            return Err(format!("the second time there is the warning {warning:?}"));
        }
    }
    Ok(())
}

/// Managers whose init containers write files, and pairs of what a Pod asked for when it was injected and what its copy asks
/// for.
const COPIES: &str = r#"
- manager: {type: aws}
  pairs: [[[a, b], [a, c]], [[a, b], [b]], [[a], [a, {group: tls, key: ca.crt, mountRequirement: FILE}]]]
- manager: {type: aws, client: cli}
  pairs: [[[a, b], [a, c]], [[{key: a, mountRequirement: ENV_VAR, envVar: A}], [{key: b, mountRequirement: ENV_VAR, envVar: B}]], [[b], [{key: a, mountRequirement: ENV_VAR, envVar: A}, b]]]
- manager: {type: gcp}
  pairs: [[[a, b], [a, c]], [[{key: a, containers: [app]}, b], [a]], [[{key: a, optional: true}], [{key: a, field: f}]]]
- manager: {type: azure}
  pairs: [[[a, b], [a, c]]]
- manager: {type: confidant, url: "https://c", authKey: k, region: r, image: "c:1", authContext: {to: s}}
  pairs: [[[a, b], [a, c]]]
"#;

/// A copy of a Pod that was injected before comes out like the original, whatever it asks for now: nothing of the earlier
/// injection writes over the new files.
#[test]
fn an_earlier_injection_is_replaced() {
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    let host = Host::new(Cluster::from_yaml("").unwrap(), Grants::none());
    let inject = |pod: &Value, settings: &Value| {
        let request = Review::of_pod(pod.clone()).request;
        let response = policy.validate(&host, &request, settings).response;
        assert!(response.allowed, "{}", response.message());
        let out = response.patched(pod).unwrap();
        (out, response.warnings.unwrap_or_default())
    };
    let copies = yaml::to_json(&yaml::documents(COPIES).unwrap()[0]).unwrap();
    let mut pairs = 0;
    for copy in copies.as_array().unwrap() {
        let kind = &copy["manager"]["type"];
        let mut manager = copy["manager"].clone();
        manager["match"] = json!({"groups": ["g*", "arn:*", "https:*"]});
        for (index, pair) in copy["pairs"].as_array().unwrap().iter().enumerate() {
            let last = index == 0 && kind == "gcp" || index == 2 && !pair.to_string().contains("ENV_VAR");
            let settings = json!({
                "managers": [manager, {"type": "kubernetes"}],
                "envFiles": !last,
                "initContainers": if last { "last" } else { "first" },
            });
            let fresh = |requests: &Value| {
                let spec = json!({"containers": [{"name": "app", "image": "app:1"}, {"name": "other", "image": "o:1"}],
                    "initContainers": [{"name": "own", "image": "own:1"}]});
                with_requests(&json!({"metadata": {"name": "p"}, "spec": spec}), kind, requests)
            };
            let (first, _) = inject(&fresh(&pair[0]), &settings);
            let (copied, warnings) = inject(&with_requests(&first, kind, &pair[1]), &settings);
            let (expected, _) = inject(&fresh(&pair[1]), &settings);
            let show = |pod: &Value| yaml::to_text(pod, None).unwrap_or_default();
            assert_eq!(
                copied,
                expected,
                "{kind} {pair}: {}\nbut\n{}",
                show(&copied),
                show(&expected)
            );
            assert!(
                warnings
                    .iter()
                    .any(|warning| warning.contains("left of an earlier injection")),
                "{kind} {pair}: {warnings:?}"
            );
            let (again, warnings) = inject(&copied, &settings);
            assert_eq!((again, warnings.len()), (copied, 0), "{kind} {pair}: {warnings:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 11);
}

/// The Pod with other requests: of a manager's own secrets by their keys, or as they are.
fn with_requests(pod: &Value, kind: &Value, requests: &Value) -> Value {
    let request = |request: &Value| {
        let key = request.as_str().or(request["key"].as_str()).unwrap();
        let mut full = match kind.as_str() {
            Some("aws") => json!({"group": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"}),
            Some("azure") => json!({"group": format!("https://v.vault.azure.net/secrets/{key}")}),
            Some("gcp") => json!({"group": format!("g{key}"), "groupVersion": "1"}),
            _ => json!({"group": "g"}),
        };
        full["key"] = json!(key);
        full["mountRequirement"] = json!("FILE");
        for (field, value) in request.as_object().into_iter().flatten() {
            full[field] = value.clone();
        }
        full
    };
    let requests: Vec<Value> = requests.as_array().unwrap().iter().map(request).collect();
    let mut pod = pod.clone();
    pod["metadata"]["annotations"] = json!({"secret-injector/requests": json!(requests).to_string()});
    pod
}

fn host(case: &Case) -> Result<Host, String> {
    let documents: Vec<String> = case.cluster.iter().map(|object| format!("---\n{object}\n")).collect();
    let cluster = Cluster::from_yaml(&documents.concat()).map_err(|error| error.to_string())?;
    let grants = match &case.grants {
        Some(grants) => Grants::from_metadata(&grants.to_string()),
        None => Grants::all_of_the_policy(),
    };
    Ok(Host::new(cluster, grants.map_err(|error| error.to_string())?))
}

fn request(case: &Case) -> Result<AdmissionRequest, String> {
    let mut request = json!(Review::of_pod(case.pod.clone()).request);
    request["userInfo"] = json!({"username": "alice", "groups": ["developers", "system:authenticated"]});
    for (field, value) in case.request.as_object().into_iter().flatten() {
        request[field] = value.clone();
    }
    serde_json::from_value(request).map_err(|error| error.to_string())
}

fn settings(case: &Case) -> Value {
    let mut settings = if case.settings.is_null() {
        json!({})
    } else {
        case.settings.clone()
    };
    if settings.get("statusAnnotation").is_none() {
        settings["statusAnnotation"] = json!(false);
    }
    settings
}
