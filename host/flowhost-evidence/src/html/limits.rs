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
    let measured = heaviest(&story.steps.listed.items);
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
fn heaviest(steps: &[Step]) -> Shown<&Step> {
    let measured = steps.iter().filter(|step| !step.peaks.is_empty());
    let share = |step: &Step| {
        step.peaks
            .values()
            .filter(|peak| peak.allowed.is_some())
            .map(Peak::share)
            .max()
            .unwrap_or(0)
    };
    let mut nearest: Vec<(usize, &Step)> = measured.enumerate().collect();
    let total = nearest.len() as u64;
    // Places are kept, because a share alone cannot choose: with many steps as near as the last that has room, those of
    // them that come first would push out a nearer one that comes later.
    nearest.sort_by_cached_key(|(_, step)| std::cmp::Reverse(share(step)));
    nearest.truncate(STEPS_SHOWN);
    nearest.sort_unstable_by_key(|(place, _)| *place);
    Shown {
        items: nearest.into_iter().map(|(_, step)| step).collect(),
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

fn tokens_and_usd((tokens, micro_usd): (u64, u64)) -> String {
    let tokens = words::plural(tokens, "token", "tokens");
    format!("{tokens} and {}", words::usd(micro_usd))
}

/// An amount of a record in the units of what it is about; as it stands where it is not a whole number.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_nearest_to_a_limit_is_shown_though_many_that_are_alike_come_before_it() {
        let step = |used: u64| {
            let peak = Peak {
                used,
                allowed: Some(100),
            };
            Step {
                path: format!("used-{used}"),
                peaks: [("fuel", peak)].into(),
                ..Step::default()
            }
        };
        let mut steps: Vec<Step> = (0..30).map(|_| step(10)).collect();
        steps.push(step(90));
        let shown = heaviest(&steps);
        assert_eq!((shown.items.len(), shown.total), (STEPS_SHOWN, 31));
        let last = shown.items.last().map(|it| it.path.as_str());
        assert_eq!(last, Some("used-90"));
    }
}
