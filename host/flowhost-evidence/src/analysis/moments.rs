//! Times of evidence as people and files have them, in UTC: the library's own formatting is more code than these lines.

use time::{Duration, OffsetDateTime, UtcOffset};

/// In UTC; the last hours of the calendar, which have no place in it there, stay where they are.
fn utc(at: OffsetDateTime) -> OffsetDateTime {
    at.checked_to_offset(UtcOffset::UTC).unwrap_or(at)
}

/// `2026-11-26`.
pub(super) fn day(at: OffsetDateTime) -> String {
    let date = utc(at).date();
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

/// `2026-11-26T08:00:00Z`, as RFC 3339 has it; parts of a second are left out.
#[must_use]
pub fn moment(at: OffsetDateTime) -> String {
    let time = utc(at).time();
    let (hour, minute, second) = time.as_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", day(at))
}

/// The Monday on which the week began, at midnight UTC.
pub(super) fn monday(at: OffsetDateTime) -> OffsetDateTime {
    let midnight = utc(at).replace_time(time::Time::MIDNIGHT);
    let back = i64::from(midnight.weekday().number_days_from_monday());
    // Before the first Monday of the calendar there is no evidence.
    midnight
        .checked_sub(Duration::days(back))
        .unwrap_or(midnight)
}
