//! The run report as one HTML file that needs nothing else: no script, no network, no font.
//!
//! Owns layout and wording; shows a [`Story`] and decides nothing. All text that comes out of a run
//! goes through maud's splices, which escape it, and the finished page through [`neutral`], so that
//! nothing a plugin wrote is ever markup, moves the reading direction or hides. A page may not load,
//! run or send anything either: its content security policy allows its own style, by hash.

pub mod dashboard;
mod decisions;
mod evidence;
mod graph;
mod head;
mod items;
mod layout;
mod limits;
mod models;
mod parts;
pub mod plan;
mod steps;
mod style;
#[cfg(test)]
mod tests;
mod timeline;
mod tools;
mod verdicts;
pub(crate) mod words;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::story::Story;
use crate::text::neutral;

/// The report's name in a run's folder.
pub const FILE: &str = "report.html";

/// The page.
#[must_use]
pub fn page(story: &Story) -> String {
    let style = style::SHEET.as_str();
    let digest = BASE64.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    );
    let title = format!("{}: run {}", head::plan_name(story), story.head.run);
    let sections = sections(story);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body {
                a.skip href="#main" { "Skip to the report" }
                (head::banner(story))
                div.page {
                    nav aria-label="Contents" {
                        ul {
                            @for section in &sections {
                                li {
                                    a href=(format!("#{}", section.id)) { (section.title) }
                                    @if let Some(note) = &section.note {
                                        span.count { (note) }
                                    }
                                }
                            }
                        }
                    }
                    main id="main" {
                        (head::ending(story))
                        (head::filter())
                        @for section in &sections {
                            section aria-labelledby=(section.id) {
                                h2 id=(section.id) { (section.title) }
                                (section.body)
                            }
                        }
                    }
                }
                footer {
                    p {
                        "Made by flowhost " (story.head.version)
                        " from the ledger of run " (story.head.run)
                        ", and from nothing else. Times are UTC."
                    }
                }
            }
        }
    };
    // What maud leaves of a class whose condition is false. Nothing else can read like this: a quotation mark
    // in a text of the run is escaped.
    neutral(&page.into_string().replace(" class=\"\"", ""))
}

/// One part of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    /// Shown beside the title in the contents.
    note: Option<String>,
    body: Markup,
}

impl Section {
    fn new(id: &'static str, title: &'static str, body: Markup) -> Self {
        Self {
            id,
            title,
            note: None,
            body,
        }
    }

    fn count(self, count: u64) -> Self {
        self.note(words::count(count))
    }

    fn note(mut self, note: String) -> Self {
        self.note = Some(note);
        self
    }
}

/// All sections that this run has something to say in.
fn sections(story: &Story) -> Vec<Section> {
    let Story { steps, models, .. } = story;
    let mut all = vec![
        Section::new("result", "Outputs and inputs", head::values(story)),
        Section::new("timeline", "Timeline", timeline::body(story)),
        Section::new("steps", "Steps", steps::body(story)).count(steps.listed.total),
    ];
    if let Some(graph) = &story.graph {
        all.push(Section::new("plan", "The plan", plan::body(graph)));
    }
    all.push(Section::new(
        "limits",
        "Limits and budget",
        limits::body(story),
    ));
    if models.all.tries > 0 || models.listed.total > 0 {
        all.push(Section::new("cost", "Tokens and cost", models::cost(story)));
    }
    let denials = story.decisions.denials;
    let decided = Section::new("decisions", "Decisions", decisions::body(story));
    all.push(match denials {
        0 => decided,
        denials => decided.note(format!("{} denied", words::count(denials))),
    });
    if story.verdicts.total > 0 || story.verdicts.consensus.total > 0 {
        let body = verdicts::body(story);
        let section = Section::new("guardrails", "Guardrails and checks", body);
        all.push(section.count(story.verdicts.total));
    }
    all.push(Section::new(
        "talk",
        "Who talked to whom",
        graph::body(story),
    ));
    if models.listed.total > 0 {
        let section = Section::new("prompts", "Prompts and answers", models::calls(story));
        all.push(section.count(models.listed.total));
    }
    if story.tools.listed.total > 0 {
        let section = Section::new("calls", "Tool calls", tools::body(story));
        all.push(section.count(story.tools.listed.total));
    }
    all.push(Section::new("plugins", "Plugins", evidence::plugins(story)));
    all.push(Section::new("evidence", "Evidence", evidence::body(story)));
    all
}
