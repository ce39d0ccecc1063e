//! What `aws`, `gcp` and `azure` make of a request, in the Pod. That the containers fetch it, `e2e-tests/tests/scripts/`
//! shows.

use serde_json::{Value, json};

use crate::admission;
use crate::cluster::MemoryCluster;
use crate::settings::Settings;

/// The policy's answer for a Pod with a container `app` that makes one request.
fn answer(settings: &Value, request: &Value) -> Value {
    answer_all(settings, &json!([request]))
}

fn answer_all(settings: &Value, requests: &Value) -> Value {
    let review = json!({
        "settings": settings,
        "request": {
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "team-a",
            "object": {
                "metadata": {"annotations": {"secret-injector/requests": requests.to_string()}},
                "spec": {"containers": [{"name": "app", "image": "img"}]},
            },
        },
    });
    let answer = admission::validate(review.to_string().as_bytes(), &MemoryCluster::default());
    serde_json::from_slice(&answer).unwrap()
}

/// The variables of a container: their values, or the names in the files of variables.
fn variables(container: &Value) -> Value {
    let variables = container["env"].as_array().into_iter().flatten();
    variables
        .map(|variable| {
            let name = variable["name"].as_str().unwrap().to_owned();
            let key = &variable["valueFrom"]["fileKeyRef"]["key"];
            let value = if key.is_null() { &variable["value"] } else { key };
            (name, value.clone())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn a_request_becomes_arguments_a_file_and_variables() {
    let gcp = json!({"type": "gcp"});
    let azure = json!({"type": "azure"});
    let cli = json!({"type": "aws", "client": "cli"});
    let file = "/etc/flyte/secrets";
    for (manager, request, arguments, path) in [
        (
            &gcp,
            json!({"group": "Db", "groupVersion": "V2"}),
            ["Db", "V2"],
            "db/v2",
        ),
        (
            &gcp,
            json!({"group": "projects/1/secrets/Db/", "groupVersion": "latest", "key": "unused"}),
            ["projects/1/secrets/Db", "latest"],
            "projects/1/secrets/db/latest",
        ),
        (
            &azure,
            json!({"group": "https://V.vault.azure.net/secrets/Db//"}),
            ["https://V.vault.azure.net/secrets/Db", ""],
            "db",
        ),
        (
            &azure,
            json!({"group": "https://v/secrets/a%20b", "groupVersion": "1"}),
            ["https://v/secrets/a%20b", "1"],
            "a%20b/1",
        ),
        (
            &cli,
            json!({"group": "arn:aws:secretsmanager:eu:1:secret:::", "key": "::My/Db"}),
            ["arn:aws:secretsmanager:eu:1:secret:My/Db", ""],
            "arn:aws:secretsmanager:eu:1:secret:::/::my/db",
        ),
        (
            &cli,
            json!({"group": "arn:aws", "key": "secretsmanager:eu:1:secret:db", "groupVersion": "AWSPREVIOUS"}),
            ["arn:aws:secretsmanager:eu:1:secret:db", "AWSPREVIOUS"],
            "arn:aws/awsprevious/secretsmanager:eu:1:secret:db",
        ),
    ] {
        let mut request = request;
        request["envVar"] = json!("DB_FILE");
        let pod = answer(&json!({"managers": [manager]}), &request)["mutated_object"].clone();
        let spec = &pod["spec"];
        let fetch = &spec["initContainers"][0];
        let expected = json!([file, arguments[0], arguments[1], format!("{file}/{path}"), ""]);
        assert_eq!(fetch["args"], expected, "{request}");
        let expected = json!({
            "FLYTE_SECRETS_DEFAULT_DIR": file, "FLYTE_SECRETS_FILE_PREFIX": null, "DB_FILE": format!("{file}/{path}"),
        });
        assert_eq!(variables(&spec["containers"][0]), expected, "{request}");
        assert_eq!(fetch["env"], Value::Null);
        let script = fetch["command"][2].as_str().unwrap();
        assert!(!script.contains("write_env() ("), "it writes no variables");
        assert_eq!(fetch["securityContext"]["runAsNonRoot"], true);
    }
}

#[test]
fn the_image_of_aws_takes_one_file_a_container() {
    let arn = "arn:aws:secretsmanager:eu:1:secret:";
    let request = json!({"group": arn, "key": "My/Db", "groupVersion": "AWSPREVIOUS"});
    let answer = answer(&json!({"managers": [{"type": "aws"}]}), &request);
    let fetch = &answer["mutated_object"]["spec"]["initContainers"][0];
    let expected = json!({"SECRET_ARN": format!("{arn}My/Db"), "SECRET_FILENAME": format!("/{arn}/my/db")});
    assert_eq!(variables(fetch), expected);
    assert_eq!(
        fetch["volumeMounts"],
        json!([{"name": "aws-secret-vol", "mountPath": "/tmp"}])
    );
    assert_eq!(fetch["command"], Value::Null);
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("\"AWSPREVIOUS\"") && warning.contains("client: cli"),
        "{warning}"
    );
}

#[test]
fn variables_get_the_name_that_flytekit_looks_for_and_the_one_that_is_asked_for() {
    for (request, names) in [
        (json!({"group": "db", "groupVersion": "1"}), vec!["_UNION_DB_1"]),
        (
            json!({"group": "db", "groupVersion": "1", "key": "pw", "envVar": "PGPASSWORD"}),
            vec!["PGPASSWORD", "_UNION_DB_1_PW"],
        ),
        (
            json!({"group": "projects/1/secrets/db", "groupVersion": "1", "envVar": "PGPASSWORD"}),
            vec!["PGPASSWORD"],
        ),
        (
            json!({"group": "db", "groupVersion": "1", "envVar": "_UNION_DB_1"}),
            vec!["_UNION_DB_1"],
        ),
    ] {
        let mut request = request;
        request["mountRequirement"] = json!("ENV_VAR");
        let settings = json!({"envFiles": true, "managers": [{"type": "gcp"}]});
        let pod = answer(&settings, &request)["mutated_object"].clone();
        let found = variables(&pod["spec"]["containers"][0]);
        let mut expected: Vec<&str> = names;
        expected.push("FLYTE_SECRETS_ENV_PREFIX");
        expected.sort_unstable();
        assert_eq!(
            found.as_object().unwrap().keys().collect::<Vec<_>>(),
            expected,
            "{request}"
        );
        // All have the value of one line.
        let lines = found.as_object().unwrap().values().filter(|value| **value != "_UNION_");
        let script = &pod["spec"]["initContainers"][0]["command"][2];
        assert!(script.as_str().unwrap().contains("write_env() ("));
        let args = pod["spec"]["initContainers"][0]["args"].as_array().unwrap();
        assert!(lines.into_iter().all(|line| line == args.last().unwrap()), "{request}");
    }
}

#[test]
fn what_cannot_be_served_is_left_to_others_with_a_reason() {
    let both = json!({"group": "g", "groupVersion": "1", "key": "k", "mountRequirement": "ENV_VAR"});
    let with = |field: &str, value: &str| {
        let mut request = both.clone();
        request[field] = json!(value);
        request
    };
    let plain = |manager: Value| json!({"managers": [manager]});
    let env_files = |manager: Value| json!({"envFiles": true, "managers": [manager]});
    for (settings, request, reason) in [
        (plain(json!({"type": "gcp"})), &both, "envFiles: true"),
        (plain(json!({"type": "azure"})), &both, "envFiles: true"),
        (
            plain(json!({"type": "aws", "client": "cli"})),
            &with("group", "arn:aws:secretsmanager:eu:1:secret"),
            "envFiles: true",
        ),
        (
            env_files(json!({"type": "aws", "client": "cli"})),
            &both,
            "\"g:k\" is not the ARN of a secret; group and key together have to be arn:PARTITION:secretsmanager:",
        ),
        (env_files(json!({"type": "aws"})), &both, "client: cli"),
        (
            env_files(json!({"type": "gcp"})),
            &with("group", "../b"),
            "no secret's name",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("group", "projects/a/secrets/../../b/secrets/x"),
            "no secret's name",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("group", "projects/../secrets/x"),
            "cannot be a file's name",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("group", "a\nb"),
            "cannot be a file's name",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("groupVersion", "../y"),
            "cannot be a version",
        ),
        (
            env_files(json!({"type": "azure"})),
            &with("groupVersion", "../y"),
            "cannot be a version",
        ),
        (
            env_files(json!({"type": "aws", "client": "cli"})),
            &with("group", "arn:aws:secretsmanager:eu:1:secret:a/../b:"),
            "is not the ARN of a secret",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("group", "a b"),
            "name one with env_var",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("envVar", "-a"),
            "start with a letter",
        ),
        (
            env_files(json!({"type": "gcp"})),
            &with("envVar", "1a"),
            "cannot be a variable's name",
        ),
    ] {
        let answer = answer(&settings, request);
        assert_eq!(answer["accepted"], false, "{settings} {request}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(reason), "{message}");
    }
}

/// What the client would read as the name of another secret than `access` and `match` have seen.
#[test]
fn neither_version_nor_url_leads_to_another_secret() {
    let full = "projects/prod/secrets/team-b-db/versions/latest";
    let secrets = "https://v.vault.azure.net/secrets";
    for (kind, group, version) in [
        ("gcp", "team-a-x", full),
        ("gcp", "team-a-x", "//secretmanager.googleapis.com/a"),
        ("gcp", "team-a-x", "1?x"),
        ("gcp", "team-a-x", "1#x"),
        ("gcp", full, "1"),
        (
            "gcp",
            "https://secretmanager.googleapis.com/v1/projects/prod/secrets/b",
            "1",
        ),
        ("gcp", "projects/prod/secrets/b?x", "1"),
        ("azure", secrets, "team-b-db"),
        ("azure", secrets, ""),
        ("azure", "https://v.vault.azure.net/secrets//", "team-b-db"),
        (
            "azure",
            "https://v.vault.azure.net/secrets/prod-db?x=.vault.azure.net/secrets/team-a-",
            "",
        ),
        ("azure", "https://v.vault.azure.net/secrets/prod-db#team-a-", ""),
        ("azure", "https://v.vault.azure.net/secrets/prod-db;team-a-", ""),
        ("azure", "https://v.vault.azure.net/secrets/prod-db/team-a-", ""),
        ("azure", "https://evil@v.vault.azure.net/secrets/a", ""),
        ("azure", "https://evil.example.com:x.vault.azure.net/secrets/a", ""),
        ("azure", "https://evil.example.com:443:1.vault.azure.net/secrets/a", ""),
        ("azure", "https://v.vault.azure.net:/secrets/a", ""),
        ("azure", "https://v.vault.azure.net:443x/secrets/a", ""),
        ("azure", "https://v.vault.azure.net:123456/secrets/a", ""),
        ("azure", "https://:443/secrets/a", ""),
        ("azure", "https://evil\\.vault.azure.net/secrets/a", ""),
        ("azure", "https:///secrets/a", ""),
        ("azure", "http://v.vault.azure.net/secrets/a", ""),
        ("azure", "https://v.vault.azure.net/keys/a", ""),
        ("azure", "https://v.vault.azure.net/secrets/a", "../b"),
        ("azure", "https://v.vault.azure.net/secrets/a", "1?x"),
        ("azure", "@file", ""),
    ] {
        for mount in ["FILE", "ENV_VAR"] {
            let request = json!({"group": group, "groupVersion": version, "mountRequirement": mount, "envVar": "X"});
            let answer = answer(&json!({"envFiles": true, "managers": [{"type": kind}]}), &request);
            assert_eq!(answer["code"], 422, "{kind} {request}: {answer}");
        }
    }
}

#[test]
fn settings_that_cannot_be_are_told() {
    for (manager, problem) in [
        (
            json!({"type": "aws", "client": "sdk"}),
            "client has to be sidecar or cli",
        ),
        (json!({"type": "gcp", "image": ""}), "image is not an image's name"),
        (
            json!({"type": "azure", "resources": "small"}),
            "resources has to be an object",
        ),
        (
            json!({"type": "aws", "resources": {"limit": {"memory": "1Gi"}}}),
            "managers[0] (aws).resources.limit is not a field of Kubernetes' ResourceRequirements",
        ),
        (
            json!({"type": "flyte", "resources": {"limits": {"memory": "1 GB"}}}),
            "managers[0] (flyte).resources.limits.memory has to be an amount",
        ),
        (
            json!({"type": "gcp", "securityContext": {"runAsUser": "1000"}}),
            "managers[0] (gcp).securityContext.runAsUser has to be an integer",
        ),
        (
            json!({"type": "gcp", "securityContext": {"seccompProfile": {"type": "Default"}}}),
            "managers[0] (gcp).securityContext.seccompProfile.type has to be Localhost|RuntimeDefault|Unconfined",
        ),
        (json!({"type": "gcp", "client": "cli"}), "client is not a setting"),
    ] {
        let error = Settings::parse(&json!({"managers": [manager]}).to_string())
            .err()
            .unwrap();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn one_secret_under_two_names_is_fetched_once() {
    let settings = json!({"envFiles": true, "managers": [{"type": "gcp"}]});
    let request = |name| json!({"group": "a", "groupVersion": "1", "mountRequirement": "ENV_VAR", "envVar": name});
    let answer = answer_all(&settings, &json!([request("A"), request("B")]));
    let spec = &answer["mutated_object"]["spec"];
    let arguments = json!(["/etc/flyte/secrets", "a", "1", "/etc/flyte/secrets/0.env", "_UNION_A_1"]);
    assert_eq!(spec["initContainers"][0]["args"], arguments);
    let file = json!({"volumeName": "gcp-secret-vol-env", "path": "0.env", "key": "_UNION_A_1"});
    let env = spec["containers"][0]["env"].as_array().unwrap();
    for name in ["A", "B", "_UNION_A_1"] {
        let variable = env.iter().find(|variable| variable["name"] == name).unwrap();
        assert_eq!(variable["valueFrom"]["fileKeyRef"], file, "{name}");
    }
}

/// The fields that have to be where a container fetches, for each manager.
#[test]
fn containers_that_fetch_get_variables_and_certificates() {
    let network = json!({
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "caBundle": {"secret": "company-ca"},
    });
    let arn = json!({"group": "arn:aws:secretsmanager:eu:1:secret", "key": "db"});
    let confidant = json!({
        "type": "confidant", "url": "https://c", "authKey": "k", "region": "r", "image": "i", "authContext": {"to": "t"},
    });
    for (manager, request) in [
        (json!({"type": "aws"}), arn.clone()),
        (json!({"type": "aws", "client": "cli"}), arn),
        (json!({"type": "gcp"}), json!({"group": "db", "groupVersion": "1"})),
        (
            json!({"type": "azure"}),
            json!({"group": "https://v.vault.azure.net:443/secrets/db"}),
        ),
        (confidant, json!({"group": "g", "key": "k"})),
    ] {
        let mut manager = manager;
        for (field, value) in network.as_object().unwrap() {
            manager[field] = value.clone();
        }
        let mut request = request;
        request["mountRequirement"] = json!("FILE");
        let answer = answer(&json!({"managers": [manager]}), &request);
        let spec = &answer["mutated_object"]["spec"];
        let fetch = &spec["initContainers"][0];
        let variables = variables(fetch);
        assert_eq!(variables["HTTPS_PROXY"], "http://proxy:3128", "{manager}");
        for name in [
            "AWS_CA_BUNDLE",
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
            "REQUESTS_CA_BUNDLE",
            "SSL_CERT_FILE",
        ] {
            assert_eq!(variables[name], "/etc/secret-injector-ca/ca.crt", "{manager}");
        }
        let mounts = fetch["volumeMounts"].as_array().unwrap();
        let ca = json!({"name": "secret-injector-ca", "readOnly": true, "mountPath": "/etc/secret-injector-ca"});
        assert!(mounts.contains(&ca), "{manager}: {mounts:?}");
        let items = json!([{"key": "ca.crt", "path": "ca.crt"}]);
        let volume = json!({"name": "secret-injector-ca", "secret": {"secretName": "company-ca", "items": items}});
        assert!(spec["volumes"].as_array().unwrap().contains(&volume), "{manager}");
        let resources = &fetch["resources"];
        assert_eq!(resources["limits"], resources["requests"], "{manager}");
        assert!(resources["limits"]["cpu"].is_string() && resources["limits"]["memory"].is_string());
        let own = spec["containers"][0].to_string();
        assert!(!own.contains("secret-injector-ca") && !own.contains("PROXY"), "{own}");
    }
}

#[test]
fn two_managers_share_certificates_or_have_their_own() {
    for (bundle, count) in [("a", 1), ("b", 2)] {
        let settings = json!({"managers": [
            {"type": "aws", "match": {"groups": ["arn:*"]}, "caBundle": {"configMap": "a"}},
            {"type": "gcp", "caBundle": {"configMap": bundle}},
        ]});
        let requests = json!([
            {"group": "arn:aws:secretsmanager:eu:1:secret", "key": "db", "mountRequirement": "FILE"},
            {"group": "db", "groupVersion": "1", "mountRequirement": "FILE"},
        ]);
        let spec = answer_all(&settings, &requests)["mutated_object"]["spec"].clone();
        let volumes = spec["volumes"].as_array().unwrap();
        assert_eq!(
            volumes.iter().filter(|volume| volume["configMap"].is_object()).count(),
            count
        );
        for (container, expected) in [("aws", "a"), ("gcp", bundle)] {
            let containers = spec["initContainers"].as_array().unwrap();
            let ours = containers
                .iter()
                .find(|known| known["name"].as_str().unwrap().starts_with(container))
                .unwrap();
            let mounts = ours["volumeMounts"].as_array().unwrap();
            let mount = mounts
                .iter()
                .find(|mount| mount["mountPath"] == "/etc/secret-injector-ca")
                .unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            assert_eq!(volume["configMap"]["name"], expected);
        }
    }
}

#[test]
fn what_is_the_arn_of_a_secret() {
    let cli = json!({"managers": [{"type": "aws", "client": "cli"}]});
    for (group, key, served) in [
        (
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:",
            "db-AbCdEf",
            true,
        ),
        (
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:1:secret",
            "A/b_c+d=e.f@g!-h",
            true,
        ),
        ("arn:aws:secretsmanager:eu-west-1:1:secret", "a b", false),
        ("arn:aws:secretsmanager:eu-west-1:1:secret", "a*", false),
        ("arn:aws:secretsmanager:eu-west-1:1:secret", "a:b", false),
        ("arn:aws:secretsmanager:eu-west-1:1:secret", "::", false),
        ("arn:aws:secretsmanager:eu-west-1::secret", "db", false),
        ("arn:aws:secretsmanager:eu-west-1:x:secret", "db", false),
        ("arn:aws:secretsmanager::1:secret", "db", false),
        ("arn:aws:secretsmanager:eu/west:1:secret", "db", false),
        ("arn::secretsmanager:eu:1:secret", "db", false),
        ("arn:aws:ssm:eu:1:parameter", "db", true),
        ("ARN:aws:secretsmanager:eu:1:secret", "db", false),
        (" arn:aws:secretsmanager:eu:1:secret", "db", false),
        ("file", "//etc/passwd", false),
    ] {
        let request = json!({"group": group, "key": key, "mountRequirement": "FILE"});
        let answer = answer(&cli, &request);
        assert_eq!(answer["accepted"], served, "{request}: {answer}");
        if !served {
            let message = answer["message"].as_str().unwrap();
            assert!(message.contains("is not the ARN of a secret"), "{message}");
        }
    }
}
