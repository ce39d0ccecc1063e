//! The policy's answer.

#![forbid(unsafe_code)]

use crate::json::{Node, Writer};

/// The policy's answer, in the form that the host reads
/// ([ValidationResponse](https://docs.rs/kubewarden-policy-sdk/latest/kubewarden_policy_sdk/response/struct.ValidationResponse.html),
/// with the Pod as it is instead of a tree made of it).
#[derive(Default)]
pub(super) struct Response<'a> {
    pub(super) accepted: bool,
    pub(super) message: Option<String>,
    pub(super) code: u16,
    pub(super) mutated_object: Option<Node<'a>>,
    /// What was injected, for the audit log: a JSON string, which holds a JSON list.
    pub(super) injected: String,
    /// What was asked for in vain, for the audit log.
    pub(super) unserved: String,
    pub(super) warnings: Vec<String>,
}

impl Response<'_> {
    /// The response as JSON, of about `size` bytes.
    pub(super) fn to_json(&self, size: usize) -> Result<Vec<u8>, &'static str> {
        let mut writer = Writer::with_capacity(size);
        writer.raw("{");
        writer.field("accepted");
        writer.raw(if self.accepted { "true" } else { "false" });
        if let Some(message) = &self.message {
            writer.field("message");
            writer.text(message);
            writer.field("code");
            writer.raw(&self.code.to_string());
        }
        if let Some(object) = &self.mutated_object {
            writer.field("mutated_object");
            object.write(&mut writer)?;
            writer.field("audit_annotations");
            writer.raw("{");
            writer.field("injected");
            writer.raw(&self.injected);
            if !self.unserved.is_empty() {
                writer.field("unserved");
                writer.text(&self.unserved);
            }
            writer.raw("}");
        }
        if !self.warnings.is_empty() {
            writer.field("warnings");
            writer.texts(self.warnings.iter().map(String::as_str));
        }
        writer.raw("}");
        Ok(writer.into_bytes())
    }
}
