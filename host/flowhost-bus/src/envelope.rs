//! The envelope: what travels, complete in itself, sealed by a SHA-256 over its canonical form
//! (RFC 8785).
//!
//! An [`Envelope`] cannot be changed once it is sealed, and one that comes from outside is checked
//! before anybody reads it. Ids and times come from the caller, so that a replay seals the same
//! bytes. What two parts of one process say to each other may travel as it is ([`Body`]): such an
//! envelope has the same content, the same hash and the same bytes as one of JSON, and they are made
//! when somebody asks for them, at the border of the process.

use std::any::Any;
use std::borrow::Cow;
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

/// What an envelope says beside its payload.
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
    /// The head of an answer to `request`: same tenant, run, step, trace and conversation, caused by it.
    #[must_use]
    pub fn answer(request: &Envelope, id: Ulid, actor: &str, kind: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            causation: request.id.to_string(),
            id,
            // The rest is the request's, so that an answer can be sent on whatever subject its
            // sender may use.
            kind: kind.to_owned(),
            ..request.head.clone()
        }
    }

    /// Seals an envelope with this payload.
    ///
    /// # Errors
    /// [`EnvelopeError::Number`] and [`EnvelopeError::Depth`] for payloads without a canonical form.
    pub fn seal(self, payload: Value) -> Result<Envelope, EnvelopeError> {
        let form = json::check(&payload, 0)?.form;
        let (hash, bytes) = self.digest(&payload, form)?;
        Ok(Envelope {
            head: self,
            content: Content::Json(payload),
            hash: OnceLock::from(hash),
            bytes,
        })
    }

    /// Seals an envelope whose payload stays what it is while it stays in this process.
    ///
    /// # Errors
    /// As [`Head::seal`], for the values that the body says others have made.
    pub fn carry(self, body: Arc<dyn Body>) -> Result<Envelope, EnvelopeError> {
        // Not the canonical length, which would need the text that is to be avoided here: a bound
        // of memory bears an estimate.
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
            actor: (&self.actor).into(),
            causation: (&self.causation).into(),
            correlation: (&self.correlation).into(),
            id: self.id,
            payload: Cow::Borrowed(payload),
            run: (&self.run).into(),
            step: (&self.step).into(),
            tenant: (&self.tenant).into(),
            traceparent: (&self.traceparent).into(),
            kind: (&self.kind).into(),
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

/// The content of an envelope on the wire. Its fields stand in canonical order, by the names that they have
/// there: sealing relies on it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Canonical<'a> {
    actor: Cow<'a, str>,
    causation: Cow<'a, str>,
    correlation: Cow<'a, str>,
    id: Ulid,
    payload: Cow<'a, Value>,
    run: Cow<'a, str>,
    step: Cow<'a, str>,
    tenant: Cow<'a, str>,
    traceparent: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: Cow<'a, str>,
}

impl Canonical<'_> {
    fn into_parts(self) -> (Head, Value) {
        let head = Head {
            actor: self.actor.into_owned(),
            causation: self.causation.into_owned(),
            correlation: self.correlation.into_owned(),
            id: self.id,
            run: self.run.into_owned(),
            step: self.step.into_owned(),
            tenant: self.tenant.into_owned(),
            traceparent: self.traceparent.into_owned(),
            kind: self.kind.into_owned(),
        };
        (head, self.payload.into_owned())
    }
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
/// use flowhost_bus::{Envelope, Head, Ulid};
/// let head = Head {
///     id: Ulid::from_parts(1_700_000_000_000, 7),
///     tenant: "default".into(),
///     run: "01HF7YAT00000000000000000A".into(),
///     step: "read".into(),
///     actor: "default/host".into(),
///     correlation: String::new(),
///     causation: String::new(),
///     traceparent: String::new(),
///     kind: "step.start".into(),
/// };
/// let envelope = head.seal(serde_json::json!({ "path": "/docs" }))?;
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
struct Wire<'a> {
    hash: String,
    envelope: Canonical<'a>,
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
            // Only an `Arc<dyn Any>` can be downcast; the count is raised, nothing is copied.
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

    /// The envelope as canonical JSON, for a broker or a file.
    ///
    /// # Errors
    /// As [`Envelope::payload`].
    pub fn to_vec(&self) -> Result<Vec<u8>, EnvelopeError> {
        serde_json_canonicalizer::to_vec(&self.wire()?).map_err(malformed)
    }

    /// The same as a value, for an envelope that holds this one: its text is written when that one is sealed.
    ///
    /// # Errors
    /// As [`Envelope::payload`].
    pub fn to_json(&self) -> Result<Value, EnvelopeError> {
        serde_json::to_value(self.wire()?).map_err(malformed)
    }

    fn wire(&self) -> Result<Wire<'_>, EnvelopeError> {
        Ok(Wire {
            hash: self.hash_text(),
            envelope: self.head.canonical(self.payload()?),
        })
    }

    /// Reads an envelope and checks its hash.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] for anything that is not an envelope, unknown fields included,
    /// [`EnvelopeError::Hash`] for content that was changed, and those of [`Head::seal`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        Self::checked(serde_json::from_slice(bytes).map_err(malformed)?)
    }

    /// The same of what [`Envelope::to_json`] gave.
    ///
    /// # Errors
    /// As [`Envelope::from_slice`].
    pub fn from_json(value: &Value) -> Result<Self, EnvelopeError> {
        Self::checked(Wire::deserialize(value).map_err(malformed)?)
    }

    fn checked(wire: Wire<'_>) -> Result<Self, EnvelopeError> {
        let (head, payload) = wire.envelope.into_parts();
        let envelope = head.seal(payload)?;
        let actual = envelope.hash_text();
        if actual != wire.hash {
            return Err(EnvelopeError::Hash {
                // A hash has 71; what stands there instead may be of any length.
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
