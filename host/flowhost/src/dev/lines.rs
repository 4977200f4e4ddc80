//! `flowhost dev` without a screen: a line for each thing that happens, or one JSON object a line for
//! editors.

use flowhost_evidence::text::escaped;

use super::{Face, Told};
use crate::output::Output;

/// Plain lines on standard output.
pub struct Lines(Output);

impl Lines {
    /// Lines for a person who reads along, or for a file.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self(output)
    }
}

impl Face for Lines {
    fn tell(&mut self, told: &Told) {
        self.0.result(&format!("{}\n", told.line()));
    }
}

/// One JSON object a line on standard output: the one command whose `--json` is more than one document,
/// because it does not end by itself.
pub struct Objects(Output);

impl Objects {
    /// Objects for a program.
    #[must_use]
    pub fn new(output: Output) -> Self {
        Self(output)
    }
}

impl Face for Objects {
    fn tell(&mut self, told: &Told) {
        match serde_json::to_string(told) {
            Ok(line) => self.0.result(&format!("{}\n", escaped(&line))),
            Err(error) => self.0.written(Err(error.into())),
        }
    }
}
