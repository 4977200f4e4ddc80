//! Puts an answer together from its pieces, within bounds that follow from `max_tokens`.
//!
//! A model that never ends, or a server that plays one, is cut here, and what it said until then is
//! accounted. Whether an answer is whole is decided here too: by the server's reason to end, else by its
//! last word, else by what has come.

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    answer::Finish,
    backend::{Kept, Raw},
    error::ErrorClass,
    fault::Fault,
    progress::Progress,
    prompt::{Prompt, ToolCall},
    text, tokens,
};

use super::{
    balance::Balance,
    calls::{Calls, NAME_CHARS_MAX, Piece},
    tool_names::ToolNames,
};

/// Bytes of text for each token that was asked for: beyond what any text needs, blanks included.
const BYTES_PER_TOKEN: usize = 64;
/// Bytes of text on top, for small limits. A model that is asked for ten tokens may write a JSON wrapper around
/// them.
const BYTES_EXTRA: usize = 4 << 10;
/// Bytes of one answer's text, whatever was asked for.
const BYTES_MAX: usize = 16 << 20;
/// Bytes on the wire for each byte of text: every token travels in an event of its own.
const WIRE_FACTOR: usize = 32;
/// Bytes on the wire on top. Heads of events, and comments that keep the connection alive, come without any text.
const WIRE_EXTRA: usize = 1 << 20;

/// Bytes of text that `max_tokens` can be.
fn bytes_max(max_tokens: u32) -> usize {
    let tokens = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    tokens
        .saturating_mul(BYTES_PER_TOKEN)
        .saturating_add(BYTES_EXTRA)
        .min(BYTES_MAX)
}

/// Bytes of a whole response that `max_tokens` can be.
pub(crate) fn wire_bytes_max(max_tokens: u32) -> usize {
    bytes_max(max_tokens)
        .saturating_mul(WIRE_FACTOR)
        .saturating_add(WIRE_EXTRA)
}

/// What a server said about the end of its answer, beside the reason.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ended {
    /// It said that nothing more comes (`[DONE]`, the last event, a whole body), or gave the count that
    /// only follows an answer.
    pub(crate) said: bool,
    /// The connection broke.
    pub(crate) broke: bool,
}

pub(super) struct Gather {
    names: ToolNames,
    bytes_max: usize,
    bytes: usize,
    content: String,
    calls: Calls,
    finish: Option<Finish>,
    answered_by: String,
    /// Whether a schema was asked for, so that a whole JSON document is an answer.
    wants_json: bool,
    max_tokens: u64,
    /// Sequences to cut the answer at, where the server does not.
    stops: Vec<String>,
    /// What the provider wants back with a call, by the call's place.
    kept: Vec<(usize, Value)>,
}

impl Gather {
    pub(super) fn new(prompt: &Prompt, names: ToolNames) -> Self {
        Self {
            names,
            bytes_max: bytes_max(prompt.max_tokens),
            bytes: 0,
            content: String::new(),
            calls: Calls::default(),
            finish: None,
            answered_by: String::new(),
            wants_json: prompt.answer_schema.is_some(),
            max_tokens: u64::from(prompt.max_tokens),
            stops: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Stop sequences that the server is not told.
    pub(super) fn stop_at(&mut self, stops: &[String]) {
        self.stops = stops.to_vec();
    }

    /// The model's own name for itself; the first word counts.
    pub(super) fn answered_by(&mut self, name: Option<&str>) {
        if let (true, Some(name)) = (self.answered_by.is_empty(), name) {
            self.answered_by = text::harmless(name, NAME_CHARS_MAX);
        }
    }

    /// The server's reason to end. The first counts: some repeat it in later events, blank or as another.
    pub(super) fn ends(&mut self, finish: Finish) {
        self.finish.get_or_insert(finish);
    }

    /// The answer was withheld, whatever else the server says.
    pub(super) fn withheld(&mut self) {
        self.finish = Some(Finish::ContentFilter);
    }

    /// Whether anything of an answer has come.
    pub(super) fn has_begun(&self) -> bool {
        self.bytes > 0 || !self.calls.is_empty()
    }

    /// A piece of the text.
    pub(super) fn content(&mut self, piece: &str, progress: &mut Progress) -> Result<(), Fault> {
        self.count(piece, progress)?;
        self.content.push_str(piece);
        Ok(())
    }

    /// A piece of what the model thinks in silence: counted and dropped.
    pub(super) fn silent(&mut self, piece: &str, progress: &mut Progress) -> Result<(), Fault> {
        self.count(piece, progress)
    }

    /// A tool call begins, by the protocol's own word; returns its place.
    pub(super) fn begin_call(
        &mut self,
        piece: Piece<'_>,
        progress: &mut Progress,
    ) -> Result<usize, Fault> {
        self.count_piece(&piece, progress)?;
        self.calls.begin(piece, &self.names)
    }

    /// A piece of a tool call; returns the place of its call.
    pub(super) fn call(
        &mut self,
        piece: Piece<'_>,
        progress: &mut Progress,
    ) -> Result<usize, Fault> {
        self.count_piece(&piece, progress)?;
        self.calls.add(piece, &self.names)
    }

    /// What the provider wants back with the call at that place.
    pub(super) fn keep(&mut self, at: usize, value: Value) {
        self.kept.push((at, value));
    }

    fn count_piece(&mut self, piece: &Piece<'_>, progress: &mut Progress) -> Result<(), Fault> {
        self.count(piece.name, progress)?;
        self.count(piece.arguments, progress)
    }

    fn count(&mut self, piece: &str, progress: &mut Progress) -> Result<(), Fault> {
        if piece.is_empty() {
            return Ok(());
        }
        // By the piece, which rounds up each: an estimate may be above the truth, and a try that is
        // cut off has its count at once.
        progress.heard(Instant::now(), tokens::count(piece), piece.len());
        self.bytes += piece.len();
        if self.bytes > self.bytes_max {
            let what = format!(
                "passed {} bytes, more than its max_tokens can be",
                self.bytes_max
            );
            return Err(cut(&what));
        }
        Ok(())
    }

    /// Takes the first call of that name out of the answer.
    pub(super) fn take_call(&mut self, name: &str) -> Option<ToolCall> {
        self.calls.take(name)
    }

    /// Replaces the text: an answer that came as a tool call.
    pub(super) fn set_content(&mut self, content: String) {
        self.content = content;
    }

    /// The answer, if it is whole.
    pub(super) fn finished(mut self, ended: Ended, progress: &mut Progress) -> Result<Raw, Fault> {
        let Some(finish) = self.finish.or_else(|| self.seems_ended(ended, progress)) else {
            return Err(Fault::new(
                ErrorClass::Cut,
                "the connection ended before the answer did",
                "",
            ));
        };
        progress.whole();
        self.cut_at_stops();
        let calls = self.calls.finished(&self.names);
        let finish = match (finish, calls.is_empty()) {
            // Servers say `stop` beside calls and `tool_calls` beside none; what the caller has to
            // do follows from the calls alone.
            (Finish::Stop, false) => Finish::ToolCalls,
            (Finish::ToolCalls, true) => Finish::Stop,
            (finish, _) => finish,
        };
        // Only a call with the server's own id can be told again from another of a later turn.
        let kept = self.kept.into_iter().filter_map(|(at, value)| {
            let (call, own) = calls.get(at)?;
            own.then(|| Kept {
                call: call.id.clone(),
                value,
            })
        });
        Ok(Raw::Completion {
            content: self.content,
            kept: kept.collect(),
            tool_calls: calls.into_iter().map(|(call, _)| call).collect(),
            finish,
            answered_by: self.answered_by,
            taken_out: false,
        })
    }

    /// The end of an answer whose server gave no reason: believed when it said that it was done, or
    /// when what came is whole by itself. Anything else may be a half.
    fn seems_ended(&self, ended: Ended, progress: &Progress) -> Option<Finish> {
        let calls_whole = self.calls.are_whole();
        let calls_fit = self.calls.is_empty() || calls_whole;
        let said = ended.said && self.has_begun() && calls_fit;
        let whole = !ended.broke && (calls_whole || self.calls.is_empty() && self.is_document());
        if !said && !whole {
            return None;
        }
        let counted = progress.word().completion_tokens.unwrap_or(0);
        // Without a reason, an answer of exactly the limit most likely ran into it.
        Some(match counted >= self.max_tokens {
            true => Finish::Length,
            false => Finish::Stop,
        })
    }

    fn is_document(&self) -> bool {
        let mut balance = Balance::default();
        balance.push(&self.content);
        self.wants_json && balance.is_whole()
    }

    fn cut_at_stops(&mut self) {
        let at = self.stops.iter().filter_map(|it| self.content.find(it));
        if let Some(at) = at.min() {
            self.content.truncate(at);
        }
    }
}

pub(super) fn cut(what: &str) -> Fault {
    let message = format!("the answer was cut: it {what}");
    Fault::new(ErrorClass::Cut, message, "").hopeless()
}
