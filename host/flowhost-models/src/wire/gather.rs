//! Puts an answer together from its pieces, within bounds that follow from `max_tokens`.
//!
//! A model that never ends, or a server that plays one, is cut here, and what it said until then is
//! accounted.

use tokio::time::Instant;

use crate::{
    answer::Finish, backend::Raw, error::ErrorClass, fault::Fault, progress::Progress,
    prompt::ToolCall, text, tokens,
};

use super::tool_names::ToolNames;

/// Tool calls of one answer.
const CALLS_MAX: usize = 128;
/// Characters of a name or an id.
const NAME_CHARS_MAX: usize = 256;
/// Bytes of text for each token that was asked for: beyond what any text needs, blanks included.
const BYTES_PER_TOKEN: usize = 64;
/// Bytes of text on top, for small limits.
const BYTES_EXTRA: usize = 4 << 10;
/// Bytes of one answer's text, whatever was asked for.
const BYTES_MAX: usize = 16 << 20;
/// Bytes on the wire for each byte of text: every token travels in an event of its own.
const WIRE_FACTOR: usize = 32;
/// Bytes on the wire on top.
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

pub(super) struct Gather {
    names: ToolNames,
    bytes_max: usize,
    bytes: usize,
    content: String,
    calls: Vec<ToolCall>,
    pub(super) finish: Option<Finish>,
    answered_by: String,
}

impl Gather {
    pub(super) fn new(max_tokens: u32, names: ToolNames) -> Self {
        Self {
            names,
            bytes_max: bytes_max(max_tokens),
            bytes: 0,
            content: String::new(),
            calls: Vec::new(),
            finish: None,
            answered_by: String::new(),
        }
    }

    /// The model's own name for itself; the first word counts.
    pub(super) fn answered_by(&mut self, name: Option<&str>) {
        if let (true, Some(name)) = (self.answered_by.is_empty(), name) {
            self.answered_by = text::harmless(name, NAME_CHARS_MAX);
        }
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

    /// A tool call begins; returns its place.
    pub(super) fn call(
        &mut self,
        id: Option<&str>,
        name: Option<&str>,
        progress: &mut Progress,
    ) -> Result<usize, Fault> {
        let at = self.calls.len();
        if at >= CALLS_MAX {
            return Err(cut(&format!("asked for more than {CALLS_MAX} tool calls")));
        }
        self.calls.push(ToolCall {
            id: String::new(),
            name: String::new(),
            arguments: String::new(),
        });
        self.describe(at, id, name, progress)?;
        Ok(at)
    }

    /// A call's id and name, which some servers send late or in pieces.
    pub(super) fn describe(
        &mut self,
        at: usize,
        id: Option<&str>,
        name: Option<&str>,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        let (id, name) = (id.unwrap_or_default(), name.unwrap_or_default());
        self.count(name, progress)?;
        let Some(call) = self.calls.get_mut(at) else {
            return Ok(());
        };
        if call.id.is_empty() {
            call.id.push_str(id);
        }
        call.name.push_str(name);
        let long = |text: &str| text.chars().count() > NAME_CHARS_MAX;
        if long(&call.id) || long(&call.name) {
            let what = format!("gave a tool call a name or id above {NAME_CHARS_MAX} characters");
            return Err(cut(&what));
        }
        Ok(())
    }

    /// A piece of a call's arguments.
    pub(super) fn arguments(
        &mut self,
        at: usize,
        piece: &str,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        self.count(piece, progress)?;
        if let Some(call) = self.calls.get_mut(at) {
            call.arguments.push_str(piece);
        }
        Ok(())
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> &[ToolCall] {
        &self.calls
    }

    fn count(&mut self, piece: &str, progress: &mut Progress) -> Result<(), Fault> {
        if piece.is_empty() {
            return Ok(());
        }
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

    /// The answer. Without a reason to end it is not whole, and that is an error.
    pub(super) fn finished(mut self) -> Result<Raw, Fault> {
        let Some(finish) = self.finish else {
            return Err(Fault::new(
                ErrorClass::Cut,
                "the connection ended before the answer did",
                "",
            ));
        };
        for (number, call) in self.calls.iter_mut().enumerate() {
            call.name = self.names.original(&call.name).to_owned();
            if call.id.is_empty() {
                call.id = format!("call-{number}");
            }
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".to_owned();
            }
        }
        let finish = match (finish, self.calls.is_empty()) {
            (Finish::Stop, false) => Finish::ToolCalls,
            (Finish::ToolCalls, true) => Finish::Stop,
            (finish, _) => finish,
        };
        Ok(Raw::Completion {
            content: self.content,
            tool_calls: self.calls,
            finish,
            answered_by: self.answered_by,
        })
    }

    /// Takes the first call of that name out of the answer.
    pub(super) fn take_call(&mut self, name: &str) -> Option<ToolCall> {
        let at = self.calls.iter().position(|call| call.name == name)?;
        Some(self.calls.remove(at))
    }

    /// Replaces the text: an answer that came as a tool call.
    pub(super) fn set_content(&mut self, content: String) {
        self.content = content;
    }
}

fn cut(what: &str) -> Fault {
    let message = format!("the answer was cut: it {what}");
    Fault::new(ErrorClass::Cut, message, "").hopeless()
}
