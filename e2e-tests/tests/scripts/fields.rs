//! One field of a secret that is a JSON object.

use super::*;

/// A JSON object, its fields, and what each gives.
const OBJECT: &str = r#" { "password" : "it's $(touch pwned) \"é\" \ud83d\ude00\n" , "port":5432, "ratio": 1.10,
  "big": 12345678901234567890123, "on" :true, "none": null, "empty": "", "twice": 1, "twice": "2",
  "list" : [ 1, "a b" , {"x" : [ ]} ], "--help": "h", "$HOME": "v", "naïve ключ": "n", "a:b": "c", "\"": "q" } "#;
const FIELDS: &[(&str, &str)] = &[
    ("password", "it's $(touch pwned) \"é\" 😀\n"),
    ("port", "5432"),
    ("ratio", "1.10"),
    ("big", "12345678901234567890123"),
    ("on", "true"),
    ("none", "null"),
    ("empty", ""),
    ("twice", "2"),
    ("list", r#"[1,"a b",{"x":[]}]"#),
    ("--help", "h"),
    ("$HOME", "v"),
    ("naïve ключ", "n"),
    ("a:b", "c"),
    ("\"", "q"),
];

/// Python starts slowly, and the shells have nothing to do with what it does.
fn two_shells() -> Vec<Vec<&'static str>> {
    let mut shells = shells();
    shells.truncate(2);
    shells
}

/// The request for `field` of the secret called `name`.
fn request(manager: &Manager, name: &str, field: &str) -> Value {
    let mut request = manager.file_request(name);
    request["field"] = json!(field);
    request
}

#[test]
fn fields_arrive_and_their_secret_is_fetched_once() {
    for manager in managers() {
        // Another secret stands between the fields of the first.
        let mut requests: Vec<Value> = FIELDS
            .iter()
            .map(|(field, _)| request(&manager, "plain", field))
            .collect();
        requests.insert(3, manager.file_request("other"));
        let mut variable = request(&manager, "plain", "port");
        variable["mountRequirement"] = json!("ENV_VAR");
        variable["envVar"] = json!("PGPORT");
        requests.push(variable);
        let settings = json!({"envFiles": true, "managers": [manager.settings]});
        let pod = mutate(&requests, &["app"], &settings).expect("served");
        let secrets: &[(&str, &[u8])] = &[("plain", OBJECT.as_bytes()), ("other", b"another secret")];
        for shell in two_shells() {
            let run = Run::new(&pod, &manager.stored(secrets));
            let output = run.container(&pod, &shell);
            assert!(output.status.success(), "{shell:?}: {}", text(&output));
            let directory = run.mount(&pod, "app", "/etc/flyte/secrets");
            for (field, value) in FIELDS {
                let path = directory.join((manager.path)("plain")).join(field.to_ascii_lowercase());
                let read = read_as_nobody(&path);
                assert_eq!(String::from_utf8_lossy(&read), *value, "{shell:?}: {field}");
            }
            assert_eq!(run.variables(&pod, "app")["PGPORT"], b"5432");
            assert_eq!(run.fetches(), 2, "{shell:?}: {:?}", run.calls());
            run.check(FIELDS.len() + 2, &shell);
            run.check_silence(&output, secrets);
        }
    }
}

#[test]
fn what_is_no_such_field_is_named_and_the_others_arrive() {
    for (stored, field, reason) in [
        (
            r#"{"user": "s3cr3t-value", "a": {"nested": 1}}"#,
            "nested",
            "the secret has no such field",
        ),
        (r#"{"user": "s3cr3t-value"}"#, "USER", "the secret has no such field"),
        (r#"["s3cr3t-value"]"#, "0", "the secret is not a JSON object"),
        ("s3cr3t-value", "user", "the secret is not a JSON object"),
        (r#""s3cr3t-value""#, "user", "the secret is not a JSON object"),
        (r#"{"user": "s3cr3t-value""#, "user", "the secret is not a JSON object"),
        (r#"{"user": NaN}"#, "user", "the secret is not a JSON object"),
        (
            r#"{"user": "s3cr3t-value\ud800"}"#,
            "user",
            "the secret is not a JSON object",
        ),
        (&"[".repeat(20_000), "user", "the secret is not a JSON object"),
    ] {
        for manager in managers() {
            let requests = [manager.file_request("last"), request(&manager, "first", field)];
            let pod = mutate(&requests, &["app"], &json!({"managers": [manager.settings]})).expect("served");
            let secrets: &[(&str, &[u8])] = &[("first", stored.as_bytes()), ("last", b"the last value")];
            for shell in two_shells() {
                let run = Run::new(&pod, &manager.stored(secrets));
                let output = run.container(&pod, &shell);
                let said = text(&output);
                assert_eq!(output.status.code(), Some(1), "{shell:?}: {said}");
                let (group, _, _) = (manager.request)("first");
                for part in [
                    reason,
                    &format!("the field {field} of the secret "),
                    group.trim_end_matches(':'),
                ] {
                    assert!(said.contains(part), "{part}: {said}");
                }
                assert!(!said.contains("s3cr3t"), "{said}");
                run.check(1, &shell);
            }
        }
    }
}

/// What a key says of the field.
#[test]
fn keys_name_fields() {
    let arn = "arn:aws:secretsmanager:eu-west-1:1:secret";
    let aws = |key: &str| {
        (
            json!({"type": "aws", "client": "cli"}),
            json!({"group": arn, "key": key}),
        )
    };
    let keyed = |kind: &str, request: Value| (json!({"type": kind, "key": "field"}), request);
    let id = "a".repeat(32);
    for ((manager, request), known_as, path) in [
        (
            aws("rds-AbCdEf:password::"),
            format!("{arn}:rds-AbCdEf"),
            format!("{arn}/rds-abcdef/password"),
        ),
        (
            aws("rds-AbCdEf:password:AWSPREVIOUS:"),
            format!("{arn}:rds-AbCdEf stage=AWSPREVIOUS"),
            format!("{arn}/awsprevious/rds-abcdef/password"),
        ),
        (
            aws(&format!("rds-AbCdEf:password::{id}")),
            format!("{arn}:rds-AbCdEf id={id}"),
            format!("{arn}/{id}/rds-abcdef/password"),
        ),
        (
            keyed("gcp", json!({"group": "db", "groupVersion": "2", "key": "password"})),
            "db/versions/2".to_owned(),
            "db/2/password".to_owned(),
        ),
        (
            keyed(
                "azure",
                json!({"group": "https://v.vault.azure.net/secrets/db", "key": "password"}),
            ),
            "https://v.vault.azure.net/secrets/db".to_owned(),
            "db/password".to_owned(),
        ),
    ] {
        let pod = mutate(&[request], &["app"], &json!({"managers": [manager]})).expect("served");
        let run = Run::new(&pod, &[(known_as, br#"{"password": "p"}"#.to_vec())]);
        let output = run.container(&pod, &shells()[0]);
        assert!(output.status.success(), "{}", text(&output));
        let file = run.mount(&pod, "app", "/etc/flyte/secrets").join(path);
        assert_eq!(read_as_nobody(&file), b"p", "{}", file.display());
    }
}
