//! Confidant's script, with a stand-in for its client.

use super::*;

fn settings() -> Value {
    json!({"envFiles": true, "managers": [{"type": "confidant", "url": "https://confidant.example.com", "authKey": "alias/confidant",
        "region": "eu-west-1", "authContext": {"to": "confidant"}, "image": "confidant:1"}]})
}

/// Runs the init container's script; returns its directory and what it says.
fn run(requests: &[Value], secrets: &[(&str, &str)]) -> (Run, Value, Output) {
    let spec = json!({"securityContext": {"runAsUser": 65534}, "containers": [{"name": "app", "image": "img:1"}]});
    let pod = mutate_spec(requests, &spec, &settings()).expect("served");
    let secrets: Vec<(String, Vec<u8>)> = secrets
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect();
    let run = Run::new(&pod, &secrets);
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/stand-ins/confidant");
    fs::copy(stand_in, run.directory.join("bin/confidant")).expect("a stand-in");
    let container = &pod["spec"]["initContainers"][0];
    let words: Vec<String> = container["command"]
        .as_array()
        .expect("a command")
        .iter()
        .map(|word| expanded(word.as_str().expect("a word")))
        .collect();
    let (program, arguments) = words.split_first().expect("a command");
    let mut environment: BTreeMap<String, String> = variables(container).into_iter().collect();
    let requests = environment.get_mut("SECRET_REQUESTS").expect("requests");
    let mut placed: Value = serde_json::from_str(requests).expect("a list");
    for request in placed.as_array_mut().expect("a list") {
        request["path"] = json!(run.placed(request["path"].as_str().expect("a path"), container));
    }
    *requests = placed.to_string();
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(&run.environment)
        .envs(environment)
        .current_dir(run.directory.join("work"))
        .output()
        .expect("python3");
    (run, pod, output)
}

#[test]
fn a_file_has_the_mode_that_is_asked_for() {
    let requests = [
        json!({"group": "db", "key": "password", "mode": "0400"}),
        json!({"group": "db", "key": "user", "mountRequirement": "FILE"}),
    ];
    let (run, pod, output) = run(&requests, &[("db/password", "s3cr3t\n"), ("db/user", "u")]);
    assert!(output.status.success(), "{}", text(&output));
    let directory = run.mount(&pod, "app", "/etc/flyte/secrets").join("db");
    for (name, mode, value) in [("password", 0o400, "s3cr3t\n"), ("user", 0o644, "u")] {
        let file = directory.join(name);
        let permissions = fs::metadata(&file).expect("a file").permissions();
        assert_eq!(permissions.mode() & 0o7777, mode, "{name}");
        assert_eq!(fs::read_to_string(&file).expect("text"), value);
    }
}

#[test]
fn an_optional_secret_may_be_missing_and_nothing_else() {
    let file = |key: &str, optional: bool| json!({"group": "db", "key": key, "mountRequirement": "FILE", "optional": optional});
    let variable =
        json!({"group": "other", "key": "k", "mountRequirement": "ENV_VAR", "envVar": "K", "optional": true});
    let there = ("db/password", "p");
    let (done, pod, output) = run(
        &[file("password", false), file("gone", true), variable.clone()],
        &[there],
    );
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "credential 'db'",
        "has no key 'gone'",
        "has no credential 'other'",
        "the Pod goes without it",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let directory = done.mount(&pod, "app", "/etc/flyte/secrets").join("db");
    assert!(directory.join("password").exists() && !directory.join("gone").exists());
    let env = named(&pod["spec"]["containers"], "app")["env"]
        .as_array()
        .expect("variables");
    let from = &env
        .iter()
        .find(|variable| variable["name"] == "K")
        .expect("the variable")["valueFrom"]["fileKeyRef"];
    assert_eq!(from["optional"], true);
    let env_file = done
        .volume(&from["volumeName"])
        .join(from["path"].as_str().expect("a path"));
    assert_eq!(
        fs::read(env_file).expect("a file of variables"),
        b"",
        "to the kubelet, it lacks the variable"
    );

    // A value that no env file can hold is there.
    let (_, _, output) = run(&[variable], &[("other/k", "it's")]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("single quote") && !text(&output).contains("it's"));
    let (_, _, output) = run(&[file("gone", false)], &[there]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
}
