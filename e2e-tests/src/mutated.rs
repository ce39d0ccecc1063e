//! Keeping the Pods that the tests mutate, so that they can be checked against the Kubernetes schemas.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use serde_json::{Value, json};

/// Names the directory that the Pods are written into; nothing is written where it is not set.
pub const DIRECTORY_VARIABLE: &str = "MUTATED_PODS";

/// Writes the Pod before and after a mutation, as a JSON object with the fields `before` and `after`. Equal mutations
/// are one file. A file that cannot be written is left out; the check counts what it finds.
pub fn keep(before: &Value, after: &Value) {
    let Some(directory) = std::env::var_os(DIRECTORY_VARIABLE) else {
        return;
    };
    let text = json!({"before": before, "after": after}).to_string();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let directory = Path::new(&directory);
    if std::fs::create_dir_all(directory).is_ok() {
        let _ = std::fs::write(directory.join(format!("{:016x}.json", hasher.finish())), text);
    }
}
