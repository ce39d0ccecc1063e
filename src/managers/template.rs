//! Any other system, as an operator describes it: annotations, labels, variables, volumes, mounts and init containers in
//! which [placeholders](super::placeholders) stand for the request.
//!
//! | Placeholder | Is |
//! |---|---|
//! | `{group}` `{groupVersion}` `{key}` | what the request says |
//! | `{envVar}` | the variable: the name that Flyte's clients look for, and, in a second copy, the request's `env_var` |
//! | `{namespace}` `{serviceAccount}` | the Pod's |
//! | `{id}` | 32 letters and digits for group, version and key, for names that have to be unique |
//! | `{mountPath}` | the policy's `mountPath` |
//! | `{path}` | the file's path below it: the setting `path`, or else the lower case of `{group}/{key}` |
//!
//! A template with `env` serves variables; one with `path`, or with `{path}` anywhere, serves files. With both, a
//! request for either gets a file only when it asks for one or for anything. Annotations, labels, volumes, mounts and
//! init containers go with both.
//!
//! **What the Pod's author may write.** A placeholder's value is a part of a JSON string, but may mean more to the system
//! that reads it: in `vault:{group}#{key}`, a group with `#` would name another key. Group, version and key may
//! therefore hold ASCII letters, digits, `.`, `_`, `-` and `/` only, and no part between slashes may be empty, `.` or
//! `..`. The setting `allowedCharacters` adds further characters.

#![forbid(unsafe_code)]

use serde_json::{Map, Value};

use crate::injection::{AgentMounts, Annotation, EnvValue, EnvVar, FileOrigin, Injection, RelativePath, SecretFile};
use crate::managers::placeholders::{self, Values, all_but, expand, expand_all};
use crate::managers::{Context, Manager, Miss, common};
use crate::names;
use crate::requests::{MountRequirement, SecretRequest};
use crate::schema;
use crate::settings::fields::{Fields, SettingsError};

/// The manager `template`.
#[derive(Debug)]
pub struct Template {
    annotations: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    env: Vec<Value>,
    volumes: Vec<Value>,
    mounts: Vec<Value>,
    init_containers: Vec<Value>,
    /// The file's path, as the operator gives it.
    path: Option<String>,
    /// Whether requests for files are served.
    gives_files: bool,
    /// Whether a text has the group in it, and the key: the other system finds the secret by these. Where a file appears
    /// does not count.
    selects: [bool; 2],
    /// Whether a request has to have a group, and a key.
    needs: [bool; 2],
    /// What group, version and key may hold beyond letters, digits and a few more.
    allowed: String,
}

/// The placeholders by which a system finds a secret.
const PARTS: [&str; 2] = ["group", "key"];

/// The lists of Kubernetes objects: the setting, and the type of its items.
const ENV: (&str, &str) = ("env", "EnvVar");
const VOLUMES: (&str, &str) = ("volumes", "Volume");
const MOUNTS: (&str, &str) = ("volumeMounts", "VolumeMount");
const INIT_CONTAINERS: (&str, &str) = ("initContainers", "Container");

impl Template {
    /// Reads the manager's settings and tries them with a sample request.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        let path = fields.take::<String>("path")?;
        let allowed = fields.take::<String>("allowedCharacters")?.unwrap_or_default();
        // The kubelet replaces $(NAME) in variables and commands.
        if let Some(character) = allowed
            .chars()
            .find(|character| *character == '$' || character.is_control())
        {
            return Err(fields.invalid("allowedCharacters", &format!("must not hold {character:?}")));
        }
        let mut sample = placeholders::sample();
        sample.push(("envVar", "_UNION_GROUP_KEY".to_owned()));
        sample.push(("mountPath", "/etc/flyte/secrets".to_owned()));
        match path.as_deref().map(|path| expand(path, &sample)) {
            Some(Err(problem)) => return Err(fields.invalid("path", &problem)),
            Some(Ok(path)) if relative(&path).is_err() => {
                return Err(fields.invalid("path", "has to be a path without '.', '..' and empty parts"));
            }
            _ => {}
        }
        sample.push(("path", "group/key".to_owned()));
        let mut template = Self {
            annotations: texts(fields, "annotations", &sample, |key, _| {
                (!common::is_annotation(key)).then_some("key of an annotation (this policy's own and Flyte's are none)")
            })?,
            labels: texts(fields, "labels", &sample, label_problem)?,
            env: objects(fields, ENV, &sample)?,
            volumes: objects(fields, VOLUMES, &sample)?,
            mounts: objects(fields, MOUNTS, &sample)?,
            init_containers: objects(fields, INIT_CONTAINERS, &sample)?,
            gives_files: path.is_some(),
            selects: [false; 2],
            needs: [false; 2],
            path,
            allowed,
        };
        template.gives_files |= template.uses("path");
        let in_path = |name| template.path.iter().any(|path| expand(path, &all_but(name)).is_err());
        let by_path = template.uses("path");
        template.selects = PARTS.map(|name| template.uses(name) || (by_path && in_path(name)));
        template.needs = PARTS.map(|name| template.uses(name) || in_path(name));
        if let Some(name) = template.dangling(&sample) {
            return Err(fields.invalid(
                "volumes",
                &format!("has no {name:?}, which a container is to mount: add it, or correct the mount's name"),
            ));
        }
        if template.env.is_empty() && !template.gives_files {
            return Err(SettingsError {
                place: fields.place().to_owned(),
                problem: "gives neither variables nor files: add env, or say with path where the file appears"
                    .to_owned(),
            });
        }
        Ok(template)
    }

    /// A volume that is mounted and not there. One that the Pod brings along has a name that nobody knows here.
    fn dangling(&self, sample: &Values) -> Option<String> {
        let name = |item: &Value| expand(text_in(item, "name"), sample).unwrap_or_default();
        let volumes: Vec<String> = self.volumes.iter().map(name).collect();
        let inner = self.init_containers.iter().flat_map(|item| items_in(item, MOUNTS.0));
        let mut mounted = self.mounts.iter().chain(inner).map(name);
        mounted.find(|name| !volumes.contains(name))
    }

    /// Whether the placeholder `name` is in any of its texts but `path`.
    fn uses(&self, name: &str) -> bool {
        let others = all_but(name);
        let lists = [&self.env, &self.volumes, &self.mounts, &self.init_containers];
        let texts = self.annotations.iter().chain(&self.labels);
        // All other placeholders are known, so that an error is about this one.
        texts
            .flat_map(|(key, value)| [key, value])
            .any(|text| expand(text, &others).is_err())
            || lists
                .into_iter()
                .flatten()
                .any(|value| expand_all(value, &others).is_err())
    }

    /// Whether what the Pod's author says may stand in a text that another system reads.
    fn check_text(&self, what: &str, text: &str) -> Result<(), Miss> {
        let forbidden = text.chars().find(|character| {
            !character.is_ascii_alphanumeric()
                && !matches!(character, '.' | '_' | '-' | '/')
                && !self.allowed.contains(*character)
        });
        if let Some(character) = forbidden {
            return Err(Miss::NotHere(format!(
                "its {what} {text:?} holds {character:?}; an operator can allow it with the setting allowedCharacters"
            )));
        }
        if !text.is_empty() && text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Miss::NotHere(format!(
                "its {what} {text:?} has a part between slashes that is empty, '.' or '..'"
            )));
        }
        Ok(())
    }

    fn file(&self, request: &SecretRequest, values: &Values) -> Result<RelativePath, Miss> {
        let path = match &self.path {
            Some(path) => expand(path, values).map_err(wrong_text)?,
            None => format!("{}/{}", request.group, request.key).to_ascii_lowercase(),
        };
        relative(&path)
    }

    /// The variables of a request: each entry once, and again for the request's `env_var` where its name tells.
    fn variables(
        &self,
        request: &SecretRequest,
        context: &Context<'_>,
        values: &mut Values,
    ) -> Result<Vec<EnvVar>, Miss> {
        let further = common::further_variable(request)?;
        let flytes = common::variable_name(context.settings, &request.group, &request.key);
        // A path in a secret store makes no variable's name; then the request has to give one.
        let variables: Vec<String> = match (flytes, further) {
            (Ok(name), further) => std::iter::once(name).chain(further.map(str::to_owned)).collect(),
            (Err(_), Some(further)) => vec![further.to_owned()],
            (Err(Miss::NotHere(reason)), None) => {
                return Err(Miss::NotHere(format!(
                    "{reason}, or give the variable a name with env_var"
                )));
            }
            (Err(miss), None) => return Err(miss),
        };
        let mut env: Vec<EnvVar> = Vec::new();
        for variable in variables {
            set(values, "envVar", variable);
            for entry in self.env.iter().rev() {
                let expanded = expand_all(entry, values).map_err(wrong_text)?;
                check_item(&expanded, ENV).map_err(|problem| Miss::NotHere(problem.sentence("variable")))?;
                let Value::Object(mut fields) = expanded else {
                    continue;
                };
                let Some(Value::String(name)) = fields.remove("name") else {
                    continue;
                };
                // The same entry again: its name does not hold {envVar}.
                if !env.iter().any(|known| known.name == name) {
                    env.push(EnvVar {
                        name,
                        value: EnvValue::Template(Value::Object(fields)),
                    });
                }
            }
        }
        if let Some(further) = further
            && !env.iter().any(|variable| variable.name == further)
        {
            return Err(Miss::NotHere(format!(
                "the settings' env names its variables without {{envVar}}, so that none can be called {further:?}"
            )));
        }
        env.push(common::prefix_variable(context.settings));
        Ok(env)
    }
}

fn twice(what: &str, key: &str) -> Miss {
    Miss::NotHere(format!(
        "with this request, two of the policy's {what} have the key {key:?}, and one would be lost"
    ))
}

impl Manager for Template {
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        let [group, key] = self.selects;
        (
            if group { &request.group } else { "" },
            if key { &request.key } else { "" },
        )
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection, Miss> {
        for (what, text) in [
            ("group", &request.group),
            ("group version", &request.group_version),
            ("key", &request.key),
        ] {
            self.check_text(what, text)?;
        }
        let [group, key] = self.needs;
        if group && request.group.is_empty() || key && request.key.is_empty() {
            return Err(Miss::NotHere("it needs a group and a key".to_owned()));
        }
        let as_file = match request.mount {
            MountRequirement::Any => self.gives_files,
            MountRequirement::File if !self.gives_files => {
                return Err(Miss::NotHere(
                    "it gives variables only: its settings have neither path nor {path}".to_owned(),
                ));
            }
            MountRequirement::EnvVar if self.env.is_empty() => {
                return Err(Miss::NotHere(
                    "it gives files only: its settings have no env".to_owned(),
                ));
            }
            MountRequirement::File => true,
            MountRequirement::EnvVar => false,
        };
        let mut values = placeholders::values(request, context);
        values.push(("mountPath", context.settings.mount_path.clone()));
        if let Ok(name) = common::variable_name(context.settings, &request.group, &request.key) {
            values.push(("envVar", name));
        } else if let Some(name) = common::further_variable(request)? {
            values.push(("envVar", name.to_owned()));
        }
        let path = self.file(request, &values);
        match &path {
            Ok(path) => values.push(("path", path.as_str().to_owned())),
            Err(miss) if as_file => return Err(miss.clone()),
            Err(_) => {}
        }
        let mut injection = Injection {
            source: format!("{}, key {}", request.group, request.key),
            ..Injection::default()
        };
        if as_file {
            let path = path?;
            injection.env = common::file_variables(request, context.settings, &path)?;
            let parts: [&str; 3] = [&request.group, &request.group_version, &request.key];
            injection.file = Some(SecretFile {
                path,
                origin: FileOrigin::Agent {
                    identity: common::identity(&parts),
                    mounts: AgentMounts::Nowhere,
                },
            });
        } else {
            injection.env = self.variables(request, context, &mut values.clone())?;
        }
        for (key, value) in &self.annotations {
            let key = expand(key, &values).map_err(wrong_text)?;
            if !common::is_annotation(&key) {
                return Err(Miss::NotHere(format!("{key:?} cannot be the key of an annotation")));
            }
            if injection.annotations.iter().any(|other| other.key == key) {
                return Err(twice("annotations", &key));
            }
            injection.annotations.push(Annotation {
                key,
                value: expand(value, &values).map_err(wrong_text)?,
                required: true,
            });
        }
        for (key, value) in &self.labels {
            let key = expand(key, &values).map_err(wrong_text)?;
            let value = expand(value, &values).map_err(wrong_text)?;
            if let Some(what) = label_problem(&key, &value) {
                return Err(Miss::NotHere(format!("{key:?}: {value:?} has no valid {what}")));
            }
            if injection.labels.iter().any(|(other, _)| *other == key) {
                return Err(twice("labels", &key));
            }
            injection.labels.push((key, value));
        }
        for (from, to, list) in [
            (&self.volumes, &mut injection.volumes, VOLUMES),
            (&self.mounts, &mut injection.mounts, MOUNTS),
            (&self.init_containers, &mut injection.init_containers, INIT_CONTAINERS),
        ] {
            for item in from {
                let item = expand_all(item, &values).map_err(wrong_text)?;
                check_item(&item, list).map_err(|problem| Miss::NotHere(problem.sentence(list.1)))?;
                to.push(item);
            }
        }
        Ok(injection)
    }
}

fn set(values: &mut Values, name: &'static str, value: String) {
    values.retain(|(known, _)| *known != name);
    values.push((name, value));
}

/// A text that was valid with the sample is not with this request: it has no such value.
fn wrong_text(problem: String) -> Miss {
    Miss::NotHere(format!("a text of its settings {problem}"))
}

fn relative(path: &str) -> Result<RelativePath, Miss> {
    common::exact_path(&path.split('/').collect::<Vec<_>>())
}

fn label_problem(key: &str, value: &str) -> Option<&'static str> {
    if !names::is_metadata_key(key) {
        Some("key of a label")
    } else if names::is_label_value(value) {
        None
    } else {
        Some("value of a label")
    }
}

/// Reads a map of texts. `problem` says what is not valid of an expanded pair.
fn texts(
    fields: &mut Fields<'_>,
    name: &'static str,
    sample: &Values,
    problem: impl Fn(&str, &str) -> Option<&'static str>,
) -> Result<Vec<(String, String)>, SettingsError> {
    let given = match fields.take::<Value>(name)? {
        None => return Ok(Vec::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(fields.invalid(name, "is not an object (a YAML mapping) of strings")),
    };
    let mut texts = Vec::with_capacity(given.len());
    for (key, value) in given {
        let wrong = |problem: &str| fields.invalid(&format!("{name}[{key:?}]"), problem);
        let Value::String(value) = value else {
            return Err(wrong("has to be a string: quote it"));
        };
        let expanded_key = expand(&key, sample).map_err(|problem| wrong(&problem))?;
        let expanded_value = expand(&value, sample).map_err(|problem| wrong(&problem))?;
        if let Some(what) = problem(&expanded_key, &expanded_value) {
            return Err(wrong(&format!("has no valid {what}")));
        }
        texts.push((key, value));
    }
    Ok(texts)
}

/// Reads a list of Kubernetes objects.
fn objects(
    fields: &mut Fields<'_>,
    (name, kind): (&'static str, &'static str),
    sample: &Values,
) -> Result<Vec<Value>, SettingsError> {
    let items = match fields.take::<Value>(name)? {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(fields.invalid(name, "is not a list")),
    };
    let unique = if name == MOUNTS.0 { "mountPath" } else { "name" };
    let mut known: Vec<String> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = format!("{name}[{index}]");
        let expanded = expand_all(item, sample).map_err(|problem| fields.invalid(&place, &problem))?;
        check_item(&expanded, (name, kind)).map_err(|wrong| wrong.below(&place).in_settings(fields))?;
        let own = text_in(&expanded, unique).to_owned();
        if known.contains(&own) {
            return Err(fields.invalid(
                &format!("{place}.{unique}"),
                &format!("is {own:?}, as that of another item"),
            ));
        }
        known.push(own);
    }
    Ok(items)
}

impl schema::Mistake {
    /// The same for the Pod's author.
    fn sentence(&self, what: &str) -> String {
        format!(
            "its settings make no valid {what} of this request: {} {}",
            self.place, self.problem
        )
    }
}

/// Whether an expanded item is valid for its type, its names included.
fn check_item(item: &Value, (name, kind): (&str, &str)) -> Result<(), schema::Mistake> {
    schema::check(item, kind)?;
    let wrong = |place: &str, problem: String| {
        Err(schema::Mistake {
            place: place.to_owned(),
            problem,
        })
    };
    let empty = Map::new();
    let fields = item.as_object().unwrap_or(&empty);
    let text = |field: &str| text_in(item, field);
    let given = |fields: &Map<String, Value>| fields.values().filter(|value| !value.is_null()).count();
    let own_name = text("name");
    if name == ENV.0 {
        if !names::is_variable(own_name) {
            return wrong("name", format!("is {own_name:?}, which is no variable's name"));
        }
        let Some(source) = fields.get("valueFrom").and_then(Value::as_object) else {
            return Ok(());
        };
        if !text("value").is_empty() {
            return wrong("valueFrom", "stands beside value: leave one of them out".to_owned());
        }
        if given(source) != 1 {
            return wrong("valueFrom", "has to have one source, such as secretKeyRef".to_owned());
        }
        return Ok(());
    }
    if !names::is_dns_label(own_name) {
        return wrong(
            "name",
            format!("is {own_name:?}; it has to be at most 63 lower case letters, digits and '-'; {{id}} is unique"),
        );
    }
    if name == VOLUMES.0 && given(fields) != 2 {
        return wrong("", "has to have its name and one source, such as emptyDir".to_owned());
    }
    if name == MOUNTS.0 && (text("mountPath").is_empty() || text("mountPath").contains(':')) {
        return wrong("mountPath", "has to be a path without ':'".to_owned());
    }
    if name == MOUNTS.0 {
        for field in ["subPath", "subPathExpr"] {
            if text(field).starts_with('/') || text(field).split('/').any(|part| part == "..") {
                return wrong(field, "has to be a path below the volume, without '..'".to_owned());
            }
        }
    }
    if name == INIT_CONTAINERS.0 {
        if text("image").trim().is_empty() {
            return wrong("image", "is missing".to_owned());
        }
        for list in [ENV, MOUNTS] {
            for (index, inner) in items_in(item, list.0).enumerate() {
                check_item(inner, list).map_err(|wrong| wrong.below(&format!("{}[{index}]", list.0)))?;
            }
        }
    }
    Ok(())
}

fn text_in<'v>(item: &'v Value, field: &str) -> &'v str {
    item.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn items_in<'v>(item: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    item.get(field).and_then(Value::as_array).into_iter().flatten()
}
