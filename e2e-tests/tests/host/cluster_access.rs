//! What the host answers a policy about its cluster, what it refuses, and what a session keeps of it.

use super::*;

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
