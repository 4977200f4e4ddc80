//! Checkpoints: what a key signs about a ledger, and the keys that are believed.
//!
//! Formats: C2SP signed-note (c2sp.org/signed-note), tlog-checkpoint (c2sp.org/tlog-checkpoint),
//! Ed25519 only. Parsing is strict, because a second reading of the same bytes is an attack:
//! base64 must be canonical, sizes have no sign and no leading zero, signatures are checked with
//! `verify_strict` and weak public keys are refused. Pure; must never know where bytes came from.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::merkle::Hash;

/// Most signatures that a note may carry; a note with more is refused whole (C2SP signed-note).
pub const SIGNATURES_MAX: usize = 16;
/// Most bytes of one note; ours take about 300. A longer one is refused unread.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// The C2SP algorithm byte of Ed25519.
const ED25519: u8 = 1;
const DASH: &str = "\u{2014} ";

/// Why a key or a note is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A verifier key string is not of the form `name+id+base64`.
    #[error("the verifier key is malformed: {0}")]
    Key(&'static str),
    /// The public key is of small order; anyone can make signatures for it.
    #[error("the public key is weak")]
    WeakKey,
    /// The note's bytes break the format.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    /// A known key's signature does not fit the text.
    #[error("the signature by {0} is wrong")]
    BadSignature(String),
    /// Not one signature is by a key that the verifier was given.
    #[error("no signature is by a known key")]
    UnknownKey,
}

/// A verifier key: name, id and Ed25519 public key (C2SP signed-note `vkey`).
///
/// # Examples
///
/// ```
/// use flowhost_ledger::{HostKey, VKey};
/// let key = HostKey::from_seed("flowhost.example", [7; 32])?;
/// let vkey = key.vkey();
/// assert_eq!(VKey::parse(&vkey.to_string())?, vkey);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct VKey {
    name: String,
    key: VerifyingKey,
}

impl VKey {
    /// Ties a name to a public key.
    ///
    /// # Errors
    /// [`NoteError::Key`] for a name with spaces or `+`, [`NoteError::WeakKey`].
    pub(crate) fn new(name: &str, key: VerifyingKey) -> Result<Self, NoteError> {
        if !name_is_valid(name) {
            return Err(NoteError::Key(
                "the name is empty or has a space, a control or a +",
            ));
        }
        if key.is_weak() {
            return Err(NoteError::WeakKey);
        }
        Ok(Self {
            name: name.to_owned(),
            key,
        })
    }

    /// For our own keys, whose names were checked when they were made.
    pub(crate) fn unchecked(name: &str, key: VerifyingKey) -> Self {
        Self {
            name: name.to_owned(),
            key,
        }
    }

    /// Parses `name+id+base64`.
    ///
    /// # Errors
    /// [`NoteError::Key`] or [`NoteError::WeakKey`].
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(NoteError::Key("it must be name+id+base64"));
        };
        let bytes = BASE64
            .decode(key)
            .map_err(|_| NoteError::Key("the key is not base64"))?;
        let Some((&ED25519, public)) = bytes.split_first() else {
            return Err(NoteError::Key("only Ed25519 keys are known"));
        };
        let public: [u8; 32] = public
            .try_into()
            .map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
        let key = VerifyingKey::from_bytes(&public)
            .map_err(|_| NoteError::Key("the key is not a point of the curve"))?;
        let vkey = Self::new(name, key)?;
        if vkey.id_hex() != id {
            return Err(NoteError::Key("the id is not the hash of name and key"));
        }
        Ok(vkey)
    }

    /// The key's name: a host id, or the origin of one ledger.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name ‖ LF ‖ 0x01 ‖ key).
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash: Hash = Sha256::new()
            .chain_update(self.name.as_bytes())
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = hash;
        [a, b, c, d]
    }

    /// The id as eight hexadecimal digits.
    #[must_use]
    pub fn id_hex(&self) -> String {
        hex::encode(self.id())
    }

    /// The same public key under another name.
    ///
    /// # Errors
    /// [`NoteError::Key`] when the name is not valid.
    pub fn renamed(&self, name: &str) -> Result<Self, NoteError> {
        Self::new(name, self.key)
    }

    /// The key under which this one signs `origin`: itself when the names are equal, or when this
    /// is the key of the host `H` and `origin` is `H/evidence/…`; otherwise `None`.
    #[must_use]
    pub fn for_origin(&self, origin: &str) -> Option<Self> {
        if self.name == origin {
            return Some(self.clone());
        }
        let rest = origin.strip_prefix(self.name.as_str())?;
        rest.starts_with("/evidence/")
            .then(|| self.renamed(origin).ok())?
    }

    /// Whether this key made the signature of these bytes.
    pub(crate) fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(bytes, &signature).is_ok())
    }

    /// Whether both are the same public key, whatever their names.
    #[must_use]
    pub fn same_public_key(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl fmt::Display for VKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![ED25519];
        bytes.extend_from_slice(self.key.as_bytes());
        write!(
            f,
            "{}+{}+{}",
            self.name,
            self.id_hex(),
            BASE64.encode(bytes)
        )
    }
}

impl fmt::Debug for VKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VKey({self})")
    }
}

impl serde::Serialize for VKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

pub(crate) fn name_is_valid(name: &str) -> bool {
    !name.is_empty()
        // Tenant and run have 128 at most each, and a host's id is the name of a machine.
        && name.len() <= 512
        && !name
            .chars()
            .any(|c| c == '+' || c.is_whitespace() || c.is_control())
}

/// What is signed: a ledger's origin, how many records it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// `<host id>/evidence/<tenant>/<run>`.
    pub origin: String,
    /// How many records the root covers.
    pub size: u64,
    /// The tree's root.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed: three lines, each with its LF.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}\n{}\n{}\n",
            self.origin,
            self.size,
            BASE64.encode(self.root)
        )
    }

    /// The note: the text, a blank line, one line for each key. Keys sign under the origin's name.
    pub(crate) fn sign(&self, keys: &[&SigningKey]) -> Result<String, NoteError> {
        use std::fmt::Write as _;
        let text = self.text();
        let mut note = format!("{text}\n");
        for key in keys {
            let vkey = VKey::new(&self.origin, key.verifying_key())?;
            let mut bytes = vkey.id().to_vec();
            bytes.extend_from_slice(&key.sign(text.as_bytes()).to_bytes());
            // A `String` takes whatever is written to it.
            let _ = writeln!(note, "{DASH}{} {}", self.origin, BASE64.encode(bytes));
        }
        Ok(note)
    }

    fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Malformed("it needs origin, size and root"));
        };
        if !name_is_valid(origin) {
            return Err(NoteError::Malformed("the origin is not a name"));
        }
        if lines.any(str::is_empty) {
            return Err(NoteError::Malformed("an extension line is empty"));
        }
        let size = parse_decimal(size).ok_or(NoteError::Malformed("the size is not a number"))?;
        let root = BASE64
            .decode(root)
            .map_err(|_| NoteError::Malformed("the root is not base64"))?;
        let root = root
            .try_into()
            .map_err(|_| NoteError::Malformed("the root has not 32 bytes"))?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root,
        })
    }
}

/// A decimal number as the format writes it: digits only, no leading zero, fits 64 bits.
#[must_use]
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct NoteSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// A parsed note: a checkpoint with signatures that nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    checkpoint: Checkpoint,
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Parses the bytes of one note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Malformed("it is over 64 KiB"));
        }
        let all = std::str::from_utf8(bytes).map_err(|_| NoteError::Malformed("not UTF-8"))?;
        if all.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed("it holds a control character"));
        }
        let at = all
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("no blank line"))?;
        let (text, rest) = all.split_at_checked(at + 1).unwrap_or((all, ""));
        let block = rest.strip_prefix('\n').unwrap_or(rest);
        let block = block
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("its last line has no end"))?;
        let signatures = block
            .split('\n')
            .map(parse_signature)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(NoteError::Malformed("it has more than 16 signatures"));
        }
        Ok(Self {
            checkpoint: Checkpoint::parse(text)?,
            text: text.to_owned(),
            signatures,
        })
    }

    /// What the note says, believed or not.
    #[must_use]
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks the note against `keys` and hands out the checkpoint and the keys that signed it.
    /// Signatures by other keys (also another key of the same name) are ignored, as C2SP says; one
    /// by a known key must be right, and there must be at least one.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] or [`NoteError::UnknownKey`].
    pub fn verify<'k>(&self, keys: &'k [VKey]) -> Result<(&Checkpoint, Vec<&'k VKey>), NoteError> {
        let mut signers: Vec<&VKey> = Vec::new();
        for signature in &self.signatures {
            let known = keys
                .iter()
                // By both: an id has four bytes, and somebody may make a key of another name with
                // the same.
                .find(|key| key.name == signature.name && key.id() == signature.id);
            let Some(key) = known else { continue };
            let wrong = || NoteError::BadSignature(key.to_string());
            let parsed = Signature::from_slice(&signature.bytes).map_err(|_| wrong())?;
            key.key
                .verify_strict(self.text.as_bytes(), &parsed)
                .map_err(|_| wrong())?;
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            return Err(NoteError::UnknownKey);
        }
        Ok((&self.checkpoint, signers))
    }
}

fn parse_signature(line: &str) -> Result<NoteSignature, NoteError> {
    let rest = line
        .strip_prefix(DASH)
        .ok_or(NoteError::Malformed("a line is not a signature"))?;
    let (name, base64) = rest
        .split_once(' ')
        .ok_or(NoteError::Malformed("a signature lacks its key"))?;
    if !name_is_valid(name) {
        return Err(NoteError::Malformed("a signature's name is not valid"));
    }
    let bytes = BASE64
        .decode(base64)
        .map_err(|_| NoteError::Malformed("a signature is not base64"))?;
    let Some((id, bytes)) = bytes.split_first_chunk::<4>() else {
        return Err(NoteError::Malformed("a signature is too short"));
    };
    if bytes.is_empty() {
        return Err(NoteError::Malformed("a signature is too short"));
    }
    Ok(NoteSignature {
        name: name.to_owned(),
        id: *id,
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
mod tests;
