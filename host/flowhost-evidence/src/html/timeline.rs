//! The timeline: a bar for each step, its attempts on the bar, its calls below them.

use maud::{Markup, html};

use super::items::{Grouped, well};
use super::parts::{status, tone};
use super::words;
use crate::story::{Step, Story};

/// Bars of the timeline: more do not fit what a person looks at.
const BARS_MAX: usize = 60;
/// Width of the drawing, in its own units. A browser stretches it to the page, so it is only how fine a place can
/// be told.
const WIDTH: u64 = 1_000;

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let started: Vec<&Step> = story
        .steps
        .listed
        .items
        .iter()
        .filter(|step| step.start_us.is_some())
        .collect();
    let scale = Scale::of(story);
    let grouped = Grouped::of(started.iter().copied().take(BARS_MAX), &story.steps.items);
    let left_out = story
        .steps
        .listed
        .total
        .saturating_sub(started.len().min(BARS_MAX) as u64);
    html! {
        @if started.is_empty() {
            p.none { "No step was started." }
        } @else {
            p.legend aria-hidden="true" {
                span { i.key.good {} "attempt" }
                span { i.key.bad {} "failed" }
                @if started.iter().any(|step| step.marks.iter().any(|mark| !mark.2)) {
                    span { i.key.tool {} "tool call" }
                }
                @if started.iter().any(|step| step.marks.iter().any(|mark| mark.2)) {
                    span { i.key.model {} "model call" }
                }
            }
            ol.timeline {
                li.axis aria-hidden="true" {
                    span {}
                    span.ticks { @for tick in scale.ticks() { span { (tick) } } }
                    span {}
                }
                @for step in &grouped.alone { (row(step, &scale)) }
            }
            @for items in &grouped.items {
                details.well[items.well()] {
                    summary { code { (items.of) } " " span.of { (items.told()) } }
                    ol.timeline { @for step in &items.steps { (row(step, &scale)) } }
                }
            }
            @if left_out > 0 {
                p.more { (words::plural(left_out, "step", "steps")) " without a bar: a join of items, skipped, or beyond the first " (BARS_MAX) "." }
            }
        }
    }
}

fn row(step: &Step, scale: &Scale) -> Markup {
    let start = step.start_us.unwrap_or(scale.start_us);
    let end = step.end_us.unwrap_or(scale.end_us());
    let told = format!(
        "{}: {}, from {} for {}",
        step.path,
        step.status,
        words::micros(start.saturating_sub(scale.start_us)),
        words::micros(end.saturating_sub(start)),
    );
    html! {
        li.well[well(&step.status)] {
            span.name title=(step.path) { (step.path) }
            svg.bar role="img" viewBox="0 0 1000 24" preserveAspectRatio="none" {
                title { (told) }
                @let (x, width) = scale.span(start, end);
                rect.whole x=(x) y="3" width=(width) height="12" {}
                @for attempt in &step.attempts {
                    @let (x, width) = scale.span(attempt.start_us, attempt.end_us.unwrap_or(end));
                    rect.attempt.(tone(&attempt.status)) x=(x) y="3" width=(width) height="12" {}
                }
                @for (start, end, of_model) in &step.marks {
                    @let (x, width) = scale.span(*start, *end);
                    rect.(if *of_model { "model" } else { "tool" }) x=(x) y="17" width=(width) height="5" {}
                }
            }
            span.took {
                @if step.status == "ok" { (words::micros(end.saturating_sub(start))) }
                @else { (status(&step.status)) }
            }
        }
    }
}

/// From times to places.
struct Scale {
    start_us: u64,
    took_us: u64,
}

impl Scale {
    fn of(story: &Story) -> Self {
        Self {
            start_us: story.head.started_us,
            took_us: story.head.took_us.max(1),
        }
    }

    const fn end_us(&self) -> u64 {
        self.start_us.saturating_add(self.took_us)
    }

    /// Where a span begins and how wide it is; never so narrow that it cannot be seen.
    fn span(&self, start_us: u64, end_us: u64) -> (u64, u64) {
        let at = |us: u64| {
            let offset = u128::from(us.saturating_sub(self.start_us));
            let place = offset * u128::from(WIDTH) / u128::from(self.took_us);
            u64::try_from(place).unwrap_or(WIDTH).min(WIDTH)
        };
        // Clocks are set while a run goes on, and a call may seem to begin after the run's end or to end before it began.
        let x = at(start_us).min(WIDTH - 3);
        (x, at(end_us).saturating_sub(x).max(3))
    }

    /// Five labels below which the bars lie.
    fn ticks(&self) -> [String; 5] {
        [0, 1, 2, 3, 4].map(|quarter| match quarter {
            0 => "0".to_owned(),
            quarter => words::micros(self.took_us / 4 * quarter),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_span_leaves_the_drawing_or_vanishes() {
        let scale = Scale {
            start_us: 100,
            took_us: 1_000,
        };
        for (start, end) in [
            (0, 0),
            (100, 100),
            (1_100, 1_100),
            (5_000, 9_000),
            (600, 200),
        ] {
            let (x, width) = scale.span(start, end);
            assert!(
                width >= 3 && x + width <= WIDTH,
                "{start} {end}: {x} {width}"
            );
        }
        assert_eq!(scale.span(350, 600), (250, 250));
    }
}
