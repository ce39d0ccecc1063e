//! What a Pod is told, and the audit log: which secrets went in, and which did not.

#![forbid(unsafe_code)]

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

/// How much a summary says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// For the Pod.
    Short,
    /// For the audit log.
    Full,
}

/// Which secret went in, by which manager, as what: names, never values. A JSON string, which holds a JSON list. `pulled` are the
/// Secrets that the settings have for the Pod's images.
pub(super) fn summary(additions: &[Addition<'_>], pulled: &[&str], options: &Options, detail: Detail) -> String {
    let mut writer = Writer::nested(additions.len().saturating_mul(256));
    writer.raw("[");
    for (listed, addition) in additions.iter().enumerate() {
        let injection = &addition.injection;
        writer.item();
        if detail == Detail::Full && writer.written() > MAX_AUDIT {
            writer.raw("{");
            writer.field("more");
            writer.raw(&additions.len().saturating_sub(listed).to_string());
            writer.raw("}");
            break;
        }
        writer.raw("{");
        if detail == Detail::Full {
            writer.field("request");
            writer.text(&addition.request.origin.place());
        }
        write_names(&mut writer, addition);
        write_variables(&mut writer, injection, options);
        write_file(&mut writer, addition, options);
        if addition.request.is_optional() {
            writer.field("optional");
            writer.raw("true");
        }
        if detail == Detail::Full && !injection.source.is_empty() {
            writer.field("source");
            writer.text(&injection.source);
        }
        writer.raw("}");
    }
    for name in pulled {
        writer.item();
        writer.raw("{");
        writer.field("imagePullSecret");
        writer.text(name);
        writer.raw("}");
    }
    writer.raw("]");
    writer.into_string()
}

/// Writes which secret went in, who asked for it, and by which manager.
fn write_names(writer: &mut Writer, addition: &Addition<'_>) {
    writer.field("secret");
    writer.text(&addition.request.secret_name());
    if let Some(name) = &addition.injection.found_as {
        writer.field("foundAs");
        writer.text(name);
    }
    if addition.request.is_default() {
        writer.field("origin");
        writer.text("default");
    }
    writer.field("manager");
    writer.text(addition.manager);
}

/// Writes the names of variables.
fn write_variables(writer: &mut Writer, injection: &Injection<'_>, options: &Options) {
    let names = visible_variables(injection, options);
    if !names.is_empty() {
        writer.field("env");
        writer.texts(names.iter().map(String::as_str));
    }
}

fn write_file(writer: &mut Writer, addition: &Addition<'_>, options: &Options) {
    if let Some(path) = visible_file(&addition.injection, options) {
        writer.field("file");
        writer.text(&path);
        if !addition.request.path.is_empty() {
            writer.field("path");
            writer.text(&addition.request.path);
        }
        if let Some(mode) = addition.request.mode {
            writer.field("mode");
            writer.text(&format!("{mode:04o}"));
        }
    }
}

/// Returns the variables that hold the secret or its path, without those that tell Flyte's clients where secrets are: they
/// are the same for every secret. One of those that a request names for its secret holds something else. Of variables that come
/// with a Secret's keys, returns what their names begin with.
pub(super) fn visible_variables(injection: &Injection<'_>, options: &Options) -> Vec<String> {
    let mut names = Vec::new();
    for variable in &injection.env {
        if !naming::is_for_clients(variable, options) {
            names.push(variable.name.clone());
        }
    }
    if names.is_empty() {
        for source in &injection.env_from {
            names.push(format!("{}*", source.prefix));
        }
    }
    names
}

/// Returns the path of the file that holds the secret.
pub(super) fn visible_file(injection: &Injection<'_>, options: &Options) -> Option<String> {
    let file = injection.file.as_ref()?;
    Some(format!("{}/{}", options.mount_path, file.path.as_str()))
}
