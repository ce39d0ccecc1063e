//! HashiCorp Vault, through the annotations of the
//! [Vault Agent Injector](https://developer.hashicorp.com/vault/docs/platform/k8s/injector).
//!
//! It writes what Flyte's
//! [Vault injector](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/vault_secret_manager.go)
//! writes, with these differences: what the request says is quoted in the template, the names of a secret's annotations
//! are derived from the request instead of random, each secret has its own directory, and a field that is not there is an
//! error. The group is the path in Vault (`secret/data/app`), the group version the engine or the version of a KV 2 secret,
//! the key the field that the file holds.

#![forbid(unsafe_code)]

mod annotations;
mod orders;
mod template;

use serde_json::Value;

pub use orders::AgentOrders;

use annotations::{
    AGENT_CONFIGMAP, AGENT_INJECT, AGENT_INJECT_CONTAINERS, AGENT_INJECT_FILE, AGENT_INJECT_SECRET,
    AGENT_INJECT_STATUS, AGENT_INJECT_TEMPLATE, AGENT_PRE_POPULATE, AGENT_PRE_POPULATE_ONLY, ERROR_ON_MISSING_KEY,
    Effect, FAMILIES, OfOurs, PREFIX, ROLE, SECRET_VOLUME_PATH, SECRET_VOLUME_PATH_OF,
};
use template::{Engine, Source};

use crate::injection::{AgentMounts, Annotation, FileOrigin, Injection, RelativePath, SecretFile};
use crate::managers::{Context, Manager, Miss, common};
use crate::requests::{Containers, MountRequirement, SecretRequest};
use crate::settings::fields::{Fields, SettingsError};

/// The manager `vault`.
#[derive(Debug)]
pub struct Vault {
    /// The role with which the agent logs in.
    role: String,
    /// The engine of requests whose group version names none.
    engine: Engine,
    /// The operator's own annotations.
    annotations: Vec<(String, String)>,
    /// Whether the role and the operator's annotations replace the Pod's own.
    enforce: bool,
}

impl Vault {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        let role = fields.take::<String>("role")?.unwrap_or_else(|| "flyte".to_owned());
        if role.is_empty() {
            return Err(fields.invalid("role", NO_ROLE));
        }
        let engine = match fields.take::<Value>("kvVersion")? {
            None => Engine::Kv2,
            // Flyte's own setting is a string.
            Some(version) if version == 1 || version == "1" => Engine::Kv1,
            Some(version) if version == 2 || version == "2" => Engine::Kv2,
            Some(_) => return Err(fields.invalid("kvVersion", "has to be 1 or 2")),
        };
        Ok(Self {
            role,
            engine,
            annotations: own_annotations(fields)?,
            enforce: fields.take("enforce")?.unwrap_or(false),
        })
    }

    /// Returns the annotations that are the same for every secret: ours, overridden and extended by the settings.
    fn common_annotations(&self, context: &Context<'_>) -> Vec<Annotation> {
        let orders = context.agent_orders;
        let mut all = vec![
            annotation(AGENT_INJECT, "true", true),
            annotation(ROLE, &self.role, self.enforce),
        ];
        if !orders.asks() {
            // For the whole Pod, and so for what it asks of the agent itself.
            all.push(annotation(SECRET_VOLUME_PATH, &context.settings.mount_path, false));
            all.push(annotation(AGENT_PRE_POPULATE_ONLY, "true", self.enforce));
        }
        if orders
            .get(AGENT_PRE_POPULATE)
            .is_some_and(|value| !annotations::is_true(value))
        {
            all.push(annotation(AGENT_PRE_POPULATE, "true", true));
        }
        if orders.get(AGENT_INJECT_STATUS) == Some(INJECTED) && !orders.is_injected() {
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
    let given = match fields.take::<Value>("annotations")? {
        None => return Ok(Vec::new()),
        Some(Value::Object(given)) => given,
        Some(_) => return Err(fields.invalid("annotations", "is not an object (a YAML mapping) of strings")),
    };
    let mut annotations = Vec::with_capacity(given.len());
    for (key, value) in given {
        let Value::String(value) = value else {
            return Err(fields.invalid("annotations", &format!("has no string in {key:?}: quote it")));
        };
        if !common::is_annotation(&key) {
            return Err(fields.invalid(
                "annotations",
                &format!("has {key:?}, which is no annotation's key, or this policy's own or Flyte's"),
            ));
        }
        let problem = key.strip_prefix(PREFIX).and_then(|name| unwanted(name, &value));
        if let Some(problem) = problem {
            return Err(fields.invalid("annotations", &format!("has {key}: {value:?}, {problem}")));
        }
        annotations.push((key, value));
    }
    Ok(annotations)
}

/// Returns why the settings may not give the annotation `name` this value to all Pods.
fn unwanted(name: &str, value: &str) -> Option<&'static str> {
    if name == ROLE && value.is_empty() {
        return Some("which is no role: the agent cannot log in without one");
    }
    match annotations::effect(name)? {
        Effect::MustBeTrue => (value != "true").then_some("with which no secret arrives: leave it out"),
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
    /// The file of a database role holds all fields, whatever the key.
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        match Engine::named(&request.group_version).unwrap_or(self.engine) {
            Engine::Database => (&request.group, ""),
            Engine::Kv1 | Engine::Kv2 => (&request.group, &request.key),
        }
    }

    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection, Miss> {
        if request.mount == MountRequirement::EnvVar {
            return Err(Miss::NotHere(
                "Vault Agent gives files, no variables; ask for a file".to_owned(),
            ));
        }
        if request.group.is_empty() || request.key.is_empty() {
            return Err(Miss::NotHere(
                "it needs a group, the path in Vault, and a key, the field".to_owned(),
            ));
        }
        let source = Source::new(&request.group, &request.group_version, self.engine).map_err(Miss::NotHere)?;
        let mut parts: Vec<&str> = request.group.split('/').collect();
        parts.push(&request.key);
        let path = common::exact_path(&parts)?;
        let mut annotations = self.common_annotations(context);
        if self.enforce {
            check_deciding(&annotations, context)?;
        }
        let file = AgentFile {
            source,
            key: &request.key,
            path: &path,
            directory: &context.settings.mount_path,
        };
        let id = file.identity();
        let own = file.annotations(&id);
        check_agent(&own, context)?;
        check_ours(&own, &id, context)?;
        annotations.extend(file.replaced(&id, context)?);
        annotations.extend(own);
        let mut warnings: Vec<String> = containers_warning(request, context)?.into_iter().collect();
        if !self.enforce {
            warnings.extend(patch_warnings(context));
        }
        let version = source.version.map(|version| format!(", version {version}"));
        Ok(Injection {
            env: common::file_variables(request, context.settings, &path)?,
            annotations,
            source: format!(
                "Vault {}, key {}{}",
                request.group,
                request.key,
                version.unwrap_or_default()
            ),
            warnings,
            file: Some(SecretFile {
                path,
                origin: FileOrigin::Agent {
                    identity: id,
                    mounts: match &context.agent_orders.containers().list {
                        None => AgentMounts::Everywhere,
                        Some(list) => AgentMounts::In(list.clone()),
                    },
                },
            }),
            ..Injection::default()
        })
    }
}

/// A file that the agent is to write.
struct AgentFile<'r> {
    source: Source<'r>,
    key: &'r str,
    path: &'r RelativePath,
    directory: &'r str,
}

impl AgentFile<'_> {
    /// Returns the name under which the agent knows it: the same for the same secret, so that a Pod always comes out the
    /// same.
    fn identity(&self) -> String {
        let mut parts = vec![self.source.path, self.source.engine.name(), self.key];
        parts.extend(self.source.version);
        common::identity(&parts)
    }

    /// Returns the annotations that ask for it.
    fn annotations(&self, id: &str) -> Vec<Annotation> {
        let own = |name: &str, value: &str| annotation(&format!("{name}{id}"), value, true);
        let mut annotations = vec![
            own(AGENT_INJECT_SECRET, self.source.path),
            own(AGENT_INJECT_FILE, self.path.as_str()),
            own(SECRET_VOLUME_PATH_OF, self.directory),
        ];
        if let Some(template) = self.source.template(self.key) {
            annotations.push(own(AGENT_INJECT_TEMPLATE, &template));
            annotations.push(own(ERROR_ON_MISSING_KEY, "true"));
        }
        annotations
    }

    /// Returns the annotations that take back what this policy has asked for when the Pod asked for another secret in the
    /// same file.
    ///
    /// # Errors
    /// Where an annotation of the Pod's own makes the agent write there: the agent takes either.
    fn replaced(&self, id: &str, context: &Context<'_>) -> Result<Vec<Annotation>, Miss> {
        let orders = context.agent_orders;
        let path = format!("{}/{}", self.directory, self.path.as_str());
        let mut replaced = Vec::new();
        for (begin, secret) in orders.files_at(&path, id) {
            let of = |name: &str| orders.get(&format!("{name}{secret}"));
            let same = of(AGENT_INJECT_SECRET) == Some(self.source.path)
                && of(AGENT_INJECT_TEMPLATE) == self.source.template(self.key).as_deref();
            if annotations::is_identity(secret) && of(SECRET_VOLUME_PATH_OF).is_some() {
                for name in [AGENT_INJECT_SECRET, AGENT_INJECT_TEMPLATE] {
                    if of(name).is_some() {
                        replaced.push(annotation(&format!("{name}{secret}"), "", true));
                    }
                }
            } else if !same {
                return Err(Miss::NotHere(format!(
                    "the Pod's annotation \"{PREFIX}{begin}{secret}\" makes the agent write to {path:?} as well, or above or below \
                     it: remove it, or give it another file"
                )));
            }
        }
        Ok(replaced)
    }
}

/// Rejects a Pod whose own orders to the agent decide where secrets come from, where the settings do not replace them.
fn check_deciding(ours: &[Annotation], context: &Context<'_>) -> Result<(), Miss> {
    let is_replaced = |name: &str| {
        ours.iter()
            .any(|annotation| annotation.key.strip_prefix(PREFIX) == Some(name))
    };
    let own = context.agent_orders.deciding().iter().find(|name| !is_replaced(name));
    own.map_or(Ok(()), |name| {
        Err(Miss::Denied(format!(
            "the Pod's annotation \"{PREFIX}{name}\" could decide where its secrets come from, which the setting enforce \
             leaves to the operator: remove it, or let the operator set it under annotations"
        )))
    })
}

/// Rejects a Pod whose agent would not read `ours`, the annotations of a secret.
fn check_agent(ours: &[Annotation], context: &Context<'_>) -> Result<(), Miss> {
    let orders = context.agent_orders;
    if orders.get(AGENT_CONFIGMAP).is_some_and(|name| !name.is_empty()) {
        return Err(Miss::NotHere(format!(
            "with the Pod's annotation \"{PREFIX}{AGENT_CONFIGMAP}\" the agent takes its configuration from a ConfigMap and no \
             secret from annotations: remove it, or ask for the secret in that ConfigMap"
        )));
    }
    let knows = |annotation: &Annotation| {
        let name = annotation.key.strip_prefix(PREFIX).unwrap_or_default();
        orders.get(name) == Some(&annotation.value)
    };
    if orders.get(AGENT_INJECT_STATUS) == Some(INJECTED) && orders.is_injected() && !ours.iter().all(knows) {
        return Err(Miss::NotHere(format!(
            "the Pod has the Vault Agent already, without this secret: the injector's webhook has to be called after this \
             policy; in a copied Pod, remove the containers vault-agent and vault-agent-init and the annotation \
             {PREFIX}{AGENT_INJECT_STATUS}"
        )));
    }
    Ok(())
}

/// Rejects a Pod that says something about the policy's secret `id` which the policy does not say itself.
fn check_ours(ours: &[Annotation], id: &str, context: &Context<'_>) -> Result<(), Miss> {
    for (begin, _, of_ours) in FAMILIES {
        let name = format!("{begin}{id}");
        let is_written = ours
            .iter()
            .any(|annotation| annotation.key.strip_prefix(PREFIX) == Some(&name));
        let changes = *of_ours != OfOurs::Stays && !is_written && *begin != ERROR_ON_MISSING_KEY;
        if changes && context.agent_orders.get(&name).is_some_and(|value| !value.is_empty()) {
            return Err(Miss::NotHere(format!(
                "the Pod's annotation \"{PREFIX}{name}\" changes a file that this policy asks the agent for: remove it"
            )));
        }
    }
    Ok(())
}

/// Returns what the Pod's author should know of the containers that find the file.
///
/// # Errors
/// Where a container does not find the file that the request asks for there.
fn containers_warning(request: &SecretRequest, context: &Context<'_>) -> Result<Option<String>, Miss> {
    let containers = context.agent_orders.containers();
    let narrowed = format!("the Pod's annotation {PREFIX}{AGENT_INJECT_CONTAINERS}");
    match &request.containers {
        Containers::All if containers.without.is_empty() => Ok(None),
        Containers::All if containers.with.is_empty() => Err(Miss::NotHere(format!(
            "{narrowed} names none of the Pod's containers: separate their names by commas, without spaces"
        ))),
        Containers::All => {
            let names: Vec<String> = containers
                .without
                .iter()
                .take(5)
                .map(|name| format!("{name:?}"))
                .collect();
            Ok(Some(format!(
                "{}: the file is not in all containers, as {narrowed} leaves out {}",
                request.origin,
                names.join(", ")
            )))
        }
        Containers::Named(names) => {
            let is_in = |list: &[&str], name: &str| list.binary_search(&name).is_ok();
            if let Some(name) = names.iter().find(|name| is_in(&containers.without, name)) {
                return Err(Miss::NotHere(format!(
                    "{narrowed} leaves out the container {name:?}, for which the request asks: add it there, separated by a \
                     comma without spaces"
                )));
            }
            let served = names.iter().filter(|name| is_in(&containers.with, name)).count();
            Ok((served < containers.with.len()).then(|| {
                format!(
                    "{}: Vault Agent puts its files into every container, not only those that the request names; the \
                     annotation {PREFIX}{AGENT_INJECT_CONTAINERS} narrows it for the whole Pod, but for init containers",
                    request.origin
                )
            }))
        }
    }
}

/// Returns warnings about annotations of the Pod's own that change the agent's containers.
fn patch_warnings(context: &Context<'_>) -> impl Iterator<Item = String> {
    let patches = context
        .agent_orders
        .deciding()
        .iter()
        .filter(|name| annotations::effect(name) == Some(Effect::Patches));
    patches.map(|name| {
        format!(
            "the Pod's annotation {PREFIX}{name} changes the Vault Agent's container: this policy cannot tell whether secrets \
             still arrive"
        )
    })
}

/// The status of a Pod which the injector has been through.
const INJECTED: &str = "injected";

/// What is wrong with an empty role.
const NO_ROLE: &str = "is empty: the agent cannot log in without a role of Vault's";

fn annotation(name: &str, value: &str, required: bool) -> Annotation {
    Annotation {
        key: format!("{PREFIX}{name}"),
        value: value.to_owned(),
        required,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn the_annotations_names_fit() {
        let id = common::identity(&["group", "kv2", "key"]);
        assert!(annotations::is_identity(&id));
        for (begin, _, _) in FAMILIES {
            assert!(names::is_metadata_key(&format!("{PREFIX}{begin}{id}")), "{begin}");
        }
        assert_ne!(common::identity(&["a", "bc"]), common::identity(&["ab", "c"]));
    }
}
