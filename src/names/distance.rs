//! How alike two names are.

#![forbid(unsafe_code)]

/// The most characters that are a slip.
const SLIP: usize = 2;

/// The longest name that is compared.
const MAX_LENGTH: usize = 64;

/// What more than a slip counts as.
const FAR: usize = SLIP + 1;

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
    let (one, other) = (plain(one), plain(other));
    // The rows of the usual table, of which only a band is computed: place `band` of row `row` is for the first `row` bytes
    // of `one` and the first `row + band - SLIP` of `other`. What is outside of the band is more than a slip.
    let mut band: [usize; 2 * SLIP + 1] = std::array::from_fn(|place| place.checked_sub(SLIP).unwrap_or(FAR));
    for (row, found) in (1..).zip(&one) {
        let mut left = FAR;
        let above = band.into_iter().skip(1).chain([FAR]);
        let mut next = [FAR; 2 * SLIP + 1];
        for (place, ((next, above_left), above)) in next.iter_mut().zip(band).zip(above).enumerate() {
            let column = (row + place).checked_sub(SLIP);
            let wanted = column
                .and_then(|column| column.checked_sub(1))
                .and_then(|at| other.get(at));
            *next = match (column, wanted) {
                (Some(0), _) => row.min(FAR),
                (_, Some(wanted)) => {
                    let replaced = above_left + usize::from(wanted != found);
                    replaced.min(left + 1).min(above + 1).min(FAR)
                }
                _ => FAR,
            };
            left = *next;
        }
        band = next;
    }
    let last = (other.len() + SLIP).checked_sub(one.len())?;
    let distance = band.get(last).copied()?;
    (distance <= SLIP && distance < other.len()).then_some(distance)
}

fn plain(name: &str) -> Vec<u8> {
    let byte = |byte: u8| match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    };
    name.bytes().map(byte).collect()
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

    /// The band gives what the whole table does.
    #[test]
    fn the_band_is_as_good_as_the_table() {
        let mut names = vec![String::new()];
        for length in 0..5 {
            let longest: Vec<String> = names.iter().filter(|name| name.len() == length).cloned().collect();
            for name in longest {
                names.extend(["a", "b"].map(|letter| format!("{name}{letter}")));
            }
        }
        for (one, other) in names.iter().flat_map(|one| names.iter().map(move |other| (one, other))) {
            let whole = table(one.as_bytes(), other.as_bytes());
            let expected = (whole <= SLIP && whole < other.len()).then_some(whole);
            assert_eq!(distance(one, other), expected, "{one} and {other}");
        }
    }

    fn table(one: &[u8], other: &[u8]) -> usize {
        let mut row: Vec<usize> = (0..=other.len()).collect();
        for (index, found) in one.iter().enumerate() {
            let mut next = vec![index + 1];
            for (column, wanted) in other.iter().enumerate() {
                let replaced = row[column] + usize::from(wanted != found);
                next.push(replaced.min(next[column] + 1).min(row[column + 1] + 1));
            }
            row = next;
        }
        row[other.len()]
    }
}
