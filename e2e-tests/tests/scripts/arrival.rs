//! What the containers fetch is what the Pod finds, whatever its names and bytes.

use super::*;

#[test]
fn files_arrive_whatever_they_are_called_and_hold() {
    for manager in managers() {
        let values: Vec<&[u8]> = if manager.bytes {
            [VALUES, BYTES].concat()
        } else {
            VALUES.to_vec()
        };
        // Every value has its turn.
        for round in 0..values.len().div_ceil(NAMES.len()) {
            let secrets: Vec<(&str, &[u8])> = NAMES
                .iter()
                .filter(|name| manager.takes(name))
                .enumerate()
                .map(|(index, name)| (*name, values[(round * NAMES.len() + index) % values.len()]))
                .collect();
            let requests: Vec<Value> = secrets.iter().map(|(name, _)| manager.file_request(name)).collect();
            let pod = mutate(&requests, &["app"], &json!({"managers": [manager.settings]})).expect("served");
            for shell in shells() {
                let run = Run::new(&pod, &manager.stored(&secrets));
                let output = run.container(&pod, &shell);
                assert!(
                    output.status.success(),
                    "{shell:?} {}: {}",
                    manager.settings,
                    text(&output)
                );
                for (name, value) in &secrets {
                    let path = run.mount(&pod, "app", "/etc/flyte/secrets").join((manager.path)(name));
                    assert_eq!(read_as_nobody(&path), *value, "{shell:?} {}: {name}", manager.settings);
                }
                run.check(secrets.len(), &shell);
                run.check_silence(&output, &secrets);
                assert_calls_name(&run, &manager, &secrets);
                // A container that is started again does the same.
                assert!(run.container(&pod, &shell).status.success());
                run.check(secrets.len(), &shell);
            }
        }
    }
}

#[test]
fn files_have_the_mode_that_is_asked_for() {
    for manager in managers() {
        let mut request = manager.file_request("key");
        request["mode"] = json!("0400");
        request["path"] = json!("/home/app/key");
        let settings = json!({"managers": [manager.settings]});
        let context = json!({"runAsUser": 65534});
        let spec = json!({"securityContext": context, "containers": [{"name": "app", "image": "img:1"}]});
        let pod = mutate_spec(&[request], &spec, &settings).expect("served");
        for shell in shells() {
            let run = Run::new(&pod, &manager.stored(&[("key", b"s3cr3t")]));
            // Once more, as after a restart of the node: the file is read-only by then.
            for _ in 0..2 {
                let output = run.container(&pod, &shell);
                assert!(output.status.success(), "{shell:?}: {}", text(&output));
                let file = run.mount(&pod, "app", "/etc/flyte/secrets").join((manager.path)("key"));
                let mode = fs::metadata(&file).expect("a file").permissions().mode();
                assert_eq!(mode & 0o777, 0o400, "{shell:?}");
                assert_eq!(fs::read(&file).expect("a value"), b"s3cr3t");
            }
            let mounts = &pod["spec"]["containers"][0]["volumeMounts"];
            assert_eq!(mounts[1]["subPath"], (manager.path)("key"));
        }
    }
}

#[test]
fn containers_find_their_own_files_only() {
    for manager in managers() {
        let mut requests = vec![
            manager.file_request("shared"),
            manager.file_request("mine"),
            manager.file_request("yours"),
        ];
        requests[1]["containers"] = json!(["app"]);
        requests[2]["containers"] = json!(["side"]);
        let pod = mutate(&requests, &["app", "side"], &json!({"managers": [manager.settings]})).expect("served");
        let secrets: Vec<(&str, &[u8])> = vec![("shared", b"s"), ("mine", b"m"), ("yours", b"y")];
        for shell in shells() {
            let run = Run::new(&pod, &manager.stored(&secrets));
            let output = run.container(&pod, &shell);
            assert!(output.status.success(), "{shell:?}: {}", text(&output));
            for (container, own, value, other) in [("app", "mine", b"m", "yours"), ("side", "yours", b"y", "mine")] {
                let directory = run.mount(&pod, container, "/etc/flyte/secrets");
                assert_eq!(
                    fs::read(directory.join((manager.path)("shared"))).expect("shared"),
                    b"s"
                );
                assert_eq!(fs::read(directory.join((manager.path)(own))).expect("own"), value);
                assert!(!directory.join((manager.path)(other)).exists());
            }
            // The secret that both containers see is fetched once.
            assert_eq!(run.fetches(), 3, "{shell:?} {}", manager.settings);
        }
    }
}

#[test]
fn variables_are_read_back_as_they_were_or_refused() {
    for (index, manager) in managers().iter().enumerate() {
        for (value, refusal) in [
            (&b"secret"[..], None),
            (b"$HOME $(touch pwned) `id` \\ \\n \" # = ; & | * ?\n\n lines \n", None),
            ("é漢😀 \t".as_bytes(), None),
            (b"it's", Some("has a single quote")),
            (b"a\r\nb", Some("has a CR LF line end")),
            (b"caf\xe9", Some("is not UTF-8")),
            (&[b'x'; 32_768], None),
            (&[b'x'; 32_769], Some("is longer than 32768 bytes")),
        ] {
            if refusal == Some("is not UTF-8") && !manager.bytes {
                continue;
            }
            let mut variable = manager.file_request("name");
            variable["mountRequirement"] = json!("ENV_VAR");
            variable["envVar"] = json!("TOKEN");
            let requests = [variable, manager.file_request("name")];
            let settings = json!({"envFiles": true, "managers": [manager.settings]});
            let pod = mutate(&requests, &["app"], &settings).expect("served");
            for shell in shells() {
                let run = Run::new(&pod, &manager.stored(&[("name", value)]));
                let output = run.container(&pod, &shell);
                // The file arrives in any case.
                let path = run
                    .mount(&pod, "app", "/etc/flyte/secrets")
                    .join((manager.path)("name"));
                assert_eq!(read_as_nobody(&path), value, "{shell:?}");
                run.check_silence(&output, &[("name", value)]);
                let Some(refusal) = refusal else {
                    assert!(output.status.success(), "{shell:?}: {}", text(&output));
                    let variables = run.variables(&pod, "app");
                    assert_eq!(variables["TOKEN"], value, "{shell:?} {index}");
                    // One more variable, the one that flytekit looks for, where the secret's name can be in one.
                    assert!(variables.values().all(|read| read == value));
                    run.check(2, &shell);
                    continue;
                };
                assert_eq!(output.status.code(), Some(1), "{shell:?}");
                assert!(text(&output).contains(refusal), "{}", text(&output));
            }
        }
    }
}

#[test]
fn names_that_no_file_or_client_can_take_are_rejected() {
    let gcp = |group: &str, version: &str| (json!({"type": "gcp"}), json!({"group": group, "groupVersion": version}));
    let azure = |group: &str, version: &str| {
        (
            json!({"type": "azure"}),
            json!({"group": group, "groupVersion": version}),
        )
    };
    let aws = |client: &str, group: &str, key: &str| {
        (
            json!({"type": "aws", "client": client}),
            json!({"group": group, "key": key}),
        )
    };
    for ((manager, request), reason) in [
        (gcp("a\nb", "1"), "cannot be a file's name"),
        (gcp("../a", "1"), "is no secret's name"),
        (gcp("projects/../secrets/a", "1"), "cannot be a file's name"),
        (
            gcp("projects/p/locations/evil.example.com/secrets/a", "1"),
            "is no secret's name",
        ),
        (gcp("projects/p/locations/e:1/secrets/a", "1"), "is no secret's name"),
        (gcp("projects/p/locations//secrets/a", "1"), "cannot be a file's name"),
        (gcp("a", ".."), "cannot be a version"),
        (gcp("a", "/"), "cannot be a version"),
        (gcp("a", ""), "it needs a group"),
        (gcp("", "1"), "it needs a group"),
        (azure("@/etc/passwd", "x"), "is not a secret's URL"),
        (azure("https://v/secrets/..", ""), "is not a secret's URL"),
        (
            azure("https://v/secrets/a.vault.azure.net", ""),
            "is not a secret's URL",
        ),
        (azure("..", ""), "cannot be a file's name"),
        (azure("https://v/secrets/a", "../../b"), "cannot be a version"),
        (azure("///", ""), "it needs a group"),
        (aws("cli", "file", "//etc/passwd"), "is not the ARN of a secret"),
        (aws("cli", "file:", "://etc/passwd"), "is not the ARN of a secret"),
        (
            aws("cli", "arn:aws:secretsmanager:eu-west-1:1:secret", "../b"),
            "cannot be a file's name",
        ),
        (
            aws("cli", "arn:aws:ssm:eu-west-1:1:parameter", "a:3"),
            "of a parameter, arn:PARTITION:ssm:REGION:ACCOUNT:parameter/NAME",
        ),
        (
            aws("cli", "arn:aws:ssm:eu-west-1:1:parameter/", "a=b"),
            "is not the ARN of a secret",
        ),
        (
            aws("cli", "arn:aws:ssm:eu-west-1:1:document", "a"),
            "is not the ARN of a secret",
        ),
        (
            aws(
                "cli",
                "arn:aws:ssm:eu-west-1:1:parameter/",
                "aws/reference/secretsmanager/a",
            ),
            "is not the ARN of a secret",
        ),
        (
            aws("cli", "arn:aws:ssm:eu-west-1:1:parameter", "/../b"),
            "cannot be a file's name",
        ),
        (aws("sidecar", "..", "../b"), "cannot be a file's name"),
        (aws("sidecar", "a", ""), "it needs a group and a key"),
    ] {
        let answer = mutate(
            std::slice::from_ref(&request),
            &["app"],
            &json!({"managers": [manager]}),
        );
        let message = answer.expect_err(&request.to_string());
        assert!(message.contains(reason), "{request}: {message}");
    }
}
