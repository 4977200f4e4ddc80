//! The table of steps, and what failed on the way.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value;

use super::items::{Grouped, Items, well};
use super::parts::{Column, more, numbers_in, status, stored, table, words_in};
use super::words;
use crate::story::{Step, Stored, Story};
use crate::text::one_line;

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
            @let grouped = Grouped::of(steps.listed.items.iter(), &steps.items);
            @if !grouped.alone.is_empty() {
                (table(
                    "Steps in the order of the ledger, with what they used",
                    &COLUMNS,
                    &html! { @for step in &grouped.alone { (row(step, None)) } },
                ))
            }
            @let names = names(story);
            @for items in &grouped.items { (group(items, &names)) }
            (more(&story.head.run, &steps.listed, "step", "steps"))
        }
        @if !troubled.is_empty() {
            h3 { "Attempts that failed" }
            @let grouped = Grouped::of(troubled.into_iter(), &steps.items);
            @for step in &grouped.alone { (attempts(step)) }
            @for items in &grouped.items {
                details {
                    summary { code { (items.of) } " " span.of { (words::plural(items.steps.len() as u64, "item", "items")) } }
                    @for step in &items.steps { (attempts(step)) }
                }
            }
        }
    }
}

/// Characters of what an item was given that name it: a path, a title.
const NAME_CHARS_MAX: usize = 72;
/// Items that did not end well and that are named where the others are folded away. The line is to be read at a
/// glance; each is in the list below it.
const NAMED_MAX: usize = 3;

/// What the first call of each listed step was given, by the step's path: an item's number alone says
/// nobody which one it was.
fn names(story: &Story) -> BTreeMap<&str, String> {
    let mut names = BTreeMap::new();
    for call in story
        .tools
        .listed
        .items
        .iter()
        .filter(|it| it.caller.is_empty())
    {
        if let Stored::Text { text, .. } = &call.input {
            names
                .entry(call.step.as_str())
                .or_insert_with(|| name(text));
        }
    }
    names
}

/// A JSON object of one field is named by its value, another by all of it.
fn name(input: &str) -> String {
    let only = serde_json::from_str::<BTreeMap<String, Value>>(input).ok();
    let only = only.filter(|fields| fields.len() == 1);
    let only = only.and_then(|fields| fields.into_values().next());
    let text = match only {
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
        None => input.to_owned(),
    };
    let text = one_line(text.trim());
    match text.char_indices().nth(NAME_CHARS_MAX) {
        None => text,
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
    }
}

/// The items of a `foreach`, folded away.
fn group(items: &Items<'_>, names: &BTreeMap<&str, String>) -> Markup {
    let troubled: Vec<&&Step> = items.steps.iter().filter(|it| !well(&it.status)).collect();
    html! {
        details.well[items.well()] {
            summary {
                code { (items.of) } " " span.of { (items.told()) }
                @for step in troubled.iter().take(NAMED_MAX) {
                    " " (status(&step.status)) " " code { (step.path) }
                    @if let Some(name) = names.get(step.path.as_str()) { " " span.of { (name) } }
                }
                @let more = items.troubled().saturating_sub(NAMED_MAX as u64);
                @if more > 0 && troubled.len() > NAMED_MAX { span.of { " and " (words::count(more)) " more" } }
            }
            (table(
                &format!("Items of {}", items.of),
                &COLUMNS,
                &html! {
                    @for step in &items.steps { (row(step, names.get(step.path.as_str()))) }
                },
            ))
        }
    }
}

fn row(step: &Step, name: Option<&String>) -> Markup {
    html! {
        tr.well[well(&step.status)] {
            th scope="row" {
                code { (step.path) }
                @if let Some(name) = name { " " span.of { (name) } }
                @if !step.stage.is_empty() { " " span.tag { (step.stage) } }
            }
            td {
                (status(&step.status))
                @if !step.settled_by.is_empty() { " " span.of { "settled by hand by " (step.settled_by) } }
            }
            td.n { (words::count(step.attempts_total)) }
            td.n { (words::millis(step.duration_ms)) }
            td.n { (words::count(step.calls)) }
            (fuel(step.fuel))
            td.n { (words::count(step.tokens)) }
            td.n { (words::usd(step.micro_usd)) }
        }
    }
}

/// An amount of fuel; the whole of it on pointing, where it is written short.
fn fuel(amount: u64) -> Markup {
    let (short, whole) = (words::short(amount), words::count(amount));
    let title = (short != whole).then_some(whole);
    html! { td.n title=[title] { (short) } }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_named_by_what_it_was_given_in_one_line_and_not_by_all_of_it() {
        assert_eq!(name(r#"{"path":"docs/a.md"}"#), "docs/a.md");
        assert_eq!(name(r#"{"n":12}"#), "12");
        assert_eq!(name(r#"{"a":1,"b":2}"#), r#"{"a":1,"b":2}"#);
        assert_eq!(name("a\nb"), "a b");
        let long = name(&format!(r#"{{"text":"{}"}}"#, "ä".repeat(100)));
        assert_eq!(long.chars().count(), NAME_CHARS_MAX + 1);
    }
}
