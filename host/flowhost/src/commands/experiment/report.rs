//! `flowhost experiment report`: variants beside each other.

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost_evidence::trials::{Change, Records, Report, VariantRow};
use flowhost_flow::Exit;

use super::super::tables::plain_table;
use super::super::telemetry_numbers::AS_THEY_LIE;
use super::each_file;
use crate::cli::ExperimentReportArgs;
use crate::commands::Context;

pub(super) fn perform(args: &ExperimentReportArgs, context: &Context) -> Result<Exit, Failure> {
    let mut records = Records::default();
    each_file(&args.evidence, context, |path, bytes| {
        records.add(path, bytes)
    })?;
    let experiment = chosen(args, &records)?;
    let report = records.report(&experiment, args.mock, args.baseline.as_deref());
    let names: Vec<&str> = report
        .variants
        .iter()
        .map(|it| it.variant.as_str())
        .collect();
    if names.is_empty() {
        let (who, hint) = match args.mock {
            true => ("script", "leave out `--mock`"),
            false => ("model", "`--mock` shows what scripts answered"),
        };
        let message = format!("no {who} answered a stage of the experiment `{experiment}`");
        return Err(Failure::new(Exit::Internal, message).hint(hint));
    }
    if let Some(name) = args.baseline.as_deref().filter(|it| !names.contains(it)) {
        let message = format!("the experiment `{experiment}` has no runs of the variant `{name}`");
        let hint = format!("it has runs of {}", names.join(", "));
        return Err(Failure::new(Exit::Internal, message).hint(hint));
    }
    match context.output.json {
        true => context.output.document(&report),
        false => context.output.result(&neutral(&text(&report))),
    }
    Ok(Exit::Ok)
}

/// The experiment that was named, or the only one.
fn chosen(args: &ExperimentReportArgs, records: &Records) -> Result<String, Failure> {
    let known = records.experiments();
    let folder = args.evidence.display();
    match (&args.experiment, known.as_slice()) {
        (Some(name), known) if known.contains(&name.as_str()) => Ok(name.clone()),
        (None, [only]) => Ok((*only).to_owned()),
        (_, []) => {
            let message = format!("nothing below `{folder}` is a part of an experiment");
            Err(Failure::new(Exit::Internal, message)
                .hint("a plan with `variants:` makes one, or the label `experiment`"))
        }
        (Some(name), known) => {
            let message = format!("nothing below `{folder}` is of the experiment `{name}`");
            Err(Failure::new(Exit::Internal, message).hint(format!("it has {}", known.join(", "))))
        }
        (None, known) => {
            let message = format!("`{folder}` has {} experiments", known.len());
            let hint = format!("name one with `--experiment`: {}", known.join(", "));
            Err(Failure::new(Exit::Internal, message).hint(hint))
        }
    }
}

fn text(report: &Report) -> String {
    let mut table = plain_table(&[
        "variant",
        "runs",
        "tokens",
        "ms",
        "USD",
        "agreement",
        "overridden",
        "overall",
        "readings",
        "saved tokens",
        "saved USD",
    ]);
    for row in &report.variants {
        table.add_row([
            row.variant.clone(),
            row.runs.to_string(),
            shown(row.tokens, 0),
            shown(row.latency_ms, 0),
            shown(row.cost_usd, 6),
            shown(row.agreement_ratio, 3),
            row.overridden.to_string(),
            shown(row.overall, 2),
            row.reviews.to_string(),
            shown(row.saved_tokens, 0),
            shown(row.saved_usd, 6),
        ]);
    }
    let of = match report.mock {
        true => ", of scripts and not of models",
        false => "",
    };
    let mut text = format!("medians of runs{of}\n\n{}\n", table.trim_fmt());
    for row in &report.variants {
        text.push_str(&beside(row));
    }
    text.push_str(&format!("\n{AS_THEY_LIE}\n"));
    text
}

/// A variant against the baseline, a line for each number.
fn beside(row: &VariantRow) -> String {
    let Some(against) = &row.against else {
        return String::new();
    };
    let mut text = format!("\n{} against {}\n", row.variant, against.baseline);
    for (metric, change) in &against.changes {
        text.push_str(&format!("  {metric}: {}\n", says(change)));
    }
    text
}

fn says(change: &Change) -> String {
    let share = match change.share {
        Some(share) => format!("{:+.0} %", share * 100.0),
        None => return "not known".to_owned(),
    };
    match change.chance {
        None => format!("{share}; too few runs to tell from chance, four of each are the least"),
        Some(chance) => format!(
            "{share}; chance alone would part them so far in {:.1} % of cases",
            chance * 100.0
        ),
    }
}

fn shown(value: Option<f64>, places: usize) -> String {
    value.map(|it| format!("{it:.places$}")).unwrap_or_default()
}
