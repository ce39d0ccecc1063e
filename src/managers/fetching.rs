//! What the managers share whose init containers fetch secrets into memory volumes.

#![forbid(unsafe_code)]

use serde_json::{Map, Value, json};

use crate::injection::{EnvValue, EnvVar, FileOrigin, Injection, RelativePath, SecretFile, unexpanded};
use crate::managers::{Context, Copy, Fetch, FetchItem, Miss, common};
use crate::requests::{MountRequirement, SecretRequest};
use crate::settings::fields::{Fields, SettingsError};

/// The user and group that our init containers run as unless settings say otherwise: nobody's.
const NOBODY: u32 = 65534;

/// The init container of a manager, as an operator has set it up.
#[derive(Debug, Clone)]
pub struct ContainerSettings {
    image: String,
    image_pull_policy: String,
    resources: Value,
    security_context: Value,
}

impl ContainerSettings {
    /// Reads `image`, `imagePullPolicy`, `resources` and `securityContext`. Each that is given replaces the default
    /// whole.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(fields: &mut Fields<'_>, image: &str, cpu: &str, memory: &str) -> Result<Self, SettingsError> {
        let image = fields.take::<String>("image")?.unwrap_or_else(|| image.to_owned());
        if image.is_empty() || image.contains(char::is_whitespace) {
            return Err(fields.invalid("image", "is not an image's name"));
        }
        let image_pull_policy = fields.choice(
            "imagePullPolicy",
            &[
                ("IfNotPresent", "IfNotPresent"),
                ("Always", "Always"),
                ("Never", "Never"),
            ],
        )?;
        let amounts = json!({"cpu": cpu, "memory": memory});
        let resources =
            object(fields, "resources")?.unwrap_or_else(|| json!({"limits": amounts.clone(), "requests": amounts}));
        let security_context = object(fields, "securityContext")?.unwrap_or_else(restricted);
        Ok(Self {
            image,
            image_pull_policy: image_pull_policy.to_owned(),
            resources,
            security_context,
        })
    }

    /// A container that runs `command` with `args`. The kubelet is kept from expanding `$(NAME)` in them.
    pub fn container(&self, command: &[&str], args: &[String], env: &[(&str, &str)]) -> Value {
        let mut container = Map::new();
        container.insert("image".to_owned(), json!(self.image));
        if !command.is_empty() {
            let command: Vec<_> = command.iter().map(|word| unexpanded(word)).collect();
            container.insert("command".to_owned(), json!(command));
        }
        if !args.is_empty() {
            let args: Vec<_> = args.iter().map(|word| unexpanded(word)).collect();
            container.insert("args".to_owned(), json!(args));
        }
        let env: Vec<Value> = env
            .iter()
            .map(|(name, value)| json!({"name": name, "value": unexpanded(value)}))
            .collect();
        if !env.is_empty() {
            container.insert("env".to_owned(), Value::Array(env));
        }
        container.insert("imagePullPolicy".to_owned(), json!(self.image_pull_policy));
        for (name, value) in [
            ("resources", &self.resources),
            ("securityContext", &self.security_context),
        ] {
            if value.as_object().is_some_and(|fields| !fields.is_empty()) {
                container.insert(name.to_owned(), value.clone());
            }
        }
        Value::Object(container)
    }
}

fn object(fields: &mut Fields<'_>, name: &'static str) -> Result<Option<Value>, SettingsError> {
    match fields.take::<Value>(name)? {
        Some(value @ Value::Object(_)) => Ok(Some(value)),
        Some(_) => Err(fields.invalid(name, "is not an object (a YAML mapping)")),
        None => Ok(None),
    }
}

/// A security context that the
/// [restricted Pod Security Standard](https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted)
/// admits.
fn restricted() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "runAsUser": NOBODY,
        "runAsGroup": NOBODY,
        "seccompProfile": {"type": "RuntimeDefault"},
    })
}

/// The injection of a secret that is fetched to the lower case of the path `parts`; `arguments` are the manager's own.
///
/// A variable is served through a file of variables, where the settings allow it.
///
/// # Errors
/// [`Miss::NotHere`] when the request asks for what cannot be.
pub fn injection(
    request: &SecretRequest,
    context: &Context<'_>,
    parts: &[&str],
    arguments: Vec<String>,
    source: String,
) -> Result<Injection, Miss> {
    if request.mount == MountRequirement::EnvVar {
        return variable(request, context, arguments, source);
    }
    let path = common::file_path(parts)?;
    let env = common::file_variables(request, context.settings, &path)?;
    let origin = FileOrigin::Fetched {
        arguments,
        variable: None,
    };
    Ok(Injection {
        env,
        file: Some(SecretFile { path, origin }),
        source,
        ..Injection::default()
    })
}

fn variable(
    request: &SecretRequest,
    context: &Context<'_>,
    arguments: Vec<String>,
    source: String,
) -> Result<Injection, Miss> {
    if !context.settings.env_files {
        return Err(Miss::NotHere(
            "it gives files only; with the policy's setting envFiles: true (Kubernetes 1.35 and later) it gives \
             variables too"
                .to_owned(),
        ));
    }
    let key = common::variable_name(context.settings, &request.group, &request.key)?;
    let value = EnvValue::Fetched { key: key.clone() };
    let mut env = vec![EnvVar {
        name: key.clone(),
        value: value.clone(),
    }];
    if let Some(name) = common::further_variable(request)? {
        env.push(EnvVar {
            name: name.to_owned(),
            value,
        });
    }
    env.push(common::prefix_variable(context.settings));
    let origin = FileOrigin::Fetched {
        arguments,
        variable: Some(key),
    };
    Ok(Injection {
        env,
        file: Some(SecretFile {
            path: RelativePath::default(),
            origin,
        }),
        source,
        ..Injection::default()
    })
}

/// Where an init container of ours mounts the memory volumes.
pub struct Layout {
    places: Vec<(usize, String)>,
}

impl Layout {
    /// Mounts the first volume at `directory` and each further one beside it.
    pub fn new(fetch: &Fetch<'_>, directory: &str) -> Self {
        let mut places: Vec<(usize, String)> = Vec::new();
        for copy in fetch.items.iter().flat_map(|item| &item.copies) {
            if places.iter().any(|(volume, _)| *volume == copy.volume) {
                continue;
            }
            let place = match places.len() {
                0 => directory.to_owned(),
                number => format!("{directory}-{}", number + 1),
            };
            places.push((copy.volume, place));
        }
        Self { places }
    }

    /// The path of `copy` in the init container.
    pub fn path(&self, copy: &Copy) -> String {
        let place = self.places.iter().find(|(volume, _)| *volume == copy.volume);
        format!("{}/{}", place.map_or("", |(_, place)| place.as_str()), copy.path)
    }

    /// The mounts of the init container.
    pub fn mounts(self) -> Vec<(usize, String)> {
        self.places
    }
}

/// The arguments for a script that fetches one secret after the other: for each copy of each secret, the manager's own
/// arguments, then the path to write, then the variable's name, empty where the file itself is wanted.
pub fn script_arguments(items: &[FetchItem<'_>], layout: &Layout) -> Vec<String> {
    let mut arguments = Vec::new();
    for item in items {
        for copy in &item.copies {
            arguments.extend_from_slice(item.arguments);
            arguments.push(layout.path(copy));
            arguments.push(copy.variable.clone().unwrap_or_default());
        }
    }
    arguments
}
