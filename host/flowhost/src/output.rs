//! Where words go: results to standard output, everything else to standard error.
//!
//! Owns colour. The only file that writes to the terminal.
//!
//! A result that cannot be written is a failure of the command, whatever else it did: whoever reads
//! the exit code relies on the result. There is one standard output, so that is one flag.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use flowhost_evidence::text::escaped;
use flowhost_flow::Exit;
use owo_colors::{OwoColorize as _, Style};

use crate::ambient::Ambient;

pub use flowhost_evidence::text::{counted, neutral, one_line};

/// Whether a result did not reach standard output.
static LOST: AtomicBool = AtomicBool::new(false);

/// The exit code of a command: a result that was lost makes a success a failure.
#[must_use]
pub fn ended(exit: Exit) -> Exit {
    // Relaxed: a flag that says nothing of other memory, asked when all who print have ended.
    if exit == Exit::Ok && LOST.load(Ordering::Relaxed) {
        Exit::Internal
    } else {
        exit
    }
}

/// How to talk to the person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Output {
    /// One JSON document instead of text.
    pub json: bool,
    /// Colour on standard output.
    pub color_out: bool,
    /// Colour on standard error.
    pub color_err: bool,
    /// Whether live progress makes sense.
    pub live: bool,
}

impl Output {
    /// Colour only on a terminal and without `NO_COLOR`; progress only on a terminal.
    #[must_use]
    pub fn of(ambient: &Ambient, json: bool) -> Self {
        let color = ambient.var("NO_COLOR").is_none() && ambient.var("TERM") != Some("dumb");
        Self {
            json,
            color_out: color && ambient.stdout_is_terminal(),
            color_err: color && ambient.stderr_is_terminal(),
            live: ambient.stderr_is_terminal() && ambient.var("TERM") != Some("dumb"),
        }
    }

    /// Prints a result. A closed pipe is the reader's choice and no error; anything else that goes
    /// wrong is told, and [`ended`] knows of it.
    pub fn result(&self, text: &str) {
        // Locked for the whole of it: two results never mix. Flushed, or an error would come when nobody hears of it.
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.written(written);
    }

    /// Judges what became of a result that somebody else wrote to standard output.
    pub fn written(&self, written: io::Result<()>) {
        // Written whole.
        let Err(error) = written else { return };
        if error.kind() == io::ErrorKind::BrokenPipe {
            return;
        }
        LOST.store(true, Ordering::Relaxed);
        let label = self.err("error:", Style::new().red().bold());
        self.message(&format!(
            "{label} the result cannot be written to standard output\n  Caused by: {error}\n"
        ));
    }

    /// Prints a JSON document as a result. What a terminal would obey or a person could not see is
    /// escaped inside its strings, which changes no value.
    pub fn document(&self, value: &impl serde::Serialize) {
        match serde_json::to_string_pretty(value) {
            Ok(mut text) => {
                text.push('\n');
                self.result(&escaped(&text));
            }
            Err(error) => self.written(Err(error.into())),
        }
    }

    /// Prints a message.
    pub fn message(&self, text: &str) {
        // There is no other place to say that this one is closed.
        let _closed = io::stderr().lock().write_all(text.as_bytes());
    }

    /// `text` in `style`, if standard error shows colour.
    #[must_use]
    pub fn err(&self, text: &str, style: Style) -> String {
        paint(text, style, self.color_err)
    }

    /// `text` in `style`, if standard output shows colour.
    #[must_use]
    pub fn out(&self, text: &str, style: Style) -> String {
        paint(text, style, self.color_out)
    }
}

fn paint(text: &str, style: Style, color: bool) -> String {
    if color {
        text.style(style).to_string()
    } else {
        text.to_owned()
    }
}
