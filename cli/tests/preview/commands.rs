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
