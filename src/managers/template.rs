//! Any other system, as an operator describes it: annotations, labels, variables, volumes, mounts and init containers in
//! which [placeholders] stand for the request.
//!
//! | Placeholder | Is |
//! |---|---|
//! | `{group}` `{groupVersion}` `{key}` | what the request says |
//! | `{envVar}` | in the name of a variable: the name that Flyte's clients look for, and, in a second copy, the request's `env_var` |
//! | `{namespace}` `{serviceAccount}` | the Pod's |
//! | `{id}` | 32 letters and digits for group, version and key, for names that have to be unique |
//! | `{mountPath}` | the policy's `mountPath` |
//! | `{path}` | the file's path below it: the setting `path`, or else the lower case of `{group}/{key}` |
//!
//! A template with `env` serves variables; one with `path`, or with `{path}` anywhere but in `env`, serves files. With both, a
//! request for either gets a file only when it asks for one or for anything. Annotations, labels, volumes, mounts and
//! init containers go with both.
//!
//! **What the Pod's author may write.** A placeholder's value is a part of a JSON string, but may mean more to the system
//! that reads it: in `vault:{group}#{key}`, a group with `#` would name another key. Group, version and key may
//! therefore hold ASCII letters, digits, `.`, `_`, `-` and `/` only, and no part between slashes may be empty, `.` or
//! `..`. The setting `allowedCharacters` adds further characters.

mod expansion;
mod objects;
mod settings;

use crate::access;
use crate::injection::{FileOrigin, Injection, RelativePath, SecretFile};
use crate::managers::context::Context;
use crate::managers::manager::{Manager, NotServed, Texts, not_found};
use crate::managers::placeholders::{self, Values, expand, may_hold};
use crate::managers::{joins, naming, owners};
use crate::requests::SecretRequest;
use expansion::wrong_text;
use settings::relative;

pub(crate) use settings::Template;

impl Template {
    /// Whether what the Pod's author says may stand in a text that another system reads.
    fn check_text(&self, what: &str, text: &str) -> Result<(), NotServed> {
        let forbidden = text.chars().find(|character| !may_hold(*character, &self.allowed));
        if let Some(character) = forbidden {
            return Err(not_found!(
                "its {what} {text:?} holds {character:?}; an operator can allow it with the setting allowedCharacters"
            ));
        }
        if !text.is_empty() && text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(not_found!(
                "its {what} {text:?} has a part between slashes that is empty, '.' or '..'"
            ));
        }
        Ok(())
    }

    fn file(&self, request: &SecretRequest, values: &Values) -> Result<RelativePath, NotServed> {
        let path = match &self.path {
            Some(path) => expand(path, values).map_err(wrong_text)?,
            None => format!("{}/{}", request.group, request.key).to_ascii_lowercase(),
        };
        relative(&path)
    }
}

impl Manager for Template {
    fn gives_whole(&self) -> bool {
        true
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        let [group, key] = self.selects;
        (
            if group { &request.group } else { "" },
            if key { &request.key } else { "" },
        )
    }

    fn other_access_name(&self, request: &SecretRequest) -> Option<String> {
        // The path is made of what was asked for, and may choose the secret as well as say where the file appears.
        if !self.uses("path") {
            return None;
        }
        let (group, key) = self.access_key(request.asked());
        let name = access::name(group, key);
        // Without the setting, it is in lower case.
        Some(match self.path {
            None => name.to_ascii_lowercase(),
            Some(_) => name,
        })
    }

    /// `{path}` stands for what was asked for.
    fn finds_by(&self, part: &str) -> bool {
        self.uses(part)
    }

    fn confused_text(&self, names: &Texts, allowed: &str) -> Option<&str> {
        let mut made = names.to_vec();
        made.push(("path", self.path_text().to_owned()));
        let allowed = [&self.allowed, allowed].concat();
        let mut texts = self.texts().into_iter();
        texts.find(|text| owners::are_confused(text, self.scope(), &allowed, &made))
    }

    fn takes_optional(&self) -> bool {
        false
    }

    fn ambiguity(&self, request: &SecretRequest, names: &Texts, context: &Context<'_>) -> Option<String> {
        let made_of = (self.allowed.as_str(), self.path_text());
        let mut texts = self.texts().into_iter();
        texts.find_map(|text| joins::ambiguity(text, request, names, context.owner(), made_of))
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let asked = request.asked();
        for (what, text) in [
            ("group", &asked.group),
            ("group version", &asked.group_version),
            ("key", &asked.key),
        ] {
            self.check_text(what, text)?;
        }
        let [group, key] = self.needs;
        if group && request.group.is_empty() || key && request.key.is_empty() {
            return Err(not_found!("it needs a group and a key"));
        }
        let as_file = self.serves_file(request.mount)?;
        let mut asked_values = placeholders::values(asked, context);
        asked_values.push(("mountPath", context.options.mount_path.clone()));
        let path = match self.file(asked, &asked_values) {
            Err(error) if as_file => return Err(error),
            path => path.ok(),
        };
        asked_values.extend(path.iter().map(|path| ("path", path.as_str().to_owned())));
        // Where the settings make other names of it, their values stand in front, in the order of the others.
        let mut values = match request.asked {
            None => asked_values.clone(),
            Some(_) => placeholders::values(request, context),
        };
        values.extend(asked_values.iter().skip(values.len()).cloned());
        let mut injection = Injection {
            source: format!("{}, key {}", request.group, request.key),
            ..Injection::default()
        };
        if let Some(path) = path.filter(|_| as_file) {
            injection.env = naming::file_variables(asked, context.options, &path)?;
            let parts: [&str; 3] = [&asked.group, &asked.group_version, &asked.key];
            injection.file = Some(SecretFile {
                path,
                origin: FileOrigin::Agent {
                    identity: naming::identity(&parts),
                },
            });
        } else {
            injection.env = self.variables(asked, context, (&values, &asked_values))?;
        }
        self.add_metadata(&values, &mut injection)?;
        self.add_objects((&values, &asked_values), &mut injection)?;
        Ok(injection)
    }
}
