//! How people write sizes, durations, counts and money, and how we write them back.
//!
//! Everything is an integer inside (bytes, milliseconds, micro-USD). A value that is not exact in
//! its unit is refused rather than rounded.

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// `64MiB`: bytes, with `B`, `KiB`, `MiB` or `GiB`.
    Bytes,
    /// `30s`: milliseconds, with `ms`, `s`, `m` or `h`.
    Millis,
    /// `10_000`: a plain number.
    Count,
    /// `0.50`: decimal USD, kept as millionths.
    MicroUsd,
}

impl Unit {
    /// An example, for messages.
    pub(crate) const fn example(self) -> &'static str {
        match self {
            Self::Bytes => "`64MiB`",
            Self::Millis => "`30s`",
            Self::Count => "`10_000`",
            Self::MicroUsd => "`0.50`",
        }
    }

    const fn suffixes(self) -> &'static [(&'static str, u64)] {
        match self {
            Self::Bytes => &[
                ("GiB", 1 << 30),
                ("MiB", 1 << 20),
                ("KiB", 1 << 10),
                // Last, because all of the others end with it.
                ("B", 1),
            ],
            // In this order: `ms` ends with `s`, and the first that fits is taken.
            Self::Millis => &[("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)],
            Self::Count | Self::MicroUsd => &[],
        }
    }
}

/// Reads `64MiB` or `30s`. Digits may be grouped with `_`; there is no fraction and no sign.
pub(crate) fn parse(unit: Unit, text: &str) -> Option<u64> {
    let (digits, factor) = parts(unit, text)?;
    whole(digits)?.checked_mul(factor)
}

/// The digits of `64MiB` or `30s`, and what one of them counts.
fn parts(unit: Unit, text: &str) -> Option<(&str, u64)> {
    let mut suffixes = unit.suffixes().iter();
    suffixes.find_map(|(suffix, factor)| {
        let digits = text.strip_suffix(suffix)?;
        Some((digits.trim_end(), *factor))
    })
}

/// Reads a whole number.
pub(crate) fn whole(digits: &str) -> Option<u64> {
    let digits = is_whole(digits).then(|| digits.replace('_', ""));
    digits?.parse().ok()
}

fn is_whole(digits: &str) -> bool {
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '_')
}

/// Whether a text is written as it should be: what then cannot be read is too large for any limit.
pub(crate) fn is_well_written(unit: Unit, text: &str) -> bool {
    match unit {
        Unit::Count => is_whole(text),
        unit => parts(unit, text).is_some_and(|(digits, _)| is_whole(digits)),
    }
}

/// Reads `0.50` as 500 000 millionths; more than six decimals are refused.
pub(crate) fn micro_usd(text: &str) -> Option<u64> {
    let (units, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.is_empty() || decimals.len() > 6 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let fraction: u64 = format!("{decimals:0<6}").parse().ok()?;
    whole(units)?.checked_mul(1_000_000)?.checked_add(fraction)
}

/// Writes `value` so that reading it gives the same value again.
pub(crate) fn show(unit: Unit, value: u64) -> String {
    match unit {
        Unit::Bytes => with_suffix(
            value,
            &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)],
            "B",
        ),
        Unit::Millis => with_suffix(
            value,
            &[("h", 3_600_000), ("m", 60_000), ("s", 1_000)],
            "ms",
        ),
        Unit::Count => grouped(value),
        Unit::MicroUsd => money(value),
    }
}

fn with_suffix(value: u64, suffixes: &[(&str, u64)], smallest: &str) -> String {
    let fits = |factor: u64| value != 0 && value.is_multiple_of(factor);
    match suffixes.iter().find(|(_, factor)| fits(*factor)) {
        Some((suffix, factor)) => format!("{}{suffix}", value / factor),
        None => format!("{value}{smallest}"),
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

fn money(value: u64) -> String {
    let text = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
    let short = text.trim_end_matches('0');
    let decimals = short
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    format!("{short}{}", "0".repeat(2_usize.saturating_sub(decimals)))
}
