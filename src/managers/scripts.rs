//! The scripts of init containers, as they go into Pods.

#![forbid(unsafe_code)]

/// Returns the file at a path as a text, without blank lines and those that are comments: each Pod holds the text.
macro_rules! script {
    ($path:literal) => {{
        const FILE: &str = include_str!($path);
        const LENGTH: usize = $crate::managers::scripts::code::<0>(FILE).1;
        const CODE: [u8; LENGTH] = $crate::managers::scripts::code(FILE).0;
        match core::str::from_utf8(&CODE) {
            Ok(text) => text,
            Err(_) => FILE,
        }
    }};
}

pub(super) use script;

/// Returns the first bytes of the lines of `text` that are code, and how many bytes these lines have.
#[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // It runs in the compiler, which would say so.
pub(super) const fn code<const LENGTH: usize>(text: &str) -> ([u8; LENGTH], usize) {
    let text = text.as_bytes();
    let (mut kept, mut length, mut start) = ([0; LENGTH], 0, 0);
    while start < text.len() {
        let mut first = start;
        while text[first] == b' ' {
            first += 1;
        }
        let is_code = text[first] != b'#' && text[first] != b'\n';
        loop {
            let byte = text[start];
            start += 1;
            if is_code {
                if length < LENGTH {
                    kept[length] = byte;
                }
                length += 1;
            }
            if byte == b'\n' {
                break;
            }
        }
    }
    (kept, length)
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn comments_and_blank_lines_go() {
        let text = "# a\n\na() {\n  # b\n  echo '#' # c\n    \n}\n";
        let expected = "a() {\n  echo '#' # c\n}\n";
        let (kept, length) = code::<100>(text);
        assert_eq!(kept.get(..length), Some(expected.as_bytes()));
        assert_eq!(code::<0>(text).1, length);
    }
}
