//! The country codes that are assigned (ITU-T E.164), and how many digits may follow each. Where a
//! country's numbers differ in length the range is wide: the code and a rough length are enough to
//! tell a number from a date or a sum.

use std::ops::RangeInclusive;

/// A country's numbers.
pub(super) struct Country {
    /// Digits of the code.
    pub(super) code: usize,
    /// Digits behind it.
    pub(super) digits: RangeInclusive<usize>,
}

/// Codes with one length or a narrow range: those whose numbers are printed most, and those that a date
/// or a sum could start like.
const KNOWN: &[(u16, RangeInclusive<usize>)] = &[
    (1, 10..=10),
    (7, 10..=10),
    (20, 8..=10),
    (27, 9..=9),
    (30, 10..=10),
    (31, 9..=9),
    (32, 8..=9),
    (33, 9..=9),
    (34, 9..=9),
    (36, 8..=9),
    (39, 6..=11),
    (40, 9..=9),
    (41, 9..=9),
    (43, 6..=13),
    (44, 9..=10),
    (45, 8..=8),
    (46, 7..=10),
    (47, 8..=8),
    (48, 9..=9),
    (49, 6..=12),
    (51, 8..=9),
    (52, 10..=11),
    (53, 6..=8),
    (54, 10..=11),
    (55, 10..=11),
    (56, 8..=9),
    (57, 8..=10),
    (58, 10..=10),
    (60, 8..=10),
    (61, 9..=9),
    (62, 8..=12),
    (63, 8..=10),
    (64, 8..=10),
    (65, 8..=8),
    (66, 8..=9),
    (81, 9..=10),
    (82, 8..=11),
    (84, 9..=10),
    (86, 10..=11),
    (90, 10..=10),
    (91, 10..=10),
    (92, 9..=10),
    (93, 9..=9),
    (94, 9..=9),
    (95, 7..=10),
    (98, 10..=10),
];

/// The first two digits of the codes of three digits, and what follows them in most of their countries.
const BY_TENS: &[(u16, RangeInclusive<usize>)] = &[
    (21, 8..=9),
    (22, 7..=9),
    (23, 7..=10),
    (24, 6..=9),
    (25, 7..=9),
    (26, 7..=9),
    (29, 5..=7),
    (35, 7..=11),
    (37, 6..=9),
    (38, 8..=9),
    (42, 7..=9),
    (50, 5..=8),
    (59, 6..=9),
    (67, 5..=8),
    (68, 5..=8),
    (69, 5..=8),
    (80, 8..=8),
    (85, 7..=10),
    (87, 8..=11),
    (88, 7..=10),
    (96, 7..=10),
    (97, 7..=10),
    (99, 8..=9),
];

/// The country of a number without its plus. Codes are free of each other's prefixes.
pub(super) fn of(digits: &[u8]) -> Option<Country> {
    let code = |length: usize| {
        digits.get(..length)?.iter().try_fold(0_u16, |code, digit| {
            Some(code * 10 + u16::from(digit.checked_sub(b'0')?))
        })
    };
    for length in 1..=2 {
        let known = KNOWN.iter().find(|row| Some(row.0) == code(length));
        if let Some((_, digits)) = known {
            return Some(Country {
                code: length,
                digits: digits.clone(),
            });
        }
    }
    BY_TENS
        .iter()
        .find(|row| Some(row.0) == code(2))
        .map(|(_, digits)| Country {
            code: 3,
            digits: digits.clone(),
        })
}
