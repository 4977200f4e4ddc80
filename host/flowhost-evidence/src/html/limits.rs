//! What was used of the run's budget, and how near each step's heaviest call came to its limits.

use maud::{Markup, html};

use super::parts::{more, numbers_in, step, stored, table, used, words_in};
use super::words;
use crate::story::{Line, Peak, Shown, Step, Story};

/// Steps whose heaviest calls are shown.
const STEPS_SHOWN: usize = 20;

/// How an amount is written.
type Show = fn(u64) -> String;

/// The limits that a call is measured against: key, title, and how their amounts are written.
const LIMITS: [(&str, &str, Show); 7] = [
    ("fuel", "Fuel", words::short),
    ("memory", "Memory", words::bytes),
    ("deadline", "Wall clock", words::millis),
    ("host_calls", "Host calls", words::short),
    ("output", "Output", words::bytes),
    ("log", "Log", words::bytes),
    ("evidence", "Evidence", words::bytes),
];

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let measured = heaviest(story);
    let mut head = vec![words_in("Step")];
    head.extend(LIMITS.iter().map(|(_, title, _)| numbers_in(title)));
    html! {
        ul.budget aria-label="The run's budget" {
            @for line in &story.spend.lines { li { (budget(line)) } }
        }
        (events(story))
        @if measured.items.is_empty() {
            p.none { "No call was measured." }
        } @else {
            (table(
                "The heaviest call of each step, used of allowed",
                &head,
                &html! { @for step in &measured.items { (row(step)) } },
            ))
            (more(&story.head.run, &measured, "step, none nearer to a limit,", "steps, none nearer to a limit,"))
        }
    }
}

/// The steps whose calls came nearest to a limit, in the order of the ledger: a page on which every one of
/// a thousand steps has seven bars is larger than its ledger, and nobody looks for the fullest of them.
fn heaviest(story: &Story) -> Shown<&Step> {
    let steps = story.steps.listed.items.iter();
    let measured: Vec<&Step> = steps.filter(|step| !step.peaks.is_empty()).collect();
    let share = |step: &Step| {
        step.peaks
            .values()
            .filter(|peak| peak.allowed.is_some())
            .map(Peak::share)
            .max()
            .unwrap_or(0)
    };
    let mut shares: Vec<u64> = measured.iter().map(|step| share(step)).collect();
    shares.sort_unstable_by_key(|share| std::cmp::Reverse(*share));
    let least = shares.get(STEPS_SHOWN - 1).copied().unwrap_or(0);
    let total = measured.len() as u64;
    let near = measured.into_iter().filter(|step| share(step) >= least);
    Shown {
        items: near.take(STEPS_SHOWN).collect(),
        total,
    }
}

fn budget(line: &Line) -> Markup {
    let (title, show): (&str, Show) = match line.currency {
        "calls" => ("Calls", words::count),
        "fuel" => ("Fuel", words::short),
        "tokens" => ("Tokens", words::count),
        "evidence" => ("Evidence", words::bytes),
        _ => ("Cost", words::usd),
    };
    html! {
        h3 { (title) }
        @match line.used {
            Some(amount) => p { (used(Peak { used: amount, allowed: line.allowed }, show)) },
            None => p.none { "Not known before the run has ended." },
        }
        @if line.before > 0 {
            p.of { (show(line.before)) " of it before the fork, by another run" }
        }
        @if line.held > 0 {
            p.of { "and up to " (show(line.held)) " held for tries without an outcome" }
        }
    }
}

fn events(story: &Story) -> Markup {
    let spend = &story.spend;
    html! {
        @if spend.reserved > 0 {
            p.summary {
                (words::plural(spend.reserved, "reservation", "reservations")) " before calls, "
                (words::count(spend.settled)) " settled after them."
            }
        }
        @if let Some(expected) = &spend.expected {
            p.summary {
                "Model calls were expected to take " (tokens_and_usd(expected.likely)) " (record " (expected.seq) ")"
                @if let Some(spent) = expected.spent { "; they took " (tokens_and_usd(spent)) }
                "."
            }
        }
        @for event in &spend.events.items {
            details {
                summary {
                    span.status.warn { (event.event) } " "
                    @if !event.about.is_empty() { code { (event.about) } " " }
                    @if !event.used.is_empty() {
                        (amount(&event.about, &event.used)) " of " (amount(&event.about, &event.allowed)) " "
                    }
                    span.of { "record " (event.seq) }
                }
                (stored(&event.message))
            }
        }
        (more(&story.head.run, &spend.events, "event", "events"))
    }
}

/// An amount of a record in the units of what it is about.
fn tokens_and_usd((tokens, micro_usd): (u64, u64)) -> String {
    let tokens = words::plural(tokens, "token", "tokens");
    format!("{tokens} and {}", words::usd(micro_usd))
}

fn amount(about: &str, text: &str) -> String {
    match (about, text.parse::<u64>()) {
        ("usd" | "micro_usd", Ok(micro)) => words::usd(micro),
        ("fuel", Ok(number)) => words::short(number),
        (_, Ok(number)) => words::count(number),
        (_, Err(_)) => text.to_owned(),
    }
}

fn row(of: &Step) -> Markup {
    html! {
        tr {
            th scope="row" { (step(&of.path)) }
            @for (key, _, show) in LIMITS {
                td.n {
                    @match of.peaks.get(key) {
                        Some(peak) => (used(*peak, show)),
                        None => span.of { "-" },
                    }
                }
            }
        }
    }
}
