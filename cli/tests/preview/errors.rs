//! Input that is wrong is told with its place, and without the values of Secrets.

use super::*;

#[test]
fn rejections_read_as_those_of_the_api_server() {
    let files = Files::new(
        "rejections",
        &[
            ("settings.yaml", "managers: [{type: kubernetes, verify: true}]"),
            ("none.yaml", ""),
        ],
    );
    let settings = files.path("settings.yaml");
    let rejected = run(
        &[
            "preview",
            "-",
            "--settings",
            &settings,
            "--cluster",
            &files.path("none.yaml"),
        ],
        &pod("p"),
    );
    assert_eq!(rejected.status, 1);
    let start = "rejected (code 422): admission webhook \"clusterwide-00-secret-injector.kubewarden.admission\" denied the request: ";
    assert!(rejected.out.starts_with(start), "{rejected:?}");
    let json = run(
        &[
            "preview",
            "-",
            "--settings",
            &settings,
            "--cluster",
            &files.path("none.yaml"),
            "-o",
            "json",
        ],
        &pod("p"),
    );
    assert_eq!((json.status, json.out.as_str()), (1, ""));
    assert!(json.err.starts_with(start), "{json:?}");

    let no_cluster = run(&["preview", "-", "--settings", &settings], &pod("p"));
    assert_eq!((no_cluster.status, no_cluster.out.as_str()), (2, ""));
    assert_eq!(
        no_cluster.err,
        "error: Pod team-a/p: with these settings the policy reads the Secret \"db\" in the namespace \"team-a\", and no cluster was \
         given: name a file with the Secrets, Roles and RoleBindings that there are with --cluster FILE (an empty file is a cluster \
         that has none)\n"
    );
}

#[test]
fn input_that_is_wrong_is_told_with_its_place() {
    let files = Files::new(
        "wrong",
        &[
            ("broken.yaml", "kind: Pod\nmetadata: [\n"),
            (
                "settings.yaml",
                "# about\nmanagers:\n- type: kubernetes\n  verfy: true\n",
            ),
            (
                "policy.yaml",
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n",
            ),
            ("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"),
            (
                "deployment.yaml",
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {}\n",
            ),
            ("text.yaml", "no object\n"),
            ("pod.yaml", &pod("p")),
            ("review.yaml", REVIEW),
            ("empty.yaml", "# nothing\n"),
            ("pod-spec.yaml", "---\nkind: Pod\nmetadata: {name: p}\nspec: [a]\n"),
            (
                "template.yaml",
                "kind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [a]}}}\n",
            ),
            ("several.yaml", "a: 1\n---\nmanagers: []\n"),
            (
                "patch.yaml",
                "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: p}\nspec: {settings: {}}\n",
            ),
            ("requests.yaml", "- {group: a}\n---\n- {groop: a}\n"),
            (
                "webhook.yaml",
                "propeller: {}\nwebhook:\n  awsSecretManager: {}\n  secretManagerType: Nope\n",
            ),
            ("section.yaml", "propeller: {}\nwebhook:\n  awsSecretManager: 1\n"),
            (
                "config-map.yaml",
                "kind: ConfigMap\nmetadata: {name: c}\ndata: {a.yaml: 'webhook: {}', b.yaml: 'webhook: ['}\n",
            ),
        ],
    );
    let pod = files.path("pod.yaml");
    for (arguments, message) in [
        (
            vec!["preview", "missing.yaml"],
            "cannot read missing.yaml: No such file or directory (os error 2)",
        ),
        (vec!["preview", &files.path("broken.yaml")], "broken.yaml: not YAML: "),
        (
            vec!["preview", &files.path("service.yaml")],
            "found no Pod and nothing with a Pod template, but Service default/x",
        ),
        (
            vec!["preview", &files.path("deployment.yaml")],
            "deployment.yaml, document 1, line 2: the Deployment default/x has no Pod template at spec.template",
        ),
        (
            vec!["preview", &files.path("text.yaml")],
            "text.yaml, document 1, line 1: this is no Kubernetes object",
        ),
        (
            vec!["preview", &pod, "--settings", &files.path("settings.yaml")],
            "settings.yaml, document 1, line 4: invalid settings: managers[0] (kubernetes).verfy is not a setting",
        ),
        (
            vec!["preview", &pod, "--policy", &files.path("policy.yaml")],
            "policy.yaml: found no ClusterAdmissionPolicy",
        ),
        (
            vec!["preview", &pod, "--cluster", "missing.yaml"],
            "cannot read missing.yaml: No such file or directory (os error 2)\n",
        ),
        (vec!["preview", &pod, "--wasm", &pod], "not a WebAssembly module"),
        (vec!["preview", &pod, "--record", "x"], "--show-values"),
        (vec!["preview", "-", "-"], "can be read only once"),
        (vec!["check", "-", "--wasm", "-"], "--wasm: "),
        (
            vec!["preview", "-"],
            "error: standard input: found no Pod: nothing is in it\n",
        ),
        (
            vec!["preview", &files.path("pod-spec.yaml")],
            "pod-spec.yaml, document 1, line 2: the Pod default/p: spec is no mapping",
        ),
        (
            vec!["preview", &files.path("template.yaml")],
            "template.yaml, document 1, line 1: the Job default/j: spec.containers is no list of mappings",
        ),
        (
            vec!["preview", &files.path("empty.yaml")],
            "empty.yaml: found no Pod: nothing is in it",
        ),
        (
            vec!["preview", &pod, "--cluster", &files.path("text.yaml")],
            "text.yaml, document 1, line 1: object has no apiVersion",
        ),
        (
            vec!["preview", &pod, "--replay", &files.path("text.yaml")],
            "--replay: not a session of host capabilities",
        ),
        (
            vec!["preview", &pod, "--policy", &files.path("patch.yaml")],
            "patch.yaml: this policy has no spec.module, as a patch of kustomize has none",
        ),
        (
            vec!["check", &files.path("several.yaml")],
            "several.yaml: expected one document with settings, or one policy among the documents, found 2 documents with 0",
        ),
        (
            vec!["encode", &files.path("requests.yaml")],
            "requests.yaml, document 2, line 3: the requests: unknown field `groop`",
        ),
        (
            vec!["decode", &pod],
            "Pod team-a/p: found no annotation of Flyte (flyte.secrets/s0 and so on)",
        ),
        (
            vec!["from-flyte", &files.path("webhook.yaml")],
            "webhook.yaml, line 4: webhook.secretManagerType is \"Nope\", but Flyte takes",
        ),
        (
            vec!["from-flyte", &files.path("section.yaml")],
            "section.yaml, line 3: webhook.awsSecretManager is 1, but Flyte takes a mapping",
        ),
        (
            vec!["from-flyte", &files.path("config-map.yaml")],
            "config-map.yaml, document 1, line 1: its file b.yaml is not YAML: ",
        ),
        (
            vec!["from-flyte", &files.path("empty.yaml")],
            "empty.yaml: found no section webhook in Flyte's configuration; it is in",
        ),
        (
            vec!["preview", &files.path("review.yaml"), "--as", "alice"],
            "an AdmissionReview says who makes the request",
        ),
        (vec!["check", &files.path("settings.yaml")], "line 4: invalid settings"),
        (vec!["decode", "!"], "!: "),
        (
            vec!["encode", &files.path("text.yaml")],
            "text.yaml, document 1, line 1: the requests: ",
        ),
        (vec!["nonsense"], "unrecognized subcommand"),
    ] {
        let run = run(&arguments, "");
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}: {run:?}");
        assert!(run.err.contains(message), "{arguments:?}: {}", run.err);
        let cause = "No such file or directory";
        assert!(run.err.matches(cause).count() <= 1, "{}", run.err);
    }
}

#[test]
fn standard_input_is_not_read_twice() {
    for arguments in [
        ["preview", "-", "--settings", "-"],
        ["preview", "-", "--policy", "-"],
        ["preview", "-", "--cluster", "-"],
    ] {
        let run = run(&arguments, &pod("p"));
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}: {run:?}");
        assert!(
            run.err.contains("standard input (-) can be read only once"),
            "{arguments:?}: {run:?}"
        );
    }
}

/// The API server would not take such Secrets, so a preview of them says nothing.
#[test]
fn secrets_that_are_wrong_are_told_without_their_values() {
    for (fields, message) in [
        ("data: hunter2", "the Secret db: data is no mapping"),
        (
            "data: {password: hunter2}",
            "the Secret db: data.password is not base64: encode it, or write",
        ),
        (
            "stringData: {password: 22222222}",
            "the Secret db: stringData.password is no text: write it in quotes",
        ),
        ("stringData: [hunter2]", "the Secret db: stringData is no mapping"),
        (
            "stringData: {password: hunter2, password: hunter2}",
            "duplicate entry with key \"password\" at line 4",
        ),
        ("stringData: {password: hunter2", "not YAML: "),
    ] {
        let secret =
            format!("---\n{{apiVersion: v1, kind: Secret, metadata: {{name: db, namespace: shared}},\n\n {fields}}}\n");
        let files = Files::new("wrong-secret", &[("settings.yaml", GLOBAL), ("cluster.yaml", &secret)]);
        let paths = [files.path("settings.yaml"), files.path("cluster.yaml")];
        let run = run(
            &["preview", "-", "--settings", &paths[0], "--cluster", &paths[1]],
            &pod("p"),
        );
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{fields}: {run:?}");
        assert!(run.err.contains(message), "{fields}: {}", run.err);
        assert!(
            !run.err.contains("hunter2") && !run.err.contains("22222222"),
            "{fields}: {}",
            run.err
        );
    }
}

#[test]
fn a_session_that_is_wrong_is_told_without_its_values() {
    let files = Files::new("session", &[("session.yaml", "- {request: x, response: hunter2}\n")]);
    let run = run(&["preview", "-", "--replay", &files.path("session.yaml")], &pod("p"));
    assert_eq!(run.status, 2);
    assert!(
        run.err
            .starts_with("error: --replay: not a session of host capabilities, at line 1")
            && !run.err.contains("hunter2"),
        "{run:?}"
    );
}

#[cfg(not(feature = "kube"))]
#[test]
fn a_build_without_a_client_says_so() {
    for option in ["--kubeconfig", "--context"] {
        let run = run(&["preview", "-", option, "x"], &pod("p"));
        assert_eq!((run.status, run.out.as_str()), (2, ""));
        assert!(
            run.err
                .starts_with("error: this build of the tool cannot ask a cluster"),
            "{run:?}"
        );
    }
}

const REVIEW: &str = "kind: AdmissionReview\nrequest: {uid: u, kind: {version: v1, kind: Pod}, resource: {version: v1, resource: pods}, \
                      operation: CREATE, userInfo: {}, object: {kind: Pod}}\n";
