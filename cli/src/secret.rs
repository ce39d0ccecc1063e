//! Secrets in files.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Checks what the API server checks before it stores a Secret.
///
/// # Errors
/// What is wrong; the text has no value of the Secret.
pub fn check_secret(object: &Value) -> Result<(), String> {
    if object["apiVersion"] != "v1" || object["kind"] != "Secret" {
        return Ok(());
    }
    for field in ["data", "stringData"] {
        let values = match &object[field] {
            Value::Null => continue,
            Value::Object(values) => values,
            _ => return Err(format!("{field} is no mapping")),
        };
        for (key, value) in values {
            let text = match value {
                Value::String(text) => text,
                // The API server takes it for an empty one.
                Value::Null => continue,
                _ => return Err(format!("{field}.{key} is no text: write it in quotes")),
            };
            if field == "data" && STANDARD.decode(text.replace(['\r', '\n'], "")).is_err() {
                return Err(format!(
                    "data.{key} is not base64: encode it, or write the value into stringData"
                ));
            }
        }
    }
    Ok(())
}
