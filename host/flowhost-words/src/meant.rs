//! Which duration, size or amount was probably meant, where a unit is missing or written as elsewhere.
//!
//! Plans, profiles and configurations take few spellings, so that a number means one thing only. What
//! people are used to write is recognised here for messages alone: nothing is ever read by these rules.
//! Who asks holds each candidate against its own reader, because the documents differ in their bounds.

/// Bytes of the longest text that is looked at: what is longer is no quantity with a slip in it.
const TEXT_BYTES_MAX: usize = 32;

/// Below so many, a duration without a unit is taken for seconds; from there on it may as well be
/// milliseconds, which other tools count in.
const SECONDS_BELOW: u64 = 1_000;

/// Units of time as people write them, in milliseconds.
const TIMES: [(&[&str], u64); 5] = [
    (
        &[
            "ms",
            "msec",
            "msecs",
            "millis",
            "millisecond",
            "milliseconds",
        ],
        1,
    ),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
];

/// Units of size as people write them, as powers of two: who writes `64MB` for a limit means no other.
const SIZES: [(&[&str], u32); 5] = [
    (&["b", "byte", "bytes"], 0),
    (&["k", "kb", "ki", "kib"], 10),
    (&["m", "mb", "mi", "mib"], 20),
    (&["g", "gb", "gi", "gib"], 30),
    (&["t", "tb", "ti", "tib"], 40),
];

/// The durations that a text may mean, as plans and profiles write them.
///
/// # Examples
///
/// ```
/// use flowhost_words::meant;
///
/// assert_eq!(meant::durations("5"), ["5s"]);
/// assert_eq!(meant::durations("5000"), ["5000ms", "5000s"]);
/// assert_eq!(meant::durations("1.5 min"), ["90s"]);
/// assert!(meant::durations("soon").is_empty());
/// ```
#[must_use]
pub fn durations(text: &str) -> Vec<String> {
    let text = text.trim().to_ascii_lowercase();
    let Some(amounts) = amounts(&text) else {
        return Vec::new();
    };
    match amounts.as_slice() {
        [(thousandths, "")] => without_unit(*thousandths),
        amounts => in_ms(amounts).map(shown_ms).into_iter().collect(),
    }
}

fn without_unit(thousandths: u64) -> Vec<String> {
    let whole = thousandths / 1_000;
    match thousandths {
        0 => Vec::new(),
        // Thousandths of a second are milliseconds.
        _ if !thousandths.is_multiple_of(1_000) => vec![shown_ms(thousandths)],
        _ if whole < SECONDS_BELOW => vec![format!("{whole}s")],
        _ => vec![format!("{whole}ms"), format!("{whole}s")],
    }
}

/// The sum of `1h 30m`, unless it is nothing or no whole number of milliseconds.
fn in_ms(amounts: &[(u64, &str)]) -> Option<u64> {
    let mut sum = 0_u64;
    for (thousandths, unit) in amounts {
        let (_, factor) = TIMES.iter().find(|(words, _)| words.contains(unit))?;
        sum = sum.checked_add(whole(thousandths.checked_mul(*factor)?)?)?;
    }
    (sum > 0).then_some(sum)
}

fn shown_ms(ms: u64) -> String {
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let unit = units.iter().find(|(_, factor)| ms.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", ms / factor),
        None => format!("{ms}ms"),
    }
}

/// The sizes that a text may mean.
///
/// # Examples
///
/// ```
/// use flowhost_words::meant;
///
/// assert_eq!(meant::sizes("1 GB"), ["1GiB"]);
/// assert_eq!(meant::sizes("1024"), ["1KiB"]);
/// assert_eq!(meant::sizes("64"), ["64MiB", "64B"]);
/// ```
#[must_use]
pub fn sizes(text: &str) -> Vec<String> {
    let text = text.trim().to_ascii_lowercase();
    let amounts = amounts(&text).unwrap_or_default();
    let [(thousandths, unit)] = amounts.as_slice() else {
        return Vec::new();
    };
    if unit.is_empty() {
        return match whole(*thousandths) {
            None | Some(0) => Vec::new(),
            Some(bytes) if bytes.is_multiple_of(1 << 10) => vec![shown_bytes(bytes)],
            // A limit of so few bytes is hardly meant: mebibytes first.
            Some(bytes) if bytes < 1 << 10 => vec![format!("{bytes}MiB"), format!("{bytes}B")],
            Some(bytes) => vec![shown_bytes(bytes)],
        };
    }
    let shift = SIZES.iter().find(|(words, _)| words.contains(unit));
    let bytes = shift.and_then(|(_, shift)| whole(thousandths.checked_mul(1_u64 << *shift)?));
    let bytes = bytes.filter(|bytes| *bytes > 0);
    bytes.map(shown_bytes).into_iter().collect()
}

fn shown_bytes(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units
        .iter()
        .find(|(_, factor)| bytes.is_multiple_of(*factor));
    match unit {
        Some((name, factor)) => format!("{}{name}", bytes / factor),
        None => format!("{bytes}B"),
    }
}

/// The dollars that a text may mean.
///
/// # Examples
///
/// ```
/// use flowhost_words::meant;
///
/// assert_eq!(meant::dollars("$3"), ["3"]);
/// assert_eq!(meant::dollars("0,50 USD"), ["0.50"]);
/// // Three and a third place, or three thousand: nobody can tell.
/// assert!(meant::dollars("3,000").is_empty());
/// ```
#[must_use]
pub fn dollars(text: &str) -> Vec<String> {
    if text.len() > TEXT_BYTES_MAX {
        return Vec::new();
    }
    let text = text.trim().to_ascii_lowercase();
    let bare = ["us$", "$", "usd"]
        .iter()
        .find_map(|sign| text.strip_prefix(*sign))
        .unwrap_or(&text);
    let bare = ["dollars", "dollar", "usd", "$"]
        .iter()
        .find_map(|word| bare.strip_suffix(*word))
        .unwrap_or(bare)
        .trim();
    let (whole, part) = match bare.split_once(',') {
        Some((_, part)) if part.len() == 3 => return Vec::new(),
        Some(halves) => halves,
        None => bare.split_once('.').unwrap_or((bare, "")),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) {
        return Vec::new();
    }
    vec![match part {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }]
}

/// The question that a message ends with; none without candidates.
///
/// # Examples
///
/// ```
/// use flowhost_words::meant;
///
/// let asked = meant::asked(meant::durations("5"));
/// assert_eq!(asked.as_deref(), Some("did you mean `5s`?"));
/// ```
#[must_use]
pub fn asked(candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let candidates: Vec<String> = candidates.into_iter().map(|it| format!("`{it}`")).collect();
    let all = candidates.join(" or ");
    (!all.is_empty()).then(|| format!("did you mean {all}?"))
}

/// Numbers, each with the unit that follows, in thousandths: of `1h 30.5m` these are 1000 `h` and 30500 `m`.
fn amounts(text: &str) -> Option<Vec<(u64, &str)>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || matches!(c, '.' | '_'))?;
        let (unit, after) = split(after.trim_start(), |c| c.is_ascii_alphabetic())?;
        found.push((thousandths(&number.replace('_', ""))?, unit));
        rest = after.trim_start();
    }
    Some(found)
}

/// The text up to the first character that does not belong, and the rest.
fn split(text: &str, belongs: impl Fn(char) -> bool) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !belongs(c)).unwrap_or(text.len());
    text.split_at_checked(end)
}

/// A number with at most three decimals; none where there are no digits, so that a loop over numbers ends.
fn thousandths(number: &str) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !digits(part) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(part)
}

fn whole(thousandths: u64) -> Option<u64> {
    thousandths
        .is_multiple_of(1_000)
        .then_some(thousandths / 1_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn means_nothing_by_what_is_no_quantity() {
        for text in [
            "",
            "soon",
            "0",
            "0s",
            "-5",
            "s",
            "1..5s",
            "5 parsecs",
            "1e3",
            "∞",
        ] {
            assert!(durations(text).is_empty(), "{text}");
        }
        for text in ["", "0", "0B", "-1", "much", "1.2345MiB", "1m 1k", "half"] {
            assert!(sizes(text).is_empty(), "{text}");
        }
        for text in ["", "$", "lots", "-1", "1e3", "1,000", "1.000.000", "3 €"] {
            assert!(dollars(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn knows_units_as_people_write_them() {
        for (text, meant) in [
            ("10 s", "10s"),
            ("2 Hours", "2h"),
            ("1h30m", "90m"),
            ("1.5s", "1500ms"),
            ("0.25", "250ms"),
            ("3d", "72h"),
            ("90", "90s"),
        ] {
            assert_eq!(durations(text), [meant], "{text}");
        }
        for (text, meant) in [
            ("64MB", "64MiB"),
            ("64 mib", "64MiB"),
            ("1.5 GB", "1536MiB"),
            ("1T", "1024GiB"),
            ("65536", "64KiB"),
            ("65_536 bytes", "64KiB"),
            ("1000000", "1000000B"),
        ] {
            assert_eq!(sizes(text), [meant], "{text}");
        }
        for (text, meant) in [("$0.50", "0.50"), ("3 USD", "3"), ("usd 3.00", "3.00")] {
            assert_eq!(dollars(text), [meant], "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_looked_at_in_bounds(text in ".{0,40}") {
            prop_assert!(durations(&text).len() <= 2);
            prop_assert!(sizes(&text).len() <= 2);
            prop_assert!(dollars(&text).len() <= 1);
        }
    }
}
