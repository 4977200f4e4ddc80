//! Signed statements that are no evidence of a run: DSSE envelopes (Dead Simple Signing Envelope, v1.0)
//! with Ed25519 signatures by the keys that the ledger knows.
//!
//! The attack: a signature made for one purpose is shown for another. What is signed begins with `DSSEv1`
//! and the statement's type, a checkpoint never does, so neither passes for the other. The payload is read
//! only after a believed key was found to have signed it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::checkpoint::VKey;
use crate::keys::HostKey;

/// Most signatures of an envelope that are looked at. Each is a verification of Ed25519, and a stranger's file
/// says how many there are.
const SIGNATURES_MAX: usize = 16;
/// Largest envelope: a statement about a plugin with a thousand tools fits.
pub const ENVELOPE_BYTES_MAX: usize = 1 << 20;

/// Why an envelope is not believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DsseError {
    /// It is not of the form.
    #[error("the signature file is malformed: {0}")]
    Malformed(String),
    /// It is about something else.
    #[error("the signature file is about `{found}`, and `{wanted}` is wanted")]
    Type {
        /// What it says.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// None of the believed keys signed it.
    #[error("no trusted key signed it; it names {0}")]
    Untrusted(String),
    /// A key that was revoked signed it.
    #[error("it is signed by the revoked key {0}")]
    Revoked(String),
    /// A believed key is named, and did not sign this.
    #[error("the signature by {0} does not fit what it is about")]
    Forged(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: Vec<Signature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// Signs a statement: the text of an envelope.
///
/// # Examples
///
/// ```
/// use flowhost_ledger::{HostKey, dsse};
///
/// let key = HostKey::from_seed("author.example", [1; 32])?;
/// let envelope = dsse::sign(&key, "application/x", b"{}");
/// let opened = dsse::open(&envelope, "application/x", &[key.vkey()], &[])?;
/// assert_eq!((opened.payload.as_slice(), opened.key), (b"{}".as_slice(), key.vkey()));
/// assert!(dsse::open(&envelope, "application/x", &[], &[]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn sign(key: &HostKey, payload_type: &str, payload: &[u8]) -> String {
    let envelope = Envelope {
        payload_type: payload_type.to_owned(),
        payload: BASE64.encode(payload),
        signatures: vec![Signature {
            keyid: key_id(&key.vkey()),
            sig: BASE64.encode(key.sign_bytes(&authenticated(payload_type, payload))),
        }],
    };
    // Texts and lists of texts always have a JSON form.
    let text = serde_json::to_string_pretty(&envelope).unwrap_or_default();
    format!("{text}\n")
}

/// What a believed key signed.
#[derive(Debug)]
pub struct Opened {
    /// The statement.
    pub payload: Vec<u8>,
    /// Who signed it.
    pub key: VKey,
}

/// Opens an envelope that one of `trusted` signed, and none of `revoked`.
///
/// # Errors
/// [`DsseError`].
pub fn open(
    text: &str,
    payload_type: &str,
    trusted: &[VKey],
    revoked: &[VKey],
) -> Result<Opened, DsseError> {
    let malformed = |what: &dyn std::fmt::Display| DsseError::Malformed(what.to_string());
    if text.len() > ENVELOPE_BYTES_MAX {
        return Err(malformed(&"it is too large"));
    }
    let envelope: Envelope = serde_json::from_str(text).map_err(|error| malformed(&error))?;
    if envelope.payload_type != payload_type {
        return Err(DsseError::Type {
            found: envelope.payload_type,
            wanted: payload_type.to_owned(),
        });
    }
    if envelope.signatures.len() > SIGNATURES_MAX {
        return Err(malformed(&"it has too many signatures"));
    }
    let payload = BASE64
        .decode(&envelope.payload)
        .map_err(|error| malformed(&error))?;
    let signed = authenticated(payload_type, &payload);
    let named = |signature: &Signature, key: &&VKey| signature.keyid == key_id(key);
    // A revoked key is looked for first: that another one signed too makes it no better.
    for signature in &envelope.signatures {
        if let Some(key) = revoked.iter().find(|key| named(signature, key)) {
            return Err(DsseError::Revoked(key_id(key)));
        }
    }
    for signature in &envelope.signatures {
        let Some(key) = trusted.iter().find(|key| named(signature, key)) else {
            continue;
        };
        let bytes = BASE64
            .decode(&signature.sig)
            .map_err(|error| malformed(&error))?;
        if !key.signed(&signed, &bytes) {
            // Not passed over: a file that names a believed key falsely is an attack, whoever else
            // signed it.
            return Err(DsseError::Forged(key_id(key)));
        }
        let key = key.clone();
        return Ok(Opened { payload, key });
    }
    let names: Vec<&str> = envelope
        .signatures
        .iter()
        .map(|it| it.keyid.as_str())
        .collect();
    Err(DsseError::Untrusted(match names.is_empty() {
        true => "no key at all".to_owned(),
        false => names.join(", "),
    }))
}

/// `name+id`: what tells keys apart in messages and envelopes.
fn key_id(key: &VKey) -> String {
    format!("{}+{}", key.name(), key.id_hex())
}

/// DSSE's pre-authentication encoding: type and statement with their lengths.
fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "application/vnd.example+json";

    fn key(seed: u8) -> HostKey {
        HostKey::from_seed("author.example", [seed; 32]).unwrap()
    }

    #[test]
    fn refuses_a_statement_that_was_changed_after_it_was_signed() {
        let envelope = sign(&key(1), TYPE, b"{\"a\":1}");
        let changed = envelope.replace(&BASE64.encode(b"{\"a\":1}"), &BASE64.encode(b"{\"a\":2}"));
        assert_ne!(envelope, changed);
        let refused = open(&changed, TYPE, &[key(1).vkey()], &[]);
        assert!(matches!(refused, Err(DsseError::Forged(_))), "{refused:?}");
    }

    #[test]
    fn refuses_a_stranger_a_revoked_key_another_type_and_no_signature() {
        let envelope = sign(&key(1), TYPE, b"{}");
        let (own, other) = (key(1).vkey(), key(2).vkey());
        let opened = |trusted: &[VKey], revoked: &[VKey]| open(&envelope, TYPE, trusted, revoked);
        assert!(matches!(
            opened(&[other], &[]),
            Err(DsseError::Untrusted(_))
        ));
        let revoked = opened(std::slice::from_ref(&own), std::slice::from_ref(&own));
        assert!(matches!(revoked, Err(DsseError::Revoked(_))));
        let trusted = std::slice::from_ref(&own);
        let about = open(&envelope, "text/plain", trusted, &[]);
        assert!(matches!(about, Err(DsseError::Type { .. })));
        let none = format!(r#"{{"payloadType":"{TYPE}","payload":"e30=","signatures":[]}}"#);
        assert!(matches!(
            open(&none, TYPE, trusted, &[]),
            Err(DsseError::Untrusted(_))
        ));
        let more = envelope.replacen('{', "{\"more\":1,", 1);
        assert!(matches!(
            open(&more, TYPE, trusted, &[]),
            Err(DsseError::Malformed(_))
        ));
    }

    #[test]
    fn a_key_of_the_same_name_with_another_id_is_another_key() {
        let envelope = sign(&key(1), TYPE, b"{}");
        assert!(open(&envelope, TYPE, &[key(2).vkey(), key(1).vkey()], &[]).is_ok());
    }

    /// The encoding of the published protocol, by hand.
    #[test]
    fn what_is_signed_is_the_published_encoding() {
        let signed = authenticated("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            signed,
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
