//! Input that is wrong is told with its place, and without the values of Secrets.

use super::*;

#[test]
fn rejections_read_as_those_of_the_api_server() {
    let files = Files::new(
        "rejections",
        &[
            ("settings.yaml", "managers: [{type: kubernetes, verify: true}]"),
            ("none.yaml", ""),
        ],
    );
    let settings = files.path("settings.yaml");
    let rejected = run(
        &[
            "preview",
            "-",
            "--settings",
            &settings,
            "--cluster",
            &files.path("none.yaml"),
        ],
        &pod("p"),
    );
    assert_eq!(rejected.status, 1);
    let start = "rejected (code 422): admission webhook \"clusterwide-00-secret-injector.kubewarden.admission\" denied the request: ";
    assert!(rejected.out.starts_with(start), "{rejected:?}");
    let json = run(
        &[
            "preview",
            "-",
            "--settings",
            &settings,
            "--cluster",
            &files.path("none.yaml"),
            "-o",
            "json",
        ],
        &pod("p"),
    );
    assert_eq!((json.status, json.out.as_str()), (1, ""));
    assert!(json.err.starts_with(start), "{json:?}");

    let no_cluster = run(&["preview", "-", "--settings", &settings], &pod("p"));
    assert_eq!((no_cluster.status, no_cluster.out.as_str()), (2, ""));
    assert_eq!(
        no_cluster.err,
        "error: Pod team-a/p: with these settings the policy reads the Secret \"db\" in the namespace \"team-a\", and no cluster was \
         given: name a file with the Secrets, Roles and RoleBindings that there are with --cluster FILE (an empty file is a cluster \
         that has none)\n"
    );
}

#[test]
fn input_that_is_wrong_is_told_with_its_place() {
    let files = Files::new(
        "wrong",
        &[
            ("broken.yaml", "kind: Pod\nmetadata: [\n"),
            (
                "settings.yaml",
                "# about\nmanagers:\n- type: kubernetes\n  verfy: true\n",
            ),
            (
                "policy.yaml",
                "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n",
            ),
            ("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: x}\n"),
            (
                "deployment.yaml",
                "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {}\n",
            ),
            ("text.yaml", "no object\n"),
            ("pod.yaml", &pod("p")),
            ("review.yaml", REVIEW),
            ("empty.yaml", "# nothing\n"),
            ("pod-spec.yaml", "---\nkind: Pod\nmetadata: {name: p}\nspec: [a]\n"),
            (
                "template.yaml",
                "kind: Job\nmetadata: {name: j}\nspec: {template: {spec: {containers: [a]}}}\n",
            ),
            ("several.yaml", "a: 1\n---\nmanagers: []\n"),
            (
                "patch.yaml",
                "apiVersion: policies.kubewarden.io/v1\nkind: ClusterAdmissionPolicy\nmetadata: {name: p}\nspec: {settings: {}}\n",
            ),
            ("requests.yaml", "- {group: a}\n---\n- {groop: a}\n"),
            (
                "webhook.yaml",
                "propeller: {}\nwebhook:\n  awsSecretManager: {}\n  secretManagerType: Nope\n",
            ),
            ("section.yaml", "propeller: {}\nwebhook:\n  awsSecretManager: 1\n"),
            (
                "config-map.yaml",
                "kind: ConfigMap\nmetadata: {name: c}\ndata: {a.yaml: 'webhook: {}', b.yaml: 'webhook: ['}\n",
            ),
        ],
    );
    for (command, message) in [
        (
            "preview missing.yaml",
            "cannot read missing.yaml: No such file or directory (os error 2)",
        ),
        ("preview broken.yaml", "broken.yaml: not YAML: "),
        (
            "preview service.yaml",
            "found no Pod and nothing with a Pod template, but Service default/x",
        ),
        (
            "preview deployment.yaml",
            "deployment.yaml, document 1, line 2: the Deployment default/x has no Pod template at spec.template",
        ),
        (
            "preview text.yaml",
            "text.yaml, document 1, line 1: this is no Kubernetes object",
        ),
        (
            "preview pod.yaml --settings settings.yaml",
            "settings.yaml, document 1, line 4: invalid settings: managers[0] (kubernetes).verfy is not a setting",
        ),
        (
            "preview pod.yaml --policy policy.yaml",
            "policy.yaml: found no ClusterAdmissionPolicy",
        ),
        (
            "preview pod.yaml --cluster missing.yaml",
            "cannot read missing.yaml: No such file or directory (os error 2)\n",
        ),
        (
            "preview pod.yaml --wasm pod.yaml",
            "pod.yaml is not a WebAssembly module",
        ),
        ("preview pod.yaml --record x", "--show-values"),
        ("preview - -", "can be read only once"),
        ("check pod.yaml --wasm -", "a Pod has no settings"),
        ("preview pod.yaml --wasm -", "--wasm: "),
        ("preview -", "error: standard input: found no Pod: nothing is in it\n"),
        (
            "preview pod-spec.yaml",
            "pod-spec.yaml, document 1, line 2: the Pod default/p: spec is no mapping",
        ),
        (
            "preview template.yaml",
            "template.yaml, document 1, line 1: the Job default/j: spec.containers is no list of mappings",
        ),
        ("preview empty.yaml", "empty.yaml: found no Pod: nothing is in it"),
        (
            "preview pod.yaml --cluster text.yaml",
            "text.yaml, document 1, line 1: object has no apiVersion",
        ),
        (
            "preview pod.yaml --replay text.yaml",
            "--replay: not a session of host capabilities",
        ),
        (
            "preview pod.yaml --policy patch.yaml",
            "patch.yaml: this policy has no spec.module, as a patch of kustomize has none",
        ),
        (
            "check several.yaml",
            "several.yaml: expected one document with settings, or one policy among the documents, found 2 documents with 0",
        ),
        (
            "encode requests.yaml",
            "requests.yaml, document 2, line 3: the requests: unknown field `groop`",
        ),
        (
            "decode pod.yaml",
            "Pod team-a/p: found no annotation of Flyte (flyte.secrets/s0 and so on)",
        ),
        (
            "from-flyte webhook.yaml",
            "webhook.yaml, line 4: webhook.secretManagerType is \"Nope\", but Flyte takes",
        ),
        (
            "from-flyte section.yaml",
            "section.yaml, line 3: webhook.awsSecretManager is 1, but Flyte takes a mapping",
        ),
        (
            "from-flyte config-map.yaml",
            "config-map.yaml, document 1, line 1: its file b.yaml is not YAML: ",
        ),
        (
            "from-flyte empty.yaml",
            "empty.yaml: found no section webhook in Flyte's configuration; it is in",
        ),
        (
            "preview review.yaml --as alice",
            "an AdmissionReview says who makes the request",
        ),
        ("check settings.yaml", "line 4: invalid settings"),
        (
            "decode !",
            "; there is no file of this name, and so it was read as the value of an annotation",
        ),
        (
            "encode text.yaml",
            "text.yaml, document 1, line 1: the requests: item 1 is no request, which is a mapping such as {group: db, key: password}",
        ),
        (
            "preview several.yaml",
            "found no Pod and nothing with a Pod template, but an object without kind and name, an object without kind and name; for",
        ),
        (
            "preview service.yaml --template-path spec.no.where",
            "service.yaml, document 1, line 1: the Service default/x has no Pod template at spec.no.where (--template-path): neither",
        ),
        ("nonsense", "unrecognized subcommand"),
    ] {
        // A file of the table is in a folder of its own.
        let words = command.split(' ').map(|word| match files.path(word) {
            path if Path::new(&path).exists() => path,
            _ => word.to_owned(),
        });
        let words: Vec<String> = words.collect();
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let run = run(&arguments, "");
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{command}: {run:?}");
        assert!(run.err.contains(message), "{command}: {}", run.err);
        let cause = "No such file or directory";
        assert!(run.err.matches(cause).count() <= 1, "{}", run.err);
    }
}

/// Whatever the command, and whatever it was given in place of the file that it reads.
#[test]
fn files_of_another_kind_are_told_by_every_command() {
    let files = Files::new(
        "kinds",
        &[
            ("pod.yaml", &pod("p")),
            ("empty.yaml", ""),
            ("comments.yaml", "---\n# nothing\n---\n"),
            ("tab.yaml", "kind: Pod\n\tmetadata: {}\n"),
            ("twice.yaml", "# about\nkind: Pod\nspec: {}\nkind: Job\n"),
            ("second.yaml", "a: 1\n---\n'b': 1\nb: 2\n"),
            ("nul.yaml", "kind: Pod\nspec: {}\u{0}\n"),
            ("brace.json", "{\"kind\": \"Pod\","),
            ("number.yaml", "42\n"),
            ("template.yaml", "kind: Pod\nmetadata:\n  name: {{ name }}\n"),
            ("text.yaml", "no object\n"),
        ],
    );
    fs::create_dir_all(files.path("directory")).expect("a directory");
    fs::write(files.path("binary"), [0x7f, b'E', b'L', b'F', 0, 0xff]).expect("a file");
    let pod = files.path("pod.yaml");
    let commands: [(&[&str], &str); 8] = [
        (&["preview"], "found no Pod: nothing is in it"),
        (&["preview", &pod, "--settings"], "found no settings: nothing is in it"),
        (&["preview", &pod, "--policy"], "found no ClusterAdmissionPolicy"),
        (&["preview", &pod, "--cluster"], ""),
        (&["decode"], "found no Pod: nothing is in it"),
        (&["encode"], "found no request"),
        (&["from-flyte"], "found no section webhook in Flyte's configuration"),
        (&["check"], "found no settings: nothing is in it"),
    ];
    for (command, nothing) in commands {
        for (file, message) in [
            ("directory", "cannot read FILE: Is a directory"),
            ("binary", "cannot read FILE: it is not UTF-8"),
            ("empty.yaml", nothing),
            ("comments.yaml", nothing),
            (
                "tab.yaml",
                "FILE: not YAML: found a tab character that violates indentation at line 2",
            ),
            (
                "twice.yaml",
                "FILE: not YAML: duplicate entry with key \"kind\" at line 4",
            ),
            (
                "second.yaml",
                "FILE: not YAML: duplicate entry with key \"b\" at line 4",
            ),
            (
                "nul.yaml",
                "FILE: not YAML: control characters are not allowed at line 2",
            ),
            ("brace.json", "FILE: not JSON: EOF while parsing a value at line 1"),
            ("number.yaml", "FILE"),
            (
                "template.yaml",
                "a field has a mapping or a list as its name, as `{{ … }}` of a template is one",
            ),
            ("text.yaml", "FILE"),
        ] {
            if message.is_empty() {
                // A cluster may have nothing.
                continue;
            }
            let path = files.path(file);
            let arguments: Vec<&str> = command.iter().copied().chain([path.as_str()]).collect();
            let run = run(&arguments, "");
            assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}: {run:?}");
            let message = message.replace("FILE", &path);
            assert!(run.err.contains(&message), "{arguments:?}: {}", run.err);
            assert_eq!(run.err.lines().count(), 1, "{arguments:?}: {}", run.err);
        }
    }
    for file in ["binary", "text.yaml", "empty.yaml"] {
        let path = files.path(file);
        let run = run(&["check", &pod, "--wasm", &path], "");
        assert_eq!(
            (run.status, run.out.as_str(), run.err.lines().count()),
            (2, "", 1),
            "{run:?}"
        );
    }
    let no_module = run(&["preview", &pod, "--wasm", &pod], "");
    let message = format!(
        "error: --wasm: {pod} is not a WebAssembly module of a policy: magic header not detected: bad magic number"
    );
    assert!(no_module.err.starts_with(&message), "{no_module:?}");
}

#[test]
fn standard_input_is_not_read_twice() {
    for arguments in [
        ["preview", "-", "--settings", "-"],
        ["preview", "-", "--policy", "-"],
        ["preview", "-", "--cluster", "-"],
    ] {
        let run = run(&arguments, &pod("p"));
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{arguments:?}: {run:?}");
        assert!(
            run.err.contains("standard input (-) can be read only once"),
            "{arguments:?}: {run:?}"
        );
    }
}

/// The API server would not take such Secrets, so a preview of them says nothing.
#[test]
fn secrets_that_are_wrong_are_told_without_their_values() {
    for (fields, message) in [
        ("data: hunter2", "the Secret db: data is no mapping"),
        (
            "data: {password: hunter2}",
            "the Secret db: data.password is not base64: encode it, or write",
        ),
        (
            "stringData: {password: 22222222}",
            "the Secret db: stringData.password is no text: write it in quotes",
        ),
        ("stringData: [hunter2]", "the Secret db: stringData is no mapping"),
        (
            "stringData: {password: hunter2, password: hunter2}",
            "duplicate entry with key \"password\" at line 4",
        ),
        ("stringData: {password: hunter2", "not YAML: "),
    ] {
        let secret =
            format!("---\n{{apiVersion: v1, kind: Secret, metadata: {{name: db, namespace: shared}},\n\n {fields}}}\n");
        let files = Files::new("wrong-secret", &[("settings.yaml", GLOBAL), ("cluster.yaml", &secret)]);
        let paths = [files.path("settings.yaml"), files.path("cluster.yaml")];
        let run = run(
            &["preview", "-", "--settings", &paths[0], "--cluster", &paths[1]],
            &pod("p"),
        );
        assert_eq!((run.status, run.out.as_str()), (2, ""), "{fields}: {run:?}");
        assert!(run.err.contains(message), "{fields}: {}", run.err);
        assert!(
            !run.err.contains("hunter2") && !run.err.contains("22222222"),
            "{fields}: {}",
            run.err
        );
    }
}

#[test]
fn a_session_that_is_wrong_is_told_without_its_values() {
    let files = Files::new("session", &[("session.yaml", "- {request: x, response: hunter2}\n")]);
    let run = run(&["preview", "-", "--replay", &files.path("session.yaml")], &pod("p"));
    assert_eq!(run.status, 2);
    assert!(
        run.err
            .starts_with("error: --replay: not a session of host capabilities, at line 1")
            && !run.err.contains("hunter2"),
        "{run:?}"
    );
}

#[cfg(not(feature = "kube"))]
#[test]
fn a_build_without_a_client_says_so() {
    for option in ["--kubeconfig", "--context"] {
        let run = run(&["preview", "-", option, "x"], &pod("p"));
        assert_eq!((run.status, run.out.as_str()), (2, ""));
        assert!(
            run.err
                .starts_with("error: this build of the tool cannot ask a cluster"),
            "{run:?}"
        );
    }
}

const REVIEW: &str = "kind: AdmissionReview\nrequest: {uid: u, kind: {version: v1, kind: Pod}, resource: {version: v1, resource: pods}, \
                      operation: CREATE, userInfo: {}, object: {kind: Pod}}\n";
