//! `docs/reference/settings.md` has every setting that the module knows, and no other, each with its type, its default and an
//! example.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use e2e_tests::capabilities::{Grants, Host};
use e2e_tests::cluster::Cluster;
use e2e_tests::host::PolicyModule;
use e2e_tests::review::Review;
use e2e_tests::{modules, settings, yaml};
use serde_json::{Map, Value, json};

use super::markdown::{Document, blocks, code, rows};

/// The section for what all managers with init containers have.
const SHARED: &str = "Managers with init containers";

/// The section for what managers have whose init containers ask a server.
const FETCHING: &str = "Managers that fetch";

/// What a type of manager needs, so that the module reads its settings to the end.
const REQUIRED: [(&str, &str); 2] = [
    (
        "confidant",
        "{url: https://c, authKey: k, region: r, image: i, authContext: {to: t}}",
    ),
    ("template", "{env: [{name: \"{envVar}\", value: \"{key}\"}]}"),
];

/// A row of the documentation.
pub struct Setting {
    /// Its name, with dots where it is in an object.
    pub name: String,
    /// What it may be.
    pub kind: String,
    /// The cell of the default.
    pub default: String,
}

/// The settings of a type of manager, as documented: its own, and those that it shares.
pub fn documented(kind: &str) -> Vec<Setting> {
    let document = Document::read("docs/reference/settings.md");
    let mut settings = table(document.section(&title(&document, kind)));
    if initialises(kind) {
        settings.extend(table(document.section(SHARED)));
    }
    if known_of(kind).contains("caBundle") {
        settings.extend(table(document.section(FETCHING)));
    }
    settings
}

/// The types of managers that the module knows.
pub fn kinds() -> Vec<String> {
    let problem = problem(&json!({"managers": [{}]})).unwrap();
    let (_, names) = problem.split_once("use one of ").expect(&problem);
    names.split(", ").map(str::to_owned).collect()
}

/// What the module knows for a type of manager, but for what all managers have.
pub fn known_of(kind: &str) -> BTreeSet<String> {
    let manager = |extra: &str| {
        let mut manager = required(kind);
        set(&mut manager, extra, json!(1));
        json!({"managers": [manager]})
    };
    let mut known: BTreeSet<String> = known(&manager("noSuchSetting"));
    for object in ["authContext", "caBundle"] {
        if known.contains(object) {
            let nested = self::known(&manager(&format!("{object}.noSuchSetting")));
            known.extend(nested.into_iter().map(|name| format!("{object}.{name}")));
        }
    }
    known.retain(|name| !["type", "match", "names"].contains(&name.as_str()));
    known
}

#[test]
fn every_setting_is_documented_and_every_documented_one_exists() {
    let document = Document::read("docs/reference/settings.md");
    let names = |section: &str| -> BTreeSet<String> { table(section).into_iter().map(|s| s.name).collect() };
    assert_eq!(
        names(document.section("All Pods")),
        known(&json!({"noSuchSetting": 1})),
        "All Pods"
    );
    assert_eq!(
        names(document.section("`access`")),
        known(&json!({"access": [{"noSuchSetting": 1}]})),
        "access"
    );
    let mut defaults = known(&default_with("noSuchSetting", json!(1)));
    defaults.insert("requests.required".to_owned());
    assert_eq!(
        names(document.section("`imagePullSecrets`")),
        known(&pull_secret_with("noSuchSetting", json!(1))),
        "imagePullSecrets"
    );
    assert_eq!(names(document.section("`defaults`")), defaults, "defaults");
    let matched = known(&json!({"managers": [{"type": "kubernetes", "match": {"noSuchSetting": 1}}]}));
    let mut every: BTreeSet<String> = matched.into_iter().map(|name| format!("match.{name}")).collect();
    let named = known(&json!({"managers": [{"type": "kubernetes", "names": {"group": "a", "noSuchSetting": 1}}]}));
    every.extend(named.into_iter().map(|name| format!("names.{name}")));
    every.extend(["type", "match", "names"].map(str::to_owned));
    assert_eq!(names(document.section("Every manager")), every, "Every manager");
    let mut stores = BTreeSet::new();
    for store in ["aws", "gcp", "azure"] {
        let manager = json!({"type": "flyte", "store": store, "region": "r", "project": "p", "vault": "https://v"});
        // The settings of the other stores are unknown.
        stores.extend(known(&json!({"managers": [manager]})));
    }
    let of_stores = names(document.section("`flyte` in a cloud"));
    assert!(of_stores.is_subset(&stores), "{of_stores:?} {stores:?}");
    for kind in kinds() {
        let documented: BTreeSet<String> = documented(&kind).into_iter().map(|s| s.name).collect();
        assert_eq!(
            documented,
            known_of(&kind),
            "{kind}: documented on the left, known on the right"
        );
    }
}

/// Every section has an example with all of its settings, which the module takes.
#[test]
fn every_setting_has_an_example() {
    let document = Document::read("docs/reference/settings.md");
    let kinds = kinds();
    let mut sections = [
        "All Pods",
        "`access`",
        "`defaults`",
        "`imagePullSecrets`",
        "Every manager",
    ]
    .map(str::to_owned)
    .to_vec();
    sections.extend([SHARED, FETCHING].map(str::to_owned));
    sections.extend(kinds.iter().map(|kind| title(&document, kind)));
    for title in sections {
        let section = document.section(&title);
        let examples: Vec<Value> = blocks(section)
            .iter()
            .filter(|block| block.language == "yaml")
            .map(|block| settings::from_text(&block.lines.join("\n")).unwrap_or_else(|e| panic!("{title}: {e}")))
            .collect();
        assert!(!examples.is_empty(), "{title}: no example");
        for example in &examples {
            assert_eq!(problem(example), None, "{title}: {example}");
        }
        for setting in table(section) {
            let shown = match title.as_str() {
                "All Pods" => examples.iter().any(|example| get(example, &setting.name).is_some()),
                list => {
                    let list = match list {
                        "`access`" => "access",
                        "`defaults`" => "defaults",
                        "`imagePullSecrets`" => "imagePullSecrets",
                        _ => "managers",
                    };
                    let items = examples.iter().filter_map(|example| example[list].as_array()).flatten();
                    let requests = items.clone().filter_map(|item| item["requests"].as_array()).flatten();
                    let of_request = setting.name.strip_prefix("requests.").unwrap_or(&setting.name);
                    items.clone().any(|item| get(item, &setting.name).is_some())
                        || requests.clone().any(|request| get(request, of_request).is_some())
                }
            };
            assert!(shown, "{title}: no example shows {}", setting.name);
        }
        for kind in kinds.iter().filter(|kind| code(&title).contains(&kind.as_str())) {
            let shown = examples
                .iter()
                .filter_map(|example| example["managers"].as_array())
                .flatten()
                .any(|manager| manager["type"] == kind.as_str());
            assert!(shown, "{title}: no example of {kind}");
        }
    }
}

/// The policy's settings with a value in one place.
type AllSettings = Box<dyn Fn(Value) -> Value>;

/// No setting is null: `kubectl apply` and merge patches drop such a field before it arrives.
#[test]
fn no_setting_is_null() {
    for document in Document::all() {
        let path = document.path.display();
        for row in rows(&document.text, "Setting") {
            let null = row.iter().take(3).any(|cell| code(cell).contains(&"null"));
            assert!(!null, "{path}: {row:?}");
        }
        let examples = blocks(&document.text)
            .into_iter()
            .filter(|block| block.language == "yaml");
        for example in examples {
            let text = example.lines.join("\n");
            let values = yaml::documents(&text).unwrap_or_default();
            for value in values.iter().map(|value| yaml::to_json(value).unwrap()) {
                let settings = value.pointer("/spec/settings").unwrap_or(&value);
                let is_settings = ["managers", "access"].iter().any(|name| settings.get(name).is_some());
                assert!(!(is_settings && holds_null(settings)), "{path}: {text}");
            }
        }
    }
    for example in examples() {
        assert!(!holds_null(&example.settings), "{}", example.name);
    }
    for overlay in [
        "base",
        "overlays/flyte1",
        "overlays/flyte2",
        "overlays/generic",
        "overlays/defaults",
    ] {
        let path = modules::repository().join("deploy").join(overlay).join("policy.yaml");
        for manifest in yaml::documents(&fs::read_to_string(path).unwrap()).unwrap() {
            let manifest = yaml::to_json(&manifest).unwrap();
            let settings = manifest.pointer("/spec/settings");
            assert!(!settings.is_some_and(holds_null), "{overlay}");
        }
    }
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(fields) => fields.values().any(holds_null),
        _ => false,
    }
}

/// A value of another type than the documented one is refused.
#[test]
fn types_are_the_documented_ones() {
    let document = Document::read("docs/reference/settings.md");
    let mut places: Vec<(Setting, AllSettings)> = Vec::new();
    for setting in table(document.section("All Pods")) {
        let name = setting.name.clone();
        places.push((setting, Box::new(move |value| nested(&name, value))));
    }
    for setting in table(document.section("`access`")) {
        let name = setting.name.clone();
        places.push((
            setting,
            Box::new(move |value| json!({"access": [nested(&name, value)]})),
        ));
    }
    for setting in table(document.section("`defaults`")) {
        let name = setting.name.clone();
        places.push((setting, Box::new(move |value| default_with(&name, value))));
    }
    for setting in table(document.section("`imagePullSecrets`")) {
        let name = setting.name.clone();
        places.push((setting, Box::new(move |value| pull_secret_with(&name, value))));
    }
    for kind in kinds() {
        let every = table(document.section("Every manager"));
        for setting in documented(&kind).into_iter().chain(every) {
            let (kind, name) = (kind.clone(), setting.name.clone());
            places.push((
                setting,
                Box::new(move |value| {
                    let mut manager = required(&kind);
                    set(&mut manager, &name, value);
                    json!({"managers": [manager]})
                }),
            ));
        }
    }
    for (setting, settings) in places {
        let (fits, other) = samples(&setting);
        for value in other {
            let settings = settings(value);
            assert!(
                problem(&settings).is_some(),
                "{settings} is taken, but {} is a {}",
                setting.name,
                setting.kind
            );
        }
        for value in fits {
            let settings = settings(value);
            let problem = problem(&settings).unwrap_or_default();
            assert!(
                !problem.contains("wrong type") && !problem.contains("has to be one of"),
                "{settings}: {problem}"
            );
        }
    }
}

/// Values of the documented type, and values of other types.
fn samples(setting: &Setting) -> (Vec<Value>, Vec<Value>) {
    let choices: Vec<Value> = code(&setting.kind).into_iter().map(parse).collect();
    match setting.kind.as_str() {
        "boolean" => (vec![json!(true), json!(false)], vec![json!("text"), json!(1)]),
        "number" => (vec![json!(1)], vec![json!("text"), json!([1])]),
        "absolute path" => (vec![json!("/a/b")], vec![json!("a/b"), json!(1)]),
        "object" => (vec![], vec![json!("text"), json!([1])]),
        "map of strings" => (vec![json!({"a": "b"})], vec![json!("text"), json!({"a": 1})]),
        "list of patterns" => (vec![json!(["a*"])], vec![json!("text"), json!([1])]),
        kind if kind.starts_with("list of `") => (vec![json!(choices)], vec![json!("text"), json!(["other"])]),
        kind if kind.starts_with("list") => (vec![], vec![json!("text"), json!(1)]),
        "string" => (vec![], vec![json!([1]), json!({"a": 1})]),
        "see below" => (vec![], vec![json!("other"), json!(1)]),
        _ if !choices.is_empty() => (choices, vec![json!("other"), json!([1])]),
        kind => panic!("{}: the test does not know the type {kind:?}", setting.name),
    }
}

/// Whoever leaves a setting out gets what he would get with the documented default: on the Pod of every example and preset.
#[test]
fn defaults_are_the_documented_ones() {
    let document = Document::read("docs/reference/settings.md");
    let images = images(&document);
    let mut untested: BTreeSet<String> = BTreeSet::new();
    let mut tested: BTreeSet<String> = BTreeSet::new();
    for example in examples() {
        let (without, mut changes) = (example.settings.clone(), Vec::new());
        for setting in table(document.section("All Pods")) {
            changes.push((setting.name.clone(), setting.name.clone(), default(&setting)));
        }
        // In a cloud, `flyte` has settings of its own.
        let managers = example.managers();
        let managers = managers.iter().enumerate();
        for (index, manager) in managers.filter(|(_, manager)| manager["store"].is_null()) {
            let kind = manager["type"].as_str().unwrap();
            for setting in documented(kind) {
                let client = if manager["client"] == "cli" {
                    "`aws`, `client: cli`"
                } else {
                    ""
                };
                let image = images.get(client).or_else(|| images.get(&format!("`{kind}`")));
                let image = image.or_else(|| images.get(&format!("`{kind}`, `client: sidecar`")));
                let value = match setting.name.as_str() {
                    "image" => image.cloned(),
                    _ => default(&setting),
                };
                changes.push((
                    format!("{kind}.{}", setting.name),
                    format!("managers.{index}.{}", setting.name),
                    value,
                ));
            }
        }
        for (name, place, value) in changes {
            let Some(value) = value else { continue };
            let (mut absent, mut given) = (without.clone(), without.clone());
            unset(&mut absent, &place);
            set(&mut given, &place, value);
            if problem(&absent).is_some() {
                untested.insert(name);
                continue;
            }
            let (absent, given) = (example.respond(&absent), example.respond(&given));
            assert_eq!(
                absent, given,
                "{}: {place}: left out on the left, the default on the right",
                example.name
            );
            tested.insert(name);
        }
    }
    untested.retain(|name| !tested.contains(name));
    assert!(untested.is_empty(), "no example tests the defaults of {untested:?}");
    for kind in kinds() {
        assert!(
            known_of(&kind).is_empty() || tested.iter().any(|name| name.starts_with(&format!("{kind}."))),
            "no example tests a default of {kind}"
        );
    }
}

/// A default that is a value: what stands in backticks at the beginning of the cell.
fn default(setting: &Setting) -> Option<Value> {
    let (text, _) = setting.default.strip_prefix('`')?.split_once('`')?;
    // A placeholder would be a mapping in YAML.
    let text_only = setting.kind.starts_with("string") || setting.kind == "absolute path";
    Some(if text_only { json!(text) } else { parse(text) })
}

/// The images by the first column of their table.
fn images(document: &Document) -> BTreeMap<String, Value> {
    rows(document.section(SHARED), "Manager")
        .into_iter()
        .filter(|row| row[1].starts_with('`'))
        .map(|row| (row[0].to_owned(), json!(code(row[1])[0])))
        .collect()
}

struct Example {
    name: String,
    settings: Value,
    cluster: Option<PathBuf>,
    review: Review,
}

impl Example {
    fn managers(&self) -> Vec<Value> {
        self.settings["managers"].as_array().cloned().unwrap_or_default()
    }

    fn respond(&self, settings: &Value) -> Value {
        let grants = Grants::from_metadata_file(modules::repository().join("metadata.yml")).unwrap();
        let cluster = self.cluster.as_ref().map(|path| Cluster::from_file(path).unwrap());
        let host = Host::new(cluster.unwrap_or_default(), grants);
        POLICY
            .validate(&host, &self.review.request, settings)
            .response
            .to_review()
    }
}

fn examples() -> Vec<Example> {
    let mut examples: Vec<Example> = ["e2e-tests/examples", "e2e-tests/presets"]
        .into_iter()
        .flat_map(|directory| fs::read_dir(modules::repository().join(directory)).unwrap())
        .map(|entry| entry.unwrap().path())
        .map(|path| Example {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            settings: settings::from_file(path.join("settings.yaml")).unwrap(),
            cluster: Some(path.join("cluster.yaml")).filter(|path| path.exists()),
            review: Review::from_file(path.join("pod.yaml")).unwrap(),
        })
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

// ---- the module

static POLICY: LazyLock<PolicyModule> =
    LazyLock::new(|| PolicyModule::from_file(modules::policy()).expect("run make policy.wasm first"));

/// What the module has against `settings`.
fn problem(settings: &Value) -> Option<String> {
    let answer = POLICY.validate_settings(&Host::isolated(), settings).unwrap();
    (!answer.valid).then(|| answer.message.unwrap_or_default())
}

/// The names that the module lists when it gets one that it does not know.
fn known(settings: &Value) -> BTreeSet<String> {
    let problem = problem(settings).unwrap_or_else(|| panic!("{settings} is taken"));
    let (_, names) = problem
        .split_once("known here are ")
        .unwrap_or_else(|| panic!("{settings}: {problem}"));
    names.split(", ").map(str::to_owned).collect()
}

/// Settings with a Secret for image pulls that has `value` in the setting `name`.
fn pull_secret_with(name: &str, value: Value) -> Value {
    let mut secret = json!({"name": "s", "images": ["*"]});
    secret[name] = value;
    json!({"imagePullSecrets": [secret]})
}

/// Settings with a default that has `value` in the setting `name`.
fn default_with(name: &str, value: Value) -> Value {
    let mut default = json!({"namespaces": ["*"], "requests": [{"key": "k"}]});
    match name.strip_prefix("requests.") {
        Some(field) => default["requests"][0][field] = value,
        None => default[name] = value,
    }
    json!({"defaults": [default]})
}

/// A manager with what it cannot do without.
fn required(kind: &str) -> Value {
    let text = REQUIRED
        .iter()
        .find(|(name, _)| *name == kind)
        .map_or("{}", |(_, text)| text);
    let mut manager = parse(text);
    manager["type"] = json!(kind);
    manager
}

fn initialises(kind: &str) -> bool {
    known_of(kind).contains("image")
}

// ---- the document

fn table(section: &str) -> Vec<Setting> {
    rows(section, "Setting")
        .into_iter()
        .map(|row| Setting {
            name: code(row[0])[0].to_owned(),
            kind: row[1].to_owned(),
            default: row[2].to_owned(),
        })
        .collect()
}

/// The heading under which a type of manager stands.
fn title(document: &Document, kind: &str) -> String {
    let headings = document.text.lines().filter_map(|line| line.strip_prefix("## "));
    let mut found = headings.filter(|heading| code(heading).contains(&kind));
    found
        .next()
        .unwrap_or_else(|| panic!("docs/reference/settings.md has no section {kind}"))
        .to_owned()
}

// ---- values

fn parse(text: &str) -> Value {
    yaml::to_json(&serde_norway::from_str(text).unwrap()).unwrap()
}

/// The value at a place with dots; a number is an index.
fn get<'v>(value: &'v Value, place: &str) -> Option<&'v Value> {
    place.split('.').try_fold(value, |value, part| value.get(part))
}

fn nested(place: &str, value: Value) -> Value {
    let mut settings = json!({});
    set(&mut settings, place, value);
    settings
}

fn set(target: &mut Value, place: &str, value: Value) {
    match place.split_once('.') {
        Some((first, rest)) => set(child(target, first), rest, value),
        None => *child(target, place) = value,
    }
}

fn unset(target: &mut Value, place: &str) {
    match place.split_once('.') {
        Some((first, rest)) => unset(child(target, first), rest),
        None => _ = target.as_object_mut().and_then(|fields| fields.remove(place)),
    }
}

fn child<'v>(target: &'v mut Value, name: &str) -> &'v mut Value {
    match (target, name.parse::<usize>()) {
        (Value::Array(items), Ok(index)) => &mut items[index],
        (target, _) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            &mut target[name]
        }
    }
}
