//! Calls of tools and agents, with what went in and came out.

use maud::{Markup, html};

use super::items::well;
use super::parts::{more, numbers_in, status, step, stored, table, words_in};
use super::words;
use crate::story::{Story, ToolCall};

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let tools = &story.tools;
    html! {
        (table("Calls by tool", &[words_in("Tool"), numbers_in("Calls"), numbers_in("Failed")], &html! {
            @for (name, calls, failures) in &tools.by_tool.items {
                tr {
                    th scope="row" { code { (name) } }
                    td.n { (words::count(*calls)) }
                    td.n { (words::count(*failures)) }
                }
            }
        }))
        (more(&tools.by_tool, "tool", "tools"))
        @for call in &tools.listed.items { (one(call)) }
        (more(&tools.listed, "call", "calls"))
    }
}

fn one(call: &ToolCall) -> Markup {
    html! {
        details.call.well[well(&call.status)] {
            summary {
                span.who {
                    @if !call.caller.is_empty() { code { (call.caller) } " calls " }
                    code { (call.plugin) "/" (call.tool) }
                }
                " " (status(&call.status))
                @if !call.owner.is_empty() { " " span.tag { (call.owner) } }
                span.of {
                    " in " (step(&call.step))
                    @if let Some(end) = call.end_us { ", " (words::micros(end.saturating_sub(call.start_us))) }
                    ", record " (call.seq)
                }
            }
            div.pair {
                div { h4 { "given" } (stored(&call.input)) }
                div { h4 { "handed back" } (stored(&call.output)) }
            }
        }
    }
}
