//! Names made of hashes, as Flyte makes them. They tell secrets apart and protect nothing.

use md5::Md5;
use sha2::{Digest, Sha256};

/// Returns the MD5 digest of `bytes` as 32 lower-case hexadecimal digits.
pub(crate) fn md5(bytes: &[u8]) -> String {
    hexadecimal(&Md5::digest(bytes))
}

/// Returns the first eight bytes of the SHA-256 digest of `bytes` as 16 lower-case hexadecimal digits.
pub(crate) fn sha256_prefix(bytes: &[u8]) -> String {
    hexadecimal(Sha256::digest(bytes).get(..8).unwrap_or_default())
}

fn hexadecimal(bytes: &[u8]) -> String {
    String::from_utf8(bytes.iter().flat_map(|byte| hexadecimal_digits(*byte)).collect()).unwrap_or_default()
}

/// Returns the two lower-case hexadecimal digits of `byte`.
pub(crate) fn hexadecimal_digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|value| if value < 10 { b'0' + value } else { b'a' - 10 + value })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 1321 and FIPS 180-4.
    #[test]
    fn digests_are_in_lower_case_hexadecimal() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(sha256_prefix(b"abc"), "ba7816bf8f01cfea");
    }
}
