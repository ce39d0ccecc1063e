//! HashiCorp Vault, through the annotations of the
//! [Vault Agent Injector](https://developer.hashicorp.com/vault/docs/platform/k8s/injector).
//!
//! It writes what Flyte's
//! [Vault injector](https://github.com/flyteorg/flyte/blob/master/flytepropeller/pkg/webhook/vault_secret_manager.go)
//! writes, with two differences: what the request says is quoted in the template, and the names of a secret's
//! annotations are derived from the request instead of random. The group is the path in Vault
//! (`secret/data/app`), the group version the engine, the key the field that the file holds.

#![forbid(unsafe_code)]

use std::fmt::Write as _;

use serde_json::Value;

use crate::injection::{Annotation, FileOrigin, Injection, SecretFile};
use crate::managers::{Context, Manager, Miss, common};
use crate::requests::{Containers, MountRequirement, SecretRequest};
use crate::settings::fields::{Fields, SettingsError};

/// What the injector's annotations begin with
/// ([reference](https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations)).
const PREFIX: &str = "vault.hashicorp.com/";

/// Turns the injector on for the Pod.
const AGENT_INJECT: &str = "agent-inject";
/// The directory in which the agent writes the files.
const SECRET_VOLUME_PATH: &str = "secret-volume-path";
/// The role with which the agent logs in.
const ROLE: &str = "role";
/// Whether there is an init container only, without a sidecar that keeps the files current.
const AGENT_PRE_POPULATE_ONLY: &str = "agent-pre-populate-only";
/// The path in Vault of the secret whose name follows.
const AGENT_INJECT_SECRET: &str = "agent-inject-secret-";
/// The file of the secret whose name follows, below the directory.
const AGENT_INJECT_FILE: &str = "agent-inject-file-";
/// The template that makes the file of the secret whose name follows.
const AGENT_INJECT_TEMPLATE: &str = "agent-inject-template-";

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

/// How Vault keeps a secret: where its fields are in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    /// [KV version 1](https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v1): in `.Data`.
    Kv1,
    /// [KV version 2](https://developer.hashicorp.com/vault/docs/secrets/kv/kv-v2): in `.Data.data`.
    Kv2,
    /// A [database](https://developer.hashicorp.com/vault/docs/secrets/databases): the file holds all fields, in the
    /// agent's default template.
    Database,
}

impl Engine {
    /// The group version that asks for it.
    fn name(self) -> &'static str {
        match self {
            Self::Kv1 => "kv1",
            Self::Kv2 => "kv2",
            Self::Database => "db",
        }
    }
}

impl Vault {
    /// Reads the manager's settings.
    ///
    /// # Errors
    /// What an operator has to change.
    pub fn from_fields(fields: &mut Fields<'_>) -> Result<Self, SettingsError> {
        let role = fields.take::<String>("role")?.unwrap_or_else(|| "flyte".to_owned());
        let engine = match fields.take::<Value>("kvVersion")? {
            None => Engine::Kv2,
            // Flyte's own setting is a string.
            Some(version) if version == 1 || version == "1" => Engine::Kv1,
            Some(version) if version == 2 || version == "2" => Engine::Kv2,
            Some(_) => return Err(fields.invalid("kvVersion", "has to be 1 or 2")),
        };
        let mut annotations = Vec::new();
        match fields.take::<Value>("annotations")? {
            None => {}
            Some(Value::Object(given)) => {
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
                    if key.strip_prefix(PREFIX) == Some(AGENT_INJECT) && value != "true" {
                        return Err(fields.invalid(
                            "annotations",
                            &format!("has {key}: {value:?}, with which no secret arrives: leave it out"),
                        ));
                    }
                    if key.strip_prefix(PREFIX) == Some(SECRET_VOLUME_PATH) {
                        return Err(fields.invalid(
                            "annotations",
                            &format!("has {key}: the policy's setting mountPath says where files appear"),
                        ));
                    }
                    annotations.push((key, value));
                }
            }
            Some(_) => return Err(fields.invalid("annotations", "is not an object (a YAML mapping) of strings")),
        }
        Ok(Self {
            role,
            engine,
            annotations,
            enforce: fields.take("enforce")?.unwrap_or(false),
        })
    }

    fn engine(&self, request: &SecretRequest) -> Engine {
        [Engine::Kv1, Engine::Kv2, Engine::Database]
            .into_iter()
            .find(|engine| engine.name() == request.group_version)
            .unwrap_or(self.engine)
    }

    /// The annotations that are the same for every secret: ours, those of the operator instead where he has the same,
    /// then the others of his.
    fn common_annotations(&self, mount_path: &str) -> Vec<Annotation> {
        let ours = [
            (AGENT_INJECT, "true", true),
            (SECRET_VOLUME_PATH, mount_path, true),
            (ROLE, self.role.as_str(), self.enforce),
            (AGENT_PRE_POPULATE_ONLY, "true", self.enforce),
        ];
        let mut all: Vec<Annotation> = ours
            .into_iter()
            .map(|(name, value, required)| annotation(name, value, required))
            .collect();
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

impl Manager for Vault {
    /// The file of a database role holds all fields, whatever the key.
    fn selects<'r>(&self, request: &'r SecretRequest) -> (&'r str, &'r str) {
        match self.engine(request) {
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
        // The agent reads the path as a URL
        // (https://github.com/hashicorp/consul-template/blob/main/dependency/vault_read.go): %2e%2e would leave it.
        if request.group.contains(['%', '?', '#']) {
            return Err(Miss::NotHere(format!(
                "{:?} cannot be a path in Vault: the agent would read '%', '?' or '#' as a part of a URL",
                request.group
            )));
        }
        let engine = self.engine(request);
        // Vault Agent's default template holds the path without any quoting.
        if engine == Engine::Database && !request.group.chars().all(is_plain) {
            return Err(Miss::NotHere(format!(
                "{:?} cannot be the path of a database role: it may hold letters, digits, '-', '_', '.' and '/'",
                request.group
            )));
        }
        let mut parts: Vec<&str> = request.group.split('/').collect();
        parts.push(&request.key);
        let path = common::exact_path(&parts)?;
        let id = common::identity(&[&request.group, engine.name(), &request.key]);
        let mut annotations = self.common_annotations(&context.settings.mount_path);
        if self.enforce {
            check_own(&annotations, context)?;
        }
        let mut add = |name: &str, value: &str| annotations.push(annotation(&format!("{name}{id}"), value, true));
        add(AGENT_INJECT_SECRET, &request.group);
        add(AGENT_INJECT_FILE, path.as_str());
        if let Some(template) = template(engine, &request.group, &request.key) {
            add(AGENT_INJECT_TEMPLATE, &template);
        }
        let mut injection = Injection {
            env: common::file_variables(request, context.settings, &path)?,
            annotations,
            source: format!("Vault {}, key {}", request.group, request.key),
            ..Injection::default()
        };
        if matches!(request.containers, Containers::Named(_)) {
            injection.warnings.push(format!(
                "{}: Vault Agent puts its files into every container, not only those that the request names; the \
                 annotation {PREFIX}agent-inject-containers narrows it for the whole Pod",
                request.origin
            ));
        }
        injection.file = Some(SecretFile {
            path,
            origin: FileOrigin::Agent {
                identity: id,
                mounts: true,
            },
        });
        Ok(injection)
    }
}

/// How those of the injector's annotations begin that say neither where secrets come from nor what fetches them: the Pod
/// may have them in spite of `enforce`. Its own `agent-inject-secret-…` are further secrets, for which it needs no policy.
const HARMLESS: [&str; 13] = [
    "agent-cache-",
    "agent-init-first",
    "agent-inject",
    "agent-limits-",
    "agent-pre-populate",
    "agent-requests-",
    "agent-revoke-",
    "agent-run-as-",
    "error-on-missing-key-",
    "log-",
    "preserve-secret-case",
    "secret-volume-path",
    "template-",
];

/// Whether the annotation `key` could lead the agent to another Vault, login or image.
pub fn is_order(key: &str) -> bool {
    key.strip_prefix(PREFIX)
        .is_some_and(|name| !HARMLESS.iter().any(|begin| name.starts_with(begin)))
}

/// Refuses a Pod's own orders to the agent that `ours` do not replace.
fn check_own(ours: &[Annotation], context: &Context<'_>) -> Result<(), Miss> {
    let replaced = |key: &str| ours.iter().any(|annotation| annotation.key == key);
    let own = context.agent_orders.iter().find(|key| !replaced(key));
    own.map_or(Ok(()), |key| {
        Err(Miss::Denied(format!(
            "the Pod's annotation {key:?} could decide where its secrets come from, which the setting enforce leaves to the \
             operator: remove it, or let the operator set it under annotations"
        )))
    })
}

fn annotation(name: &str, value: &str, required: bool) -> Annotation {
    Annotation {
        key: format!("{PREFIX}{name}"),
        value: value.to_owned(),
        required,
    }
}

/// The template that writes the field `key` of the secret at `group`, in the language of
/// [Consul Template](https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md#secret), which
/// is that of Go's `text/template`. `None` for the agent's own.
fn template(engine: Engine, group: &str, key: &str) -> Option<String> {
    let data = match engine {
        Engine::Kv1 => ".Data",
        Engine::Kv2 => ".Data.data",
        Engine::Database => return None,
    };
    let field = if is_field(key) {
        format!("{data}.{key}")
    } else {
        format!("index {data} {}", quoted(key))
    };
    Some(format!(
        "{{{{- with secret {} -}}}}{{{{ {field} }}}}{{{{- end -}}}}",
        quoted(group)
    ))
}

/// Whether Go's templates take `key` after a dot
/// ([lexField](https://cs.opensource.google/go/go/+/master:src/text/template/parse/lex.go)): letters, digits and `_`,
/// no digit first. Of the letters beyond ASCII, those of the blocks Latin-1 to Latin Extended-B.
fn is_field(key: &str) -> bool {
    !key.starts_with(|first: char| first.is_ascii_digit())
        && key
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_' || is_latin(character))
}

fn is_latin(character: char) -> bool {
    matches!(character, 'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ɏ')
}

/// Whether a character stands for itself in a template's string, in the agent's configuration and in a path in Vault.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '/') || is_latin(character)
}

/// `text` as a string of
/// [Go's grammar](https://go.dev/ref/spec#String_literals). All but plain characters are escaped, the braces of the
/// template language and of the agent's configuration among them.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if is_plain(character) {
            quoted.push(character);
        } else {
            let _ = write!(quoted, "\\U{:08x}", u32::from(character));
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;

    #[test]
    fn templates_name_the_field_where_the_engine_keeps_it() {
        for (engine, group, key, expected) in [
            (
                Engine::Kv1,
                "kv/app",
                "password",
                r#"{{- with secret "kv/app" -}}{{ .Data.password }}{{- end -}}"#,
            ),
            (
                Engine::Kv2,
                "größe/x_y-z.1",
                "schlüssel_1",
                r#"{{- with secret "größe/x_y-z.1" -}}{{ .Data.data.schlüssel_1 }}{{- end -}}"#,
            ),
            (
                Engine::Kv1,
                "a",
                "db-password",
                r#"{{- with secret "a" -}}{{ index .Data "db-password" }}{{- end -}}"#,
            ),
            (
                Engine::Kv2,
                "a",
                "1a",
                r#"{{- with secret "a" -}}{{ index .Data.data "1a" }}{{- end -}}"#,
            ),
            (
                Engine::Kv2,
                "a",
                "a.b",
                r#"{{- with secret "a" -}}{{ index .Data.data "a.b" }}{{- end -}}"#,
            ),
            (
                Engine::Kv2,
                "a",
                "密码",
                r#"{{- with secret "a" -}}{{ index .Data.data "\U00005bc6\U00007801" }}{{- end -}}"#,
            ),
        ] {
            assert_eq!(template(engine, group, key).as_deref(), Some(expected));
        }
        assert_eq!(template(Engine::Database, "database/creds/app", "creds"), None);
    }

    /// Reads a string of Go's grammar as its scanner does: to the first quote that no backslash escapes.
    fn unquoted(text: &str) -> Option<(String, &str)> {
        let mut rest = text.strip_prefix('"')?;
        let mut value = String::new();
        loop {
            let character = rest.chars().next()?;
            rest = rest.strip_prefix(character)?;
            match character {
                '"' => return Some((value, rest)),
                '\n' => return None,
                '\\' => {
                    let digits = rest.strip_prefix('U')?.get(..8)?;
                    value.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                    rest = rest.get(9..)?;
                }
                other => value.push(other),
            }
        }
    }

    #[test]
    fn every_character_stays_within_its_string() {
        let all: String = (0..=0x2fff)
            .chain(0x1_f600..0x1_f640)
            .filter_map(char::from_u32)
            .collect();
        for text in [
            "",
            r#"\"#,
            r#"""#,
            r#"" }}{{ env "HOME" }}"#,
            "a\nb",
            "`${x}`",
            "\u{2028}",
            all.as_str(),
        ] {
            let quoted = quoted(text);
            assert_eq!(unquoted(&quoted), Some((text.to_owned(), "")), "{quoted}");
            for delimiter in ["{{", "}}", "${", "\n", "`"] {
                assert!(!quoted.contains(delimiter), "{quoted}");
            }
        }
    }

    #[test]
    fn the_annotations_names_fit() {
        let id = common::identity(&["group", "kv2", "key"]);
        for name in [AGENT_INJECT_SECRET, AGENT_INJECT_FILE, AGENT_INJECT_TEMPLATE] {
            assert!(names::is_metadata_key(&format!("{PREFIX}{name}{id}")));
        }
        assert_ne!(common::identity(&["a", "bc"]), common::identity(&["ab", "c"]));
    }
}
