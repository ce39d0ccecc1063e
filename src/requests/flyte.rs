//! Flyte's form of a request: a protobuf message in text format, in [`base32`].
//!
//! ```text
//! flyte.secrets/s0: m4zg54lqhiqcez2sn41xaiqknnsxsoraejvwk5jcbi
//! ```
//! decodes to
//! ```text
//! group: "group"
//! key: "key"
//! ```
//!
//! Whatever Flyte's webhook decodes is decoded to the same secret here, but for what has to be refused:
//! - base32 whose end is missing, where Flyte drops up to six letters;
//! - strings that are not UTF-8, which nothing in a Pod can hold;
//! - strings of more than 1 KiB, which name nothing;
//! - numbers of `mount_requirement` that mean nothing.

use super::base32;
use super::model::{MAX_FIELD_LENGTH, MountRequirement, too_long};
use super::text_format::{Fault, Lexer, Token};
use crate::names::excerpt;

/// The message in one of Flyte's annotations:
/// [`core.Secret`](https://github.com/flyteorg/flyte/blob/master/flyteidl/protos/flyteidl/core/security.proto).
/// A field that is not set is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodedSecret {
    /// `group`
    pub group: String,
    /// `group_version`
    pub group_version: String,
    /// `key`
    pub key: String,
    /// `mount_requirement`
    pub mount: MountRequirement,
    /// `env_var`
    pub env_var: String,
}

/// Decodes the value of one of Flyte's annotations.
///
/// # Errors
/// The value is no base32, or its text no such message.
pub fn decode(value: &str) -> Result<DecodedSecret, String> {
    let text = base32::decode(value)?;
    parse(&text).map_err(|Fault { offset, problem }| {
        let (line, column) = position(&text, offset);
        format!("decoded text, line {line}, column {column}: {problem}")
    })
}

/// The fields of the message.
const FIELDS: [&str; 5] = ["group", "group_version", "key", "mount_requirement", "env_var"];

fn parse(text: &[u8]) -> Result<DecodedSecret, Fault> {
    let mut lexer = Lexer::new(text);
    let mut secret = DecodedSecret::default();
    let mut seen = [false; FIELDS.len()];
    loop {
        let (offset, token) = lexer.next()?;
        let field = match token {
            Token::End => return Ok(secret),
            Token::Word(word) => field(word),
            // Flyte's webhook crashes on some of these.
            Token::Symbol('[') => Err("names in [ ], of extensions or of Any, are not possible here".to_owned()),
            other => Err(format!("expected a field's name, found {}", other.describe())),
        };
        let (position, name) = field.map_err(|problem| Fault { offset, problem })?;
        if seen.get_mut(position).is_some_and(|seen| std::mem::replace(seen, true)) {
            return Err(Fault::new(offset, format!("the field {name} is set twice")));
        }
        let (offset, colon) = lexer.next()?;
        if colon != Token::Symbol(':') {
            return Err(Fault::new(offset, format!("expected : after the field {name}")));
        }
        let (offset, token) = lexer.next()?;
        secret.set(name, token).map_err(|problem| Fault { offset, problem })?;
        lexer.skip_separator();
    }
}

/// Returns the field called `word`, and its position among all.
fn field(word: &str) -> Result<(usize, &'static str), String> {
    let mut fields = FIELDS.iter().copied().enumerate();
    fields.find(|(_, name)| *name == word).ok_or_else(|| {
        format!(
            "there is no field {}; the fields are group, group_version, key, mount_requirement and env_var",
            excerpt(word)
        )
    })
}

impl DecodedSecret {
    fn set(&mut self, name: &'static str, token: Token<'_>) -> Result<(), String> {
        let text = match name {
            "group" => &mut self.group,
            "group_version" => &mut self.group_version,
            "key" => &mut self.key,
            "env_var" => &mut self.env_var,
            _ => {
                self.mount = mount_requirement(name, token)?;
                return Ok(());
            }
        };
        *text = string(name, token)?;
        Ok(())
    }
}

fn string(field: &'static str, token: Token<'_>) -> Result<String, String> {
    match token {
        Token::Text(text) if text.len() > MAX_FIELD_LENGTH => Err(format!("the field {field} {}", too_long())),
        Token::Text(text) => Ok(text),
        other => Err(format!(
            "the field {field} wants a string in quotes, found {}",
            other.describe()
        )),
    }
}

fn mount_requirement(field: &'static str, token: Token<'_>) -> Result<MountRequirement, String> {
    let known = match token {
        Token::Word(word) => {
            MountRequirement::from_name(word).or_else(|| MountRequirement::from_number(go_integer(word)?))
        }
        _ => None,
    };
    known.ok_or_else(|| {
        format!(
            "{field} is ANY (0), ENV_VAR (1) or FILE (2), found {}",
            token.describe()
        )
    })
}

/// A number as Go's [`strconv.ParseInt`](https://pkg.go.dev/strconv#ParseInt) with base 0 reads it, which Flyte uses:
/// with a sign, in base 2, 8, 10 or 16 by its prefix, with `_` between digits. None as well if it is negative.
fn go_integer(word: &str) -> Option<u32> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let prefixed = |lower, upper| digits.strip_prefix(lower).or_else(|| digits.strip_prefix(upper));
    // A prefix counts as a digit: `_` may follow it. The 0 of an octal number is both.
    let (radix, digits, mut after_digit) = if let Some(rest) = prefixed("0x", "0X") {
        (16, rest, true)
    } else if let Some(rest) = prefixed("0b", "0B") {
        (2, rest, true)
    } else if let Some(rest) = prefixed("0o", "0O") {
        (8, rest, true)
    } else {
        (if digits.starts_with('0') { 8 } else { 10 }, digits, false)
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u32;
    for character in digits.chars() {
        if character == '_' {
            if !after_digit {
                return None;
            }
            after_digit = false;
        } else {
            value = value.checked_mul(radix)?.checked_add(character.to_digit(radix)?)?;
            after_digit = true;
        }
    }
    (after_digit && !(negative && value != 0)).then_some(value)
}

/// Line and column, both from 1, of the byte at `offset`.
fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let lines = before.split(|&byte| byte == b'\n');
    let last = lines.clone().next_back().unwrap_or_default();
    // The other bytes of UTF-8 go on with a character.
    let characters = last.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count();
    (lines.count(), characters.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_gos() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("+0", Some(0)),
            ("00", Some(0)),
            ("1", Some(1)),
            ("01", Some(1)),
            ("0_1", Some(1)),
            ("010", Some(8)),
            ("0x1F", Some(31)),
            ("0X_1f", Some(31)),
            ("0b10", Some(2)),
            ("0B1", Some(1)),
            ("0o7", Some(7)),
            ("0O_7", Some(7)),
            ("1_0", Some(10)),
            ("+2", Some(2)),
            ("4294967295", Some(u32::MAX)),
            ("4294967296", None),
            ("-1", None),
            ("", None),
            ("-", None),
            ("+", None),
            ("--1", None),
            ("-+1", None),
            ("_1", None),
            ("1_", None),
            ("1__0", None),
            ("0__1", None),
            ("_", None),
            ("0_", None),
            ("0x", None),
            ("0x_", None),
            ("0x__1", None),
            ("0b2", None),
            ("08", None),
            ("0o8", None),
            ("1.0", None),
            ("1e0", None),
            ("2f", None),
            ("0x-1", None),
        ];
        for (word, expected) in table {
            assert_eq!(go_integer(word), expected, "{word}");
        }
    }

    #[test]
    fn errors_have_a_place() {
        let table = [
            (
                "key:'ü' nope:1",
                1,
                9,
                "there is no field nope; the fields are group, group_version, key, mount_requirement and env_var",
            ),
            ("key:'a'\n\n  key:'b'", 3, 3, "the field key is set twice"),
            ("key 'a'", 1, 5, "expected : after the field key"),
            ("key", 1, 4, "expected : after the field key"),
            ("key:", 1, 5, "the field key wants a string in quotes, found the end"),
            (
                "env_var: E",
                1,
                10,
                "the field env_var wants a string in quotes, found E",
            ),
            ("group: <", 1, 8, "the field group wants a string in quotes, found <"),
            (
                "mount_requirement: 3",
                1,
                20,
                "mount_requirement is ANY (0), ENV_VAR (1) or FILE (2), found 3",
            ),
            (
                "mount_requirement: 'FILE'",
                1,
                20,
                "mount_requirement is ANY (0), ENV_VAR (1) or FILE (2), found a string",
            ),
            ("'key':'a'", 1, 1, "expected a field's name, found a string"),
            ("key:'a',,", 1, 9, "expected a field's name, found ,"),
            (
                "[a/b]{}",
                1,
                1,
                "names in [ ], of extensions or of Any, are not possible here",
            ),
            ("# \u{fc}\n`", 2, 1, "unexpected `"),
            ("\u{fc}", 1, 1, "unexpected byte 0xc3"),
            (
                "key:'a\nb'",
                1,
                5,
                "this string has no closing quote on its line; a line break in it is written \\n",
            ),
            (
                "key:'a' '\\e'",
                1,
                9,
                "a backslash before e is no escape; a backslash itself is written \\\\",
            ),
            (
                "key:'\\x4'",
                1,
                5,
                "\\x in this string is not followed by 2 hexadecimal digits",
            ),
        ];
        for (text, line, column, message) in table {
            let error = decode(&base32::encode(text.as_bytes())).unwrap_err();
            assert_eq!(
                error,
                format!("decoded text, line {line}, column {column}: {message}"),
                "{text}"
            );
        }
    }

    #[test]
    fn depth_and_length_cost_no_stack() {
        for part in ["{", "[", "<", "key:{", "#\n", "key:'a';", "'a'", "\\", "a:", "key:["] {
            let _ = decode(&base32::encode(part.repeat(100_000).as_bytes()));
        }
        let text = format!("key:{}", "'a' ".repeat(100_000));
        assert!(decode(&base32::encode(text.as_bytes())).is_err());
    }
}
