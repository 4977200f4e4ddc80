//! Durations and hours of the day as the configuration writes them.

use std::time::Duration;

/// Longest duration that can be written: a day.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Minutes of a day.
pub(crate) const DAY_MINUTES: u32 = 24 * 60;

/// `200ms`, `10s`, `2m`, `1h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let value = Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?);
    (value <= DURATION_MAX).then_some(value)
}

/// `22:00` as minutes since midnight; `24:00` is the day's end.
pub(crate) fn minute_of_day(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let minute = hours * 60 + minutes;
    // `24:00` is allowed: a window that ends with the day could not be written otherwise.
    (minutes < 60 && minute <= DAY_MINUTES).then_some(minute)
}

/// A number with up to `decimals` decimals as an integer of its last decimal, so that nothing is
/// computed with floats. `None` when it is negative, above `max`, no number, or finer.
pub(crate) fn fixed(value: f64, decimals: u32, max: f64) -> Option<u64> {
    if !(0.0..=max).contains(&value) {
        return None;
    }
    // The shortest text that reads back as this float is what the author wrote.
    let text = format!("{value}");
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let width = usize::try_from(decimals).ok()?;
    (part.len() <= width).then(|| format!("{whole}{part:0<width$}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "10 s",
            "25h",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        assert_eq!(duration("200ms"), Some(Duration::from_millis(200)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("0ms"), Some(Duration::ZERO));
    }

    #[test]
    fn refuses_what_is_no_hour() {
        for text in ["", "24:01", "7:00", "07:60", "07", "+7:00", "07:00:00"] {
            assert_eq!(minute_of_day(text), None, "{text}");
        }
        assert_eq!(minute_of_day("22:30"), Some(1_350));
        assert_eq!(minute_of_day("24:00"), Some(DAY_MINUTES));
    }

    #[test]
    fn reads_decimals_exactly() {
        assert_eq!(fixed(0.1, 6, 100.0), Some(100_000));
        assert_eq!(fixed(1.25, 6, 100.0), Some(1_250_000));
        assert_eq!(fixed(0.000_001, 6, 100.0), Some(1));
        assert_eq!(fixed(0.3, 3, 100.0), Some(300));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 101.0, 0.000_000_1] {
            assert_eq!(fixed(bad, 6, 100.0), None, "{bad}");
        }
    }
}
