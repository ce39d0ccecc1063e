//! Base32 as Flyte writes it: RFC 4648's with an own alphabet that suits Kubernetes names, and without padding.
//!
//! Flyte uses Go's [`encoding/base32`](https://pkg.go.dev/encoding/base32) with
//! [this alphabet](https://github.com/flyteorg/flyte/blob/master/flyteplugins/go/tasks/pluginmachinery/utils/secrets/marshaler.go)
//! for its annotations and for the names of volumes. The crate `data-encoding` does the same, but adds 3 KiB to the module, and does not
//! say which character is wrong.

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz123456";

/// What stands for a byte that is no letter of the alphabet: no value of five bits.
const NONE: u8 = 0x80;

/// The values of all bytes.
const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "the compiler checks it"
        )]
        {
            values[ALPHABET[value] as usize] = value as u8;
        }
        value += 1;
    }
    values
};

/// Encodes `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len().div_ceil(5).saturating_mul(8));
    for group in bytes.chunks(5) {
        let mut word = [0; 8];
        for (place, byte) in word.iter_mut().zip(group) {
            *place = *byte;
        }
        let mut word = u64::from_be_bytes(word);
        for _ in 0..(group.len() * 8).div_ceil(5) {
            word = word.rotate_left(5);
            // The mask leaves five bits, so neither the conversion nor the look-up can fail.
            let value = usize::try_from(word & 31).unwrap_or_default();
            text.extend(ALPHABET.get(value));
        }
    }
    // Its letters are ASCII.
    String::from_utf8(text).unwrap_or_default()
}

/// Decodes `text` as Go does: line breaks are passed over, and so are bits that no byte needs.
///
/// # Errors
/// A character outside the alphabet; unlike in Go, a last group that is too short for a byte.
pub fn decode(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len().div_ceil(8).saturating_mul(5));
    let (groups, tail) = text.as_bytes().as_chunks::<8>();
    for group in groups {
        // The highest bit of a letter's value says that it is none.
        let (word, wrong) = group.iter().fold((0_u64, 0), |(word, wrong), letter| {
            let value = VALUES.get(usize::from(*letter)).copied().unwrap_or(NONE);
            (word.wrapping_shl(5) | u64::from(value), wrong | value)
        });
        if wrong & NONE != 0 {
            return decode_slowly(text, Vec::new());
        }
        let [.., one, two, three, four, five] = word.to_be_bytes();
        bytes.extend_from_slice(&[one, two, three, four, five]);
    }
    match str::from_utf8(tail).map(|tail| decode_slowly(tail, bytes)) {
        Ok(Ok(bytes)) => Ok(bytes),
        // In the whole text, the places are right.
        _ => decode_slowly(text, Vec::new()),
    }
}

/// Decodes `text` letter by letter, behind `bytes`, which tells what is wrong with it, and where.
fn decode_slowly(text: &str, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut letters = 0_usize;
    // The bits read last, of which the lowest `pending` are not in `bytes` yet.
    let (mut bits, mut pending) = (0_u32, 0_u32);
    for (index, character) in text.chars().enumerate() {
        if matches!(character, '\r' | '\n') {
            continue;
        }
        let position = index.saturating_add(1);
        let value = u8::try_from(character)
            .ok()
            .and_then(|byte| VALUES.get(usize::from(byte)))
            .filter(|value| **value != NONE)
            .ok_or_else(|| {
                format!(
                    "character {position} is {}, but the base32 of this annotation has a to z and 1 to 6 only, without \
                     padding",
                    character.escape_default()
                )
            })?;
        letters = letters.saturating_add(1);
        bits = bits.wrapping_shl(5) | u32::from(*value);
        pending = pending.saturating_add(5);
        if let Some(left) = pending.checked_sub(8) {
            pending = left;
            let [.., byte] = bits.wrapping_shr(left).to_be_bytes();
            bytes.push(byte);
        }
    }
    if matches!(letters % 8, 1 | 3 | 6) {
        // No bytes encode to such a number of letters. Go drops those of the last group without a word.
        return Err(format!(
            "its {letters} letters are no whole number of bytes; the end of the value is missing"
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_byte_round_trips() {
        let all: Vec<u8> = (0..=255).chain(0..=255).collect();
        for start in 0..256 {
            for length in 0..18 {
                let bytes = &all[start..start + length];
                assert_eq!(decode(&encode(bytes)).as_deref(), Ok(bytes));
            }
        }
    }

    #[test]
    fn decodes() {
        let character = |position: usize, character: char| {
            Err(format!("character {position} is {}, but", character.escape_default()))
        };
        let tail = |letters: usize| Err(format!("its {letters} letters are no whole number of bytes"));
        let table: [(&str, Result<&[u8], String>); 24] = [
            ("", Ok(b"")),
            ("\r\n", Ok(b"")),
            ("nnsxs", Ok(b"key")),
            ("n\nn\rsxs\n", Ok(b"key")),
            ("m4", Ok(b"g")),
            ("m5", Ok(b"g")),
            ("66", Ok(b"\xff")),
            ("n", tail(1)),
            ("nns", tail(3)),
            ("nnsxso", tail(6)),
            ("nnsxsorcn\n", tail(9)),
            ("m4======", character(3, '=')),
            ("m\n4 ", character(4, ' ')),
            ("M4", character(1, 'M')),
            ("m7", character(2, '7')),
            ("éé", character(1, 'é')),
            ("m0", character(2, '0')),
            ("nnsxsaaaa", tail(9)),
            ("nnsxsaaanns", tail(11)),
            ("nnsxsaa0", character(8, '0')),
            ("nnsxsaaan0", character(10, '0')),
            ("nnsxsaaé", character(8, 'é')),
            ("nnsxsaaa\né", character(10, 'é')),
            ("m4zg54lq\nhi", Ok(b"group:")),
        ];
        for (text, expected) in table {
            match (decode(text), expected) {
                (Err(problem), Err(start)) => assert!(problem.starts_with(&start), "{text:?}: {problem}"),
                (decoded, expected) => assert_eq!(decoded, expected.map(<[u8]>::to_vec), "{text:?}"),
            }
        }
    }
}
