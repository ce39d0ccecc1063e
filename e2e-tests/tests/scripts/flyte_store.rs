//! Flyte 2's own secrets in a cloud's secret manager.

use super::*;

/// A store, and what Flyte calls the secret `token` of the project, of the domain and of the organization.
struct Store {
    settings: Value,
    known_as: [&'static str; 3],
    /// What Flyte keeps there for the text `value` and for the bytes.
    kept: fn(&[u8]) -> Vec<u8>,
}

fn stores() -> Vec<Store> {
    let typed = |value: &[u8]| match std::str::from_utf8(value) {
        Ok(text) => json!({"type": "STRING", "value": text}).to_string().into_bytes(),
        Err(_) => json!({"type": "BINARY", "value": STANDARD.encode(value)})
            .to_string()
            .into_bytes(),
    };
    vec![
        Store {
            settings: json!({"type": "flyte", "store": "aws", "region": "eu-west-1", "podNamespace": "any"}),
            known_as: [
                "u__org__acme__domain__dev__project__my-shop__key__token",
                "u__org__acme__domain__dev__project____key__token",
                "u__org__acme__domain____project____key__token",
            ],
            kept: <[u8]>::to_vec,
        },
        Store {
            settings: json!({"type": "flyte", "store": "gcp", "project": "p-1", "podNamespace": "any"}),
            known_as: [
                "projects/p-1/secrets/u__org__acme__domain__dev__project__my-shop__key__token/versions/latest",
                "projects/p-1/secrets/u__org__acme__domain__dev__project____key__token/versions/latest",
                "projects/p-1/secrets/u__org__acme__domain____project____key__token/versions/latest",
            ],
            kept: <[u8]>::to_vec,
        },
        Store {
            settings: json!({"type": "flyte", "store": "azure", "vault": "https://v.vault.azure.net/", "podNamespace": "any"}),
            known_as: [
                "https://v.vault.azure.net/secrets/1-acme-dev-my01shop-ORXWWZLO",
                "https://v.vault.azure.net/secrets/1-acme-dev--ORXWWZLO",
                "https://v.vault.azure.net/secrets/1-acme---ORXWWZLO",
            ],
            kept: typed,
        },
    ]
}

impl Store {
    /// A Pod that asks for the secret `token` as a file and as a variable.
    fn pod(&self) -> Value {
        let requests = [
            json!({"key": "token", "mountRequirement": "FILE"}),
            json!({"key": "token", "mountRequirement": "ENV_VAR", "envVar": "TOKEN"}),
        ];
        let settings = json!({"envFiles": true, "managers": [self.settings]});
        mutate(&requests, &["app"], &settings).expect("served")
    }

    fn stored(&self, secrets: &[(usize, &[u8])]) -> Vec<(String, Vec<u8>)> {
        let secret = |(scope, value): &(usize, &[u8])| (self.known_as[*scope].to_owned(), (self.kept)(value));
        secrets.iter().map(secret).collect()
    }
}

#[test]
fn the_closest_scope_that_has_the_secret_counts() {
    for store in stores() {
        let pod = store.pod();
        for scope in 0..3 {
            let secrets: Vec<(usize, &[u8])> = (scope..3)
                .map(|scope| (scope, [&b"first"[..], b"2nd", b"3rd"][scope]))
                .collect();
            for shell in shells() {
                let run = Run::new(&pod, &store.stored(&secrets));
                let output = run.container(&pod, &shell);
                let told = format!("{shell:?} {}: {}", store.settings, text(&output));
                assert!(output.status.success(), "{told}");
                let file = run.mount(&pod, "app", "/etc/flyte/secrets").join("token");
                assert_eq!(read_as_nobody(&file), secrets[0].1, "{told}");
                assert_eq!(run.variables(&pod, "app")["TOKEN"], secrets[0].1, "{told}");
                assert_eq!(run.fetches(), scope + 1, "{told}");
                assert!(!text(&output).contains("could not be fetched"), "{told}");
                run.check(2, &shell);
            }
        }
    }
}

/// With the domain's secret in place of a project's that the Pod may not read, the Pod would run with another one.
#[test]
fn only_a_secret_that_is_not_there_leads_to_the_next_scope() {
    for store in stores() {
        let pod = store.pod();
        for (mark, number, fetches) in [("denied", "", 1), ("failures", "9", 3)] {
            let run = Run::new(&pod, &store.stored(&[(0, b"first"), (1, b"2nd"), (2, b"3rd")]));
            run.mark("secret-0", mark, number);
            let output = run.container(&pod, &shells()[0]);
            let told = format!("{mark} {}: {}", store.settings, text(&output));
            assert_eq!(output.status.code(), Some(1), "{told}");
            assert_eq!(run.fetches(), fetches, "{told}");
            assert!(text(&output).contains("could not be fetched"), "{told}");
            run.check(0, &shells()[0]);
        }
        let run = Run::new(&pod, &store.stored(&[(1, b"2nd")]));
        run.mark("secret-0", "failures", "1");
        let output = run.container(&pod, &shells()[0]);
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(
            run.fetches(),
            4,
            "the project's again after the domain's has failed once"
        );
        let run = Run::new(&pod, &[]);
        let output = run.container(&pod, &shells()[0]);
        assert_eq!((output.status.code(), run.fetches()), (Some(1), 3));
        assert!(text(&output).contains("could not be fetched"), "{}", text(&output));
    }
}

#[test]
fn bytes_arrive_as_they_are() {
    let bytes: &[u8] = b"\0\xff\xfe\n";
    for store in stores() {
        let request = json!({"key": "token"});
        let pod = mutate(&[request], &["app"], &json!({"managers": [store.settings]})).expect("served");
        for shell in shells() {
            let run = Run::new(&pod, &store.stored(&[(2, bytes)]));
            let output = run.container(&pod, &shell);
            assert!(output.status.success(), "{}", text(&output));
            let file = run.mount(&pod, "app", "/etc/flyte/secrets").join("token");
            assert_eq!(read_as_nobody(&file), bytes);
        }
    }
    // What is not as Flyte keeps it in Azure.
    let azure = stores().remove(2);
    let pod = azure.pod();
    for kept in [
        "text",
        r#"{"type": "OTHER", "value": "x"}"#,
        r#"{"value": "x"}"#,
        r#"{"type": "BINARY", "value": "x!"}"#,
    ] {
        let run = Run::new(&pod, &[(azure.known_as[0].to_owned(), kept.as_bytes().to_vec())]);
        let output = run.container(&pod, &shells()[0]);
        assert_eq!(output.status.code(), Some(1), "{kept}: {}", text(&output));
        run.check(0, &shells()[0]);
    }
}
