//! The table of steps, and what failed on the way.

use maud::{Markup, html};

use super::items::{Grouped, Items, well};
use super::parts::{Column, more, numbers_in, status, stored, table, words_in};
use super::words;
use crate::story::{Step, Story};

const COLUMNS: [Column; 8] = [
    words_in("Step"),
    words_in("Status"),
    numbers_in("Attempts"),
    numbers_in("Time"),
    numbers_in("Calls"),
    numbers_in("Fuel"),
    numbers_in("Tokens"),
    numbers_in("Cost"),
];

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let steps = &story.steps;
    let troubled: Vec<&Step> = steps
        .listed
        .items
        .iter()
        .filter(|step| step.attempts.iter().any(|it| !it.class.is_empty()))
        .collect();
    html! {
        p.summary {
            @for (at, (word, count)) in steps.by_status.iter().enumerate() {
                @if at > 0 { ", " }
                (words::count(*count)) " " (word)
            }
            "."
        }
        @if !steps.listed.items.is_empty() {
            @let grouped = Grouped::of(steps.listed.items.iter());
            @if !grouped.alone.is_empty() {
                (table(
                    "Steps in the order of the ledger, with what they used",
                    &COLUMNS,
                    &html! { @for step in &grouped.alone { (row(step)) } },
                ))
            }
            @for items in &grouped.items { (group(items)) }
            (more(&steps.listed, "step", "steps"))
        }
        @if !troubled.is_empty() {
            h3 { "Attempts that failed" }
            @for step in troubled { (attempts(step)) }
        }
    }
}

/// The items of a `foreach`, folded away.
fn group(items: &Items<'_>) -> Markup {
    html! {
        details.well[items.well()] {
            summary { code { (items.of) } " " span.of { (items.told()) } }
            (table(
                &format!("Items of {}", items.of),
                &COLUMNS,
                &html! { @for step in &items.steps { (row(step)) } },
            ))
        }
    }
}

fn row(step: &Step) -> Markup {
    html! {
        tr.well[well(&step.status)] {
            th scope="row" {
                code { (step.path) }
                @if !step.stage.is_empty() { " " span.tag { (step.stage) } }
            }
            td { (status(&step.status)) }
            td.n { (words::count(step.attempts_total)) }
            td.n { (words::millis(step.duration_ms)) }
            td.n { (words::count(step.calls)) }
            td.n title=(words::count(step.fuel)) { (words::short(step.fuel)) }
            td.n { (words::count(step.tokens)) }
            td.n { (words::usd(step.micro_usd)) }
        }
    }
}

fn attempts(step: &Step) -> Markup {
    let failed = step.attempts.iter().filter(|it| !it.class.is_empty());
    html! {
        @for attempt in failed {
            details {
                summary {
                    code { (step.path) }
                    " attempt " (attempt.number) " of " (step.attempts_total) " "
                    (status(&attempt.status)) " " span.tag { (attempt.class) }
                }
                (stored(&attempt.message))
            }
        }
    }
}
