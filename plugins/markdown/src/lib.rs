//! Markdown tool.
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    text: String,
}
struct Markdown;
impl Tool for Markdown {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "headings" => {
                let input: Input = parse(input)?;
                answer(&pulldown_cmark::Parser::new(&input.text).count())
            }
            other => Err(Error::unknown_tool(other)),
        }
    }
}
flowhost_sdk::export_tool!(Markdown);
