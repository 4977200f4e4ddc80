//! Tokens and cost by step, agent and model; and each prompt with its answer.

use maud::{Markup, html};

use super::items::well;
use super::parts::{more, numbers_in, status, step, stored, table, words_in};
use super::words;
use crate::story::{Message, ModelCall, Request, Shown, Stored, Story, Sums, Try};

const COLUMNS: [&str; 8] = [
    "Tries",
    "Failed",
    "Prompt",
    "Cached",
    "Completion",
    "Reasoning",
    "Waiting",
    "Cost",
];

/// The section on cost.
pub(super) fn cost(story: &Story) -> Markup {
    let models = &story.models;
    let all = &models.all;
    html! {
        p.summary {
            strong { (words::usd(all.micro_usd)) } " for "
            (words::plural(all.tokens(), "token", "tokens")) " in "
            (words::plural(models.listed.total, "call", "calls")) " and "
            (words::plural(all.tries, "try", "tries")) "."
            @if all.estimated > 0 {
                " In " (words::plural(all.estimated, "try", "tries"))
                " the provider did not say what was used, and the host estimated it."
            }
            @if all.unknown > 0 {
                " " strong { "Not in it:" } " "
                (words::plural(all.unknown, "try", "tries"))
                " of which no record says how they ended. What they cost is not known; held for them were "
                (words::plural(all.held_tokens, "token", "tokens")) " and " (words::usd(all.held_micro_usd)) "."
            }
        }
        (sums(&story.head.run, "Model", "Tokens and cost by model", &models.by_model))
        (sums(&story.head.run, "Agent", "Tokens and cost by agent", &models.by_agent))
        (sums(&story.head.run, "Step", "Tokens and cost by step", &models.by_step))
    }
}

fn sums(run: &str, what: &'static str, caption: &str, lines: &Shown<(String, Sums)>) -> Markup {
    let mut head = vec![words_in(what)];
    head.extend(COLUMNS.map(numbers_in));
    html! {
        (table(caption, &head, &html! {
            @for (name, sums) in &lines.items {
                tr {
                    th scope="row" { (step(name)) }
                    td.n { (words::count(sums.tries)) }
                    td.n { (words::count(sums.failed)) }
                    td.n { (words::count(sums.prompt)) }
                    td.n { (words::count(sums.cached)) }
                    td.n { (words::count(sums.completion)) }
                    td.n { (words::count(sums.reasoning)) }
                    td.n { (words::millis(sums.duration_ms)) }
                    td.n { (price(sums)) }
                }
            }
        }))
        (more(run, lines, "line", "lines"))
    }
}

/// What was paid, and what may have been: a try without an outcome is not free.
fn price(sums: &Sums) -> Markup {
    let known = sums.unknown < sums.tries || sums.unknown == 0;
    html! {
        @if known { (words::usd(sums.micro_usd)) }
        @if sums.unknown > 0 {
            @if known { " + " }
            "unknown (" (words::usd(sums.held_micro_usd)) " held)"
        }
    }
}

/// The section with prompts and answers.
pub(super) fn calls(story: &Story) -> Markup {
    let listed = &story.models.listed;
    html! {
        p.summary { "As stored, that is after redaction. Open one to read it." }
        @for call in &listed.items { (one(call)) }
        (more(&story.head.run, listed, "call", "calls"))
    }
}

fn one(call: &ModelCall) -> Markup {
    let last = call.tries.last();
    let sums = call.sums();
    html! {
        details.call.well[last.is_some_and(|it| well(&it.status))] {
            summary {
                span.who { code { (call.agent) } " asks " code { (call.asked) } }
                " " (status(last.map_or("unfinished", |it| it.status.as_str())))
                span.of {
                    " in " (step(&call.step)) ", "
                    (words::plural(sums.tokens(), "token", "tokens")) ", " (price(&sums))
                    @if call.tries.len() > 1 { ", " (call.tries.len()) " tries" }
                }
            }
            @if !call.prompt_version.is_empty() || call.redacted > 0 {
                p.of {
                    @if !call.prompt_version.is_empty() { "prompt version " code { (call.prompt_version) } " " }
                    @if call.redacted > 0 {
                        (words::plural(call.redacted, "place", "places")) " redacted before it was sent"
                    }
                }
            }
            (request(&call.request))
            @for attempt in &call.tries { (answer(attempt, call)) }
        }
    }
}

fn request(request: &Request) -> Markup {
    html! {
        @match request {
            Request::Turns(turns, left_out) => {
                @let middle = if *left_out > 0 { turns.len() / 2 } else { turns.len() };
                @for turn in turns.iter().take(middle) { (message(turn)) }
                @if *left_out > 0 {
                    p.more { (words::plural(*left_out as u64, "turn", "turns")) " between these are not shown here." }
                }
                @for turn in turns.iter().skip(middle) { (message(turn)) }
            }
            Request::Other(other) => div.turn { h4 { "asked" } (stored(other)) }
        }
    }
}

fn message(turn: &Message) -> Markup {
    let is_silent = matches!(&turn.content, Stored::Text { text, .. } if text.is_empty());
    html! {
        div.turn {
            h4 { (turn.speaker) }
            @if !is_silent || turn.tool_calls.is_empty() { (stored(&turn.content)) }
            (tool_calls(&turn.tool_calls))
        }
    }
}

fn answer(attempt: &Try, call: &ModelCall) -> Markup {
    let Try { sums, model, .. } = attempt;
    let is_silent = matches!(&attempt.answer, Stored::Text { text, .. } if text.is_empty());
    html! {
        div.turn.answer {
            h4 {
                @if call.tries.len() > 1 { "try " (attempt.number) ", " }
                (model)
                @if !attempt.answered_by.is_empty() && attempt.answered_by != *model {
                    " (answered by " (attempt.answered_by) ")"
                }
                " " (status(&attempt.status))
                @if !attempt.class.is_empty() { " " span.tag { (attempt.class) } }
            }
            @if !is_silent || attempt.tool_calls.is_empty() { (stored(&attempt.answer)) }
            (tool_calls(&attempt.tool_calls))
            @if sums.unknown > 0 {
                p.of {
                    "no record says how it ended: its cost is unknown; held were "
                    (words::plural(sums.held_tokens, "token", "tokens")) " and "
                    (words::usd(sums.held_micro_usd)) ", record " (attempt.seq)
                }
            } @else { p.of {
                (words::count(sums.prompt)) " prompt"
                @if sums.cached > 0 { " (" (words::count(sums.cached)) " cached)" }
                " + " (words::count(sums.completion)) " completion"
                @if sums.reasoning > 0 { " (" (words::count(sums.reasoning)) " reasoning)" }
                " tokens, " (words::usd(sums.micro_usd)) ", " (words::millis(sums.duration_ms))
                @if let Some(ms) = attempt.first_token_ms { " (first token after " (words::millis(ms)) ")" }
                @if !attempt.finish.is_empty() { ", ended by " (attempt.finish) }
                @if sums.estimated > 0 { ", tokens estimated" }
                ", record " (attempt.seq)
            } }
        }
    }
}

fn tool_calls(calls: &[Stored]) -> Markup {
    html! {
        @for call in calls {
            div.wants { p.of { "calls a tool" } (stored(call)) }
        }
    }
}
