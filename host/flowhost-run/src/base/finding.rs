//! One thing that is wrong with something a person wrote, whoever found it: plan, profile, manifest,
//! configuration or component.
//!
//! Owns the common shape and its order. Must never print: `report` does.

use std::fmt;
use std::ops::Range;

use flowhost_flow::problem::At;
use serde::Serialize;

/// A finding with its place and its cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file as the person named it; empty when there is none.
    pub file: String,
    /// Line from 1, 0 for nowhere.
    pub line: u32,
    /// Column in characters from 1, 0 for nowhere.
    pub column: u32,
    /// What is wrong, and why that is a problem.
    pub message: String,
    /// More of what is wrong, in lines, for people alone; empty for nothing. It may be a stranger's text, which no model
    /// is told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do; empty when there is nothing better to say than the message.
    pub hint: String,
    /// What a profile lacks, where this tells of that.
    #[serde(skip)]
    pub lack: Option<Box<Lack>>,
    /// What there is to do where another finding says before how the file is made that this one writes into.
    #[serde(skip)]
    pub made: Option<Box<Made>>,
}

/// What a plugin's profile lacks: cures of one profile are told as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The plugin's key.
    pub plugin: String,
    /// The lines of a profile that grant it.
    pub lines: String,
}

/// A cure that begins with making a file. A second command would be refused, because the file is there by then, so that
/// only the first finding of a file tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The file.
    pub file: String,
    /// The whole cure of every finding but the first.
    pub again: String,
}

impl Finding {
    /// A finding about a file as a whole.
    #[must_use]
    pub fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: 0,
            column: 0,
            message: message.into(),
            detail: String::new(),
            hint: String::new(),
            lack: None,
            made: None,
        }
    }

    /// The same at a line and a column, both from 1.
    #[must_use]
    pub fn at(mut self, line: u32, column: u32) -> Self {
        self.line = line;
        self.column = column;
        self
    }

    /// The same with more of what is wrong.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Where it is.
    #[must_use]
    pub const fn place(&self) -> At {
        At {
            line: self.line,
            column: self.column,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn cure(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same with what the message says after `hint:` as the cure: errors of other crates carry
    /// theirs in one text.
    #[must_use]
    pub fn split_hint(mut self) -> Self {
        if let Some((message, hint)) = self.message.split_once("\n\nhint: ") {
            self.hint = hint.to_owned();
            self.message = message.to_owned();
        }
        self
    }

    /// A finding at a byte range of `text`.
    #[must_use]
    pub fn at_offset(file: &str, text: &str, span: Option<Range<usize>>, message: &str) -> Self {
        let finding = Self::new(file, message);
        let Some(before) = span.and_then(|span| text.get(..span.start)) else {
            return finding;
        };
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        finding.at(number(line), number(column))
    }

    /// A finding where `needle` first stands in `text`.
    #[must_use]
    pub fn at_text(file: &str, text: &str, needle: &str, message: String) -> Self {
        let span = text.find(needle).map(|start| start..start + needle.len());
        Self::at_offset(file, text, span, &message)
    }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:{}:", self.line, self.column)?;
            }
            write!(f, " ")?;
        }
        write!(f, "{}", self.message)
    }
}

impl From<flowhost_flow::Problem> for Finding {
    fn from(problem: flowhost_flow::Problem) -> Self {
        Self::new(problem.file, problem.message)
            .at(problem.line, problem.column)
            .cure(problem.cure)
    }
}

impl From<flowhost_policy::Problem> for Finding {
    fn from(problem: flowhost_policy::Problem) -> Self {
        Self::new(problem.file, problem.message)
            .at(problem.line, problem.column)
            .cure(problem.cure.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_columns_in_characters_from_one() {
        let finding = Finding::at_text("f", "a\näöü: x\n", "x", "m".to_owned());
        assert_eq!((finding.line, finding.column), (2, 6));
        assert_eq!(finding.to_string(), "f:2:6: m");
    }

    #[test]
    fn a_finding_without_a_place_names_only_its_file() {
        assert_eq!(Finding::new("f", "m").to_string(), "f: m");
        assert_eq!(Finding::new("", "m").to_string(), "m");
    }
}
