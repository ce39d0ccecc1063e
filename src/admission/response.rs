//! The policy's answer.

use super::rejection::Rejection;
use crate::json::{Node, Writer};
use crate::pod;

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
    /// Whether the policy has no effect, and the audit log says what it would do.
    pub(super) dry_run: bool,
    /// With which code and message the Pod would be rejected, for the audit log.
    pub(super) rejection: String,
    pub(super) warnings: Vec<String>,
}

impl Response<'_> {
    /// Accepts the Pod as it is. Returns nothing where there are no warnings: that answer is always the same.
    pub(super) fn warn(warnings: Vec<String>) -> Option<Self> {
        (!warnings.is_empty()).then(|| Self {
            accepted: true,
            warnings: few(warnings),
            ..Self::default()
        })
    }

    pub(super) fn reject(rejection: Rejection) -> Self {
        Self {
            message: Some(shortened(rejection.message)),
            code: rejection.code,
            ..Self::default()
        }
    }

    /// Returns the response of a dry run, which admits every Pod as it is; without one, the response itself.
    pub(super) fn of(mut self, dry_run: bool) -> Self {
        if !dry_run {
            return self;
        }
        self.dry_run = true;
        self.accepted = true;
        if let Some(message) = self.message.take() {
            let code = self.code.to_string();
            let warning = ["dryRun: would be rejected (", &code, "): ", &message].concat();
            self.warnings.push(warning);
            self.rejection = [&code, ": ", &message].concat();
        }
        self
    }

    /// The response as JSON.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, &'static str> {
        let pod = self.mutated_object.as_ref().map_or(0, pod::length);
        let mut writer = Writer::with_capacity(pod.saturating_add(self.injected.len()).saturating_add(64));
        writer.byte(b'{');
        writer.raw_field("accepted", if self.accepted { "true" } else { "false" });
        if let Some(message) = &self.message {
            writer.text_field("message", message);
            writer.raw_field("code", &self.code.to_string());
        }
        if let Some(object) = &self.mutated_object {
            let mut unused = Writer::default();
            let mutated = if self.dry_run {
                &mut unused
            } else {
                writer.field("mutated_object");
                &mut writer
            };
            object.write(mutated)?;
        }
        self.write_audit(&mut writer);
        if !self.warnings.is_empty() {
            writer.field("warnings");
            // The API server passes on no warning with a control character in it, and does not say so.
            writer.texts(self.warnings.iter().map(|text| text.replace(char::is_control, " ")));
        }
        writer.byte(b'}');
        Ok(writer.into_bytes())
    }

    fn write_audit(&self, writer: &mut Writer) {
        if self.injected.is_empty() && self.rejection.is_empty() {
            return;
        }
        writer.field("audit_annotations");
        writer.byte(b'{');
        if !self.injected.is_empty() {
            let name = if self.dry_run { "wouldInject" } else { "injected" };
            writer.raw_field(name, &self.injected);
        }
        for (name, text) in [("unserved", &self.unserved), ("wouldReject", &self.rejection)] {
            if !text.is_empty() {
                writer.text_field(name, text);
            }
        }
        writer.byte(b'}');
    }
}

/// The longest list of warnings: the API server passes on
/// [4 KiB in all](https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response).
const MAX_WARNINGS: usize = 30;

/// The first of `warnings`, none of them long, and how many more there are.
pub(super) fn few(mut warnings: Vec<String>) -> Vec<String> {
    if let Some(more) = warnings.len().checked_sub(MAX_WARNINGS + 1).filter(|more| *more > 0) {
        warnings.truncate(MAX_WARNINGS);
        warnings.push(format!("{} more warnings are left out", more + 1));
    }
    warnings.into_iter().map(shortened).collect()
}

/// How much of the beginning of a rejection or warning is said, in bytes: it may quote names as long as a request is.
const MAX_BEGINNING: usize = 4096;

/// How much of the end is said, which tells what to do.
const MAX_END: usize = 1024;

/// `message` without its middle, where it is long.
fn shortened(message: String) -> String {
    const GAP: &str = " … ";
    let begin = message.floor_char_boundary(MAX_BEGINNING);
    let end = message.ceil_char_boundary(message.len().saturating_sub(MAX_END));
    match (message.get(..begin), message.get(end..)) {
        (Some(first), Some(last)) if end.saturating_sub(begin) > GAP.len() => format!("{first}{GAP}{last}"),
        _ => message,
    }
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
