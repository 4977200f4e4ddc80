//! What guardrails and checks said.

use maud::{Markup, html};

use super::items::well;
use super::parts::{Column, more, numbers_in, status, step, stored, table, words_in};
use super::words;
use crate::story::{Story, Verdict};

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
        (more(&verdicts.tallies, "guardrail or check", "guardrails and checks"))
        @for verdict in &verdicts.notable.items { (one(verdict)) }
        (more(&verdicts.notable, "verdict with findings", "verdicts with findings"))
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
