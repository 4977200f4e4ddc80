//! `flowhost runs show RUN`: how it ended and why, what became of its steps, its records; a part of them,
//! or what a record holds.

use std::fmt::Write as _;
use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::{neutral, one_line};
use flowhost::report::problems::unreadable_of;
use flowhost::state::FindRuns as _;
use flowhost_evidence::filter::Filter;
use flowhost_evidence::runs::{self, RecordEntry, StepEntry, UNFINISHED, steps};
use flowhost_evidence::story::{self, Head, PayloadSource as _, Stored};
use flowhost_flow::{Exit, Plan};
use flowhost_ledger::records::Record;
use flowhost_ledger::{Kind, Payloads, Source, read_run_in, signed_size};
use serde_json::{Value, json};

use crate::cli::ShowArgs;
use crate::commands::plan_graph::kept_plan;
use crate::commands::standing::Standing;
use crate::commands::{Context, cancel};

mod answers;
mod folded;
mod order;

/// Characters of one payload that a step's view prints: two screens. `--payload` prints all of it.
const SHOWN_MAX: usize = 4_000;
/// Warnings in the head of a whole run: more would hide its steps.
const WARNINGS_MAX: usize = 10;
/// What a warning is about that says of a step that the run went on without it.
const CONTINUED: &str = "continued";

pub(super) fn perform(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let files = context.state.files_of_run(&context.ambient, &args.run)?;
    let (run, source, dir) = (&files.run, &*files.source, &files.dir);
    if files.archived && !context.output.json {
        let text = format!("note: the run {run} was removed; this is read from its archive\n");
        context.output.message(&text);
    }
    let signed = signed_size(source, dir);
    let records = runs::show_in(source, dir).map_err(unreadable_of(run))?;
    let cut = cut_short(signed, records.len());
    if let Some(cut) = &cut {
        warn(run, cut, context);
    }
    let payloads = Payloads::open(source, dir).map_err(|error| unreadable_of(run)(error.into()))?;
    let shelf = Shelf {
        payloads,
        erased: erased(&records),
    };
    if let Some(seq) = args.payload {
        return payload(run, seq, &records, &shelf, context);
    }
    let filter = filter(args)?;
    let all = filter.is_all();
    let mut steps = steps(&records);
    steps.retain(|step| filter.means(&step.path));
    order::as_planned(&mut steps, &records, source, dir);
    // A misspelt step would otherwise be answered like one that did nothing.
    if steps.is_empty() && filter.step.is_some() {
        return Err(no_step(&filter, &records));
    }
    if args.logs {
        let document = logs(run, filter.of(records), &shelf, context);
        return Ok(document);
    }
    let head = story::read_in(source, dir)
        .map_err(unreadable_of(run))?
        .head;
    // A run that has ended stands nowhere, whatever it once waited for.
    let standing = Standing::of(&records, &context.state).filter(|_| head.status.is_none());
    let silent = head.status.is_none() && standing.is_none();
    let word = silent.then(|| of_index(run, context));
    let gate = filter.step.as_deref().filter(|step| {
        let open = standing.as_ref().is_some_and(|it| it.is_open(step));
        open && !context.output.json
    });
    let grounds = gate.map_or_else(String::new, |gate| {
        grounds(run, gate, &records, &shelf, context)
    });
    let warned = warnings(&records, &shelf);
    // Of a step alone and of all its records: whoever asks for some kinds has asked for those.
    let all_kinds = filter.kinds.is_empty() && !filter.denials;
    let answers = match filter.step.is_some() && all_kinds && !context.output.json {
        true => who_answered(run, &records, &filter, &shelf, context),
        false => String::new(),
    };
    let records = filter.of(records);
    if context.output.json {
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| with_failure(step, &shelf))
            .collect();
        // Of one step alone: those of a whole run may be larger than what any reader of JSON takes.
        let with_payloads = filter.step.is_some();
        let shown: Vec<Value> = records
            .iter()
            .map(|record| match with_payloads {
                true => with_payload(record, &shelf),
                false => json!(record),
            })
            .collect();
        let mut document = json!({
            "run_id": run, "run": head_document(run, &head, standing.as_ref(), word, &warned), "steps": steps, "records": shown,
        });
        if let (Some(fields), Some(cut)) = (document.as_object_mut(), cut) {
            fields.insert("warning".to_owned(), cut.into());
        }
        context.output.document(&document);
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    if all {
        let stands = standing.as_ref().map(|it| (it, why(it, &shelf)));
        text.push_str(&head_text(run, &head, stands, word.as_deref(), &warned));
        // The step that ended the run is told in its head.
        let told = words(&head.failure).map_or("", |_| head.failed_step.as_str());
        text.push_str(&whole(&steps, &records, told, &shelf));
    } else {
        text.push_str(&answers);
        text.push_str(&listed(&filter, &steps, &records, &shelf));
    }
    if let (Some(gate), Some(standing)) = (gate, &standing) {
        text.push_str(&grounds);
        let (gate, next) = (one_line(gate), next(run, standing));
        let _infallible = writeln!(text, "\n`{gate}` waits for a word:\n{next}");
    }
    context.output.result(&text);
    Ok(Exit::Ok)
}

/// Who answered what, where the step asks several agents, and how an answer is read whole.
fn who_answered(
    run: &str,
    records: &[RecordEntry],
    filter: &Filter,
    shelf: &Shelf<'_>,
    context: &Context,
) -> String {
    let (mut text, first) = answers::tables(records, filter, shelf);
    if let Some(seq) = first {
        let command = format!("flowhost runs show {run} --payload {seq}");
        let command = context.state.told(&command);
        let _infallible = writeln!(
            text,
            "`answer` is a record; the first one whole: {command}\n"
        );
    }
    text
}

/// All steps and records: a `foreach` is one line among either, and what failed says why.
fn whole(steps: &[StepEntry], records: &[RecordEntry], told: &str, shelf: &Shelf<'_>) -> String {
    let mut text = String::new();
    if !steps.is_empty() {
        let lines = folded::lines(steps);
        let _infallible = writeln!(text, "{}", folded::table(&lines));
        let failures = folded::failures(&lines, told, &|step| shelf.failure(step));
        if !failures.is_empty() {
            let _infallible = writeln!(text, "{failures}");
        }
    }
    text.push_str(&folded::records(records));
    text
}

/// The steps and records that were asked for; of one step, with what they say.
fn listed(
    filter: &Filter,
    steps: &[StepEntry],
    records: &[RecordEntry],
    shelf: &Shelf<'_>,
) -> String {
    let mut text = String::new();
    if !steps.is_empty() && filter.kinds.is_empty() && !filter.denials {
        let _infallible = writeln!(text, "{}", folded::table(&folded::every(steps)));
    }
    text.push_str(&match records.is_empty() {
        true => "no such record\n".to_owned(),
        false => folded::every_record(records),
    });
    if filter.step.is_some() {
        for record in records {
            text.push_str(&said(record, shelf));
        }
    }
    text
}

/// Prints what plugins wrote to their log, call by call.
fn logs(run: &str, records: Vec<RecordEntry>, shelf: &Shelf<'_>, context: &Context) -> Exit {
    let mut text = String::new();
    let mut calls = Vec::new();
    for record in &records {
        let Some(Record::HostCall(call)) = &record.said else {
            continue;
        };
        let (Some(_), Some(taken)) = (call.lines, shelf.take(record)) else {
            continue;
        };
        let taken = taken.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let lines = match &taken {
            Ok(lines) => lines.lines().collect(),
            // In the place of the lines, so that it is seen that there were some.
            Err(why) => vec![why.as_str()],
        };
        let (time, actor) = (time_of_day(&record.ts), one_line(&record.actor));
        for line in &lines {
            let _infallible = writeln!(text, "{time} {actor} {}", one_line(line));
        }
        calls.push(json!({
            "seq": record.seq, "ts": record.ts, "actor": record.actor, "call": record.fields.get("call"),
            "interface": call.decided.interface, "lines": lines,
        }));
    }
    if context.output.json {
        context
            .output
            .document(&json!({ "run_id": run, "logs": calls }));
    } else if text.is_empty() {
        context.output.message("no plugin wrote to its log\n");
    } else {
        context.output.result(&text);
    }
    Exit::Ok
}

fn filter(args: &ShowArgs) -> Result<Filter, Failure> {
    let known: Vec<&str> = Kind::ALL.iter().map(|(_, name, _)| *name).collect();
    if let Some(kind) = args
        .kind
        .iter()
        .find(|kind| !known.contains(&kind.as_str()))
    {
        let message = format!("`{}` is not a kind of record", one_line(kind));
        return Err(Failure::new(Exit::Usage, message).hint(format!("kinds: {}", known.join(", "))));
    }
    Ok(Filter {
        step: args.step.clone(),
        kinds: args.kind.clone(),
        denials: args.denials,
    })
}

fn no_step(filter: &Filter, records: &[RecordEntry]) -> Failure {
    let step = one_line(filter.step.as_deref().unwrap_or_default());
    let mut paths: Vec<String> = steps(records).into_iter().map(|step| step.path).collect();
    // A `foreach` of thousands is one name here.
    paths.retain(|path| !path.contains('['));
    let message = format!("the run has no step `{step}`");
    Failure::new(Exit::Internal, message)
        .hint(format!("its steps: {}", one_line(&paths.join(", "))))
}

/// Payloads of one run, with those that were erased.
struct Shelf<'f> {
    payloads: Payloads<'f>,
    erased: Vec<(u64, u64)>,
}

/// Which payloads were erased, and by which record.
fn erased(records: &[RecordEntry]) -> Vec<(u64, u64)> {
    let erasures = records.iter().filter_map(|record| match &record.said {
        Some(Record::Erasure(erasure)) => Some(erasure.seqs.iter().map(|seq| (*seq, record.seq))),
        _ => None,
    });
    erasures.flatten().collect()
}

impl Shelf<'_> {
    /// The payload of a record, or a sentence that says why it cannot be had; none for a record that has
    /// none.
    fn take(&self, record: &RecordEntry) -> Option<Result<Vec<u8>, String>> {
        let commit = record.commit.as_deref()?;
        Some(self.taken(record.seq, commit))
    }

    fn taken(&self, seq: u64, commit: &str) -> Result<Vec<u8>, String> {
        match self.payloads.payload(seq, commit) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(self.why_not(seq)),
            Err(why) => Err(why),
        }
    }

    /// Why a step failed, as its end says; none where it did not fail.
    fn failure(&self, step: &StepEntry) -> Option<String> {
        let (seq, commit) = step.why.as_ref()?;
        Some(match self.taken(*seq, commit) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(why) => why,
        })
    }

    fn why_not(&self, seq: u64) -> String {
        let by = self.erased.iter().find(|(erased, _)| *erased == seq);
        match by {
            Some((_, by)) => format!("it was erased (record {by})"),
            None => "it is not there, and no record says why".to_owned(),
        }
    }
}

/// Prints one payload, whole.
fn payload(
    run: &str,
    seq: u64,
    records: &[RecordEntry],
    shelf: &Shelf<'_>,
    context: &Context,
) -> Result<Exit, Failure> {
    let record = records
        .iter()
        .find(|record| record.seq == seq)
        .ok_or_else(|| {
            let last = records.last().map_or(0, |record| record.seq);
            Failure::new(Exit::Internal, format!("the run has no record {seq}"))
                .hint(format!("its records are 0 to {last}"))
        })?;
    let taken = shelf.take(record).ok_or_else(|| {
        Failure::new(
            Exit::Internal,
            format!("record {seq} ({}) has no payload", record.kind),
        )
        .hint(format!(
            "records with one have a `commit`: `flowhost runs show {run} --json`"
        ))
    })?;
    let bytes = taken.map_err(|why| {
        Failure::new(
            Exit::Internal,
            format!("the payload of record {seq} cannot be shown"),
        )
        .because(why)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let message = format!("the payload of record {seq} is not text");
        Failure::new(Exit::Internal, message)
            .because(format!("it has {} bytes", error.as_bytes().len()))
    })?;
    match context.output.json {
        true => context.output.document(&json!({
            "run_id": run, "seq": seq, "kind": record.kind, "payload": parsed(&text),
        })),
        false => context
            .output
            .result(&format!("{}\n", neutral(&pretty(&text)))),
    }
    Ok(Exit::Ok)
}

fn parsed(text: &str) -> Value {
    // A prompt or a word is a text, and stands there as one.
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// JSON on several lines; any other text as it is.
fn pretty(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_else(|_| text.to_owned()),
        Err(_) => text.to_owned(),
    }
}

/// A step with why it failed.
fn with_failure(step: &StepEntry, shelf: &Shelf<'_>) -> Value {
    let mut value = json!(step);
    if let (Some(fields), Some(why)) = (value.as_object_mut(), shelf.failure(step)) {
        fields.insert("failure".to_owned(), why.into());
    }
    value
}

fn with_payload(record: &RecordEntry, shelf: &Shelf<'_>) -> Value {
    let mut value = json!(record);
    let taken = shelf.take(record).map(|taken| match taken {
        Ok(bytes) => parsed(&String::from_utf8_lossy(&bytes)),
        Err(why) => json!({ "missing": why }),
    });
    if let (Some(fields), Some(payload)) = (value.as_object_mut(), taken) {
        fields.insert("payload".to_owned(), payload);
    }
    value
}

/// A record's payload below a line that says what it is.
fn said(record: &RecordEntry, shelf: &Shelf<'_>) -> String {
    let Some(taken) = shelf.take(record) else {
        return String::new();
    };
    let what = match record.kind.as_str() {
        "tool.call" => "input",
        "tool.result" => "output",
        "model.intent" => "prompt",
        "model.result" => "answer",
        "attempt.end" | "step.end" | "run.end" => "why",
        _ => "payload",
    };
    let text = match taken {
        Ok(bytes) => pretty(&String::from_utf8_lossy(&bytes)),
        Err(why) => why,
    };
    let end = text
        .char_indices()
        .nth(SHOWN_MAX)
        .map_or(text.len(), |(at, _)| at);
    let (shown, rest) = text.split_at_checked(end).unwrap_or((&text, ""));
    let mut block = format!(
        "\n{what} of record {} ({}, {}):\n{}\n",
        record.seq,
        one_line(&record.kind),
        one_line(&record.actor),
        neutral(shown)
    );
    if !rest.is_empty() {
        let more = rest.chars().count();
        let _infallible = writeln!(block, "… {more} characters more: --payload {}", record.seq);
    }
    block
}

/// Why the run stopped before its end, as its pause says it.
fn why(standing: &Standing, shelf: &Shelf<'_>) -> String {
    let taken = shelf.take(&standing.said);
    taken.map_or_else(String::new, |taken| match taken {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(why) => why,
    })
}

/// The commands that bring the run on, a line each.
fn next(run: &str, standing: &Standing) -> String {
    let commands = standing.commands(run);
    let lines = commands.iter().map(|it| format!("  {}", one_line(it)));
    lines.collect::<Vec<_>>().join("\n")
}

/// What there is to decide on at a gate: what each step that it needs gave. A gate in a sub-plan has what
/// the records say alone, because the plan kept for the run is the outer one.
fn grounds(
    run: &str,
    gate: &str,
    records: &[RecordEntry],
    shelf: &Shelf<'_>,
    context: &Context,
) -> String {
    // Grounds are a help to a person at a gate; without the plan he still has what the records say.
    let plan = match kept_plan(run, context) {
        Ok((file, text)) => Plan::parse(&text, &file).ok(),
        Err(failure) => {
            let why = failure.causes.first().unwrap_or(&failure.message);
            return format!(
                "\nwhat `{gate}` needs is not told here: {}\n",
                one_line(why)
            );
        }
    };
    let needs = plan.and_then(|plan| Some(plan.step(gate)?.needs.clone()));
    let mut text = String::new();
    for step in needs.unwrap_or_default() {
        let filter = Filter {
            step: Some(step.clone()),
            ..Filter::default()
        };
        let meant = filter.of(records.to_vec());
        // The last first: a step that was tried again gave what its last attempt did.
        let mut gave = meant.iter().rev().filter(|record| record.commit.is_some());
        // What several agents came to is the consensus; what one said is the result of its call.
        let gave = gave
            .clone()
            .find(|record| record.kind == "consensus")
            .or_else(|| gave.find(|record| record.kind == "tool.result"));
        if let Some(record) = gave {
            let left = left_to_a_person(record, shelf).unwrap_or_else(|| said(record, shelf));
            let _infallible = write!(text, "\nwhat `{step}` gave:{left}");
        }
    }
    text
}

/// Of the questions that several agents answered, those that they left to a person, with each one's answer; none
/// where they came to something else than answers to questions.
fn left_to_a_person(record: &RecordEntry, shelf: &Shelf<'_>) -> Option<String> {
    let bytes = shelf.take(record)?.ok()?;
    let verdict: Value = serde_json::from_slice(&bytes).ok()?;
    let issues = verdict.get("issues")?.as_array()?;
    let (any, issues) = (!issues.is_empty(), issues.iter());
    let mut text = String::new();
    let word = |of: &Value, key: &str| {
        let value = of.get(key).and_then(Value::as_str);
        one_line(value.unwrap_or_default())
    };
    for issue in issues.filter(|issue| word(issue, "ruling") == "person") {
        let (id, question) = (word(issue, "id"), word(issue, "question"));
        let _infallible = writeln!(text, "\n  {id}: {question}");
        let positions = issue.get("positions").and_then(Value::as_object);
        for (agent, position) in positions.into_iter().flatten() {
            let (agent, answer) = (one_line(agent), word(position, "answer"));
            let _infallible = writeln!(text, "    {agent}: {answer}");
        }
    }
    if text.is_empty() && any {
        text.push_str(" nothing that is left to a person\n");
    }
    (!text.is_empty()).then_some(text)
}

/// How the run ended, and why; of one that stopped before, what it waits for and what to type.
fn head_text(
    run: &str,
    head: &Head,
    stands: Option<(&Standing, String)>,
    word: Option<&str>,
    warned: &[Warned],
) -> String {
    let Head {
        plan,
        labels,
        started,
        status,
        exit_code,
        failed_step,
        failure,
        hint,
        took_us,
        ..
    } = head;
    let ended = match status {
        Some(status) => format!("{status} (exit {exit_code}) after {} ms", took_us / 1_000),
        None => stands.as_ref().map_or_else(
            || word.unwrap_or(UNFINISHED).to_owned(),
            |(it, _)| it.words(),
        ),
    };
    let mut text = format!(
        "run {run} of `{}`, {}: {}\n",
        one_line(plan),
        seconds(started),
        one_line(&ended)
    );
    if !labels.is_empty() {
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
        let labels: Vec<String> = labels.collect();
        let _infallible = writeln!(text, "  labels: {}", one_line(&labels.join(", ")));
    }
    if let Some(why) = words(failure) {
        let place = match failed_step.as_str() {
            "" => String::new(),
            step => format!("step `{}`: ", one_line(step)),
        };
        let _infallible = writeln!(text, "  {place}{}", neutral(&why).replace('\n', "\n  "));
    }
    if !hint.is_empty() {
        let _infallible = writeln!(text, "  hint: {}", neutral(hint).replace('\n', "\n  "));
    }
    if let Some((standing, why)) = &stands {
        if !why.is_empty() {
            let _infallible = writeln!(text, "  {}", neutral(why).replace('\n', "\n  "));
        }
        let next = next(run, standing).replace('\n', "\n  ");
        let _infallible = writeln!(text, "  hint: to go on\n  {next}");
    }
    for sentence in head.sentences() {
        let _infallible = writeln!(text, "  {}", one_line(&sentence));
    }
    text.push_str(&warned_text(warned));
    text.push('\n');
    text
}

/// What a warning is about, in a word, and what it says, with its step in front.
type Warned = (String, String);

/// What the run's record warns of.
fn warnings(records: &[RecordEntry], shelf: &Shelf<'_>) -> Vec<Warned> {
    let said = records.iter().filter_map(|record| {
        let (place, about) = match record.said.as_ref()? {
            Record::GuardVerdict(said) => (&said.place, said.warning.as_ref()?),
            Record::Budget(said) => (&said.place, said.warning.as_ref()?),
            _ => return None,
        };
        let text = match shelf.take(record)? {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(why) => why,
        };
        let said = match place.path.as_deref() {
            None | Some("") => text,
            Some(path) => format!("{path}: {text}"),
        };
        Some((about.clone(), said))
    });
    said.collect()
}

/// The first of them, a line each. Why a run went on without a step stands below its steps.
fn warned_text(warned: &[Warned]) -> String {
    let shown = warned.iter().filter(|(about, _)| about != CONTINUED);
    let (mut text, all) = (String::new(), shown.clone().count());
    for (_, said) in shown.take(WARNINGS_MAX) {
        let _infallible = writeln!(text, "  warning: {}", one_line(said));
    }
    if all > WARNINGS_MAX {
        let more = all - WARNINGS_MAX;
        let _infallible = writeln!(
            text,
            "  … and {more} more warnings: --kind guard.verdict --kind budget"
        );
    }
    text
}

fn words(stored: &Stored) -> Option<String> {
    match stored {
        Stored::Text { text, .. } => Some(text.clone()),
        Stored::Erased => Some("why was erased".to_owned()),
        _ => None,
    }
}

fn head_document(
    run: &str,
    head: &Head,
    standing: Option<&Standing>,
    word: Option<String>,
    warned: &[Warned],
) -> Value {
    let paused = standing.map(|it| &it.pause);
    let status = head.status.as_ref().or(paused.map(|it| &it.status));
    let status = status.cloned().or(word);
    let exit_code = head.exit_code.parse::<u64>().ok();
    json!({
        "plan": head.plan, "plan_hash": head.plan_hash, "labels": head.labels, "started": head.started,
        "status": status, "exit_code": exit_code.or(paused.and_then(|it| it.exit_code)),
        "next": standing.map(|it| it.commands(run)).unwrap_or_default(),
        "duration_ms": head.took_us / 1_000, "failed_step": head.failed_step,
        "failure": words(&head.failure), "hint": head.hint, "taken": head.taken.sentences(),
        "only": head.only, "note": head.note,
        "warnings": warned.iter().map(|(_, said)| said).collect::<Vec<_>>(),
    })
}

/// How a run stands whose own records do not say: in the word of the index, as `runs list` prints it.
fn of_index(run: &str, context: &Context) -> String {
    // What the index cannot tell is told by the command that is about it.
    let status = cancel::ended(run, context).ok().flatten();
    let status = status.filter(|status| !status.is_empty());
    status.unwrap_or_else(|| UNFINISHED.to_owned())
}

/// That records are gone which were signed; none where all of them are there.
pub(super) fn cut_short(signed: Option<u64>, there: usize) -> Option<String> {
    let (signed, there) = (signed?, there as u64);
    (there < signed).then(|| {
        format!("its ledger was cut: {signed} records were signed, and {there} of them are there")
    })
}

fn warn(run: &str, cut: &str, context: &Context) {
    if !context.output.json {
        let text = format!("warning: {cut}; `flowhost verify {run}` says more\n");
        context.output.message(&context.state.told(&text));
    }
}

/// Says that the ledger of a run was cut, where it was, for commands that show or keep what is left of it.
pub(super) fn warn_of_cut(run: &str, source: &dyn Source, dir: &Path, context: &Context) {
    // Before the records are counted, so that those of a writer at work are not missed.
    let signed = signed_size(source, dir);
    let there = match read_run_in(source, dir) {
        Ok(records) => records.map_while(Result::ok).count(),
        Err(error) => {
            // The command itself reads it, and fails with that.
            tracing::debug!(%error, run, "how much of its ledger is there is not known");
            return;
        }
    };
    if let Some(cut) = cut_short(signed, there) {
        warn(run, &cut, context);
    }
}

/// `2026-11-21T04:00:00.000000Z` without its fraction.
pub(super) fn seconds(ts: &str) -> String {
    ts.split('.').next().unwrap_or(ts).replace('T', " ")
}

/// The time of day to the millisecond: all records of a run are close together.
fn time_of_day(ts: &str) -> String {
    let time = ts.split('T').nth(1).unwrap_or(ts);
    // `04:00:00.000` of microseconds.
    time.get(..12).unwrap_or(time).to_owned()
}
