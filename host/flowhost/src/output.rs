//! Where words go: results to standard output, everything else to standard error.
//!
//! Owns colour and the neutralising of foreign text. The only file that writes to the terminal.
//!
//! A result that cannot be written is a failure of the command, whatever else it did: whoever reads
//! the exit code relies on the result. There is one standard output, so that is one flag.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use flowhost_flow::Exit;

use owo_colors::{OwoColorize as _, Style};

use crate::ambient::Ambient;

/// Whether a result did not reach standard output.
static LOST: AtomicBool = AtomicBool::new(false);

/// The exit code of a command: a result that was lost makes a success a failure.
#[must_use]
pub fn ended(exit: Exit) -> Exit {
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
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        self.written(written);
    }

    /// Judges what became of a result that somebody else wrote to standard output.
    pub fn written(&self, written: io::Result<()>) {
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
            Ok(text) => self.result(&format!("{}\n", escaped(&text))),
            Err(error) => self.written(Err(error.into())),
        }
    }

    /// Prints a message.
    pub fn message(&self, text: &str) {
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

/// Foreign text as one may show it: control characters (but line feed and tab), bidirectional marks
/// and invisible characters are written as escapes, so that no guest moves the cursor or turns the
/// line around.
#[must_use]
pub fn neutral(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            shown.push(c);
        } else {
            let _infallible = write!(shown, "\\u{{{:x}}}", u32::from(c));
        }
    }
    shown
}

/// As [`neutral`], and line feeds and tabs become spaces.
#[must_use]
pub fn one_line(text: &str) -> String {
    neutral(&text.replace(['\n', '\t'], " "))
}

/// A JSON text with everything but harmless characters as `\uXXXX`. Outside of strings JSON has none
/// of them, so only strings are touched.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_harmless(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _infallible = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// The two selectors between the text and the picture form of one sign hide nothing, and honest text
/// is full of them.
fn is_harmless(c: char) -> bool {
    matches!(c, '\n' | '\t' | '\u{fe0e}' | '\u{fe0f}') || !flowhost_policy::is_hidden(c)
}

/// `1 step`, `2 steps`: for nouns that take an s.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neutralises_escapes_bidi_and_invisible_characters() {
        assert_eq!(
            neutral("a\x1b[2Jb\u{202e}c\u{200b}"),
            "a\\u{1b}[2Jb\\u{202e}c\\u{200b}"
        );
        assert_eq!(neutral("\u{9b}31m"), "\\u{9b}31m");
    }

    #[test]
    fn a_document_has_no_character_that_a_terminal_obeys_and_the_same_value() {
        let hostile = "\u{9b}31m\u{7f}\u{202e}a\u{200b}\u{e0041}\u{feff}ä\"\\\n";
        let value = serde_json::json!({ hostile: [hostile, 1] });
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(is_harmless), "{text:?}");
        assert!(
            text.contains("\\udb40\\udc41") && text.contains('ä'),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }

    #[test]
    fn leaves_ordinary_text_alone() {
        assert_eq!(neutral("größe: 3 µs\n"), "größe: 3 µs\n");
        assert_eq!(one_line("a\nb"), "a b");
    }
}
