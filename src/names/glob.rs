//! Patterns for names.

/// A pattern in which `*` stands for any text and `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Vec<Part>);

/// The text between two `*`, in which `?` stands for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    text: String,
    wild: bool,
}

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        let part = |text: &str| Part {
            text: text.to_owned(),
            wild: text.contains('?'),
        };
        Self(pattern.split('*').map(part).collect())
    }

    /// Returns whether the whole of `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        let Some((first, others)) = self.0.split_first() else {
            return false;
        };
        let Some(text) = first.after_start(text) else {
            return false;
        };
        let Some((last, between)) = others.split_last() else {
            return text.is_empty();
        };
        // The first place for each part leaves the most for those behind it.
        let mut rest = last.before_end(text);
        for part in between {
            rest = rest.and_then(|rest| part.after_first(rest));
        }
        rest.is_some()
    }
}

impl Part {
    /// Returns what is behind the part at the start of `text`.
    fn after_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.wild {
            return text.strip_prefix(self.text.as_str());
        }
        let mut characters = text.chars();
        let fits = |wanted| characters.next().is_some_and(|found| wanted == '?' || wanted == found);
        self.text.chars().all(fits).then_some(characters.as_str())
    }

    /// Returns what is before the part at the end of `text`.
    fn before_end<'t>(&self, text: &'t str) -> Option<&'t str> {
        if !self.wild {
            return text.strip_suffix(self.text.as_str());
        }
        let mut characters = text.chars();
        let fits = |wanted| {
            characters
                .next_back()
                .is_some_and(|found| wanted == '?' || wanted == found)
        };
        self.text.chars().rev().all(fits).then_some(characters.as_str())
    }

    /// Returns what is behind the first place in `text` where the part is.
    fn after_first<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        let start = self.text.bytes().next().filter(|byte| *byte != b'?');
        loop {
            if let Some(start) = start {
                // The first byte of a character is never in the middle of another one.
                let place = memchr::memchr(start, rest.as_bytes())?;
                rest = rest.get(place..)?;
            }
            if let Some(after) = self.after_start(rest) {
                return Some(after);
            }
            let mut characters = rest.chars();
            characters.next()?;
            rest = characters.as_str();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("*", "anything/at all", true),
            ("", "", true),
            ("", "a", false),
            ("a", "a", true),
            ("a", "ab", false),
            ("team-a/*", "team-a/db", true),
            ("team-a/*", "team-ab/db", false),
            ("*a*b", "xxaxxbxab", true),
            ("*a*b", "xxaxxbxa", false),
            ("a*a", "a", false),
            ("*ab*ba*", "aba", false),
            ("*ab*ba*", "abba", true),
            ("arn:aws:*:secret:*", "arn:aws:eu:1:secret:db", true),
            ("?", "ß", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("*?c", "ßc", true),
            ("*?c", "c", false),
            ("x*?ß?*y", "xaaßay", true),
            ("x*?ß?*y", "xßaßy", false),
            ("*ß*", "äöß", true),
            ("**", "a", true),
            ("a*", "b", false),
        ] {
            assert_eq!(Glob::new(pattern).fits(text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_hostile_glob_takes_no_exponential_time() {
        assert!(!Glob::new(&format!("{}b", "*a".repeat(200))).fits(&"a".repeat(2000)));
        assert!(!Glob::new(&format!("{}b*c", "*a?".repeat(200))).fits(&"a".repeat(2000)));
    }
}
