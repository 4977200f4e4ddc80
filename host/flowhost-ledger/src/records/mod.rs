//! One declaration per kind of record: the struct that writes it and reads it, its row in the book and
//! its JSON Schema all come from `kinds.rs`; what several kinds share stands in `parts.rs`.
//!
//! The wire stays what it was (`fhe/1`: strings, lists and objects of strings), so ledgers of older
//! hosts are read by the same structs: what came later is optional. A record's payload is not its
//! field: what a guest can name (a URL, a path, a topic, a key) belongs there, because lines cannot be
//! erased.

pub mod book;
#[macro_use]
mod declare;
mod field;
mod kinds;
pub mod lent;
mod parts;
#[cfg(test)]
mod tests;
mod words;

use std::any::Any;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::fact::Fact;
use crate::record::{PAYLOAD_BYTES_MAX, StoredRecord};

pub use crate::fields::{FieldName, Fields};
pub use field::{Field, FieldDoc, FieldError, Shape, Single};
pub use kinds::*;
pub use parts::*;
pub use words::{Decision, Owner};

/// The version of what records say, in `run.start`. 1, which says nothing, was the first wave's: what
/// guests named stood in the lines. Since 3, all that a guest is told from outside is recorded. Since 4, a
/// fact stands in one record only: orders and answers in those of their calls, what a call is in its
/// `tool.call`, the first and the last attempt in those of their step.
pub const SCHEMA: u64 = 4;

/// The fields of one kind.
pub trait RecordKind: Sized {
    /// The kind.
    const KIND: Kind;

    /// Its fields as the format has them.
    fn into_fields(self) -> Fields;

    /// Reads them.
    ///
    /// # Errors
    /// [`FieldError`] when one is missing that every record of the kind has, or has another form.
    fn from_fields(fields: &Fields) -> Result<Self, FieldError>;

    /// The group of fields of this type, if the kind has it.
    fn part<P: Any>(&self) -> Option<&P>;

    /// All fields, as documentation shows them.
    fn describe() -> Vec<FieldDoc>;

    /// The fact that `actor` (`<tenant>/<plugin>` or `<tenant>/host`) did this.
    #[must_use]
    fn by(self, actor: impl Into<String>) -> Fact {
        Fact {
            kind: Self::KIND,
            actor: actor.into(),
            fields: self.into_fields(),
            payload: None,
            sealed: None,
        }
    }
}

/// A record of a plugin's call, for callers that know which call it is.
pub trait OfCall: RecordKind {
    /// The same, of `call`.
    #[must_use]
    fn of(self, call: CallPart) -> Self;
}

impl OfCall for ToolCall {
    fn of(self, call: CallPart) -> Self {
        let call_of = BegunPart {
            step: call.step,
            attempt: call.attempt,
            call: call.call,
            component: call.component,
            revision: call.revision,
            profile: None,
        };
        Self { call_of, ..self }
    }
}

impl OfCall for ToolResult {
    fn of(self, call: CallPart) -> Self {
        let call_of = EndedPart {
            call: call.call,
            revision: call.revision,
            ..EndedPart::default()
        };
        Self { call_of, ..self }
    }
}

/// A record of a plugin's call about a right.
pub trait Decides: OfCall + Default {
    /// The same, with what was decided.
    #[must_use]
    fn decided(self, decided: DecisionPart) -> Self;
}

impl StoredRecord {
    /// What the record says, by its kind; none when a newer host wrote a kind that this one does not
    /// know.
    ///
    /// # Errors
    /// [`FieldError`] when it is not what its kind says.
    ///
    /// # Examples
    /// ```
    /// # use flowhost_ledger::StoredRecord;
    /// use flowhost_ledger::records::Record;
    /// fn name_of(record: &StoredRecord) -> Option<String> {
    ///     match record.read().ok()?? {
    ///         Record::ToolCall(call) => Some(call.tool),
    ///         _ => None,
    ///     }
    /// }
    /// ```
    pub fn read(&self) -> Result<Option<Record>, FieldError> {
        let Some(kind) = self.kind() else {
            return Ok(None);
        };
        Record::of(kind, &self.fields).map(Some)
    }
}

impl Fact {
    /// What the fact says, by its kind.
    ///
    /// # Errors
    /// [`FieldError`] when it is not what its kind says.
    pub fn read(&self) -> Result<Record, FieldError> {
        Record::of(self.kind, &self.fields)
    }
}

impl Record {
    /// What policy said, if the record is about a right.
    #[must_use]
    pub fn decided(&self) -> Option<&DecisionPart> {
        self.part::<DecisionPart>()
    }

    /// Whether the record is a refusal.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.decided()
            .is_some_and(|it| it.decision == Some(Decision::Deny))
    }

    /// The step that it belongs to; empty for none, and for a result that says only which call it is of.
    #[must_use]
    pub fn step(&self) -> &str {
        let of_call = || Some(self.part::<CallPart>()?.step.as_str());
        let of_begun = || Some(self.part::<BegunPart>()?.step.as_str());
        let of_ended = || self.part::<EndedPart>()?.step.as_deref();
        let of_call = || of_call().or_else(of_begun).or_else(of_ended);
        let of_step = || Some(self.part::<StepPart>()?.step.as_str());
        let of_place = || self.part::<PlacePart>()?.step.as_deref();
        of_call().or_else(of_step).or_else(of_place).unwrap_or("")
    }

    /// The path of that step, where the record says it; empty where it does not.
    #[must_use]
    pub fn path(&self) -> &str {
        let of_step = || Some(self.part::<StepPart>()?.path.as_str());
        let of_place = || self.part::<PlacePart>()?.path.as_deref();
        of_step().or_else(of_place).unwrap_or("")
    }
}

impl TryPart {
    /// The number of the model call within the run, where older hosts wrote it, too.
    #[must_use]
    pub fn number(&self, call: &CallPart) -> Option<u64> {
        // The first wave wrote the number of a model call as `call`; an id with a dot is a call's own.
        self.request.or_else(|| call.call.as_deref()?.parse().ok())
    }
}

/// What was asked for, in the payload of a record about a right: a guest's words, and what follows
/// from them, which must stay erasable.
///
/// # Examples
/// ```
/// use flowhost_ledger::records::Asked;
/// let asked = Asked::for_what("GET https://a.example/");
/// assert_eq!(Asked::of_payload(&asked.to_payload()), Some(asked));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Asked {
    /// What was asked for.
    pub wanted: String,
    /// The profile lines that would grant it; none when it was granted, or nothing would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// What came with it, or back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The same in base64, where it is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
    /// What the guest was answered from outside: whoever replays the run answers the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<serde_json::Value>,
    /// SHA-256 of the answer, where it is too long for a payload: such a call cannot be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_sha256: Option<String>,
}

impl Asked {
    /// Something that was asked for.
    #[must_use]
    pub fn for_what(wanted: impl Into<String>) -> Self {
        Self {
            wanted: wanted.into(),
            ..Self::default()
        }
    }

    /// The same, with what came with it or back.
    #[must_use]
    pub fn with_value(self, value: Vec<u8>) -> Self {
        match String::from_utf8(value) {
            Ok(text) => Self {
                value: Some(text),
                ..self
            },
            Err(error) => Self {
                value_base64: Some(BASE64.encode(error.as_bytes())),
                ..self
            },
        }
    }

    /// The same, with what was answered from outside.
    #[must_use]
    pub fn answered(self, answer: serde_json::Value) -> Self {
        Self {
            answer: Some(answer),
            ..self
        }
    }

    /// The payload that says so. An answer that no payload can hold is replaced by its hash: the call
    /// goes on, and a replay says why it cannot.
    #[must_use]
    pub fn to_payload(&self) -> Vec<u8> {
        // Texts always have a JSON form.
        let payload = serde_json::to_vec(self).unwrap_or_default();
        let Some(answer) = self
            .answer
            .as_ref()
            .filter(|_| payload.len() > PAYLOAD_BYTES_MAX)
        else {
            return payload;
        };
        let hash = Sha256::digest(answer.to_string());
        let without = Self {
            answer: None,
            answer_sha256: Some(hex::encode(hash)),
            ..self.clone()
        };
        serde_json::to_vec(&without).unwrap_or_default()
    }

    /// What a payload says was asked for; none when it says nothing of the kind.
    #[must_use]
    pub fn of_payload(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// What was asked for by the record `decided` with this payload, wherever its host wrote it.
    #[must_use]
    pub fn of(decided: &DecisionPart, payload: Option<&[u8]>) -> Self {
        let Some(wanted) = &decided.wanted else {
            return payload.and_then(Self::of_payload).unwrap_or_default();
        };
        Self {
            wanted: wanted.clone(),
            cure: decided.cure.clone(),
            ..Self::default()
        }
    }
}

/// Findings of a verdict that are told in one line; the payload has all of them.
const FINDINGS_TOLD_MAX: usize = 3;
/// Characters of one of them: a guardrail may write more, and a line is a line.
const FINDING_CHARS_MAX: usize = 200;

/// One finding of a verdict, as the payload has it.
#[derive(serde::Deserialize)]
struct Found {
    code: String,
    message: String,
}

/// What a guardrail found, out of the payload of its verdict: the names of its rules with what they say. None for a
/// payload of another kind, and for one that was redacted.
#[must_use]
pub fn findings_told(payload: &[u8]) -> Option<String> {
    let found: Vec<Found> = serde_json::from_slice(payload).ok()?;
    let told = found.iter().take(FINDINGS_TOLD_MAX).map(|it| {
        let message: String = it.message.chars().take(FINDING_CHARS_MAX).collect();
        format!("`{}`: {message}", it.code)
    });
    let told: Vec<String> = told.collect();
    (!told.is_empty()).then(|| told.join("; "))
}
