//! `flowhost telemetry report`, `compare` and `disagreements`: what the evidence files of many runs say together.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost_evidence::analysis::{
    Comparison, Evidence, GroupBy, Metric, Reading, Report, Source, compare, disagreements, report,
};
use flowhost_flow::Exit;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::telemetry::{FILE_BYTES_MAX, collect};
use crate::cli::{CompareArgs, DisagreementsArgs, EvidenceArgs, GroupArg, MetricArg, ReportArgs};
use crate::commands::Context;

pub(crate) fn of_groups(args: &ReportArgs, context: &Context) -> Result<Exit, Failure> {
    if args.csv && context.output.json {
        return Err(Failure::new(
            Exit::Internal,
            "`--csv` and `--json` are two forms of one answer: name one",
        ));
    }
    let times = (time(args.since.as_deref())?, time(args.until.as_deref())?);
    let (evidence, source) = read(&args.evidence, context)?;
    let table = report(
        evidence.observations(),
        metric(args.metric),
        group(args.group_by),
        source,
        times,
    );
    if context.output.json {
        context.output.document(&table);
    } else if args.csv {
        context.output.result(&csv(&table));
    } else {
        context.output.result(&neutral(&text(&table)));
    }
    Ok(Exit::Ok)
}

pub(crate) fn of_profiles(args: &CompareArgs, context: &Context) -> Result<Exit, Failure> {
    let (evidence, source) = read(&args.evidence, context)?;
    let there = |profile: &str| {
        let mut all = evidence.observations().iter();
        all.any(|it| it.source() == source && it.profile.as_deref() == Some(profile))
    };
    for profile in [&args.a, &args.b] {
        if !there(profile) {
            let mut known: Vec<&str> = evidence
                .observations()
                .iter()
                .filter_map(|it| it.profile.as_deref())
                .collect();
            known.sort_unstable();
            known.dedup();
            let message = format!("no stage has the routing profile `{profile}`");
            let hint = format!("those that were read: {}", known.join(", "));
            return Err(Failure::new(Exit::Internal, message).hint(hint));
        }
    }
    let both = compare(evidence.observations(), &args.a, &args.b, source);
    if context.output.json {
        context.output.document(&both);
    } else {
        context.output.result(&neutral(&beside(&both)));
    }
    Ok(Exit::Ok)
}

pub(crate) fn of_disputes(args: &DisagreementsArgs, context: &Context) -> Result<Exit, Failure> {
    let (evidence, source) = read(&args.evidence, context)?;
    let found = disagreements(&evidence, source, args.min_count);
    if context.output.json {
        context.output.document(&json!(found));
        return Ok(Exit::Ok);
    }
    let yaml = serde_saphyr::to_string(&found)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    context.output.result(&neutral(&yaml));
    Ok(Exit::Ok)
}

/// All evidence below a path, of which there must be some that was answered by whom the command asks about.
fn read(args: &EvidenceArgs, context: &Context) -> Result<(Evidence, Source), Failure> {
    let source = match args.mock {
        true => Source::Mock,
        false => Source::Model,
    };
    let path: &Path = &args.evidence;
    let mut files = Vec::new();
    collect(&context.ambient, path, 0, &mut files)?;
    let mut evidence = Evidence::default();
    for file in files {
        let bytes = context.ambient.read(&file, FILE_BYTES_MAX)?;
        let name = file.display().to_string();
        if let Reading::Faulty(why) = evidence.add(&name, &bytes) {
            let text = format!("note: `{name}` was left out: {why}\n");
            context.output.message(&neutral(&text));
        }
    }
    let mut all = evidence.observations().iter();
    if all.any(|it| it.source() == source) {
        return Ok((evidence, source));
    }
    let failure = match (evidence.observations().len(), source) {
        (0, _) => Failure::new(
            Exit::Internal,
            format!("nothing below `{}` is telemetry of a consensus stage", path.display()),
        )
        .hint("name the evidence folder of a plan with `--evidence`"),
        (n, Source::Model) => Failure::new(
            Exit::Internal,
            format!("scripts of a `mock` provider answered all {n} stages: their numbers say nothing about models"),
        )
        .hint("`--mock` shows them all the same"),
        (n, Source::Mock) => Failure::new(
            Exit::Internal,
            format!("models answered all {n} stages, and no script"),
        )
        .hint("leave out `--mock`"),
    };
    Err(failure)
}

/// A day, or a moment.
fn time(text: Option<&str>) -> Result<Option<OffsetDateTime>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let whole = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    OffsetDateTime::parse(&whole, &Rfc3339)
        .map(Some)
        .map_err(|_| {
            Failure::new(Exit::Internal, format!("`{text}` is not a day or a time"))
                .hint("2026-11-26, or 2026-11-26T08:00:00Z")
        })
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(heads);
    table
}

fn text(report: &Report) -> String {
    let mut shown = table(&[
        report.group_by.word(),
        "n",
        "mean",
        "median",
        "p95",
        "total",
        "outliers",
    ]);
    for row in &report.rows {
        let number = |value| number(report.metric, value);
        shown.add_row([
            row.group.clone(),
            row.count.to_string(),
            number(row.mean),
            number(row.median),
            number(row.p95),
            number(row.total),
            row.outliers.join(" "),
        ]);
    }
    let mut said = format!("{} in {}", report.metric.word(), report.unit);
    if report.mock {
        said.push_str(", of scripts and not of models");
    }
    if report.unknown > 0 {
        said.push_str(&format!("; {} do not say it", report.unknown));
    }
    format!("{said}\n\n{}\n", shown.trim_fmt())
}

fn beside(both: &Comparison) -> String {
    let mut shown = table(&["stage", "metric", &both.a, "n", &both.b, "n", "change", ""]);
    for row in &both.rows {
        let change = row.change.map(|it| format!("{:+.0} %", it * 100.0));
        shown.add_row([
            row.stage.clone(),
            row.metric.word().to_owned(),
            number(row.metric, row.a_median),
            row.a_count.to_string(),
            number(row.metric, row.b_median),
            row.b_count.to_string(),
            change.unwrap_or_default(),
            row.says.clone(),
        ]);
    }
    let of = if both.mock {
        ", of scripts and not of models"
    } else {
        ""
    };
    format!("medians{of}\n\n{}\n", shown.trim_fmt())
}

/// As people read it: money in six places, times and tokens whole, shares in three.
fn number(metric: Metric, value: Option<f64>) -> String {
    let Some(value) = value else {
        return String::new();
    };
    match metric {
        Metric::Cost => format!("{value:.6}"),
        Metric::Tokens | Metric::Latency => format!("{value:.0}"),
        Metric::Quality | Metric::Disagreements => format!("{value:.3}"),
    }
}

fn csv(report: &Report) -> String {
    let mut lines = vec![format!(
        "{},metric,unit,count,mean,median,p95,total,outliers",
        report.group_by.word()
    )];
    for row in &report.rows {
        let number = |value: Option<f64>| value.map(|it| it.to_string()).unwrap_or_default();
        let cells = [
            quoted(&row.group),
            report.metric.word().to_owned(),
            report.unit.to_owned(),
            row.count.to_string(),
            number(row.mean),
            number(row.median),
            number(row.p95),
            number(row.total),
            quoted(&row.outliers.join(" ")),
        ];
        lines.push(cells.join(","));
    }
    // RFC 4180 ends every line so.
    lines.iter().map(|line| format!("{line}\r\n")).collect()
}

/// RFC 4180: a cell with a comma, a quote or an end of line stands in quotes, its own quotes twice. A cell that a
/// spreadsheet would take for a formula begins with an apostrophe: names come from files of strangers.
fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t']);
    let cell = if formula {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

const fn metric(arg: MetricArg) -> Metric {
    match arg {
        MetricArg::Cost => Metric::Cost,
        MetricArg::Tokens => Metric::Tokens,
        MetricArg::Latency => Metric::Latency,
        MetricArg::Quality => Metric::Quality,
        MetricArg::Disagreements => Metric::Disagreements,
    }
}

const fn group(arg: GroupArg) -> GroupBy {
    match arg {
        GroupArg::Stage => GroupBy::Stage,
        GroupArg::Model => GroupBy::Model,
        GroupArg::Spec => GroupBy::Spec,
        GroupArg::Profile => GroupBy::Profile,
        GroupArg::Day => GroupBy::Day,
    }
}
