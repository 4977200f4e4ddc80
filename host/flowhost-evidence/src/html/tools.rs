//! Calls of tools and agents, with what went in and came out.

use maud::{Markup, html};
use serde_json::Value;

use super::items::well;
use super::parts::{more, numbers_in, status, step, stored, table, words_in};
use super::words;
use crate::story::{Stored, Story, ToolCall};

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
        (more(&story.head.run, &tools.by_tool, "tool", "tools"))
        @for call in &tools.listed.items { (one(call)) }
        (more(&story.head.run, &tools.listed, "call", "calls"))
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
            @for remark in &call.remarks { p.remark { (remark) } }
            div.pair {
                div { h4 { "given" } (given(&call.input)) }
                div { h4 { "handed back" } (stored(&call.output)) }
            }
        }
    }
}

/// What a call was given. Texts of several lines, as a program is one, are shown as they read and not as JSON writes
/// them.
fn given(input: &Stored) -> Markup {
    // What was cut is no whole JSON.
    let Stored::Text { text, left_out: 0 } = input else {
        return stored(input);
    };
    let fields = match serde_json::from_str(text) {
        Ok(Value::Object(fields)) if fields.values().any(has_lines) => fields,
        _ => return stored(input),
    };
    html! {
        @for (name, value) in &fields {
            p.of { code { (name) } }
            pre {
                @match value {
                    Value::String(text) => (text),
                    other => (other.to_string()),
                }
            }
        }
    }
}

fn has_lines(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\n'))
}
