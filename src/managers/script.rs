//! The scripts of init containers, as Pods get them: without what only readers of the source need, and in JSON already.

use std::borrow::Cow;
use std::iter;

use crate::injection::unexpanded;
use crate::json::Node;

/// A script as it stands in JSON between the quotation marks. The kubelet leaves its `$(NAME)` alone, see
/// [`unexpanded`](crate::injection::unexpanded).
#[derive(Clone, Copy)]
pub(crate) struct Script(pub &'static str);

/// Returns a word of a command, or the value of a variable, in which the kubelet is kept from expanding `$(NAME)`.
pub(crate) fn word(text: &str) -> Node<'static> {
    Node::Text(Cow::Owned(unexpanded(text).into_owned()))
}

/// Returns the script of these parts.
pub(crate) fn script_of(parts: &[Script]) -> Node<'static> {
    let parts = parts.iter().map(|Script(part)| *part);
    let text: String = iter::once("\"").chain(parts).chain(["\""]).collect();
    Node::Made(text.into())
}

/// The [`Script`] in a file beside the caller's, without the lines that are comments alone, and with less indentation: none
/// in shell, a space in Python. Every Pod carries its scripts, and the API server keeps them.
macro_rules! script {
    ($path:literal, $language:ident) => {{
        use $crate::managers::script::{Language, Script, in_json};
        const SOURCE: &str = include_str!($path);
        const LENGTH: usize = in_json::<0>(SOURCE, Language::$language).1;
        const BYTES: &[u8] = &in_json::<LENGTH>(SOURCE, Language::$language).0;
        Script(match str::from_utf8(BYTES) {
            Ok(script) => script,
            Err(_) => "",
        })
    }};
}
pub(crate) use script;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Shell,
    Python,
}

/// Returns the first `LENGTH` bytes of the script in `source`, and how long the script is. To be evaluated
/// at compile time: the source is a file of this repository, without strings of several lines.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
pub(crate) const fn in_json<const LENGTH: usize>(source: &str, language: Language) -> ([u8; LENGTH], usize) {
    let source = source.as_bytes();
    let mut script = [0; LENGTH];
    let (mut length, mut at) = (0, 0);
    while at < source.len() {
        let start = at;
        while at < source.len() && source[at] == b' ' {
            at += 1;
        }
        let is_left_out = at == source.len() || matches!(source[at], b'#' | b'\n');
        if matches!(language, Language::Python) {
            at -= (at - start) / 4;
        }
        loop {
            let byte = source[at];
            at += 1;
            let before = match byte {
                b'"' | b'\\' | b'\n' => b'\\',
                b'$' if at < source.len() && matches!(source[at], b'$' | b'(') => b'$',
                _ => 0,
            };
            if !is_left_out {
                let byte = if byte == b'\n' { b'n' } else { byte };
                let mut bytes: &[u8] = if before == 0 { &[byte] } else { &[before, byte] };
                while let [first, rest @ ..] = bytes {
                    if length < LENGTH {
                        script[length] = *first;
                    }
                    length += 1;
                    bytes = rest;
                }
            }
            if at >= source.len() || byte == b'\n' {
                break;
            }
        }
    }
    (script, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_lose_their_comments() {
        let source = "# what it does\nif a: # why\n\n    # more\n    b '#'\n        c\n";
        for (language, expected) in [
            (Language::Shell, "if a: # why\nb '#'\nc\n"),
            (Language::Python, "if a: # why\n b '#'\n  c\n"),
        ] {
            assert_eq!(read_back::<100>(source, language), expected);
        }
    }

    #[test]
    fn scripts_are_escaped() {
        let source = "printf '%s\\n' \"$(a)\" \"$$\" $b $";
        assert_eq!(
            read_back::<100>(source, Language::Shell),
            "printf '%s\\n' \"$$(a)\" \"$$$\" $b $"
        );
    }

    fn read_back<const LENGTH: usize>(source: &str, language: Language) -> String {
        let (script, length) = in_json::<LENGTH>(source, language);
        let script = str::from_utf8(&script[..length]).unwrap();
        serde_json::from_str(&format!("\"{script}\"")).unwrap()
    }
}
