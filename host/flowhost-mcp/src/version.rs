//! Revisions of the protocol, which are dates: later ones compare greater as text.

/// The revision of the modern era that is spoken.
pub const MODERN: &str = "2026-07-28";
/// The newest revision that opens with `initialize`.
pub const LEGACY: &str = "2025-11-25";
/// Every revision that is spoken, newest first. Frames are the same since 2024-11-05. Its own HTTP transport, which
/// 2025-03-26 replaced, is not spoken: who asks for that revision over the later one is answered in it.
pub const SUPPORTED: [&str; 5] = [MODERN, LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"];

/// Whether a revision says of itself in every request what older ones agreed on once.
/// What is no date is none of them, although `latest` compares greater than every date.
#[must_use]
pub fn is_modern(version: &str) -> bool {
    is_date(version) && version >= MODERN
}

/// Whether it has the form `2026-07-28`, in which dates compare as text.
fn is_date(version: &str) -> bool {
    let digit_or_dash = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    version.len() == MODERN.len() && version.bytes().enumerate().all(digit_or_dash)
}

/// Whether a revision is spoken here.
#[must_use]
pub fn is_supported(version: &str) -> bool {
    SUPPORTED.contains(&version)
}

/// What `initialize` agrees on: the revision that the client asks for if it has that handshake and is
/// spoken, else the newest that has it.
#[must_use]
pub fn negotiate(asked: &str) -> &'static str {
    let spoken = SUPPORTED.into_iter().find(|version| *version == asked);
    spoken
        .filter(|version| !is_modern(version))
        .unwrap_or(LEGACY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_date_is_no_revision_of_the_modern_era() {
        for version in [
            "latest",
            "3",
            "2026-07-2x",
            "2026-07-28-draft",
            "20260728xx",
            "",
            LEGACY,
        ] {
            assert!(!is_modern(version), "{version}");
        }
        assert!(is_modern(MODERN) && is_modern("2027-01-01"));
    }

    #[test]
    fn initialize_never_agrees_on_a_revision_without_it() {
        for asked in [MODERN, "2027-01-01", "", "1.0", "latest"] {
            assert_eq!(negotiate(asked), LEGACY, "{asked}");
        }
    }

    #[test]
    fn initialize_agrees_on_what_the_client_asks_for_when_it_is_spoken() {
        for version in SUPPORTED.into_iter().filter(|version| !is_modern(version)) {
            assert_eq!(negotiate(version), version);
        }
    }

    #[test]
    fn revisions_stand_newest_first() {
        assert!(SUPPORTED.windows(2).all(|pair| pair[0] > pair[1]));
    }
}
