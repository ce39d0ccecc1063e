//! Amounts of Kubernetes, such as `64Mi`
//! ([Quantity](https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)).

#![forbid(unsafe_code)]

use serde_json::Value;

/// What an amount without a fraction is multiplied with, so that nothing is lost: the smallest unit is a billionth.
const UNIT: i128 = 1_000_000_000;

/// The powers of ten and of 1,024 that a suffix stands for.
const SUFFIXES: &[(&str, i32, u32)] = &[
    ("n", -9, 0),
    ("u", -6, 0),
    ("m", -3, 0),
    ("", 0, 0),
    ("k", 3, 0),
    ("M", 6, 0),
    ("G", 9, 0),
    ("T", 12, 0),
    ("P", 15, 0),
    ("E", 18, 0),
    ("Ki", 0, 1),
    ("Mi", 0, 2),
    ("Gi", 0, 3),
    ("Ti", 0, 4),
    ("Pi", 0, 5),
    ("Ei", 0, 6),
];

/// Returns whether both are the same amount. The API server writes `1024Mi` as `1Gi` and `0.1` as `100m`.
pub(super) fn same_amount(first: &Value, second: &Value) -> bool {
    match (billionths(first), billionths(second)) {
        (Some(first), Some(second)) => first == second,
        _ => false,
    }
}

/// Returns the amount in billionths; `None` where it is no amount, or a larger one than there are.
fn billionths(amount: &Value) -> Option<i128> {
    match amount {
        Value::String(text) => parse(text),
        Value::Number(number) => parse(&number.to_string()),
        _ => None,
    }
}

fn parse(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_number = |character: char| character.is_ascii_digit() || character == '.';
    let end = unsigned
        .find(|character| !is_number(character))
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (tens, kilos) = powers(suffix)?;
    let tens = tens.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let scaled = digits.checked_mul(1024_i128.checked_pow(kilos)?)?.checked_mul(UNIT)?;
    let factor = 10_i128.checked_pow(tens.unsigned_abs())?;
    let amount = if tens < 0 {
        // What is smaller than the smallest unit is rounded up.
        scaled.checked_add(factor.checked_sub(1)?)?.checked_div(factor)?
    } else {
        scaled.checked_mul(factor)?
    };
    Some(if negative { amount.checked_neg()? } else { amount })
}

/// Returns the powers of ten and of 1,024 of a suffix, or of an exponent such as `e3`.
fn powers(suffix: &str) -> Option<(i32, u32)> {
    if let Some((_, tens, kilos)) = SUFFIXES.iter().find(|(known, _, _)| *known == suffix) {
        return Some((*tens, *kilos));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some((exponent.parse().ok()?, 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_compared_as_amounts() {
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
            (json!("1e999999999"), json!("1e999999999"), false),
            (json!("."), json!("0"), false),
            (json!(true), json!(true), false),
        ] {
            assert_eq!(same_amount(&first, &second), same, "{first} {second}");
        }
    }
}
