//! Requests, payloads and responses, and how the tool shows them.

use super::*;

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
