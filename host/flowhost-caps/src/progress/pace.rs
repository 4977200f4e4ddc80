//! How much of what a plugin reports is shown, and how much is recorded. Pure but for the time that it
//! is given: what is shown goes by time, what is recorded never does, so that a replay records the same.

use std::time::Duration;

/// Time between two reports that are shown; people read no faster.
const SHOWN_EVERY: Duration = Duration::from_millis(100);

/// Records of one call: each tenth, the start and the end; a plugin that knows no total has as many
/// powers of two.
const RECORDS_MAX: u32 = 12;

/// Where a call stands.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How far it said it was.
    done: Option<f64>,
    shown_at: Option<tokio::time::Instant>,
    reports: u64,
    tenth: Option<u8>,
    records: u32,
}

/// What becomes of one report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) show: bool,
    pub(super) record: bool,
}

impl Pace {
    /// Reports that counted so far.
    pub(super) fn reports(&self) -> u64 {
        self.reports
    }

    /// Judges one report. What is not a number or does not grow is not progress.
    pub(super) fn report(
        &mut self,
        done: f64,
        total: Option<f64>,
        now: tokio::time::Instant,
    ) -> Due {
        let grows = done.is_finite() && self.done.is_none_or(|before| done > before);
        if !grows {
            return Due::default();
        }
        self.done = Some(done);
        self.reports = self.reports.saturating_add(1);
        let ends = total.is_some_and(|total| done >= total);
        let rests = |shown: tokio::time::Instant| now.duration_since(shown) < SHOWN_EVERY;
        let show = ends || !self.shown_at.is_some_and(rests);
        if show {
            self.shown_at = Some(now);
        }
        // Not by `show`, which goes by time: a replay takes no time and has to record the same.
        let record = self.records < RECORDS_MAX && self.is_milestone(done, total);
        self.records += u32::from(record);
        Due { show, record }
    }

    fn is_milestone(&mut self, done: f64, total: Option<f64>) -> bool {
        let Some(tenth) = total.and_then(|total| tenth(done, total)) else {
            return self.reports.is_power_of_two();
        };
        let passed = self.tenth.is_none_or(|before| tenth > before);
        if passed {
            self.tenth = Some(tenth);
        }
        passed
    }
}

/// How many tenths of `total` are done; none where that has no meaning.
fn tenth(done: f64, total: f64) -> Option<u8> {
    let part = done / total;
    (total > 0.0 && part.is_finite()).then(|| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=10 before"
        )]
        let tenth = (part * 10.0).clamp(0.0, 10.0).floor() as u8;
        tenth
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn recorded(reports: impl Iterator<Item = (f64, Option<f64>)>) -> usize {
        let (mut pace, now) = (Pace::default(), Instant::now());
        reports
            .filter(|(done, total)| pace.report(*done, *total, now).record)
            .count()
    }

    #[test]
    fn what_does_not_grow_or_has_no_number_is_not_progress() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert!(pace.report(1.0, Some(2.0), now).show);
        for done in [1.0, 0.5, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(pace.report(done, Some(2.0), now), Due::default(), "{done}");
        }
        assert_eq!(pace.reports(), 1);
    }

    #[test]
    fn records_are_few_however_much_is_reported() {
        let many = |total| (0..100_000).map(move |done| (f64::from(done), total));
        assert_eq!(recorded(many(Some(99_999.0))), 11);
        assert!(recorded(many(None)) <= RECORDS_MAX as usize);
        assert!(recorded(many(Some(0.0))) <= RECORDS_MAX as usize);
        assert!(recorded(many(Some(f64::NAN))) <= RECORDS_MAX as usize);
        // A total that shrinks at every report moves the tenths forward once each.
        let shrinking =
            (1..100_000).map(|done| (f64::from(done), Some(200_000.0 / f64::from(done))));
        assert!(recorded(shrinking) <= RECORDS_MAX as usize);
    }

    #[test]
    fn shows_no_faster_than_people_read_but_always_the_end() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut at = |done: f64, ms: u64| {
            let now = start + Duration::from_millis(ms);
            pace.report(done, Some(10.0), now).show
        };
        assert!(at(1.0, 0) && !at(2.0, 99) && at(3.0, 100) && !at(4.0, 101));
        assert!(at(10.0, 102));
    }
}
