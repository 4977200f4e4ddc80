//! Numbers as people read them. Pure.

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 step`, `2 steps`.
pub(super) fn plural(number: u64, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{} {word}", count(number))
}

/// `$0.001234`: exact to the micro-dollar, at least two decimals.
pub(super) fn usd(micro: u64) -> String {
    let (dollars, rest) = (micro / 1_000_000, micro % 1_000_000);
    let cents = format!("{rest:06}");
    let shown = cents.trim_end_matches('0');
    let shown = if shown.len() < 2 {
        cents.get(..2).unwrap_or("00")
    } else {
        shown
    };
    format!("${}.{shown}", count(dollars))
}

/// `340 µs`, `12.3 ms`, `4.56 s`, `3 min 07 s`.
pub(super) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{} ms", fraction(us, 1_000, 1)),
        100_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{} s", fraction(us, 1_000_000, 2)),
        60_000_000..3_600_000_000 => {
            let seconds = us / 1_000_000;
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        }
        _ => {
            let minutes = us / 60_000_000;
            format!("{} h {:02} min", count(minutes / 60), minutes % 60)
        }
    }
}

/// As [`micros`], from milliseconds.
pub(super) fn millis(ms: u64) -> String {
    match ms {
        0 => "0 ms".to_owned(),
        1..1_000 => format!("{ms} ms"),
        _ => micros(ms.saturating_mul(1_000)),
    }
}

/// `512 B`, `1.5 KiB`, `64 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size {
            return format!("{} {unit}", fraction(bytes, size, 1));
        }
    }
    format!("{bytes} B")
}

/// `3.0 M`: three or four figures of a large number.
pub(super) fn short(number: u64) -> String {
    let units = [
        ("T", 1_000_000_000_000_u64),
        ("G", 1_000_000_000),
        ("M", 1_000_000),
    ];
    for (unit, size) in units {
        if number >= size {
            return format!("{} {unit}", fraction(number, size, 1));
        }
    }
    count(number)
}

/// `number / unit`, rounded down, with `decimals` decimals unless they are all zero.
fn fraction(number: u64, unit: u64, decimals: u32) -> String {
    let whole = number / unit;
    let scale = 10_u64.pow(decimals);
    let part = u128::from(number % unit) * u128::from(scale) / u128::from(unit.max(1));
    if part == 0 {
        return count(whole);
    }
    let width = decimals as usize;
    format!("{}.{part:0width$}", count(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact_to_the_micro_dollar() {
        let shown = [0, 1, 10, 1_234, 500_000, 1_000_000, 1_234_567_890].map(usd);
        let wanted = [
            "$0.00",
            "$0.000001",
            "$0.00001",
            "$0.001234",
            "$0.50",
            "$1.00",
            "$1,234.56789",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn times_and_sizes_keep_a_few_figures() {
        let shown = [340, 12_340, 123_456, 4_560_000, 187_000_000, 7_260_000_000].map(micros);
        assert_eq!(
            shown,
            [
                "340 µs",
                "12.3 ms",
                "123 ms",
                "4.56 s",
                "3 min 07 s",
                "2 h 01 min"
            ]
        );
        assert_eq!(
            [1, 1_536, 64 << 20].map(bytes),
            ["1 B", "1.5 KiB", "64 MiB"]
        );
        assert_eq!([9, 9_999, 3_006_625].map(short), ["9", "9,999", "3 M"]);
        assert_eq!(count(u64::MAX), "18,446,744,073,709,551,615");
    }
}
