//! What is read of the host's payload.

use serde_json::value::RawValue;

use super::rejection::Rejection;
use crate::json::{Node, Shape};
use crate::managers::User;
use crate::pod::{self, Pod};
use crate::requests::{FLYTE_PREFIX, JSON_ANNOTATION};

const USER: Shape = Shape::Only(&[("username", Shape::Text), ("groups", Shape::ListOf(&Shape::Text))]);

/// What of the payload is opened
/// ([ValidationRequest](https://docs.rs/kubewarden-policy-sdk/latest/kubewarden_policy_sdk/request/struct.ValidationRequest.html)).
/// Some hosts write fields in snake_case.
const PAYLOAD: Shape = Shape::Only(&[
    (
        "request",
        Shape::Only(&[
            ("kind", Shape::Only(&[("group", Shape::Text), ("kind", Shape::Text)])),
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

/// Whether a request for a secret can be anywhere in `payload`, or a setting that gives a secret to Pods that ask for none:
/// mostly there is neither, and looking for the names is cheaper than reading the Pod and the settings.
///
/// JSON may hide a character of a name behind `\/` or a `\u` escape. Where the payload has one, it is read.
pub(super) fn may_ask(payload: &[u8]) -> bool {
    let keys = [FLYTE_PREFIX, JSON_ANNOTATION].map(|key| key.split_once('/').unwrap_or_default());
    memchr::memchr3_iter(b'/', b'\\', b'[', payload).any(|place| match payload.split_at_checked(place) {
        Some((before, [b'[', ..])) => is_giving_list(before),
        Some((_, [b'\\', escaped, ..])) => matches!(escaped, b'u' | b'/'),
        Some((before, [_, after @ ..])) => keys
            .iter()
            .any(|(domain, name)| after.starts_with(name.as_bytes()) && before.ends_with(domain.as_bytes())),
        _ => false,
    })
}

/// Returns whether `before` ends with the name of a setting that gives Pods what they do not ask for, and a colon: the list
/// in it begins there. These are `defaults`, and `images`, which every item of `imagePullSecrets` has: `imagePullSecrets` itself
/// is a field of many Pods as well.
fn is_giving_list(before: &[u8]) -> bool {
    let name = before.trim_ascii_end().strip_suffix(b":").unwrap_or_default();
    let name = name.trim_ascii_end();
    name.ends_with(b"\"defaults\"") || name.ends_with(b"\"images\"")
}

/// The creation of a Pod.
pub(super) struct AdmissionRequest<'a> {
    /// The Pod, as it is to be created.
    pub(super) pod: Pod<'a>,
    /// The policy's settings; absent where the host sends none.
    pub(super) settings: Option<&'a RawValue>,
    request: Node<'a>,
}

impl<'a> AdmissionRequest<'a> {
    /// Reads the payload; returns nothing where it is about anything but the creation of a Pod.
    pub(super) fn read(payload: &'a [u8]) -> Result<Option<Self>, Rejection> {
        let text = std::str::from_utf8(payload).map_err(|_| Rejection::not_a_request())?;
        let mut document = Node::parse(text, PAYLOAD).map_err(|_| Rejection::not_a_request())?;
        let Some(mut request @ Node::Object(_)) = document.take("request") else {
            return Err(Rejection::not_a_request());
        };
        if !creates_a_pod(&request)? {
            return Ok(None);
        }
        let Some(node @ Node::Object(_)) = request.take("object") else {
            return Err(Rejection::unreadable("its object is no Pod"));
        };
        let settings = match document.get("settings") {
            Some(Node::Closed(raw)) => Some(*raw),
            _ => None,
        };
        Ok(Some(Self {
            pod: Pod::new(node),
            settings,
            request,
        }))
    }

    /// Returns the namespace of the Pod.
    pub(super) fn namespace(&self) -> Result<&str, Rejection> {
        text(Some(&self.request), "namespace")
    }

    /// Returns the groups of the user who creates the Pod.
    pub(super) fn groups(&self) -> Vec<&str> {
        let groups = self.user_info().map_or(&[][..], |user| user.items("groups"));
        groups.iter().filter_map(Node::as_text).collect()
    }

    /// Returns the user who creates the Pod, who is in `groups`.
    pub(super) fn user<'u>(&'u self, groups: &'u [&'u str]) -> User<'u> {
        User {
            name: self
                .user_info()
                .and_then(|user| user.text("username"))
                .unwrap_or_default(),
            groups,
        }
    }

    fn user_info(&self) -> Option<&Node<'a>> {
        self.request.get("userInfo").or_else(|| self.request.get("user_info"))
    }
}

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
        Some(_) => Err(Rejection::not_a_request()),
    }
}
