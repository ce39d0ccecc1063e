//! Input in messages: short, and unable to change how a terminal or a log shows the rest.

use std::borrow::Cow;

const MAX_LENGTH: usize = 40;

/// Returns the start of `text` with everything but printable ASCII escaped, and `…` where it was cut.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| (byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\')) || byte == b' ';
    if text.len() <= MAX_LENGTH && text.bytes().all(plain) {
        return text.into();
    }
    let mut shown = String::new();
    for character in text.chars() {
        let escaped = character.escape_default();
        if shown.len().saturating_add(escaped.len()) > MAX_LENGTH {
            shown.push('…');
            break;
        }
        shown.extend(escaped);
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts() {
        let forty = "x".repeat(40);
        let table = [
            ("", ""),
            ("env-var", "env-var"),
            ("a\"b\\\n", r#"a\"b\\\n"#),
            ("\u{202e}", r"\u{202e}"),
            (&forty, &forty),
        ];
        for (text, expected) in table {
            assert_eq!(excerpt(text), expected);
        }
        assert_eq!(excerpt(&"x".repeat(41)), format!("{forty}…"));
    }
}
