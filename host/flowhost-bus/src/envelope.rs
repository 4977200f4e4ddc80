//! The envelope: what travels, complete in itself, sealed by a SHA-256 over its canonical form
//! (RFC 8785).
//!
//! An [`Envelope`] cannot be changed once it is sealed, and one that comes from outside is checked
//! before anybody reads it. Ids and times come from the caller, so that a replay seals the same
//! bytes.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::json::{self, Form};

/// Why an envelope cannot be sealed or was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// An integer that has no canonical form of its own.
    #[error("the payload holds the integer {0}, beyond ±(2^53 − 1): send it as a string")]
    Number(String),
    /// The payload nests too deeply.
    #[error("the payload nests deeper than {allowed} levels")]
    Depth {
        /// Levels allowed.
        allowed: usize,
    },
    /// Bytes that are not an envelope.
    #[error("not an envelope: {0}")]
    Malformed(String),
    /// The content does not belong to its hash.
    #[error("the envelope says {claimed}, its content is {actual}")]
    Hash {
        /// What it says.
        claimed: String,
        /// What its content hashes to.
        actual: String,
    },
}

/// The content of an envelope before it is sealed. Its fields stand in canonical order, by the names
/// that they have on the wire: sealing relies on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// `<tenant>/<plugin>` or `<tenant>/host`: the host's word, never the sender's.
    pub actor: String,
    /// Id of the envelope that caused this one; empty for none.
    pub causation: String,
    /// The conversation this belongs to; empty for none.
    pub correlation: String,
    /// Unique for ever: whoever sends the same content again sends the same id.
    pub id: Ulid,
    /// The content proper.
    pub payload: Value,
    /// ULID of the run.
    pub run: String,
    /// Deterministic id of the step; empty outside a step.
    pub step: String,
    /// Tenant, `default` on one machine.
    pub tenant: String,
    /// W3C `traceparent`; empty for none.
    pub traceparent: String,
    /// What the payload means: `step.start`, `message`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Draft {
    /// A draft that answers `request`: same tenant, run, step, trace and conversation, caused by it.
    #[must_use]
    pub fn answer(request: &Envelope, id: Ulid, actor: &str, kind: &str, payload: Value) -> Self {
        Self {
            id,
            actor: actor.to_owned(),
            causation: request.id.to_string(),
            kind: kind.to_owned(),
            payload,
            ..request.draft.clone()
        }
    }

    /// Seals the draft.
    ///
    /// # Errors
    /// [`EnvelopeError::Number`] and [`EnvelopeError::Depth`] for payloads without a canonical form.
    pub fn seal(self) -> Result<Envelope, EnvelopeError> {
        let form = json::check(&self.payload)?;
        let (hash, bytes) = digest(&self, form)?;
        Ok(Envelope {
            draft: self,
            hash,
            bytes,
        })
    }
}

/// A sealed envelope. Reads as its [`Draft`].
///
/// # Examples
///
/// ```
/// use flowhost_bus::{Draft, Envelope, Ulid};
/// let draft = Draft {
///     id: Ulid::from_parts(1_700_000_000_000, 7),
///     tenant: "default".into(),
///     run: "01HF7YAT00000000000000000A".into(),
///     step: "read".into(),
///     actor: "default/host".into(),
///     correlation: String::new(),
///     causation: String::new(),
///     traceparent: String::new(),
///     kind: "step.start".into(),
///     payload: serde_json::json!({ "path": "/docs" }),
/// };
/// let envelope = draft.seal()?;
/// assert_eq!(Envelope::from_slice(&envelope.to_vec()?)?, envelope);
/// # Ok::<(), flowhost_bus::EnvelopeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    draft: Draft,
    hash: [u8; 32],
    bytes: usize,
}

/// The envelope on the wire: its content beside its hash.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<D> {
    hash: String,
    envelope: D,
}

impl Envelope {
    /// SHA-256 over the canonical form.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// [`Envelope::hash`] as `sha256:<hex>`.
    #[must_use]
    pub fn hash_text(&self) -> String {
        format!("sha256:{}", hex::encode(self.hash))
    }

    /// Length of the canonical form in bytes: what it counts against a bound.
    #[must_use]
    pub fn canonical_bytes(&self) -> usize {
        self.bytes
    }

    /// The content, to be changed and sealed again.
    #[must_use]
    pub fn into_draft(self) -> Draft {
        self.draft
    }

    /// The envelope as canonical JSON, for a broker or a file.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] never for a sealed envelope.
    pub fn to_vec(&self) -> Result<Vec<u8>, EnvelopeError> {
        let wire = Wire {
            hash: self.hash_text(),
            envelope: &self.draft,
        };
        serde_json_canonicalizer::to_vec(&wire).map_err(malformed)
    }

    /// Reads an envelope and checks its hash.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] for anything that is not an envelope, unknown fields included,
    /// [`EnvelopeError::Hash`] for content that was changed, and those of [`Draft::seal`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let wire: Wire<Draft> = serde_json::from_slice(bytes).map_err(malformed)?;
        let envelope = wire.envelope.seal()?;
        let actual = envelope.hash_text();
        if actual != wire.hash {
            return Err(EnvelopeError::Hash {
                claimed: wire.hash.chars().take(80).collect(),
                actual,
            });
        }
        Ok(envelope)
    }
}

impl std::ops::Deref for Envelope {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.draft
    }
}

fn digest(draft: &Draft, form: Form) -> Result<([u8; 32], usize), EnvelopeError> {
    let canonical = match form {
        // Most envelopes. Nothing has to be sorted: the draft's fields stand in canonical order.
        Form::Plain => serde_json::to_vec(draft),
        Form::Ruled => serde_json_canonicalizer::to_vec(draft),
    };
    let canonical = canonical.map_err(malformed)?;
    Ok((Sha256::digest(&canonical).into(), canonical.len()))
}

fn malformed(error: serde_json::Error) -> EnvelopeError {
    EnvelopeError::Malformed(error.to_string())
}
