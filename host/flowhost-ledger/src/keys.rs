//! The host's signing key: one Ed25519 seed under the host's id, kept as a C2SP signer string
//! (`PRIVATE+KEY+<host id>+<key id>+<base64>`).
//!
//! Only the ledger ever signs with it; it is never printed, never in `Debug`, and its bytes are
//! wiped when it is dropped. Pure; the key file is read and written in [`crate::keyfile`].

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::checkpoint::{Checkpoint, NoteError, VKey};

const PREFIX: &str = "PRIVATE+KEY+";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("no randomness for a new key: {0}")]
    Random(String),
    /// The key text breaks the format. Says never what it held.
    #[error("the signing key is malformed: {0}")]
    Malformed(&'static str),
    /// The host id or the public key is not acceptable.
    #[error("the signing key is not usable")]
    Note(#[from] NoteError),
    /// The key file could not be used.
    #[error("the key file {path} cannot be used: {what}")]
    File {
        /// Which file.
        path: String,
        /// What went wrong and what to do.
        what: String,
    },
}

/// The signing key of a host. `Debug` shows the public half only.
#[derive(Clone)]
pub struct HostKey {
    host: String,
    // Wiped on drop by ed25519-dalek's `zeroize` feature.
    signing: SigningKey,
}

impl HostKey {
    /// A new random key for the host id `host`.
    ///
    /// # Errors
    /// [`KeyError::Random`], or [`KeyError::Note`] for an id with spaces or `+`.
    pub fn generate(host: &str) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut_slice())
            .map_err(|error| KeyError::Random(error.to_string()))?;
        Self::from_seed(host, *seed)
    }

    /// The key with this Ed25519 seed.
    ///
    /// # Errors
    /// [`KeyError::Note`] for an id with spaces or `+`.
    pub fn from_seed(host: &str, seed: [u8; 32]) -> Result<Self, KeyError> {
        let seed = Zeroizing::new(seed);
        let signing = SigningKey::from_bytes(&seed);
        VKey::new(host, signing.verifying_key())?;
        Ok(Self {
            host: host.to_owned(),
            signing,
        })
    }

    /// Parses the text of a key file or of an environment variable.
    ///
    /// # Errors
    /// [`KeyError::Malformed`]; the message never quotes the text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text
            .trim_ascii_end()
            .strip_prefix(PREFIX)
            .ok_or(KeyError::Malformed("it must start with PRIVATE+KEY+"))?;
        let mut parts = rest.splitn(3, '+');
        let (Some(host), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(KeyError::Malformed("it must be PRIVATE+KEY+host+id+base64"));
        };
        let bytes = Zeroizing::new(
            BASE64
                .decode(key)
                .map_err(|_| KeyError::Malformed("its last part is not base64"))?,
        );
        let Some((&1, seed)) = bytes.split_first() else {
            return Err(KeyError::Malformed("only Ed25519 keys are known"));
        };
        let seed = seed
            .try_into()
            .map_err(|_| KeyError::Malformed("an Ed25519 seed has 32 bytes"))?;
        let key = Self::from_seed(host, seed)?;
        if key.vkey().id_hex() != id {
            return Err(KeyError::Malformed(
                "its id is not the hash of host and key",
            ));
        }
        Ok(key)
    }

    /// The text for a key file: whoever reads it can sign as this host.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(vec![1_u8]);
        bytes.extend_from_slice(self.signing.as_bytes());
        let base64 = Zeroizing::new(BASE64.encode(&*bytes));
        Zeroizing::new(format!(
            "{PREFIX}{}+{}+{}",
            self.host,
            self.vkey().id_hex(),
            *base64
        ))
    }

    /// The host's id: the first part of every origin that this key signs.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The public half under the host's id: what goes into a `trust.toml`. It is believed for
    /// every ledger `<host id>/evidence/…`.
    #[must_use]
    pub fn vkey(&self) -> VKey {
        self.named(&self.host)
    }

    /// The public half under a ledger's origin, as the ledger's notes name it.
    #[must_use]
    pub fn vkey_for(&self, origin: &str) -> VKey {
        self.named(origin)
    }

    fn named(&self, name: &str) -> VKey {
        VKey::unchecked(name, self.signing.verifying_key())
    }

    /// A secret of this host for one purpose. It tells nothing of the seed, nor of other purposes.
    pub(crate) fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut secret = Zeroizing::new([0_u8; 32]);
        // HMAC takes keys of every length, so there is no other arm to take.
        if let Ok(mac) = Hmac::<sha2::Sha256>::new_from_slice(self.signing.as_bytes()) {
            let bytes = mac.chain_update(purpose.as_bytes()).finalize().into_bytes();
            secret.copy_from_slice(&bytes);
        }
        secret
    }

    /// The Ed25519 signature of these bytes, whose first ones must say what they are.
    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> [u8; 64] {
        use ed25519_dalek::Signer as _;
        self.signing.sign(bytes).to_bytes()
    }

    /// Signs a checkpoint with `keys`, in their order.
    pub(crate) fn sign(checkpoint: &Checkpoint, keys: &[&Self]) -> Result<String, NoteError> {
        let keys: Vec<_> = keys.iter().map(|key| &key.signing).collect();
        checkpoint.sign(&keys)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.vkey())
    }
}

#[cfg(test)]
mod tests;
