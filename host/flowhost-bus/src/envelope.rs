//! The envelope: what travels, complete in itself, sealed by a SHA-256 over its canonical form
//! (RFC 8785).
//!
//! An [`Envelope`] cannot be changed once it is sealed, and one that comes from outside is checked
//! before anybody reads it. Ids and times come from the caller, so that a replay seals the same
//! bytes. What two parts of one process say to each other may travel as it is ([`Body`]): such an
//! envelope has the same content, the same hash and the same bytes as one of JSON, and they are made
//! when somebody asks for them, at the border of the process.

use std::any::Any;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use serde::de::DeserializeOwned;
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
    /// A payload of another form than its reader knows.
    #[error("its payload is not what it should be: {0}")]
    Payload(String),
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
        Head::answer(request, id, actor, kind).with(payload)
    }

    /// Seals the draft.
    ///
    /// # Errors
    /// [`EnvelopeError::Number`] and [`EnvelopeError::Depth`] for payloads without a canonical form.
    pub fn seal(self) -> Result<Envelope, EnvelopeError> {
        let form = json::check(&self.payload, 0)?.form;
        let (head, payload) = self.split();
        let (hash, bytes) = head.digest(&payload, form)?;
        Ok(Envelope {
            head,
            content: Content::Json(payload),
            hash: OnceLock::from(hash),
            bytes,
        })
    }

    fn split(self) -> (Head, Value) {
        let head = Head {
            actor: self.actor,
            causation: self.causation,
            correlation: self.correlation,
            id: self.id,
            run: self.run,
            step: self.step,
            tenant: self.tenant,
            traceparent: self.traceparent,
            kind: self.kind,
        };
        (head, self.payload)
    }
}

/// What an envelope says beside its payload: the fields of a [`Draft`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `<tenant>/<plugin>` or `<tenant>/host`: the host's word, never the sender's.
    pub actor: String,
    /// Id of the envelope that caused this one; empty for none.
    pub causation: String,
    /// The conversation this belongs to; empty for none.
    pub correlation: String,
    /// Unique for ever: whoever sends the same content again sends the same id.
    pub id: Ulid,
    /// ULID of the run.
    pub run: String,
    /// Deterministic id of the step; empty outside a step.
    pub step: String,
    /// Tenant, `default` on one machine.
    pub tenant: String,
    /// W3C `traceparent`; empty for none.
    pub traceparent: String,
    /// What the payload means: `step.start`, `message`.
    pub kind: String,
}

impl Head {
    /// As [`Draft::answer`], before there is a payload.
    #[must_use]
    pub fn answer(request: &Envelope, id: Ulid, actor: &str, kind: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            causation: request.id.to_string(),
            correlation: request.correlation.clone(),
            id,
            run: request.run.clone(),
            step: request.step.clone(),
            tenant: request.tenant.clone(),
            traceparent: request.traceparent.clone(),
            kind: kind.to_owned(),
        }
    }

    /// The draft with this payload.
    #[must_use]
    pub fn with(self, payload: Value) -> Draft {
        Draft {
            actor: self.actor,
            causation: self.causation,
            correlation: self.correlation,
            id: self.id,
            payload,
            run: self.run,
            step: self.step,
            tenant: self.tenant,
            traceparent: self.traceparent,
            kind: self.kind,
        }
    }

    /// Seals an envelope whose payload stays what it is while it stays in this process.
    ///
    /// # Errors
    /// As [`Draft::seal`], for the values that the body says others have made.
    pub fn carry(self, body: Arc<dyn Body>) -> Result<Envelope, EnvelopeError> {
        let mut bytes = self.bytes().saturating_add(body.bytes());
        for (value, depth) in body.values() {
            bytes = bytes.saturating_add(json::check(value, depth)?.bytes);
        }
        let envelope = Envelope {
            head: self,
            content: Content::Here(body, OnceLock::new()),
            hash: OnceLock::new(),
            bytes,
        };
        debug_assert!(
            envelope
                .payload()
                .is_ok_and(|json| json::check(json, 0).is_ok()),
            "a body holds nothing but its values that an envelope could not carry"
        );
        Ok(envelope)
    }

    /// Bytes of its texts.
    fn bytes(&self) -> usize {
        let texts = [
            &self.actor,
            &self.causation,
            &self.correlation,
            &self.run,
            &self.step,
            &self.tenant,
            &self.traceparent,
            &self.kind,
        ];
        texts.into_iter().map(String::len).sum()
    }

    fn canonical<'a>(&'a self, payload: &'a Value) -> Canonical<'a> {
        Canonical {
            actor: &self.actor,
            causation: &self.causation,
            correlation: &self.correlation,
            id: self.id,
            payload,
            run: &self.run,
            step: &self.step,
            tenant: &self.tenant,
            traceparent: &self.traceparent,
            kind: &self.kind,
        }
    }

    fn digest(&self, payload: &Value, form: Form) -> Result<([u8; 32], usize), EnvelopeError> {
        let content = self.canonical(payload);
        let canonical = match form {
            // Most envelopes. Nothing has to be sorted: the fields stand in canonical order.
            Form::Plain => serde_json::to_vec(&content),
            Form::Ruled => serde_json_canonicalizer::to_vec(&content),
        };
        let canonical = canonical.map_err(malformed)?;
        Ok((Sha256::digest(&canonical).into(), canonical.len()))
    }
}

/// The content of a sealed envelope, in canonical order as a [`Draft`].
#[derive(Serialize)]
struct Canonical<'a> {
    actor: &'a str,
    causation: &'a str,
    correlation: &'a str,
    id: Ulid,
    payload: &'a Value,
    run: &'a str,
    step: &'a str,
    tenant: &'a str,
    traceparent: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

/// A payload that is handed over as it is within a process, and is JSON wherever it leaves one.
///
/// Only for what this program makes itself: two bodies under one id are taken to be the same, because
/// nobody compares them.
pub trait Body: Any + Debug + Send + Sync {
    /// The payload as JSON: what a reader in another process is given.
    ///
    /// # Errors
    /// What serde says.
    fn json(&self) -> Result<Value, serde_json::Error>;

    /// The values in it that others have made, each with the depth at which it stands in [`Body::json`].
    /// They are held to what an envelope may carry, whether or not they leave the process.
    fn values(&self) -> Vec<(&Value, usize)>;

    /// About as many bytes as the rest of it has: it counts against the bound of a queue.
    fn bytes(&self) -> usize;
}

/// A sealed envelope. Reads as its [`Head`].
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
#[derive(Debug, Clone)]
pub struct Envelope {
    head: Head,
    content: Content,
    /// Of a body it is made when it is asked for.
    hash: OnceLock<[u8; 32]>,
    bytes: usize,
}

/// What an envelope carries.
#[derive(Debug, Clone)]
enum Content {
    Json(Value),
    /// As it was handed in, and its JSON once somebody has asked for it.
    Here(Arc<dyn Body>, OnceLock<Result<Value, String>>),
}

impl PartialEq for Envelope {
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head && self.hash() == other.hash()
    }
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
        self.hash.get_or_init(|| {
            let payload = self.payload();
            let hash = payload.and_then(|payload| {
                let form = json::check(payload, 0)?.form;
                self.head.digest(payload, form)
            });
            debug_assert!(hash.is_ok(), "a body was looked at when it was sealed");
            // No content has it, so that whoever is sent this one refuses it.
            hash.map_or([0; 32], |(hash, _)| hash)
        })
    }

    /// [`Envelope::hash`] as `sha256:<hex>`.
    #[must_use]
    pub fn hash_text(&self) -> String {
        format!("sha256:{}", hex::encode(self.hash()))
    }

    /// What it counts against a bound: the length of the canonical form in bytes, of a body about as many.
    #[must_use]
    pub fn canonical_bytes(&self) -> usize {
        self.bytes
    }

    /// The payload as JSON.
    ///
    /// # Errors
    /// [`EnvelopeError::Payload`] for a body that has no JSON.
    pub fn payload(&self) -> Result<&Value, EnvelopeError> {
        match &self.content {
            Content::Json(payload) => Ok(payload),
            Content::Here(body, json) => json
                .get_or_init(|| body.json().map_err(|error| error.to_string()))
                .as_ref()
                .map_err(|error| EnvelopeError::Payload(error.clone())),
        }
    }

    /// The payload, read from its JSON.
    ///
    /// # Errors
    /// [`EnvelopeError::Payload`] for another payload.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, EnvelopeError> {
        T::deserialize(self.payload()?).map_err(|error| EnvelopeError::Payload(error.to_string()))
    }

    /// The payload as it was handed in, where that was in this process; else read from its JSON.
    ///
    /// # Errors
    /// As [`Envelope::read`].
    pub fn body<T: Body + DeserializeOwned>(&self) -> Result<Arc<T>, EnvelopeError> {
        if let Content::Here(body, _) = &self.content {
            let any: Arc<dyn Any + Send + Sync> = body.clone();
            if let Ok(body) = any.downcast::<T>() {
                return Ok(body);
            }
        }
        self.read().map(Arc::new)
    }

    /// What tells its content from another's of the same id; none for a body, which nobody compares.
    pub(crate) fn mark(&self) -> Option<[u8; 32]> {
        match &self.content {
            Content::Json(_) => Some(*self.hash()),
            Content::Here(..) => None,
        }
    }

    /// The content, to be changed and sealed again.
    ///
    /// # Errors
    /// As [`Envelope::payload`].
    pub fn into_draft(self) -> Result<Draft, EnvelopeError> {
        let payload = self.payload()?.clone();
        Ok(self.head.with(payload))
    }

    /// The envelope as canonical JSON, for a broker or a file.
    ///
    /// # Errors
    /// As [`Envelope::payload`].
    pub fn to_vec(&self) -> Result<Vec<u8>, EnvelopeError> {
        let wire = Wire {
            hash: self.hash_text(),
            envelope: self.head.canonical(self.payload()?),
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
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

fn malformed(error: serde_json::Error) -> EnvelopeError {
    EnvelopeError::Malformed(error.to_string())
}
