//! Failures and findings as a person reads them: what, why, the place in the file, the cure.
//!
//! The order is fixed: `error:`, causes, places, an empty line, hints. Foreign text is neutralised.

use std::fmt::Write as _;
use std::path::Path;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};
use owo_colors::Style;
use serde::Serialize;
use textwrap::core::Word;
use textwrap::{WordSeparator, WordSplitter};

use flowhost_evidence::Unreadable;
use flowhost_flow::Exit;
pub use flowhost_run::bundle::Texts;
use flowhost_words::shell_word;

use crate::failure::Failure;
use crate::finding::Finding;
use crate::output::{Output, neutral};

/// Columns of a report; fixed, so that what is written to a file does not depend on a window.
const WIDTH: usize = 100;
/// Findings shown with their lines; the others are listed in one line each, and their cures below them.
/// More than twenty excerpts fill several screens, and nobody mends that many without running it again.
const DETAILED_MAX: usize = 20;

/// A ledger that cannot be shown, as a command fails of it; `verified` names it to the command that says more.
fn unreadable(error: Unreadable, verified: &str) -> Failure {
    let failure = Failure::new(Exit::Internal, error.to_string());
    let failure = match &error {
        Unreadable::Records(why) => failure.caused_by(why),
        Unreadable::Payloads(why) => failure.caused_by(why),
    };
    failure.hint(format!(
        "`flowhost verify {verified}` names the exact place"
    ))
}

/// Why the ledger of this run cannot be shown.
pub fn unreadable_of(run: &str) -> impl FnOnce(Unreadable) -> Failure {
    move |error| unreadable(error, run)
}

/// As [`unreadable_of`], of the run that has this folder.
pub fn unreadable_in(run_dir: &Path) -> impl FnOnce(Unreadable) -> Failure {
    let run = run_dir.file_name().unwrap_or_default();
    move |error| unreadable(error, &run.to_string_lossy())
}

/// As [`unreadable_of`], of the index of runs in a state folder.
pub fn unreadable_index(root: &Path) -> impl FnOnce(Unreadable) -> Failure {
    move |error| unreadable(error, &shell_word(&root.display().to_string()))
}

/// Prints a failure to standard error.
pub fn print(output: &Output, failure: &Failure, texts: &Texts) {
    output.message(&render(output, failure, texts));
}

/// A failure as a person reads it.
#[must_use]
pub fn render(output: &Output, failure: &Failure, texts: &Texts) -> String {
    let error = output.err("error:", Style::new().red().bold());
    let hint = output.err("hint:", Style::new().cyan().bold());
    let mut text = format!("{error} {}\n", neutral(&failure.message));
    for cause in &failure.causes {
        let _infallible = writeln!(text, "  Caused by: {}", indent(&neutral(cause)));
    }
    for (index, finding) in failure.findings.iter().enumerate() {
        text.push_str(&if index < DETAILED_MAX {
            show(output.color_err, finding, texts)
        } else {
            brief(finding)
        });
    }
    for (index, cure) in failure.hints.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        let _infallible = writeln!(text, "{gap}{hint} {}", indent(&neutral(cure)));
    }
    text
}

/// One finding of many: where, what, and what to do, without the line it is about.
fn brief(finding: &Finding) -> String {
    let mut text = format!("{}\n", neutral(&finding.to_string()));
    for line in finding.detail.lines() {
        let _infallible = writeln!(text, "  {}", neutral(line));
    }
    if !finding.hint.is_empty() {
        let _infallible = writeln!(text, "  help: {}", indent(&neutral(&finding.hint)));
    }
    text
}

fn indent(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// One finding with the line it is about.
#[must_use]
pub fn show(color: bool, finding: &Finding, texts: &Texts) -> String {
    let theme = if color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(WIDTH)
        // What does not fit is left longer than the line: a path that is broken cannot be copied.
        .with_break_words(false)
        .with_word_separator(WordSeparator::Custom(words))
        .with_word_splitter(WordSplitter::NoHyphenation)
        .with_context_lines(1);
    let mut text = String::from("\n");
    match handler.render_report(&mut text, &Shown::new(finding, texts)) {
        Ok(()) => text,
        // Drawing fails where a span does not fit its text; the message counts, and not its picture.
        Err(_) => format!("{}\n", neutral(&finding.to_string())),
    }
}

/// A line's words, between which it may be broken: at spaces, but not within backticks. What stands in those is a
/// path, a name or a line of a plan, which a person takes with the mouse as it is; a line that is a command is one
/// word, because a shell would take its second half for another.
fn words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    if line.starts_with("flowhost ") {
        return Box::new(std::iter::once(Word::from(line)));
    }
    // A text that was cut may have opened a quotation that nothing closes.
    let closed = line.matches('`').count().is_multiple_of(2);
    let (mut quoted, mut after_space) = (false, false);
    let begins = line.char_indices().filter_map(move |(at, letter)| {
        let begins = after_space && letter != ' ' && !quoted;
        quoted ^= closed && letter == '`';
        after_space = letter == ' ';
        begins.then_some(at)
    });
    let mut start = 0;
    let words = begins.chain([line.len()]).filter_map(move |end| {
        let word = line.get(start..end).filter(|word| !word.is_empty())?;
        start = end;
        Some(Word::from(word))
    });
    Box::new(words)
}

/// A finding as miette wants it.
#[derive(Debug)]
struct Shown {
    message: String,
    hint: String,
    source: Option<(NamedSource<String>, LabeledSpan)>,
}

impl Shown {
    fn new(finding: &Finding, texts: &Texts) -> Self {
        let source = source(finding, texts);
        let mut message = match source {
            Some(_) => finding.message.clone(),
            None => finding.to_string(),
        };
        for line in finding.detail.lines() {
            message.push_str("\n  ");
            message.push_str(line);
        }
        Self {
            message: neutral(&message),
            hint: neutral(&finding.hint),
            source,
        }
    }
}

/// Bytes of a quoted line, or of one beside it: a longer one would push the message off the screen.
const LINE_BYTES_MAX: usize = 400;

fn source(finding: &Finding, texts: &Texts) -> Option<(NamedSource<String>, LabeledSpan)> {
    let text = texts.get(&finding.file)?;
    // The line with the one before and the one after, which are shown with it.
    let around = text
        .lines()
        .skip((finding.line as usize).saturating_sub(2))
        .take(3);
    if around.map(str::len).max()? > LINE_BYTES_MAX {
        return None;
    }
    // 0 is no line: there is nothing to show then.
    let line = finding.line.checked_sub(1)? as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?.lines().next()?;
    let skip = finding.column.saturating_sub(1) as usize;
    let offset: usize = rest.chars().take(skip).map(char::len_utf8).sum();
    // A place is where something begins; how far it goes no finding says, so that its first word is underlined.
    let length = token(rest.get(offset..)?);
    // Foreign bytes of the quoted file must not reach the terminal either; a text that would change
    // is shown without its line, because offsets would no longer fit.
    (neutral(text) == **text).then(|| {
        let span = LabeledSpan::new(None, start + offset, length);
        (NamedSource::new(&finding.file, text.to_string()), span)
    })
}

/// Bytes of the word that begins here.
fn token(text: &str) -> usize {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, ':' | ',' | '}' | ']' | '='));
    // At least one byte, because an empty span is drawn nowhere: also where a line ends too early and there is no
    // word.
    end.unwrap_or(text.len()).max(1).min(text.len().max(1))
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        (!self.hint.is_empty()).then(|| Box::new(&self.hint) as Box<dyn std::fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source
            .as_ref()
            .map(|(source, _)| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (_, span) = self.source.as_ref()?;
        Some(Box::new(std::iter::once(span.clone())))
    }
}

/// A failure as a JSON document.
#[derive(Debug, Serialize)]
pub struct FailureDocument<'a> {
    /// Always `false`.
    pub ok: bool,
    /// The exit code.
    pub exit_code: u8,
    /// What failed.
    pub message: &'a str,
    /// Why.
    pub causes: &'a [String],
    /// What to do.
    pub hints: &'a [String],
    /// Places.
    pub problems: &'a [Finding],
    /// The run on whose record it is; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// How that run stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
}

impl<'a> From<&'a Failure> for FailureDocument<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            ok: false,
            exit_code: failure.exit.code(),
            message: &failure.message,
            causes: &failure.causes,
            hints: &failure.hints,
            problems: &failure.findings,
            run: failure.run.as_ref().map(|run| run.id.as_str()),
            status: failure.run.as_ref().map(|run| run.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use flowhost_flow::Exit;

    use super::*;

    const PLAIN: Output = Output {
        json: false,
        color_out: false,
        color_err: false,
        live: false,
    };

    #[test]
    fn a_hostile_message_cannot_move_the_cursor() {
        let failure = Failure::new(Exit::Plugin, "bad\x1b[2J")
            .because("x\u{202e}y")
            .hint("h\x07");
        let text = render(&PLAIN, &failure, &Texts::default());
        assert!(!text.contains(['\x1b', '\u{202e}', '\x07']), "{text:?}");
    }

    #[test]
    fn says_what_then_why_then_cure() {
        let failure = Failure::new(Exit::Plugin, "it failed")
            .because("a")
            .because("b")
            .hint("do c");
        let text = render(&PLAIN, &failure, &Texts::default());
        assert_eq!(
            text,
            "error: it failed\n  Caused by: a\n  Caused by: b\n\nhint: do c\n"
        );
    }

    #[test]
    fn a_command_to_type_is_one_line_however_long_it_is() {
        let command = format!(
            "flowhost policy show deny-all --name x --out {}",
            "folder/".repeat(20)
        );
        let finding =
            Finding::new("plan.yaml", "m").cure(format!("Make one:\n{command}\nthen go on"));
        let text = show(false, &finding, &Texts::default());
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines.contains(&command.as_str()), "{text}");
        assert!(lines.contains(&"then go on"), "{text}");
    }

    #[test]
    fn the_last_of_many_findings_keeps_its_cure() {
        let mut failure = Failure::new(Exit::Plugin, "many");
        let count = u32::try_from(DETAILED_MAX).unwrap() + 1;
        failure.findings = (1..=count)
            .map(|line| {
                Finding::new("p.yaml", format!("wrong {line}"))
                    .at(line, 1)
                    .cure(format!("do {line}\nand that"))
            })
            .collect();
        let text = render(&PLAIN, &failure, &Texts::default());
        let last = format!("wrong {count}\n  help: do {count}\n    and that\n");
        assert!(text.ends_with(&last), "{text}");
    }

    #[test]
    fn quotes_the_line_of_a_finding() {
        let mut texts = Texts::default();
        texts.add("p.yaml", "a: 1\nusess: x\n");
        let finding = Finding::new("p.yaml", "unknown key `usess`")
            .at(2, 1)
            .cure("write `uses`");
        let text = show(false, &finding, &texts);
        for part in [
            "unknown key `usess`",
            "p.yaml:2:1",
            "2 │ usess: x",
            "help: write `uses`",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_path_is_never_broken_over_two_lines() {
        let folder = "a-long-name/of a folder/with-hyphens_and.dots/".repeat(3);
        let path = format!("/home/somebody/{folder}plan.yaml");
        let message = format!("the folder `{path}` cannot be read, whatever anybody says of it");
        let cure = format!(
            "move it from {} to `{path}`, and say `--plan={path}`",
            "x/".repeat(60)
        );
        let text = show(
            false,
            &Finding::new("p.yaml", message).cure(cure),
            &Texts::default(),
        );
        assert_eq!(text.matches(&path).count(), 3, "{text}");
        assert!(text.contains(&"x/".repeat(60)), "{text}");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_no_letter_is_lost() {
        for line in [
            "",
            " ",
            "a",
            "  a `b c`  d-e/f",
            "`never closed and on",
            "ä `ö ü` ß",
        ] {
            let said: String = words(line)
                .map(|word| format!("{}{}", word.word, word.whitespace))
                .collect();
            assert_eq!(said, line);
        }
        let told: Vec<&str> = words("a `b c` d").map(|word| word.word).collect();
        assert_eq!(told, ["a", "`b c`", "d"]);
    }

    #[test]
    fn a_place_beyond_the_text_is_named_and_not_quoted() {
        let mut texts = Texts::default();
        texts.add("p.yaml", "a: 1\n");
        let text = show(false, &Finding::new("p.yaml", "gone").at(9, 9), &texts);
        assert!(text.contains("p.yaml:9:9: gone"), "{text}");
    }
}
