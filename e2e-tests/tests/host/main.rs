//! The host itself: does it do what Kubewarden's policy server does?

mod both_hosts;
mod cluster_access;
mod messages;

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::protocol::{ResourceAttributes, SubjectAccessReview};
use e2e_tests::{
    capabilities::{Answer, Grants, Host, HostRequest, LogLine},
    cluster::Cluster,
    evaluation::ValidationResponse,
    host::{DEADLINE, HostError, PolicyModule},
    modules::{self, Baseline},
    rbac::{service_account_groups, service_account_user},
    render::{self, Color, Injected},
    requests::{self, Request},
    review::{AdmissionResponse, Review},
    session::{Recorder, Replay},
    yaml,
};
use kubewarden_policy_sdk::metadata::ProtocolVersion;
use serde_json::{Value, json};
use std::{sync::Arc, time::Instant};

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
