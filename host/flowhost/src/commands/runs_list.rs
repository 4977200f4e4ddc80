//! `flowhost runs list`, and which runs a person means by a filter.

use std::collections::BTreeSet;

use flowhost::failure::Failure;
use flowhost::output::one_line;
use flowhost::report::problems::unreadable_index;
use flowhost::state::{FindRuns as _, is_gone};
use flowhost_evidence::runs::{self, GONE, INTERRUPTED, RunEntry, WAITING};
use flowhost_flow::Exit;
use flowhost_flow::units::parse_duration_ms;
use flowhost_ledger::{KILLED, RealDisk, size_at_end, timestamp};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::{FilterArgs, ListArgs};
use crate::commands::Context;
use crate::commands::runs_show::{cut_short, seconds};
use crate::commands::tables::plain_table;

pub(super) fn perform(args: &ListArgs, context: &Context) -> Result<Exit, Failure> {
    let now_ms = context.ambient.now_ms();
    let since = args.since.as_deref().map(|text| moment(text, now_ms));
    let since = since.transpose()?;
    let mut entries = there(context)?;
    let any = !entries.is_empty();
    entries.retain(|run| {
        (args.removed || run.removed.is_none())
            && args.filter.means(run)
            // Both are written the same way, to the microsecond and in UTC, so the texts are in the order of time.
            && since.as_ref().is_none_or(|since| run.started >= *since)
    });
    entries.reverse();
    for entry in &mut entries {
        entry.warning = cut(entry, context);
    }
    if context.output.json {
        context.output.document(&entries);
    } else if entries.is_empty() {
        context.output.message(&match any {
            true => format!("{}\n", none_meant(args)),
            false => "no run yet\n".to_owned(),
        });
    } else {
        for (run, warning) in entries
            .iter()
            .filter_map(|it| Some((&it.run_id, it.warning.as_ref()?)))
        {
            let text =
                format!("warning: run {run}: {warning}; `flowhost verify {run}` says more\n");
            context.output.message(&context.state.told(&text));
        }
        context.output.result(&table(&entries));
    }
    Ok(Exit::Ok)
}

/// That no run is what was asked for.
fn none_meant(args: &ListArgs) -> String {
    let filter = &args.filter;
    let mut asked = Vec::new();
    if !filter.status.is_empty() {
        let status = filter.status.join("` or `");
        asked.push(format!("has the status `{status}`"));
    }
    if let Some(plan) = &filter.plan {
        asked.push(format!("is of the plan `{}`", one_line(plan)));
    }
    for (name, value) in &filter.labels {
        asked.push(format!(
            "has the label {}",
            one_line(&format!("{name}={value}"))
        ));
    }
    if let Some(since) = &args.since {
        asked.push(format!("began since {}", one_line(since)));
    }
    match asked.is_empty() {
        true => "no run is left: `--removed` lists those that were removed".to_owned(),
        false => format!("no run {}", asked.join(" and ")),
    }
}

/// That records are gone of a run that is said to be able to go on. Of those alone: most runs have ended, and each costs a
/// look at its folder.
fn cut(run: &RunEntry, context: &Context) -> Option<String> {
    let goes_on = [WAITING, INTERRUPTED, KILLED].contains(&run.status.as_str());
    if !goes_on || run.removed.is_some() {
        return None;
    }
    let there = size_at_end(&RealDisk, &context.state.run_dir(&run.run_id))?;
    cut_short(run.records, usize::try_from(there).unwrap_or(usize::MAX))
}

/// All runs of the index, oldest first.
pub(super) fn listed(context: &Context) -> Result<Vec<RunEntry>, Failure> {
    let root = context.state.root();
    runs::list(root, context.state.tenant()).map_err(unreadable_index(root))
}

/// As [`listed`], where a run whose folder is gone is [`GONE`].
pub(super) fn there(context: &Context) -> Result<Vec<RunEntry>, Failure> {
    let mut entries = listed(context)?;
    let folders = context.state.runs(&context.ambient)?;
    let folders: BTreeSet<String> = folders.into_iter().collect();
    let is_missing = |run: &RunEntry| {
        let has_folder = folders.contains(&run.run_id);
        run.removed.is_none() && !has_folder && is_gone(&context.state, &run.run_id)
    };
    if !entries.iter().any(is_missing) {
        return Ok(entries);
    }
    // Read again, and rarely: another process may have removed the run since.
    entries = listed(context)?;
    for run in entries.iter_mut().filter(|run| is_missing(run)) {
        GONE.clone_into(&mut run.status);
    }
    Ok(entries)
}

impl FilterArgs {
    /// Whether the run is meant.
    pub(super) fn means(&self, run: &RunEntry) -> bool {
        let has = |(name, value): &(String, String)| run.labels.get(name) == Some(value);
        (self.status.is_empty() || self.status.contains(&run.status))
            && self.plan.as_ref().is_none_or(|plan| *plan == run.plan)
            && self.labels.iter().all(has)
    }
}

fn table(entries: &[RunEntry]) -> String {
    let mut table = plain_table(&["run", "started", "status", "records", "plan"]);
    for entry in entries {
        let records = entry.records.map_or("-".to_owned(), |n| n.to_string());
        let status = match &entry.removed {
            None if entry.warning.is_some() => format!("{}, cut", entry.status),
            None => entry.status.clone(),
            Some(removed) => match removed.archive {
                Some(_) => format!("{}, archived", entry.status),
                None => format!("{}, removed", entry.status),
            },
        };
        table.add_row([
            entry.run_id.clone(),
            seconds(&entry.started),
            one_line(&status),
            records,
            one_line(&entry.plan),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// A moment as the index writes it: so long before now, or a time.
fn moment(text: &str, now_ms: u64) -> Result<String, Failure> {
    if let Ok(ms) = parse_duration_ms(text) {
        return Ok(timestamp(now_ms.saturating_sub(ms).saturating_mul(1_000)));
    }
    let whole = match text.contains('T') {
        true => text.to_owned(),
        false => format!("{text}T00:00:00Z"),
    };
    let parsed = OffsetDateTime::parse(&whole, &Rfc3339).map_err(|_| {
        Failure::new(Exit::Usage, format!("`--since {text}` is not a time")).hint(
            "write how long ago (`90m`, `36h`, `7d`), a day (`2026-11-20`), or a time with its zone \
             (`2026-11-20T08:30:00Z`)",
        )
    })?;
    // No run began before 1970.
    let micros = parsed.unix_timestamp_nanos().max(0) / 1_000;
    Ok(timestamp(u64::try_from(micros).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_so_long_before_now_and_nothing_else() {
        let now_ms = 1_764_154_800_000;
        let at = |text| moment(text, now_ms).unwrap();
        assert_eq!(at("2025-11-20"), "2025-11-20T00:00:00.000000Z");
        assert_eq!(at("2025-11-20T01:30:00+01:30"), at("2025-11-20"));
        assert_eq!(at("1h"), timestamp((now_ms - 3_600_000) * 1_000));
        for wrong in ["yesterday", "2025-13-01", "2025-11-20T08:00:00", "-1h", ""] {
            assert!(moment(wrong, now_ms).is_err(), "{wrong:?}");
        }
    }
}
