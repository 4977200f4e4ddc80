//! What the report is told about how an answer came to be.

use std::collections::BTreeMap;

use crate::code::{LeftOut, Program};
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
    /// What the model is spared in each request of code mode.
    pub(crate) left_out: LeftOut,
    pub(crate) programs: usize,
    /// All of them together.
    pub(crate) program: Program,
    /// Why the model was asked for its answer before it was done with tools.
    pub(crate) closed: Option<&'static str>,
    /// The answer is what fitted into `max_tokens`.
    pub(crate) cut: bool,
}

impl Notes {
    /// One more program has run.
    pub(crate) fn ran(&mut self, program: Program) {
        self.programs += 1;
        self.program.calls = self.program.calls.saturating_add(program.calls);
        self.program.kept = self.program.kept.saturating_add(program.kept);
    }

    /// What programs did, and the tokens that they saved: estimates, as no provider counted what was not sent.
    fn code(&self) -> Option<String> {
        let LeftOut { tools, tokens } = self.left_out;
        if tools == 0 && self.programs == 0 {
            return None;
        }
        let requests = u64::try_from(self.calls).unwrap_or(u64::MAX);
        let spared = tokens.saturating_mul(requests);
        let Program { calls, kept } = self.program;
        Some(format!(
            "{} made {calls} tool calls; about {} tokens saved: {spared} of {tools} tools' descriptions in {}, {kept} of answers that \
             stayed in programs",
            counted(self.programs, "program"),
            spared.saturating_add(kept),
            counted(self.calls, "request"),
        ))
    }

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
        lines.extend(self.code());
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
