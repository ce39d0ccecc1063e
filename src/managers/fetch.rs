//! What the managers share whose init containers fetch secrets into memory volumes.

use std::borrow::Cow;

use serde_json::Value;

use crate::injection::{
    ContainerName, EnvFile, EnvValue, EnvVar, Fetch, FetchContainer, FetchTarget, FetchVolume, Fetched, FileOrigin,
    Injection, RelativePath, SecretFile,
};
use crate::json::fields::{Fields, SettingsError};
use crate::json::{Node, Writer};
use crate::managers::context::Context;
use crate::managers::manager::{NotServed, not_found};
use crate::managers::naming::{self, NO_VARIABLE};
use crate::managers::network;
use crate::managers::script::word;
use crate::names;
use crate::options::Options;
use crate::requests::{MountRequirement, SecretRequest};
use crate::schema;

/// A security context that the
/// [restricted Pod Security Standard](https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted)
/// admits. The user and the group are nobody's.
const RESTRICTED: &str = concat!(
    r#"{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"#,
    r#""runAsUser":65534,"runAsGroup":65534,"seccompProfile":{"type":"RuntimeDefault"}}"#
);

/// The init container of a manager, as an operator has set it up.
pub(crate) struct ContainerSettings {
    image: String,
    image_pull_policy: &'static str,
    /// Its `resources` and `securityContext`; without those that it is to have none of.
    objects: Vec<(Cow<'static, str>, Node<'static>)>,
    /// Variables for the CA certificates, and those of the setting `env`, as items of its `env`.
    env: Vec<Node<'static>>,
    /// Volumes that it mounts, beside those for the secrets.
    volumes: Vec<FetchVolume>,
}

impl ContainerSettings {
    /// Reads `image`, `imagePullPolicy`, `resources` and `securityContext`. Each that is given replaces the default
    /// whole. `amounts` are the default of limits and requests alike: others would take a Pod out of the
    /// class Guaranteed, or out of a quota.
    pub(crate) fn from_fields(fields: &mut Fields<'_>, image: &str, amounts: &str) -> Result<Self, SettingsError> {
        let is_image = |name: &str| {
            !name.is_empty() && !name.contains(|character: char| character.is_whitespace() || character.is_control())
        };
        let image = fields.valid("image", image, is_image, "is not an image's name")?;
        let policies = ["IfNotPresent", "Always", "Never"].map(|policy| (policy, policy));
        let image_pull_policy = fields.choice("imagePullPolicy", "IfNotPresent", &policies)?;
        let resources = object(fields, "resources", "ResourceRequirements")?;
        let claims = resources.as_ref().and_then(|resources| resources.get("claims"));
        if claims.is_some_and(|claims| !claims.is_null()) {
            let problem = "names a claim of the Pod, and Pods need not have it; leave it out";
            return Err(fields.invalid("resources.claims", problem));
        }
        let security_context = object(fields, "securityContext", "SecurityContext")?;
        let both = ["{\"limits\":", amounts, ",\"requests\":", amounts, "}"].concat();
        let text = |given: Option<Value>, default: &str| given.as_ref().map_or_else(|| default.into(), Writer::text_of);
        let (resources, context) = (text(resources, &both), text(security_context, RESTRICTED));
        let objects = [("resources", resources), ("securityContext", context)].into_iter();
        let objects = objects.filter(|(_, text)| text != "{}");
        let objects = objects.map(|(name, text)| (Cow::Borrowed(name), Node::Made(text.into())));
        Ok(Self {
            image,
            image_pull_policy,
            objects: objects.collect(),
            env: Vec::new(),
            volumes: Vec::new(),
        })
    }

    /// Reads the settings of a container with a cloud's own client, see [`Self::with_network`].
    pub(crate) fn of_client(fields: &mut Fields<'_>, image: &str) -> Result<Self, SettingsError> {
        let container = Self::from_fields(fields, image, r#"{"cpu":"200m","memory":"500Mi"}"#)?;
        container.with_network(fields)
    }

    /// Reads `env` and `caBundle` as well, for a container that asks a server.
    pub(crate) fn with_network(mut self, fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        (self.env, self.volumes) = network::read(fields)?;
        Ok(self)
    }

    /// Returns a container that runs `command` with `args` and mounts memory volumes at `mounts`. The kubelet is kept from
    /// expanding `$(NAME)` in `args`.
    pub(crate) fn container(
        &self,
        name: ContainerName,
        (command, args): (Vec<Node<'static>>, &[String]),
        env: Vec<(&'static str, Node<'static>)>,
        mounts: Vec<(usize, String)>,
    ) -> FetchContainer {
        let args = args.iter().map(|arg| word(arg)).collect();
        let variable = |(name, value): (&'static str, _)| {
            Node::Object(vec![("name".into(), Node::Text(name.into())), ("value".into(), value)])
        };
        let env = env.into_iter().map(variable).chain(self.env.iter().cloned()).collect();
        let lists = [("command", command), ("args", args), ("env", env)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let mut spec = vec![
            (Cow::Borrowed("image"), Node::Text(self.image.clone().into())),
            ("imagePullPolicy".into(), Node::Text(self.image_pull_policy.into())),
        ];
        spec.extend(lists.map(|(name, list)| (name.into(), Node::List(list))));
        spec.extend(self.objects.iter().cloned());
        FetchContainer {
            name,
            spec: Node::Object(spec),
            mounts,
            volumes: self.volumes.clone(),
        }
    }
}

/// Lets `kubectl describe pod` show the end of the container's log where it fails: its script says which secret is missing.
pub(crate) fn with_log_shown(mut container: FetchContainer) -> FetchContainer {
    if let Node::Object(fields) = &mut container.spec {
        let policy = Node::Text("FallbackToLogsOnError".into());
        fields.push(("terminationMessagePolicy".into(), policy));
    }
    container
}

/// Reads the object of Kubernetes' type `kind` in the field `name`.
fn object(fields: &mut Fields<'_>, name: &'static str, kind: &str) -> Result<Option<Value>, SettingsError> {
    let given = fields.take::<Value>(name)?;
    match given.as_ref().map(|value| schema::check(value, kind)) {
        Some(Err(error)) => Err(error.below(name).below(fields.place())),
        _ => Ok(given),
    }
}

/// The injection of a secret that is fetched to the lower case of the path `parts`.
///
/// A variable is served through a file of variables, where the settings allow it.
pub(crate) fn injection<'m>(
    request: &SecretRequest,
    context: &Context<'_>,
    parts: &[&str],
    fetched: Fetched<'m>,
    source: String,
) -> Result<Injection<'m>, NotServed> {
    // The parts are names in the store, too: one that leads elsewhere is refused for a variable as well.
    let path = naming::file_path(parts)?;
    let optional = request.is_optional();
    let fetched = Fetched { optional, ..fetched };
    if request.mount == MountRequirement::EnvVar {
        check_env_files(context.options)?;
        let names = variable_names(request, context.options)?;
        return Ok(in_env_file(names, context.options, fetched, source));
    }
    in_file(request, context.options, path, (fetched, source))
}

/// Returns the injection of a secret that is fetched into the file at `path`.
pub(crate) fn in_file<'m>(
    request: &SecretRequest,
    options: &Options,
    path: RelativePath,
    (fetched, source): (Fetched<'m>, String),
) -> Result<Injection<'m>, NotServed> {
    let origin = FileOrigin::Fetched(fetched);
    Ok(Injection {
        env: naming::file_variables(request, options, &path)?,
        file: Some(SecretFile { path, origin }),
        source,
        ..Injection::default()
    })
}

/// Checks that the settings have files of variables.
pub(crate) fn check_env_files(options: &Options) -> Result<(), NotServed> {
    if !options.env_files {
        return Err(not_found!(
            "it gives files only; with the policy's setting envFiles: true (Kubernetes 1.35 and later) it gives \
             variables too"
        ));
    }
    Ok(())
}

/// Returns the injection of a secret that is fetched into a file of variables, for the variables `names`.
pub(crate) fn in_env_file<'m>(
    names: Vec<String>,
    options: &Options,
    fetched: Fetched<'m>,
    source: String,
) -> Injection<'m> {
    let key = names.first().cloned().unwrap_or_default();
    let optional = fetched.optional;
    let mut env: Vec<EnvVar> = names
        .into_iter()
        .map(|name| {
            let key = key.clone();
            EnvVar::new(name, EnvValue::Fetched { key, optional })
        })
        .collect();
    env.push(naming::prefix_variable(options));
    Injection {
        env,
        env_file: Some(EnvFile { fetched, key }),
        source,
        ..Injection::default()
    }
}

/// The variables for a request: the one that flytekit looks for, where it can be one, and the one that the request
/// names. At least one; each can stand in a file of variables.
///
/// Flytekit looks for
/// [prefix, group, version and key](https://github.com/flyteorg/flytekit/blob/master/flytekit/core/context_manager.py),
/// those that are given. A field stands behind them.
pub(crate) fn variable_names(request: &SecretRequest, options: &Options) -> Result<Vec<String>, NotServed> {
    let request = request.asked();
    let can_be = |name: &str| names::is_variable(name) && !name.starts_with(['-', '.']);
    let given: Vec<&str> = [&request.group, &request.group_version, &request.key, &request.field]
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    let looked_for = format!("{}{}", options.env_prefix, given.join("_")).to_ascii_uppercase();
    let further = naming::extra_env_var(request)?;
    if let Some(name) = further.filter(|name| !can_be(name)) {
        return Err(not_found!(
            "env_var {name:?} cannot be a name in a file of variables: it has to start with a letter or '_'"
        ));
    }
    let mut found = Vec::new();
    if can_be(&looked_for) {
        found.push(looked_for.clone());
    }
    if let Some(name) = further.filter(|name| *name != looked_for) {
        found.push(name.to_owned());
    }
    if found.is_empty() {
        return Err(not_found!(
            "{looked_for:?} {NO_VARIABLE}; name one with env_var, or ask for a file"
        ));
    }
    Ok(found)
}

/// Where an init container of ours mounts the memory volumes.
pub(crate) struct Layout {
    pub mounts: Vec<(usize, String)>,
}

impl Layout {
    /// Mounts the first volume at the directory for it and each further one beside it.
    pub(crate) fn new(fetch: &Fetch<'_>) -> Self {
        let directory = fetch.directory;
        let mut mounts: Vec<(usize, String)> = Vec::new();
        for target in fetch.items.iter().flat_map(|item| &item.targets) {
            if mounts.iter().any(|(volume, _)| *volume == target.volume) {
                continue;
            }
            let place = match mounts.len() {
                0 => directory.to_owned(),
                number => format!("{directory}-{}", number + 1),
            };
            mounts.push((target.volume, place));
        }
        Self { mounts }
    }

    /// Where the first volume is.
    pub(crate) fn first(&self) -> &str {
        self.mounts.first().map_or("", |(_, place)| place.as_str())
    }

    /// The path of `target` in the init container, behind the octal mode of the file where one is asked for: the scripts
    /// take what stands before the first slash for the mode.
    pub(crate) fn path(&self, target: &FetchTarget) -> String {
        let place = self.mounts.iter().find(|(volume, _)| *volume == target.volume);
        let mode = target.mode.map(|mode| format!("{mode:04o}")).unwrap_or_default();
        format!(
            "{mode}{}/{}",
            place.map_or("", |(_, place)| place.as_str()),
            target.path
        )
    }
}
