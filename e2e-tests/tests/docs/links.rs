//! What the documentation links to and names is there.

use std::path::{Component, Path, PathBuf};

use e2e_tests::modules;

use super::markdown::{Document, code, prose};

/// Where the files of the repository are for everybody.
const HOME: &str = "https://github.com/secret-injector/secret-injector-policy/blob/main/";

/// The README is read on Artifact Hub and with `kwctl inspect` too, where a relative link leads nowhere.
#[test]
fn the_readme_has_whole_addresses() {
    let readme = Document::read("README.md");
    for target in targets(&prose(&readme.text).join("\n")) {
        assert!(target.starts_with("https://") || target.starts_with('#'), "{target}");
    }
}

#[test]
fn links_lead_somewhere() {
    let documents = Document::all();
    let mut dead = Vec::new();
    for document in &documents {
        let text = prose(&document.text).join("\n");
        for target in targets(&text) {
            if let Some(target) = target.strip_prefix(HOME) {
                let path = target.split('#').next().unwrap();
                if !modules::repository().join(path).exists() {
                    dead.push(format!("{}: {target}", document.path.display()));
                }
                continue;
            }
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => document.path.clone(),
                path => normal(&document.path.parent().unwrap().join(path)),
            };
            let there = modules::repository().join(&path).exists()
                && (anchor.is_empty()
                    || documents
                        .iter()
                        .filter(|other| other.path == path)
                        .any(|other| other.anchors().iter().any(|known| known == anchor)));
            if !there {
                dead.push(format!("{}: {target}", document.path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// Paths in backticks, from the root of the repository or from the document's directory.
#[test]
fn named_files_are_there() {
    let root = modules::repository();
    let tops = ["docs/", "deploy/", "e2e-tests/", "src/", "fuzz/", ".github/", ".ci/"];
    let mut missing = Vec::new();
    for document in Document::all() {
        let text = prose(&document.text).join("\n");
        for name in code(&text) {
            let is_path = tops.iter().any(|top| name.starts_with(top));
            let is_pattern = name.contains(|c: char| c.is_whitespace() || c.is_uppercase() || "*?{}<>$…".contains(c));
            if !is_path || is_pattern && !name.ends_with(".md") {
                continue;
            }
            let beside = document.path.parent().unwrap().join(name);
            if !root.join(name).exists() && !root.join(beside).exists() {
                missing.push(format!("{}: {name}", document.path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// A reader of the README finds the index, and in it every document.
#[test]
fn the_index_leads_to_every_document() {
    let readme = Document::read("README.md");
    assert!(targets(&readme.text).any(|target| target.strip_prefix(HOME) == Some("docs/README.md")));
    let index = Document::read("docs/README.md");
    let linked: Vec<&str> = targets(&index.text)
        .filter_map(|target| target.split('#').next())
        .collect();
    for document in Document::all() {
        if let Ok(path) = document.path.strip_prefix("docs")
            && path.as_os_str() != "README.md"
        {
            let path = path.to_str().unwrap();
            assert!(linked.contains(&path), "docs/README.md does not link {path}");
        }
    }
}

/// The addresses of links, without titles.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = normal.pop(),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}
