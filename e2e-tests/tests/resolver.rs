//! What a container of a Pod finds: the resolver case by case (`resolver.yaml`), and the program `resolve`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::cluster::Cluster;
use e2e_tests::resolver::{Container, Mount, resolve};
use e2e_tests::{modules, process, yaml};
use serde::Deserialize;
use serde_json::{Value, json};

const CLUSTER: &str = "
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: team-a}
stringData: {password: p$(HOST)$$}
data: {bytes: /wA=}
---
apiVersion: v1
kind: Secret
metadata: {name: elsewhere, namespace: team-b}
stringData: {password: other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: db, namespace: team-a}
data: {port: '5432'}
";

const VOLUMES: &str = "
- {name: memory, emptyDir: {medium: Memory}}
- {name: secret, secret: {secretName: db}}
- name: items
  secret:
    secretName: db
    defaultMode: 0o440
    items: [{key: password, path: a/b, mode: 0o400}, {key: bytes, path: c}]
- name: projected
  projected:
    defaultMode: 0o444
    sources:
      - secret: {name: db, items: [{key: password, path: db/password}]}
      - secret: {name: none, optional: true}
      - configMap: {name: db}
- {name: optional, secret: {secretName: none, optional: true}}
- {name: optional-items, secret: {secretName: db, optional: true, items: [{key: none, path: none}]}}
- {name: missing, secret: {secretName: none}}
- {name: missing-item, secret: {secretName: db, items: [{key: none, path: none}]}}
- {name: outside, secret: {secretName: db, items: [{key: password, path: ../../x}]}}
- {name: csi, csi: {driver: secrets-store.csi.k8s.io}}
- {name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    container: Value,
    #[serde(default)]
    volumes: BTreeMap<String, String>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    env: Option<BTreeMap<String, String>>,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
    files: Option<BTreeMap<PathBuf, File>>,
    order: Option<Vec<PathBuf>>,
    #[serde(default)]
    unresolved: Vec<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    content: Option<String>,
    base64: Option<String>,
    mode: Option<String>,
    #[serde(default)]
    ro: bool,
}

#[test]
fn containers_find_what_the_kubelet_gives_them() {
    let cluster = Cluster::from_yaml(CLUSTER).expect("a cluster");
    let volumes = yaml::to_json(&yaml::documents(VOLUMES).expect("YAML")[0]).expect("volumes");
    let cases = yaml::documents(include_str!("resolver.yaml")).expect("YAML");
    assert!(cases.len() > 20);
    for case in cases {
        let Case {
            case,
            container,
            volumes: written,
            expect,
        } = Case::deserialize(yaml::to_json(&case).expect("JSON")).expect("a case");
        let directory = Directory::new();
        for (path, content) in &written {
            let path = directory.0.join("volumes").join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, content).expect("a file");
        }
        let pod = json!({
            "metadata": {"name": "p", "namespace": "team-a", "labels": {"team": "a"}},
            "spec": {"serviceAccountName": "runner", "containers": [container], "volumes": volumes},
        });
        match (resolve(&pod, "app", &cluster, &directory.0), &expect.error) {
            (Ok(found), None) => expect.check(&found, &case),
            (Err(error), Some(expected)) => assert_eq!(error.to_string(), *expected, "{case}"),
            (found, _) => panic!("{case}: {found:?}"),
        }
    }
}

impl Expected {
    fn check(&self, found: &Container, case: &str) {
        assert_eq!(found.env, self.env.clone().unwrap_or_default(), "{case}");
        assert_eq!((&found.command, &found.args), (&self.command, &self.args), "{case}");
        let unresolved: Vec<String> = found
            .unresolved
            .iter()
            .map(|mount| format!("{} {}", mount.mount_path.display(), mount.volume))
            .collect();
        assert_eq!(unresolved, self.unresolved, "{case}");
        if let Some(order) = &self.order {
            let paths: Vec<&PathBuf> = found.mounts.iter().map(|mount| &mount.mount_path).collect();
            assert_eq!(paths, order.iter().collect::<Vec<_>>(), "{case}");
        }
        let mut files = BTreeMap::new();
        for mount in &found.mounts {
            walk(mount, &mount.source, &mut files);
        }
        let expected = self.files.iter().flatten();
        assert_eq!(
            files.keys().collect::<Vec<_>>(),
            expected.clone().map(|(path, _)| path).collect::<Vec<_>>(),
            "{case}"
        );
        for (path, expected) in expected {
            let (place, read_only) = &files[path];
            let content = fs::read(place).expect("a file");
            match (&expected.content, &expected.base64) {
                (Some(text), None) => assert_eq!(content, text.as_bytes(), "{case}"),
                (None, Some(base64)) => assert_eq!(STANDARD.encode(content), *base64, "{case}"),
                _ => panic!("{case}: content or base64"),
            }
            assert_eq!(*read_only, expected.ro, "{case}: {}", path.display());
            if let Some(mode) = &expected.mode {
                let permissions = fs::metadata(place).expect("a file").permissions().mode() & 0o777;
                assert_eq!(format!("{permissions:o}"), *mode, "{case}: {}", path.display());
            }
        }
    }
}

/// Collects the files of a mount: where the container sees each, where it is, whether it is read-only.
fn walk(mount: &Mount, place: &Path, files: &mut BTreeMap<PathBuf, (PathBuf, bool)>) {
    if place.is_dir() {
        for entry in fs::read_dir(place).expect("a directory") {
            walk(mount, &entry.expect("an entry").path(), files);
        }
        return;
    }
    let below = place.strip_prefix(&mount.source).expect("below the mount");
    let path = match below == Path::new("") {
        true => mount.mount_path.clone(),
        false => mount.mount_path.join(below),
    };
    files.insert(path, (place.to_owned(), mount.read_only));
}

#[test]
fn what_the_tool_admits_is_resolved() {
    let directory = Directory::new();
    let cluster = directory.0.join("cluster.yaml");
    fs::write(&cluster, CLUSTER).expect("a cluster");
    let requests = json!([
        {"group": "db", "key": "password", "mountRequirement": "ENV_VAR", "envVar": "PASSWORD"},
        {"group": "db", "key": "password", "mountRequirement": "FILE"},
    ]);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "team-a", "annotations": {"secret-injector/requests": requests.to_string()},
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    });
    let policy = modules::policy();
    let policy = policy.to_str().expect("UTF-8");
    let admitted = run(
        TOOL,
        &["preview", "-", "--wasm", policy, "--output", "yaml"],
        &pod.to_string(),
    );
    let admitted = admitted.expect("admitted");
    let root = directory.0.to_str().expect("UTF-8");
    let (cluster, none) = (cluster.to_str().expect("UTF-8"), "--container=none");
    let resolve = ["-", "--root", root, "--cluster", cluster];
    let resolved = run(RESOLVE, &[&resolve[..], &["--container", "app"]].concat(), &admitted).expect("resolved");
    let resolved: Value = serde_json::from_str(&resolved).expect("JSON");
    assert_eq!(resolved["env"]["PASSWORD"], "p$(HOST)$$");
    assert_eq!(resolved["env"]["_UNION_DB_PASSWORD"], "p$(HOST)$$");
    assert_eq!(resolved["env"]["FLYTE_SECRETS_DEFAULT_DIR"], "/etc/flyte/secrets");
    let mount = &resolved["mounts"][0];
    let place = Path::new(mount["source"].as_str().expect("a path"));
    let below = Path::new("/etc/flyte/secrets/db/password");
    let below = below
        .strip_prefix(mount["mountPath"].as_str().expect("a path"))
        .expect("below");
    assert_eq!(fs::read(place.join(below)).expect("a file"), b"p$(HOST)$$");

    let error = run(RESOLVE, &[&resolve[..], &[none]].concat(), &admitted).expect_err("no such container");
    assert_eq!(error, "error: the Pod has no container \"none\"\n");
}

const TOOL: &str = env!("CARGO_BIN_EXE_tool");
const RESOLVE: &str = env!("CARGO_BIN_EXE_resolve");

/// What a program prints, or complains of.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(modules::repository());
    let run = process::run(&mut command, input).expect("the tool");
    if run.success { Ok(run.out) } else { Err(run.err) }
}

/// A directory that goes away.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("secret-injector-resolver-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a directory");
        Self(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
