//! Questions and answers as they travel. A number that is larger than JSON's own (a budget without a
//! limit) must come through, so that what travels is the text of a document and not its tree.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowhost_bus::Envelope;
use flowhost_engine::Shortfall;
use flowhost_ledger::{Fact, Kind, LedgerError, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::recall::Found;
use super::{Payer, serve::Greeting};

/// What a worker asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    /// What run is this?
    Greet,
    /// Record this.
    Append(Told),
    /// Is this record on the disk?
    Durable(u64),
    Left(Payer),
    Hold(Payer, [u64; 2]),
    Settle(u64, [u64; 2]),
    Found(u64),
    Started,
    /// Had this agent read this message before another process ended?
    HadRead(String, String),
    Finished,
    /// A guest was told this secret. Its value does not travel: both sides have it from the operator.
    Revealed(String),
}

/// What the driver's side answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Greeting(Greeting),
    Done,
    Seq(u64),
    Left([u64; 2]),
    Held(u64),
    /// It is not paid for.
    Short(Shortfall),
    Found(Found),
    Started(Vec<(String, u64)>),
    HadRead(bool),
    Finished(Vec<String>),
    Ledger(Refusal),
    /// The question makes no sense here.
    Refused(String),
}

/// A ledger's refusal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    Poisoned(String),
    Refused(String),
    /// The account of all plugins of the run is full: used, allowed.
    Full(u64, u64),
    Closed,
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Poisoned(why) => Self::Poisoned(why),
            LedgerError::Refused(why) => Self::Refused(why),
            LedgerError::Limit { used, allowed, .. } => Self::Full(used, allowed),
            LedgerError::Closed => Self::Closed,
            // What only a replay says, which has no workers. Whatever it is, nothing more may be recorded.
            other => Self::Poisoned(other.to_string()),
        }
    }
}

impl From<Refusal> for LedgerError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Poisoned(why) => Self::Poisoned(why),
            Refusal::Refused(why) => Self::Refused(why),
            Refusal::Full(used, allowed) => Self::Limit {
                name: crate::meters::account::RUN,
                used,
                allowed,
            },
            Refusal::Closed => Self::Closed,
        }
    }
}

/// A fact on its way to the ledger.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    kind: String,
    actor: String,
    fields: BTreeMap<String, Field>,
    /// Base64: a payload is bytes.
    payload: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
}

impl From<Fact> for Told {
    fn from(fact: Fact) -> Self {
        let field = |value| match value {
            Value::Text(text) => Field::Text(text),
            Value::List(items) => Field::List(items),
            Value::Map(items) => Field::Map(items),
        };
        let fields = fact.fields.into_iter();
        Self {
            kind: fact.kind.as_str().to_owned(),
            actor: fact.actor,
            fields: fields
                .map(|(name, value)| (name.into_owned(), field(value)))
                .collect(),
            payload: fact.payload.map(|bytes| STANDARD.encode(bytes)),
        }
    }
}

impl TryFrom<Told> for Fact {
    type Error = String;

    fn try_from(told: Told) -> Result<Self, String> {
        // By its word: another build may be at the other end, and a number would mean another record there.
        let kind = Kind::parse(&told.kind);
        let kind = kind.ok_or_else(|| format!("this build knows no record `{}`", told.kind))?;
        let value = |field| match field {
            Field::Text(text) => Value::Text(text),
            Field::List(items) => Value::List(items),
            Field::Map(items) => Value::Map(items),
        };
        let payload = told.payload.map(|text| STANDARD.decode(text)).transpose();
        let fields = told.fields.into_iter();
        Ok(Self {
            kind,
            actor: told.actor,
            fields: fields.map(|(name, field)| (name, value(field))).collect(),
            payload: payload.map_err(|error| format!("a payload is not base64: {error}"))?,
            sealed: None, // whoever writes the record redacts it and seals what it was
        })
    }
}

pub(super) fn write(message: &impl Serialize) -> Result<serde_json::Value, String> {
    let text = serde_json::to_string(message).map_err(|error| error.to_string())?;
    Ok(serde_json::Value::String(text))
}

/// What an envelope brings.
pub(super) fn of<T: DeserializeOwned>(envelope: &Envelope) -> Result<T, String> {
    read(envelope.payload().map_err(|error| error.to_string())?)
}

fn read<T: DeserializeOwned>(payload: &serde_json::Value) -> Result<T, String> {
    let text = payload.as_str().ok_or("the payload is not a text")?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standin::free::Free as _;

    #[test]
    fn a_fact_comes_through_with_every_form_of_field_and_any_bytes() {
        let fact = Fact::new(Kind::ToolCall, "default/a")
            .with("text", "1")
            .with("list", vec!["a".to_owned()])
            .with("map", BTreeMap::from([("k".to_owned(), "v".to_owned())]))
            .payload(vec![0, 255, 10]);
        let sent = write(&Question::Append(fact.clone().into())).unwrap();
        let Question::Append(told) = read(&sent).unwrap() else {
            panic!("{sent}");
        };
        assert_eq!(Fact::try_from(told).unwrap(), fact);
    }

    #[test]
    fn a_budget_without_a_limit_is_not_rounded() {
        let sent = write(&Reply::Left([u64::MAX, u64::MAX - 1])).unwrap();
        let Reply::Left(left) = read(&sent).unwrap() else {
            panic!("{sent}");
        };
        assert_eq!(left, [u64::MAX, u64::MAX - 1]);
    }

    #[test]
    fn a_record_that_this_build_does_not_know_is_refused_by_name() {
        let told = Told {
            kind: "no.such".to_owned(),
            actor: String::new(),
            fields: BTreeMap::new(),
            payload: None,
        };
        assert!(Fact::try_from(told).unwrap_err().contains("`no.such`"));
    }
}
