//! The report of a run in some lines for a person.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowhost_flow::plan::Work;
use flowhost_flow::problem::At;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_flow::{Plan, StepStatus};
use flowhost_run::document::{Cost, Saved};
use flowhost_run::estimate::{Basis, Estimate};
use flowhost_run::{Denial, Finished, ReusedCall, StepOutcome, status_word};
use flowhost_words::is_second_key;
use owo_colors::Style;
use serde_json::Value;

use crate::failure::{ask_otherwise, would_allow};
use crate::output::{Output, counted, neutral, one_line};
use crate::sources::is_shipped;
use crate::state::State;

/// Steps that a person is shown; the items of a `foreach` are summed up in the line of their step.
/// About what a terminal shows at once; `runs show` and the page have all of them.
const STEPS_SHOWN_MAX: usize = 40;

/// Items of one `foreach` that are shown because they did not end well.
const ITEMS_SHOWN_MAX: usize = 5;

/// The right that a denial names where a guardrail refused the call of a tool.
const GUARDRAIL: &str = "guardrail";

/// What comes before the cure of a denial in this run where the profile is a shipped one, which nobody edits.
#[must_use]
pub fn own_first(denial: &Denial, plan: &Plan, run: &str) -> Option<String> {
    // An option of the command line is no line of a profile.
    if denial.cure.is_empty() || is_second_key(&denial.cure) {
        return None;
    }
    // An actor without a plugin is the host itself, which has no profile.
    let (_tenant, plugin) = denial.actor.split_once('/')?;
    let profile = &plan.plugins.get(plugin)?.profile;
    is_shipped(profile).then(|| {
        format!(
            "`{profile}` is shipped and stays as it is: `flowhost policy suggest {run}` says how to make it your own \
             and prints the lines as a patch"
        )
    })
}

/// The report for a person, for standard output.
#[must_use]
pub fn text(output: &Output, run: &Finished, plan: &Plan, state: &State) -> String {
    let mut text = steps(output, run, plan);
    for (denial, times) in grouped(&run.outcome.denials) {
        text.push_str(&denied(output, denial, times, plan, &run.run, state));
    }
    for warning in &run.outcome.warnings {
        let line = one_line(&format!("warning: {warning}"));
        let _infallible = writeln!(text, "{}", output.out(&line, Style::new().yellow()));
    }
    for (name, value) in &run.outcome.end.outputs {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        let name = output.out(name, Style::new().bold());
        let _infallible = writeln!(text, "{name}: {}", neutral(&shown));
    }
    if let Some(line) = agreed(run, plan) {
        let _infallible = writeln!(text, "{line}");
    }
    text.push_str(&closing(run, state));
    text
}

/// How the steps stand whose agents were asked together, in a line near the end: the outputs before it may be longer than any
/// screen. None for a plan without such a step.
fn agreed(run: &Finished, plan: &Plan) -> Option<String> {
    let steps = run.outcome.steps.iter();
    let all: Vec<_> = steps
        .filter_map(|(path, step)| Some((path, step.consensus.as_ref()?)))
        .collect();
    if all.is_empty() {
        return None;
    }
    let conflicts: usize = all.iter().map(|(_, verdict)| verdict.conflicts.len()).sum();
    let mut others: Vec<_> = all.iter().filter(|(_, verdict)| !verdict.ok).collect();
    others.sort_by_cached_key(|(path, _)| in_order(plan, path));
    let named = others.iter().take(ITEMS_SHOWN_MAX);
    let named = named.map(|(path, verdict)| format!("{path} ({})", verdict.status.word()));
    let mut named: Vec<String> = named.collect();
    if others.len() > ITEMS_SHOWN_MAX {
        named.push(format!("… and {} more", others.len() - ITEMS_SHOWN_MAX));
    }
    let not = match named.is_empty() {
        true => String::new(),
        false => format!("; not ok: {}", named.join(", ")),
    };
    let line = format!(
        "consensus_ok: {} of {}, {}{not}",
        all.len() - others.len(),
        counted(all.len(), "step"),
        counted(conflicts, "conflict"),
    );
    Some(one_line(&line))
}

/// A line for each step; of a step that was done once for each item, its items below it.
fn steps(output: &Output, run: &Finished, plan: &Plan) -> String {
    let mut text = String::new();
    let mut steps: Vec<_> = run.outcome.steps.iter().collect();
    steps.sort_by_cached_key(|(path, _)| in_order(plan, path));
    let shown: Vec<_> = steps
        .iter()
        .filter(|(path, _)| !path.contains('['))
        .collect();
    for (path, step) in shown.iter().take(STEPS_SHOWN_MAX) {
        let items = Items::of(path, &steps);
        text.push_str(&step_line(output, step, &items));
        text.push_str(&items.lines(output));
    }
    if shown.len() > STEPS_SHOWN_MAX {
        let _infallible = writeln!(text, "  … and {} more", shown.len() - STEPS_SHOWN_MAX);
    }
    text
}

/// What a plugin wanted and did not get, how often, and what would allow it.
fn denied(
    output: &Output,
    denial: &Denial,
    times: usize,
    plan: &Plan,
    run: &str,
    state: &State,
) -> String {
    let Denial {
        actor,
        right,
        wanted,
        rule,
        cure,
        why,
        ..
    } = denial;
    let mut text = String::new();
    let again = match times {
        1 => String::new(),
        times => format!(", {times} times"),
    };
    // The record of a verdict is the guardrail's own: it did not want the call, it refused it.
    let line = match (right.as_str(), why.is_empty()) {
        (GUARDRAIL, true) => {
            format!("denied: {actor}, a guardrail, refused {wanted} (rule {rule}){again}")
        }
        (GUARDRAIL, false) => {
            format!("denied: {actor}, a guardrail, refused {wanted} (rule {rule}){again}: {why}")
        }
        _ => format!("denied: {actor} wanted {wanted} (rule {rule}){again}"),
    };
    let line = one_line(&line);
    let _infallible = writeln!(text, "{}", output.out(&line, Style::new().yellow()));
    if let Some(hint) = ask_otherwise(rule) {
        let _infallible = writeln!(text, "  {hint}");
    }
    if !cure.is_empty() {
        let lines = neutral(cure).replace('\n', "\n    ");
        let _infallible = writeln!(text, "  {}\n    {lines}", would_allow(rule, cure));
        if let Some(own) = own_first(denial, plan, run) {
            let _infallible = writeln!(text, "  {}", state.told(&own));
        }
    }
    text
}

/// What it cost, how it went, and where that can be read and checked.
fn closing(run: &Finished, state: &State) -> String {
    let (outcome, evidence) = (&run.outcome, &run.evidence);
    let mut text = String::new();
    if let Some(line) = cost_line(run) {
        let _infallible = writeln!(text, "{line}");
    }
    if let Some(saved) = Saved::of(&outcome.reused) {
        let _infallible = writeln!(
            text,
            "reused: {}, which saved ${:.6}, {} tokens and {} ms",
            reused(&outcome.reused),
            micro_usd_to_usd(saved.micro_usd),
            saved.tokens,
            saved.duration_ms,
        );
    }
    let _infallible = writeln!(
        text,
        "{}: {} in {} ms, run {}",
        one_line(&run_name(run)),
        status_word(outcome),
        outcome.duration_ms,
        run.run,
    );
    if let Some(page) = &evidence.report_html {
        let _infallible = writeln!(text, "report: {}", page.display());
    }
    let _infallible = writeln!(
        text,
        "evidence: {} ({} records); check it with: {}",
        evidence.run_dir.display(),
        // None where the ledger could not be signed, which is told as the failure that it is.
        evidence.sealed.as_ref().map_or(0, |it| it.size),
        state.told(&format!("flowhost verify {}", run.run)),
    );
    text
}

/// Refusals that would read the same, once each in the order of the first, with how often: a plugin that asks again
/// is refused again, and one cure does for all.
fn grouped(denials: &[Denial]) -> Vec<(&Denial, usize)> {
    let mut all: Vec<(&Denial, usize)> = Vec::new();
    let mut places = BTreeMap::new();
    for denial in denials {
        let asked = (&denial.actor, &denial.wanted, &denial.rule, &denial.cure);
        let same = (asked, &denial.why);
        let place = *places.entry(same).or_insert(all.len());
        match all.get_mut(place) {
            Some((_, times)) => *times += 1,
            None => all.push((denial, 1)),
        }
    }
    all
}

/// A step's place: steps as the plan has them, items as people count (`check[2]` before `check[10]`), then what was
/// taken back, the last step's first, and handlers last.
#[must_use]
pub fn in_order(plan: &Plan, path: &str) -> Vec<(At, u64, String)> {
    let mut plan = Some(plan);
    let mut places = Vec::new();
    for part in path.split('/') {
        // `scan[3]` is an item, `search#2` the second visit of a state or action.
        let (done, back) = match part.strip_suffix("!compensate") {
            Some(done) => (done, true),
            None => (part, false),
        };
        let (id, item) = done.split_once(['[', '#']).unwrap_or((done, ""));
        let step = plan.and_then(|plan| plan.step(id));
        let last = At {
            line: u32::MAX,
            column: u32::MAX,
        };
        let item = item.trim_end_matches(']');
        // No item, or one of an object by its key: those stand in the order of their text.
        let number = item.parse().unwrap_or(0);
        let place = step.map_or(last, |step| match back {
            false => step.at,
            true => At {
                // Behind every step that has a place, in the order opposite to theirs, and before handlers, whose
                // column is the largest there is.
                column: u32::MAX.saturating_sub(step.at.line),
                ..last
            },
        });
        places.push((place, number, part.to_owned()));
        plan = plan.zip(step).and_then(|(plan, step)| match &step.work {
            Work::Plan { reference } => plan.sub_plan(reference).map(AsRef::as_ref),
            _ => None,
        });
    }
    places
}

/// How many calls, and of which runs.
fn reused(calls: &[ReusedCall]) -> String {
    let mut runs: Vec<&str> = calls.iter().map(|it| it.run.as_str()).collect();
    runs.sort_unstable();
    runs.dedup();
    format!(
        "{} of run {}",
        counted(calls.len(), "call"),
        runs.join(", ")
    )
}

/// What models cost, and what was expected; none where none may be asked.
fn cost_line(run: &Finished) -> Option<String> {
    let cost = Cost::of(run);
    // Without a step that asks models there was nothing to expect, and a line of zeros would be read as news.
    if run.estimate.steps.is_empty() {
        return None;
    }
    let expected = foreseen(
        cost.estimated_usd.zip(cost.estimated_tokens),
        run.estimate.unknown().count(),
    );
    let before = cost.before.map_or_else(String::new, |before| {
        format!(
            "; ${:.6} and {} tokens of it were spent before the fork, by another run",
            before.usd, before.tokens
        )
    });
    Some(format!(
        "cost: ${:.6}, {} tokens ({expected}{}){before}",
        cost.total_usd,
        cost.tokens,
        at_most(&run.estimate)
    ))
}

/// The most that the plan allows, where no earlier run said how far below that one ends; nothing where nobody knew what
/// a step costs, which is said already.
fn at_most(estimate: &Estimate) -> String {
    let mut steps = estimate.steps.values();
    // An earlier run's cost is the better word where there is one, and both in one line would be read as a sum.
    if !steps.all(|it| it.basis == Basis::Prompt) {
        return String::new();
    }
    match estimate.total().high {
        Some(high) => format!(
            "; at most ${:.6}, {} tokens by the plan",
            micro_usd_to_usd(high.micro_usd),
            high.tokens
        ),
        None => "; how much at most only the run could know".to_owned(),
    }
}

/// What was expected before the run, beside the steps of which nobody could know it: that is not nothing.
fn foreseen(expected: Option<(f64, u64)>, unknown: usize) -> String {
    let Some((usd, tokens)) = expected else {
        return "not foreseen".to_owned();
    };
    let unknown = match unknown {
        0 => String::new(),
        unknown => format!("; {} not foreseen", counted(unknown, "step")),
    };
    format!("expected ${usd:.6}, {tokens} tokens{unknown}")
}

fn run_name(run: &Finished) -> String {
    // Twelve digits: enough to tell plans apart in a conversation; the whole one is in the record.
    format!("plan {}", run.plan_hash.get(..12).unwrap_or(&run.plan_hash))
}

/// The items of a `foreach` step.
struct Items<'a> {
    count: usize,
    /// How many ended how, of those that did not end well.
    others: BTreeMap<&'static str, usize>,
    /// The first that did not end well.
    bad: Vec<&'a StepOutcome>,
    fuel: u64,
}

impl<'a> Items<'a> {
    fn of(step: &str, all: &[(&String, &'a StepOutcome)]) -> Self {
        let items = all.iter().filter(|(path, _)| {
            // `check[3]`, and not a step of a plan that the item runs (`check[3]/read`).
            let rest = path
                .strip_prefix(step)
                .and_then(|rest| rest.strip_prefix('['));
            rest.is_some_and(|rest| rest.ends_with(']') && !rest.contains('/'))
        });
        let mut found = Self {
            count: 0,
            others: BTreeMap::new(),
            bad: Vec::new(),
            fuel: 0,
        };
        for (_, item) in items {
            found.count += 1;
            found.fuel = found.fuel.saturating_add(item.summary.used.fuel);
            let status = item.summary.status;
            if status != StepStatus::Ok {
                *found.others.entry(status.word()).or_default() += 1;
                found.bad.push(item);
            }
        }
        found
    }

    /// `, 400 items: 3 failed`.
    fn counted(&self) -> String {
        if self.count == 0 {
            return String::new();
        }
        let others = self
            .others
            .iter()
            .map(|(word, count)| format!("{count} {word}"));
        let others: Vec<String> = others.collect();
        let items = counted(self.count, "item");
        match others.is_empty() {
            true => format!(", {items}"),
            false => format!(", {items}: {}", others.join(", ")),
        }
    }

    /// A line for each of the first that failed, with the reason.
    fn lines(&self, output: &Output) -> String {
        let failed = self
            .bad
            .iter()
            .filter(|it| it.summary.status == StepStatus::Failed);
        let mut text = String::new();
        for item in failed.clone().take(ITEMS_SHOWN_MAX) {
            let summary = &item.summary;
            let word = output.out(
                &format!("{:>11}", summary.status.word()),
                styled(summary.status),
            );
            let why = summary
                .failure
                .as_ref()
                .map(|failure| failure.message.as_str());
            let line = one_line(&format!("{}: {}", summary.path, why.unwrap_or_default()));
            let _infallible = writeln!(text, "{word}  {line}");
        }
        let more = failed.count().saturating_sub(ITEMS_SHOWN_MAX);
        if more > 0 {
            let _infallible = writeln!(text, "{:>11}  … and {more} more", "");
        }
        text
    }
}

fn styled(status: StepStatus) -> Style {
    match status {
        StepStatus::Ok => Style::new().green(),
        StepStatus::Skipped | StepStatus::Cancelled => Style::new().dimmed(),
        _ => Style::new().red(),
    }
}

fn step_line(output: &Output, step: &StepOutcome, items: &Items<'_>) -> String {
    let summary = &step.summary;
    let word = output.out(
        &format!("{:>9}", summary.status.word()),
        styled(summary.status),
    );
    let tries = match summary.attempts {
        0 | 1 => String::new(),
        more => format!(", {more} attempts"),
    };
    // The join of a `foreach` uses nothing by itself.
    let fuel = match summary.used.fuel.max(items.fuel) {
        0 => String::new(),
        fuel => format!(", fuel {fuel}"),
    };
    let agreed = match &step.consensus {
        Some(verdict) => format!(
            ", consensus {}: {} of {} agents, {}",
            verdict.status.word(),
            verdict.participation.present,
            verdict.participation.expected,
            counted(verdict.conflicts.len(), "conflict")
        ),
        None => String::new(),
    };
    format!(
        "{word}  {} ({} ms{tries}{fuel}{agreed}{counted})\n",
        one_line(&summary.path),
        summary.duration_ms,
        counted = items.counted(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_shown_as_the_plan_has_them_and_items_by_their_numbers() {
        let plan = "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  t: { kind: tool, source: ./t.wasm, \
                    profile: deny-all }\nsteps:\n  first: { uses: t, with: {} }\n  check: { uses: t, with: {} }\n  \
                    a: { uses: t, with: {} }\n";
        let plan = Plan::parse(plan, "p.yaml").unwrap();
        let mut paths = [
            "report",
            "check!compensate",
            "first!compensate",
            "a!compensate",
            "a",
            "check[10]",
            "check[2]",
            "check",
            "first",
        ];
        paths.sort_by_cached_key(|path| in_order(&plan, path));
        let wanted = [
            "first",
            "check",
            "check[2]",
            "check[10]",
            "a",
            "a!compensate",
            "check!compensate",
            "first!compensate",
            "report",
        ];
        assert_eq!(paths, wanted);
    }

    #[test]
    fn what_nobody_could_foresee_is_not_printed_as_nothing() {
        assert_eq!(foreseen(None, 2), "not foreseen");
        let known = Some((0.5, 120));
        assert_eq!(foreseen(known, 0), "expected $0.500000, 120 tokens");
        let some = "expected $0.500000, 120 tokens; 1 step not foreseen";
        assert_eq!(foreseen(known, 1), some);
    }
}
