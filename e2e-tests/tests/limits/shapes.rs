//! What a Pod may look like: depth, characters, duplicate keys, numbers and nulls.

use super::*;

#[test]
fn depth() {
    let policy = Policy::new();
    const DEPTH: usize = 100_000;
    let (lists, objects) = (
        format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH)),
    );
    for deep in [&lists, &objects] {
        // Where nobody looks, it comes out as it went in.
        let answer = policy.create(&pod_with(&format!(r#","futureField":{deep}"#)));
        assert!(answer.starts_with(r#"{"accepted":true"#) && answer.contains(deep.as_str()));
        for inside in ["env", "volumeMounts", "name2\":1,\"env"] {
            policy.create(&pod_with(&format!(r#","{inside}":{deep}"#)));
            policy.create(&pod_with(&format!(r#","{inside}":[{{"name":{deep}}}]"#)));
        }
        policy.create(&pod_with("").replace("\"main\"", deep));
        policy.create(&pod_with("").replace("[{\\\"group\\\"", &deep.replace('"', "\\\"")));
        policy.answer(&payload(&pod_with(""), deep));
        policy.answer(&payload(
            &pod_with(""),
            &format!(r#"{{"managers":[{{"type":"template","env":{deep}}}]}}"#),
        ));
        policy.answer(&payload(&pod_with(""), "{}").replace(r#"{"username":"alice"}"#, deep));
        policy.answer(deep);
    }
}

#[test]
fn every_character() {
    let policy = Policy::new();
    let all: Vec<char> = (0..=0x0010_ffff).filter_map(char::from_u32).collect();
    for part in all.chunks(200_000) {
        let quoted = serde_json::to_string(&part.iter().collect::<String>()).expect("a string");
        let part = quoted
            .strip_prefix('"')
            .and_then(|part| part.strip_suffix('"'))
            .expect("quotes");
        for text in [
            format!(r#","{part}":"{part}""#),
            format!(r#","env":[{{"name":"A","value":"{part}"}}]"#),
        ] {
            assert!(policy.create(&pod_with(&text)).contains(part));
        }
    }
    for odd in [
        r"\u0000",
        r"\ud83d\udd11",
        r"\u202e",
        r"\ufeff",
        r"\/",
        r"é́",
        "日本",
        r"\u2028",
        "\u{fffe}",
    ] {
        for pod in [
            pod_with("").replace(r#"\"group\":\"db\""#, &format!(r#"\"group\":\"{odd}\""#)),
            pod_with("").replace(
                r#"\"key\":\"password\""#,
                &format!(r#"\"key\":\"{}\""#, odd.replace('\\', r"\\")),
            ),
            pod_with("").replace("\"main\"", &format!("\"{odd}\"")),
            pod_with("").replace("requests", &format!("requests{odd}")),
        ] {
            serde_json::from_str::<Value>(&policy.create(&pod)).expect("JSON");
        }
    }
}

/// A field twice comes out twice where nobody looks, and is refused where it matters which one counts.
#[test]
fn duplicate_keys() {
    let policy = Policy::new();
    let twice = r#""image":"a","image":"b","resources":{"limits":1,"limits":2}"#;
    assert!(policy.create(&pod_with(&format!(",{twice}"))).contains(twice));
    for pod in [
        pod_with(r#","env":[],"env":[]"#),
        pod_with(r#","name":"other""#),
        pod_with("").replace(r#""spec":"#, r#""spec":{},"spec":"#),
        pod_with("").replace(r#""metadata":"#, r#""metadata":{},"metadata":"#),
        pod_with("").replace(r#""annotations":"#, r#""annotations":{},"annotations":"#),
        pod_with("").replace(r#""annotations":"#, r#""labels":{},"labels":{},"annotations":"#),
    ] {
        let answer: Value = serde_json::from_str(&policy.create(&pod)).expect("JSON");
        assert!(answer.get("mutated_object").is_none(), "{pod}: {answer}");
    }
    for settings in [
        r#"{"envPrefix":"A","envPrefix":"B"}"#,
        r#"{"managers":[{"type":"aws","type":"vault"}]}"#,
    ] {
        let (code, message) = policy.rejected(&pod_with(""), settings);
        assert!(code == 500 && message.contains("twice"), "{code} {message}");
    }
}

#[test]
fn numbers_that_no_float_holds() {
    let policy = Policy::new();
    let numbers = "[123456789012345678901234567890,1e999,-0,0.1000000000000000055511151231257827,1E+2,-1e-999,18446744073709551616]";
    for inside in [
        format!(r#","futureField":{numbers}"#),
        format!(r#","env":[{{"name":"A","futureField":{numbers}}}]"#),
    ] {
        assert!(policy.create(&pod_with(&inside)).contains(numbers));
    }
}

#[test]
fn null_where_an_object_belongs() {
    let policy = Policy::new();
    let annotations = format!(r#""annotations":{{"secret-injector/requests":"{REQUEST}"}}"#);
    for (pod, served) in [
        (pod_with(r#","env":null,"volumeMounts":null"#), true),
        (pod_with("").replace(r#""spec":"#, r#""status":null,"spec":"#), true),
        (
            pod_with("").replace(
                r#""containers":"#,
                r#""volumes":null,"initContainers":null,"imagePullSecrets":null,"containers":"#,
            ),
            true,
        ),
        (pod_with(r#","env":[null,{"name":null},{}]"#), true),
        (
            pod_with("").replace(
                r#"{"annotations""#,
                r#"{"labels":null,"ownerReferences":null,"annotations""#,
            ),
            true,
        ),
        (format!(r#"{{"metadata":{{{annotations}}},"spec":{{}}}}"#), true),
        (format!(r#"{{"metadata":{{{annotations}}},"spec":null}}"#), true),
        (format!(r#"{{"metadata":{{{annotations}}}}}"#), true),
        (
            format!(r#"{{"metadata":{{{annotations}}},"spec":{{"containers":null}}}}"#),
            true,
        ),
        (
            format!(r#"{{"metadata":{{{annotations}}},"spec":{{"containers":[null]}}}}"#),
            false,
        ),
        (format!(r#"{{"metadata":{{{annotations}}},"spec":7}}"#), false),
    ] {
        let answer: Value = serde_json::from_str(&policy.create(&pod)).expect("JSON");
        assert_eq!(answer["accepted"], json!(served), "{pod}: {answer}");
    }
    // Nothing is mounted into an init container that starts before the files are there.
    let files = json!([
        {"group": "a", "key": "k", "mountRequirement": "FILE"},
        {"group": "b", "key": "k", "mountRequirement": "FILE"},
    ]);
    let own = r#""initContainers":[{"name":"own","volumeMounts":null}],"containers""#;
    let pod = policy.mutated(
        &pod_of(1, &files).replace(r#""containers""#, own),
        r#"{"initContainers":"last","managers":[{"type":"aws","client":"cli","match":{"groups":["a"]}},{"type":"vault"}]}"#,
    );
    assert_eq!(pod["spec"]["initContainers"][0]["volumeMounts"], Value::Null, "{pod}");
    // The API server reads a Pod before it asks, so these do not come; they are no reason to trap.
    for spec in [
        "[]",
        "\"x\"",
        r#"{"containers":{}}"#,
        r#"{"containers":"x","volumes":{}}"#,
    ] {
        policy.create(&format!(r#"{{"metadata":{{{annotations}}},"spec":{spec}}}"#));
    }
    for metadata in ["null", "{}", r#"{"annotations":null}"#, "[]", r#"{"annotations":[]}"#] {
        let pod = format!(r#"{{"metadata":{metadata},"spec":{{"containers":[]}},"hint":"secret-injector/requests"}}"#);
        assert_eq!(policy.create(&pod), r#"{"accepted":true}"#, "{metadata}");
    }
}

/// Variables are added to a container's own without a look at those, unless they may have to do with each other.
#[test]
fn names_in_a_containers_own_variables() {
    let policy = Policy::new();
    let [prefix, ours] = ["FLYTE_SECRETS_ENV_PREFIX", "_UNION_DB_PASSWORD"];
    for (own, expected) in [
        ("[]", vec![prefix, ours]),
        ("[ \n ]", vec![prefix, ours]),
        (r#" [ {"name" : "A"} , {"name" : "B"} ] "#, vec!["A", "B", prefix, ours]),
        (r#"[{"name":"A","value":"[\"$(B)\"]"}]"#, vec!["A", prefix, ours]),
        (
            r#"[{"name":"_UNION_DB"},{"name":"A"}]"#,
            vec!["_UNION_DB", "A", prefix, ours],
        ),
        (
            r#"[{"name":"A"},{"name":"_UNION_DB_PASSWORD","value":"own"}]"#,
            vec![prefix, ours, "A"],
        ),
        (
            r#"[{"name":"A"},{"name":"\u005fUNION_DB_PASSWORD"}]"#,
            vec![prefix, ours, "A"],
        ),
        (
            r#"[{"name":"A","value":"$(_UNION_DB_PASSWORD)"}]"#,
            vec![prefix, ours, "A"],
        ),
        (
            r#"[{"name":"A","value":"$(\u005fUNION_DB_PASSWORD)"}]"#,
            vec![prefix, ours, "A"],
        ),
    ] {
        let pod = policy.mutated(&pod_with(&format!(r#","env":{own}"#)), "{}");
        let env = pod["spec"]["containers"][0]["env"].as_array().expect("a list");
        let names: Vec<&str> = env.iter().filter_map(|variable| variable["name"].as_str()).collect();
        assert_eq!(names, expected, "{own}");
    }
}

/// Nobody can tell whether a default is for a Pod whose labels cannot be read.
#[test]
fn labels_that_cannot_be_read() {
    let policy = Policy::new();
    let settings = r#"{"defaults":[{"namespaces":["*"],"labels":{"app":"web"},"requests":[{"group":"a","key":"k"}]}]}"#;
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (labels, is_read) in [
        (r#"{"app":"web"}"#, true),
        ("null", true),
        (r#"{"app":"web","n":"\ud800"}"#, false),
        (r#"{"app":"web","n":1}"#, false),
        ("[]", false),
        (&deep, false),
    ] {
        let pod = pod_with("").replace(r#""annotations":"#, &format!(r#""labels":{labels},"annotations":"#));
        let answer: Value = serde_json::from_str(&policy.answer(&payload(&pod, settings))).expect("JSON");
        assert_eq!(answer["accepted"], json!(is_read), "{labels}: {answer}");
    }
}
