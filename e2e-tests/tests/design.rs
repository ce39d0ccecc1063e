//! Checks that the layout of `src/` stays within five limits, so that whoever opens it finds small files, and imports in one
//! direction. The latter goes for `cli/src` and `e2e-tests/src` too, where a file and the folder of its name count as one.
//!
//! A product line is a line of `src/` that belongs to no item for tests (`#[cfg(test)]`). The text is read as rustfmt writes it: an
//! item ends with a line of its own indentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The goal is 7,000. The limit is lowered whenever lines go, and raised where what users gain is worth the lines.
const MAX_LINES: usize = 15_999;
const MAX_FILE_LINES: usize = 350;
const MAX_FUNCTION_LINES: usize = 50;

#[test]
fn the_product_has_few_lines() {
    let files = product();
    let lines: usize = files.values().map(Vec::len).sum();
    assert!(
        lines <= MAX_LINES,
        "src/ has {lines} product lines; {MAX_LINES} are the most"
    );
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for (module, lines) in product() {
        if lines.len() > MAX_FILE_LINES {
            long.push(format!(
                "{module}: {} lines; {MAX_FILE_LINES} are the most",
                lines.len()
            ));
        }
        for (number, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
            let length = item_length(&lines[number..]);
            if length > MAX_FUNCTION_LINES {
                long.push(format!(
                    "{module}: {} has {length} lines; {MAX_FUNCTION_LINES} are the most",
                    line.trim()
                ));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn imports_go_one_way() {
    for (source, imports) in [
        ("src", imports(&product())),
        ("cli/src", between_rooms(&imports(&sources("../cli/src")))),
        ("e2e-tests/src", between_rooms(&imports(&sources("src")))),
    ] {
        for start in imports.keys() {
            let mut reached = BTreeSet::new();
            let mut next: Vec<&String> = imports[start].iter().collect();
            while let Some(module) = next.pop() {
                assert_ne!(
                    module, start,
                    "{source}: {start} is in a circle of imports: {start} -> {reached:?} -> {start}"
                );
                if reached.insert(module) {
                    next.extend(&imports[module]);
                }
            }
        }
    }
}

#[test]
fn the_pod_knows_neither_managers_nor_settings() {
    for (module, imported) in imports(&product()) {
        let above = |name: &&String| ["managers", "settings"].contains(&name.split("::").next().unwrap());
        if module.starts_with("pod") {
            assert_eq!(imported.iter().find(above), None, "{module} imports it");
        }
    }
}

fn product() -> BTreeMap<String, Vec<String>> {
    sources("../src")
}

/// Returns the product lines of each file of a crate, whose sources are in `folder`, by its module such as `managers::vault`.
fn sources(folder: &str) -> BTreeMap<String, Vec<String>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut files, mut tests) = (BTreeMap::new(), Vec::new());
    let mut folders = vec![source.clone()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(&source).unwrap().with_extension("");
                let module = relative.to_str().unwrap().replace('/', "::");
                let (lines, test_modules) = without_tests(&fs::read_to_string(&path).unwrap());
                tests.extend(
                    test_modules
                        .into_iter()
                        .map(|name| format!("{module}::{name}").replace("lib::", "")),
                );
                files.insert(module, lines);
            }
        }
    }
    files.retain(|module, _| {
        !tests
            .iter()
            .any(|test| module == test || module.starts_with(&format!("{test}::")))
    });
    files
}

/// Returns the product lines of a file, and the names of its modules that are in files of their own and only for tests.
fn without_tests(text: &str) -> (Vec<String>, Vec<String>) {
    let all: Vec<String> = text.lines().map(str::to_owned).collect();
    let (mut lines, mut modules, mut number) = (Vec::new(), Vec::new(), 0);
    while let Some(line) = all.get(number) {
        number += 1;
        if line.trim().starts_with("#[cfg(") && line.contains("test") {
            let item = &all[number];
            modules.extend(
                item.trim()
                    .strip_suffix(';')
                    .and_then(|item| Some(item.split_once("mod ")?.1.to_owned())),
            );
            number += item_length(&all[number..]);
        } else {
            lines.push(line.clone());
        }
    }
    (lines, modules)
}

/// Returns how many lines the item takes that the first of `lines` begins.
fn item_length(lines: &[String]) -> usize {
    let first = &lines[0];
    if first.ends_with(['}', ';']) {
        return 1;
    }
    let indentation = &first[..first.len() - first.trim_start().len()];
    let ends = |line: &String| {
        let rest = line.strip_prefix(indentation).unwrap_or_default();
        ["}", "};"].contains(&rest) || rest.starts_with(')') && rest.ends_with(';')
    };
    lines.iter().position(ends).map_or(lines.len(), |position| position + 1)
}

fn starts_function(line: &str) -> bool {
    let modifier = |word: &str| word.starts_with("pub") || ["const", "unsafe", "extern", "\"C\""].contains(&word);
    line.split_once("fn ")
        .is_some_and(|(before, _)| before.split_whitespace().all(modifier))
}

/// Returns the files that each file imports from. A path counts wherever it stands; a `mod` line is no path.
fn imports(files: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let imported = |module: &String, lines: &Vec<String>| {
        let code = lines.iter().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.map(String::as_str).collect::<Vec<_>>().join("\n");
        let paths = paths(&code).into_iter().map(|path| absolute(module, &path));
        let named = paths.filter_map(|path| {
            let mut prefixes = (1..=path.len()).rev().map(|length| path[..length].join("::"));
            prefixes.find(|name| files.contains_key(name))
        });
        named.filter(|name| name != module).collect()
    };
    files
        .iter()
        .map(|(module, lines)| (module.clone(), imported(module, lines)))
        .collect()
}

/// Returns the imports of the modules at the root of a crate, each with those below it.
fn between_rooms(imports: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let room = |module: &str| module.split("::").next().unwrap().to_owned();
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, imported) in imports {
        let others = imported
            .iter()
            .map(|other| room(other))
            .filter(|other| *other != room(module));
        rooms.entry(room(module)).or_default().extend(others);
    }
    rooms
}

/// Returns every path in `code` that can lead to another file: those that begin with `crate`, `self`, `super` or a module
/// that `code` declares. `a::{b, c}` is two paths.
fn paths(code: &str) -> Vec<Vec<String>> {
    let declared = code
        .lines()
        .filter_map(|line| line.strip_suffix(';')?.split_once("mod ").map(|(_, name)| name));
    let mut paths = Vec::new();
    for start in declared.chain(["crate", "self", "super"]) {
        for (position, _) in code.match_indices(&format!("{start}::")) {
            let before = code[..position].chars().next_back().unwrap_or(' ');
            if !before.is_alphanumeric() && before != '_' && before != ':' {
                expand(&code[position..], &[], &mut paths);
            }
        }
    }
    paths
}

/// Adds the paths of the tree that `text` begins with to `paths`, and returns what follows it.
fn expand<'t>(text: &'t str, prefix: &[String], paths: &mut Vec<Vec<String>>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = expand(rest, prefix, paths).trim_start();
            match rest.strip_prefix(',').map(str::trim_start) {
                Some(more) if !more.starts_with('}') => rest = more,
                more => return more.unwrap_or(rest).strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text
        .find(|character: char| !character.is_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    let path = [prefix, &[text[..end].to_owned()]].concat();
    match text[end..].strip_prefix("::") {
        Some(rest) if rest.starts_with(|next: char| next == '{' || next.is_alphabetic()) => expand(rest, &path, paths),
        _ => {
            paths.push(path);
            &text[end..]
        }
    }
}

/// Returns `path` as it is written from the crate's root.
fn absolute(module: &str, path: &[String]) -> Vec<String> {
    let here: Vec<String> = module
        .split("::")
        .filter(|name| *name != "lib")
        .map(str::to_owned)
        .collect();
    let supers = path.iter().take_while(|name| *name == "super").count();
    match path.first().map(String::as_str) {
        Some("crate") => path[1..].to_vec(),
        Some("self") => [&here, &path[1..]].concat(),
        Some("super") => [&here[..here.len().saturating_sub(supers)], &path[supers..]].concat(),
        _ => [&here, path].concat(),
    }
}
