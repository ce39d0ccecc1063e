//! What the tool does besides previews.

use super::*;

#[test]
fn the_tool_has_the_version_of_the_policy() {
    let manifest = fs::read_to_string(repository().join("Cargo.toml")).expect("the policy's manifest");
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = "))
        .expect("a version");
    assert_eq!(
        run(&["--version"], "").out,
        format!("secret-injector {}\n", version.trim_matches('"'))
    );
}

#[test]
fn completions_and_man_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            run(&["completions", shell], "").out.contains("secret-injector"),
            "{shell}"
        );
    }
    assert!(run(&["man"], "").out.contains(".TH secret-injector 1"));
    let files = Files::new("man", &[]);
    assert_eq!(run(&["man", "--directory", &files.path("")], "").status, 0);
    assert!(
        fs::read_to_string(files.path("secret-injector-preview.1"))
            .expect("a page")
            .contains("Shows what the policy does")
    );
}

#[test]
fn requests_go_through_encode_and_decode() {
    let encoded = run(&["encode"], "- {group: g, key: k}\n");
    assert!(
        encoded
            .out
            .contains("    flyte.secrets/s0: m4zg54lqhiqcezzcbjvwk5j1eargwiqk\n"),
        "{encoded:?}"
    );
    let pod = format!("kind: Pod\n{}spec: {{}}\n", encoded.out);
    assert_eq!(
        run(&["decode", "-"], &pod).out,
        "- group: g\n  key: k\n  mountRequirement: ANY\n"
    );
}

#[test]
fn kubectl_finds_it_as_a_plugin() {
    let files = Files::new("plugin", &[]);
    let link = files.path("kubectl-secret_injector");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_secret-injector"), &link).expect("a link");
    let output = Command::new(link)
        .args(["preview", "--help"])
        .output()
        .expect("the tool");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("Usage: kubectl secret-injector preview"), "{text}");
}

/// All files of an overlay are written, or none.
#[test]
fn an_overlay_is_written_where_there_is_none() {
    let files = Files::new(
        "overlay",
        &[(
            "values.yaml",
            "configmap: {core: {webhook: {secretManagerType: AWS}}}\n",
        )],
    );
    let (values, overlay) = (files.path("values.yaml"), files.path("deploy/flyte"));
    let arguments = ["from-flyte", &values, "--global-secrets", "--overlay", &overlay];
    let first = run(&arguments, "");
    let names = ["kustomization.yaml", "policy.yaml", "secrets.yaml"];
    let written: String = names.iter().map(|name| format!("{overlay}/{name}\n")).collect();
    assert_eq!((first.status, first.out), (0, written));
    let policy = fs::read_to_string(format!("{overlay}/policy.yaml")).expect("a policy");
    assert!(
        policy.contains("      type: global\n") || policy.contains("    - type: global\n"),
        "{policy}"
    );

    fs::remove_file(format!("{overlay}/policy.yaml")).expect("a file");
    let second = run(&arguments, "");
    assert_eq!((second.status, second.out.as_str()), (2, ""));
    let message = "kustomization.yaml: is there already, and nothing was written";
    assert!(second.err.contains(message), "{second:?}");
    assert!(!Path::new(&overlay).join("policy.yaml").exists());
    let blocked = run(&["from-flyte", &values, "--overlay", &files.path("values.yaml")], "");
    assert_eq!((blocked.status, blocked.out.as_str()), (2, ""), "{blocked:?}");
    assert!(blocked.err.contains("values.yaml: "), "{blocked:?}");
    let both = run(
        &["from-flyte", &values, "--overlay", &overlay, "--output", "policy"],
        "",
    );
    assert_eq!((both.status, both.out.as_str()), (2, ""), "{both:?}");
}
