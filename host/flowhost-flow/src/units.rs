//! How the plan file writes durations and money, and nothing else reads them another way.
//!
//! Durations are whole milliseconds and money is whole micro-dollars from here on: no floats, so that
//! sums are exact and the same everywhere.

use flowhost_words::meant;

/// The longest duration a plan may ask for: 366 days. Longer is a slip of the keyboard.
pub const DURATION_MS_MAX: u64 = 366 * 24 * 3_600_000;

/// The largest whole number that every JSON reader and every guest language keeps exactly: 2^53 − 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Milliseconds of `100ms`, `30s`, `10m`, `4h` or `2d`.
///
/// # Errors
/// A message that says what is wrong with the text.
pub fn parse_duration_ms(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 5] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ];
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(not_a_duration(text));
    };
    let Ok(number) = digits.parse::<u64>() else {
        return Err(not_a_duration(text));
    };
    match number.checked_mul(*factor) {
        Some(0) => Err(format!("`{text}` is zero, and a duration is longer")),
        Some(ms) if ms <= DURATION_MS_MAX => Ok(ms),
        _ => Err(format!("`{text}` is longer than 366 days")),
    }
}

/// What is wrong with the text, and what was probably meant.
fn not_a_duration(text: &str) -> String {
    let candidates = meant::durations(text).into_iter();
    let fitting = candidates.filter(|it| parse_duration_ms(it).is_ok());
    match meant::asked(fitting) {
        Some(asked) => format!("`{text}` is not a duration; {asked}"),
        None => format!("`{text}` is not a duration"),
    }
}

/// A number of milliseconds as a plan would write it, in its largest whole unit: `90s`, `4h`.
#[must_use]
pub(crate) fn shown_duration(ms: u64) -> String {
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let unit = units
        .iter()
        .find(|(_, factor)| ms >= *factor && ms.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", ms / factor),
        None => format!("{ms}ms"),
    }
}

/// Bytes of a size such as `512KiB`, `64MiB` or `1GiB`.
///
/// # Errors
/// A message that says what is wrong with the text.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let shift = match unit {
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(format!("`{text}` is not a size such as `64MiB`")),
    };
    let number: Option<u64> = number.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes
        .filter(|bytes| *bytes <= INTEGER_MAX)
        .ok_or_else(|| format!("`{text}` is not a size that a budget can hold"))
}

/// Micro-dollars of a decimal number of dollars such as `3`, `3.00` or `0.000001`.
///
/// # Errors
/// A message that says what is wrong with the text.
pub fn parse_micro_usd(text: &str) -> Result<u64, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(format!("`{text}` is not an amount of dollars"));
    }
    if fraction.len() > 6 {
        return Err(format!("`{text}` has more than six decimal places"));
    }
    let too_much = || format!("`{text}` dollars is more than a budget can hold");
    let dollars: u64 = whole.parse().map_err(|_| too_much())?;
    let micro: u64 = format!("{fraction:0<6}").parse().map_err(|_| too_much())?;
    let total = dollars
        .checked_mul(1_000_000)
        .and_then(|sum| sum.checked_add(micro));
    total.filter(|sum| *sum <= INTEGER_MAX).ok_or_else(too_much)
}

/// Dollars with six decimals, as expressions and reports show money.
#[must_use]
pub fn micro_usd_to_usd(micro: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "shown to people; sums are made in integers"
    )]
    let micro = micro as f64;
    micro / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "0s",
            "9999999999999999999s",
            "400d",
        ] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        assert_eq!(parse_duration_ms("100ms"), Ok(100));
        assert_eq!(parse_duration_ms("10m"), Ok(600_000));
        assert_eq!(parse_duration_ms("366d"), Ok(DURATION_MS_MAX));
    }

    #[test]
    fn refuses_what_is_not_money() {
        for text in [
            "",
            "-1",
            "1e3",
            ".5",
            "0.0000001",
            "99999999999999999999",
            "$3",
            "1_0",
        ] {
            assert!(parse_micro_usd(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_money_exactly() {
        assert_eq!(parse_micro_usd("3.00"), Ok(3_000_000));
        assert_eq!(parse_micro_usd("0.000001"), Ok(1));
        assert_eq!(parse_micro_usd("0.1"), Ok(100_000));
    }
}
