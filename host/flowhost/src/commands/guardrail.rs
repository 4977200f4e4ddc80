//! `flowhost guardrail eval`: what a plan's guardrails stop, held against what a person says of the same outputs.

use std::collections::BTreeMap;

use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::output::neutral;
use flowhost_evidence::trials::{Judged, Label, Score, score};
use flowhost_flow::plan::{InputDecl, InputType};
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_flow::{Exit, Plan};
use flowhost_run::Finished;
use serde::Serialize;
use serde_json::json;
use serde_saphyr::Spanned;

use super::tables::plain_table;
use super::trials::{self, Trials};
use crate::cli::{EvalArgs, GuardrailCommand};
use crate::commands::{Context, run};

/// The input that takes an output to be judged.
const OUTPUT: &str = "output";
/// Bytes of an output: what a step may hand on at most by the shipped profiles.
const ITEM_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a file of labels: tens of thousands of lines.
const LABELS_BYTES_MAX: u64 = 1 << 20;
/// Most outputs: each is a run for every variant.
const ITEMS_MAX: usize = 1_000;

pub(crate) fn perform(command: &GuardrailCommand, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        GuardrailCommand::Eval(args) => eval(args, context),
    }
}

/// One output with what a person says of it.
struct Item {
    file: String,
    label: Label,
    text: String,
}

/// What a variant said of one output.
#[derive(Debug, Serialize)]
struct Said {
    file: String,
    label: Label,
    /// Null where the run failed.
    verdict: Option<Label>,
    run_id: String,
    exit_code: u8,
    /// Why it was stopped, or why it failed.
    why: Option<String>,
    duration_ms: u64,
    cost_usd: f64,
}

/// A variant over all outputs.
#[derive(Debug, Serialize)]
struct Row {
    variant: String,
    #[serde(flatten)]
    score: Score,
    outputs: Vec<Said>,
}

fn eval(args: &EvalArgs, context: &mut Context) -> Result<Exit, Failure> {
    let plan_args = args.plan.as_plan();
    let project = trials::survey(&plan_args, context)?;
    let input = takes_output(&project.plan)?;
    let items = items(args, input, context)?;
    let variants = trials::variants(&project.plan, &args.variants)?;
    // Everything that can be wrong with files and labels is told before the first run costs anything.
    let trials = Trials::new(&project, args.seed, context)?;
    let mut rows = Vec::new();
    for variant in &variants {
        let mut outputs = Vec::new();
        let mut judged = Vec::new();
        for item in &items {
            let given = [(OUTPUT.to_owned(), item.text.clone())];
            let one = trials::with_inputs(&plan_args, variant, &given);
            let finished = trials.run(run::checked(&one, context)?, context)?;
            let (said, of_score) = said(item, &finished);
            if context.output.live && !context.output.json {
                let word = said.verdict.map_or("failed", Label::word);
                let line = format!("{variant}: {}: {word}\n", item.file);
                context.output.message(&neutral(&line));
            }
            outputs.push(said);
            judged.push(of_score);
        }
        rows.push(Row {
            variant: variant.clone(),
            score: score(&judged),
            outputs,
        });
    }
    trials.end();
    if context.output.json {
        context.output.document(&json!({
            "plan": project.file,
            "experiment": project.plan.name,
            "folder": args.folder.display().to_string(),
            "variants": rows,
        }));
    } else {
        context.output.result(&neutral(&text(&rows)));
    }
    // A run that failed said nothing of its output: the figures are of fewer than were asked for.
    Ok(match rows.iter().all(|row| row.score.errors == 0) {
        true => Exit::Ok,
        false => Exit::Internal,
    })
}

/// The input of the plan that takes an output.
fn takes_output(plan: &Plan) -> Result<&InputDecl, Failure> {
    let input = plan.inputs.get(OUTPUT);
    let input = input.filter(|it| !matches!(it.ty, InputType::File | InputType::Dir));
    input.ok_or_else(|| {
        let message = format!("`{}` has no input `output` for what is judged", plan.file);
        Failure::new(Exit::Internal, message)
            .hint("`inputs: { output: { type: string } }`, or `object` for outputs in JSON")
    })
}

fn said(item: &Item, finished: &Finished) -> (Said, Judged) {
    let end = &finished.outcome.end;
    let verdict = match end.exit {
        Exit::Ok => Some(Label::Allow),
        // A check of the plan ends in this as well: either is the plan's no.
        Exit::Guardrail => Some(Label::Deny),
        _ => None,
    };
    let said = Said {
        file: item.file.clone(),
        label: item.label,
        verdict,
        run_id: finished.run.clone(),
        exit_code: end.exit.code(),
        why: end.failure.as_ref().map(|failure| failure.message.clone()),
        duration_ms: finished.outcome.duration_ms,
        cost_usd: micro_usd_to_usd(end.used.micro_usd),
    };
    let judged = Judged {
        label: item.label,
        verdict,
        duration_ms: finished.outcome.duration_ms,
        micro_usd: end.used.micro_usd,
        tokens: end.used.tokens,
    };
    (said, judged)
}

/// The outputs, in the order of their names; all that is wrong with them or their labels at once.
fn items(args: &EvalArgs, input: &InputDecl, context: &Context) -> Result<Vec<Item>, Failure> {
    let ambient = &context.ambient;
    let labels_file = args.labels.display().to_string();
    let text = ambient.read_text(&args.labels, LABELS_BYTES_MAX)?;
    let labels: BTreeMap<String, Spanned<String>> =
        serde_saphyr::from_str(&text).map_err(|error| {
            let message = format!("`{labels_file}` is not a list of labels");
            Failure::new(Exit::Internal, message)
                // Without its own picture of the line, which shows foreign bytes as they are.
                .because(error.without_snippet().to_string())
                .hint("a line for each file of the folder: `answer-1.json: allow`, or `deny`")
        })?;
    let own = ambient.resolve(&args.labels);
    let is_output = |name: &String| {
        let path = args.folder.join(name);
        // What editors and desktops leave in a folder is no output, and neither are the labels themselves.
        !name.starts_with('.') && ambient.is_file(&path) && ambient.resolve(&path) != own
    };
    let names = ambient.list(&args.folder)?.into_iter();
    let names: Vec<String> = names.filter(is_output).collect();
    let mut findings = Vec::new();
    for (name, label) in &labels {
        let at = (label.referenced.line(), label.referenced.column());
        let at = (small(at.0), small(at.1));
        if !names.contains(name) {
            let message = format!("`{}` has no file `{name}`", args.folder.display());
            findings.push(Finding::new(&labels_file, message).at(at.0, at.1));
        }
        if Label::named(&label.value).is_none() {
            let message = format!("`{name}`: `{}` is not a label", label.value);
            let finding = Finding::new(&labels_file, message).at(at.0, at.1);
            findings.push(finding.cure("`allow` or `deny`"));
        }
    }
    let mut items = Vec::new();
    for file in names {
        let path = args.folder.join(&file);
        let shown = path.display().to_string();
        let Some(label) = labels.get(&file) else {
            let finding = Finding::new(&labels_file, format!("`{file}` has no label"));
            findings.push(finding.cure(format!("`{file}: allow`, or `deny`")));
            continue;
        };
        let text = match ambient.read_text(&path, ITEM_BYTES_MAX) {
            Ok(text) => text,
            Err(error) => {
                findings.push(Finding::from(&error));
                continue;
            }
        };
        if let Err(message) = input.parse_text(&text) {
            findings.push(Finding::new(&shown, message));
        }
        if let Some(label) = Label::named(&label.value) {
            items.push(Item { file, label, text });
        }
    }
    if items.is_empty() || items.len() > ITEMS_MAX {
        let (folder, count) = (args.folder.display(), items.len());
        let message =
            format!("`{folder}` has {count} labelled outputs; 1 to {ITEMS_MAX} are judged");
        findings.push(Finding::new(&labels_file, message));
    }
    match findings.is_empty() {
        true => Ok(items),
        false => Err(Failure::findings(&format!("`{labels_file}`"), findings)),
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn text(rows: &[Row]) -> String {
    let mut shown = plain_table(&[
        "variant",
        "n",
        "stopped",
        "missed",
        "wrongly stopped",
        "let through",
        "failed",
        "precision",
        "recall",
        "mean ms",
        "p95 ms",
        "USD",
    ]);
    for row in rows {
        let score = &row.score;
        let places = |value: Option<f64>, places: usize| {
            value.map(|it| format!("{it:.places$}")).unwrap_or_default()
        };
        shown.add_row([
            row.variant.clone(),
            score.items.to_string(),
            score.true_positives.to_string(),
            score.false_negatives.to_string(),
            score.false_positives.to_string(),
            score.true_negatives.to_string(),
            score.errors.to_string(),
            places(score.precision, 2),
            places(score.recall, 2),
            places(score.latency_mean_ms, 0),
            places(score.latency_p95_ms, 0),
            format!("{:.6}", score.cost_usd),
        ]);
    }
    let mut text = format!("{}\n", shown.trim_fmt());
    for row in rows {
        for said in row.outputs.iter().filter(|it| it.verdict != Some(it.label)) {
            let what = match said.verdict {
                None => "failed at",
                Some(Label::Allow) => "missed",
                Some(Label::Deny) => "wrongly stopped",
            };
            let why = said.why.as_deref().map(|it| format!(": {it}"));
            let why = why.unwrap_or_default();
            text.push_str(&format!(
                "\n{} {what} {} (run {}){why}",
                row.variant, said.file, said.run_id
            ));
        }
    }
    text.push('\n');
    text
}
