//! Where words go: results to standard output, everything else to standard error.
//!
//! Owns colour and the neutralising of foreign text. The only file that writes to the terminal.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use owo_colors::{OwoColorize as _, Style};

use crate::ambient::Ambient;

/// How to talk to the person.
#[derive(Debug, Clone, Copy)]
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

    /// Prints a result. A closed pipe is the reader's choice and no error.
    pub fn result(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _closed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Prints a JSON document as a result.
    pub fn document(&self, value: &impl serde::Serialize) {
        let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
        text.push('\n');
        self.result(&text);
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

fn is_harmless(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}' => false,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => false,
        '\u{e0000}'..='\u{e0fff}' => false,
        c => !c.is_control(),
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
    fn leaves_ordinary_text_alone() {
        assert_eq!(neutral("größe: 3 µs\n"), "größe: 3 µs\n");
        assert_eq!(one_line("a\nb"), "a b");
    }
}
