//! The tool `secret-injector`, run as its users run it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// What the tool did.
#[derive(Debug)]
struct Run {
    status: i32,
    out: String,
    err: String,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent")
}

/// Runs the tool outside of the repository, with `input` on standard input.
fn run(arguments: &[&str], input: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_secret-injector"))
        .args(arguments)
        .current_dir(std::env::temp_dir())
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool");
    let mut stdin = child.stdin.take().expect("an input");
    // The tool may end before it has read everything.
    _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("an end");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run {
        status: output.status.code().expect("a status"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// Files that go away.
struct Files(PathBuf);

impl Files {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let directory = std::env::temp_dir().join(format!("secret-injector-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        for (file, text) in files {
            fs::write(directory.join(file), text).expect("a file");
        }
        Self(directory)
    }

    fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

const ASKS: &str = r#"secret-injector/requests: '[{"group": "db", "key": "password", "mountRequirement": "ENV_VAR"}]'"#;

fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: team-a\n  annotations:\n    {ASKS}\nspec:\n  containers: [{{name: app, image: x}}]\n"
    )
}

fn workload(kind: &str, template: &str) -> String {
    format!(
        "apiVersion: x/v1\nkind: {kind}\nmetadata: {{name: web, namespace: team-a}}\n{}",
        template
    )
}

const TEMPLATE: &str = r#"{metadata: {labels: {app: web}, annotations: {secret-injector/requests: '[{"group": "db", "key": "password", "mountRequirement": "ENV_VAR"}]'}}, spec: {containers: [{name: app, image: x}]}}"#;

#[test]
fn workloads_are_shown_as_the_pods_of_their_controllers() {
    let job = format!("spec: {{template: {TEMPLATE}}}\n");
    let cron_job = format!("spec: {{jobTemplate: {{spec: {{template: {TEMPLATE}}}}}}}\n");
    for (kind, spec, label) in [
        ("Deployment", &job, ("pod-template-hash", "computed")),
        ("ReplicaSet", &job, ("app", "web")),
        ("StatefulSet", &job, ("statefulset.kubernetes.io/pod-name", "web-0")),
        ("DaemonSet", &job, ("controller-revision-hash", "computed")),
        ("Job", &job, ("batch.kubernetes.io/job-name", "web")),
        ("CronJob", &cron_job, ("job-name", "web-0")),
    ] {
        let run = run(&["preview", "-", "-o", "json"], &workload(kind, spec));
        assert_eq!((run.status, run.err.as_str()), (0, ""), "{kind}");
        let pod: Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!(pod["metadata"]["namespace"], "team-a", "{kind}");
        assert_eq!(pod["metadata"]["labels"][label.0], label.1, "{kind}");
        assert_eq!(pod["metadata"]["labels"]["app"], "web", "{kind}");
        let env = pod["spec"]["containers"][0]["env"].as_array().expect("variables");
        assert!(env.iter().any(|one| one["name"] == "_UNION_DB_PASSWORD"), "{kind}");
    }
}

#[test]
fn custom_resources_name_the_place_of_their_template() {
    let spark = workload(
        "SparkApplication",
        &format!("spec: {{driver: {{template: {TEMPLATE}}}}}\n"),
    );
    let good = run(
        &[
            "preview",
            "-",
            "--template-path",
            "spec.driver.template",
            "-o",
            "summary",
        ],
        &spark,
    );
    assert_eq!(good.status, 0, "{good:?}");
    assert!(good.out.contains("db/password"), "{good:?}");
    let bad = run(&["preview", "-", "--template-path", "spec.executor.template"], &spark);
    assert_eq!((bad.status, bad.out.as_str()), (2, ""));
    assert_eq!(
        bad.err,
        "error: standard input, document 1, line 1: the SparkApplication team-a/web has no Pod template at spec.executor.template \
         (--template-path): neither containers nor spec.containers is below it\n"
    );
    let none = run(&["preview", "-"], &spark);
    assert_eq!(none.status, 2);
    assert!(
        none.err
            .contains("but SparkApplication team-a/web; for a custom resource, name the place"),
        "{none:?}"
    );
}

#[test]
fn several_pods_are_shown_one_after_another() {
    let files = Files::new("several", &[("one.yaml", &pod("one")), ("list.json", LIST)]);
    let all = [files.path("one.yaml"), files.path("list.json")];
    let run_all = |more: &[&str]| run(&[&["preview", &all[0], &all[1]], more].concat(), "");
    let diff = run_all(&[]);
    assert_eq!(diff.status, 0, "{diff:?}");
    let headings = [
        "==> Pod team-a/one\n",
        "==> Pod default/two\nadmitted unchanged",
        "==> Pod default/three\n",
    ];
    assert!(
        headings.iter().all(|heading| diff.out.contains(heading)),
        "{}",
        diff.out
    );
    let json: Value = serde_json::from_str(&run_all(&["-o", "json"]).out).expect("JSON");
    assert_eq!(
        (&json["kind"], json["items"].as_array().map(Vec::len)),
        (&"List".into(), Some(3))
    );
    assert_eq!(run_all(&["-o", "yaml"]).out.matches("\n---\n").count(), 2);
    let patches: Value = serde_json::from_str(&run_all(&["-o", "patch"]).out).expect("JSON");
    assert_eq!(patches[0]["object"], "Pod team-a/one");
    assert_eq!(patches[1]["patch"], serde_json::json!([]));
}

const LIST: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
 {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "two"}, "spec": {"containers": [{"name": "a"}]}},
 {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "no"}},
 {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "three"}, "spec": {"containers": [{"name": "a"}]}}]}"#;

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

#[test]
fn files_of_windows_are_read() {
    let text = format!("\u{feff}{}---\n{}", pod("one"), pod("two")).replace('\n', "\r\n");
    let run = run(&["preview", "-", "-o", "summary"], &text);
    assert_eq!((run.status, run.out.matches("==> ").count()), (0, 2), "{run:?}");
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

/// The policy doubles some dollar signs of a value, and leaves others.
#[test]
fn values_with_dollar_signs_are_masked() {
    let secret = SHARED.replace("correct-horse", "'a$canary$$b$(c)'");
    let files = Files::new("dollars", &[("settings.yaml", GLOBAL), ("cluster.yaml", &secret)]);
    let (settings, cluster) = (files.path("settings.yaml"), files.path("cluster.yaml"));
    let run = run(
        &["preview", "-", "--settings", &settings, "--cluster", &cluster],
        &pod("p"),
    );
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.out.contains("<the value of password in the Secret db>") && !run.out.contains("canary"),
        "{run:?}"
    );
}

/// A Pod as Flyte 2's webhook leaves it.
const CHANGED: &str = include_str!("flyte-pod.yaml");

#[test]
fn pods_that_flyte_changed_are_told() {
    let changed = run(&["preview", "-", "-o", "summary"], CHANGED);
    assert_eq!(changed.status, 1, "{changed:?}");
    assert!(
        changed
            .out
            .contains("note: Flyte's webhook has changed this Pod already")
            && changed.out.contains("--strip-flyte"),
        "{changed:?}"
    );
    let stripped = run(&["preview", "-", "--strip-flyte"], CHANGED);
    assert_eq!(stripped.status, 0, "{stripped:?}");
    let note = "taken out before the policy was asked: variable FLYTE_SECRETS_DEFAULT_DIR, variable FLYTE_SECRETS_ENV_PREFIX, variable \
                _UNION_DB_PIN, container init-embedded-secret, volume embedded-secret-vol\n";
    assert!(stripped.out.contains(note), "{stripped:?}");
    assert!(!stripped.out.contains("initContainers"), "{stripped:?}");

    let files = Files::new("changed", &[("policy.yaml", &POLICY.replace("[CREATE]", "[UPDATE]"))]);
    let policy = files.path("policy.yaml");
    for arguments in [
        vec!["preview", "-"],
        vec!["preview", "-", "-o", "json", "--policy", &policy],
        vec!["preview", "-", "-o", "yaml", "--policy", &policy],
    ] {
        let run = run(&arguments, CHANGED);
        let text = run.out + &run.err;
        assert!(
            !text.contains("horse") && !text.contains("Y29ycmVj"),
            "{arguments:?}: {text}"
        );
    }
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

const GLOBAL: &str = "managers: [{type: global, namespace: shared, authorize: none}]";
const SHARED: &str =
    "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: shared}, stringData: {password: correct-horse}}";

#[test]
fn values_of_secrets_are_masked() {
    let files = Files::new("mask", &[("settings.yaml", GLOBAL), ("cluster.yaml", SHARED)]);
    let (settings, cluster) = (files.path("settings.yaml"), files.path("cluster.yaml"));
    let arguments = ["preview", "-", "--settings", &settings, "--cluster", &cluster, "-o"];
    for output in ["diff", "yaml", "json", "patch", "summary", "review"] {
        let masked = run(&[&arguments[..], &[output]].concat(), &pod("p"));
        assert_eq!(masked.status, 0, "{output}: {masked:?}");
        let text = masked.out + &masked.err;
        assert!(
            !text.contains("correct-horse") && !text.contains("Y29ycmVjdC1ob3Jz"),
            "{output}: {text}"
        );
        let shown = run(&[&arguments[..], &[output, "--show-values"]].concat(), &pod("p"));
        // The review has its patch in base64, and the summary has no values.
        let expected = !["review", "summary"].contains(&output);
        assert_eq!(shown.out.contains("correct-horse"), expected, "{output}: {}", shown.out);
    }
}

const POLICY: &str = r#"apiVersion: policies.kubewarden.io/v1
kind: ClusterAdmissionPolicy
metadata:
  name: 00-secret-injector
spec:
  mode: protect
  mutating: true
  failurePolicy: Fail
  rules:
    - apiGroups: [""]
      apiVersions: [v1]
      resources: [pods]
      operations: [CREATE]
  matchConditions:
    - name: asks-for-secrets
      expression: >-
        has(object.metadata.annotations) &&
        object.metadata.annotations.exists(key,
        key.startsWith('flyte.secrets/s') || key == 'secret-injector/requests')
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: NotIn
        values: [kube-system, kubewarden]
  contextAwareResources:
    - apiVersion: v1
      kind: Secret
  settings:
    managers:
      - type: kubernetes
"#;

#[test]
fn the_policy_that_is_deployed_lets_pods_reach_it() {
    let policy = repository().join("deploy/base/policy.yaml");
    let run = run(
        &[
            "preview",
            "-",
            "--policy",
            policy.to_str().expect("UTF-8"),
            "-o",
            "summary",
        ],
        &pod("p"),
    );
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    assert!(run.out.starts_with("SECRET "), "{run:?}");
}

#[test]
fn the_policy_server_needs_rights_of_its_own() {
    let binding = "---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: b, namespace: NS}, roleRef: {kind: ClusterRole, name: r}, \
                   subjects: [{kind: ServiceAccount, name: secret-injector, namespace: kubewarden}]}\n---\n{apiVersion: rbac.authorization.k8s.io/v1, kind: \
                   ClusterRole, metadata: {name: r}, rules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]}\n";
    for (name, cluster, status, message) in [
        (
            "unknown",
            SHARED.to_owned(),
            0,
            "note: whether the policy server may read these Secrets was not checked",
        ),
        (
            "granted",
            format!("{SHARED}\n{}", binding.replace("NS", "shared")),
            0,
            "SECRET ",
        ),
        (
            "elsewhere",
            format!("{SHARED}\n{}", binding.replace("NS", "other")),
            1,
            "may not get Secrets in the namespace \"shared\". This would allow it",
        ),
    ] {
        let files = Files::new(name, &[("settings.yaml", GLOBAL), ("cluster.yaml", &cluster)]);
        let paths = [files.path("settings.yaml"), files.path("cluster.yaml")];
        let run = run(
            &[
                "preview",
                "-",
                "--settings",
                &paths[0],
                "--cluster",
                &paths[1],
                "-o",
                "summary",
            ],
            &pod("p"),
        );
        assert_eq!(run.status, status, "{name}: {run:?}");
        assert!(run.out.contains(message), "{name}: {run:?}");
        assert_eq!(run.out.contains("note: "), name == "unknown", "{run:?}");
    }
}

#[test]
fn a_policy_brings_its_settings_its_grants_and_its_conditions() {
    let base = POLICY.to_owned();
    let verify = base.replace("- type: kubernetes", "- type: kubernetes\n        verify: true");
    let ungranted = verify.replace(
        "  contextAwareResources:\n    - apiVersion: v1\n      kind: Secret\n",
        "",
    );
    assert!(ungranted != verify);
    let labelled = base.replace(
        "  settings:",
        "  objectSelector: {matchLabels: {inject: \"yes\"}}\n  settings:",
    );
    let team = base.replace("  settings:", "  objectSelector: {}\n  settings:").replace(
        "      - key: kubernetes.io/metadata.name\n        operator: NotIn\n        values: [kube-system, kubewarden]",
        "      - {key: team, operator: Exists}",
    );
    let namespaced = base
        .replace("kind: ClusterAdmissionPolicy", "kind: AdmissionPolicy")
        .replace("  name: 00-secret-injector\n", "  name: own\n  namespace: team-b\n");
    let server = format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: s}}\n---\n{verify}");
    let namespace =
        |labels: &str| format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: team-a, labels: {{{labels}}}}}}}");
    let secret =
        "{apiVersion: v1, kind: Secret, metadata: {name: db, namespace: team-a}, data: {password: eA==}}\n---\n";
    let silent = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a}]}\n";
    for (name, policy, cluster, pod, status, message) in [
        (
            "several documents",
            &server,
            secret.to_owned(),
            pod("p"),
            0,
            "db/password",
        ),
        ("no grant", &ungranted, secret.to_owned(), pod("p"), 1, "code 503"),
        (
            "label",
            &labelled,
            String::new(),
            pod("p"),
            0,
            "its objectSelector asks for the label inject: \"yes\", which the Pod",
        ),
        (
            "namespace unknown",
            &team,
            String::new(),
            pod("p"),
            0,
            "note: the policy's namespaceSelector asks for the label team; add the",
        ),
        (
            "namespace without label",
            &team,
            namespace(""),
            pod("p"),
            0,
            "which the namespace \"team-a\" does not have",
        ),
        (
            "namespace with label",
            &team,
            namespace("team: a"),
            pod("p"),
            0,
            "SECRET ",
        ),
        (
            "kube-system",
            &base,
            String::new(),
            pod("p").replace("team-a", "kube-system"),
            0,
            "does not reach the policy clusterwide-00-secret-injector: its namespaceSelector asks for the label \
             kubernetes.io/metadata.name absent or with a value other than kube-system, kubewarden, which the namespace \
             \"kube-system\" does not have\nIt asks for secrets, and would start without them.",
        ),
        (
            "no annotation",
            &base,
            String::new(),
            silent.to_owned(),
            0,
            "its matchCondition \"asks-for-secrets\" does not hold: ",
        ),
        (
            "another namespace",
            &namespaced,
            String::new(),
            pod("p"),
            0,
            "it is an AdmissionPolicy of the namespace \"team-b\"",
        ),
        (
            "monitor",
            &base.replace("mode: protect", "mode: monitor"),
            String::new(),
            pod("p"),
            0,
            "its mode is monitor",
        ),
        (
            "not mutating",
            &base.replace("mutating: true", "mutating: false"),
            String::new(),
            pod("p"),
            0,
            "mutating: true",
        ),
        (
            "updates",
            &base.replace("[CREATE]", "[UPDATE]"),
            String::new(),
            pod("p"),
            0,
            "none of its rules has the operation CREATE on pods",
        ),
    ] {
        let files = Files::new(
            &name.replace(' ', "-"),
            &[("policy.yaml", policy), ("cluster.yaml", &cluster), ("pod.yaml", &pod)],
        );
        let paths = [
            files.path("pod.yaml"),
            files.path("policy.yaml"),
            files.path("cluster.yaml"),
        ];
        let run = run(
            &[
                "preview",
                &paths[0],
                "--policy",
                &paths[1],
                "--cluster",
                &paths[2],
                "-o",
                "summary",
            ],
            "",
        );
        assert_eq!(run.status, status, "{name}: {run:?}");
        assert!(run.out.contains(message), "{name}: {run:?}");
    }
}

#[test]
fn check_warns_of_what_is_legal_and_unwise() {
    let base = POLICY.to_owned();
    for (settings, warnings) in [
        ("access: [{secrets: [\"db/*\"]}]\nmanagers: [{type: kubernetes}]\n".to_owned(), vec![]),
        (
            "{apiVersion: policies.kubewarden.io/v1, kind: ClusterAdmissionPolicy, metadata: {name: patch}, spec: {settings: {access: [], \
             managers: [{type: flyte}]}}}"
                .to_owned(),
            vec![],
        ),
        ("{}".to_owned(), vec!["access is absent"]),
        (
            "{access: [], onUnserved: warn, managers: [{type: global, namespace: g, authorize: none}, {type: vault}, {type: flyte, literal: true, organization: any}]}"
                .to_owned(),
            vec![
                "onUnserved is warn",
                "managers[0] (global).authorize is none",
                "managers[0] (global) puts values into the Pod",
                "managers[1] (vault) has no match, and does not look",
                "managers[2] (flyte).literal puts values into the Pod",
                "managers[2] (flyte).organization is any",
            ],
        ),
        (
            "{access: [], managers: [{type: flyte, literal: true}]}".to_owned(),
            vec![
                "managers[0] (flyte).literal puts values into the Pod",
                "managers[0] (flyte).organization is absent, and podNamespace does not name it",
            ],
        ),
        (
            "{access: [], managers: [{type: flyte, podNamespace: \"{organization}-{project}-{domain}\"}]}".to_owned(),
            vec![],
        ),
        (
            base.replace("mode: protect", "mode: monitor")
                .replace("failurePolicy: Fail", "failurePolicy: Ignore")
                .replace("key: kubernetes.io/metadata.name", "key: secrets"),
            vec![
                "access is absent",
                "spec.namespaceSelector is the only guard: whoever may write the label secrets",
                "spec.mode is monitor",
                "spec.failurePolicy is Ignore",
            ],
        ),
    ] {
        let run = run(&["check", "-"], &settings);
        assert_eq!(run.status, 0, "{run:?}");
        let found: Vec<&str> = run.out.lines().filter(|line| line.starts_with("warning: ")).collect();
        assert_eq!(found.len(), warnings.len(), "{found:#?}");
        for (line, start) in found.iter().zip(&warnings) {
            assert!(line.starts_with(&format!("warning: {start}")), "{line}");
        }
        assert!(run.out.ends_with(if warnings.is_empty() { "valid\n" } else { "valid, with warnings\n" }));
        let strict = self::run(&["check", "-", "--strict"], &settings);
        assert_eq!(strict.status, i32::from(!warnings.is_empty()));
    }
}

#[test]
fn settings_from_flyte_are_settings_that_the_policy_takes() {
    for (webhook, place) in [
        (
            "{secretEnvVarPrefix: \"\", secretManagerTypes: [K8s]}",
            "envPrefix is empty",
        ),
        (
            "{secretManagerTypes: [Vault], vaultSecretManager: {role: \"\"}}",
            "managers[0] (vault).role is empty",
        ),
        (
            "{secretManagerTypes: [GCP], gcpSecretManager: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}}",
            "managers[0] (gcp).resources.requests.cpu is above limits.cpu",
        ),
    ] {
        let run = run(
            &["from-flyte", "-", "--flyte-version", "2"],
            &format!("webhook: {webhook}"),
        );
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{run:?}");
        assert!(run.err.contains(place), "{run:?}");
    }
}

#[test]
fn colors_are_for_terminals() {
    let colored = run(&["preview", "-", "--color", "always"], &pod("p"));
    assert!(colored.out.contains("\u{1b}[32m+"), "{}", colored.out);
    assert!(!run(&["preview", "-"], &pod("p")).out.contains('\u{1b}'));
}

#[test]
fn the_tool_has_the_version_of_the_policy() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).expect("the policy's manifest");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = "))
        .expect("a version");
    assert_eq!(
        run(&["--version"], "").out,
        format!("secret-injector {}\n", version.trim_matches('"'))
    );
}

#[test]
fn completions_and_man_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            run(&["completions", shell], "").out.contains("secret-injector"),
            "{shell}"
        );
    }
    assert!(run(&["man"], "").out.contains(".TH secret-injector 1"));
    let files = Files::new("man", &[]);
    assert_eq!(run(&["man", "--directory", &files.path("")], "").status, 0);
    assert!(
        fs::read_to_string(files.path("secret-injector-preview.1"))
            .expect("a page")
            .contains("Shows what the policy does")
    );
}

#[test]
fn requests_go_through_encode_and_decode() {
    let encoded = run(&["encode"], "- {group: g, key: k}\n");
    assert!(
        encoded
            .out
            .contains("    flyte.secrets/s0: m4zg54lqhiqcezzcbjvwk5j1eargwiqk\n"),
        "{encoded:?}"
    );
    let pod = format!("kind: Pod\n{}spec: {{}}\n", encoded.out);
    assert_eq!(
        run(&["decode", "-"], &pod).out,
        "- group: g\n  key: k\n  mountRequirement: ANY\n"
    );
}

#[test]
fn kubectl_finds_it_as_a_plugin() {
    let files = Files::new("plugin", &[]);
    let link = files.path("kubectl-secret_injector");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_secret-injector"), &link).expect("a link");
    let output = Command::new(link)
        .args(["preview", "--help"])
        .output()
        .expect("the tool");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("Usage: kubectl secret-injector preview"), "{text}");
}
