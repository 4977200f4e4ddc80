//! Times of evidence as people and files have them, in UTC: the library's own formatting is more code than these lines.

use time::{Duration, OffsetDateTime, UtcOffset};

/// `2026-11-26`.
pub(super) fn day(at: OffsetDateTime) -> String {
    let date = at.to_offset(UtcOffset::UTC).date();
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
    let time = at.to_offset(UtcOffset::UTC).time();
    let (hour, minute, second) = time.as_hms();
    format!("{}T{hour:02}:{minute:02}:{second:02}Z", day(at))
}

/// The Monday on which the week began, at midnight UTC.
pub(super) fn monday(at: OffsetDateTime) -> OffsetDateTime {
    let at = at.to_offset(UtcOffset::UTC);
    let midnight = at.replace_time(time::Time::MIDNIGHT);
    let back = i64::from(midnight.weekday().number_days_from_monday());
    // Before the first Monday of the calendar there is no evidence.
    midnight
        .checked_sub(Duration::days(back))
        .unwrap_or(midnight)
}
