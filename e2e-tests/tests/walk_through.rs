//! The walk-through for a new manager, `docs/contributing/add-a-manager.md`, works: its diffs apply to a copy of the tree, the library
//! compiles with them, and the cases pass.
//!
//! The copy has a target folder of its own, `target/walk-through/target`. Where that is empty, cargo takes some 30 s of processor time;
//! where a file of the library has changed, some 5 s.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_tests::host::validate_payload;
use e2e_tests::review::Review;
use e2e_tests::{cases, modules, process};
use serde_json::Value;

const PAGE: &str = "docs/contributing/add-a-manager.md";

/// What the library needs, and what else the diffs may touch.
const COPIED: [&str; 8] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "src",
    "docs/reference",
    "e2e-tests/tests/policy",
    PAGE,
];

/// A program that evaluates the payloads in the lines of its input.
const PROGRAM: &str = r#"use secret_injector_policy::{admission, cluster::MemoryCluster};

fn main() {
    for payload in std::io::stdin().lines() {
        let answer = admission::validate(payload.unwrap().as_bytes(), &MemoryCluster::default());
        println!("{}", String::from_utf8(answer).unwrap());
    }
}
"#;

const PROGRAM_MANIFEST: &str = r#"[package]
name = "evaluate"
version = "0.1.0"
edition = "2024"

[dependencies]
secret-injector-policy = { path = "..", default-features = false, features = ["memory-cluster"] }
"#;

#[test]
fn the_walk_through_works() {
    let folder = modules::repository().join("target/walk-through");
    let (fresh, tree) = (folder.join("fresh"), folder.join("tree"));
    let before = patched(&fresh);
    synchronize(&fresh, &tree);

    let said = cargo(&tree, &["fmt", "--check", "--package", "secret-injector-policy"], "");
    assert!(said.is_empty(), "{said}");
    let new: Vec<Value> = files(&tree.join("e2e-tests/tests/policy"))
        .into_iter()
        .filter(|(path, _)| !before.contains_key(&Path::new("e2e-tests/tests/policy").join(path)))
        .flat_map(|(_, text)| cases::parse(std::str::from_utf8(&text).unwrap()).unwrap())
        .collect();
    assert!(new.len() > 1, "the page has cases");
    let payloads: Vec<String> = new
        .iter()
        .map(|case| {
            let request = Review::of_pod(case["pod"].clone()).request;
            let mut settings = case["settings"].clone();
            settings["statusAnnotation"] = false.into();
            String::from_utf8(validate_payload(&request, &settings).unwrap()).unwrap()
        })
        .collect();
    let answers = cargo(
        &tree,
        &["run", "--offline", "--package", "evaluate"],
        &payloads.join("\n"),
    );
    let answers: Vec<Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), new.len());
    for (case, answer) in new.iter().zip(answers) {
        let expect = &case["expect"];
        let parts = expect["rejected"]["message"].as_array().into_iter().flatten();
        let message = answer["message"].as_str().unwrap_or_default();
        for part in parts.map(|part| part.as_str().unwrap()) {
            assert!(message.contains(part), "{}: {message}", case["case"]);
        }
        assert_eq!(answer["code"], expect["rejected"]["code"], "{}: {answer}", case["case"]);
        assert_eq!(answer["mutated_object"], expect["pod"], "{}", case["case"]);
    }
}

/// Makes a copy of the tree, applies the page's diffs as the page says, and returns what there was before.
fn patched(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let _ = fs::remove_dir_all(folder);
    let mut before = BTreeMap::new();
    for name in COPIED {
        let from = modules::repository().join(name);
        if from.is_dir() {
            before.extend(
                files(&from)
                    .into_iter()
                    .map(|(path, text)| (Path::new(name).join(path), text)),
            );
        } else {
            before.insert(name.into(), fs::read(from).unwrap());
        }
    }
    before.iter().for_each(|(path, text)| write(&folder.join(path), text));
    let page = String::from_utf8(before[Path::new(PAGE)].clone()).unwrap();
    let command = page
        .lines()
        .find(|line| line.contains("git apply"))
        .expect("the page says how");
    let output = Command::new("sh")
        .args(["-ec", command])
        .current_dir(folder)
        // To git, the copy is in no repository.
        .env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap())
        .output()
        .unwrap();
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "the diffs of {PAGE} do not apply any more; write them anew:\n{messages}"
    );

    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    // The profiles name crates that are not here.
    let manifest = manifest.split("\n[profile.").next().unwrap();
    let manifest = manifest.replace(r#"members = ["cli", "e2e-tests"]"#, r#"members = ["evaluate"]"#);
    write(&folder.join("Cargo.toml"), manifest.as_bytes());
    write(&folder.join("evaluate/Cargo.toml"), PROGRAM_MANIFEST.as_bytes());
    write(&folder.join("evaluate/src/main.rs"), PROGRAM.as_bytes());
    before
}

/// Makes `to` what `from` is, and leaves files alone that are the same: cargo compiles what is newer than before.
fn synchronize(from: &Path, to: &Path) {
    let (wanted, mut there) = (files(from), files(to));
    for (path, text) in &wanted {
        if there.remove(path).as_ref() != Some(text) && path != Path::new("Cargo.lock") || !to.join(path).exists() {
            write(&to.join(path), text);
        }
    }
    there.keys().for_each(|path| fs::remove_file(to.join(path)).unwrap());
}

/// Returns the output of a command of cargo in the copy.
fn cargo(tree: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"))
        .env("CARGO_TERM_COLOR", "never");
    let run = process::run(&mut command, input).unwrap();
    assert!(run.success && !run.err.contains("warning:"), "{}{}", run.out, run.err);
    run.out
}

/// Returns the files below `folder`, and what is in them.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), text);
            }
        }
    }
    found
}

fn write(path: &Path, text: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
