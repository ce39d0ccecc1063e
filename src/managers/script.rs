//! The scripts of init containers, as Pods get them: without what only readers of the source need.

/// The text of a file beside the caller's, without the lines that are comments alone, and in shell without indentation.
/// Every Pod carries its scripts, and the API server keeps them.
macro_rules! script {
    ($path:literal, $language:ident) => {{
        use $crate::managers::script::{Language, stripped};
        const SOURCE: &str = include_str!($path);
        const LENGTH: usize = stripped::<{ SOURCE.len() }>(SOURCE, Language::$language).1;
        const BYTES: &[u8] = &stripped::<LENGTH>(SOURCE, Language::$language).0;
        const SCRIPT: &str = match str::from_utf8(BYTES) {
            Ok(script) => script,
            Err(_) => "",
        };
        SCRIPT
    }};
}
pub(crate) use script;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Shell,
    Python,
}

/// Returns the first `LENGTH` bytes of the script that is left of `source`, and how long the script is. To be evaluated
/// at compile time: the source is a file of this repository, without strings of several lines.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
pub(crate) const fn stripped<const LENGTH: usize>(source: &str, language: Language) -> ([u8; LENGTH], usize) {
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
            at = start;
        }
        loop {
            if !is_left_out {
                if length < LENGTH {
                    script[length] = source[at];
                }
                length += 1;
            }
            at += 1;
            if at >= source.len() || source[at - 1] == b'\n' {
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
        let source = "# what it does\nif a; then # why\n\n  # more\n  b '#'\nfi\n";
        for (language, expected) in [
            (Language::Shell, "if a; then # why\nb '#'\nfi\n"),
            (Language::Python, "if a; then # why\n  b '#'\nfi\n"),
        ] {
            let (script, length) = stripped::<100>(source, language);
            assert_eq!(str::from_utf8(&script[..length]).unwrap(), expected);
        }
    }
}
