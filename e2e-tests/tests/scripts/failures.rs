//! What the containers do where a client fails.

use super::*;

#[test]
fn a_missing_secret_is_named_and_the_others_arrive() {
    for manager in managers() {
        let missing = ["mis'sing$(touch pwned)", "mis+sing=@", "mis.sing-"]
            .into_iter()
            .find(|name| manager.takes(name))
            .expect("a name that it takes");
        let requests: Vec<Value> = ["first", missing, "last"]
            .iter()
            .map(|name| manager.file_request(name))
            .collect();
        let pod = mutate(&requests, &["app"], &json!({"managers": [manager.settings]})).expect("served");
        let secrets: Vec<(&str, &[u8])> = vec![("first", b"the first value"), ("last", b"the last value")];
        for shell in shells() {
            let run = Run::new(&pod, &manager.stored(&secrets));
            let output = run.container(&pod, &shell);
            assert_eq!(output.status.code(), Some(1), "{shell:?}: {}", text(&output));
            let message = text(&output);
            let (group, version, key) = (manager.request)(missing);
            for part in [group.trim_end_matches(':'), &version] {
                assert!(message.contains(part), "{part} in {message}");
            }
            assert!(
                message.contains("could not be fetched") && (key.len() < 9 || message.contains(&key)),
                "{message}"
            );
            run.check(2, &shell);
            run.check_silence(&output, &secrets);
        }
    }
}

/// What happens to the calls for one secret: how many of the first fail, how many seconds each takes, and whether it is
/// denied.
struct Trouble {
    name: &'static str,
    marks: &'static [(&'static str, &'static str)],
    /// How often the client is called.
    calls: usize,
    arrives: bool,
}

/// A new Pod's first calls may fail for some seconds, and Flyte's Pods are not started again.
#[test]
fn what_fails_at_first_is_tried_again_within_30_seconds() {
    let trouble = |name, marks, calls, arrives| Trouble {
        name,
        marks,
        calls,
        arrives,
    };
    let cases = [
        // A secret that arrives at the third try, and one that needs no other.
        (
            vec![trouble("a", &[("failures", "2")], 3, true), trouble("b", &[], 1, true)],
            10,
        ),
        // Three tries at most.
        (vec![trouble("a", &[("failures", "9")], 3, false)], 10),
        // What is denied or not there will be so the next time.
        (
            vec![trouble("a", &[("denied", "")], 1, false), trouble("b", &[], 1, true)],
            0,
        ),
        (vec![trouble("missing", &[("missing", "")], 1, false)], 0),
        // A try that is denied after one that failed is the last.
        (vec![trouble("a", &[("failures", "1"), ("denied", "")], 2, false)], 3),
        // The time is that of all secrets together, without what succeeds at once.
        (
            vec![
                trouble("slow", &[("slow", "40")], 1, true),
                trouble("a", &[("failures", "9"), ("slow", "13")], 2, false),
                trouble("b", &[("failures", "9"), ("slow", "1")], 1, false),
                trouble("c", &[], 1, true),
            ],
            40 + 13 + 3 + 13 + 1,
        ),
    ];
    for manager in managers() {
        for (troubles, seconds) in &cases {
            let requests: Vec<Value> = troubles.iter().map(|t| manager.file_request(t.name)).collect();
            let pod = mutate(&requests, &["app"], &json!({"managers": [manager.settings]})).expect("served");
            let values: Vec<(&str, &[u8])> = troubles.iter().map(|t| (t.name, &b"the value"[..])).collect();
            for shell in shells() {
                let run = Run::new(&pod, &manager.stored(&values));
                for (index, (mark, text)) in troubles
                    .iter()
                    .enumerate()
                    .flat_map(|(index, t)| t.marks.iter().map(move |mark| (index, mark)))
                {
                    run.mark(&format!("secret-{index}"), mark, text);
                }
                let output = run.container(&pod, &shell);
                let said = text(&output);
                let told = format!("{shell:?} {}: {said}", manager.settings);
                assert_eq!(output.status.success(), troubles.iter().all(|t| t.arrives), "{told}");
                let directory = run.mount(&pod, "app", "/etc/flyte/secrets");
                assert_eq!(run.fetches(), troubles.iter().map(|t| t.calls).sum::<usize>(), "{told}");
                for (index, t) in troubles.iter().enumerate() {
                    let tries = if t.name == "missing" { 0 } else { t.calls };
                    assert_eq!(run.tries(index), tries, "{}: {told}", t.name);
                    assert_eq!(
                        directory.join((manager.path)(t.name)).exists(),
                        t.arrives,
                        "{}: {told}",
                        t.name
                    );
                }
                assert_eq!(run.seconds(), *seconds, "{told}");
                assert_eq!(
                    said.contains("try 1 of 3 failed"),
                    troubles.iter().any(|t| t.calls > 1),
                    "{told}"
                );
                run.check(troubles.iter().filter(|t| t.arrives).count(), &shell);
            }
        }
    }
}

/// Only what is not there may be missing: what is denied, or fails, is not known to be absent.
#[test]
fn the_pod_goes_without_an_optional_secret_that_is_missing() {
    for manager in managers() {
        for (mark, text_of_mark, arrives) in [("missing", "", true), ("denied", "", false), ("failures", "9", false)] {
            let requests: Vec<Value> = ["first", "maybe", "there"]
                .iter()
                .map(|name| {
                    let mut request = manager.file_request(name);
                    request["optional"] = json!(*name != "first");
                    request
                })
                .collect();
            let pod = mutate(&requests, &["app"], &json!({"managers": [manager.settings]})).expect("served");
            let secrets: Vec<(&str, &[u8])> = vec![("first", b"one"), ("maybe", b"two"), ("there", b"three")];
            for shell in shells() {
                let run = Run::new(&pod, &manager.stored(&secrets));
                run.mark("secret-1", mark, text_of_mark);
                let output = run.container(&pod, &shell);
                let said = text(&output);
                assert_eq!(output.status.success(), arrives, "{shell:?} {mark}: {said}");
                assert_eq!(
                    said.contains("so the Pod goes without it"),
                    arrives,
                    "{shell:?} {mark}: {said}"
                );
                run.check(2, &shell);
            }
        }
    }
}

#[test]
fn a_variable_of_an_optional_secret_that_is_missing_is_left_out() {
    let settings = json!({"envFiles": true, "managers": [{"type": "gcp"}]});
    let request = |group: &str, name: &str| json!({"group": group, "groupVersion": "1", "mountRequirement": "ENV_VAR", "envVar": name, "optional": true});
    let pod = mutate(&[request("a", "A"), request("b", "B")], &["app"], &settings).expect("served");
    let stored = [("a/versions/1".to_owned(), b"value".to_vec())];
    for shell in shells() {
        let run = Run::new(&pod, &stored);
        let output = run.container(&pod, &shell);
        assert!(output.status.success(), "{shell:?}: {}", text(&output));
        let mut sizes = Vec::new();
        for variable in named(&pod["spec"]["containers"], "app")["env"]
            .as_array()
            .expect("variables")
        {
            let from = &variable["valueFrom"]["fileKeyRef"];
            if ["A", "B"].iter().any(|name| variable["name"] == *name) {
                assert_eq!(from["optional"], true, "{variable}");
                let file = run
                    .volume(&from["volumeName"])
                    .join(from["path"].as_str().expect("a path"));
                sizes.push(fs::metadata(file).expect("a file of variables").len());
            }
        }
        sizes.sort_unstable();
        // The kubelet finds no variable in an empty file, and an optional one is left out then.
        assert_eq!(sizes.len(), 2);
        assert!(sizes[0] == 0 && sizes[1] > 0, "{sizes:?}");
    }
}

#[test]
fn a_login_that_fails_at_first_is_tried_again() {
    let request = json!({"group": "https://v.vault.azure.net/secrets/a"});
    let pod = mutate(&[request], &["app"], &json!({"managers": [{"type": "azure"}]})).expect("served");
    let secret = ("https://v.vault.azure.net/secrets/a".to_owned(), b"value".to_vec());
    for shell in shells() {
        for (failures, code) in [("2", 0), ("3", 1)] {
            let run = Run::new(&pod, std::slice::from_ref(&secret));
            run.mark("login", "failures", failures);
            let output = run.container(&pod, &shell);
            assert_eq!(output.status.code(), Some(code), "{shell:?}: {}", text(&output));
            let logins = run
                .calls()
                .iter()
                .filter(|call| call.contains(&"login".to_owned()))
                .count();
            assert_eq!(logins, 3);
            assert_eq!(text(&output).contains("the login as client failed"), code == 1);
        }
    }
}

#[test]
fn azure_says_what_a_login_needs() {
    let request = json!({"group": "https://v.vault.azure.net/secrets/a"});
    let pod = mutate(&[request], &["app"], &json!({"managers": [{"type": "azure"}]})).expect("served");
    for shell in shells() {
        let mut run = Run::new(&pod, &[]);
        run.environment.remove("AZURE_CLIENT_ID");
        let output = run.container(&pod, &shell);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output).contains("azure.workload.identity/use"),
            "{}",
            text(&output)
        );
        run.check(0, &shell);
    }
}
