//! What a Pod is told, and the audit log: which secrets went in, and which did not.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::injection::{Addition, Injection};
use crate::json::Writer;
use crate::managers::naming;
use crate::options::Options;
use crate::requests::SecretRequest;

/// The longest audit annotation, in bytes: with `--audit-log-truncate-enabled` the API server cuts an event short that is
/// longer than [100 KiB](https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/), the Pod included.
const MAX_AUDIT: usize = 16 * 1024;

/// Lists where `requests` stand, as many as fit an audit annotation.
pub(super) fn origins(requests: &[&SecretRequest]) -> String {
    let mut text = String::new();
    for (listed, request) in requests.iter().enumerate() {
        let origin = request.origin.to_string();
        if text.len().saturating_add(origin.len()) > MAX_AUDIT {
            let _ = write!(text, "; and {} more", requests.len().saturating_sub(listed));
            break;
        }
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&origin);
    }
    text
}

/// Which secrets went in, by which manager, as what: names, never values. Each is a JSON string, which holds a JSON list.
pub(super) struct Summaries {
    /// For the Pod.
    pub(super) status: String,
    /// For the audit log: says where each secret was asked for and where it comes from, too, and is cut off where it is long.
    pub(super) audit: String,
}

impl Summaries {
    /// Summarizes `additions`, and `pulled`, the Secrets that the settings have for the Pod's images.
    pub(super) fn new(additions: &[Addition<'_>], pulled: &[&str], options: &Options) -> Self {
        let mut status = Writer::nested(additions.len().saturating_mul(128));
        let mut audit = Writer::nested(additions.len().saturating_mul(224));
        status.byte(b'[');
        audit.byte(b'[');
        let mut more = additions.len();
        for addition in additions {
            status.item();
            status.byte(b'{');
            let start = status.written();
            write_status(&mut status, addition, options);
            if audit.written() <= MAX_AUDIT {
                write_audit(&mut audit, addition, |audit| audit.copy(&status, start));
                more = more.saturating_sub(1);
            }
            status.byte(b'}');
        }
        if more > 0 {
            audit.item();
            audit.byte(b'{');
            audit.raw_field("more", &more.to_string());
            audit.byte(b'}');
        }
        Self {
            status: with_pulled(status, pulled),
            audit: with_pulled(audit, pulled),
        }
    }
}

/// Ends a list with the Secrets for the Pod's images.
fn with_pulled(mut summary: Writer, pulled: &[&str]) -> String {
    for name in pulled {
        summary.item();
        summary.byte(b'{');
        summary.text_field("imagePullSecret", name);
        summary.byte(b'}');
    }
    summary.byte(b']');
    summary.into_string()
}

/// Writes what the audit log has of an addition; `write_status` writes what the Pod has of it.
fn write_audit(audit: &mut Writer, addition: &Addition<'_>, write_status: impl FnOnce(&mut Writer)) {
    audit.item();
    audit.byte(b'{');
    audit.text_field("request", &addition.request.origin.place());
    audit.item();
    write_status(audit);
    if !addition.injection.source.is_empty() {
        audit.text_field("source", &addition.injection.source);
    }
    audit.byte(b'}');
}

/// Writes what the Pod has of an addition: which secret went in, who asked for it, by which manager, and as what.
fn write_status(writer: &mut Writer, addition: &Addition<'_>, options: &Options) {
    let request = addition.request;
    writer.text_field("secret", &request.secret_name());
    if let Some(name) = &addition.injection.found_as {
        writer.text_field("foundAs", name);
    }
    if request.is_default() {
        writer.text_field("origin", "default");
    }
    writer.text_field("manager", addition.manager);
    let mut names = visible_variables(&addition.injection, options).peekable();
    if names.peek().is_some() {
        writer.field("env");
        writer.texts(names);
    }
    if let Some(path) = visible_file(&addition.injection, options) {
        writer.text_field("file", &path);
        if !request.path.is_empty() {
            writer.text_field("path", &request.path);
        }
        if let Some(mode) = request.mode {
            writer.text_field("mode", &format!("{mode:04o}"));
        }
    }
    if request.is_optional() {
        writer.raw_field("optional", "true");
    }
}

/// Returns the variables that hold the secret or its path, without those that tell Flyte's clients where secrets are: they
/// are the same for every secret. One of those that a request names for its secret holds something else. Of variables that come
/// with a Secret's keys, returns what their names begin with.
pub(super) fn visible_variables<'i>(
    injection: &'i Injection<'_>,
    options: &Options,
) -> impl Iterator<Item = Cow<'i, str>> {
    let variables = injection.env.iter();
    let own = variables.filter(|variable| !naming::is_for_clients(variable, options));
    let own = own.map(|variable| Cow::Borrowed(&*variable.name));
    let sources = injection.env_from.iter();
    own.chain(sources.map(|source| format!("{}*", source.prefix).into()))
}

/// Returns the path of the file that holds the secret.
pub(super) fn visible_file(injection: &Injection<'_>, options: &Options) -> Option<String> {
    let file = injection.file.as_ref()?;
    Some([&options.mount_path, "/", file.path.as_str()].concat())
}
