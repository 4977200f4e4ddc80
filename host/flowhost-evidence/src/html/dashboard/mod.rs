//! The dashboard over evidence as one HTML file that needs nothing else: no network, no font, and no script but the one
//! that hands out its charts.
//!
//! Owns layout and wording; shows an [`Overview`] and decides nothing. As in the run's report all text of evidence goes
//! through maud's splices, charts through the escaping of the library that draws them, and the finished page through
//! [`neutral`](crate::text::neutral). Its content security policy allows its own style and script, by hash, and
//! pictures that it makes itself.

mod charts;
#[cfg(test)]
mod tests;

use maud::{Markup, html};

use super::parts::{numbers_in, table, words_in};
use super::shell::{Section, Shell};
use super::words;
use crate::analysis::{ModelSet, ModelUse, Overview, StageHealth};
use crate::text::counted;
use charts::{Named, bars, figure};

const STYLE: &str = concat!(include_str!("../style.css"), include_str!("style.css"));
const SCRIPT: &str = include_str!("export.js");
/// Sets of models that are numbered in a picture: more cannot be told apart.
const SETS_SHOWN_MAX: usize = 30;

/// The page; `refresh_s` has whoever shows it ask for it again so often.
#[must_use]
pub fn page(overview: &Overview, refresh_s: Option<u32>) -> String {
    let shell = Shell {
        title: &format!("Evidence of {}", counted(overview.runs, "run")),
        style: STYLE,
        script: Some(SCRIPT),
        refresh_s,
        skip: "Skip to the dashboard",
        banner: banner(overview),
        lead: html! {
            @if overview.mock {
                section.ending.warn aria-label="Who answered" {
                    p.lead {
                        "Scripts of a " code { "mock" } " provider answered, and no models: these numbers say nothing \
                         about models."
                    }
                }
            }
        },
        sections: &sections(overview),
        foot: html! {
            "Made by flowhost " (env!("CARGO_PKG_VERSION"))
            " from evidence files, and from nothing else. Files are read as they lie there; " code { "flowhost verify RUN" }
            " says whether those of a run are as it wrote them. Times are UTC. Exported charts have the colours of a light page."
        },
    };
    shell.page()
}

fn sections(overview: &Overview) -> [Section; 4] {
    [
        Section::new("cost", "Cost", cost(overview)),
        Section::new("models", "Latency and tokens by model", models(overview)),
        Section::new("health", "Consensus health", health(overview)),
        Section::new("sets", "Sets of models", sets(overview)),
    ]
}

fn banner(overview: &Overview) -> Markup {
    let figures = [
        (overview.runs.to_string(), "runs"),
        (overview.stages.to_string(), "stages"),
        (usd(overview.cost_usd), "spent"),
        (whole(overview.tokens), "tokens"),
        (seconds(overview.latency_median_ms), "a stage, median"),
        (percent(overview.ok_share), "of stages ok"),
    ];
    html! {
        header.banner {
            div.inner {
                p.kicker { "Evidence" }
                h1 { "What " (overview.runs) " runs say together" }
                dl.facts {
                    div { dt { "From" } dd { (when(&overview.from)) } }
                    div { dt { "To" } dd { (when(&overview.to)) } }
                }
                ul.figures aria-label="Key figures" {
                    @for (figure, what) in &figures {
                        li { strong { (figure) } span { (what) } }
                    }
                }
            }
        }
    }
}

fn cost(overview: &Overview) -> Markup {
    let days: Vec<(&str, f64, f64)> = overview
        .days
        .iter()
        .map(|it| (it.day.as_str(), it.cost_usd, it.trend_usd))
        .collect();
    let rows = html! {
        @for it in &overview.by_stage {
            tr {
                th scope="row" { (it.stage) }
                td.n { (it.runs) }
                td.n { (usd(it.cost_median_usd)) }
                td.n { (share(it.quality_median)) }
                td.n { (usd(it.cost_per_quality_point_usd)) }
            }
        }
    };
    let head = [
        words_in("stage"),
        numbers_in("runs"),
        numbers_in("median"),
        numbers_in("quality"),
        numbers_in("per quality point"),
    ];
    html! {
        @if days.is_empty() {
            p.none { "No stage says what it cost." }
        } @else {
            (figure("cost-by-day", "US dollars by day: what each cost, and the mean of seven", charts::days(&days, "USD")))
        }
        @if overview.cost_unknown > 0 {
            p.more { "Stages that do not say what they cost, and are not counted as free: " (overview.cost_unknown) "." }
        }
        (table("What a stage costs, and for how much quality: a point is a hundredth of it", &head, &rows))
    }
}

fn models(overview: &Overview) -> Markup {
    let uses = &overview.by_model;
    let latencies = named(
        uses,
        |it| it.latency_median_ms,
        |value| seconds(Some(value)),
    );
    let tokens = named(uses, |it| it.tokens_median, |value| whole(Some(value)));
    let rows = html! {
        @for it in uses {
            tr {
                th scope="row" { code { (it.model) } @if it.arbiter { " as arbiter" } }
                td { (it.reasoning_mode.as_deref().unwrap_or("-")) }
                td.n { (it.answers) }
                td.n { (percent(it.ok_share)) }
                td.n { (seconds(it.latency_median_ms)) }
                td.n { (seconds(it.latency_p95_ms)) }
                td.n { (whole(it.tokens_median)) }
                td.n { (usd(it.cost_median_usd)) }
            }
        }
    };
    let head = [
        words_in("model"),
        words_in("reasoning"),
        numbers_in("answers"),
        numbers_in("ok"),
        numbers_in("median"),
        numbers_in("p95"),
        numbers_in("tokens"),
        numbers_in("cost"),
    ];
    html! {
        @if uses.is_empty() {
            p.none { "No stage says which models answered." }
        } @else {
            @if !latencies.is_empty() {
                (figure("latency-by-model", "How long an answer takes by model and reasoning mode, median", bars(&latencies)))
            }
            @if !tokens.is_empty() {
                (figure("tokens-by-model", "Tokens of an answer by model and reasoning mode, median", bars(&tokens)))
            }
            (table("What each model used for an answer: one for each agent of a stage, retries included", &head, &rows))
        }
    }
}

/// The models that say a number, with it.
fn named(
    uses: &[ModelUse],
    number: impl Fn(&ModelUse) -> Option<f64>,
    shown: impl Fn(f64) -> String,
) -> Vec<Named> {
    let all = uses.iter().filter_map(|it| {
        let value = number(it)?;
        let mode = it
            .reasoning_mode
            .as_deref()
            .map(|mode| format!(" ({mode})"));
        Some(Named {
            name: format!(
                "{}{}{}",
                it.model,
                if it.arbiter { " as arbiter" } else { "" },
                mode.unwrap_or_default()
            ),
            value,
            shown: shown(value),
        })
    });
    all.collect()
}

fn health(overview: &Overview) -> Markup {
    let agreements: Vec<Named> = overview
        .by_stage
        .iter()
        .filter_map(|it| {
            let value = it.agreement_median?;
            Some(Named {
                name: it.stage.clone(),
                value,
                shown: share(Some(value)),
            })
        })
        .collect();
    let of = |stage: &StageHealth, status: &str| stage.statuses.get(status).copied().unwrap_or(0);
    let rows = html! {
        @for it in &overview.by_stage {
            tr {
                th scope="row" { (it.stage) }
                td.n { (it.runs) }
                td.n { (of(it, "ok")) }
                td.n { (of(it, "degraded")) }
                td.n { (of(it, "conflict")) }
                td.n { (of(it, "missing")) }
                td.n { (share(it.agreement_median)) }
                td.n { (percent(it.disagreement_rate)) }
                td.n { (it.escalated) }
            }
        }
    };
    let head = [
        words_in("stage"),
        numbers_in("runs"),
        numbers_in("ok"),
        numbers_in("degraded"),
        numbers_in("conflict"),
        numbers_in("missing"),
        numbers_in("agreement"),
        numbers_in("disagreed"),
        numbers_in("escalated"),
    ];
    html! {
        @if agreements.is_empty() {
            p.none { "No stage was asked of several agents that were compared." }
        } @else {
            (figure("agreement-by-stage", "Agreement ratio by stage, median: 0.90 is healthy", bars(&agreements)))
        }
        (table("How stages ended, and how far agents agreed", &head, &rows))
    }
}

fn sets(overview: &Overview) -> Markup {
    let shown: Vec<&ModelSet> = overview.sets.iter().take(SETS_SHOWN_MAX).collect();
    let points: Vec<(f64, f64)> = shown
        .iter()
        .filter_map(|it| Some((it.cost_median_usd?, it.quality_median?)))
        .collect();
    let rows = html! {
        @for (at, it) in (1..).zip(&overview.sets) {
            tr {
                th.n scope="row" { (at) }
                td { @for model in &it.models { code { (model) } " " } }
                td { (it.method) }
                td.n { (it.stages) }
                td.n { (usd(it.cost_median_usd)) }
                td.n { (share(it.quality_median)) }
            }
        }
    };
    let head = [
        numbers_in("set"),
        words_in("models"),
        words_in("asked"),
        numbers_in("stages"),
        numbers_in("cost"),
        numbers_in("quality"),
    ];
    html! {
        p.recommendation { strong { "Recommendation. " } (overview.recommendation.says) }
        // Every set has both numbers or the picture would give its points other numbers than the table.
        @if !points.is_empty() && points.len() == shown.len() {
            (figure("cost-and-quality", "Cost and quality of a stage by set of models, medians", charts::scatter(&points, "USD of a stage", "quality")))
        }
        @if !overview.sets.is_empty() {
            (table("Models that were asked together, over the stages that every set was asked about", &head, &rows))
        }
        p.none {
            "The quality of a stage is that of all who took part in it, so sets are held beside each other and not single models."
        }
    }
}

/// `1.234567 USD` as far as it has digits; a dash where it is not known.
fn usd(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value.abs() >= 1.0 => format!("${value:.2}"),
        Some(value) => format!("${value:.6}"),
    }
}

/// With its thousands apart.
fn whole(value: Option<f64>) -> String {
    // Numbers of evidence are at least 0 and at most 10^15: the cast loses their fraction alone.
    value.map_or_else(|| "-".to_owned(), |it| words::count(it.round() as u64))
}

/// `2026-11-26 08:00:00 UTC`.
fn when(moment: &str) -> Markup {
    let shown = moment.replace('T', " ").replace('Z', " UTC");
    html! { time datetime=(moment) { (shown) } }
}

fn seconds(milliseconds: Option<f64>) -> String {
    milliseconds.map_or_else(
        || "-".to_owned(),
        |it| match it {
            // Scripted answers take a few: all of them would be "0.00 s", beside bars that differ.
            it if it < 1_000.0 => format!("{it:.0} ms"),
            it => format!("{:.2} s", it / 1_000.0),
        },
    )
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |it| format!("{:.0} %", it * 100.0))
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |it| format!("{it:.2}"))
}
