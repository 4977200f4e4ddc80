//! The steps and records of a run as a person reads them: a `foreach` is one line with a count, however many items it
//! had, and what failed says why, in a run that ended well, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowhost::output::{counted, neutral, one_line};
use flowhost_evidence::places::Places;
use flowhost_evidence::runs::{RecordEntry, Settled, StepEntry};
use flowhost_flow::StepStatus;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_ledger::records::Record;

use super::{seconds, time_of_day};
use crate::commands::tables::plain_table;

/// Items of one `foreach` whose failures are told, as the terminal does after a run.
const ITEMS_TOLD_MAX: usize = 5;

/// A step, with the items of a `foreach` in it.
pub(super) struct Line<'s> {
    step: StepEntry,
    items: Vec<&'s StepEntry>,
}

/// A line for each step; of a `foreach`, its items and what they run are in the step's own.
pub(super) fn lines(steps: &[StepEntry]) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for step in steps {
        let (of, item) = match step.path.split_once('[') {
            Some((of, item)) => (of, Some(item)),
            None => (step.path.as_str(), None),
        };
        let place = *places.entry(of).or_insert(lines.len());
        if place == lines.len() {
            lines.push(Line::of(of));
        }
        let Some(line) = lines.get_mut(place) else {
            debug_assert!(false, "the line of a place was made with it");
            continue;
        };
        match item {
            None => line.step = step.clone(),
            // `check[3]`, and not a step of a plan that the item runs (`check[3]/read`).
            Some(item) if item.ends_with(']') && !item.contains(['/', '[']) => {
                line.items.push(step);
            }
            Some(_) => {}
        }
    }
    lines
}

/// A line for each step and each item, for one who asked for them.
pub(super) fn every(steps: &[StepEntry]) -> Vec<Line<'_>> {
    let alone = |step: &StepEntry| Line {
        step: step.clone(),
        items: Vec::new(),
    };
    steps.iter().map(alone).collect()
}

impl Line<'_> {
    /// The line of a step of which only items are on record yet.
    fn of(path: &str) -> Self {
        Self {
            step: StepEntry {
                path: path.to_owned(),
                status: flowhost_evidence::runs::UNFINISHED.to_owned(),
                ..StepEntry::default()
            },
            items: Vec::new(),
        }
    }

    /// `400 items: 3 failed`.
    fn told(&self) -> String {
        if self.items.is_empty() {
            let settled = self.step.settled.as_ref();
            return settled.map_or_else(String::new, by_hand);
        }
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for item in self
            .items
            .iter()
            .filter(|it| it.status != StepStatus::Ok.word())
        {
            *others.entry(&item.status).or_default() += 1;
        }
        let others: Vec<String> = others
            .iter()
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let items = counted(self.items.len(), "item");
        match others.is_empty() {
            true => items,
            false => format!("{items}: {}", others.join(", ")),
        }
    }

    /// What the step used, or its items: the join of a `foreach` uses nothing by itself.
    fn used(&self, amount: impl Fn(&StepEntry) -> u64) -> u64 {
        let of_items = self.items.iter().map(|item| amount(item));
        amount(&self.step).max(of_items.fold(0, u64::saturating_add))
    }
}

/// Spaces where nothing was used, so that what was used stands out.
pub(super) fn table(lines: &[Line<'_>]) -> String {
    let heads = [
        "step", "outcome", "attempts", "ms", "fuel", "tokens", "usd", "",
    ];
    let mut table = plain_table(&heads);
    let some = |number: u64| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    for line in lines {
        let step = &line.step;
        let usd = match line.used(|step| step.micro_usd) {
            0 => String::new(),
            micro_usd => format!("{:.6}", micro_usd_to_usd(micro_usd)),
        };
        table.add_row([
            one_line(&step.path),
            one_line(&step.status),
            step.attempts.to_string(),
            step.duration_ms.map_or(String::new(), |ms| ms.to_string()),
            some(line.used(|step| step.fuel)),
            some(line.used(|step| step.tokens)),
            usd,
            line.told(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// Why steps failed, a line each; of a `foreach`, the first of its items. `told` is the step whose failure stands
/// above; `why` reads what a step's end says.
pub(super) fn failures(
    lines: &[Line<'_>],
    told: &str,
    why: &dyn Fn(&StepEntry) -> Option<String>,
) -> String {
    let mut text = String::new();
    for line in lines {
        let step = &line.step;
        // A `foreach` fails of one of its items.
        let rest = told.strip_prefix(step.path.as_str());
        if !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('[')) {
            text.push_str(&failure(step, why));
        }
        let failed = line.items.iter().filter(|item| has_failed(item));
        for item in failed.clone().take(ITEMS_TOLD_MAX) {
            text.push_str(&failure(item, why));
        }
        let more = failed.count().saturating_sub(ITEMS_TOLD_MAX);
        if more > 0 {
            let path = one_line(&step.path);
            let _infallible = writeln!(text, "… and {more} more items of `{path}`: --step {path}");
        }
    }
    text
}

/// Who says that a person took back what the run could not.
fn by_hand(settled: &Settled) -> String {
    let at = seconds(&settled.at);
    format!("settled by hand by {}, {at}", one_line(&settled.by))
}

fn has_failed(step: &StepEntry) -> bool {
    step.status == StepStatus::Failed.word()
}

/// `` `check[3]` failed (transient): it is not there yet ``; nothing of a step that did not fail.
fn failure(step: &StepEntry, why: &dyn Fn(&StepEntry) -> Option<String>) -> String {
    if !has_failed(step) {
        return String::new();
    }
    let class = step.class.as_deref().map(|class| format!(" ({class})"));
    let class = one_line(&class.unwrap_or_default());
    let why = why(step).map(|why| neutral(&why).replace('\n', "\n  "));
    let why = why.unwrap_or_else(|| "no record says why".to_owned());
    let settled = step.settled.as_ref();
    let settled = settled.map_or_else(String::new, |it| format!("\n  {}", by_hand(it)));
    format!("`{}` failed{class}: {why}{settled}\n", one_line(&step.path))
}

/// A row for each record.
pub(super) fn every_record(records: &[RecordEntry]) -> String {
    let rows = records.iter().map(row);
    records_table(rows)
}

/// A row for each record but for those of the items of a `foreach`: they are one row, where the first of them stands.
pub(super) fn records(records: &[RecordEntry]) -> String {
    let places = Places::of(records);
    let foreach = |record: &RecordEntry| {
        let said = record.said.as_ref()?;
        places.foreach(said).map(str::to_owned)
    };
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for record in records {
        if let Some(of) = foreach(record) {
            let (all, denied) = counts.entry(of).or_default();
            *all += 1;
            *denied += usize::from(record.said.as_ref().is_some_and(Record::is_denial));
        }
    }
    let rows = records.iter().filter_map(|record| match foreach(record) {
        None => Some(row(record)),
        // Where it is not there any more, the row has been written.
        Some(of) => counts
            .remove(&of)
            .map(|counted| items_row(record, &of, counted)),
    });
    records_table(rows)
}

fn records_table(rows: impl Iterator<Item = [String; 5]>) -> String {
    let mut table = plain_table(&["seq", "time", "actor", "kind", ""]);
    for row in rows {
        table.add_row(row);
    }
    format!("{}\n", table.trim_fmt())
}

fn row(record: &RecordEntry) -> [String; 5] {
    [
        record.seq.to_string(),
        time_of_day(&record.ts),
        one_line(&record.actor),
        one_line(&record.kind),
        one_line(&record.summary()),
    ]
}

fn items_row(first: &RecordEntry, of: &str, (all, denied): (usize, usize)) -> [String; 5] {
    let of = one_line(of);
    let denials = match denied {
        0 => String::new(),
        count => format!(", of them {} (--denials)", counted(count, "denial")),
    };
    let all = counted(all, "record");
    [
        first.seq.to_string(),
        time_of_day(&first.ts),
        "…".to_owned(),
        "…".to_owned(),
        format!("{all} of the items of `{of}`{denials}: --step {of}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &str, status: &str, fuel: u64) -> StepEntry {
        StepEntry {
            path: path.to_owned(),
            status: status.to_owned(),
            fuel,
            ..StepEntry::default()
        }
    }

    #[test]
    fn a_foreach_is_one_line_that_counts_its_items_and_not_what_they_run() {
        let steps = [
            step("all[0]", "ok", 2),
            step("all[0]/read", "failed", 2),
            step("all[1]", "failed", 3),
            step("all", "failed", 0),
            step("next", "skipped", 0),
        ];
        let lines = lines(&steps);
        let paths: Vec<&str> = lines.iter().map(|line| line.step.path.as_str()).collect();
        assert_eq!(paths, ["all", "next"]);
        assert_eq!(lines[0].told(), "2 items: 1 failed");
        assert_eq!(lines[0].used(|step| step.fuel), 5);
        assert_eq!(lines[0].step.status, "failed");
        assert_eq!(lines[1].told(), "");
    }

    #[test]
    fn failures_are_told_with_their_reason_and_the_first_items_only() {
        let mut steps: Vec<StepEntry> = (0..8)
            .map(|item| step(&format!("all[{item}]"), "failed", 0))
            .collect();
        steps.push(step("other", "failed", 0));
        let why = |step: &StepEntry| (step.path != "all[1]").then(|| "it is off".to_owned());
        let text = failures(&lines(&steps), "other", &why);
        let told: Vec<&str> = text.lines().collect();
        assert_eq!(told.len(), 6, "{text}");
        assert_eq!(told[0], "`all[0]` failed: it is off");
        assert_eq!(told[1], "`all[1]` failed: no record says why");
        assert_eq!(told[5], "… and 3 more items of `all`: --step all");
    }
}
