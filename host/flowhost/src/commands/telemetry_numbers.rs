//! `flowhost telemetry report`, `compare` and `disagreements`: what the evidence files of many runs say together; and the
//! reading of those files, which the other commands over them share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::output::{counted, neutral};
use flowhost_evidence::analysis::{
    Comparison, Contrast, Disagreements, Evidence, Method, Metric, Only, Reading, Report, Side,
    Source, compare, disagreements, report,
};
use flowhost_flow::Exit;
use serde::Serialize;
use time::OffsetDateTime;

use super::archived::{Archives, is_archive};
use super::specs::no_link;
use super::telemetry::{FILE_BYTES_MAX, collect};
use crate::cli::{CompareArgs, CompareBy, DisagreementsArgs, EvidenceArgs, FormArgs, ReportArgs};
use crate::commands::Context;
use crate::commands::tables::{cell, csv, plain_table};
use crate::commands::telemetry_trends::of_whom;

/// Whose numbers these are: files may be of many hosts, so that none is held against a run here.
pub(super) const AS_THEY_LIE: &str = "files are read as they lie there; `flowhost verify RUN` says whether those of a run are as it wrote them";

/// How an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Csv,
    Json,
}

impl Form {
    /// What was asked for.
    pub(super) fn of(args: &FormArgs, context: &Context) -> Result<Self, Failure> {
        match (args.csv, context.output.json) {
            // Here and not by the parser: `--json` may stand before the command, where `--csv` is not known.
            (true, true) => Err(Failure::new(
                Exit::Usage,
                "`--csv` and `--json` are two forms of one answer",
            )
            .hint("leave one of them out")),
            (true, false) => Ok(Self::Csv),
            (false, true) => Ok(Self::Json),
            (false, false) => Ok(Self::Text),
        }
    }

    /// Prints the answer in this form. Names in it come from files of strangers: text and cells of CSV are made neutral.
    pub(super) fn print<T: Serialize>(
        self,
        context: &Context,
        answer: &T,
        text: impl FnOnce(&T) -> String,
        csv: impl FnOnce(&T) -> String,
    ) {
        match self {
            Self::Json => context.output.document(answer),
            Self::Csv => context.output.result(&csv(answer)),
            Self::Text => context.output.result(&neutral(&text(answer))),
        }
    }
}

pub(crate) fn of_groups(args: &ReportArgs, context: &Context) -> Result<Exit, Failure> {
    let form = Form::of(&args.form, context)?;
    let times = args.times.between();
    let (evidence, source) = read(&args.evidence, context)?;
    let table = report(
        evidence.observations(),
        args.metric,
        args.group_by,
        source,
        times,
    );
    form.print(context, &table, text, report_csv);
    Ok(Exit::Ok)
}

pub(crate) fn of_profiles(args: &CompareArgs, context: &Context) -> Result<Exit, Failure> {
    let form = Form::of(&args.form, context)?;
    let (a, b) = (side(&args.a, args.by)?, side(&args.b, args.by)?);
    let (evidence, source) = read(&args.evidence, context)?;
    // A side without a stage would make a table of empty cells, from which nobody sees that its name was a slip.
    for side in [&a, &b] {
        let mut all = evidence.observations().iter();
        if !all.any(|it| it.source() == source && side.has(it)) {
            return Err(nowhere(side, &evidence));
        }
    }
    let only = Only {
        stage: args.stage.clone(),
        metric: args.metric,
    };
    let both = compare(evidence.observations(), &a, &b, source, &only);
    if let (true, Some(stage)) = (both.rows.is_empty(), &only.stage) {
        let all = evidence.observations().iter();
        let known: BTreeSet<&str> = all.map(|it| it.stage.as_str()).collect();
        let known: Vec<&str> = known.into_iter().collect();
        let message = format!("neither side has a stage `{stage}`");
        let hint = format!("stages that were read: {}", known.join(", "));
        return Err(Failure::new(Exit::Internal, message).hint(hint));
    }
    form.print(context, &both, beside, compare_csv);
    Ok(Exit::Ok)
}

fn side(word: &str, by: CompareBy) -> Result<Side, Failure> {
    match (by, word) {
        (CompareBy::Profile, name) => Ok(Side::Profile(name.to_owned())),
        (CompareBy::Method, "single") => Ok(Side::Method(Method::Single)),
        (CompareBy::Method, "consensus") => Ok(Side::Method(Method::Consensus)),
        // Here and not by the parser: which words A and B may be is said by an option behind them.
        (CompareBy::Method, other) => Err(Failure::new(
            Exit::Usage,
            format!("`{other}` is not a way to ask models"),
        )
        .hint("with `--by method` compare `single` with `consensus`")),
    }
}

/// That no stage is on a side, and what there is.
fn nowhere(side: &Side, evidence: &Evidence) -> Failure {
    let all = evidence.observations().iter();
    match side {
        Side::Profile(profile) => {
            let mut known: Vec<&str> = all.filter_map(|it| it.profile.as_deref()).collect();
            known.sort_unstable();
            known.dedup();
            let message = format!("no stage has the routing profile `{profile}`");
            let hint = format!("those that were read: {}", known.join(", "));
            Failure::new(Exit::Internal, message).hint(hint)
        }
        Side::Method(Method::Single) => {
            Failure::new(Exit::Internal, "no stage was asked of one model alone").hint(
                "write a step with a `stage`, an agent in `uses:` and no `consensus:`, and run it",
            )
        }
        Side::Method(Method::Consensus) => {
            Failure::new(Exit::Internal, "no stage was asked of several models")
                .hint("write a step with a `stage` and `consensus:`, and run it")
        }
    }
}

pub(crate) fn of_disputes(args: &DisagreementsArgs, context: &Context) -> Result<Exit, Failure> {
    let form = Form::of(&args.form, context)?;
    let (evidence, source) = read(&args.evidence, context)?;
    let found = disagreements(&evidence, source, args.min_count);
    let yaml = serde_saphyr::to_string(&found)
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    form.print(context, &found, |_| yaml, disputes_csv);
    Ok(Exit::Ok)
}

/// All evidence below a path, of which there must be some that was answered by whom the command asks about.
pub(super) fn read(args: &EvidenceArgs, context: &Context) -> Result<(Evidence, Source), Failure> {
    let tell = |text: &str| context.output.message(&neutral(text));
    gather(&context.ambient, args, &tell)
}

/// As [`read`], for whoever has no context; `tell` hears of what was left out.
pub(super) fn gather(
    ambient: &Ambient,
    args: &EvidenceArgs,
    tell: &dyn Fn(&str),
) -> Result<(Evidence, Source), Failure> {
    let source = match args.mock {
        true => Source::Mock,
        false => Source::Model,
    };
    let path: &Path = &args.evidence;
    // Git carries links, and one would have these numbers be of another folder.
    no_link(ambient, path)?;
    if !ambient.is_dir(path) && !ambient.is_file(path) {
        let message = format!("`{}` does not exist", path.display());
        return Err(Failure::new(Exit::Internal, message)
            .hint("name the evidence folder of a plan with `--evidence`; stages leave it where the plan says `evidence:`"));
    }
    let mut files = Vec::new();
    collect(ambient, path, 0, &mut files)?;
    let mut evidence = Evidence::default();
    let (archives, files): (Vec<PathBuf>, Vec<PathBuf>) = files
        .into_iter()
        .partition(|file| is_archive(&file.display().to_string()));
    let mut archived = Archives::anywhere(ambient);
    for file in files {
        let bytes = ambient.read(&file, FILE_BYTES_MAX)?;
        let name = file.display().to_string();
        // Before the archives: what is there counts, and what an archive has of it does not.
        archived.there(&name);
        if let Reading::Faulty(why) = evidence.add(&name, &bytes) {
            // And the others are counted: one broken file among hundreds must not hide what those say.
            tell(&format!("note: `{name}` was left out: {why}\n"));
        }
    }
    for archive in &archives {
        let name = archive.display().to_string();
        for (file, bytes) in archived.fresh(&name) {
            if let Reading::Faulty(why) = evidence.add(&file, &bytes) {
                tell(&format!("note: `{file}` in `{name}` was left out: {why}\n"));
            }
        }
    }
    archived.tell(tell);
    let (all, now) = (evidence.observations().iter(), now(ambient));
    // Counted all the same: to leave them out would hide that the clocks differ.
    let ahead = all.filter(|it| it.at > now).count();
    if ahead > 0 {
        tell(&format!(
            "note: {} ended in the future by this machine's clock: the clocks of those who wrote them differ\n",
            counted(ahead, "stage")
        ));
    }
    let mut all = evidence.observations().iter();
    if all.any(|it| it.source() == source) {
        return Ok((evidence, source));
    }
    let failure = match (evidence.observations().len(), source) {
        (0, _) => Failure::new(
            Exit::Internal,
            format!("nothing below `{}` is telemetry of a stage", path.display()),
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

/// The time of this machine's clock.
pub(super) fn now(ambient: &Ambient) -> OffsetDateTime {
    let nanoseconds = i128::from(ambient.now_ms()) * 1_000_000;
    // A clock that shows a year beyond the calendar is taken for the beginning of time.
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn text(report: &Report) -> String {
    let mut shown = plain_table(&[
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
    said.push_str(of_whom(report.mock));
    if report.unknown > 0 {
        said.push_str(&format!("; {} do not say it", report.unknown));
    }
    format!("{said}\n\n{}\n\n{AS_THEY_LIE}\n", shown.trim_fmt())
}

fn beside(both: &Comparison) -> String {
    let mut shown = plain_table(&["stage", "metric", &both.a, "n", &both.b, "n", "change", ""]);
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
            // What holds of most rows alike is said once, below the table.
            match row.is_too_few() {
                true => String::new(),
                false => row.says.clone(),
            },
        ]);
    }
    let of = of_whom(both.mock);
    let too_few: Vec<&Contrast> = both.rows.iter().filter(|row| row.is_too_few()).collect();
    let below = match too_few.first() {
        Some(row) if too_few.len() == both.rows.len() => format!("\n{}\n", row.says),
        Some(row) => format!("\nrows without a word: {}\n", row.says),
        None => String::new(),
    };
    format!("medians{of}\n\n{}\n{below}", shown.trim_fmt())
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

fn report_csv(report: &Report) -> String {
    let header = [
        report.group_by.word(),
        "metric",
        "unit",
        "count",
        "mean",
        "median",
        "p95",
        "total",
        "outliers",
    ];
    let rows = report.rows.iter().map(|row| {
        [
            row.group.clone(),
            report.metric.word().to_owned(),
            report.unit.to_owned(),
            row.count.to_string(),
            cell(row.mean),
            cell(row.median),
            cell(row.p95),
            cell(row.total),
            row.outliers.join(" "),
        ]
    });
    csv(header, rows)
}

fn compare_csv(both: &Comparison) -> String {
    let header = [
        "stage", "metric", "unit", "a", "a_count", "a_median", "b", "b_count", "b_median",
        "change", "chance", "says",
    ];
    let rows = both.rows.iter().map(|row| {
        [
            row.stage.clone(),
            row.metric.word().to_owned(),
            row.metric.unit().to_owned(),
            both.a.clone(),
            row.a_count.to_string(),
            cell(row.a_median),
            both.b.clone(),
            row.b_count.to_string(),
            cell(row.b_median),
            cell(row.change),
            cell(row.chance),
            row.says.clone(),
        ]
    });
    csv(header, rows)
}

/// Every count with the table that it stands in.
fn disputes_csv(found: &Disagreements) -> String {
    let row = |table: &str, name: &str, count: usize| {
        [table.to_owned(), name.to_owned(), count.to_string()]
    };
    let mut rows = vec![
        row("consensus_runs", "total", found.total_consensus_runs),
        row(
            "consensus_runs",
            "with_disagreements",
            found.runs_with_disagreements,
        ),
    ];
    for (name, stage) in &found.by_stage {
        rows.push(row("by_stage", name, stage.with_disagreements));
    }
    for (table, counts) in [
        ("by_model_pair", &found.by_model_pair),
        ("arbiter_decisions", &found.arbiter_decisions),
        ("disagreement_types", &found.disagreement_types),
        ("severities", &found.severities),
    ] {
        rows.extend(counts.iter().map(|(name, count)| row(table, name, *count)));
    }
    csv(["table", "name", "count"], rows)
}
