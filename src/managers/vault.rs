//! HashiCorp Vault, through the annotations of the
//! [Vault Agent Injector](https://developer.hashicorp.com/vault/docs/platform/k8s/injector).
//!
//! It writes what Flyte's
//! [Vault injector](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/vault_secret_manager.go)
//! writes, with these differences: what the request says is quoted in the template, the names of a secret's annotations
//! are derived from the request instead of random, each secret has its own directory, and a field that is not there is an
//! error. The group is the path in Vault (`secret/data/app`), the group version the engine or the version of a KV 2 secret,
//! the key the field that the file holds.

mod agent_file;
mod annotations;
mod checks;
mod orders;
mod template;

use serde_json::Value;

use agent_file::{AgentFile, Form, env_file_variables, file_annotations, file_mount, identity, variables};
use annotations::{
    AGENT_INJECT, AGENT_INJECT_STATUS, AGENT_PRE_POPULATE, AGENT_PRE_POPULATE_ONLY, Effect, INJECTED, PREFIX, ROLE,
    SECRET_VOLUME_PATH, annotation,
};
use checks::{
    check_agent, check_deciding, check_ours, containers_warning, early_containers_warning, patch_warnings, role_warning,
};
use orders::AgentOrders;
use template::{Engine, Source};

use crate::injection::{AgentMounts, Annotation, FileOrigin, Injection, RelativePath, SecretFile};
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::managers::naming;
use crate::requests::{SecretRequest, WHOLE};

pub(crate) struct Vault {
    /// The role with which the agent logs in.
    role: String,
    /// The engine of requests whose group version names none.
    engine: Engine,
    /// The operator's own annotations.
    annotations: Vec<(String, String)>,
    /// Whether the role and the operator's annotations replace the Pod's own.
    enforce: bool,
    /// The extension of a file with all fields, which says how it is written.
    format: &'static str,
}

impl Vault {
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let role = fields.valid("role", "flyte", |role| !role.trim().is_empty(), NO_ROLE)?;
        let engine = match fields.take::<Value>("kvVersion")? {
            None => Engine::Kv2,
            // Flyte's own setting is a string.
            Some(version) if version == 1 || version == "1" => Engine::Kv1,
            Some(version) if version == 2 || version == "2" => Engine::Kv2,
            Some(_) => return Err(fields.invalid("kvVersion", "has to be 1 or 2")),
        };
        Ok(Box::new(Self {
            role,
            engine,
            annotations: own_annotations(fields)?,
            enforce: fields.take("enforce")?.unwrap_or(false),
            format: fields.choice(
                "format",
                "json",
                &[("json", "json"), ("dotenv", "env"), ("yaml", "yaml")],
            )?,
        }))
    }

    /// Returns what the agent is to read for `request`, and the path of the file below the policy's directory.
    fn locate<'r>(&self, request: &'r SecretRequest) -> Result<(Source<'r>, RelativePath), NotServed> {
        if request.group.is_empty() || request.key.is_empty() {
            return Err(not_found!("it needs a group, the path in Vault, and a key, the field"));
        }
        let source = Source::new(&request.group, &request.group_version, self.engine)
            .map_err(|problem| not_found!("{problem}"))?;
        let asked = request.asked();
        let mut parts: Vec<&str> = asked.group.split('/').collect();
        let whole = [&asked.group, ".", self.format].concat();
        if request.key == WHOLE {
            naming::exact_path(&parts)?;
            parts = whole.split('/').collect();
        } else {
            parts.push(&asked.key);
        }
        Ok((source, naming::exact_path(&parts)?))
    }

    /// Returns what may keep the agent from doing what its annotations say.
    ///
    /// # Errors
    /// Where the containers that ask for the secret would be without it.
    fn warnings(
        &self,
        request: &SecretRequest,
        annotations: &[Annotation],
        orders: &AgentOrders,
        is_variable: bool,
    ) -> Result<Vec<String>, NotServed> {
        let mut warnings = Vec::new();
        if !is_variable {
            warnings.extend(containers_warning(request, orders)?);
        }
        warnings.extend(early_containers_warning(request, annotations, orders)?);
        warnings.extend(role_warning(annotations, orders));
        if !self.enforce {
            warnings.extend(patch_warnings(orders));
        }
        Ok(warnings)
    }

    /// Returns the role with which the agent reads the secret of `request`.
    fn role_for<'r>(&'r self, request: &'r SecretRequest) -> &'r str {
        let made = request.asked.as_ref().map(|asked| &*asked.role);
        made.filter(|role| !role.is_empty()).unwrap_or(&self.role)
    }

    /// Returns the annotations that are the same for every secret: ours, overridden and extended by the settings.
    fn common_annotations(&self, role: &str, orders: &AgentOrders, context: &Context<'_>) -> Vec<Annotation> {
        let mut all = vec![
            annotation(AGENT_INJECT, "true", true),
            annotation(ROLE, role, self.enforce),
        ];
        if !orders.asks {
            // For the whole Pod, and so for what it asks of the agent itself.
            all.push(annotation(SECRET_VOLUME_PATH, &context.options.mount_path, false));
            all.push(annotation(AGENT_PRE_POPULATE_ONLY, "true", self.enforce));
        }
        if orders
            .get(AGENT_PRE_POPULATE)
            .is_some_and(|value| !annotations::is_true(value))
        {
            all.push(annotation(AGENT_PRE_POPULATE, "true", true));
        }
        if orders.get(AGENT_INJECT_STATUS) == Some(INJECTED) && !orders.is_injected {
            all.push(annotation(AGENT_INJECT_STATUS, "pending", true));
        }
        for (key, value) in &self.annotations {
            match all.iter_mut().find(|ours| ours.key == *key) {
                Some(ours) => ours.value.clone_from(value),
                None => all.push(Annotation {
                    key: key.clone(),
                    value: value.clone(),
                    required: self.enforce,
                }),
            }
        }
        all
    }
}

/// Reads the setting `annotations`.
fn own_annotations(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, SettingsError> {
    let annotations = fields.strings("annotations")?;
    for (key, value) in &annotations {
        if !naming::is_annotation(key) {
            return Err(fields.invalid(
                "annotations",
                &format!("has {key:?}, which is no annotation's key, or this policy's own or Flyte's"),
            ));
        }
        let problem = key.strip_prefix(PREFIX).and_then(|name| unwanted(name, value));
        if let Some(problem) = problem {
            return Err(fields.invalid("annotations", &format!("has {key}: {value:?}, {problem}")));
        }
    }
    Ok(annotations)
}

/// Returns why the settings may not give the annotation `name` this value to all Pods.
fn unwanted(name: &str, value: &str) -> Option<&'static str> {
    if name == ROLE && value.trim().is_empty() {
        return Some("which is no role: the agent cannot log in without one");
    }
    match annotations::effect(name)? {
        Effect::MustBeTrue => (value != "true").then_some("with which no secret arrives: leave it out"),
        _ if annotations::is_unreadable(name, value) => {
            Some("which the injector cannot read, so that it rejects Pods: write \"true\" or \"false\"")
        }
        Effect::Status | Effect::Excludes => Some("with which no secret arrives: leave it out"),
        Effect::Moves => Some("but the policy's setting mountPath says where files appear: leave it out"),
        Effect::Narrows => Some("but containers have other names in each Pod, which may have it itself: leave it out"),
        Effect::Stays | Effect::Decides | Effect::Patches => {
            let (_, secret) = annotations::family(name)?;
            annotations::is_identity(secret).then_some("which is about a secret of the policy's own: leave it out")
        }
    }
}

impl Manager for Vault {
    fn gives_whole(&self) -> bool {
        true
    }

    fn role(&self) -> Option<&str> {
        Some(&self.role)
    }

    /// The file of a database role holds all fields, whatever the key.
    fn access_key<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        match Engine::named(&request.group_version).unwrap_or(self.engine) {
            Engine::Database => (&request.group, ""),
            Engine::Kv1 | Engine::Kv2 => (&request.group, &request.key),
        }
    }

    fn takes_optional(&self) -> bool {
        false
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        let names = variables(request, context)?;
        let form = match names.first() {
            Some(name) => Form::Variable(name),
            None if request.key == WHOLE => Form::Whole(self.format),
            None => Form::Field,
        };
        let is_variable = matches!(form, Form::Variable(_));
        let (source, usual) = self.locate(request)?;
        let orders = context.of_pod(AgentOrders::read);
        let mut annotations = self.common_annotations(self.role_for(request), &orders, context);
        if self.enforce {
            check_deciding(&annotations, &orders)?;
        }
        for needed in file_annotations(request, &orders, context)? {
            annotations.retain(|known| known.key != needed.key);
            annotations.push(needed);
        }
        let id = identity(&source, request, &usual, form);
        let path = if is_variable {
            naming::exact_path(&[".env", &id])?
        } else {
            usual
        };
        let file = AgentFile::new(request, source, &path, form, &orders, context);
        let own = file.annotations(&id);
        check_agent(&own, &orders)?;
        check_ours(&own, &id, &orders)?;
        let warnings = self.warnings(request, &annotations, &orders, is_variable)?;
        annotations.extend(file.replaced(&id, &orders)?);
        file.check_token(&annotations, &orders, &context.options.mount_path)?;
        annotations.extend(own);
        let mut injection = Injection {
            annotations,
            source: describe(request, &source),
            warnings,
            agent: Some(agent_mounts(is_variable, &orders, &context.options.mount_path)),
            ..Injection::default()
        };
        if is_variable {
            injection.env = env_file_variables(&names, &path);
            injection.env.push(naming::prefix_variable(context.options));
        } else {
            injection.env = naming::file_variables(request, context.options, &path)?;
            injection.mounts = file_mount(request, &path);
            let origin = FileOrigin::Agent { identity: id };
            injection.file = Some(SecretFile { path, origin });
        }
        Ok(injection)
    }
}

/// Describes where a secret comes from, for people.
fn describe(request: &SecretRequest, source: &Source<'_>) -> String {
    let mut text = ["Vault ", &request.group].concat();
    match &*request.key {
        WHOLE => text.push_str(", all fields"),
        key => naming::push_detail(&mut text, "key", key),
    }
    naming::push_detail(&mut text, "version", source.version.unwrap_or_default());
    text
}

/// Returns where the agent mounts a volume at `mountPath`: nowhere for variables alone, if it has another directory.
fn agent_mounts(is_variable: bool, orders: &AgentOrders, mount_path: &str) -> AgentMounts {
    match &orders.containers.list {
        _ if is_variable && orders.directory(mount_path) != mount_path => AgentMounts::Nowhere,
        None => AgentMounts::Everywhere,
        Some(list) => AgentMounts::In(list.clone()),
    }
}

/// What is wrong with an empty role.
const NO_ROLE: &str = "is empty: the agent cannot log in without a role of Vault's";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn the_annotations_names_fit() {
        let id = naming::identity(&["group", "kv2", "key"]);
        assert!(annotations::is_identity(&id));
        for (begin, _, _) in annotations::FAMILIES {
            assert!(names::is_metadata_key(&format!("{PREFIX}{begin}{id}")), "{begin}");
        }
        assert_ne!(naming::identity(&["a", "bc"]), naming::identity(&["ab", "c"]));
    }
}
