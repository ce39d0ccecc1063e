//! The tool `secret-injector`, run as its users run it.

mod commands;
mod errors;
mod policies;

use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

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
fn files_of_windows_are_read() {
    let text = format!("\u{feff}{}---\n{}", pod("one"), pod("two")).replace('\n', "\r\n");
    let run = run(&["preview", "-", "-o", "summary"], &text);
    assert_eq!((run.status, run.out.matches("==> ").count()), (0, 2), "{run:?}");
}

/// The table says what would be injected, and there is no difference.
#[test]
fn a_dry_run_is_shown_as_one() {
    let files = Files::new("dry-run", &[("settings.yaml", "{dryRun: true}")]);
    let run = run(&["preview", "-", "--settings", &files.path("settings.yaml")], &pod("p"));
    assert_eq!(run.status, 0, "{run:?}");
    assert!(
        run.out
            .starts_with("warning: dryRun: the secret \"db/password\" would be injected by kubernetes as ")
            && run.out.contains("\nSECRET ")
            && !run.out.contains("+++"),
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
const CHANGED: &str = include_str!("../flyte-pod.yaml");

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
        key.startsWith('flyte.secrets/s') || key.startsWith('secret-injector/requests'))
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
fn colors_are_for_terminals() {
    let colored = run(&["preview", "-", "--color", "always"], &pod("p"));
    assert!(colored.out.contains("\u{1b}[32m+"), "{}", colored.out);
    assert!(!run(&["preview", "-"], &pod("p")).out.contains('\u{1b}'));
}
