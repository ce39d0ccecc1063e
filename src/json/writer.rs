//! Writing JSON text piece by piece.
//!
//! The host makes WebAssembly count its loops, so that a byte at a time is dear, and it takes a call to the host to copy
//! a few bytes. So eight bytes are looked at together, and JSON in a string of JSON, as the status annotation is, is
//! written with its escapes at once. With fifty secrets that takes a tenth off the guest's time, and `serde_json`'s
//! writer, beside a module that does not need it, is 20 KiB.

use serde_json::Value;

use crate::digest::hexadecimal_digits;

/// JSON text in the making.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    json: Vec<u8>,
    /// Whether this is the inside of a JSON string.
    nested: bool,
}

impl Writer {
    /// A writer for a text of about this many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            json: Vec::with_capacity(bytes),
            nested: false,
        }
    }

    /// A writer for JSON of about `bytes` as the text of a JSON string: [`Self::into_string`] is that string, with its
    /// quotation marks.
    pub(crate) fn nested(bytes: usize) -> Self {
        let mut writer = Self::with_capacity(bytes);
        writer.json.push(b'"');
        writer.nested = true;
        writer
    }

    /// Returns how many bytes have been written.
    pub(crate) fn written(&self) -> usize {
        self.json.len()
    }

    /// `value` as JSON.
    pub(crate) fn text_of(value: &Value) -> String {
        let mut writer = Self::default();
        writer.value(value);
        writer.into_string()
    }

    /// Adds `json` as it is: a value, which for a nested writer has no quotation mark in it.
    pub(crate) fn raw(&mut self, json: &str) {
        self.json.extend_from_slice(json.as_bytes());
    }

    /// Adds one ASCII character as it is, such as a bracket. It costs no call to the host, as [`Self::raw`] does.
    pub(crate) fn byte(&mut self, byte: u8) {
        self.json.push(byte);
    }

    /// Adds what `other` has written behind its first `start` bytes. Both are nested, or neither is.
    pub(crate) fn copy(&mut self, other: &Self, start: usize) {
        self.json.extend_from_slice(other.json.get(start..).unwrap_or_default());
    }

    /// Begins an item of a list.
    pub(crate) fn item(&mut self) {
        // No value ends with an opening bracket: it is the list's, or object's, own.
        if !matches!(self.json.last(), Some(b'[' | b'{')) {
            self.json.push(b',');
        }
    }

    /// Begins a field of an object; its name needs no escapes.
    pub(crate) fn field(&mut self, name: &'static str) {
        self.item();
        self.quote();
        self.raw(name);
        self.quote();
        self.json.push(b':');
    }

    /// Adds a field of an object that holds a string; the field's name needs no escapes.
    pub(crate) fn text_field(&mut self, name: &'static str, text: &str) {
        self.field(name);
        self.text(text);
    }

    /// Adds a field of an object with [`Self::raw`] JSON; the field's name needs no escapes.
    pub(crate) fn raw_field(&mut self, name: &'static str, json: &str) {
        self.field(name);
        self.raw(json);
    }

    /// Adds a field of an object that holds a tree, whatever its name is.
    pub(crate) fn value_field(&mut self, name: &str, value: &Value) {
        self.item();
        self.text(name);
        self.json.push(b':');
        self.value(value);
    }

    fn quote(&mut self) {
        if self.nested {
            self.json.push(b'\\');
        }
        self.json.push(b'"');
    }

    /// Adds a string that needs no escapes, to a text that is not nested.
    pub(crate) fn plain(&mut self, text: &str) {
        self.json.reserve(text.len().saturating_add(2));
        self.json.push(b'"');
        self.json.extend_from_slice(text.as_bytes());
        self.json.push(b'"');
    }

    /// Adds a string.
    pub(crate) fn text(&mut self, text: &str) {
        self.quote();
        if is_plain(text.as_bytes()) {
            self.raw(text);
        } else if self.nested {
            let mut once = Self::default();
            once.escaped(text.as_bytes());
            self.escaped(&once.json);
        } else {
            self.escaped(text.as_bytes());
        }
        self.quote();
    }

    /// Adds a list of strings.
    pub(crate) fn texts(&mut self, texts: impl IntoIterator<Item = impl AsRef<str>>) {
        self.byte(b'[');
        for text in texts {
            self.item();
            self.text(text.as_ref());
        }
        self.byte(b']');
    }

    /// Adds a tree.
    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.raw("null"),
            Value::Bool(true) => self.raw("true"),
            Value::Bool(false) => self.raw("false"),
            Value::Number(number) => self.raw(&number.to_string()),
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.byte(b'[');
                for item in items {
                    self.item();
                    self.value(item);
                }
                self.byte(b']');
            }
            Value::Object(fields) => {
                self.byte(b'{');
                for (name, value) in fields {
                    self.value_field(name, value);
                }
                self.byte(b'}');
            }
        }
    }

    fn escaped(&mut self, mut text: &[u8]) {
        self.json.reserve(text.len());
        while let Some((word, rest)) = text.split_first_chunk::<8>() {
            self.json.extend_from_slice(word);
            let plain = plain_bytes(u64::from_le_bytes(*word));
            text = match text.get(plain..).and_then(<[u8]>::split_first) {
                Some((byte, behind)) if plain < word.len() => {
                    self.json.truncate(self.json.len().saturating_sub(word.len() - plain));
                    self.escape(*byte);
                    behind
                }
                _ => rest,
            };
        }
        text.iter().for_each(|byte| self.escape(*byte));
    }

    fn escape(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' => self.json.extend([b'\\', byte]),
            b'\n' => self.json.extend(*br"\n"),
            b'\t' => self.json.extend(*br"\t"),
            0..=0x1f => {
                self.json.extend(*br"\u00");
                self.json.extend(hexadecimal_digits(byte));
            }
            _ => self.json.push(byte),
        }
    }

    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        if self.nested {
            self.json.push(b'"');
        }
        self.json
    }

    pub(crate) fn into_string(self) -> String {
        // It is made of strings alone.
        String::from_utf8(self.into_bytes()).unwrap_or_default()
    }
}

/// Whether `text` is the same in a JSON string.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    words
        .iter()
        .all(|word| plain_bytes(u64::from_le_bytes(*word)) == word.len())
        && rest.iter().all(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f))
}

/// How many of eight bytes stand before the first that needs an escape. In the difference, the highest bit of a byte tells that
/// it was less than what was taken away ([Hacker's Delight](https://graphics.stanford.edu/~seander/bithacks.html#HasLessInWord)).
/// Bytes behind the first such one may be wrong, as that one borrows from them.
fn plain_bytes(word: u64) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let has_less = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word;
    let quotation_mark = word ^ (EACH * 0x22);
    let backslash = word ^ (EACH * 0x5c);
    let found = (has_less(word, 0x20) | has_less(quotation_mark, 1) | has_less(backslash, 1)) & (EACH * 0x80);
    found.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_written_is_read_back() {
        let every_escape: String = (0..=0x20_u8)
            .map(char::from)
            .chain("\"\\/\u{7f}ß\u{2028}😀".chars())
            .collect();
        for text in ["", "plain", every_escape.as_str()] {
            let mut writer = Writer::default();
            writer.text(text);
            assert_eq!(serde_json::from_str::<String>(&writer.into_string()).unwrap(), text);
        }
    }

    #[test]
    fn no_escape_is_missed() {
        for byte in 0..=0x7f {
            for place in 0..20 {
                let mut text = "\u{c3}a\u{7f}!#]^~".repeat(3).chars().take(20).collect::<Vec<_>>();
                text[place] = char::from(byte);
                let text: String = text.into_iter().collect();
                let mut writer = Writer::default();
                writer.text(&text);
                assert_eq!(serde_json::from_str::<String>(&writer.into_string()).unwrap(), text);
            }
        }
    }

    #[test]
    fn nested_json_is_a_string_of_json() {
        let mut writer = Writer::nested(0);
        writer.raw("[");
        writer.texts(["plain", "a \"quoted\" \\ text\n", ""]);
        writer.item();
        writer.raw("{");
        writer.field("a");
        writer.raw("1");
        writer.raw("}]");
        let json: String = serde_json::from_str(&writer.into_string()).unwrap();
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read, json!([["plain", "a \"quoted\" \\ text\n", ""], {"a": 1}]));
    }

    #[test]
    fn trees_are_read_back() {
        let tree = json!({"a": [], "b": [1, -2, 2.5, 1e300, u64::MAX, null, true, false], "c": {"": {}, "d\"": "e"}});
        let mut writer = Writer::default();
        writer.value(&tree);
        assert_eq!(serde_json::from_str::<Value>(&writer.into_string()).unwrap(), tree);
    }

    #[test]
    fn commas_stand_between() {
        let mut writer = Writer::with_capacity(64);
        writer.raw("{");
        writer.field("list");
        writer.texts(["a[", "{"]);
        writer.field("none");
        writer.texts([""; 0]);
        writer.field("object");
        writer.raw("{}");
        writer.raw("}");
        let read: Value = serde_json::from_slice(&writer.into_bytes()).unwrap();
        assert_eq!(read, json!({"list": ["a[", "{"], "none": [], "object": {}}));
    }
}
