//! Hands each record to those who want it, and puts the story together at the end.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_ledger::records::lent::Record;
use flowhost_ledger::{Kind, LentRecord};
use time::{Date, Month, OffsetDateTime, Time};

use super::decisions::DecisionsOf;
use super::head::HeadOf;
use super::models::ModelsOf;
use super::spend::SpendOf;
use super::steps::StepsOf;
use super::stored::{PayloadSource, Shelf};
use super::talk::TalkOf;
use super::tools::ToolsOf;
use super::verdicts::VerdictsOf;
use super::{Seal, Story};

/// Everything that was read so far.
#[derive(Default)]
pub(crate) struct Gather {
    head: HeadOf,
    steps: StepsOf,
    tools: ToolsOf,
    models: ModelsOf,
    decisions: DecisionsOf,
    verdicts: VerdictsOf,
    spend: SpendOf,
    talk: TalkOf,
    erased: BTreeSet<u64>,
    kinds: BTreeMap<Kind, u64>,
    /// Records of kinds that only a newer host knows.
    unknown: BTreeMap<String, u64>,
    records: u64,
}

impl Gather {
    /// Takes the next record.
    pub(crate) fn record(&mut self, record: &LentRecord<'_>) {
        self.records = self.records.saturating_add(1);
        let count = match record.kind {
            Some(kind) => self.kinds.entry(kind).or_default(),
            None => self.unknown.entry(record.kind_text.to_owned()).or_default(),
        };
        *count += 1;
        let at_us = micros(record.ts);
        self.head.passed(record, at_us);
        match record.read() {
            Ok(Some(said)) => self.said(record, &said, at_us),
            // A newer host wrote a kind that this one does not know; it is counted.
            Ok(None) => {}
            Err(error) => self.head.odd(record, &error),
        }
    }

    fn said(&mut self, record: &LentRecord<'_>, said: &Record<'_>, at_us: u64) {
        self.head.record(record, said);
        self.decisions.record(record, said);
        self.talk.record(record, said);
        match said {
            Record::StepStart(_)
            | Record::StepEnd(_)
            | Record::AttemptStart(_)
            | Record::AttemptEnd(_) => self.steps.record(record, said, at_us),
            Record::ToolCall(call) => self.tools.call(record, call, at_us),
            Record::ToolResult(result) => self.tools.result(record, result, at_us),
            Record::ModelIntent(intent) if !said.is_denial() => {
                self.models.intent(record, intent, at_us);
            }
            Record::ModelResult(result) => self.models.result(record, result, at_us),
            Record::GuardVerdict(verdict) => self.verdicts.record(record, verdict),
            Record::Consensus(consensus) => self.verdicts.ruling(record, consensus),
            Record::Budget(budget) => self.spend.record(record, budget),
            Record::RunEnd(_) => self.steps.over(),
            Record::RunSettle(word) => self.steps.settled(word),
            Record::Erasure(erasure) => self.erased.extend(&erasure.seqs),
            _ => {}
        }
    }

    /// The story, with payloads out of `source`. Each part takes its share of the page's room in the
    /// order in which a reader would miss it.
    pub(crate) fn finish(self, source: &dyn PayloadSource, seal: Seal) -> Story {
        let known = self.kinds.into_iter();
        let known = known.map(|(kind, count)| (kind.as_str().to_owned(), count));
        let kinds: BTreeMap<String, u64> = known.chain(self.unknown).collect();
        let seal = Seal {
            records: self.records,
            kinds: kinds.into_iter().collect(),
            erased: self.erased.len() as u64,
            ..seal
        };
        let mut shelf = Shelf::new(source, self.erased);
        let (head, plugins, swaps) = self.head.finish(&mut shelf);
        let peaks = self.tools.peaks(&plugins.items);
        let mut steps = self.steps.finish(&mut shelf, peaks, head.stands.as_ref());
        let models = self.models.finish(&mut shelf, &steps);
        let tools = self.tools.finish(&mut shelf, &steps);
        steps.mark(&tools, &models);
        Story {
            spend: self.spend.finish(&head, &models, &mut shelf),
            verdicts: self.verdicts.finish(&steps, &mut shelf),
            decisions: self.decisions.finish(&steps, &shelf),
            talk: self.talk.finish(&plugins.items),
            head,
            plugins,
            swaps,
            steps,
            graph: None,
            models,
            tools,
            seal,
        }
    }
}

/// Microseconds since 1970; 0 for what is no time. The reader has seen that it has the one form that records have,
/// so that the digits stand where they stand: every record of a run has a time.
fn micros(ts: &str) -> u64 {
    let number = |from: usize, to: usize| ts.get(from..to)?.parse::<u32>().ok();
    let parsed = || {
        let date = Date::from_calendar_date(
            i32::try_from(number(0, 4)?).ok()?,
            Month::try_from(u8::try_from(number(5, 7)?).ok()?).ok()?,
            u8::try_from(number(8, 10)?).ok()?,
        );
        let [hour, minute, second] = [number(11, 13)?, number(14, 16)?, number(17, 19)?];
        let [hour, minute, second] = [hour, minute, second].map(|it| u8::try_from(it).ok());
        let time = Time::from_hms_micro(hour?, minute?, second?, number(20, 26)?);
        let at = OffsetDateTime::new_utc(date.ok()?, time.ok()?);
        u64::try_from(at.unix_timestamp_nanos() / 1_000).ok()
    };
    parsed().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_record_is_read_to_the_microsecond() {
        for us in [0, 1, 1_795_651_200_123_456, 253_402_300_799_999_999] {
            assert_eq!(micros(&flowhost_ledger::timestamp(us)), us);
        }
        for none in ["", "yesterday", "2026-13-01T00:00:00.000000Z"] {
            assert_eq!(micros(none), 0);
        }
    }
}
