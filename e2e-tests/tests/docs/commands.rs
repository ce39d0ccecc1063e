//! The commands of the documentation: those of the tool `secret-injector` are run as they are written, those for make name targets,
//! and those for a cluster name files that are there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use e2e_tests::modules;

use super::markdown::{Document, blocks, code, files};

/// Files of the reader, and what stands for them where the documentation's commands are run.
const READERS: [(&str, &str); 10] = [
    ("flyte-config.yaml", "cli/tests/flyte-config.yaml"),
    ("flyte-pod.yaml", "cli/tests/flyte-pod.yaml"),
    ("policy.yaml", "deploy/base/policy.yaml"),
    ("rendered.yaml", "deploy/base/policy.yaml"),
    ("deployment.yaml", "cli/tests/deployment.yaml"),
    ("pod.yaml", "e2e-tests/examples/flyte-files/pod.yaml"),
    ("secrets.yaml", "e2e-tests/examples/flyte-files/cluster.yaml"),
    ("settings.yaml", "e2e-tests/examples/flyte-files/settings.yaml"),
    ("old.wasm", "policy.wasm"),
    ("new.wasm", "policy.wasm"),
];

const TOOL: &str = "secret-injector";

#[test]
fn commands_of_the_tool_run() {
    let mut run = 0;
    for document in documents() {
        let here = reader(&document);
        for command in commands(&document).iter().filter(|command| uses_tool(command)) {
            let output = Command::new("bash")
                .args(["-euo", "pipefail", "-c", command])
                .current_dir(&here)
                .env(
                    "PATH",
                    format!("{}:{}", here.join("bin").display(), std::env::var("PATH").unwrap()),
                )
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}: {command}\n{}{}",
                document.path.display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            run += 1;
        }
        fs::remove_dir_all(here).unwrap();
    }
    assert!(run >= 6, "only {run} commands were found");
}

/// Behind a comment `<!-- output of: COMMAND -->` stands what the command prints.
#[test]
fn outputs_that_are_shown_are_those_of_the_tool() {
    let mut compared = 0;
    for document in documents() {
        let here = reader(&document);
        for part in document.text.split("\n<!-- output of: ").skip(1) {
            let (command, rest) = part.split_once(" -->\n").unwrap();
            let shown = rest.split_once('\n').unwrap().1.split("```").next().unwrap();
            let mut arguments = command.split_whitespace();
            assert_eq!(arguments.next(), Some(TOOL), "{command}");
            let output = Command::new(here.join("bin").join(TOOL))
                .args(arguments)
                .current_dir(&here)
                .output()
                .unwrap();
            assert_eq!(
                String::from_utf8(output.stdout).unwrap(),
                shown,
                "{}: {command}",
                document.path.display()
            );
            compared += 1;
        }
        fs::remove_dir_all(here).unwrap();
    }
    assert!(compared >= 2, "{compared}");
}

#[test]
fn make_help_lists_every_target() {
    let output = Command::new("make")
        // `make test` runs this test: make would say that it is inside of another.
        .args(["--no-print-directory", "help"])
        .current_dir(modules::repository())
        .env_remove("MAKEFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let listed: BTreeSet<String> = text
        .lines()
        .map(|line| {
            let (name, about) = line.split_once(' ').unwrap();
            assert!(!about.trim().is_empty(), "{name} has no description");
            name.to_owned()
        })
        .collect();
    assert_eq!(listed, targets(), "make help on the left, the Makefile on the right");
}

/// In the documentation, the workflows and what CI runs.
#[test]
fn targets_that_are_named_exist() {
    let targets = targets();
    let mut named: Vec<(PathBuf, String)> = Vec::new();
    for document in Document::all() {
        for command in commands(&document)
            .iter()
            .map(String::as_str)
            .chain(code(&document.text))
        {
            named.extend(of_make(command).map(|target| (document.path.clone(), target)));
        }
    }
    for path in workflows() {
        for line in fs::read_to_string(modules::repository().join(&path)).unwrap().lines() {
            let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
            named.extend(of_make(line).map(|target| (path.clone(), target)));
        }
    }
    assert!(named.len() > 10);
    for (path, target) in named {
        assert!(targets.contains(&target), "{}: make {target}", path.display());
    }
}

/// Directories behind `-k` that are the repository's or the documentation's, and the names of what `deploy` makes.
#[test]
fn commands_for_a_cluster_name_what_is_there() {
    let mut seen = 0;
    let documents = Document::all();
    let shown: BTreeSet<&str> = documents
        .iter()
        .flat_map(|document| files(&document.text))
        .map(|(name, _)| name)
        .collect();
    for document in &documents {
        for command in commands(document) {
            let words: Vec<&str> = command.split_whitespace().collect();
            if words[0] != "kubectl" {
                continue;
            }
            let place = document.path.display();
            for pair in words.windows(2).filter(|pair| ["-k", "kustomize"].contains(&pair[0])) {
                let path = PathBuf::from(in_the_repository(pair[1])).join("kustomization.yaml");
                let shown = shown.contains(&*path.to_string_lossy());
                assert!(shown || modules::repository().join(path).exists(), "{place}: {command}");
                seen += 1;
            }
            for word in &words {
                if let Some((_, name)) = word.split_once("clusteradmissionpolicies/") {
                    let manifest = fs::read_to_string(modules::repository().join("deploy/base/policy.yaml")).unwrap();
                    assert!(manifest.contains(&format!("name: {name}\n")), "{place}: {command}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 3);
}

/// A directory of the repository, which may be named by its address at a version.
fn in_the_repository(directory: &str) -> &str {
    let path = directory.trim_matches('"');
    let path = path
        .split_once(".com/secret-injector/secret-injector-policy//")
        .map_or(path, |(_, path)| path);
    path.split('?').next().unwrap()
}

/// Where commands are run that a reader would run: not among the tools for contributors, which say themselves what they need.
fn documents() -> Vec<Document> {
    let all = Document::all().into_iter();
    all.filter(|document| document.path.components().count() == 1 || document.path.starts_with("docs"))
        .collect()
}

/// A directory that looks like the repository, with the reader's files in it, those among them that the document shows.
fn reader(document: &Document) -> PathBuf {
    let name = document.path.to_string_lossy().replace('/', "-");
    // Tests run at the same time, each in a directory of its own.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let here = std::env::temp_dir().join(format!("docs-{}-{number}-{name}", std::process::id()));
    _ = fs::remove_dir_all(&here);
    fs::create_dir_all(here.join("bin")).unwrap();
    let root = modules::repository();
    for entry in ["docs", "deploy", "e2e-tests", "metadata.yml"] {
        symlink(root.join(entry), here.join(entry)).unwrap();
    }
    symlink(modules::policy(), here.join("policy.wasm")).unwrap();
    symlink(env!("CARGO_BIN_EXE_tool"), here.join("bin").join(TOOL)).unwrap();
    for (name, source) in READERS {
        let source = if source == "policy.wasm" {
            modules::policy()
        } else {
            root.join(source)
        };
        fs::copy(source, here.join(name)).unwrap();
    }
    for (name, text) in files(&document.text) {
        let path = here.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    here
}

/// Whether a command, or one in its pipe, is the tool. A command that asks a real cluster is not run.
fn uses_tool(command: &str) -> bool {
    let mut programs = command.split('|').filter_map(|part| part.split_whitespace().next());
    programs.any(|program| program == TOOL) && !command.contains("--kubeconfig") && !command.contains("kubectl ")
}

/// What stands behind `$ ` in blocks for the console.
fn commands(document: &Document) -> Vec<String> {
    blocks(&document.text)
        .iter()
        .filter(|block| block.language == "console")
        .flat_map(|block| &block.lines)
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| line.split("   #").next().unwrap().trim().to_owned())
        .collect()
}

/// The targets in a command for make.
fn of_make(command: &str) -> impl Iterator<Item = String> {
    let arguments = command.strip_prefix("make ").unwrap_or_default();
    let words: Vec<String> = arguments
        .split_whitespace()
        .filter(|word| !word.contains('=') && !word.starts_with('-') && !word.starts_with('('))
        .map(str::to_owned)
        .collect();
    words.into_iter()
}

/// The targets of the Makefile that have a name of their own.
fn targets() -> BTreeSet<String> {
    let makefile = fs::read_to_string(modules::repository().join("Makefile")).unwrap();
    makefile
        .lines()
        .filter(|line| !line.starts_with(['\t', '#', '.', ' ']) && !line.contains(":="))
        .filter_map(|line| line.split_once(':'))
        .map(|(target, _)| target.to_owned())
        .filter(|target| !target.contains(['%', '$']))
        .collect()
}

fn workflows() -> Vec<PathBuf> {
    let directory = modules::repository().join(".github/workflows");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| PathBuf::from(".github/workflows").join(entry.unwrap().file_name()))
        .collect();
    files.push(PathBuf::from(".ci/run"));
    files
}
