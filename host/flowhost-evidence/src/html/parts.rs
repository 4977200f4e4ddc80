//! Small pieces that every section is made of.

use flowhost_ledger::KILLED;
use maud::{Markup, html};

use super::words;
use crate::runs::{UNFINISHED, WAITING};
use crate::story::{Peak, Shown, Stored};

/// How a status is coloured.
pub(super) fn tone(status: &str) -> &'static str {
    match status {
        "ok" | "pass" => "good",
        "skipped" | "cancelled" | WAITING => "calm",
        UNFINISHED | "rewrite" | "warn" | "degraded" | KILLED => "warn",
        _ => "bad",
    }
}

/// A status word in its colour; the word alone says it, too.
pub(super) fn status(word: &str) -> Markup {
    html! { span.status.(tone(word)) { (word) } }
}

/// A payload: its text, or why there is none.
pub(super) fn stored(stored: &Stored) -> Markup {
    html! {
        @match stored {
            Stored::None => p.none { "Nothing was stored." },
            Stored::Text { text, left_out } => {
                @if text.is_empty() { p.none { "Empty." } }
                @else { pre { (text) } }
                @if *left_out > 0 {
                    p.more {
                        (words::plural(*left_out as u64, "more character", "more characters"))
                        " in the ledger, not shown here."
                    }
                }
            },
            Stored::Binary(bytes) => p.none { (words::bytes(*bytes as u64)) " that are not text." },
            Stored::Erased => p.erased { "Erased. A record in the ledger says so; its commitment stays." },
            Stored::Missing => p.gone { "Missing, and no record says that it was erased." },
            Stored::Unreadable(why) => p.gone { "Cannot be read: " (why) },
            Stored::NoRoom => p.more { "In the ledger; this page has no more room." },
        }
    }
}

/// How many of a list of this run are not shown, and where they are; nothing when all are.
pub(super) fn more<T>(run: &str, shown: &Shown<T>, one: &str, many: &str) -> Markup {
    let left_out = shown.left_out();
    html! {
        @if left_out > 0 {
            p.more {
                (words::plural(left_out, one, many)) " of " (words::count(shown.total))
                " not shown here. "
                code { "flowhost runs show " (run) } " prints all records."
            }
        }
    }
}

/// A part of a whole as a bar; `millionths` beyond the whole fill it. There are seven for each step, so that it
/// is as short as it can be: what is behind it is the style's.
pub(super) fn meter(millionths: u64) -> Markup {
    let thousandths = millionths.min(1_000_000).div_ceil(1_000);
    let tone = match millionths {
        0..700_000 => "low",
        700_000..1_000_000 => "high",
        _ => "full",
    };
    html! {
        svg.meter aria-hidden="true" {
            @if thousandths > 0 {
                // Less of the narrowest meter, which is 64 pixels wide, is not half a pixel, and looks like nothing used.
                @let shown = thousandths.max(8);
                rect.(tone) width=(format!("{}.{}%", shown / 10, shown % 10)) height="4" {}
            }
        }
    }
}

/// Used and allowed, with a bar. `show` writes an amount.
pub(super) fn used(peak: Peak, show: impl Fn(u64) -> String) -> Markup {
    html! {
        @match peak.allowed {
            Some(allowed) => {
                span.used { (show(peak.used)) }
                span.of { " of " (show(allowed)) }
                (meter(peak.share()))
            }
            None => { span.used { (show(peak.used)) } span.of { " of ?" } }
        }
    }
}

/// A column: its title, and whether it holds numbers.
pub(super) type Column = (&'static str, bool);

/// A column of words.
pub(super) const fn words_in(title: &'static str) -> Column {
    (title, false)
}

/// A column of numbers.
pub(super) const fn numbers_in(title: &'static str) -> Column {
    (title, true)
}

/// A table in a region that scrolls sideways where it must.
pub(super) fn table(caption: &str, head: &[Column], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" tabindex="0" aria-label=(caption) {
            table {
                caption { (caption) }
                thead { tr { @for (title, numbers) in head { th.n[*numbers] scope="col" { (title) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// The first twelve characters of a hash, the whole on pointing: as many as two hashes of one page hardly share by chance.
pub(super) fn hash(text: &str) -> Markup {
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    let short: String = bare.chars().take(12).collect();
    html! { @if bare.is_empty() { "-" } @else { code title=(text) { (short) "…" } } }
}

/// A path of a step; the run itself where there is none.
pub(super) fn step(path: &str) -> Markup {
    html! { @if path.is_empty() { span.of { "the run" } } @else { code { (path) } } }
}
