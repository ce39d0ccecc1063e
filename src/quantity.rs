//! Amounts as Kubernetes writes them, so that they can be compared
//! ([Quantity](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)).

use serde_json::Value;

/// The smallest unit that Kubernetes keeps: it rounds up to 10⁻⁹.
const DECIMALS: i32 = 9;

/// How many digits of a fraction count with a binary suffix, of which the largest is 2⁶⁰.
const BINARY_DIGITS: usize = 18;

/// Returns the amount in 10⁻⁹ units, rounded up as Kubernetes does; the largest number where it is larger than that.
/// Returns `None` where `text` is no amount.
pub(crate) fn parse(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = unsigned
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (factor, exponent) = unit(suffix)?;
    // The digits that make less than a unit together round it up.
    let digits = match factor {
        1 => usize::try_from(exponent.saturating_add(DECIMALS)).unwrap_or(0),
        _ => BINARY_DIGITS,
    };
    let fraction = fraction.trim_end_matches('0');
    let (fraction, rest) = fraction.split_at_checked(digits).unwrap_or((fraction, ""));
    let mut amount: i128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        amount = amount.saturating_mul(10).saturating_add(i128::from(digit - b'0'));
    }
    amount = amount.saturating_add(i128::from(!rest.is_empty()));
    let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
    let shift = exponent.saturating_add(DECIMALS).saturating_sub(places);
    let amount = shifted(amount.saturating_mul(factor), shift);
    Some(if negative { -amount } else { amount })
}

/// Returns whether both are the same amount. The API server writes `1024Mi` as `1Gi` and `0.1` as `100m`.
pub(crate) fn is_same(first: &Value, second: &Value) -> bool {
    of_value(first).is_some_and(|first| of_value(second) == Some(first))
}

/// Returns the amount that a JSON value holds, as [`parse`] does. Kubernetes takes a number for an amount too.
pub(crate) fn of_value(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

/// Returns what a suffix multiplies by: a factor, and a power of ten.
fn unit(suffix: &str) -> Option<(i128, i32)> {
    const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let position = |units: &[&str]| units.iter().position(|known| *known == suffix);
    if let Some(position) = position(&BINARY) {
        return Some((1 << (10 * (position + 1)), 0));
    }
    if let Some(position) = position(&DECIMAL) {
        return Some((1, 3 * i32::try_from(position).ok()? - DECIMALS));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let limit = if exponent.starts_with('-') { i32::MIN } else { i32::MAX };
    Some((1, exponent.parse().unwrap_or(limit)))
}

/// Returns `amount` times 10 to the power of `shift`, rounded up.
fn shifted(amount: i128, shift: i32) -> i128 {
    let Some(factor) = 10_i128.checked_pow(shift.unsigned_abs()) else {
        return match (amount, shift > 0) {
            (0, _) => 0,
            (_, true) => i128::MAX,
            (_, false) => 1,
        };
    };
    if shift >= 0 {
        amount.saturating_mul(factor)
    } else {
        amount / factor + i128::from(amount % factor != 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{is_same, parse};

    #[test]
    fn what_is_an_amount() {
        for (text, valid) in [
            ("1", true),
            ("0.5", true),
            (".5", true),
            ("5.", true),
            ("-1", true),
            ("+1", true),
            ("100m", true),
            ("64Mi", true),
            ("1e3", true),
            ("1E", true),
            ("1E-2", true),
            ("1e99999999999", true),
            ("1e-99999999999", true),
            ("", false),
            ("m", false),
            (".", false),
            ("1.2.3", false),
            ("1mi", false),
            ("1e", false),
            ("1e+", false),
            ("10 Mi", false),
            ("١", false),
        ] {
            assert_eq!(parse(text).is_some(), valid, "{text:?}");
        }
    }

    #[test]
    fn amounts_are_compared_as_what_they_are() {
        for (smaller, larger) in [
            ("999m", "1"),
            ("100m", "0.2"),
            ("1000Mi", "1Gi"),
            ("1G", "1Gi"),
            ("1e3", "1Ki"),
            ("1n", "1u"),
            ("-1", "0"),
            ("-2", "-1"),
            ("1E", "1Ei"),
            ("1Ei", "1e40"),
        ] {
            assert!(parse(smaller) < parse(larger), "{smaller} and {larger}");
        }
        for (one, other) in [
            ("1", "1000m"),
            ("1024Mi", "1Gi"),
            (".5", "500m"),
            ("1e3", "1k"),
            ("0", "-0"),
            ("0.0000000001", "1n"),
            ("1e-40", "1n"),
            ("0e-40", "0"),
            ("1e50", "1e60"),
            ("1.0000000000000000000000000000000000000000", "1"),
            ("2.3333333333333333333333333333333333333333", "2333333334n"),
            ("0.5000000000000000000000000000000000000000Ei", "512Pi"),
            ("0.0000000000000000000001e22", "1"),
            ("0.0000000000000000005E", "500m"),
            ("1.00000000000000000000000000000000000000001e-3", "1000001n"),
            ("1.5e-40", "1n"),
        ] {
            assert_eq!(parse(one), parse(other), "{one} and {other}");
        }
    }

    #[test]
    fn amounts_of_json_are_compared() {
        for (first, second, same) in [
            (json!("1024Mi"), json!("1Gi"), true),
            (json!("0.1"), json!("100m"), true),
            (json!(0.1), json!("100m"), true),
            (json!(1), json!("1000m"), true),
            (json!("1.5Gi"), json!("1536Mi"), true),
            (json!("1e3"), json!("1k"), true),
            (json!("1E3"), json!("+1000"), true),
            (json!("1E"), json!("1000P"), true),
            (json!("0.1n"), json!("1n"), true),
            (json!("-1"), json!("-1000m"), true),
            (json!("1M"), json!("1Mi"), false),
            (json!("1"), json!("-1"), false),
            (json!("100m"), json!("100M"), false),
            (json!("much"), json!("much"), false),
            (json!(""), json!(""), false),
            (json!("."), json!("0"), false),
            (json!(true), json!(true), false),
        ] {
            assert_eq!(is_same(&first, &second), same, "{first} {second}");
        }
    }
}
