//! Everything else that names the policy, and the workflows.

use std::fs;
use std::path::{Path, PathBuf};

use e2e_tests::modules;
use serde_json::{Value, json};

use crate::{annotation_of, document, image, metadata, parse, read};

/// Wherever the policy's address stands, it is the one of the metadata, at the version of the metadata. Mirrors are other
/// registries with that version.
#[test]
fn one_address_and_one_version_everywhere() {
    let metadata = metadata();
    let image = image(&metadata);
    let tag = image.rsplit('/').next().unwrap();
    let name = format!("/{}:", annotation_of(&metadata, "io.kubewarden.policy.title"));
    let (mut found, mut wrong) = (0, Vec::new());
    for path in texts() {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let words = line.split(|c: char| c.is_whitespace() || "\"'`()".contains(c));
            for reference in words.filter(|word| word.contains(&name)) {
                found += 1;
                let address = reference.trim_start_matches("registry://");
                let mirror = address.starts_with("registry.example.com/") && address.ends_with(tag);
                if address != image && !mirror {
                    wrong.push(format!(
                        "{}:{}: {reference} and not {image}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found >= 4, "the manifest and the package hold the address");
}

/// An action that is pinned by its commit cannot be replaced by whoever owns the tag. The version behind it is for people
/// and for Renovate.
#[test]
fn workflows_pin_their_actions_and_ask_for_little() {
    let directory = modules::repository().join(".github");
    let files: Vec<PathBuf> = texts()
        .into_iter()
        .filter(|path| path.starts_with(&directory))
        .collect();
    let mut workflows = 0;
    for path in &files {
        let text = fs::read_to_string(path).unwrap();
        for line in text
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
        {
            if line.starts_with("./") {
                continue;
            }
            let (action, comment) = line.split_once(" # v").unwrap_or((line, ""));
            let digest = action.split_once('@').map_or("", |(_, digest)| digest);
            assert!(
                digest.len() == 40 && digest.bytes().all(|b| b.is_ascii_hexdigit()) && !comment.is_empty(),
                "{}: {line}: pin it as ACTION@COMMIT # vVERSION",
                path.display()
            );
        }
        if path.parent().is_some_and(|parent| parent.ends_with("workflows")) {
            workflows += 1;
            check_workflow(path, &parse(&text));
        }
    }
    assert!(workflows >= 3, "{files:?}");
}

/// Nothing is granted but where it is needed, nothing runs for ever, and what GitHub fills in is no code of a shell.
fn check_workflow(path: &Path, workflow: &Value) {
    let place = path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(workflow["permissions"], json!({"contents": "read"}), "{place}");
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let place = format!("{place}: {name}");
        let may_more = place == "release.yml: release";
        assert_eq!(job.get("permissions").is_some(), may_more, "{place}");
        if let Some(called) = job["uses"].as_str() {
            assert!(modules::repository().join(called).exists(), "{place}: {called}");
            continue;
        }
        assert!(job["runs-on"].is_string() && job["timeout-minutes"].is_u64(), "{place}");
        for step in job["steps"].as_array().unwrap() {
            let (uses, run) = (step["uses"].as_str(), step["run"].as_str());
            assert!(uses.is_some() != run.is_some(), "{place}: {step}");
            assert!(run.is_none_or(|run| !run.contains("${{")), "{place}: {step}");
            if uses.is_some_and(|action| action.starts_with("actions/checkout@")) {
                assert_eq!(step["with"]["persist-credentials"], json!(false), "{place}: {step}");
            }
        }
    }
}

#[test]
fn every_fuzz_target_is_run() {
    let workflow = document(".github/workflows/fuzz.yml");
    let mut targets: Vec<String> = fs::read_dir(modules::repository().join("fuzz/fuzz_targets"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    targets.sort_unstable();
    assert_eq!(workflow["jobs"]["fuzz"]["strategy"]["matrix"]["target"], json!(targets));
}

/// The texts of the repository, without what is built.
fn texts() -> Vec<PathBuf> {
    let mut directories = vec![modules::repository().to_owned()];
    let mut texts = Vec::new();
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", ".venv", "golden", "sessions"].contains(&name.as_str()) {
                    directories.push(path);
                }
            } else if [".md", ".yml", ".yaml", ".bats", ".sh", "Makefile"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                texts.push(path);
            }
        }
    }
    texts.sort();
    texts
}

/// Cargo only warns of a profile for a package that is not there: then the tests take minutes, and nothing says why.
#[test]
fn profiles_are_for_packages_that_there_are() {
    let lock = read("Cargo.lock");
    let packages: Vec<&str> = lock.split("[[package]]\n").skip(1).collect();
    let mut seen = 0;
    for line in read("Cargo.toml").lines().filter(|line| line.starts_with("[profile.")) {
        let Some((_, package)) = line.trim_end_matches(']').split_once(".package.") else {
            continue;
        };
        let package = package.trim_matches('"');
        let (name, version) = package.split_once('@').unwrap_or((package, ""));
        let start = format!("name = \"{name}\"\nversion = \"{version}");
        let is_there = packages.iter().any(|package| package.starts_with(&start));
        assert!(is_there || name == "*", "{line}");
        seen += 1;
    }
    assert!(seen > 10, "{seen}");
}
