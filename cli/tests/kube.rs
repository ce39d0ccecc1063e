//! The tool asks a cluster: one that this test plays, over HTTP.
#![cfg(feature = "kube")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

const POD: &str = r#"apiVersion: v1
kind: Pod
metadata:
  name: p
  namespace: team-a
  annotations:
    secret-injector/requests: '[{"group": "SECRET", "key": "password", "mountRequirement": "ENV_VAR"}]'
spec:
  containers: [{name: app, image: x}]
"#;

/// A cluster with the Secret `db`, that does not give the Secret `forbidden`. It notes what it is asked.
struct Cluster {
    address: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Cluster {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let notes = Arc::clone(&notes);
                thread::spawn(move || while answer(stream.as_ref().expect("a connection"), &notes) {});
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut *self.asked.lock().expect("no panic"))
    }
}

/// Answers one request; false where there is none.
fn answer(mut stream: &TcpStream, notes: &Mutex<Vec<(String, Value)>>) -> bool {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or_default() == 0 {
        return false;
    }
    let request = line.rsplit_once(' ').expect("a request").0.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).expect("a header");
        if header.trim().is_empty() {
            break;
        }
        if let Some((_, value)) = header.to_lowercase().split_once("content-length: ") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    notes.lock().expect("no panic").push((request.clone(), body.clone()));
    let status = |code: u16, message: &str| {
        let status = json!({"kind": "Status", "status": "Failure", "message": message, "code": code});
        (code, status)
    };
    let (code, answer) = match request.rsplit_once('/').expect("a path").1 {
        "db" => (
            200,
            json!({"metadata": {"name": "db"}, "data": {"password": "Y29ycmVjdC1ob3JzZQ=="}}),
        ),
        "forbidden" => status(403, "secrets \"forbidden\" is forbidden"),
        "subjectaccessreviews" => (201, json!({"spec": body["spec"], "status": {"allowed": true}})),
        _ => status(404, "not found"),
    };
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all((head + &text).as_bytes()).is_ok()
}

/// The files of a test, which go away.
struct Files(PathBuf);

impl Drop for Files {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn preview(files: &Files, secret: &str, server: &str, settings: &str) -> (i32, String) {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "u", "user": {"token": "canary"}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
    });
    fs::write(files.0.join("kubeconfig"), kubeconfig.to_string()).expect("a file");
    fs::write(files.0.join("settings.yaml"), settings).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_secret-injector"))
        .args([
            "preview",
            "-",
            "--settings",
            "settings.yaml",
            "--kubeconfig",
            "kubeconfig",
        ])
        .current_dir(&files.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool");
    let mut input = child.stdin.take().expect("an input");
    input
        .write_all(POD.replace("SECRET", secret).as_bytes())
        .expect("a reader");
    drop(input);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("an end");
    let text = String::from_utf8([stdout, stderr].concat()).expect("UTF-8");
    assert!(!text.contains("correct-horse") && !text.contains("canary"), "{text}");
    (status.code().expect("a status"), text)
}

#[test]
fn a_cluster_is_asked_what_the_policy_asks() {
    let files = Files(std::env::temp_dir().join(format!("secret-injector-kube-{}", std::process::id())));
    fs::create_dir_all(&files.0).expect("a directory");
    let cluster = Cluster::start();
    let settings = |authorize: &str| format!("managers: [{{type: global, namespace: shared, authorize: {authorize}}}]");
    let get = |name: &str| format!("GET /api/v1/namespaces/shared/secrets/{name}");

    let (status, text) = preview(&files, "db", &cluster.address, &settings("none"));
    assert_eq!(status, 0, "{text}");
    assert!(
        text.contains("<the value of password in the Secret db>")
            && text.contains("note: the account of the kubeconfig has read these Secrets"),
        "{text}"
    );
    assert_eq!(cluster.asked(), [(get("db"), Value::Null)]);

    let (status, text) = preview(&files, "db", &cluster.address, &settings("serviceAccount"));
    assert_eq!(status, 0, "{text}");
    let reviews: Vec<Value> = cluster
        .asked()
        .into_iter()
        .map(|(_, body)| body["spec"].clone())
        .collect();
    assert!(
        reviews
            .iter()
            .any(|review| review["user"] == "system:serviceaccount:team-a:default"
                && review["resourceAttributes"]["name"] == "db"),
        "{reviews:?}"
    );

    let (status, text) = preview(&files, "none", &cluster.address, &settings("none"));
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("the namespace \"shared\" has no Secret \"none\""),
        "{text}"
    );

    let (status, text) = preview(&files, "forbidden", &cluster.address, &settings("none"));
    assert_eq!(status, 2, "{text}");
    assert!(
        text.contains(
            "the cluster refuses that to the account of the kubeconfig, which needs the right to get this Secret: "
        ),
        "{text}"
    );

    let (status, text) = preview(&files, "db", "127.0.0.1:9", &settings("none"));
    assert_eq!(status, 2, "{text}");
    assert!(
        text.contains("the cluster at 127.0.0.1:9 does not answer: Connection refused"),
        "{text}"
    );
}
