//! Flyte's secrets as files, with the values in the Pod: the init container that the policy adds runs in busybox, and
//! the files are what a container of the Pod would find.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::{Evaluation, PolicyModule};
use e2e_tests::review::Review;
use e2e_tests::{modules, yaml};
use serde_json::{Value, json};

/// Who reads the files; the init container has a user of its own.
const READER: u32 = 65532;

/// The secrets, by their keys. Kubernetes would not take all of these keys; the script has to be right for each.
fn secrets() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("plain", b"s3cr3t".to_vec()),
        ("newline-at-the-end", b"line\n".to_vec()),
        ("Upper.Case", b"kept".to_vec()),
        ("every-byte", (0..=255).collect()),
        ("empty", Vec::new()),
        (
            "longer-than-an-argument",
            (0..300 * 1024_u32).map(|n| (n % 251) as u8).collect(),
        ),
        ("-n", b"not an option".to_vec()),
        ("--", b"neither".to_vec()),
        ("%s%d", b"no format".to_vec()),
        ("a=b", b"no assignment".to_vec()),
        ("two words", b"one file".to_vec()),
        ("$HOME", b"no variable".to_vec()),
        ("$(touch hacked)", b"no command".to_vec()),
        ("`touch hacked`", b"nor here".to_vec()),
        ("x; touch hacked #", b"nor there".to_vec()),
        ("' touch hacked '", b"nor in quotes".to_vec()),
        ("\"\\", b"nor in double ones".to_vec()),
        ("[a-z]*", b"no pattern".to_vec()),
        ("größe", b"not only ASCII".to_vec()),
    ])
}

#[test]
fn files_arrive() {
    let work = Directory::new("flyte-manager");
    let mount_path = work.0.join("it's $HOME $(touch hacked) `id` \"x\"");
    fs::create_dir(&mount_path).unwrap();
    // As an emptyDir.
    fs::set_permissions(&mount_path, fs::Permissions::from_mode(0o777)).unwrap();
    let secrets = secrets();
    let pod = mutated(&secrets, mount_path.to_str().unwrap());
    let [init] = pod["spec"]["initContainers"].as_array().unwrap().as_slice() else {
        panic!("one init container for all files: {pod}");
    };
    assert_eq!(
        init["volumeMounts"],
        json!([{"name": "embedded-secret-vol", "mountPath": mount_path.to_str()}])
    );
    let bin = busybox(&work.0);
    for run in ["first", "second, as after a restart of the node"] {
        let output = run_container(init, &bin, &work.0);
        assert!(
            output.status.success(),
            "{run}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "{run}: {output:?}"
        );
        let env = pod["spec"]["containers"][0]["env"].as_array().unwrap();
        for (number, (key, value)) in secrets.iter().enumerate() {
            let variable = env
                .iter()
                .find(|variable| variable["name"] == format!("FILE_{number}"))
                .unwrap();
            let path = PathBuf::from(expanded(variable["value"].as_str().unwrap()));
            assert_eq!(path, mount_path.join(key), "the path in the variable for {key:?}");
            assert!(read(&path) == *value, "{run}: {key:?} has another value");
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!(metadata.mode() & 0o7777, 0o644, "{run}: {key:?}");
        }
        let found = fs::read_dir(&mount_path).unwrap().count();
        assert_eq!(found, secrets.len(), "{run}: no other file");
        assert!(!work.0.join("hacked").exists(), "{run}: a key was run");
    }
}

/// A Pod as Flyte 2 makes it with its chart's defaults gets its secrets with the overlay's settings, and no value is put
/// into it.
#[test]
fn the_overlay_serves_the_pods_of_the_chart() {
    let path = modules::repository().join("deploy/overlays/flyte2/policy.yaml");
    let overlay = yaml::documents(&fs::read_to_string(path).unwrap()).unwrap();
    let settings = yaml::to_json(&overlay[0]).unwrap()["spec"]["settings"].clone();
    let id = "u__org__flyte__domain__development__project__flytesnacks__key__openai-key";
    let cluster = || secrets_in_flyte([(id.to_owned(), &b"sk-example"[..])]);
    let pod = |namespace: &str| {
        let requests = json!([{"key": "openai-key"}, {"key": "openai-key", "mountRequirement": "FILE"}]);
        let labels = json!({"organization": "flyte", "project": "flytesnacks", "domain": "development"});
        task(namespace, labels, &requests)
    };
    let evaluation = evaluate(cluster(), pod("flyte"), &settings);
    assert!(evaluation.response.allowed, "{}", evaluation.response.message());
    assert_eq!(evaluation.response.warnings, None);
    let spec = evaluation.mutated_object.unwrap()["spec"].clone();
    let reference = json!({"secretKeyRef": {"name": format!("{:x}", md5::compute(id)), "key": id}});
    assert_eq!(spec["containers"][0]["env"][2]["valueFrom"], reference);
    assert_eq!(spec["volumes"][0]["secret"]["items"][0]["key"], id);
    assert_eq!(spec["initContainers"], Value::Null);
    assert_eq!(evaluation.calls.len(), 1, "one read, and no question after permissions");
    let elsewhere = evaluate(cluster(), pod("flytesnacks-development"), &settings).response;
    assert!(!elsewhere.allowed && elsewhere.message().contains("podNamespace is \"flyte\""));
}

#[test]
fn a_file_that_cannot_be_written_fails_the_container() {
    let work = Directory::new("flyte-manager-full");
    let mount_path = work.0.join("a file, no directory");
    fs::write(&mount_path, "").unwrap();
    let secrets = BTreeMap::from([("first", b"1".to_vec()), ("second", b"2".to_vec())]);
    let pod = mutated(&secrets, mount_path.to_str().unwrap());
    let output = run_container(&pod["spec"]["initContainers"][0], &busybox(&work.0), &work.0);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("a file, no directory"), "{said}");
}

/// A Pod that asks for each secret as a file, with the variable `FILE_n` for the path of the n-th, as it is mutated.
fn mutated(secrets: &BTreeMap<&str, Vec<u8>>, mount_path: &str) -> Value {
    let ids = secrets.iter().map(|(key, value)| {
        let id = format!("u__org__acme__domain__production__project__shop__key__{key}");
        (id, value.as_slice())
    });
    let requests: Vec<Value> = secrets
        .keys()
        .enumerate()
        .map(|(number, key)| json!({"key": key, "mountRequirement": "FILE", "envVar": format!("FILE_{number}")}))
        .collect();
    let labels = json!({"organization": "acme", "project": "shop", "domain": "production"});
    let pod = task("shop-production", labels, &requests.into());
    let settings =
        json!({"mountPath": mount_path, "managers": [{"type": "flyte", "literal": true, "organization": "acme"}]});
    let evaluation = evaluate(secrets_in_flyte(ids), pod, &settings);
    assert!(evaluation.response.allowed, "{}", evaluation.response.message());
    evaluation.mutated_object.unwrap()
}

/// A Pod that asks for secrets.
fn task(namespace: &str, labels: Value, requests: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "task",
            "namespace": namespace,
            "labels": labels,
            "annotations": {"secret-injector/requests": requests.to_string()},
        },
        "spec": {"containers": [{"name": "main", "image": "img"}]},
    })
}

/// The Secrets that `flyte create secret` makes in the namespace `flyte`, by what Flyte calls them.
fn secrets_in_flyte<'v>(secrets: impl IntoIterator<Item = (String, &'v [u8])>) -> Cluster {
    let objects: Vec<Value> = secrets
        .into_iter()
        .map(|(id, value)| {
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": format!("{:x}", md5::compute(id.as_bytes())), "namespace": "flyte"},
                "data": {id: STANDARD.encode(value)},
            })
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    Cluster::from_yaml(&list.to_string()).unwrap()
}

/// The policy's answer where it may read Secrets and ask nothing else.
fn evaluate(cluster: Cluster, pod: Value, settings: &Value) -> Evaluation {
    let grants = Grants::new([("v1", "Secret")], ["kubernetes/get_resource"]).unwrap();
    let policy = PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first");
    policy.validate(&Host::new(cluster, grants), &Review::of_pod(pod).request, settings)
}

/// A directory that has nothing but busybox's tools.
fn busybox(work: &Path) -> PathBuf {
    let program = Path::new("/usr/bin/busybox");
    assert!(program.exists(), "this test needs busybox: apt-get install busybox");
    let bin = work.join("bin");
    fs::create_dir(&bin).unwrap();
    for tool in ["sh", "base64", "mkdir", "cat", "printf"] {
        symlink(program, bin.join(tool)).unwrap();
    }
    bin
}

/// Runs a container's command as the kubelet does, as the container's own user where the test may choose one.
fn run_container(container: &Value, bin: &Path, directory: &Path) -> Output {
    let words = |field: &str| {
        let words = container[field].as_array().cloned().unwrap_or_default();
        words
            .into_iter()
            .map(|word| expanded(word.as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let user = container["securityContext"]["runAsUser"].as_u64().unwrap();
    as_user(u32::try_from(user).unwrap())
        .args(words("command"))
        .args(words("args"))
        .env_clear()
        .env("PATH", bin)
        .current_dir(directory)
        .output()
        .unwrap()
}

/// The file's content as another user than its owner reads it.
fn read(path: &Path) -> Vec<u8> {
    let output = as_user(READER).arg("cat").arg("--").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn as_user(user: u32) -> Command {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(if root { "/usr/bin/setpriv" } else { "/usr/bin/env" });
    if root {
        command.args([
            format!("--reuid={user}"),
            format!("--regid={user}"),
            "--clear-groups".to_owned(),
        ]);
    }
    command
}

/// What the kubelet makes of `text` where no variable is defined.
fn expanded(text: &str) -> String {
    let mut result = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '$' && characters.peek() == Some(&'$') {
            characters.next();
        }
        result.push(character);
    }
    result
}

/// A directory for one test that every user may enter.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
