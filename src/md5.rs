//! MD5 ([RFC 1321](https://www.rfc-editor.org/rfc/rfc1321)), for names, as Flyte makes them; it protects nothing here.
//!
//! The crate `md5` is 8 KiB in the module, this is 1 KiB.

#![forbid(unsafe_code)]

/// The first 32 bits of the fractional parts of |sin(1)|, |sin(2)|, …
const ROUNDS: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// By how many bits the rounds rotate: four numbers in turn, sixteen rounds long.
const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// The digest of `bytes` in 32 hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let mut padded = bytes.to_vec();
    padded.push(0x80);
    padded.resize((bytes.len() + 9).next_multiple_of(64) - 8, 0);
    padded.extend_from_slice(&(bytes.len() as u64 * 8).to_le_bytes());
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.as_chunks::<64>().0 {
        state = compressed(state, block);
    }
    let mut text = String::with_capacity(32);
    for byte in state.iter().flat_map(|word: &u32| word.to_le_bytes()) {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit }));
        }
    }
    text
}

fn compressed(state: [u32; 4], block: &[u8; 64]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    let words = block.as_chunks::<4>().0;
    for (round, constant) in ROUNDS.iter().enumerate() {
        let (mixed, word) = match round / 16 {
            0 => ((b & c) | (!b & d), round),
            1 => ((d & b) | (!d & c), 5 * round + 1),
            2 => (b ^ c ^ d, 3 * round + 5),
            _ => (c ^ (b | !d), 7 * round),
        };
        let word = words.get(word % 16).map_or(0, |word| u32::from_le_bytes(*word));
        let shift = SHIFTS.get(round / 16).and_then(|shifts| shifts.get(round % 4));
        let sum = a.wrapping_add(mixed).wrapping_add(*constant).wrapping_add(word);
        let rotated = sum.rotate_left(shift.copied().unwrap_or_default());
        (a, b, c, d) = (d, b.wrapping_add(rotated), b, c);
    }
    let [first, second, third, fourth] = state;
    [
        first.wrapping_add(a),
        second.wrapping_add(b),
        third.wrapping_add(c),
        fourth.wrapping_add(d),
    ]
}

#[cfg(test)]
mod tests {
    use super::hexadecimal;

    #[test]
    fn digests_are_those_of_the_crate_md5() {
        assert_eq!(hexadecimal(b""), "d41d8cd98f00b204e9800998ecf8427e");
        for length in 0..300 {
            let text = "Flyte \u{fc}\u{ff}".repeat(50).into_bytes();
            let text = &text[..length];
            assert_eq!(hexadecimal(text), format!("{:x}", md5::compute(text)), "{length}");
        }
    }
}
