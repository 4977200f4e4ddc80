//! Ids in the form of a version 4 UUID (RFC 9562, section 5.4), drawn from the step's seed and the
//! reminder's key instead of from a random source: the same in every attempt and replay.

/// The state key of a scenario and a device within a run, or within all of them. Lengths come first, so
/// no two share a key.
pub(crate) fn key(within: &str, scenario: &str, device: &str) -> String {
    format!("{within}:{}:{scenario}:{device}", scenario.len())
}

/// An id from a seed of 64 hexadecimal digits; none when it is something else.
pub(crate) fn from_seed(seed: &str, key: &str) -> Option<String> {
    let words: Option<Vec<u64>> = (0..4)
        .map(|word| u64::from_str_radix(seed.get(word * 16..(word + 1) * 16)?, 16).ok())
        .collect();
    let mut state = words?.into_iter().fold(0, |state, word| mix(state ^ word));
    for byte in key.bytes() {
        state = mix(state ^ u64::from(byte));
    }
    let high = mix(state ^ 1);
    let low = mix(state ^ 2);
    Some(format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff,
    ))
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn a_seed_of_another_form_gives_none() {
        for seed in [
            "",
            "00",
            "zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        ] {
            assert_eq!(from_seed(seed, "k"), None);
        }
    }

    #[test]
    fn two_pairs_or_runs_never_share_a_key() {
        assert_ne!(key("r", "a:b", "c"), key("r", "a", "b:c"));
        assert_ne!(key("r", "a", "b"), key("q", "a", "b"));
        assert_ne!(key("r", "a", "b"), key("", "a", "b"));
    }

    #[test]
    fn ids_have_the_form_of_a_version_4_uuid() {
        let id = from_seed(SEED, "k").expect("an id");
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(id.get(14..15), Some("4"));
        assert!(
            matches!(id.get(19..20), Some("8" | "9" | "a" | "b")),
            "{id}"
        );
    }

    #[test]
    fn the_same_seed_and_key_give_the_same_id_and_others_another() {
        assert_eq!(from_seed(SEED, "k"), from_seed(SEED, "k"));
        assert_ne!(from_seed(SEED, "k"), from_seed(SEED, "l"));
        assert_ne!(
            from_seed(SEED, "k"),
            from_seed(&SEED.replace("00", "01"), "k")
        );
    }
}
