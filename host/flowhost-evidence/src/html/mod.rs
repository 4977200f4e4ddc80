//! The run report as one HTML file that needs nothing else: no script, no network, no font.
//!
//! Owns layout and wording; shows a [`Story`] and decides nothing. All text that comes out of a run
//! goes through maud's splices, which escape it, and the finished page through [`neutral`](crate::text::neutral), so that
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
mod shell;
mod steps;
mod style;
#[cfg(test)]
mod tests;
mod timeline;
mod tools;
mod verdicts;
pub(crate) mod words;

use maud::html;

use crate::story::Story;
use shell::{Section, Shell};

/// The report's name in a run's folder.
pub const FILE: &str = "report.html";

/// The page.
#[must_use]
pub fn page(story: &Story) -> String {
    let title = format!("{}: run {}", head::plan_name(story), story.head.run);
    let shell = Shell {
        title: &title,
        style: style::SHEET.as_str(),
        script: None,
        refresh_s: None,
        skip: "Skip to the report",
        banner: head::banner(story),
        lead: html! {
            (head::ending(story))
            (head::filter())
        },
        sections: &sections(story),
        foot: html! {
            "Made by flowhost " (story.head.version)
            " from the ledger of run " (story.head.run)
            ", and from nothing else. Times are UTC."
        },
    };
    shell.page()
}

/// All sections that this run has something to say in.
fn sections(story: &Story) -> Vec<Section> {
    let Story { steps, models, .. } = story;
    let mut all = vec![
        Section::new("result", "Outputs and inputs", head::values(story)),
        Section::new("timeline", "Timeline", timeline::body(story)),
        Section::new("steps", "Steps", steps::body(story)).count(steps.total()),
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
