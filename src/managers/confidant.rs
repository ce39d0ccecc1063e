//! Lyft's [Confidant](https://github.com/lyft/confidant): an init container with its client fetches the credentials of
//! a service.
//!
//! A request's group is the credential's name, its key one of the credential's keys. Which service a Pod is, the
//! operator's settings say, never the Pod.

use crate::injection::{ContainerName, Fetch, FetchContainer, Fetched, Fetcher, Injection};
use crate::json::Writer;
use crate::json::fields::{Fields, SettingsError};
use crate::managers::context::Context;
use crate::managers::fetch::{self, ContainerSettings, Layout};
use crate::managers::manager::{Manager, NotServed, not_found};
use crate::managers::placeholders;
use crate::managers::script::{Script, script, script_of, word};
use crate::names;
use crate::requests::SecretRequest;

/// Asks the client once for all secrets and writes those that are wanted. Its variables: `CONFIDANT_SERVICE`;
/// `CONFIDANT_CONFIG`, the client's configuration file; `SECRET_REQUESTS`, a JSON list of `group`, `key`, `path`, and
/// `env` where the path is that of a file of variables, and `optional`.
const SCRIPT: Script = script!("scripts/confidant.py", Python);
/// What [`SCRIPT`] needs for a file of variables.
const ENV_LINE: Script = script!("scripts/confidant_env.py", Python);

pub(crate) struct Confidant {
    /// Confidant's address.
    url: String,
    /// The KMS key, or its alias, with which services authenticate.
    auth_key: String,
    /// The AWS region of that key.
    region: String,
    /// The service that a Pod is: a template.
    service: String,
    /// Who the client says it is: a template, which may hold `{service}`.
    from: String,
    /// The server's name in the authentication.
    to: String,
    /// What kind of user the service is to the server.
    user_type: String,
    /// How often the client tries.
    retries: u32,
    container: ContainerSettings,
}

impl Confidant {
    pub(crate) fn from_fields(fields: &mut Fields<'_>) -> Result<Box<dyn Manager>, SettingsError> {
        let url = required(
            fields,
            "url",
            "Confidant's address, such as https://confidant.example.com",
        )?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(fields.invalid("url", "has to begin with https:// or http://"));
        }
        let auth_key = required(
            fields,
            "authKey",
            "the KMS key for authentication, such as alias/confidant-auth",
        )?;
        let region = required(fields, "region", "the AWS region of the authKey, such as us-east-1")?;
        let service = text(fields, "service", "{namespace}")?;
        check_service(&service).map_err(|problem| fields.invalid("service", &problem))?;
        let Some(mut auth) = fields.nested("authContext")? else {
            return Err(fields.invalid(
                "authContext",
                "is missing: give at least {to: …}, the server's AUTH_CONTEXT",
            ));
        };
        let to = required(
            &mut auth,
            "to",
            "the server's AUTH_CONTEXT, such as confidant-production",
        )?;
        let from = text(&mut auth, "from", "{service}")?;
        context_name(&from, "service").map_err(|problem| auth.invalid("from", &problem))?;
        let user_type = text(&mut auth, "userType", "service")?;
        auth.finish()?;
        let retries = fields.take("retries")?.unwrap_or(3);
        let container = container_settings(fields)?;
        Ok(Box::new(Self {
            url,
            auth_key,
            region,
            service,
            from,
            to,
            user_type,
            retries,
            container,
        }))
    }

    /// Returns the client's configuration file: YAML, of which JSON is a part.
    fn config(&self, service: &str) -> String {
        let from = context_name(&self.from, service).unwrap_or_default();
        let mut profile = Writer::with_capacity(256);
        profile.raw("{\"default\":{\"auth_context\":{");
        profile.text_field("from", &from);
        profile.text_field("to", &self.to);
        profile.text_field("user_type", &self.user_type);
        profile.byte(b'}');
        profile.text_field("auth_key", &self.auth_key);
        profile.text_field("region", &self.region);
        profile.raw_field("retries", &self.retries.to_string());
        // Otherwise the client leaves its token in /dev/shm.
        profile.text_field("token_cache_file", "");
        profile.text_field("url", &self.url);
        profile.raw("}}");
        profile.into_string()
    }
}

impl Manager for Confidant {
    fn inject(&self, request: &SecretRequest, context: &Context<'_>) -> Result<Injection<'_>, NotServed> {
        if request.group.is_empty() || request.key.is_empty() {
            return Err(not_found!(
                "it needs a group, the credential's name, and a key of that credential"
            ));
        }
        if !request.group_version.is_empty() {
            return Err(not_found!(
                "it gives the newest revision of a credential only; leave the group's version out"
            ));
        }
        let service = service_name(&self.service, context.namespace, context.service_account).unwrap_or_default();
        if !is_service(&service) {
            return Err(not_found!(
                "{service:?} cannot be a Confidant service (letters, digits, '-', '_' and '.')"
            ));
        }
        let source = format!(
            "Confidant service {service}, credential {}, key {}",
            request.group, request.key
        );
        let arguments = vec![request.group.clone(), request.key.clone(), service];
        let asked = request.asked();
        fetch::injection(
            request,
            context,
            &[&asked.group, &asked.key],
            Fetched::new(self, "confidant-secrets", arguments),
            source,
        )
    }
}

impl Fetcher for Confidant {
    fn fetch(&self, fetch: &Fetch<'_>) -> Vec<FetchContainer> {
        let layout = Layout::new(fetch);
        let mut requests = Writer::with_capacity(256);
        requests.byte(b'[');
        let (mut of_service, mut has_variables) = ("", false);
        for item in fetch.items {
            let [group, key, service] = item.fetched.arguments.as_slice() else {
                continue;
            };
            of_service = service;
            for target in &item.targets {
                requests.item();
                requests.byte(b'{');
                if let Some(variable) = &target.variable {
                    has_variables = true;
                    requests.text_field("env", variable);
                }
                requests.text_field("group", group);
                requests.text_field("key", key);
                if item.fetched.optional {
                    requests.raw_field("optional", "true");
                }
                requests.text_field("path", &layout.path(target));
                requests.byte(b'}');
            }
        }
        requests.byte(b']');
        let parts: &[Script] = if has_variables { &[ENV_LINE, SCRIPT] } else { &[SCRIPT] };
        let command = vec![word("python3"), word("-I"), word("-c"), script_of(parts)];
        let env = vec![
            ("CONFIDANT_SERVICE", word(of_service)),
            ("CONFIDANT_CONFIG", word(&self.config(of_service))),
            ("SECRET_REQUESTS", word(&requests.into_string())),
        ];
        let name = ContainerName::Exact("confidant-pull-secrets");
        let container = self.container.container(name, (command, &[]), env, layout.mounts);
        vec![fetch::with_log_shown(container)]
    }
}

/// The service's name by its template.
fn service_name(template: &str, namespace: &str, service_account: &str) -> Result<String, String> {
    placeholders::expand(
        template,
        &[
            ("namespace", namespace.to_owned()),
            ("serviceAccount", service_account.to_owned()),
        ],
    )
}

/// Checks the template of a service: its placeholders, and that no two Pods of different namespaces or service accounts
/// become the same service. Both names have lower case letters, digits and `-`, so that `-` alone between them could be a
/// part of either: `a-b` with `c`, and `a` with `b-c`.
fn check_service(template: &str) -> Result<(), String> {
    // The template itself holds no control character.
    const MARKS: [char; 2] = ['\u{1}', '\u{2}'];
    let marked = service_name(template, &MARKS[0].to_string(), &MARKS[1].to_string())?;
    let parts: Vec<&str> = marked.split(MARKS).collect();
    let places: Vec<char> = marked.chars().filter(|character| MARKS.contains(character)).collect();
    let between = parts.iter().skip(1);
    let ambiguous = places
        .windows(2)
        .zip(between)
        .any(|(pair, text)| pair.first() != pair.last() && names::is_lower(text, "-"));
    if ambiguous {
        return Err(
            "makes one service of different Pods: the namespace \"a\" with the service account \"b-c\" and the namespace \
             \"a-b\" with \"c\"; put '_' or '.' between the placeholders, as in {namespace}_{serviceAccount}"
                .to_owned(),
        );
    }
    Ok(())
}

/// Who the client says it is, by its template.
fn context_name(template: &str, service: &str) -> Result<String, String> {
    placeholders::expand(template, &[("service", service.to_owned())])
}

/// Whether `name` can stand in the path of a URL as it is, so that it cannot lead to another page of Confidant's API.
fn is_service(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && names::is_plain(name, "-_.")
}

fn container_settings(fields: &mut Fields<'_>) -> Result<ContainerSettings, SettingsError> {
    // Python with boto3 needs some 60 MiB.
    let amounts = r#"{"cpu":"200m","memory":"256Mi"}"#;
    let container = ContainerSettings::from_fields(fields, "", amounts).map_err(|mut error| {
        if error.place.ends_with(".image") {
            "has to name an image with Confidant's client, of which none is published; this makes one: FROM \
             python:3.12-slim, RUN pip install confidant-client==2.7.1"
                .clone_into(&mut error.problem);
        }
        error
    })?;
    container.with_network(fields)
}

fn required(fields: &mut Fields<'_>, name: &'static str, what: &str) -> Result<String, SettingsError> {
    if !fields.has(name) {
        return Err(fields.invalid(name, &format!("is missing: give {what}")));
    }
    text(fields, name, "")
}

/// Reads a text, or `default`, that the client's YAML reader takes: it refuses control characters even in JSON.
fn text(fields: &mut Fields<'_>, name: &'static str, default: &str) -> Result<String, SettingsError> {
    let is_text = |text: &str| !text.trim().is_empty() && !text.contains(char::is_control);
    fields.valid(name, default, is_text, "is empty, or holds a control character")
}
