//! `flowhost telemetry drift` and `adoption`: how far outputs vary from run to run, and how much the pipeline is used.

use flowhost::failure::Failure;
use flowhost::output::counted;
use flowhost_evidence::analysis::{Adoption, Drift, adoption, drift};
use flowhost_flow::Exit;

use crate::cli::{AdoptionArgs, DriftArgs};
use crate::commands::Context;
use crate::commands::tables::{cell, csv, plain_table};
use crate::commands::telemetry_numbers::{Form, now, read};

pub(crate) fn of_sections(args: &DriftArgs, context: &Context) -> Result<Exit, Failure> {
    let form = Form::of(&args.form, context)?;
    let (evidence, source) = read(&args.evidence, context)?;
    let found = drift(&evidence, source);
    if found.stages.is_empty() {
        let path = args.evidence.evidence.display();
        return Err(Failure::new(
            Exit::Internal,
            format!("no synthesis below `{path}` belongs to a stage that was read"),
        )
        .hint("drift compares what stages made: keep `consensus/` with all its files"));
    }
    form.print(context, &found, drift_text, drift_csv);
    Ok(Exit::Ok)
}

pub(crate) fn of_weeks(args: &AdoptionArgs, context: &Context) -> Result<Exit, Failure> {
    let form = Form::of(&args.form, context)?;
    let (evidence, source) = read(&args.evidence, context)?;
    let found = adoption(
        evidence.observations(),
        source,
        now(&context.ambient),
        args.weeks,
        args.target,
    );
    form.print(context, &found, adoption_text, adoption_csv);
    Ok(Exit::Ok)
}

/// What a heading adds where scripts answered.
pub(super) const fn of_whom(mock: bool) -> &'static str {
    if mock {
        ", of scripts and not of models"
    } else {
        ""
    }
}

fn drift_text(found: &Drift) -> String {
    let wanted = found.wanted_below * 100.0;
    let mut text = format!(
        "how far sections vary in length (standard deviation by mean); below {wanted:.0} % is wanted{}\n",
        of_whom(found.mock)
    );
    for stage in &found.stages {
        let profile = stage.profile.as_deref().unwrap_or("no routing profile");
        text.push_str(&format!(
            "\n{} {} ({profile}): {}, {}\n",
            stage.spec,
            stage.stage,
            stage.says,
            counted(stage.runs, "run")
        ));
        if stage.runs < found.runs_min {
            text.push_str(&format!("  {} are the least\n", found.runs_min));
            continue;
        }
        let mut shown = plain_table(&["section", "in", "mean length", "varies", ""]);
        for it in &stage.sections {
            shown.add_row([
                it.section.clone(),
                format!("{} of {}", it.present, stage.runs),
                format!("{:.0}", it.mean),
                format!("{:.1} %", it.variation * 100.0),
                (if it.drifts { "drifts" } else { "" }).to_owned(),
            ]);
        }
        text.push_str(&format!("{}\n", shown.trim_fmt()));
    }
    text
}

fn drift_csv(found: &Drift) -> String {
    let rows = found.stages.iter().flat_map(|stage| {
        stage.sections.iter().map(move |it| {
            [
                stage.spec.clone(),
                stage.profile.clone().unwrap_or_default(),
                stage.stage.clone(),
                stage.runs.to_string(),
                it.section.clone(),
                it.present.to_string(),
                it.mean.to_string(),
                it.variation.to_string(),
                it.drifts.to_string(),
            ]
        })
    });
    let header = [
        "spec",
        "profile",
        "stage",
        "runs",
        "section",
        "present",
        "mean",
        "variation",
        "drifts",
    ];
    csv(header, rows)
}

fn adoption_text(found: &Adoption) -> String {
    let mut shown = plain_table(&["week from", "runs", "", "p95", "outcomes"]);
    for week in &found.weeks {
        let outcomes: Vec<String> = week
            .outcomes
            .iter()
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        shown.add_row([
            week.monday.clone(),
            week.runs.to_string(),
            met(week.met).to_owned(),
            week.latency_p95_ms
                .map(|it| format!("{it:.0} ms"))
                .unwrap_or_default(),
            outcomes.join(", "),
        ]);
    }
    format!(
        "runs a week; {} are wanted{}\n\n{}\n",
        found.target,
        of_whom(found.mock),
        shown.trim_fmt()
    )
}

const fn met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "enough",
        Some(false) => "too few",
        None => "not over",
    }
}

fn adoption_csv(found: &Adoption) -> String {
    let of = |week: &flowhost_evidence::analysis::Week, word: &str| {
        week.outcomes.get(word).copied().unwrap_or(0).to_string()
    };
    let rows = found.weeks.iter().map(|week| {
        [
            week.monday.clone(),
            week.runs.to_string(),
            found.target.to_string(),
            week.met.map(|it| it.to_string()).unwrap_or_default(),
            cell(week.latency_p95_ms),
            of(week, "ok"),
            of(week, "degraded"),
            of(week, "conflict"),
            of(week, "missing"),
        ]
    });
    let header = [
        "week",
        "runs",
        "target",
        "met",
        "latency_p95_ms",
        "ok",
        "degraded",
        "conflict",
        "missing",
    ];
    csv(header, rows)
}
