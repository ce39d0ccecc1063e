//! What the agent is to write, and how.

use serde_json::Value;

use super::annotations::{
    self, AGENT_INIT_FIRST, AGENT_INJECT_FILE, AGENT_INJECT_PERMS, AGENT_INJECT_SECRET, AGENT_INJECT_TEMPLATE,
    AGENT_INJECT_TOKEN, AGENT_RUN_AS_SAME_USER, AGENT_RUN_AS_USER, ERROR_ON_MISSING_KEY, PREFIX, SECRET_VOLUME_PATH,
    SECRET_VOLUME_PATH_OF, annotation,
};
use super::checks::effective;
use super::orders::AgentOrders;
use super::template::Source;
use crate::injection::{Annotation, EnvValue, EnvVar, RelativePath};
use crate::json::tree;
use crate::managers::context::Context;
use crate::managers::manager::{NotServed, not_found};
use crate::managers::{fetch, naming};
use crate::names::{cleaned, is_below};
use crate::pod::WAYS_TO_READ;
use crate::requests::{Containers, MountRequirement, SecretRequest, WHOLE};

/// The volume of the agent's Pod-wide directory.
const VOLUME: &str = "vault-secrets";

/// The permissions of a file of variables, which the kubelet alone reads.
const ENV_FILE_MODE: u16 = 0o600;

/// What a file holds.
#[derive(Clone, Copy)]
pub(super) enum Form<'r> {
    /// The value of a field.
    Field,
    /// All fields, in the format of this extension.
    Whole(&'static str),
    /// A field as the value of this variable.
    Variable(&'r str),
}

/// A file that the agent is to write.
pub(super) struct AgentFile<'r> {
    source: Source<'r>,
    key: &'r str,
    /// What makes the file; absent for the agent's own.
    template: Option<String>,
    path: &'r RelativePath,
    directory: &'r str,
    /// The permissions that the request names.
    mode: Option<u16>,
}

impl<'r> AgentFile<'r> {
    /// Describes the file at `path`.
    pub(super) fn new(
        request: &'r SecretRequest,
        source: Source<'r>,
        path: &'r RelativePath,
        form: Form<'_>,
        orders: &'r AgentOrders,
        context: &Context<'r>,
    ) -> Self {
        let (key, ours) = (&*request.key, &*context.options.mount_path);
        let (template, directory, mode) = match form {
            Form::Field => (source.template(key), ours, request.mode),
            Form::Whole(extension) => (Some(source.whole_template(extension)), ours, request.mode),
            Form::Variable(name) => {
                let template = source.env_template(key, name);
                (Some(template), orders.directory(ours), Some(ENV_FILE_MODE))
            }
        };
        Self {
            source,
            key,
            template,
            path,
            directory,
            mode,
        }
    }

    fn full_path(&self) -> String {
        [self.directory, "/", self.path.as_str()].concat()
    }

    /// Returns the annotations that ask for it.
    pub(super) fn annotations(&self, id: &str) -> Vec<Annotation> {
        let own = |name: &str, value: &str| annotation(&[name, id].concat(), value, true);
        let mut annotations = vec![
            own(AGENT_INJECT_SECRET, self.source.path),
            own(AGENT_INJECT_FILE, self.path.as_str()),
            own(SECRET_VOLUME_PATH_OF, self.directory),
        ];
        if let Some(template) = &self.template {
            annotations.push(own(AGENT_INJECT_TEMPLATE, template));
            annotations.push(own(ERROR_ON_MISSING_KEY, "true"));
        }
        if let Some(mode) = self.mode {
            annotations.push(own(AGENT_INJECT_PERMS, &format!("{mode:04o}")));
        }
        annotations
    }

    /// Checks that the agent does not write its own token in the way of the file. `common` are the annotations that are the same
    /// for every secret, `ours` is the policy's directory.
    pub(super) fn check_token(&self, common: &[Annotation], orders: &AgentOrders, ours: &str) -> Result<(), NotServed> {
        if !effective(AGENT_INJECT_TOKEN, common, orders).is_some_and(annotations::is_true) {
            return Ok(());
        }
        let token = cleaned(&[orders.directory(ours), "/token"].concat());
        let path = self.full_path();
        if path != token && !is_below(&path, &token) {
            return Ok(());
        }
        Err(not_found!(
            "the settings' annotation \"{PREFIX}{AGENT_INJECT_TOKEN}\" makes the agent write its token to {token:?}, in the way of \
             {path:?}: ask for another group, or let the operator leave the annotation out"
        ))
    }

    /// Returns the annotations that take back what this policy has asked for when the Pod asked for another secret in the
    /// same file.
    ///
    /// # Errors
    /// Where an annotation of the Pod's own makes the agent write there: the agent takes either.
    pub(super) fn replaced(&self, id: &str, orders: &AgentOrders) -> Result<Vec<Annotation>, NotServed> {
        let path = self.full_path();
        let mut replaced = Vec::new();
        for (begin, secret) in orders.files_at(&path, id) {
            let of = |name: &str| orders.get(&format!("{name}{secret}"));
            let same = of(AGENT_INJECT_SECRET) == Some(self.source.path)
                && (of(AGENT_INJECT_TEMPLATE) == self.template.as_deref()
                    || of(AGENT_INJECT_TEMPLATE) == Some(&*self.source.flyte_template(self.key)));
            if annotations::is_identity(secret) && of(SECRET_VOLUME_PATH_OF).is_some() {
                for name in [AGENT_INJECT_SECRET, AGENT_INJECT_TEMPLATE] {
                    if of(name).is_some() {
                        replaced.push(annotation(&format!("{name}{secret}"), "", true));
                    }
                }
            } else if !same {
                return Err(not_found!(
                    "the Pod's annotation \"{PREFIX}{begin}{secret}\" makes the agent write to {path:?} as well, or above or below \
                     it: remove it, or give it another file"
                ));
            }
        }
        Ok(replaced)
    }
}

/// Returns the name under which the agent knows a file: the same for the same secret, so that a Pod always comes out the same.
/// Where the settings make its name, several requests may lead to one secret, and each has a file of its own at `usual`.
pub(super) fn identity(source: &Source<'_>, request: &SecretRequest, usual: &RelativePath, form: Form<'_>) -> String {
    let mut parts = vec![source.path, source.engine.name(), &request.key];
    parts.extend(source.version);
    // No version is called as a format is, or env.
    match form {
        Form::Field => {}
        Form::Whole(extension) => parts.push(extension),
        Form::Variable(name) => parts.extend(["env", name]),
    }
    if request.asked.is_some() && !matches!(form, Form::Variable(_)) {
        parts.push(usual.as_str());
    }
    naming::identity(&parts)
}

/// Returns the names of the variables that are asked for, of which the first stands in the file; none where a file is asked
/// for.
///
/// # Errors
/// Where the settings do not allow files of variables, or none of the names can stand in one; and for all fields at once.
pub(super) fn variables(request: &SecretRequest, context: &Context<'_>) -> Result<Vec<String>, NotServed> {
    if request.mount != MountRequirement::EnvVar {
        return Ok(Vec::new());
    }
    if request.key == WHOLE {
        return Err(not_found!(
            "all fields of a secret come as one file, as nobody knows their names yet: ask for a FILE, or for each field"
        ));
    }
    fetch::check_env_files(context.options)?;
    fetch::variable_names(request, context.options)
}

/// Returns the variables `names` that the kubelet reads in the file at `path`.
pub(super) fn env_file_variables(names: &[String], path: &RelativePath) -> Vec<EnvVar> {
    let key = names.first().map_or("", String::as_str);
    let fields = [("volumeName", VOLUME), ("path", path.as_str()), ("key", key)];
    let source = tree([("fileKeyRef", tree(fields.map(|(name, text)| (name, text.into()))))]);
    let variable = |name: &String| {
        let value = EnvValue::Template(tree([("valueFrom", source.clone())]));
        EnvVar::new(name.clone(), value)
    };
    names.iter().map(variable).collect()
}

/// Returns the annotations that the request's path and mode need, and its variables.
///
/// # Errors
/// Where the agent cannot bring the file to that path, or a container could not read it.
pub(super) fn file_annotations(
    request: &SecretRequest,
    orders: &AgentOrders,
    context: &Context<'_>,
) -> Result<Vec<Annotation>, NotServed> {
    let mut needed = Vec::new();
    if !request.path.is_empty() {
        let ours = &context.options.mount_path;
        let directory = orders.directory(ours);
        if directory != *ours {
            return Err(not_found!(
                "the request's path needs the agent's Pod-wide directory to be {ours:?}, and it is {directory:?}: set the Pod's \
                 annotation {PREFIX}{SECRET_VOLUME_PATH} to {ours:?}, or leave the path out"
            ));
        }
    }
    if !request.path.is_empty() || request.mount == MountRequirement::EnvVar {
        needed.extend(init_first(request, orders));
    }
    let readers = |mode: u16| (mode, context.pod.readers(&request.containers, &[]));
    let narrow = request
        .mode
        .map(readers)
        .filter(|(mode, readers)| readers.need_owner(*mode));
    if let Some((mode, readers)) = narrow {
        if orders.is_on(AGENT_RUN_AS_SAME_USER) {
            return Err(not_found!(
                "the request's mode needs the agent to run as the user of the containers that read the file, but the Pod's \
                 annotation {PREFIX}{AGENT_RUN_AS_SAME_USER} says which user that is: remove it"
            ));
        }
        let Some(user) = readers.user else {
            return Err(not_found!(
                "with the mode \"{mode:04o}\" the Pod's containers may not be able to read the file: {WAYS_TO_READ}"
            ));
        };
        needed.push(annotation(AGENT_RUN_AS_USER, &user.to_string(), true));
    }
    Ok(needed)
}

/// Returns the annotation that lets the agent run before the Pod's own init containers, where one of them may need the secret
/// when it starts. Those that other managers add are no reason, but could not be told from the Pod's own.
fn init_first(request: &SecretRequest, orders: &AgentOrders) -> Option<Annotation> {
    let mut early = orders.containers.before_agent.iter();
    let is_early = request.containers == Containers::All || early.any(|name| request.containers.includes(name));
    is_early.then(|| annotation(AGENT_INIT_FIRST, "true", true))
}

/// Returns the mount that shows the file at the request's path.
pub(super) fn file_mount(request: &SecretRequest, path: &RelativePath) -> Vec<Value> {
    if request.path.is_empty() {
        return Vec::new();
    }
    vec![tree([
        ("name", VOLUME.into()),
        ("readOnly", true.into()),
        ("mountPath", request.path.as_str().into()),
        ("subPath", path.as_str().into()),
    ])]
}
