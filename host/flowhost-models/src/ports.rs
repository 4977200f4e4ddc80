//! What the gateway asks of its host: keys, scripts, the hour, and leave to spend.
//!
//! Ambient authority comes in through these traits and nowhere else, so tests own all of it.

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{
    answer::{Answer, Estimate, Reported, Spent, Usage},
    compat::Features,
    error::ModelError,
    name::ModelName,
};

/// Where keys come from. Asked at every try, so a changed key is taken without a restart.
pub trait KeySource: Send + Sync {
    /// The value of the secret `name`.
    fn key(&self, name: &str) -> Option<Zeroizing<String>>;
}

/// Reads what the configuration names: the scripts of `mock`, below one folder of the host's choice,
/// and the authorities that vouch for servers.
pub trait ScriptFiles: Send + Sync {
    /// The text of a file, or `None` when there is none; `path` is relative and has no `..`.
    ///
    /// # Errors
    /// Why the file that is there cannot be read.
    fn read(&self, path: &str) -> Result<Option<String>, String>;

    /// The PEM text of a provider's `ca`, relative to the configuration or absolute.
    ///
    /// # Errors
    /// Why it cannot be read; a host that does not say otherwise reads none.
    fn authority(&self, path: &str) -> Result<String, String> {
        Err(format!("this host reads no certificates, {path} neither"))
    }

    /// The certificates (DER) that this system trusts, for `system_roots = true`.
    ///
    /// # Errors
    /// Why they cannot be read; a host that does not say otherwise has none.
    fn system_roots(&self) -> Result<Vec<Vec<u8>>, String> {
        Err("this host does not read the system's certificates".to_owned())
    }
}

/// Wall time, for prices by the hour. Waiting goes by the runtime's timer.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> u64;
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The plan's stage; chooses `mock`'s script.
    pub stage: &'a str,
    /// The agent; chooses `mock`'s script.
    pub agent: &'a str,
    /// The step.
    pub step: &'a str,
    /// The run's or step's seed: jitter and `mock`'s text follow from it.
    pub seed: u64,
    /// The number of this call among the caller's, from 1.
    pub call: u64,
    /// W3C trace context, sent along when it is well-formed.
    pub traceparent: &'a str,
}

/// What a try does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Completes a conversation.
    Complete,
    /// Embeds texts.
    Embed,
}

impl Operation {
    /// The word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Embed => "embed",
        }
    }
}

/// One try of a call.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// From 1, over all models of the call.
    pub number: u32,
    /// The model that is tried now.
    pub model: &'a ModelName,
    /// What is asked of it.
    pub operation: Operation,
    /// What this try costs at most.
    pub estimate: Estimate,
    /// What is not sent with this try although it was asked for, because the configuration says so
    /// or the server refused it before.
    pub left_out: Features,
}

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub struct TryOutcome<'a> {
    /// What it gave.
    pub result: Result<&'a Answer, &'a ModelError>,
    /// What it cost, also when it failed.
    pub spent: Spent,
    /// What the provider itself said about its usage.
    pub reported: Reported,
    /// Our own count, whether `spent` rests on it or not; see [`crate::tokens`].
    pub counted: Usage,
    /// From leave to end, without waiting for the provider's limits.
    pub duration_ms: u64,
    /// Until the first piece of the answer.
    pub first_token_ms: Option<u64>,
}

/// Told of every try.
#[async_trait]
pub trait CallLog: Send + Sync {
    /// Runs before any byte leaves.
    ///
    /// # Errors
    /// Why the try may not be: the call ends with class `Refused` and this text.
    async fn before(&self, attempt: &Try<'_>) -> Result<(), String>;

    /// Runs after the try, whatever became of it.
    ///
    /// # Errors
    /// Why the outcome could not be kept: the call ends with class `Refused` and this text.
    async fn after(&self, attempt: &Try<'_>, outcome: &TryOutcome<'_>) -> Result<(), String>;
}
