//! The tool `markdown`: what a Markdown text is made of, what is wrong with it, and a report of that.
//!
//! It sees texts and lists of paths, never a file: other tools read and write them. Parsing is
//! pulldown-cmark's (CommonMark), so a link in a code block is no link here either.

mod check;
mod front_matter;
mod html;
mod link;
mod outline;
mod path;
mod report;
mod slug;
mod words;

use flowhost_sdk::{Answer, Context, Error, Tool, answer, answer_with_text, parse};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

struct Markdown;

impl Tool for Markdown {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "headings" => {
                let outline = outline::read(&parse::<Text>(input)?.text);
                answer(&json!({ "headings": outline.headings }))
            }
            "links" => {
                let outline = outline::read(&parse::<Text>(input)?.text);
                answer(&json!({ "links": outline.links }))
            }
            "front-matter" => answer(&front_matter::read(&parse::<Text>(input)?.text)?),
            "check" => answer(&check::check(&parse(input)?)),
            "targets" => {
                let checks = parse(input)?;
                answer(&json!({ "paths": report::to_look_up(&checks) }))
            }
            "report" => {
                let report = report::write(&parse(input)?);
                let text = report.summary();
                answer_with_text(&report, text)
            }
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(Markdown);
