//! The host itself: does it do what Kubewarden's policy server does?

use std::{sync::Arc, time::Instant};

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::{
    capabilities::{Answer, Grants, Host, HostRequest, LogLine},
    cluster::Cluster,
    evaluation::ValidationResponse,
    host::{DEADLINE, HostError, PolicyModule},
    modules::{self, Baseline},
    protocol::{ResourceAttributes, SubjectAccessReview},
    rbac::{service_account_groups, service_account_user},
    render::{self, Color, Injected},
    requests::{self, Request},
    review::{AdmissionResponse, Review},
    session::{Recorder, Replay},
    yaml,
};
use kubewarden_policy_sdk::metadata::ProtocolVersion;
use serde_json::{Value, json};

const CLUSTER: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: team-a, labels: {app: db}}
stringData: {password: s3cr3t}
data: {user: YWRtaW4=}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: team-a}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web}
  spec: {containers: [{name: a, image: x}, {name: b, image: y}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: team-a}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [db]}
- {apiGroups: [""], resources: [pods/log], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: team-a}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: task}
- {kind: ServiceAccount, name: task, namespace: team-b}
- {kind: User, apiGroup: rbac.authorization.k8s.io, name: jane}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all-secrets}
rules:
- {apiGroups: [""], resources: [secrets], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: admin}
rules:
- {apiGroups: ["*"], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: workloads, namespace: team-c}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: all-secrets}
subjects:
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:serviceaccounts:team-c"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: admins}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects:
- {kind: Group, apiGroup: rbac.authorization.k8s.io, name: ops}
"#;

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: task
  namespace: team-a
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: busybox
    futureField: {kept: [1, 2.5]}
";

/// A policy that passes each call on to the host: the operation and payload as they are, to the namespace `kubernetes`.
/// It says the operation on the console first.
const FORWARDER: &str = r#"(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (import "wapc" "__guest_error" (func $fail (param i32 i32)))
  (import "wapc" "__host_call" (func $host (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__console_log" (func $log (param i32 i32)))
  (memory (export "memory") 4)
  (data (i32.const 0) "kubewarden")
  (data (i32.const 16) "kubernetes")
  (func (export "__guest_call") (param $op i32) (param $msg i32) (result i32)
    (call $request (i32.const 32) (i32.const 65536))
    (call $log (i32.const 32) (local.get $op))
    (if (result i32)
      (call $host (i32.const 0) (i32.const 10) (i32.const 16) (i32.const 10)
        (i32.const 32) (local.get $op) (i32.const 65536) (local.get $msg))
      (then
        (call $host_response (i32.const 131072))
        (call $respond (i32.const 131072) (call $host_response_len))
        (i32.const 1))
      (else
        (call $host_error (i32.const 131072))
        (call $fail (i32.const 131072) (call $host_error_len))
        (i32.const 0)))))"#;

const TRAP: &str = r#"(module (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) unreachable))"#;
const ENDLESS: &str = r#"(module (memory (export "memory") 1)
  (func (export "__guest_call") (param i32 i32) (result i32) (loop $l (br $l)) unreachable))"#;
const ENDLESS_START: &str = r#"(module (memory (export "memory") 1)
  (func (export "wapc_init") (loop $l (br $l)))
  (func (export "__guest_call") (param i32 i32) (result i32) (i32.const 1)))"#;
const GROWS_BY_SEVEN: &str = r#"(module
  (import "wapc" "__guest_response" (func $respond (param i32 i32)))
  (memory (export "memory") 3)
  (func (export "__guest_call") (param i32 i32) (result i32)
    (if (i32.eq (memory.grow (i32.const 7)) (i32.const -1)) (then unreachable))
    (call $respond (i32.const 0) (i32.const 4))
    (i32.const 1)))"#;

fn wat(text: &str) -> PolicyModule {
    PolicyModule::new(&wat::parse_str(text).unwrap()).unwrap()
}

fn baseline(baseline: Baseline) -> PolicyModule {
    PolicyModule::from_file(modules::baseline(baseline).unwrap()).unwrap()
}

fn cluster() -> Cluster {
    Cluster::from_yaml(CLUSTER).unwrap()
}

fn all_grants() -> Grants {
    Grants::new([("v1", "Secret"), ("v1", "Pod"), ("v1", "Namespace")], ["kubernetes/*"]).unwrap()
}

fn get(kind: &str, namespace: Option<&str>, name: &str, masks: Option<&[&str]>) -> Value {
    json!({"api_version": "v1", "kind": kind, "name": name, "namespace": namespace,
           "disable_cache": false, "field_masks": masks})
}

#[test]
fn baselines_speak_the_protocol() {
    let host = Host::isolated();
    let review = Review::from_text(POD).unwrap();
    for kind in Baseline::ALL {
        let module = baseline(kind);
        assert_eq!(module.protocol_version(&host).unwrap(), ProtocolVersion::V1, "{kind:?}");
        assert!(module.validate_settings(&host, &json!({})).unwrap().valid, "{kind:?}");
        let evaluation = module.validate(&host, &review.request, &json!({}));
        assert!(evaluation.response.allowed, "{kind:?}: {:?}", evaluation.response);
        assert_eq!(evaluation.response.uid, review.request.uid);
        assert_eq!((evaluation.calls.len(), evaluation.failure), (0, None), "{kind:?}");
    }
}

#[test]
fn baselines_do_what_they_say() {
    let host = Host::isolated();
    let request = Review::from_text(POD).unwrap().request;
    let object = request.object.clone().unwrap();

    let noop = baseline(Baseline::Noop).validate(&host, &request, &json!({}));
    assert_eq!((noop.mutated_object, noop.response.patch), (None, None));

    let echo = baseline(Baseline::Echo).validate(&host, &request, &json!({}));
    assert_eq!(echo.mutated_object.as_ref(), Some(&object));
    assert_eq!((echo.response.patch, echo.response.patch_type), (None, None));

    let textbook = baseline(Baseline::Textbook).validate(&host, &request, &json!({}));
    assert_eq!(textbook.response.patch_type.as_deref(), Some("JSONPatch"));
    let patched = textbook.response.patched(&object).unwrap();
    assert_eq!(Some(&patched), textbook.mutated_object.as_ref());
    let container = &patched["spec"]["containers"][0];
    assert_eq!(container["env"][0]["valueFrom"]["secretKeyRef"]["key"], "key");
    assert_eq!(
        container["futureField"],
        Value::Null,
        "typed structs lose what they do not know"
    );
}

#[test]
fn failures_of_the_guest_are_rejections_with_code_500() {
    let request = Review::from_text(POD).unwrap().request;
    for (name, module, message) in [
        ("trap", TRAP, "internal server error: Guest call failure: "),
        (
            "error",
            FORWARDER,
            "internal server error: Guest call failure: unknown operation: validate",
        ),
        (
            "deadline",
            ENDLESS,
            "internal server error: Guest call failure: guest code interrupted, execution deadline exceeded",
        ),
        ("start", ENDLESS_START, "internal server error: Initialization failed: "),
        (
            "answer",
            GROWS_BY_SEVEN,
            "internal server error: invalid response from policy: ",
        ),
    ] {
        let started = Instant::now();
        let evaluation = wat(module).validate(&Host::isolated(), &request, &json!({}));
        assert!(!evaluation.response.allowed, "{name}");
        assert_eq!(evaluation.response.code(), Some(500), "{name}");
        let said = evaluation.response.message();
        assert!(said.starts_with(message), "{name}: {said}");
        assert!(evaluation.failure.is_some(), "{name}");
        // Far more than the deadline: a busy machine is no failure, an endless loop is.
        assert!(started.elapsed() < 15 * DEADLINE, "{name}");
    }
}

#[test]
fn any_bytes_may_be_sent() {
    let noop = baseline(Baseline::Noop);
    for payload in [&b""[..], b"\0\xff", b"{", &[b'x'; 3 << 20]] {
        assert!(noop.call(&Host::isolated(), "validate", payload).is_ok());
        let echoed = baseline(Baseline::Echo).call(&Host::isolated(), "validate", payload);
        assert!(matches!(echoed, Err(HostError::Guest(_))));
    }
    assert!(noop.call(&Host::isolated(), "no such operation", b"").is_err());
}

#[test]
fn peak_memory_is_what_the_guest_grew_to() {
    let host = Host::isolated();
    let peak = |text: &str| wat(text).peak_memory(&host, "any", b"").unwrap();
    assert_eq!(peak(GROWS_BY_SEVEN), 10 * 65536);

    let large = vec![b' '; 4 << 20];
    let noop = baseline(Baseline::Noop).peak_memory(&host, "validate", &large).unwrap();
    assert!(noop > large.len() && noop < 3 * large.len(), "{noop}");
}

#[test]
fn the_host_answers_what_is_granted() {
    // Masks leave type and metadata alone.
    let secret = |data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "data": data,
               "metadata": {"name": "db", "namespace": "team-a", "labels": {"app": "db"}}})
    };
    let containers = Some(&["spec.containers.image"][..]);
    let cases = [
        (
            "stringData is data",
            get("Secret", Some("team-a"), "db", Some(&["data"])),
            Ok(secret(
                json!({"user": "YWRtaW4=", "password": STANDARD.encode("s3cr3t")}),
            )),
        ),
        (
            "a list is looked through, and the default namespace is filled in",
            get("Pod", Some("default"), "web", containers),
            Ok(
                json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"},
                      "spec": {"containers": [{"image": "x"}, {"image": "y"}]}}),
            ),
        ),
        (
            "no masks, and no namespace",
            get("Namespace", None, "team-a", None),
            Ok(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}})),
        ),
        (
            "a dot in a mask separates",
            get(
                "Secret",
                Some("team-a"),
                "db",
                Some(&["data.user.x", "metadata.labels.app"]),
            ),
            Ok(secret(json!({"user": "YWRtaW4="}))),
        ),
        (
            "missing",
            get("Secret", Some("ns"), "x", None),
            Err("Callback evaluation failure: Cannot find v1/Secret named 'x' inside of namespace 'Some(\"ns\")'"),
        ),
        (
            "without a namespace",
            get("Secret", None, "db", None),
            Err("Callback evaluation failure: Resource v1/Secret is namespaced, but no namespace was provided"),
        ),
        (
            "a kind that is not granted",
            get("ConfigMap", Some("team-a"), "x", None),
            Err(
                "Policy has not been granted access to Kubernetes v1/ConfigMap resources. The violation has been \
                 reported.",
            ),
        ),
    ];
    let forwarder = wat(FORWARDER);
    let host = Host::new(cluster(), all_grants());
    for (name, payload, expected) in cases {
        let answer = forwarder.call(&host, "get_resource", payload.to_string().as_bytes());
        match (answer, expected) {
            (Ok(answer), Ok(expected)) => {
                assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap(), expected, "{name}");
            }
            (Err(error), Err(expected)) => {
                assert_eq!(error.to_string(), format!("Guest call failure: {expected}"), "{name}")
            }
            (answer, expected) => panic!("{name}: expected {expected:?}, got {answer:?}"),
        }
    }
}

#[test]
fn the_host_refuses_capabilities_that_are_not_listed() {
    let get = get("Secret", Some("team-a"), "db", None).to_string();
    let can_i = json!({"subject_access_review": review("jane", &[], "get", Some("team-a"), "secrets", Some("db")),
                       "disable_cache": true})
    .to_string();
    let denied = |path: &str| {
        Err(format!(
            "Guest call failure: Policy has not been granted access to the '{path}' host capability. The violation \
             has been reported."
        ))
    };
    for (granted, operation, payload, expected) in [
        (&["*"][..], "get_resource", &get, Ok(())),
        (&["kubernetes/*"], "can_i", &can_i, Ok(())),
        (&["kubernetes/can_i"], "can_i", &can_i, Ok(())),
        (
            &["kubernetes/can_i"],
            "get_resource",
            &get,
            denied("kubernetes/get_resource"),
        ),
        (
            &["kubernetes/get_resource", "oci/*"],
            "can_i",
            &can_i,
            denied("kubernetes/can_i"),
        ),
        (&[], "get_resource", &get, denied("kubernetes/get_resource")),
        (
            &["*"],
            "list_resources_all",
            &get,
            Err("Guest call failure: unknown operation: list_resources_all".to_owned()),
        ),
    ] {
        let grants = Grants::new([("v1", "Secret")], granted.iter().copied()).unwrap();
        let instance = wat(FORWARDER).instantiate(&Host::new(cluster(), grants)).unwrap();
        let answer = instance.call(operation, payload.as_bytes());
        assert_eq!(
            answer.map(drop).map_err(|error| error.to_string()),
            expected,
            "{granted:?} {operation}"
        );
        let (calls, log) = instance.take_journal();
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].operation, operation);
        assert_eq!(calls[0].answer.is_ok(), expected.is_ok());
        assert_eq!(log, [LogLine::Console(operation.to_owned())]);
    }
}

#[test]
fn grants_come_from_metadata_or_a_policy() {
    let fields = "contextAwareResources: [{apiVersion: v1, kind: Secret}]\nhostCapabilities: [kubernetes/get_resource]";
    let policy = format!(
        "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nspec:\n  {}",
        fields.replace('\n', "\n  ")
    );
    let payload = get("Secret", Some("team-a"), "db", None).to_string();
    for (metadata, granted) in [(fields, true), (&policy, true), ("mutating: true", false), ("", false)] {
        let host = Host::new(cluster(), Grants::from_metadata(metadata).unwrap());
        let answer = wat(FORWARDER).call(&host, "get_resource", payload.as_bytes());
        assert_eq!(answer.is_ok(), granted, "{metadata}: {answer:?}");
    }
    for pattern in ["", "kubernetes*", "*/get", "kubernetes/get_*", "kubernetes/*/*"] {
        assert!(Grants::new([], [pattern]).is_err(), "{pattern}");
    }
}

#[test]
fn an_outage_is_told_as_the_host_tells_it() {
    let request = HostRequest::KubernetesCanI {
        request: review("jane", &[], "get", None, "secrets", None),
        disable_cache: false,
    };
    for (outage, expected) in [
        ("", Err("ServiceError: client error (Connect)")),
        ("operations: [can_i]\nmessage: gone", Err("gone")),
        ("operations: [get_resource]", Ok(r#"{"allowed":false}"#)),
    ] {
        let cluster = Cluster::from_yaml(&format!("apiVersion: e2e-tests/v1\nkind: Outage\n{outage}")).unwrap();
        let answer = cluster.answer(&request);
        assert_eq!(answer.as_deref().map_err(String::as_str), expected, "{outage}");
    }
}

fn review(
    user: &str,
    groups: &[String],
    verb: &str,
    namespace: Option<&str>,
    resource: &str,
    name: Option<&str>,
) -> SubjectAccessReview {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    SubjectAccessReview {
        user: user.to_owned(),
        groups: Some(groups.to_vec()),
        resource_attributes: ResourceAttributes {
            group: Some(String::new()),
            name: name.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            resource: resource.to_owned(),
            subresource,
            verb: verb.to_owned(),
            version: None,
        },
    }
}

#[test]
fn rbac_is_that_of_kubernetes() {
    let task = |namespace| service_account_user(namespace, "task");
    let (task_a, task_b, task_c) = (task("team-a"), task("team-b"), task("team-c"));
    let groups_c = service_account_groups("team-c");
    let ops = ["ops".to_owned()];
    for (user, groups, verb, namespace, resource, name, allowed) in [
        // A subject without a namespace is of the binding's own.
        (
            task_a.as_str(),
            &[][..],
            "get",
            Some("team-a"),
            "secrets",
            Some("db"),
            true,
        ),
        (&task_b, &[], "get", Some("team-a"), "secrets", Some("db"), true),
        (&task_c, &[], "get", Some("team-a"), "secrets", Some("db"), false),
        ("jane", &[], "get", Some("team-a"), "secrets", Some("db"), true),
        ("jane", &[], "get", Some("team-a"), "secrets", Some("other"), false),
        ("jane", &[], "get", Some("team-a"), "secrets", None, false),
        ("jane", &[], "list", Some("team-a"), "secrets", Some("db"), false),
        ("jane", &[], "get", Some("team-b"), "secrets", Some("db"), false),
        ("jane", &[], "get", None, "secrets", Some("db"), false),
        ("jane", &[], "get", Some("team-a"), "configmaps", Some("db"), false),
        ("jane", &[], "delete", Some("team-a"), "pods/log", Some("x"), true),
        ("jane", &[], "delete", Some("team-a"), "pods", Some("x"), false),
        // A ClusterRole holds only in the namespace of the RoleBinding, and groups are not made up.
        (&task_c, &groups_c, "list", Some("team-c"), "secrets", None, true),
        (&task_c, &groups_c, "list", Some("team-a"), "secrets", None, false),
        (&task_c, &[], "list", Some("team-c"), "secrets", None, false),
        ("joe", &ops, "delete", Some("anywhere"), "pods/exec", Some("x"), true),
        ("joe", &ops, "get", None, "nodes", None, true),
        ("joe", &[], "get", None, "nodes", None, false),
    ] {
        let status = cluster().can_i(&review(user, groups, verb, namespace, resource, name));
        assert_eq!(
            status.allowed, allowed,
            "{user} {groups:?} {verb} {namespace:?} {resource} {name:?}: {status:?}"
        );
        assert_eq!(status.reason.is_some(), allowed);
    }
}

#[test]
fn a_session_is_replayed_as_it_was_recorded() {
    let forwarder = wat(FORWARDER);
    let calls = [
        ("get_resource", get("Secret", Some("team-a"), "db", Some(&["data"]))),
        ("get_resource", get("Secret", Some("team-a"), "missing", None)),
        (
            "can_i",
            json!({"subject_access_review": review("jane", &[], "get", Some("team-a"), "secrets", Some("db")),
                   "disable_cache": true}),
        ),
    ];
    let run = |answers: Arc<dyn Answer>| {
        let host = Host::new(answers, all_grants());
        let answer = |(operation, payload): &(&str, Value)| {
            let answer = forwarder.call(&host, operation, payload.to_string().as_bytes());
            answer.map_err(|error| error.to_string())
        };
        calls.iter().map(answer).collect::<Vec<_>>()
    };
    let recorder = Arc::new(Recorder::new(cluster()));
    let recorded = run(recorder.clone());
    let session = recorder.to_yaml().unwrap();
    assert!(
        session.starts_with(
            "- type: Exchange\n  request: |\n    !KubernetesGetResource\n    api_version: v1\n    kind: Secret\n    \
             name: db\n    namespace: team-a\n    disable_cache: false\n    field_masks:\n    - data\n  response:\n    \
             type: Success\n    payload: "
        ),
        "{session}"
    );
    assert!(
        session.contains("    type: Error\n    message: Cannot find v1/Secret named 'missing'"),
        "{session}"
    );

    let replay = Arc::new(Replay::from_yaml(&session).unwrap());
    assert_eq!(run(replay.clone()), recorded);
    assert_eq!(replay.remaining(), 0);
    let exhausted = run(replay);
    assert!(
        exhausted[0]
            .as_ref()
            .unwrap_err()
            .contains("the list of recorded responses is empty")
    );

    let replay = Replay::from_yaml(&session).unwrap();
    let other = HostRequest::KubernetesGetResource {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        name: "db".to_owned(),
        namespace: Some("team-a".to_owned()),
        disable_cache: true,
        field_masks: None,
    };
    assert!(
        replay
            .answer(&other)
            .unwrap_err()
            .starts_with("Replay error: unexpected request.")
    );
}

#[test]
fn a_session_of_kwctl_is_understood() {
    // No field masks: sessions of versions before they existed.
    let session = r#"
- type: Exchange
  request: |
    !KubernetesGetResource
    api_version: v1
    kind: Secret
    name: db
    namespace: team-a
    disable_cache: false
  response:
    type: Success
    payload: '{"data":{"user":"YWRtaW4="}}'
"#;
    let host = Host::new(Replay::from_yaml(session).unwrap(), all_grants());
    let payload = get("Secret", Some("team-a"), "db", None).to_string();
    let answer = wat(FORWARDER).call(&host, "get_resource", payload.as_bytes()).unwrap();
    assert_eq!(answer, br#"{"data":{"user":"YWRtaW4="}}"#);
}

#[test]
fn requests_are_read_in_every_form() {
    let pod = Review::from_text(POD).unwrap();
    let json_pod = pod.request.object.clone().unwrap();
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": pod.request});
    let request = serde_json::to_value(&pod.request).unwrap();
    for (name, text) in [
        ("JSON", json_pod.to_string()),
        ("AdmissionReview", review.to_string()),
        ("AdmissionReview in YAML", serde_norway(&review)),
        ("request", request.to_string()),
        (
            "beside others",
            format!("apiVersion: v1\nkind: Namespace\n---\n{POD}---\n"),
        ),
    ] {
        assert_eq!(Review::from_text(&text).unwrap().request, pod.request, "{name}");
    }
    assert_eq!(pod.request.namespace.as_deref(), Some("team-a"));
    assert_eq!(Review::of_pod(json!({})).request.namespace.as_deref(), Some("default"));
    for (text, message) in [
        (
            "kind: Service",
            "expected one Pod, AdmissionReview or admission request, found 0",
        ),
        (
            &format!("{POD}---\n{POD}"),
            "expected one Pod, AdmissionReview or admission request, found 2",
        ),
        (
            "kind: AdmissionReview\nrequest: {}",
            "the admission request: missing field `uid`",
        ),
        (
            "{",
            "the Pod is not JSON: EOF while parsing an object at line 1 column 1",
        ),
    ] {
        assert_eq!(Review::from_text(text).unwrap_err().to_string(), message);
    }
}

fn serde_norway(value: &Value) -> String {
    yaml::to_text(value, None).unwrap()
}

#[test]
fn the_payload_is_that_of_the_policy_server() {
    let mut request = Review::from_text(POD).unwrap().request;
    request.object = None;
    let payload = e2e_tests::host::validate_payload(&request, &json!({"a": 1})).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["settings"], json!({"a": 1}));
    assert_eq!(payload["request"]["userInfo"]["username"], "kubernetes-admin");
    assert_eq!(payload["request"]["requestKind"]["kind"], "Pod");
    assert_eq!(payload["request"].get("object"), None, "a null object is left out");
}

#[test]
fn responses_are_those_of_the_policy_server() {
    let request = Review::from_text(POD).unwrap().request;
    let answer = |mutated_object| ValidationResponse {
        accepted: true,
        message: None,
        code: None,
        mutated_object,
        audit_annotations: Some([("k".to_owned(), "v".to_owned())].into()),
        warnings: Some(vec!["careful".to_owned()]),
    };
    let mut mutated = request.object.clone().unwrap();
    mutated["metadata"]["labels"] = json!({"a": "b"});
    let response = AdmissionResponse::from_policy(&request.uid, request.object.as_ref(), &answer(Some(mutated)));
    let patch = json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]);
    assert_eq!(json!(response.json_patch()), patch);
    assert_eq!(
        response.to_review(),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {
            "uid": request.uid, "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch.to_string()),
            "auditAnnotations": {"k": "v"}, "warnings": ["careful"]}})
    );

    // The object is null on DELETE.
    let uid = request.uid.as_str();
    assert!(AdmissionResponse::from_policy(uid, None, &answer(None)).allowed);
    let refused = AdmissionResponse::from_policy(uid, None, &answer(Some(json!({}))));
    assert!(!refused.allowed && refused.message().starts_with("Incoming object is null"));

    let rejected = ValidationResponse {
        accepted: false,
        code: Some(403),
        message: Some("no".to_owned()),
        ..answer(None)
    };
    let rejected = AdmissionResponse::from_policy(uid, None, &rejected);
    assert_eq!(
        (rejected.allowed, rejected.code(), rejected.message()),
        (false, Some(403), "no")
    );
}

#[test]
fn the_preview_shows_the_difference_in_the_order_of_the_file() {
    let review = Review::from_text(POD).unwrap();
    let before = review.request.object.unwrap();
    let mut after = before.clone();
    after["spec"]["containers"][0]["env"] = json!([{"value": "v", "name": "A"}]);
    assert_eq!(
        render::diff(&before, &after, review.source.as_ref(), Color::Off).unwrap(),
        "--- Pod as requested\n+++ Pod as admitted\n@@ -12,3 +12,6 @@\n       kept:\n       - 1\n       - 2.5\n+    env:\n\
         +    - name: A\n+      value: v\n"
    );
    assert_eq!(
        render::diff(&before, &before, review.source.as_ref(), Color::On).unwrap(),
        ""
    );
    let colored = render::diff(&before, &after, review.source.as_ref(), Color::On).unwrap();
    assert!(colored.contains("\u{1b}[32m+    env:\u{1b}[0m\n"));
}

#[test]
fn the_preview_shows_the_secrets_as_a_table() {
    let secrets = render::injected(
        r#"[{"request": "flyte.secrets/s0", "secret": "db/password", "manager": "kubernetes", "env": ["_UNION_DB_PASSWORD", "PW"],
             "file": "/etc/flyte/secrets/db/password", "source": "Secret db, key password"},
            {"request": "flyte.secrets/s1", "secret": "k", "manager": "vault"}]"#,
    );
    assert_eq!(
        render::table(&secrets, Color::Off),
        "SECRET       MANAGER     AS                              FROM\n\
         db/password  kubernetes  _UNION_DB_PASSWORD              Secret db, key password\n\
         \u{20}                        PW\n\
         \u{20}                        /etc/flyte/secrets/db/password\n\
         k            vault\n"
    );
    assert_eq!(render::table(&[], Color::Off), "");
    assert_eq!(render::injected("no list"), Vec::<Injected>::new());
    assert_eq!(render::warnings(&["w".to_owned()], Color::Off), "warning: w\n");
    assert_eq!(
        render::rejection("no", Some(403), Color::Off),
        "rejected (code 403): no"
    );
}

#[test]
fn requests_are_encoded_as_flyte_encodes_them() {
    let golden = modules::repository().join("e2e-tests/golden/marshal_encode.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let mut compared = 0;
    for case in &cases {
        let Some(annotations) = case["result"]["annotations"].as_object() else {
            continue;
        };
        for (index, secret) in case["secrets"].as_array().unwrap().iter().enumerate() {
            let request: Request = serde_json::from_value(secret.clone()).unwrap();
            let key = format!("{}{index}", requests::ANNOTATION_PREFIX);
            assert_eq!(case["result"]["texts"][&key], request.to_text(), "{}", case["name"]);
            assert_eq!(annotations[&key], request.encode(), "{}", case["name"]);
            assert_eq!(
                requests::decode(&key, &request.encode()).unwrap(),
                request,
                "{}",
                case["name"]
            );
            compared += 1;
        }
    }
    assert!(compared >= 58, "{compared}");
}

#[test]
fn readable_requests_become_annotations_and_come_back() {
    let text = "- {group: g, groupVersion: v1, key: k, mountRequirement: ENV_VAR, envVar: X}\n- {key: other, mount_requirement: FILE}\n";
    let requests = requests::from_text(text).unwrap();
    let pod = format!("apiVersion: v1\nkind: Pod\n{}", requests::manifest(&requests));
    let pod = Review::from_text(&pod).unwrap().request.object.unwrap();
    assert_eq!(pod["metadata"]["labels"]["inject-flyte-secrets"], "true");
    let decoded: Vec<Request> = requests::annotations(&pod)
        .iter()
        .map(|(key, value)| requests::decode(key, value).unwrap())
        .collect();
    assert_eq!(decoded, requests);
    assert_eq!(requests::from_text(&json!(requests).to_string()).unwrap(), requests);
    assert!(
        requests::from_text("[{grup: g}]")
            .unwrap_err()
            .to_string()
            .contains("unknown field `grup`")
    );
    assert!(
        requests::decode("flyte.secrets/s0", "!")
            .unwrap_err()
            .to_string()
            .starts_with("flyte.secrets/s0: ")
    );
}
