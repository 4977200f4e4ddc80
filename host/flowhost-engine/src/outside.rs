//! What a call learns from outside of its sandbox: a record where it is learned, and an answer from that
//! record where the run is replayed.
//!
//! A guest is deterministic but for what its host functions answer. So each of them that knows more than
//! the guest's own store asks through here, and there is no other way to be told something that a replay
//! could not tell again. What is asked is recorded beside what was answered: a guest that asks for something
//! else is found at that record. Must never act: capabilities do.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flowhost_ledger::records::{Asked, Decides, HostAnswer, OfCall as _, RecordKind as _};
use flowhost_ledger::{Fact, Kind, LedgerError};
use flowhost_policy::Denied;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bindings::types;
use crate::fault::Fault;
use crate::instance::{CallReport, Used};
use crate::scope::CallScope;

/// Longest text of what was asked that a record repeats, in bytes; of a longer one it has the hash.
const ASKED_BYTES: usize = 256;

/// The record of a run that is replayed, as its calls are answered from it.
///
/// `interface` tells apart what one guest does at the same time: see [`Memory::next`].
pub trait Memory: Send + Sync + 'static {
    /// The next record of `call` that nothing has matched yet; it stays the next one. What is done by
    /// `interface` beside the guest's own thread has an order of its own.
    fn next(&self, call: &str, interface: &str) -> Option<Fact>;

    /// The first answer of `interface` among the records of `call` that nothing has matched yet.
    fn ahead(&self, call: &str, interface: &str) -> Option<Fact>;

    /// The milliseconds that the guest was told it had when `call` began.
    fn told_ms(&self, call: &str) -> Option<u64>;

    /// How `call` ended, where that was no doing of its guest's and does not happen again by itself: its
    /// time was up, or the host failed.
    fn cut(&self, call: &str) -> Option<Cut>;

    /// The guest asked for what the record has no answer to: the replay ends here.
    fn missed(&self, call: &str, interface: &str, asked: &str) -> LedgerError;
}

/// An end that is taken from the record.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Why the call ended.
    pub fault: Fault,
    /// What it had used by then.
    pub used: Used,
}

/// Bytes in an answer: text where they are text, so that people can read the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bytes {
    /// They are text.
    Text(String),
    /// They are not.
    Binary {
        /// Base64 with padding.
        base64: String,
    },
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Binary {
                base64: BASE64.encode(error.as_bytes()),
            },
        }
    }
}

impl Bytes {
    /// The bytes; none when the record does not hold base64.
    #[must_use]
    pub fn into_vec(self) -> Option<Vec<u8>> {
        match self {
            Self::Text(text) => Some(text.into_bytes()),
            Self::Binary { base64 } => BASE64.decode(base64).ok(),
        }
    }
}

/// A guest's error in a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// See [`types::Error::Denied`].
    Denied {
        /// The right that was missing.
        right: String,
        /// What was asked for.
        wanted: String,
        /// The rule that decided.
        rule: String,
    },
    /// See [`types::Error::Limit`].
    Limit {
        /// The limit.
        name: String,
        /// What was used of it.
        used: String,
        /// What is allowed.
        allowed: String,
    },
    /// See [`types::Error::Invalid`].
    Invalid(String),
    /// See [`types::Error::Transient`].
    Transient(String),
    /// The same of what was asked to do something, and may have: it did not answer.
    Unanswered(String),
    /// See [`types::Error::Failed`].
    Failed(String),
    /// See [`types::Error::Conflict`].
    Conflict(String),
}

impl From<types::Error> for Told {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(it) => Self::Denied {
                right: it.right,
                wanted: it.wanted,
                rule: it.rule,
            },
            types::Error::Limit(it) => Self::Limit {
                name: it.name,
                used: it.used,
                allowed: it.allowed,
            },
            types::Error::Invalid(text) => Self::Invalid(text),
            types::Error::Transient(text) => Self::Transient(text),
            types::Error::Failed(text) => Self::Failed(text),
            types::Error::Conflict(text) => Self::Conflict(text),
        }
    }
}

impl From<Told> for types::Error {
    fn from(told: Told) -> Self {
        match told {
            Told::Denied {
                right,
                wanted,
                rule,
            } => Self::Denied(types::Denial {
                right,
                wanted,
                rule,
            }),
            Told::Limit {
                name,
                used,
                allowed,
            } => Self::Limit(types::Limit {
                name,
                used,
                allowed,
            }),
            Told::Invalid(text) => Self::Invalid(text),
            Told::Transient(text) | Told::Unanswered(text) => Self::Transient(text),
            Told::Failed(text) => Self::Failed(text),
            Told::Conflict(text) => Self::Conflict(text),
        }
    }
}

impl CallScope {
    /// Whether the run is replayed: then nothing outside is touched, and nothing is waited for.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        self.run.memory.is_some()
    }

    /// The record that stands where this call is now, in a replay: it must be what is about to be recorded.
    ///
    /// # Errors
    /// [`Fault::Ledger`] when there is none.
    pub fn recalled(&self, interface: &str) -> Result<Option<Fact>, Fault> {
        let Some(memory) = &self.run.memory else {
            return Ok(None);
        };
        match memory.next(&self.call, interface) {
            Some(fact) => Ok(Some(fact)),
            None => Err(self.missed(interface, "")),
        }
    }

    /// The end of a replay that came to what its record has no answer to.
    #[must_use]
    pub fn missed(&self, interface: &str, asked: &str) -> Fault {
        let memory = self.run.memory.as_ref();
        let error = memory.map(|memory| memory.missed(&self.call, interface, asked));
        Fault::Ledger(error.unwrap_or(LedgerError::Differs))
    }

    /// Looks at something that the profile grants and that looking does not change: one record, of the right
    /// and of what was seen.
    ///
    /// # Errors
    /// What `look` ends with, or [`Fault::Ledger`]; both end the call.
    pub async fn look<R: Decides, T: Serialize + DeserializeOwned>(
        &self,
        record: R,
        interface: &str,
        rule: &str,
        wanted: String,
        look: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let seen = match self.recalled(interface)? {
            Some(fact) => self.answer_of(&fact, interface, &wanted)?,
            None => look.await?,
        };
        let asked = Asked::for_what(wanted).answered(document(&seen)?);
        let fact = self.allowed(record, interface, rule, &asked);
        self.run.recorder.append(fact)?;
        Ok(seen)
    }

    /// Does something outside, and records what came of it. What was done on the way there has records of
    /// its own, which a replay takes as they are.
    ///
    /// # Errors
    /// As [`CallScope::look`].
    pub async fn outside<T: Serialize + DeserializeOwned>(
        &self,
        interface: &'static str,
        op: &str,
        asked: &str,
        ask: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let answer = match self.passed(interface, asked)? {
            Some(fact) => self.answer_of(&fact, interface, asked)?,
            None => ask.await?,
        };
        self.answered(interface, op, asked, &answer)?;
        Ok(answer)
    }

    /// [`CallScope::outside`] for what is known at once.
    ///
    /// # Errors
    /// As [`CallScope::look`].
    pub fn at_once<T: Serialize + DeserializeOwned>(
        &self,
        interface: &'static str,
        op: &str,
        asked: &str,
        ask: impl FnOnce() -> T,
    ) -> Result<T, Fault> {
        let answer = match self.passed(interface, asked)? {
            Some(fact) => self.answer_of(&fact, interface, asked)?,
            None => ask(),
        };
        self.answered(interface, op, asked, &answer)?;
        Ok(answer)
    }

    /// [`CallScope::outside`] for what is recorded only where it did not go well.
    ///
    /// # Errors
    /// As [`CallScope::look`].
    pub async fn unless_well<E: Serialize + DeserializeOwned>(
        &self,
        interface: &'static str,
        op: &str,
        asked: &str,
        ask: impl Future<Output = Result<Result<(), E>, Fault>>,
    ) -> Result<Result<(), E>, Fault> {
        let done = match &self.run.memory {
            None => ask.await?,
            Some(memory) => {
                let ahead = memory.ahead(&self.call, interface);
                let failed = ahead.and_then(|fact| Asked::of_payload(fact.payload.as_deref()?));
                match failed.filter(|it| it.wanted == shortened(asked)) {
                    Some(_) => match self.passed(interface, asked)? {
                        Some(fact) => self.answer_of(&fact, interface, asked)?,
                        None => Ok(()),
                    },
                    None => Ok(()),
                }
            }
        };
        if done.is_err() {
            self.answered(interface, op, asked, &done)?;
        }
        Ok(done)
    }

    /// Records the commitment to what a guest is told and no record may hold. A replay takes the value from
    /// the host again, and its record differs where the value does.
    ///
    /// # Errors
    /// [`Fault::Ledger`], which ends the call.
    pub fn committed<T: Serialize>(
        &self,
        interface: &'static str,
        op: &str,
        asked: &str,
        commitment: &T,
    ) -> Result<(), Fault> {
        self.answered(interface, op, asked, commitment)
    }

    /// What stands in a record for a value that must not: keyed with the run's seed, so that two runs
    /// have two, and only in payloads, which can be erased.
    #[must_use]
    pub fn commitment(&self, value: &str) -> String {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.run.seed) else {
            debug_assert!(false, "HMAC takes a key of any length (RFC 2104)");
            return String::new();
        };
        let hash = mac.chain_update(value).finalize().into_bytes();
        format!("hmac-sha256:{}", hex::encode(hash))
    }

    /// In a replay the next answer that the record has, without taking anything: for what must be put into
    /// the same state before the answer is given.
    ///
    /// # Errors
    /// [`Fault::Ledger`] when there is none.
    pub fn foreseen<T: DeserializeOwned>(&self, interface: &str) -> Result<Option<T>, Fault> {
        let Some(memory) = &self.run.memory else {
            return Ok(None);
        };
        match memory.ahead(&self.call, interface) {
            Some(fact) => self.answer_of(&fact, interface, "").map(Some),
            None => Err(self.missed(interface, "")),
        }
    }

    /// A refusal or a limit that a guest is told counts as the host's own, also where it came from the record: the
    /// guest may end with it.
    #[must_use]
    pub fn again(&self, told: Told) -> types::Error {
        if let Told::Unanswered(_) = &told {
            self.asks();
        }
        let told = types::Error::from(told);
        match &told {
            // Where it was made, it was remembered with what would allow it.
            types::Error::Denied(denial) if self.is_replayed() => {
                self.meter.remember_denial(Denied {
                    right: interned(&denial.right),
                    wanted: denial.wanted.clone(),
                    rule: denial.rule.clone(),
                    cure: None,
                });
            }
            // Not every limit was: a body's is raised where it is read, which knows no call.
            types::Error::Limit(limit) if self.meter.limit(limit).is_none() => {
                if let (Ok(used), Ok(allowed)) = (limit.used.parse(), limit.allowed.parse()) {
                    drop(self.refuse_limit(interned(&limit.name), used, allowed));
                }
            }
            _ => {}
        }
        told
    }

    /// Takes the records before the next answer as they are, and gives that.
    fn passed(&self, interface: &str, asked: &str) -> Result<Option<Fact>, Fault> {
        let Some(memory) = &self.run.memory else {
            return Ok(None);
        };
        // Looked at before anything is taken: a replay that ends here leaves the records in front
        // as they are.
        if memory.ahead(&self.call, interface).is_none() {
            return Err(self.missed(interface, asked));
        }
        while let Some(fact) = memory.next(&self.call, interface) {
            if fact.kind == Kind::HostAnswer {
                return Ok(Some(fact));
            }
            self.remember_refusal(&fact);
            self.run.recorder.append(fact)?;
        }
        Err(self.missed(interface, asked))
    }

    /// The report of a call that the record says was cut short: what its guest had done by then is taken as
    /// it is recorded, and the guest does not run.
    pub(crate) fn cut_short<T>(&self) -> Option<CallReport<T>> {
        let memory = self.run.memory.as_ref()?;
        let Cut { fault, used } = memory.cut(&self.call)?;
        let meter = &self.meter;
        // The two orders that a call's records have: its own, and that of bodies which are read
        // beside it.
        for lane in ["", "wasi:http/"] {
            while let Some(fact) = memory.next(&self.call, lane) {
                // The call's own end. Whoever made the call writes that one itself.
                if fact.kind == Kind::ToolResult {
                    break;
                }
                if let Err(error) = self.run.recorder.append(fact) {
                    return Some(CallReport::refused(error.into()));
                }
            }
        }
        meter.take(&used);
        Some(CallReport {
            result: Err(fault),
            used,
        })
    }

    fn answered<T: Serialize>(
        &self,
        interface: &'static str,
        op: &str,
        asked: &str,
        answer: &T,
    ) -> Result<(), Fault> {
        let record = HostAnswer {
            interface: Some(interface.to_owned()),
            op: Some(op.to_owned()),
            ..HostAnswer::default()
        };
        let asked = Asked::for_what(shortened(asked)).answered(document(answer)?);
        let fact = record.of(self.part()).by(self.actor());
        self.run.recorder.append(fact.payload(asked.to_payload()))?;
        Ok(())
    }

    fn answer_of<T: DeserializeOwned>(
        &self,
        fact: &Fact,
        interface: &str,
        wanted: &str,
    ) -> Result<T, Fault> {
        let asked = fact.payload.as_deref().and_then(Asked::of_payload);
        asked
            .and_then(|asked| serde_json::from_value(asked.answer?).ok())
            .ok_or_else(|| self.missed(interface, wanted))
    }
}

fn document<T: Serialize>(answer: &T) -> Result<serde_json::Value, Fault> {
    serde_json::to_value(answer)
        .map_err(|error| Fault::Host(format!("an answer cannot be recorded: {error}")))
}

fn shortened(asked: &str) -> String {
    match asked.len() <= ASKED_BYTES {
        true => asked.to_owned(),
        false => format!("sha256:{}", hex::encode(Sha256::digest(asked))),
    }
}

/// Names that are kept, for good: the host has some dozen. A ledger that somebody forged may have any number, and a host that
/// replays it must not grow by them.
const NAMES_MAX: usize = 1_024;
/// Bytes of one: the longest of the host's is a short sentence.
const NAME_BYTES_MAX: usize = 256;
/// What a name is that the host cannot have given.
const UNKNOWN: &str = "unknown";

/// The names of rights, limits and refusals are constants of the host, also where a record repeats them:
/// this gives the constant back. A name that is none of the host's is `unknown` where too many are kept already.
#[must_use]
pub fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    kept(
        &mut NAMES.lock().unwrap_or_else(PoisonError::into_inner),
        name,
    )
}

fn kept(names: &mut BTreeSet<&'static str>, name: &str) -> &'static str {
    if let Some(known) = names.get(name).copied() {
        return known;
    }
    if name.len() > NAME_BYTES_MAX || names.len() >= NAMES_MAX {
        return UNKNOWN;
    }
    let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_record_are_kept_once_and_those_of_a_forged_one_fill_no_memory() {
        let mut names = BTreeSet::new();
        let first = kept(&mut names, "memory");
        assert!(std::ptr::eq(first, kept(&mut names, "memory")));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(kept(&mut names, &long), UNKNOWN);
        for number in 1..NAMES_MAX {
            let name = number.to_string();
            assert_eq!(kept(&mut names, &name), name);
        }
        assert_eq!(kept(&mut names, "one more"), UNKNOWN);
        assert_eq!(kept(&mut names, "memory"), "memory");
        assert_eq!(names.len(), NAMES_MAX);
    }
}
