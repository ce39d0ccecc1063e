//! From an admission request to a response.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::access;
use crate::cluster::Cluster;
use crate::injection::{FileOrigin, Injection};
use crate::json::{Node, Open};
use crate::managers::{self, Context, Severity, Unserved, User};
use crate::pod::{self, Addition, Pod, PodError};
use crate::requests::{self, FLYTE_PREFIX, JSON_ANNOTATION, SecretRequest};
use crate::settings::{OnUnserved, Settings};

/// The policy's answer, in the form that the host reads
/// ([ValidationResponse](https://docs.rs/kubewarden-policy-sdk/latest/kubewarden_policy_sdk/response/struct.ValidationResponse.html),
/// with the Pod as it is instead of a tree made of it).
#[derive(Debug, Serialize)]
pub struct Response<'a> {
    accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutated_object: Option<Node<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_annotations: Option<AuditAnnotations>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The audit annotations: what was injected, and what was asked for in vain.
#[derive(Debug, Default, Serialize)]
struct AuditAnnotations {
    #[serde(skip_serializing_if = "String::is_empty")]
    injected: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    unserved: String,
}

/// The answer for a request that is none of the policy's business.
const ACCEPTED: &[u8] = br#"{"accepted":true}"#;

/// Why a Pod is rejected, for its author.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    /// The payload is not an admission request.
    #[error("the admission request cannot be read: {0}")]
    Unreadable(&'static str),
    /// The settings are not valid; the host checks them before it serves the policy.
    #[error("the policy's settings are not valid: {0}")]
    Settings(#[from] crate::settings::fields::SettingsError),
    /// A request cannot be decoded.
    #[error(transparent)]
    Request(#[from] requests::RequestError),
    /// The Pod may not ask for it.
    #[error("{request}: {reason}")]
    Access {
        /// The request.
        request: String,
        /// Which rule is missing.
        reason: String,
    },
    /// No manager serves a request.
    #[error("{0}")]
    Unserved(String, Severity),
    /// The additions do not go together, or not with the Pod.
    #[error(transparent)]
    Pod(#[from] PodError),
}

impl Rejection {
    /// The HTTP status of the rejection.
    fn code(&self) -> u16 {
        match self {
            Self::Unreadable(_) | Self::Request(_) | Self::Pod(PodError::WrongType(_)) => 400,
            Self::Access { .. } | Self::Unserved(_, Severity::Denied) => 403,
            Self::Unserved(_, Severity::Nobody) | Self::Pod(_) => 422,
            Self::Settings(_) => 500,
            Self::Unserved(_, Severity::Failed) => 503,
        }
    }
}

/// What the host sends, opened as far as it is needed.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    request: Request<'a>,
    #[serde(borrow, default)]
    settings: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(borrow, default)]
    kind: Option<Kind<'a>>,
    #[serde(borrow, default)]
    operation: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "sub_resource")]
    sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "user_info")]
    user_info: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "open_pod")]
    object: Option<Node<'a>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct UserInfo<'a> {
    #[serde(borrow, default)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    groups: Option<Vec<Cow<'a, str>>>,
}

fn open_pod<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Node<'de>>, D::Error> {
    use serde::de::DeserializeSeed;
    Open(pod::SHAPE).deserialize(deserializer).map(Some)
}

impl Request<'_> {
    /// Whether this is the creation of a Pod, and of nothing below it.
    fn creates_a_pod(&self) -> bool {
        self.operation.as_deref() == Some("CREATE")
            && self.sub_resource.as_deref().unwrap_or_default().is_empty()
            && self
                .kind
                .as_ref()
                .is_some_and(|kind| kind.group.is_empty() && kind.kind == "Pod")
    }
}

/// Answers the host's `validate`.
pub fn validate(payload: &[u8], cluster: &dyn Cluster) -> Vec<u8> {
    if !may_ask(payload) {
        return ACCEPTED.to_vec();
    }
    let response = match admit(payload, cluster) {
        Ok(None) => return ACCEPTED.to_vec(),
        Ok(Some(response)) => response,
        Err(rejection) => Response {
            accepted: false,
            message: Some(rejection.to_string()),
            code: Some(rejection.code()),
            mutated_object: None,
            audit_annotations: None,
            warnings: Vec::new(),
        },
    };
    serde_json::to_vec(&response).unwrap_or_else(|_| {
        br#"{"accepted":false,"code":400,"message":"the Pod is not valid: a field holds something else than Kubernetes says"}"#.to_vec()
    })
}

/// Whether a request for a secret can be anywhere in `payload`: most Pods ask for nothing, and looking for the
/// annotations' names is cheaper than reading the Pod.
///
/// JSON may hide a character of a name behind `\/` or a `\u` escape. Where the payload has one, it is read.
fn may_ask(payload: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(payload, needle).is_some();
    has(FLYTE_PREFIX.as_bytes()) || has(JSON_ANNOTATION.as_bytes()) || has(br"\u") || has(br"\/")
}

fn admit<'a>(payload: &'a [u8], cluster: &dyn Cluster) -> Result<Option<Response<'a>>, Rejection> {
    let Payload { request, settings } =
        serde_json::from_slice(payload).map_err(|_| Rejection::Unreadable("it is not the JSON that the host sends"))?;
    if !request.creates_a_pod() {
        return Ok(None);
    }
    let Some(node @ Node::Object(_)) = request.object else {
        return Err(Rejection::Unreadable("its object is no Pod"));
    };
    let mut pod = Pod::new(node);
    let requests::Requests { requests, mut warnings } = requests::from_annotations(pod.annotations())?;
    if requests.is_empty() {
        return Ok((!warnings.is_empty()).then_some(Response {
            accepted: true,
            message: None,
            code: None,
            mutated_object: None,
            audit_annotations: None,
            warnings,
        }));
    }
    let settings = Settings::from_raw(settings)?;
    let user: UserInfo<'_> = request
        .user_info
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let groups: Vec<&str> = user.groups.iter().flatten().map(AsRef::as_ref).collect();
    let service_account = pod.service_account().to_owned();
    let labels: Vec<(String, String)> = pod
        .labels()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let labels: Vec<(&str, &str)> = labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let context = Context {
        settings: &settings,
        namespace: request.namespace.as_deref().unwrap_or_default(),
        service_account: &service_account,
        user: User {
            name: user.username.as_deref().unwrap_or_default(),
            groups: &groups,
        },
        labels: &labels,
        cluster,
        requests: &requests,
    };
    let mut additions = Vec::with_capacity(requests.len());
    let mut unserved = Vec::new();
    for request in &requests {
        if !context.may_ask(&request.group, &request.key) {
            return Err(Rejection::Access {
                request: request.origin.to_string(),
                reason: access::refusal(request, context.namespace, context.service_account),
            });
        }
        match managers::serve(request, &context) {
            Ok(served) => {
                additions.push(Addition {
                    request,
                    manager: served.manager,
                    injection: served.injection,
                });
            }
            Err(failure) if failure.severity == Severity::Nobody && settings.on_unserved == OnUnserved::Warn => {
                warnings.push(format!(
                    "the Pod goes without a secret: {}",
                    in_one_line(&explained(request, &failure))
                ));
                unserved.push(request);
            }
            Err(failure) => return Err(Rejection::Unserved(explained(request, &failure), failure.severity)),
        }
    }
    warnings.extend(pod.add(&additions, &context)?);
    if settings.status_annotation {
        pod.set_status(summary(&additions, &settings, Detail::Short))?;
    }
    Ok(Some(Response {
        accepted: true,
        message: None,
        code: None,
        mutated_object: Some(pod.into_node()),
        audit_annotations: Some(AuditAnnotations {
            injected: summary(&additions, &settings, Detail::Full),
            unserved: unserved
                .iter()
                .map(|request| request.origin.to_string())
                .collect::<Vec<_>>()
                .join("; "),
        }),
        warnings,
    }))
}

/// Why nobody serves `request`, a line for each manager.
fn explained(request: &SecretRequest, failure: &Unserved) -> String {
    let mut text = format!(
        "{} asks for the secret {:?}, which cannot be injected:",
        request.origin,
        secret_name(request)
    );
    for (manager, reason) in &failure.reasons {
        let _ = write!(text, "\n- {manager}: {reason}");
    }
    text
}

fn in_one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// `group@version/key`, without what is empty.
fn secret_name(request: &SecretRequest) -> String {
    let mut name = request.group.clone();
    if !request.group_version.is_empty() {
        let _ = write!(name, "@{}", request.group_version);
    }
    if !request.key.is_empty() {
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(&request.key);
    }
    name
}

/// How much a summary says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// For the Pod.
    Short,
    /// For the audit log.
    Full,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    secret: String,
    manager: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
}

/// Which secret went in, by which manager, as what: names, never values.
fn summary(additions: &[Addition<'_>], settings: &Settings, detail: Detail) -> String {
    let entries: Vec<Entry<'_>> = additions
        .iter()
        .map(|addition| Entry {
            request: (detail == Detail::Full).then(|| request_name(addition.request)),
            secret: secret_name(addition.request),
            manager: settings
                .managers
                .get(addition.manager)
                .map_or("", |entry| entry.name.as_str()),
            env: secret_variables(&addition.injection),
            file: visible_file(&addition.injection, settings),
            source: (detail == Detail::Full && !addition.injection.source.is_empty())
                .then_some(addition.injection.source.as_str()),
        })
        .collect();
    serde_json::to_string(&entries).unwrap_or_default()
}

fn request_name(request: &SecretRequest) -> String {
    let name = request.origin.to_string();
    name.strip_prefix("annotation ").unwrap_or(&name).to_owned()
}

/// The variables that hold the secret or its path, without those that are the same for every secret.
fn secret_variables(injection: &Injection) -> Vec<&str> {
    injection
        .env
        .iter()
        .map(|variable| variable.name.as_str())
        .filter(|name| !name.starts_with("FLYTE_SECRETS_"))
        .collect()
}

fn visible_file(injection: &Injection, settings: &Settings) -> Option<String> {
    let file = injection.file.as_ref()?;
    if matches!(file.origin, FileOrigin::Fetched { variable: Some(_), .. }) {
        return None;
    }
    Some(format!("{}/{}", settings.mount_path, file.path.as_str()))
}
