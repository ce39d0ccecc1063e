//! Base64 as Kubernetes writes a Secret's data.

#![forbid(unsafe_code)]

/// Decodes padded standard base64 ([RFC 4648](https://www.rfc-editor.org/rfc/rfc4648#section-4)); `None` where `text`
/// is something else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let unpadded = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - unpadded.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(unpadded.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for character in unpadded.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (count != 6 && bits == 0).then_some(bytes)
}

/// Encodes as padded standard base64.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let mut padded = [0_u8; 4];
        for (place, byte) in padded.iter_mut().skip(1).zip(group) {
            *place = *byte;
        }
        let bits = u32::from_be_bytes(padded);
        for (position, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            text.push(if position > group.len() {
                '='
            } else {
                match ((bits >> shift) & 63) as u8 {
                    value @ 0..26 => (b'A' + value) as char,
                    value @ 26..52 => (b'a' + value - 26) as char,
                    value @ 52..62 => (b'0' + value - 52) as char,
                    62 => '+',
                    _ => '/',
                }
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn encodes_what_it_decodes() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..bytes.len() {
            let text = encode(&bytes[..length]);
            assert_eq!(decode(&text).as_deref(), Some(&bytes[..length]), "{text}");
        }
        assert_eq!(encode(b"\xff\xfe\xfd s3cr3t"), "//79IHMzY3IzdA==");
    }

    #[test]
    fn decodes() {
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg==", Some(b"foob")),
            ("/+8=", Some(b"\xff\xef")),
            ("Zg", None),
            ("Zh==", None),
            ("Z===", None),
            ("Zm9v\n", None),
            ("Zm 9", None),
        ] {
            assert_eq!(decode(text).as_deref(), bytes, "{text:?}");
        }
    }
}
