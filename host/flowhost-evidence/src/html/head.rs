//! The banner: which run it was, how it ended, its figures; and what went in and came out.

use maud::{Markup, html};

use super::parts::{hash, stored, tone};
use super::words;
use crate::runs::WAITING;
use crate::story::{Stored, Story};

/// The plan's name, or what stands for it.
pub(super) fn plan_name(story: &Story) -> &str {
    match story.head.plan.as_str() {
        "" => "unnamed plan",
        name => name,
    }
}

/// The status word; a run that neither ended nor waits was killed or is still at work.
fn status_word(story: &Story) -> &str {
    story.head.status().unwrap_or("unfinished")
}

/// The top of the page.
pub(super) fn banner(story: &Story) -> Markup {
    let head = &story.head;
    let word = status_word(story);
    html! {
        header.banner {
            div.inner {
                p.kicker { "Run report" }
                h1 { (plan_name(story)) " " span.pill.(tone(word)) { (word) } }
                dl.facts {
                    div { dt { "Run" } dd { code { (head.run) } } }
                    div { dt { "Started" } dd { (when(&head.started)) } }
                    div { dt { "Plan" } dd { (hash(&head.plan_hash)) } }
                    div { dt { "Seed" } dd { code { (head.seed) } } }
                    @if !head.labels.is_empty() {
                        div {
                            dt { "Labels" }
                            dd { @for (name, value) in &head.labels { code { (name) "=" (value) } " " } }
                        }
                    }
                    @let stands = head.stands.as_ref().map_or("", |it| it.exit_code.as_str());
                    @for code in [head.exit_code.as_str(), stands].into_iter().filter(|it| !it.is_empty()) {
                        div { dt { "Exit code" } dd { code { (code) } } }
                    }
                }
                ul.figures aria-label="Key figures" {
                    @for (figure, what, is_bad) in figures(story) {
                        li.alert[is_bad] { strong { (figure) } span { (what) } }
                    }
                }
            }
        }
    }
}

fn figures(story: &Story) -> Vec<(String, String, bool)> {
    let steps = &story.steps;
    let well = ["ok", "skipped", WAITING].into_iter();
    let well: u64 = well.filter_map(|word| steps.by_status.get(word)).sum();
    let total = steps.total();
    let bad = total.saturating_sub(well);
    let used = |word: &str| {
        let lines = story.spend.lines.iter();
        let mut line = lines.filter(|line| line.currency == word);
        // What the past of a fork used, another run has in its figures.
        line.next().map(|line| {
            let own = line.used.map(|it| it.saturating_sub(line.before));
            (own, line.held)
        })
    };
    let amount = |word: &str, show: fn(u64) -> String| match used(word) {
        Some((Some(used), 0)) => show(used),
        Some((Some(used), held)) => {
            format!("{} to {}", show(used), show(used.saturating_add(held)))
        }
        _ => "?".to_owned(),
    };
    let denials = story.decisions.denials;
    let what = |total: u64, one: &str, many: &str| {
        if total == 1 {
            one.to_owned()
        } else {
            many.to_owned()
        }
    };
    vec![
        (
            words::micros(story.head.took_us),
            "from start to end".to_owned(),
            false,
        ),
        (
            words::count(total),
            match bad {
                0 => what(total, "step", "steps"),
                bad => format!("steps, {} not well", words::count(bad)),
            },
            bad > 0,
        ),
        (amount("tokens", words::count), "tokens".to_owned(), false),
        (amount("micro_usd", words::usd), "spent".to_owned(), false),
        (
            words::count(denials),
            what(denials, "denial", "denials"),
            denials > 0,
        ),
        (
            words::count(story.seal.records),
            "records".to_owned(),
            false,
        ),
    ]
}

/// `2026-11-21 10:20:27 UTC`.
pub(super) fn when(ts: &str) -> Markup {
    let seconds = ts.split('.').next().unwrap_or(ts).replace('T', " ");
    html! { time datetime=(ts) { (seconds) " UTC" } }
}

/// Why the run ended as it did, unless it is well.
pub(super) fn ending(story: &Story) -> Markup {
    let head = &story.head;
    let word = status_word(story);
    html! {
        @if word != "ok" {
            section.ending.(tone(word)) aria-label="Why it ended" {
                p.lead {
                    @if let Some(stands) = &head.stands {
                        @if stands.status == WAITING { "The run waits, and goes on when somebody says so." }
                        @else { "The run stopped before its end, and can go on." }
                    } @else if head.status.is_none() {
                        "This run has no end in its ledger: it was killed, or is still at work."
                    } @else if head.failed_step.is_empty() {
                        "The run ended as " strong { (word) } "."
                    } @else {
                        "The run ended as " strong { (word) } " at step " code { (head.failed_step) } "."
                    }
                }
                @if let Some(stands) = &head.stands {
                    @if !matches!(stands.why, Stored::None) { (stored(&stands.why)) }
                    p { strong { "What helps:" } }
                    pre { (stands.next) }
                }
                @if !matches!(head.failure, Stored::None) { (stored(&head.failure)) }
                @if head.hint.contains('\n') { p { strong { "What helps:" } } pre { (head.hint) } }
                @else if !head.hint.is_empty() { p { strong { "What helps: " } (head.hint) } }
            }
        }
        @for sentence in head.sentences() {
            p.remark { "This run " (sentence) "." }
        }
        @for remark in &head.remarks {
            p.remark { "The ledger itself: " (remark) "." }
        }
    }
}

/// Two buttons without a script: with the second the style hides what ended well.
pub(super) fn filter() -> Markup {
    html! {
        fieldset.filter {
            legend { "Show" }
            label { input type="radio" name="show" id="show-all" checked; " everything" }
            label { input type="radio" name="show" id="show-bad"; " only what did not go well" }
        }
    }
}

/// Outputs and inputs.
pub(super) fn values(story: &Story) -> Markup {
    let head = &story.head;
    html! {
        div.pair {
            div { h3 { "Outputs" } (stored(&head.outputs)) }
            div { h3 { "Inputs" } (stored(&head.inputs)) }
        }
    }
}
