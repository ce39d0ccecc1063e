//! The operating system that a Pod is for.

use serde_json::Value;

use super::document::Pod;
use super::error::PodError;
use crate::injection::Addition;
use crate::json::{Node, items_in, text_in};

/// The labels of a node that hold its operating system.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

/// Fails for a Pod that cannot run the init containers that bring secrets: those of the policy, of a template, and of an
/// agent that somebody else injects.
pub(super) fn check_system(pod: &Pod<'_>, additions: &[Addition<'_>]) -> Result<(), PodError> {
    let Some(addition) = additions.iter().find(|addition| needs_linux(addition)) else {
        return Ok(());
    };
    match windows(pod) {
        None => Ok(()),
        Some(place) => {
            let message = format!(
                "{addition} needs an init container for Linux, but the Pod is for Windows ({place}); use a manager without one"
            );
            Err(PodError::about(&[addition], message))
        }
    }
}

/// Returns whether an init container for Linux brings the secret.
fn needs_linux(addition: &Addition<'_>) -> bool {
    let injection = &addition.injection;
    !injection.init_containers.is_empty() || injection.fetched().is_some() || injection.agent.is_some()
}

/// Returns the field that makes it a Pod for Windows. `spec.os` is optional: most Pods choose their nodes by label.
fn windows(pod: &Pod<'_>) -> Option<&'static str> {
    if let Some(name) = pod.field("os").and_then(|os| os.text("name")) {
        return (name == "windows").then_some("spec.os.name");
    }
    let selector = pod.field("nodeSelector").map(Node::to_value).unwrap_or_default();
    let is_windows = |label: &str| selector.get(label).and_then(Value::as_str) == Some("windows");
    if OS_LABELS.iter().any(|label| is_windows(label)) {
        return Some("spec.nodeSelector");
    }
    let affinity = pod.field("affinity")?.to_value();
    let terms = affinity
        .pointer("/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms")
        .and_then(Value::as_array)?;
    // A node has to fit one of the terms, and in a term all expressions.
    let for_windows = |term: &Value| items_in(term, "matchExpressions").any(asks_for_windows);
    (!terms.is_empty() && terms.iter().all(for_windows)).then_some("spec.affinity.nodeAffinity")
}

fn asks_for_windows(expression: &Value) -> bool {
    let values = expression.get("values").and_then(Value::as_array);
    OS_LABELS.contains(&text_in(expression, "key"))
        && text_in(expression, "operator") == "In"
        && values.is_some_and(|values| !values.is_empty() && values.iter().all(|value| value == "windows"))
}
