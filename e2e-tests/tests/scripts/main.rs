//! Runs the init containers that a mutated Pod has, in every POSIX shell that is here, with programs that stand in for
//! the clients of the secret managers (`stand-ins/`).
//!
//! Names and values are as awkward as they can be. Each file has to be there with the very value, readable by any user;
//! each file of variables has to give the kubelet the very value; nothing else may be left, and no name may run as code.

mod arrival;
mod confidant;
mod failures;
mod fields;
mod flyte;
mod flyte_store;
mod whole;

use base64::{Engine, engine::general_purpose::STANDARD};
use e2e_tests::mutated;
use secret_injector_policy::admission;
use secret_injector_policy::cluster::MemoryCluster;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Names that a shell, a client or the kubelet could take for something else.
const NAMES: &[&str] = &[
    "plain",
    "It's-\"Quoted\"",
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned;b",
    "a && touch pwned || touch pwned",
    "a|touch pwned",
    "a\\\\n\\'$(touch pwned)'",
    "' ; touch pwned ; '",
    "\" ; touch pwned ; \"",
    "$HOME ${PATH} $$ $0 $(PATH) $$(PATH) $1",
    "-n",
    "--help",
    "--flags-file=secrets.sh",
    " two  spaces ",
    "*",
    "[a-z]?",
    "~",
    "#comment",
    "a=b",
    "{a,b}",
    "!!",
    "ünïcode-漢-😀",
    "a%20b",
    "%s%n%d",
    "a:b",
    "name=@secrets.sh",
];

/// Values that a shell or a client could change.
const VALUES: &[&[u8]] = &[
    b"secret",
    b"ends with a line end\n",
    b"\n\n several \n lines \n\n",
    b"$HOME $(touch pwned) `touch pwned` ${X} \\ \\n \" # = ; & | * ? ~ !",
    b"it's \"quoted\"\ttabs\t",
    b"line\r\nends\r\n",
    "é漢😀".as_bytes(),
    b"None",
    b"%s%d%%",
    b"-n -e",
    b" ",
    b"{\"json\": \"\\u00e9\"}",
];

/// Values that only clients for bytes can give.
const BYTES: &[&[u8]] = &[b"\0\x01\xff\xfe\n", b"\n", &[0x80; 70_000]];

/// A manager, and how its secrets are called.
struct Manager {
    settings: Value,
    /// The request's group, group version and key for a name.
    request: fn(&str) -> (String, String, String),
    /// What the stand-in knows that secret as.
    known_as: fn(&str) -> String,
    /// Where the file is below the mount path.
    path: fn(&str) -> String,
    bytes: bool,
}

fn managers() -> Vec<Manager> {
    vec![
        Manager {
            settings: json!({"type": "gcp"}),
            request: |name| (name.to_owned(), "V-2".to_owned(), String::new()),
            known_as: |name| format!("{name}/versions/V-2"),
            path: |name| format!("{}/v-2", name.to_ascii_lowercase()),
            bytes: true,
        },
        Manager {
            settings: json!({"type": "gcp"}),
            request: |name| (format!("projects/1/secrets/{name}"), "latest".to_owned(), String::new()),
            known_as: |name| format!("projects/1/secrets/{name}/versions/latest"),
            path: |name| format!("projects/1/secrets/{}/latest", name.to_ascii_lowercase()),
            bytes: true,
        },
        Manager {
            settings: json!({"type": "gcp"}),
            request: |name| {
                (
                    format!("projects/locations/locations/europe-west1/secrets/{name}"),
                    "3".to_owned(),
                    String::new(),
                )
            },
            known_as: |name| format!("projects/locations/locations/europe-west1/secrets/{name}/versions/3"),
            path: |name| {
                format!(
                    "projects/locations/locations/europe-west1/secrets/{}/3",
                    name.to_ascii_lowercase()
                )
            },
            bytes: true,
        },
        Manager {
            settings: json!({"type": "azure"}),
            request: |name| {
                (
                    format!("https://v.vault.azure.net/secrets/{name}"),
                    String::new(),
                    String::new(),
                )
            },
            known_as: |name| format!("https://v.vault.azure.net/secrets/{name}"),
            path: |name| name.to_ascii_lowercase(),
            bytes: false,
        },
        Manager {
            settings: json!({"type": "azure"}),
            request: |name| (name.to_owned(), "V-2".to_owned(), "unused".to_owned()),
            known_as: |name| format!("{name}/V-2"),
            path: |name| format!("{}/v-2", name.to_ascii_lowercase()),
            bytes: false,
        },
        Manager {
            settings: json!({"type": "aws", "client": "cli"}),
            request: |name| {
                (
                    "arn:aws:secretsmanager:eu-west-1:1:secret:".to_owned(),
                    String::new(),
                    name.to_owned(),
                )
            },
            known_as: |name| format!("arn:aws:secretsmanager:eu-west-1:1:secret:{name}"),
            path: |name| {
                format!(
                    "arn:aws:secretsmanager:eu-west-1:1:secret:/{}",
                    name.to_ascii_lowercase()
                )
            },
            bytes: true,
        },
        Manager {
            settings: json!({"type": "aws", "client": "cli"}),
            request: |name| {
                (
                    "arn:aws:secretsmanager:eu-west-1:1:secret".to_owned(),
                    format!("{name}2"),
                    "k".to_owned(),
                )
            },
            // The stand-in tells an id from a label, as AWS does, by its length.
            known_as: |name| {
                let kind = if name.chars().count() + 1 < 32 { "stage" } else { "id" };
                format!("arn:aws:secretsmanager:eu-west-1:1:secret:k {kind}={name}2")
            },
            path: |name| {
                format!(
                    "arn:aws:secretsmanager:eu-west-1:1:secret/{}2/k",
                    name.to_ascii_lowercase()
                )
            },
            bytes: true,
        },
        Manager {
            settings: json!({"type": "aws", "client": "cli"}),
            request: |name| {
                (
                    "arn:aws:ssm:eu-west-1:1:parameter".to_owned(),
                    String::new(),
                    format!("/app/{name}"),
                )
            },
            known_as: |name| format!("arn:aws:ssm:eu-west-1:1:parameter/app/{name}"),
            path: |name| format!("arn:aws:ssm:eu-west-1:1:parameter/app/{}", name.to_ascii_lowercase()),
            bytes: false,
        },
        Manager {
            settings: json!({"type": "aws", "client": "cli"}),
            request: |name| {
                (
                    format!("arn:aws:ssm:eu-west-1:1:parameter/{name}/"),
                    "7".to_owned(),
                    "k".to_owned(),
                )
            },
            known_as: |name| format!("arn:aws:ssm:eu-west-1:1:parameter/{name}/k:7"),
            path: |name| format!("arn:aws:ssm:eu-west-1:1:parameter/{}/7/k", name.to_ascii_lowercase()),
            bytes: false,
        },
    ]
}

impl Manager {
    /// Whether the policy lets its client have a secret of that name, which is no part of a URL or an ARN.
    fn takes(&self, name: &str) -> bool {
        match self.settings["type"].as_str() {
            Some("gcp") => !name.contains(['?', '#']),
            Some("azure") => {
                let is_url = (self.request)(name).0.starts_with("https:");
                !(name.contains(['?', '#', ';', '@']) || is_url && name.contains('.'))
            }
            _ => {
                let (group, version, _) = (self.request)(name);
                let is_version = version.starts_with(name);
                let further: &[u8] = if group.contains(":ssm:") { b"/_.-" } else { b"/_+=.@!-" };
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || further.contains(&byte);
                is_version || name.bytes().all(plain)
            }
        }
    }

    fn file_request(&self, name: &str) -> Value {
        let (group, version, key) = (self.request)(name);
        json!({"group": group, "groupVersion": version, "key": key, "mountRequirement": "FILE"})
    }

    fn stored(&self, secrets: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
        secrets
            .iter()
            .map(|(name, value)| ((self.known_as)(name), value.to_vec()))
            .collect()
    }
}

/// The Pod that the policy makes, or its rejection's message.
fn mutate(requests: &[Value], containers: &[&str], settings: &Value) -> Result<Value, String> {
    let containers: Vec<Value> = containers
        .iter()
        .map(|name| json!({"name": name, "image": "img:1"}))
        .collect();
    mutate_spec(requests, &json!({"containers": containers}), settings)
}

/// As [`mutate`], for a Pod with this spec.
fn mutate_spec(requests: &[Value], spec: &Value, settings: &Value) -> Result<Value, String> {
    let payload = json!({
        "settings": settings,
        "request": {
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "team-a",
            "object": {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": "p",
                    "labels": {"organization": "acme", "domain": "dev", "project": "my-shop"},
                    "annotations": {"secret-injector/requests": Value::from(requests).to_string()},
                },
                "spec": spec,
            },
        },
    });
    let answer = admission::validate(payload.to_string().as_bytes(), &MemoryCluster::default());
    let answer: Value = serde_json::from_slice(&answer).expect("an answer");
    match answer["accepted"].as_bool() {
        Some(true) => {
            mutated::keep(&payload["request"]["object"], &answer["mutated_object"]);
            Ok(answer["mutated_object"].clone())
        }
        _ => Err(answer["message"].as_str().unwrap_or_default().to_owned()),
    }
}

/// The shells that are here; the clients' images have bash and busybox's ash.
fn shells() -> Vec<Vec<&'static str>> {
    let there: Vec<Vec<&str>> = [
        vec!["dash"],
        vec!["bash"],
        vec!["bash", "--posix"],
        vec!["busybox", "sh"],
    ]
    .into_iter()
    .filter(|shell| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(shell[0]).exists())
    })
    .collect();
    assert!(!there.is_empty(), "install dash, bash or busybox");
    there
}

/// A Pod's memory volumes and the secret managers, in a directory.
struct Run {
    directory: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Run {
    fn new(pod: &Value, secrets: &[(String, Vec<u8>)]) -> Self {
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("secret-injector-scripts-{}-{number}", std::process::id()));
        let open = |path: &Path| {
            fs::create_dir_all(path).expect("a directory");
            fs::set_permissions(path, Permissions::from_mode(0o777)).expect("permissions");
        };
        let bin = directory.join("bin");
        fs::create_dir_all(&bin).expect("a directory");
        let stand_ins = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-ins");
        for name in ["secrets.sh", "gcloud", "az", "aws", "date", "sleep"] {
            fs::copy(stand_ins.join(name), bin.join(name)).expect("a stand-in");
        }
        for name in ["managers", "work"] {
            open(&directory.join(name));
        }
        for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            assert_eq!(volume["emptyDir"]["medium"], "Memory");
            open(&directory.join("volumes").join(volume["name"].as_str().expect("a name")));
        }
        for (index, (name, value)) in secrets.iter().enumerate() {
            let secret = directory.join(format!("managers/secret-{index}"));
            fs::create_dir_all(&secret).expect("a directory");
            fs::write(secret.join("name"), name).expect("a name");
            fs::write(secret.join("value"), value).expect("a value");
            if std::str::from_utf8(value).is_err() || value.contains(&0) {
                fs::write(secret.join("binary"), "").expect("a mark");
            }
        }
        fs::write(directory.join("token"), "token").expect("a token");
        let environment = BTreeMap::from([
            ("PATH".to_owned(), format!("{}:/usr/bin:/bin", bin.display())),
            ("STAND_INS".to_owned(), directory.join("managers").display().to_string()),
            ("AZURE_CLIENT_ID".to_owned(), "client".to_owned()),
            ("AZURE_TENANT_ID".to_owned(), "tenant".to_owned()),
            (
                "AZURE_FEDERATED_TOKEN_FILE".to_owned(),
                directory.join("token").display().to_string(),
            ),
        ]);
        Self { directory, environment }
    }

    fn volume(&self, name: &Value) -> PathBuf {
        self.directory
            .join("volumes")
            .join(name.as_str().expect("a volume's name"))
    }

    /// Runs the one init container as the kubelet does, with `shell` for `sh` and other places for the volumes, as
    /// nobody where the test may change its user.
    fn container(&self, pod: &Value, shell: &[&str]) -> Output {
        let containers = pod["spec"]["initContainers"].as_array().expect("init containers");
        assert_eq!(containers.len(), 1, "one container for all");
        let container = &containers[0];
        let words = |field: &str| container[field].as_array().cloned().unwrap_or_default();
        let words: Vec<String> = [words("command"), words("args")]
            .concat()
            .iter()
            .map(|word| self.placed(&expanded(word.as_str().expect("a word")), container))
            .collect();
        let (first, rest) = words.split_first().expect("a command");
        assert_eq!(first, "sh");
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
        let mut line: Vec<&str> = if root() { nobody.to_vec() } else { Vec::new() };
        line.extend(shell);
        line.extend(rest.iter().map(String::as_str));
        Command::new(line[0])
            .args(&line[1..])
            .env_clear()
            .envs(&self.environment)
            .envs(variables(container))
            .current_dir(self.directory.join("work"))
            .output()
            .expect("a shell")
    }

    /// `word` with the directory that stands for the volume where it names a path in one.
    fn placed(&self, word: &str, container: &Value) -> String {
        // A path of an optional secret begins with a question mark, and then comes the file's mode.
        let (mark, word) = word.split_at(usize::from(word.starts_with('?')));
        let mode = word
            .split('/')
            .next()
            .filter(|mode| *mode == "0400")
            .unwrap_or_default();
        let word = &word[mode.len()..];
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let path = mount["mountPath"].as_str().expect("a path");
            let place = self.volume(&mount["name"]).display().to_string();
            match word.strip_prefix(path) {
                Some("") => return place,
                Some(rest) if rest.starts_with('/') => return format!("{mark}{mode}{place}{rest}"),
                _ => {}
            }
        }
        format!("{mark}{mode}{word}")
    }

    /// The volume that a container of the Pod mounts at `path`.
    fn mount(&self, pod: &Value, container: &str, path: &str) -> PathBuf {
        let mounts = &named(&pod["spec"]["containers"], container)["volumeMounts"];
        let mount = mounts
            .as_array()
            .into_iter()
            .flatten()
            .find(|mount| mount["mountPath"] == path);
        self.volume(&mount.expect("a mount")["name"])
    }

    /// The container's variables that come from files, as the kubelet reads them.
    fn variables(&self, pod: &Value, container: &str) -> BTreeMap<String, Vec<u8>> {
        let variables = named(&pod["spec"]["containers"], container)["env"].as_array().cloned();
        let mut read = BTreeMap::new();
        for variable in variables.into_iter().flatten() {
            let from = &variable["valueFrom"]["fileKeyRef"];
            if let (Some(path), Some(key)) = (from["path"].as_str(), from["key"].as_str()) {
                let file = fs::read(self.volume(&from["volumeName"]).join(path)).expect("a file of variables");
                let name = variable["name"].as_str().expect("a name").to_owned();
                read.insert(name, value_in(&file, key));
            }
        }
        read
    }

    /// Writes the file `mark` into a stand-in's directory; the mark `missing` takes the secret away.
    fn mark(&self, directory: &str, mark: &str, text: &str) {
        let directory = self.directory.join("managers").join(directory);
        if mark == "missing" {
            return fs::remove_dir_all(directory).expect("a secret");
        }
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(mark), text).expect("a mark");
    }

    /// How often the client was asked for a secret that is there.
    fn tries(&self, index: usize) -> usize {
        let tries = fs::read_to_string(self.directory.join(format!("managers/tries-secret-{index}")));
        tries.unwrap_or_default().lines().count()
    }

    /// How often the client was asked for secrets.
    fn fetches(&self) -> usize {
        let is_login = |call: &Vec<String>| call.contains(&"login".to_owned());
        self.calls().iter().filter(|call| !is_login(call)).count()
    }

    /// How many seconds have passed by the clock of the stand-ins.
    fn seconds(&self) -> u64 {
        let clock = fs::read_to_string(self.directory.join("managers/clock")).unwrap_or_else(|_| "1000".to_owned());
        clock.trim().parse::<u64>().expect("a number") - 1000
    }

    /// The calls of the stand-ins, each a list of its words.
    fn calls(&self) -> Vec<Vec<String>> {
        let calls = fs::read_to_string(self.directory.join("managers/calls")).unwrap_or_default();
        calls
            .split("\0\0")
            .filter(|call| !call.is_empty())
            .map(|call| call.split('\0').map(str::to_owned).collect())
            .collect()
    }

    /// Nothing but `count` files is in the volumes, others may read those that are mounted, and nothing ran that a name
    /// or a value says.
    fn check(&self, count: usize, shell: &[&str]) {
        let mut files = Vec::new();
        let volumes = self.directory.join("volumes");
        for volume in fs::read_dir(&volumes).expect("volumes") {
            let volume = volume.expect("a volume").path();
            let env = volume.display().to_string().ends_with("-env");
            walk(&volume, &mut |path, mode| {
                if path.is_dir() {
                    assert_eq!(mode, 0o755, "{shell:?}: {}", path.display());
                } else {
                    assert_eq!(mode, if env { 0o600 } else { 0o644 }, "{shell:?}: {}", path.display());
                    files.push(path.to_owned());
                }
            });
        }
        assert_eq!(files.len(), count, "{shell:?}: {files:?}");
        let ran: Vec<_> = fs::read_dir(self.directory.join("work")).expect("work").collect();
        assert!(ran.is_empty(), "{shell:?}: {ran:?}");
    }

    fn check_silence(&self, output: &Output, secrets: &[(&str, &[u8])]) {
        let said = [&output.stdout[..], &output.stderr].concat();
        for (name, value) in secrets {
            let known = value.len() > 5 && said.windows(value.len()).any(|part| part == *value);
            assert!(!known, "the value of {name} is in the log: {}", text(output));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// The container's own variables, as the kubelet gives them.
fn variables(container: &Value) -> Vec<(String, String)> {
    let text = |variable: &Value, field: &str| expanded(variable[field].as_str().unwrap_or_default());
    let variables = container["env"].as_array().into_iter().flatten();
    variables
        .map(|variable| (text(variable, "name"), text(variable, "value")))
        .collect()
}

/// The client was asked for each secret by its very name.
fn assert_calls_name(run: &Run, manager: &Manager, secrets: &[(&str, &[u8])]) {
    let calls = run.calls();
    for (name, _) in secrets {
        let (group, version, key) = (manager.request)(name);
        let asked = calls.iter().any(|call| {
            let line = call.join("\n");
            // gcloud takes the location beside the name.
            let mut parts = group.trim_end_matches([':', '/']).split("/locations/europe-west1");
            parts.all(|part| line.contains(part)) && line.contains(&version) && (key == "unused" || line.contains(&key))
        });
        assert!(asked, "{name} in {calls:?}");
    }
}

/// A word of `command` or `args` as the kubelet
/// [expands it](https://github.com/kubernetes/kubernetes/blob/master/third_party/forked/golang/expansion/expand.go).
fn expanded(word: &str) -> String {
    let mut result = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        result.push('$');
        assert!(
            !after.starts_with('('),
            "the kubelet would replace a variable in {word}"
        );
        rest = after.strip_prefix('$').unwrap_or(after);
    }
    result + rest
}

fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let items = list.as_array().into_iter().flatten();
    items
        .into_iter()
        .find(|item| item["name"] == name)
        .expect("a container")
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path, u32)) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        visit(
            &path,
            fs::symlink_metadata(&path).expect("metadata").permissions().mode() & 0o7777,
        );
        if path.is_dir() {
            walk(&path, visit);
        }
    }
}

/// What a user reads who neither is root nor wrote it.
fn read_as_nobody(path: &Path) -> Vec<u8> {
    if !root() {
        return fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65533", "--regid=65533", "--clear-groups", "cat"])
        .arg(path)
        .output()
        .expect("setpriv");
    assert!(output.status.success(), "{}: {}", path.display(), text(&output));
    output.stdout
}

fn root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The value of `key` in a file of variables with one line, by the kubelet's rules
/// ([KEP-3721](https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/3721-support-for-env-files)):
/// what stands between single quotes, without a CR before an LF.
fn value_in(file: &[u8], key: &str) -> Vec<u8> {
    assert!(file.len() < 64 * 1024, "the file is too long");
    let rest = file
        .strip_prefix(format!("{key}='").as_bytes())
        .expect("the name and a quote");
    let end = rest.iter().position(|byte| *byte == b'\'').expect("a closing quote");
    assert_eq!(&rest[end..], b"'\n", "something after the value");
    let mut value = rest[..end].to_vec();
    while let Some(position) = value.windows(2).position(|pair| pair == b"\r\n") {
        value.remove(position);
    }
    value
}
