//! All fields of a secret that is a JSON object, each a file.

use super::*;

/// A manager's settings, the request for all fields of a secret, what the stand-in knows that secret as, and the directory.
fn requests() -> Vec<(Value, Value, &'static str, &'static str)> {
    let aws = || json!({"type": "aws", "client": "cli"});
    vec![
        (
            json!({"type": "gcp"}),
            json!({"group": "Db", "groupVersion": "1", "key": "*"}),
            "Db/versions/1",
            "db/1",
        ),
        (
            json!({"type": "azure", "key": "field"}),
            json!({"group": "https://v.vault.azure.net/secrets/db", "key": "*"}),
            "https://v.vault.azure.net/secrets/db",
            "db",
        ),
        (
            aws(),
            json!({"group": "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf", "key": "*"}),
            "arn:aws:secretsmanager:eu-west-1:1:secret:db-AbCdEf",
            "arn:aws:secretsmanager:eu-west-1:1:secret:db-abcdef",
        ),
        (
            aws(),
            json!({"group": "arn:aws:ssm:eu-west-1:1:parameter", "key": "db", "field": "*", "groupVersion": "3"}),
            "arn:aws:ssm:eu-west-1:1:parameter/db:3",
            "arn:aws:ssm:eu-west-1:1:parameter/3/db",
        ),
    ]
}

#[test]
fn each_field_is_a_file_and_those_of_an_earlier_run_are_gone() {
    let object = r#"{"User": "it's\n", "user": "other", "port": 5432, "ratio": 1.10, "none": null, "list": [1, "a b"], "empty": "",
        "$(touch pwned)": "x", "-n": "y", "two words": "z", "naïve ключ": "n"}"#;
    let expected = [
        ("User", "it's\n"),
        ("user", "other"),
        ("port", "5432"),
        ("ratio", "1.10"),
        ("none", "null"),
        ("list", r#"[1,"a b"]"#),
        ("empty", ""),
        ("$(touch pwned)", "x"),
        ("-n", "y"),
        ("two words", "z"),
        ("naïve ключ", "n"),
    ];
    for (manager, request, known_as, directory) in requests() {
        let pod = mutate(&[request], &["app"], &json!({"managers": [manager]})).expect("served");
        for shell in shells() {
            let run = Run::new(&pod, &[(known_as.to_owned(), object.as_bytes().to_vec())]);
            let directory = run.mount(&pod, "app", "/etc/flyte/secrets").join(directory);
            for again in [false, true] {
                let output = run.container(&pod, &shell);
                assert!(output.status.success(), "{shell:?}: {}", text(&output));
                for (field, value) in expected {
                    let read = read_as_nobody(&directory.join(field));
                    assert_eq!(String::from_utf8_lossy(&read), value, "{shell:?}: {field}");
                }
                run.check(expected.len(), &shell);
                assert_eq!(run.fetches(), 1 + usize::from(again));
                fs::write(directory.join("of-an-earlier-version"), "").expect("a file");
            }
        }
    }
}

#[test]
fn what_cannot_be_files_is_named_without_its_value() {
    let long = "x".repeat(256);
    for (stored, reason) in [
        (r#"["s3cr3t"]"#.to_owned(), "the secret is not a JSON object"),
        ("s3cr3t".to_owned(), "the secret is not a JSON object"),
        (
            r#"{"a": "s3cr3t", "../b": "s3cr3t"}"#.to_owned(),
            "the field '../b' can be no file's name",
        ),
        (r#"{"..": "s3cr3t"}"#.to_owned(), "the field '..' can be no file's name"),
        (r#"{"": "s3cr3t"}"#.to_owned(), "the field '' can be no file's name"),
        (
            r#"{"a\u0000\u001b": "s3cr3t"}"#.to_owned(),
            r"the field 'a\x00\x1b' can be no file's name",
        ),
        (format!(r#"{{"{long}": "s3cr3t"}}"#), "can be no file's name"),
        (r#"{"\ud800": "s3cr3t"}"#.to_owned(), "the secret is not a JSON object"),
    ] {
        for (manager, request, known_as, _) in requests() {
            let pod = mutate(&[request], &["app"], &json!({"managers": [manager]})).expect("served");
            let shell = &shells()[0];
            let run = Run::new(&pod, &[(known_as.to_owned(), stored.as_bytes().to_vec())]);
            let output = run.container(&pod, shell);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(1), "{said}");
            assert!(
                said.contains(reason) && said.contains("the fields of the secret "),
                "{said}"
            );
            assert!(!said.contains("s3cr3t"), "{said}");
            run.check(0, shell);
        }
    }
}

/// Neither an empty file nor what an earlier run has left.
#[test]
fn an_optional_secret_that_is_missing_is_no_file() {
    for (manager, mut request, known_as, directory) in requests() {
        request["optional"] = json!(true);
        let mut field = request.clone();
        field["field"] = json!("user");
        if field["key"] == "*" {
            field["key"] = json!("");
        }
        let is_arn = known_as.contains(":secretsmanager:");
        for (request, is_whole) in [(request, true), (field, false)] {
            if is_arn && !is_whole {
                continue;
            }
            let pod = mutate(&[request], &["app"], &json!({"managers": [manager]})).expect("served");
            for shell in shells() {
                let run = Run::new(&pod, &[(known_as.to_owned(), br#"{"user": "u"}"#.to_vec())]);
                assert!(run.container(&pod, &shell).status.success());
                run.check(1, &shell);
                run.mark("secret-0", "missing", "");
                let output = run.container(&pod, &shell);
                assert!(output.status.success(), "{shell:?}: {}", text(&output));
                run.check(0, &shell);
                let left = run.mount(&pod, "app", "/etc/flyte/secrets").join(directory);
                assert!(!is_whole || !left.exists());
            }
        }
    }
}
