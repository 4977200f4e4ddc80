//! What guardrails and checks said.

use maud::{Markup, html};

use super::items::well;
use super::parts::{Column, more, numbers_in, status, step, stored, table, words_in};
use super::words;
use crate::story::{Ruling, Shown, Story, Verdict};

const RULINGS: [Column; 7] = [
    words_in("Step"),
    words_in("Consensus"),
    words_in("Plan"),
    numbers_in("Agents"),
    numbers_in("Agreements"),
    numbers_in("Conflicts"),
    numbers_in("Decided"),
];

const COLUMNS: [Column; 5] = [
    words_in("Name"),
    words_in("Kind"),
    numbers_in("Passed"),
    numbers_in("Rewrote"),
    numbers_in("Refused"),
];

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let verdicts = &story.verdicts;
    html! {
        (table("Verdicts by guardrail and check", &COLUMNS, &html! {
            @for tally in &verdicts.tallies.items {
                tr {
                    th scope="row" { code { (tally.guard) } }
                    td { @if tally.is_check { "check" } @else { "guardrail" } }
                    td.n { (words::count(tally.pass)) }
                    td.n { (words::count(tally.rewrite)) }
                    td.n { (words::count(tally.deny)) }
                }
            }
        }))
        (more(&story.head.run, &verdicts.tallies, "guardrail or check", "guardrails and checks"))
        @if !verdicts.consensus.items.is_empty() { (consensus(&story.head.run, &verdicts.consensus)) }
        @for verdict in &verdicts.notable.items { (one(verdict)) }
        (more(&story.head.run, &verdicts.notable, "verdict with findings", "verdicts with findings"))
    }
}

/// What agents that were asked together came to.
fn consensus(run: &str, all: &Shown<Ruling>) -> Markup {
    html! {
        (table("Consensus by step and round", &RULINGS, &html! {
            @for ruling in &all.items {
                tr {
                    th scope="row" {
                        (step(&ruling.step))
                        @if ruling.place != (1, 1) {
                            span.of { ", attempt " (ruling.place.0) ", round " (ruling.place.1) }
                        }
                    }
                    td { (status(&ruling.status)) }
                    td { (ruling.decision) }
                    td.n { (ruling.present.0) " of " (ruling.present.1) }
                    td.n { (words::count(ruling.points.0)) }
                    td.n { (words::count(ruling.points.1)) }
                    td.n { (words::count(ruling.points.2)) }
                }
            }
        }))
        (more(run, all, "round of a consensus", "rounds of consensus"))
        @for ruling in &all.items {
            details {
                summary {
                    "verdict of " (step(&ruling.step)) ", round " (ruling.place.1)
                    span.of { ", record " (ruling.seq) }
                }
                (stored(&ruling.verdict))
            }
        }
    }
}

fn one(verdict: &Verdict) -> Markup {
    html! {
        details.well[well(&verdict.verdict)] {
            summary {
                code { (verdict.guard) } " " (status(&verdict.verdict))
                @if verdict.warned { " " span.tag { "warned only" } }
                span.of {
                    " in " (step(&verdict.step))
                    @if !verdict.tool.is_empty() { " at tool " code { (verdict.tool) } }
                    @if !verdict.part.is_empty() { ", " (verdict.part) }
                    ", " (words::plural(verdict.findings, "finding", "findings"))
                    ", record " (verdict.seq)
                }
            }
            (stored(&verdict.found))
        }
    }
}
