//! Code mode: the model writes programs that call tools, instead of calling one tool at a time and reading all that it
//! answers. It is offered the two tools of the plugin `code`. What a program reaches, the host decides by this
//! agent's profile and that of `code` together; here nothing is decided.

use flowhost_sdk::{Answer, Descriptor, Error};
use serde::Deserialize;
use serde_json::Value;

use crate::tools::spec;
use crate::trim;

/// Runs a program.
pub(crate) const RUN: &str = "code/run";
/// Shows how tools are called.
const SEARCH: &str = "code/search";

/// Tools whose descriptions the model is not shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) tools: usize,
    /// Of their descriptions in each request, estimated.
    pub(crate) tokens: u64,
}

/// What one program did, as `code` says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    /// Tools that it called.
    pub(crate) calls: u64,
    /// Tokens of their answers that it did not hand on, estimated.
    pub(crate) kept: u64,
}

/// Of the tools that the host lists the two that the model is offered, and what it is spared of the others.
///
/// # Errors
/// [`Error::Invalid`] when there is nothing that runs a program.
pub(crate) fn offered(listed: Vec<Descriptor>) -> Result<(Vec<Descriptor>, LeftOut), Error> {
    let (offered, others): (Vec<Descriptor>, Vec<Descriptor>) = listed
        .into_iter()
        .partition(|tool| tool.name == RUN || tool.name == SEARCH);
    if !offered.iter().any(|tool| tool.name == RUN) {
        return Err(Error::invalid(format_args!(
            "config: `tool_mode: code` needs `{RUN}`, which the profile does not grant: name `{RUN}` and `{SEARCH}` in \
             [tools] of the agent's profile, and `code: {{ kind: tool, source: \"builtin:code\", … }}` in `plugins:` of the plan"
        )));
    }
    let specs: Vec<_> = others.into_iter().map(spec).collect();
    let left_out = LeftOut {
        tools: specs.len(),
        tokens: trim::request(&[], &specs, ""),
    };
    Ok((offered, left_out))
}

/// What a program did; nothing is known of one whose answer is not that of `code`.
pub(crate) fn program(answer: &Answer) -> Option<Program> {
    #[derive(Deserialize)]
    struct Ran {
        result: Value,
        calls: u64,
        bytes: u64,
    }
    let ran: Ran = serde_json::from_str(&answer.value).ok()?;
    let handed_on = u64::try_from(ran.result.to_string().len()).unwrap_or(u64::MAX);
    Some(Program {
        calls: ran.calls,
        kept: ran.bytes.saturating_sub(handed_on) / trim::BYTES_PER_TOKEN as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_handed_on_does_not_count_as_kept() {
        let answer = |value: &str| Answer {
            value: value.to_owned(),
            parts: Vec::new(),
        };
        let ran = program(&answer(r#"{"result":"12345678","calls":3,"bytes":410}"#));
        assert_eq!(
            ran,
            Some(Program {
                calls: 3,
                kept: 100
            })
        );
        let all = program(&answer(r#"{"result":"12345678","calls":1,"bytes":4}"#));
        assert_eq!(all.map(|ran| ran.kept), Some(0));
        assert_eq!(program(&answer("null")), None);
    }
}
