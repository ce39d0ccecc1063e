//! Keeps the values of secrets out of what is printed.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::capabilities::{HostCall, HostRequest};

/// A value that is shorter is masked only where it is the whole text: it may be a part of anything.
const SHORTEST_PART: usize = 4;

/// The values of the Secrets that the policy read.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    /// The values with what stands in their place, the longest first.
    values: Vec<(String, String)>,
    /// The same as bytes, which need not be text.
    bytes: Vec<(Vec<u8>, String)>,
}

impl Mask {
    /// Collects the values in the answers to a policy's calls.
    pub fn of(calls: &[HostCall]) -> Self {
        let mut values = BTreeMap::new();
        let mut bytes = Vec::new();
        for call in calls {
            let (Some(HostRequest::KubernetesGetResource { kind, name, .. }), Ok(answer)) =
                (&call.request, &call.answer)
            else {
                continue;
            };
            let object: Value = serde_json::from_str(answer).unwrap_or_default();
            if kind != "Secret" {
                continue;
            }
            for (key, encoded) in object["data"].as_object().into_iter().flatten() {
                let encoded = encoded.as_str().unwrap_or_default();
                let shown = format!("<the value of {key} in the Secret {name}>");
                let decoded = STANDARD.decode(encoded).unwrap_or_default();
                if decoded.len() >= SHORTEST_PART {
                    bytes.push((decoded.clone(), shown.clone()));
                }
                if let Ok(text) = String::from_utf8(decoded) {
                    // Kubernetes expands $(NAME) in values, so the policy doubles some dollar signs, and others may double all.
                    values.insert(unexpanded(&text), shown.clone());
                    values.insert(text.replace('$', "$$"), shown.clone());
                    values.insert(text, shown.clone());
                }
                values.insert(encoded.to_owned(), shown);
            }
        }
        values.remove("");
        let mut values: Vec<(String, String)> = values.into_iter().collect();
        values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        Self { values, bytes }
    }

    /// Adds values that are not of Secrets which the policy read, with what stands in their place.
    pub fn add(&mut self, values: impl IntoIterator<Item = (String, String)>) {
        self.values.extend(values);
        self.values.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
    }

    /// Replaces the values in all texts of an object.
    pub fn apply(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.apply_to_text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.apply(field)),
            _ => {}
        }
    }

    /// Replaces the values in all texts of an object, if it is there.
    pub fn apply_to_option(&self, value: &mut Option<Value>) {
        if let Some(value) = value {
            self.apply(value);
        }
    }

    /// Replaces the values in a text.
    pub fn apply_to_text(&self, text: &mut String) {
        if let Some(masked) = self.masked(text) {
            *text = masked;
        }
    }

    fn masked(&self, text: &str) -> Option<String> {
        if let Some((_, shown)) = self.values.iter().find(|(value, _)| value == text) {
            return Some(shown.clone());
        }
        // The content of a file is an argument of the container that writes it, encoded, and in parts if it is long.
        let decoded = STANDARD.decode(text).unwrap_or_default();
        if decoded.len() >= SHORTEST_PART
            && let Some((_, shown)) = self
                .bytes
                .iter()
                .find(|(value, _)| is_part(&decoded, value) || is_part(value, &decoded))
        {
            return Some(shown.clone());
        }
        let mut masked = text.to_owned();
        for (value, shown) in self.parts() {
            if masked.contains(value) {
                masked = masked.replace(value, shown);
            }
        }
        (masked != text).then_some(masked)
    }

    fn parts(&self) -> impl Iterator<Item = &(String, String)> {
        self.values.iter().filter(|(value, _)| value.len() >= SHORTEST_PART)
    }
}

/// The text as the policy writes it where the kubelet expands `$(NAME)` and turns `$$` into `$`: it doubles the dollar signs that
/// would begin either.
fn unexpanded(text: &str) -> String {
    let mut escaped = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        escaped.push(character);
        if character == '$' && matches!(characters.peek(), Some('$' | '(')) {
            escaped.push('$');
        }
    }
    escaped
}

fn is_part(part: &[u8], whole: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_masked_in_every_form() {
        let answer = json!({"data": {"k": STANDARD.encode("pa$sword"), "dollars": STANDARD.encode("a$b$$c$(d)"),
            "few": STANDARD.encode("$$"), "short": STANDARD.encode("x"), "empty": ""}});
        let calls = [HostCall {
            namespace: "kubernetes".to_owned(),
            operation: "get_resource".to_owned(),
            request: Some(HostRequest::KubernetesGetResource {
                api_version: "v1".to_owned(),
                kind: "Secret".to_owned(),
                name: "db".to_owned(),
                namespace: Some("team-a".to_owned()),
                disable_cache: false,
                field_masks: None,
            }),
            answer: Ok(answer.to_string()),
        }];
        let mut object = json!([
            "pa$sword",
            "pa$$sword",
            "url?pa$sword&x",
            STANDARD.encode("pa$sword"),
            STANDARD.encode("k: pa$sword\n"),
            "x",
            "box",
            "",
            STANDARD.encode("sword"),
            "a$b$$$c$$(d)",
            "$$$",
        ]);
        Mask::of(&calls).apply(&mut object);
        let shown = "<the value of k in the Secret db>";
        let dollars = "<the value of dollars in the Secret db>";
        let expected = json!([
            shown,
            shown,
            format!("url?{shown}&x"),
            shown,
            shown,
            "<the value of short in the Secret db>",
            "box",
            "",
            shown,
            dollars,
            "<the value of few in the Secret db>",
        ]);
        assert_eq!(object, expected);
    }
}
