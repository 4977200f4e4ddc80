//! What the report is told about how an answer came to be.

use std::collections::BTreeMap;

use crate::text::line;
use crate::trim::Trimmed;

/// Tools that one note names.
const TOOLS_MAX: usize = 20;

/// Counts, as the work goes on.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) prompt_version: String,
    /// Who answered last, as the provider names it.
    pub(crate) model: String,
    pub(crate) calls: usize,
    pub(crate) tools: BTreeMap<String, usize>,
    /// Tool calls that came back as errors.
    pub(crate) refused: usize,
    pub(crate) repairs: usize,
    pub(crate) trimmed: Trimmed,
    /// Why the model was asked for its answer before it was done with tools.
    pub(crate) closed: Option<&'static str>,
    /// The answer is what fitted into `max_tokens`.
    pub(crate) cut: bool,
}

impl Notes {
    /// One short line for each thing worth knowing.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.prompt_version.is_empty() {
            lines.push(format!(
                "prompt version {}",
                line(&self.prompt_version, 100)
            ));
        }
        lines.push(format!(
            "{} by {}",
            counted(self.calls, "model call"),
            line(&self.model, 100)
        ));
        if !self.tools.is_empty() {
            let tools = self.tools.iter().take(TOOLS_MAX);
            let tools: Vec<String> = tools
                .map(|(tool, times)| format!("{tool} {times}×"))
                .collect();
            lines.push(format!("tools: {}", tools.join(", ")));
        }
        if self.refused > 0 {
            lines.push(format!(
                "{} came back as an error",
                counted(self.refused, "tool call")
            ));
        }
        if self.repairs > 0 {
            lines.push(format!("{} of the answer", counted(self.repairs, "repair")));
        }
        if self.trimmed.results > 0 {
            let Trimmed { results, tokens } = self.trimmed;
            lines.push(format!(
                "trimmed: {results} old tool results, about {tokens} tokens"
            ));
        }
        if let Some(why) = self.closed {
            lines.push(format!("asked for the answer early: {why}"));
        }
        if self.cut {
            lines.push("the answer ends where `max_tokens` cut it off".to_owned());
        }
        lines
    }
}

fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
