//! From an admission request to a response.

#![forbid(unsafe_code)]

mod response;
mod summary;

use std::fmt::Write as _;

use crate::access::PodRules;
use crate::cluster::{Cluster, Questions};
use crate::json::{Node, Shape};
use crate::managers::vault::AgentOrders;
use crate::managers::{self, Context, Severity, Unserved, User};
use crate::pod::{self, Addition, Pod, PodError, STATUS_ANNOTATION};
use crate::requests::{self, FLYTE_PREFIX, JSON_ANNOTATION, SecretRequest};
use crate::settings::{OnUnserved, Settings};
use response::Response;
use summary::{Detail, origins, secret_name, summary};

/// The answer for a request that is none of the policy's business.
const ACCEPTED: &[u8] = br#"{"accepted":true}"#;

/// How many secrets a Pod may ask for. Requests are compared with each other, and the host stops the policy after two
/// seconds; what the status annotation says of a thousand takes a third of the 256 KiB that Kubernetes gives a Pod's
/// annotations.
const MOST_REQUESTS: usize = 1_000;

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
    /// No manager serves a request.
    #[error("{0}")]
    Unserved(String, Severity),
    /// The cluster would have to be asked for more than one Pod may cause.
    #[error("{0}")]
    Exhausted(String),
    /// Its names are too long to be matched with the rules of `access` in time.
    #[error(
        "the groups and keys that the Pod asks for are so long that they cannot be matched with the rules of the policy's \
         setting access in time; make several Pods"
    )]
    LongNames,
    /// It asks for more secrets than any Pod needs.
    #[error(
        "the Pod asks for {0} secrets, and {MOST_REQUESTS} are the most; make several Pods, or keep several values in \
         one secret"
    )]
    TooMany(usize),
    /// The additions do not go together, or not with the Pod.
    #[error(transparent)]
    Pod(#[from] PodError),
}

impl Rejection {
    /// The HTTP status of the rejection.
    fn code(&self) -> u16 {
        match self {
            Self::Unreadable(_)
            | Self::Request(_)
            | Self::Pod(PodError::WrongType(_) | PodError::TwoServiceAccounts) => 400,
            Self::Unserved(_, Severity::Denied) => 403,
            Self::Unserved(_, Severity::Nobody)
            | Self::Exhausted(_)
            | Self::LongNames
            | Self::TooMany(_)
            | Self::Pod(_) => 422,
            Self::Settings(_) => 500,
            Self::Unserved(_, Severity::Failed) => 503,
        }
    }
}

const USER: Shape = Shape::Fields(&[("username", Shape::Text), ("groups", Shape::ListOf(&Shape::Text))]);

/// What of the payload is opened
/// ([ValidationRequest](https://docs.rs/kubewarden-policy-sdk/latest/kubewarden_policy_sdk/request/struct.ValidationRequest.html)).
/// Some hosts write fields in snake_case.
const PAYLOAD: Shape = Shape::Fields(&[
    (
        "request",
        Shape::Fields(&[
            ("kind", Shape::Fields(&[("group", Shape::Text), ("kind", Shape::Text)])),
            ("operation", Shape::Text),
            ("subResource", Shape::Text),
            ("sub_resource", Shape::Text),
            ("namespace", Shape::Text),
            ("userInfo", USER),
            ("user_info", USER),
            ("object", pod::SHAPE),
        ]),
    ),
    ("settings", Shape::Closed),
]);

const NOT_A_REQUEST: Rejection = Rejection::Unreadable("it is not the JSON that the host sends");

/// Whether `request` is for the creation of a Pod, and of nothing below it.
fn creates_a_pod(request: &Node<'_>) -> Result<bool, Rejection> {
    let kind = request.get("kind");
    Ok(text(Some(request), "operation")? == "CREATE"
        && text(Some(request), "subResource")?.is_empty()
        && text(Some(request), "sub_resource")?.is_empty()
        && text(kind, "group")?.is_empty()
        && text(kind, "kind")? == "Pod")
}

/// The string in the field `name`; empty where there is none.
fn text<'n>(node: Option<&'n Node<'_>>, name: &str) -> Result<&'n str, Rejection> {
    match node.map(|node| (node, node.get(name))) {
        None | Some((Node::Object(_), None)) => Ok(""),
        Some((_, Some(Node::Text(text)))) => Ok(text),
        Some(_) => Err(NOT_A_REQUEST),
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
            message: Some(shortened(rejection.to_string())),
            code: rejection.code(),
            ..Response::default()
        },
    };
    // The Pod, what is added to it, and the summary twice.
    let size = payload.len() + 3 * response.injected.len();
    response.to_json(size).unwrap_or_else(|_| {
        br#"{"accepted":false,"code":400,"message":"the Pod is not valid: a field holds something else than Kubernetes says"}"#.to_vec()
    })
}

/// Whether a request for a secret can be anywhere in `payload`: most Pods ask for nothing, and looking for the
/// annotations' names is cheaper than reading the Pod.
///
/// JSON may hide a character of a name behind `\/` or a `\u` escape. Where the payload has one, it is read.
fn may_ask(payload: &[u8]) -> bool {
    let keys = [FLYTE_PREFIX, JSON_ANNOTATION].map(|key| key.split_once('/').unwrap_or_default());
    memchr::memchr2_iter(b'/', b'\\', payload).any(|place| match payload.split_at_checked(place) {
        Some((_, [b'\\', escaped, ..])) => matches!(escaped, b'u' | b'/'),
        Some((before, [_, after @ ..])) => keys
            .iter()
            .any(|(domain, name)| after.starts_with(name.as_bytes()) && before.ends_with(domain.as_bytes())),
        _ => false,
    })
}

/// The annotation of a Pod that mirrors a static one
/// ([well-known annotations](https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror)).
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";

/// Accepts the mirror of a static Pod as it is: the kubelet runs that Pod already, and the API server lets its mirror refer
/// to no Secret.
fn mirror<'a>(pod: &Pod<'_>) -> Option<Response<'a>> {
    let requests = requests::from_annotations(pod.annotations().map(|(key, value)| (key.as_ref(), value.as_ref())));
    if requests.is_ok_and(|requests| requests.requests.is_empty()) {
        return None;
    }
    let warning = format!(
        "the Pod goes without the secrets that it asks for: its annotation {MIRROR_ANNOTATION} says that it is the mirror \
         of a static Pod, which the kubelet runs from a file; run it as a DaemonSet to give it secrets"
    );
    Some(Response {
        accepted: true,
        warnings: vec![warning],
        ..Response::default()
    })
}

fn admit<'a>(payload: &'a [u8], cluster: &dyn Cluster) -> Result<Option<Response<'a>>, Rejection> {
    let text = std::str::from_utf8(payload).map_err(|_| NOT_A_REQUEST)?;
    let mut document = Node::parse(text, PAYLOAD).map_err(|_| NOT_A_REQUEST)?;
    let Some(mut request @ Node::Object(_)) = document.take("request") else {
        return Err(NOT_A_REQUEST);
    };
    if !creates_a_pod(&request)? {
        return Ok(None);
    }
    let Some(node @ Node::Object(_)) = request.take("object") else {
        return Err(Rejection::Unreadable("its object is no Pod"));
    };
    let mut pod = Pod::new(node);
    if pod.annotations().any(|(key, _)| key == MIRROR_ANNOTATION) {
        return Ok(mirror(&pod));
    }
    if let Some(key) = pod.annotation_without_text(requests::is_request) {
        return Err(requests::RequestError::NotAString(key.to_owned()).into());
    }
    let requests::Requests { requests, mut warnings } =
        requests::from_annotations(pod.annotations().map(|(key, value)| (key.as_ref(), value.as_ref())))?;
    if requests.is_empty() {
        return Ok((!warnings.is_empty()).then_some(Response {
            accepted: true,
            warnings: few(warnings),
            ..Response::default()
        }));
    }
    if requests.len() > MOST_REQUESTS {
        return Err(Rejection::TooMany(requests.len()));
    }
    let settings = match document.get("settings") {
        Some(Node::Closed(raw)) => Settings::from_raw(Some(raw)),
        _ => Settings::from_raw(None),
    }?;
    let user = request.get("userInfo").or_else(|| request.get("user_info"));
    let groups = user.map_or(&[][..], |user| user.items("groups"));
    let groups: Vec<&str> = groups.iter().filter_map(Node::as_text).collect();
    let service_account = pod.service_account()?.to_owned();
    let namespace = self::text(Some(&request), "namespace")?;
    let rules = PodRules::new(settings.access.as_deref(), namespace, &service_account);
    if !rules.are_few_for(&requests, settings.managers.len()) {
        return Err(Rejection::LongNames);
    }
    let questions = Questions::new(cluster, &requests);
    let labels: Vec<_> = pod
        .labels()
        .filter(|(key, _)| managers::reads_label(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let agent_orders = AgentOrders::new(
        pod.annotations().map(|(key, value)| (key.as_ref(), value.as_ref())),
        pod.container_names("initContainers"),
        pod.container_names("containers"),
    );
    let context = Context {
        settings: &settings,
        namespace,
        service_account: &service_account,
        user: User {
            name: user.and_then(|user| user.text("username")).unwrap_or_default(),
            groups: &groups,
        },
        labels: &labels,
        agent_orders: &agent_orders,
        cluster: &questions,
        rules: &rules,
    };
    let (additions, unserved) = serve(&requests, &context, &questions, &mut warnings)?;
    warnings.extend(pod.add(&additions, &settings)?);
    if !settings.status_annotation {
        pod.remove_status()?;
    } else if !pod.set_status(summary(&additions, &settings, Detail::Short))? {
        let left_out = format!(
            "the annotation {STATUS_ANNOTATION} is left out: the Pod's annotations would take more than the 256 KiB that \
             Kubernetes allows"
        );
        // In front, as the last ones are cut off where there are many.
        warnings.insert(0, left_out);
    }
    Ok(Some(Response {
        accepted: true,
        mutated_object: Some(pod.into_node()),
        injected: summary(&additions, &settings, Detail::Full),
        unserved: origins(&unserved),
        warnings: few(warnings),
        ..Response::default()
    }))
}

/// What the requests came to: the additions, and the requests that nobody serves where the Pod may go without.
type Outcome<'r> = (Vec<Addition<'r>>, Vec<&'r SecretRequest>);

/// The most bytes of secrets that the additions may hold: as many as may be added to a Pod. Many requests may ask for the
/// same large secret, and each addition has a copy of it.
const MAX_SECRETS: usize = 4 * 1024 * 1024;

/// Asks the managers for each of `requests`.
fn serve<'r>(
    requests: &'r [SecretRequest],
    context: &Context<'_>,
    questions: &Questions<'_>,
    warnings: &mut Vec<String>,
) -> Result<Outcome<'r>, Rejection> {
    let mut additions = Vec::with_capacity(requests.len());
    let mut unserved = Vec::new();
    let mut secrets = 0_usize;
    for request in requests {
        match managers::serve(request, context) {
            Ok(served) => {
                secrets = secrets.saturating_add(served.injection.size_of_secrets());
                if secrets > MAX_SECRETS {
                    return Err(PodError::TooLarge.into());
                }
                additions.push(Addition {
                    request,
                    manager: served.manager,
                    injection: served.injection,
                });
            }
            Err(failure)
                if failure.severity == Severity::Nobody && context.settings.on_unserved == OnUnserved::Warn =>
            {
                warnings.push(format!(
                    "the Pod goes without a secret: {}",
                    in_one_line(&explained(request, &failure))
                ));
                unserved.push(request);
            }
            Err(failure) if questions.exhausted() => return Err(Rejection::Exhausted(explained(request, &failure))),
            Err(failure) => return Err(Rejection::Unserved(explained(request, &failure), failure.severity)),
        }
    }
    Ok((additions, unserved))
}

/// The longest list of warnings: the API server passes on
/// [4 KiB in all](https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response).
const MOST_WARNINGS: usize = 30;

/// The first of `warnings`, none of them long, and how many more there are.
fn few(mut warnings: Vec<String>) -> Vec<String> {
    if let Some(more) = warnings.len().checked_sub(MOST_WARNINGS + 1).filter(|more| *more > 0) {
        warnings.truncate(MOST_WARNINGS);
        warnings.push(format!("{} more warnings are left out", more + 1));
    }
    warnings.into_iter().map(shortened).collect()
}

/// How much of the beginning of a rejection or warning is said, in bytes: it may quote names as long as a request is.
const LONGEST_BEGINNING: usize = 4096;

/// How much of the end is said, which tells what to do.
const LONGEST_END: usize = 1024;

/// `message` without its middle, where it is long.
fn shortened(message: String) -> String {
    const GAP: &str = " … ";
    let begin = message.floor_char_boundary(LONGEST_BEGINNING);
    let end = message.ceil_char_boundary(message.len().saturating_sub(LONGEST_END));
    match (message.get(..begin), message.get(end..)) {
        (Some(first), Some(last)) if end.saturating_sub(begin) > GAP.len() => format!("{first}{GAP}{last}"),
        _ => message,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_lose_their_middle() {
        // 5 KiB, and the gap of 5 bytes, are the longest.
        for (message, whole) in [
            ("x".repeat(5125), true),
            ("x".repeat(5126), false),
            ("ß".repeat(2562), true),
            ("ß".repeat(2563), false),
            (format!("xyz{}", "😀".repeat(2000)), false),
        ] {
            let short = shortened(message.clone());
            assert_eq!(short == message, whole, "{} bytes", message.len());
            assert!(
                short.len() <= 5125 && (whole || short.contains(" … ")),
                "{}",
                short.len()
            );
        }
        let short = shortened(format!("begin{}end", "x".repeat(100_000)));
        assert!(short.starts_with("beginx") && short.ends_with("xend"));
    }

    #[test]
    fn warnings_are_few() {
        let warnings = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert_eq!(few(warnings(31)), warnings(31));
        let few = few(warnings(40));
        assert_eq!((few.len(), few[30].as_str()), (31, "10 more warnings are left out"));
    }
}
