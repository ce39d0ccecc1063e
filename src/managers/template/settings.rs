//! The settings of a template.

use serde_json::Value;

use super::objects::{ENV, INIT_CONTAINERS, MOUNTS, VOLUMES, label_problem, objects, strings, texts};
use crate::injection::RelativePath;
use crate::json::fields::{Fields, SettingsError};
use crate::json::{items_in, text_in};
use crate::managers::manager::{Manager, NotServed};
use crate::managers::naming;
use crate::managers::placeholders::{self, Values, expand, holds};

pub(crate) struct Template {
    /// What messages and the status annotation call it.
    pub(super) name: Option<String>,
    pub(super) annotations: Vec<(String, String)>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) env: Vec<Value>,
    pub(super) volumes: Vec<Value>,
    pub(super) mounts: Vec<Value>,
    pub(super) init_containers: Vec<Value>,
    /// The file's path, as the operator gives it.
    pub(super) path: Option<String>,
    /// Whether requests for files are served.
    pub(super) gives_files: bool,
    /// Whether a text has something in it that is made of the group, and of the key: the other system finds the secret by
    /// these. Where a file appears does not count.
    pub(super) selects: [bool; 2],
    /// Whether a request has to have a group, and a key.
    pub(super) needs: [bool; 2],
    /// What group, version and key may hold beyond letters, digits and a few more: `/`, and what the settings add.
    pub(super) allowed: String,
}

/// The placeholders by which a system finds a secret.
const PARTS: [&str; 2] = ["group", "key"];

fn name(fields: &mut Fields<'_>) -> Result<Option<String>, SettingsError> {
    let name = fields.take::<String>("name")?;
    if let Some(name) = &name
        && (name.trim().is_empty() || name.contains(char::is_control))
    {
        return Err(fields.invalid("name", "has to be a word or some, without line breaks"));
    }
    Ok(name)
}

impl Template {
    /// Reads the manager's settings and tries them with a sample request.
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let name = name(fields)?;
        let path = fields.take::<String>("path")?;
        let mut allowed = fields.take::<String>("allowedCharacters")?.unwrap_or_default();
        // The kubelet replaces $(NAME) in variables and commands.
        if let Some(character) = allowed
            .chars()
            .find(|character| *character == '$' || character.is_control())
        {
            return Err(fields.invalid("allowedCharacters", &format!("must not hold {character:?}")));
        }
        allowed.push('/');
        let mut sample = placeholders::sample();
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
            name,
            annotations: texts(fields, "annotations", &sample, |key, _| {
                (!naming::is_annotation(key)).then_some("key of an annotation (this policy's own and Flyte's are none)")
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
        template.find_placeholders();
        if !fields.is_checked() {
            template.check(fields, &sample)?;
        }
        Ok(Box::new(template))
    }

    /// Checks what the settings say together.
    fn check(&self, fields: &Fields<'_>, sample: &Values) -> Result<(), SettingsError> {
        if let Some(name) = self.dangling(sample) {
            return Err(fields.invalid(
                "volumes",
                &format!("has no {name:?}, which a container is to mount: add it, or correct the mount's name"),
            ));
        }
        if self.env.is_empty() && !self.gives_files {
            let problem = "gives neither variables nor files: add env, or say with path where the file appears";
            return Err(SettingsError::new(fields.place(), problem));
        }
        if self.gives_files && !self.may_write_files() {
            return Err(fields.invalid(
                "path",
                "says where a file appears, but nothing here writes one: add annotations or labels that tell an agent, or \
                 volumes or initContainers, or leave it out",
            ));
        }
        // No two Pods of different namespaces or service accounts may get the same text for different secrets.
        match self.confused_text(&[], "") {
            None => Ok(()),
            Some(text) => Err(SettingsError::new(
                fields.place(),
                &format!(
                    "makes one text for different Pods of {text:?}: as in {{namespace}}-{{group}}, which is \"a-b-c\" for the \
                     namespace \"a\" with the group \"b-c\" and for the namespace \"a-b\" with \"c\". Put a character between \
                     the placeholders that neither can hold, such as '#', or '/' where {{namespace}} or {{serviceAccount}} is \
                     the first or the last one"
                ),
            )),
        }
    }

    /// Finds out what the placeholders of the texts say about the requests that it serves.
    fn find_placeholders(&mut self) {
        let texts = self.texts();
        let uses = |name: &str| texts.iter().any(|text| holds(text, name));
        let (by_id, by_path) = (uses("id"), uses("path"));
        let gives_files = self.gives_files || (by_path && self.may_write_files());
        let in_path = |name: &str| self.path.iter().any(|path| holds(path, name));
        // Without the setting, a path is group and key.
        let path_has = |name: &str| self.path.is_none() || in_path(name) || in_path("id");
        let used = PARTS.map(|name| (name, uses(name)));
        let selects = used.map(|(name, is_used)| by_id || is_used || (by_path && path_has(name)));
        let needs = used.map(|(name, is_used)| is_used || in_path(name));
        self.gives_files = gives_files;
        (self.selects, self.needs) = (selects, needs);
    }

    /// Returns whether something of it may lead to a file. Variables do not.
    fn may_write_files(&self) -> bool {
        let maps = [&self.annotations, &self.labels];
        let lists = [&self.volumes, &self.mounts, &self.init_containers];
        maps.iter().any(|map| !map.is_empty()) || lists.iter().any(|list| !list.is_empty())
    }

    /// A volume that is mounted and not there. One that the Pod brings along has a name that nobody knows here.
    fn dangling(&self, sample: &Values) -> Option<String> {
        let name = |item: &Value| expand(text_in(item, "name"), sample).unwrap_or_default();
        let volumes: Vec<String> = self.volumes.iter().map(name).collect();
        let inner = self.init_containers.iter().flat_map(|item| items_in(item, MOUNTS.0));
        let mut mounted = self.mounts.iter().chain(inner).map(name);
        mounted.find(|name| !volumes.contains(name))
    }

    /// Returns whether the placeholder `name` is in any of its texts but `path`.
    pub(super) fn uses(&self, name: &str) -> bool {
        self.texts().iter().any(|text| holds(text, name))
    }

    /// Returns what `{path}` stands for.
    pub(super) fn path_text(&self) -> &str {
        self.path.as_deref().unwrap_or("{group}/{key}")
    }

    /// Returns all of its texts but `path`.
    pub(super) fn texts(&self) -> Vec<&str> {
        let maps = self.annotations.iter().chain(&self.labels);
        let lists = [&self.env, &self.volumes, &self.mounts, &self.init_containers];
        let mut texts: Vec<&str> = maps.flat_map(|(key, value)| [key.as_str(), value]).collect();
        lists.into_iter().flatten().for_each(|value| strings(value, &mut texts));
        texts
    }
}

/// Reads a path below `mountPath`.
pub(super) fn relative(path: &str) -> Result<RelativePath, NotServed> {
    naming::exact_path(&path.split('/').collect::<Vec<_>>())
}
