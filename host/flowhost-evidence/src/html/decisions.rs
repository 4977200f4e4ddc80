//! What was denied and allowed, each group with its rule, its count and what was asked for.

use flowhost_policy::is_second_key;
use maud::{Markup, html};

use super::parts::{more, step};
use super::words;
use crate::story::{Group, Story};

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let decisions = &story.decisions;
    html! {
        h3 { "Denied" }
        @if decisions.denials == 0 {
            p.none { "Nothing was refused." }
        } @else {
            p.summary { (words::plural(decisions.denials, "refusal", "refusals")) ", by these rules:" }
            @for group in &decisions.denied.items { (one(&story.head.run, group, true)) }
            (more(&story.head.run, &decisions.denied, "group", "groups"))
        }
        h3 { "Allowed" }
        @if decisions.allowances == 0 {
            p.none { "Nothing beyond the plugins' own work was asked for." }
        } @else {
            p.summary { (words::plural(decisions.allowances, "allowance", "allowances")) ", by these rules:" }
            @for group in &decisions.allowed.items { (one(&story.head.run, group, false)) }
            (more(&story.head.run, &decisions.allowed, "group", "groups"))
        }
    }
}

fn one(run: &str, group: &Group, denied: bool) -> Markup {
    html! {
        details.decision.well[!denied] open[denied] {
            summary {
                span.status.(if denied { "bad" } else { "good" }) {
                    (words::count(group.count)) "×"
                }
                " " code { (group.plugin) } " "
                (group.right)
                @if !group.rule.is_empty() { span.of { " by rule " } code { (group.rule) } }
            }
            ul.wanted {
                @for example in &group.wanted.items {
                    li {
                        @if example.wanted.is_empty() { span.of { "(nothing named)" } }
                        @else { code { (example.wanted) } }
                        @if example.count > 1 { " " (words::count(example.count)) "×" }
                        span.of { " in " (step(&example.step)) ", record " (example.seq) }
                    }
                }
            }
            (more(run, &group.wanted, "other thing wanted", "other things wanted"))
            @if !group.cure.is_empty() {
                @if is_second_key(&group.cure) { p { "This option of " code { "flowhost run" } " would allow it:" } }
                @else { p { "This in the profile would allow it:" } }
                pre { (group.cure) }
            }
        }
    }
}
