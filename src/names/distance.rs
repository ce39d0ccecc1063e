//! How alike two names are.

/// The most characters that are a slip.
const SLIP: usize = 2;

/// The longest name that is compared.
const MAX_LENGTH: usize = 64;

/// Returns whether [`distance`] has to be computed: names whose lengths differ by more than a slip are never near.
pub fn may_be_near(one: &str, other: &str) -> bool {
    one.len().abs_diff(other.len()) <= SLIP && one.len() <= MAX_LENGTH && other.len() <= MAX_LENGTH
}

/// Returns how many characters have to be changed, added or left out to make `one` of `other`, upper and lower case and `-`,
/// `_` and `.` counting as equal; `None` where that is more than a slip.
pub fn distance(one: &str, other: &str) -> Option<usize> {
    if !may_be_near(one, other) {
        return None;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '.'], "-");
    let distance = strsim::levenshtein(&plain(one), &plain(other));
    (distance <= SLIP && distance < other.len()).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (one, other, expected) in [
            ("password", "pasword", Some(1)),
            ("password", "password", Some(0)),
            ("DB_PASSWORD", "db-password", Some(0)),
            ("pswrd", "pasword", Some(2)),
            ("pasword", "pswrd", Some(2)),
            ("apassword", "password", Some(1)),
            ("abcdef", "bcdefa", Some(2)),
            ("abcdef", "cdefab", None),
            ("token", "password", None),
            ("a", "b", None),
            ("", "ab", None),
            ("abc", "", None),
        ] {
            assert_eq!(distance(one, other), expected, "{one} and {other}");
        }
    }
}
