//! A Pod, its requests and the policy's settings, made of bytes.
//!
//! The Pod is one that the API server accepts. Its names are taken from a few that the policy uses as well, so that they
//! collide often.

mod giving;

use arbitrary::{Result, Unstructured};
use secret_injector_policy::cluster::MemoryCluster;
use secret_injector_policy::requests::{FLYTE_PREFIX, JSON_ANNOTATION, base32};
use serde_json::{Map, Value, json};

/// Stands in trees for a number that no `f64` holds; the texts have the number itself.
const NUMBER_MARK: &str = "\"@number\"";
const NUMBER: &str = "98765432109876543210.012345678901234567890e4321";

/// The value of every Secret in the cluster: it may appear in the Pod's spec alone.
pub const SECRET_VALUE: &str = "v4lu3-$(HOME)-of-a-secret";

/// The namespace of the Pod.
pub const NAMESPACE: &str = "flytesnacks-development";

/// What the policy gets.
#[derive(Clone)]
pub struct Case {
    /// The Pod.
    pub pod: Value,
    /// What it asks for, in the form of [`JSON_ANNOTATION`]: what stands in its annotations.
    pub requests: Vec<Value>,
    /// The policy's settings, valid.
    pub settings: Value,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "settings: {}\npod: {}", self.settings, self.pod)
    }
}

impl Case {
    /// The case that `bytes` describe; any bytes describe one.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut source = Unstructured::new(bytes);
        // A source that has run dry gives zeros and no error.
        Self::take(&mut source).expect("a case")
    }

    fn take(source: &mut Unstructured<'_>) -> Result<Self> {
        let mut settings = settings(source)?;
        let requests = many(source, 5, request)?;
        let mut pod = pod(source)?;
        annotate(source, &mut pod, &requests)?;
        // Behind all else: what fuzzing has kept describes the same Pods as before.
        giving::add(source, &mut settings, &mut pod)?;
        Ok(Self {
            pod,
            requests,
            settings,
        })
    }

    /// What the host sends for `pod`.
    pub fn payload(&self, pod: &Value) -> Vec<u8> {
        payload(pod, &self.settings)
    }

    /// The Secrets that there are.
    pub fn cluster() -> MemoryCluster {
        let value = SECRET_VALUE.as_bytes();
        let account = format!("system:serviceaccount:{NAMESPACE}:default");
        // As Flyte 2 names them: the MD5 of the key in them.
        let project = (
            "4035abad4df3a29ae34a2d21ca9c9faf",
            "u__org__org__domain__development__project__flytesnacks__key__password",
        );
        let domain = (
            "9180b3820b93d5d58b5fed2d1baec9a5",
            "u__org__org__domain__development__project____key__key",
        );
        MemoryCluster::default()
            .with_secret(NAMESPACE, project.0, &[(project.1, value)])
            .with_secret("flyte", domain.0, &[(domain.1, value)])
            .with_permission(&account, "flyte", domain.0)
            .with_secret("flyte-secrets", "db", &[("password", value), ("token", b"\xff")])
            .with_secret("flyte-secrets", "group", &[("key", value)])
            .with_secret(NAMESPACE, "db", &[("password", value), ("KEY", value)])
            .with_permission(&account, "flyte-secrets", "db")
    }
}

/// What the host sends for `pod`.
pub fn payload(pod: &Value, settings: &Value) -> Vec<u8> {
    let request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": pod,
    });
    let payload = json!({"request": request, "settings": settings}).to_string();
    payload.replace(NUMBER_MARK, NUMBER).into_bytes()
}

/// The policy's answer as a tree, the number that a tree cannot hold marked again.
pub fn answer(bytes: &[u8]) -> Value {
    let text = std::str::from_utf8(bytes).expect("an answer in UTF-8");
    serde_json::from_str(&text.replace(NUMBER, NUMBER_MARK)).expect("an answer in JSON")
}

const GROUPS: &[&str] = &[
    "db",
    "group",
    "g-1",
    "My.Group_2",
    "DB",
    "",
    "..",
    "a/b",
    "日本 \u{202e}\"{{",
    "secret/data/app",
];
const VERSIONS: &[&str] = &["", "1", "kv2", "AWSCURRENT", "../x"];
const KEYS: &[&str] = &[
    "password",
    "key",
    "token",
    "KEY",
    "*",
    "k.e-y",
    "",
    "..",
    "a/b",
    "\u{0}\u{1f511}`$(X)",
];
const VARIABLES: &[&str] = &[
    "TOKEN",
    "_UNION_DB_PASSWORD",
    "FLYTE_SECRETS_DEFAULT_DIR",
    "HOME",
    "DB-1.x",
    "_UNION_GROUP_KEY",
];
const CONTAINERS: &[&str] = &[
    "main",
    "proxy",
    "Main",
    "aws-pull-secret-0",
    "gcp-pull-secret-0",
    "azure-pull-secret-0",
    "fetch-secrets",
    "init",
];
const PATHS: &[&str] = &[
    "/data",
    "/etc/flyte/secrets",
    "/etc/flyte/secrets/",
    "/etc/flyte/secrets/db",
    "/etc/flyte/secrets/db/password",
    "/etc/flyte",
    "/etc/secrets/group",
];

fn settings(source: &mut Unstructured<'_>) -> Result<Value> {
    let mut settings = Map::new();
    let mut managers = many(source, 3, manager)?;
    if managers.is_empty() {
        managers.push(json!({"type": "kubernetes"}));
    }
    settings.insert("managers".to_owned(), Value::Array(managers));
    for (name, values) in [
        ("envPrefix", json!(["_UNION_", "_FSEC_", "home"])),
        ("mountPath", json!(["/etc/flyte/secrets", "/etc/secrets", "/data"])),
        ("initContainers", json!(["first", "last"])),
        ("envFiles", json!([false, true])),
        ("statusAnnotation", json!([true, false])),
        ("onUnserved", json!(["reject", "warn"])),
        (
            "access",
            json!([[{"namespaces": ["*"]}], [{"secrets": ["db/*", "group/?*", "group/"]}]]),
        ),
    ] {
        if source.ratio(1, 3)? {
            let values = values.as_array().cloned().unwrap_or_default();
            settings.insert(name.to_owned(), source.choose(&values)?.clone());
        }
    }
    // The policy refuses the two together.
    if settings.get("envFiles") == Some(&json!(true)) {
        settings.insert("initContainers".to_owned(), json!("first"));
    }
    Ok(Value::Object(settings))
}

fn manager(source: &mut Unstructured<'_>) -> Result<Value> {
    let managers = [
        json!({"type": "kubernetes"}),
        json!({"type": "kubernetes", "optional": false}),
        json!({"type": "kubernetes", "verify": true}),
        json!({"type": "global"}),
        json!({"type": "global", "authorize": "none"}),
        json!({"type": "vault", "annotations": {"vault.hashicorp.com/agent-cache-enable": "true"}}),
        json!({"type": "vault", "kvVersion": 1, "role": "own", "format": "dotenv"}),
        json!({"type": "vault", "role": "{namespace}", "names": {"group": "kv/{namespace}/{group}", "key": "{key}.x"}}),
        json!({"type": "kubernetes", "names": {"group": "db", "key": "{key}"}}),
        json!({"type": "gcp", "names": {"group": "{namespace}_{group}", "groupVersion": "latest"}}),
        json!({"type": "aws"}),
        json!({"type": "aws", "client": "cli", "resources": {}, "securityContext": {}}),
        json!({"type": "gcp"}),
        json!({"type": "azure"}),
        json!({
            "type": "confidant",
            "image": "confidant",
            "url": "https://confidant.example.com",
            "authKey": "alias/auth",
            "authContext": {"to": "confidant"},
            "region": "us-east-1",
        }),
        json!({"type": "csi"}),
        json!({"type": "csi", "secretProviderClass": "all", "secretName": "db", "names": {"key": "{key}.v2"}}),
        json!({"type": "flyte"}),
        json!({"type": "flyte", "literal": true, "podNamespace": "any", "authorize": "serviceAccount"}),
        json!({"type": "template", "name": "bank-vaults", "env": [{"name": "{envVar}", "value": "vault:{group}#{key}"}]}),
        json!({
            "type": "template",
            "names": {"group": "kv/{namespace}/{group}"},
            "path": "{group}/{key}",
            "volumes": [{"name": "agent", "emptyDir": {"medium": "Memory"}}],
            "volumeMounts": [{"name": "agent", "mountPath": "{mountPath}"}],
            "initContainers": [{"name": "agent-{id}", "image": "agent", "args": ["{group}/{key}"]}],
            "annotations": {"agent.example.com/{id}": "{group}"},
        }),
    ];
    let mut manager = source.choose(&managers)?.clone();
    // Groups that this manager takes no notice of are no valid settings.
    if manager["type"] != "flyte" && source.ratio(1, 6)? {
        manager["match"] = json!({"groups": [source.choose(&["d*", "group", "?*"])?], "mounts": ["file"]});
    }
    Ok(manager)
}

fn request(source: &mut Unstructured<'_>) -> Result<Value> {
    let mut request = json!({
        "group": word(source, GROUPS)?,
        "key": word(source, KEYS)?,
        "mountRequirement": source.choose(&["ANY", "ENV_VAR", "FILE"])?,
    });
    if source.ratio(1, 2)? {
        request["groupVersion"] = json!(source.choose(VERSIONS)?);
    }
    if source.ratio(1, 12)? {
        request["field"] = json!(word(source, KEYS)?);
    }
    if source.ratio(1, 3)? {
        request["envVar"] = json!(word(source, VARIABLES)?);
    }
    if request["mountRequirement"] == "FILE" && source.ratio(1, 3)? {
        request["path"] = json!(word(source, &["/home/app/key", "/run/k", "/etc/flyte/k"])?);
        request["mode"] = json!(source.choose(&["0444", "0440", "0400"])?);
    }
    Ok(request)
}

/// [`likely`], or now and then any text at all, long ones too.
fn word(source: &mut Unstructured<'_>, choices: &[&str]) -> Result<String> {
    if source.ratio(14, 15)? {
        return Ok(likely(source, choices)?.to_owned());
    }
    // The Secrets' value may be guessed, but is not to be asked for: see `laws::keeps_values_secret`.
    let text = source.arbitrary::<String>()?.replace(&SECRET_VALUE[..5], "");
    Ok(text.repeat(source.choose(&[1_usize, 1, 9, 300])?.to_owned()))
}

/// One of the first three as a rule, so that requests and Pods mostly make sense.
fn likely<'c>(source: &mut Unstructured<'_>, choices: &'c [&'c str]) -> Result<&'c str> {
    let few = choices.get(..3).unwrap_or(choices);
    Ok(if source.ratio(3, 4)? {
        source.choose(few)?
    } else {
        source.choose(choices)?
    })
}

fn pod(source: &mut Unstructured<'_>) -> Result<Value> {
    let mut volumes = Vec::new();
    let kubernetes_volume = base32::encode(b"db_");
    let names = [
        "data",
        "secrets",
        &kubernetes_volume,
        "secrets-env",
        "agent",
        "aws-secret-vol",
    ];
    for name in names {
        if source.ratio(1, 4)? {
            let sources = [
                json!({"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}),
                json!({"emptyDir": {}}),
                json!({"secret": {"secretName": "db", "items": [{"key": "password", "path": "password"}]}}),
                json!({"configMap": {"name": "c", "futureField": [null, "@number"]}}),
            ];
            let mut volume = source.choose(&sources)?.clone();
            volume["name"] = json!(name);
            volumes.push(volume);
        }
    }
    let mut containers = Vec::new();
    let mut init_containers = Vec::new();
    for name in CONTAINERS {
        if *name == "main" || source.ratio(1, 5)? {
            let name = if *name == "Main" { "main-2" } else { name };
            let container = container(source, name, &volumes)?;
            if name == "main" || source.ratio(1, 2)? {
                containers.push(container);
            } else {
                init_containers.push(container);
            }
        }
    }
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "task", "creationTimestamp": null},
        "spec": {"containers": containers},
    });
    let spec = &mut pod["spec"];
    list(source, spec, "volumes", volumes)?;
    list(source, spec, "initContainers", init_containers)?;
    if source.ratio(1, 4)? {
        list(
            source,
            spec,
            "imagePullSecrets",
            vec![json!({"name": "registry", "futureField": 1})],
        )?;
    }
    let places = ["/metadata", "/spec", ""];
    for place in places {
        unknown(source, pod.pointer_mut(place))?;
    }
    if source.ratio(1, 2)? {
        pod["metadata"]["labels"] = json!({"organization": "org", "project": "flytesnacks", "domain": "development"});
    }
    Ok(pod)
}

/// Sets a list, or leaves an empty one out or `null`.
fn list(source: &mut Unstructured<'_>, object: &mut Value, field: &str, items: Vec<Value>) -> Result<()> {
    if !items.is_empty() {
        object[field] = Value::Array(items);
    } else if source.ratio(1, 4)? {
        object[field] = source.choose(&[Value::Null, json!([])])?.clone();
    }
    Ok(())
}

fn container(source: &mut Unstructured<'_>, name: &str, volumes: &[Value]) -> Result<Value> {
    let mut container = json!({"name": name, "image": source.choose(&["busybox", "docker.io/amazon/aws-cli:2.37.5"])?});
    let mut env = Vec::new();
    for name in VARIABLES {
        if source.ratio(1, 6)? {
            let values = [
                json!({"value": "own $(TOKEN)"}),
                json!({}),
                json!({"value": ""}),
                json!({"valueFrom": {"secretKeyRef": {"name": "db", "key": "password", "optional": true}}}),
                json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name", "futureField": "@number"}}}),
                json!({"value": "/etc/flyte/secrets"}),
            ];
            let mut variable = source.choose(&values)?.clone();
            variable["name"] = json!(name);
            env.push(variable);
        }
    }
    list(source, &mut container, "env", env)?;
    let mut mounts = Vec::new();
    if !volumes.is_empty() {
        for path in PATHS {
            if source.ratio(1, 8)? {
                let mut mount = json!({"name": source.choose(volumes)?["name"], "mountPath": path});
                if source.ratio(1, 3)? {
                    mount["subPath"] = json!("sub");
                }
                mounts.push(mount);
            }
        }
    }
    list(source, &mut container, "volumeMounts", mounts)?;
    if name != "main" && source.ratio(1, 4)? {
        container["restartPolicy"] = json!("Always");
    }
    unknown(source, Some(&mut container))?;
    Ok(container)
}

/// Adds fields that no Kubernetes version knows.
fn unknown(source: &mut Unstructured<'_>, object: Option<&mut Value>) -> Result<()> {
    if let Some(object) = object
        && source.ratio(1, 4)?
    {
        let name = source.choose(&["futureField", "", "\u{0}\"\\\u{e000}", "Name", "日本語"])?;
        object[name] = anything(source, 4)?;
    }
    Ok(())
}

fn anything(source: &mut Unstructured<'_>, depth: u32) -> Result<Value> {
    let scalars = [
        json!(null),
        json!(true),
        json!("@number"),
        json!(-0.0),
        json!(u64::MAX),
        json!("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{feff}\r\n\u{7f}\u{2028}"),
        json!(""),
    ];
    let kind = if depth == 0 { 0 } else { source.int_in_range(0..=2)? };
    Ok(match kind {
        0 => source.choose(&scalars)?.clone(),
        1 => Value::Array(many(source, 3, |source| anything(source, depth - 1))?),
        _ => json!({
            (*source.choose(&["name", "env", "valueFrom"])?): anything(source, depth - 1)?,
            "": anything(source, depth - 1)?,
        }),
    })
}

/// Up to `most` items.
fn many<T>(
    source: &mut Unstructured<'_>,
    most: usize,
    item: impl Fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = source.int_in_range(0..=most)?;
    (0..count).map(|_| item(source)).collect()
}

/// Writes the requests into the Pod's annotations, each in one of the two forms.
fn annotate(source: &mut Unstructured<'_>, pod: &mut Value, requests: &[Value]) -> Result<()> {
    let mut annotations = Map::new();
    let mut readable = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        if source.ratio(1, 2)? {
            annotations.insert(
                format!("{FLYTE_PREFIX}{index}"),
                json!(base32::encode(text_format(request).as_bytes())),
            );
        } else {
            let mut request = request.clone();
            if source.ratio(1, 4)? {
                let names = [
                    json!(["main"]),
                    json!(["proxy", "main", "main"]),
                    json!(["aws-pull-secret-0"]),
                    json!(["$primary"]),
                ];
                request["containers"] = source.choose(&names)?.clone();
                // What is chosen costs bytes, of which a case has few.
                request["optional"] = match request["containers"][0].as_str() {
                    Some("proxy") => json!(false),
                    Some("main") => Value::Null,
                    _ => json!(true),
                };
            }
            readable.push(request);
        }
    }
    if !readable.is_empty() {
        annotations.insert(JSON_ANNOTATION.to_owned(), json!(Value::Array(readable).to_string()));
    }
    for (key, value) in [
        ("example.com/other", "\u{0}@number 日本"),
        ("vault.hashicorp.com/agent-inject", "false"),
        ("vault.hashicorp.com/role", "the Pod's own"),
        ("vault.hashicorp.com/agent-inject-containers", "main"),
        ("vault.hashicorp.com/agent-inject-secret-mine", "secret/data/mine"),
        ("secret-injector/status", "junk"),
    ] {
        if source.ratio(1, 6)? {
            annotations.insert(key.to_owned(), json!(value));
        }
    }
    if !annotations.is_empty() {
        pod["metadata"]["annotations"] = Value::Object(annotations);
    } else if source.ratio(1, 4)? {
        pod["metadata"]["annotations"] = Value::Null;
    }
    Ok(())
}

fn text_format(request: &Value) -> String {
    let mut text = String::new();
    for (name, field) in [
        ("group", "group"),
        ("group_version", "groupVersion"),
        ("key", "key"),
        ("env_var", "envVar"),
    ] {
        let value = request[field].as_str().unwrap_or_default();
        let escaped: String = value.bytes().map(|byte| format!("\\{byte:03o}")).collect();
        text.push_str(&format!("{name}: \"{escaped}\"\n"));
    }
    text.push_str(&format!(
        "mount_requirement: {}",
        request["mountRequirement"].as_str().unwrap_or_default()
    ));
    text
}
