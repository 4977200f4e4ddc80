//! The exact bytes of payloads that are stored redacted, for resume and replay: encrypted, beside the text
//! that people read.
//!
//! Each run has a data key of its own, wrapped by the host's: erasing that one file makes all that the run
//! has sealed unreadable for good, backups included. The commitment in the record is keyed by a salt that
//! lies inside the sealed bytes, so that nobody who reads the redacted text can test guesses of what was
//! taken out. ChaCha20-Poly1305 as in RFC 8439, from ring, which TLS brings anyway. Must never see a secret: what a
//! secret stood in is cleaned before it comes here.

use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::disk::{Disk as _, RealDisk, Source as _, read_small};
use crate::record::Salt;

/// The file in a run's folder that holds its wrapped data key.
pub const SEALED_KEY: &str = "sealed.key";

/// Bytes of a nonce, which is random: a run would have to seal 2^32 payloads before two of them were likely
/// to meet, and a record's number can come twice after a torn tail was cut.
const NONCE_BYTES: usize = 12;

/// Bytes of the file of a wrapped key: base64 of 60, and room to spare.
const KEY_BYTES_MAX: u64 = 256;

/// The key of what one run seals.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey")
    }
}

impl DataKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).map_err(io::Error::other)?;
        Ok(Self(key))
    }

    /// The key for [`SEALED_KEY`], which only the host that has `host_key` can read, and only for `run`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn wrapped(&self, host_key: &[u8; 32], run: &str) -> io::Result<String> {
        encrypt(host_key, &context(run, "key"), self.0.as_slice())
    }

    /// Reads what [`DataKey::wrapped`] gave; none where the host's key is another, or the file was altered.
    #[must_use]
    pub(crate) fn unwrapped(text: &str, host_key: &[u8; 32], run: &str) -> Option<Self> {
        let bytes = Zeroizing::new(decrypt(host_key, &context(run, "key"), text.trim())?);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).ok()?;
        Some(Self(Zeroizing::new(key)))
    }

    /// The key of the run in `dir`; none where it sealed nothing, where its key was erased, or where the
    /// host's key is another.
    ///
    /// # Errors
    /// What the disk says.
    pub fn of_run(dir: &Path, host_key: &[u8; 32], run: &str) -> io::Result<Option<Self>> {
        let text = read_small(&RealDisk, &dir.join(SEALED_KEY), KEY_BYTES_MAX)?
            .and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.and_then(|text| Self::unwrapped(&text, host_key, run)))
    }

    /// What stands in the line of the payload.
    pub(crate) fn seal(
        &self,
        run: &str,
        seq: u64,
        salt: &Salt,
        exact: &[u8],
    ) -> io::Result<String> {
        // The salt lies in front of the bytes that it salts: its length is known.
        let plain = Zeroizing::new([salt.as_slice(), exact].concat());
        encrypt(&self.0, &context(run, &seq.to_string()), &plain)
    }

    /// The salt of the commitment and the exact bytes.
    pub(crate) fn open(&self, run: &str, seq: u64, sealed: &str) -> Option<(Salt, Vec<u8>)> {
        let plain = decrypt(&self.0, &context(run, &seq.to_string()), sealed)?;
        let (salt, exact) = plain.split_first_chunk::<32>()?;
        Some((*salt, exact.to_vec()))
    }
}

/// Destroys the key of what the run in `dir` has sealed; false where it has none. The erasure must be on
/// record before.
///
/// # Errors
/// What the disk says; the key may be there then.
pub fn erase_sealed_key(dir: &Path) -> io::Result<bool> {
    let path = dir.join(SEALED_KEY);
    let len = match RealDisk.len(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other?,
    };
    RealDisk.wipe(&path, 0, len)?;
    RealDisk.remove(&path)?;
    RealDisk.sync_dir(dir)?;
    Ok(true)
}

/// Seals what a host keeps for itself and for itself alone, under a name that it has to be opened by.
///
/// # Errors
/// When the system gives no randomness.
pub fn seal_kept(host_key: &[u8; 32], name: &str, plain: &[u8]) -> io::Result<String> {
    encrypt(host_key, &kept(name), plain)
}

/// Opens what [`seal_kept`] gave; none where the name or the host's key is another, or it was altered.
#[must_use]
pub fn open_kept(host_key: &[u8; 32], name: &str, sealed: &str) -> Option<Zeroizing<Vec<u8>>> {
    decrypt(host_key, &kept(name), sealed.trim()).map(Zeroizing::new)
}

fn kept(name: &str) -> String {
    format!("flowhost kept/1\n{name}")
}

/// What is encrypted belongs to one place of one run, and is not believed anywhere else.
fn context(run: &str, place: &str) -> String {
    format!("flowhost sealed/1\n{run}\n{place}")
}

fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    // Fails for a key of another length only.
    UnboundKey::new(&CHACHA20_POLY1305, key)
        .ok()
        .map(LessSafeKey::new)
}

fn encrypt(key: &[u8; 32], context: &str, plain: &[u8]) -> io::Result<String> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let failed = || io::Error::other("a payload cannot be sealed");
    let mut sealed = plain.to_vec();
    cipher(key)
        .ok_or_else(failed)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| failed())?;
    Ok(BASE64.encode([nonce.as_slice(), &sealed].concat()))
}

fn decrypt(key: &[u8; 32], context: &str, text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
    // It is opened in place, and wiped with what it held.
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let context = Aad::from(context.as_bytes());
    let plain = cipher(key)?
        .open_in_place(nonce, context, sealed.as_mut_slice())
        .ok()?;
    Some(plain.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [u8; 32] = [7; 32];

    #[test]
    fn another_host_another_run_and_another_record_read_nothing() {
        let key = DataKey::generate().unwrap();
        let wrapped = key.wrapped(&HOST, "run-1").unwrap();
        assert!(DataKey::unwrapped(&wrapped, &[8; 32], "run-1").is_none());
        assert!(DataKey::unwrapped(&wrapped, &HOST, "run-2").is_none());
        let sealed = key.seal("run-1", 3, &[1; 32], b"jane").unwrap();
        assert!(key.open("run-1", 4, &sealed).is_none());
        assert!(key.open("run-2", 3, &sealed).is_none());
        assert!(
            DataKey::generate()
                .unwrap()
                .open("run-1", 3, &sealed)
                .is_none()
        );
    }

    #[test]
    fn what_is_kept_is_opened_by_its_host_and_its_name_alone() {
        let sealed = seal_kept(&HOST, "a", b"token").unwrap();
        assert_eq!(open_kept(&HOST, "a", &sealed).unwrap().as_slice(), b"token");
        assert_eq!(open_kept(&HOST, "b", &sealed), None);
        assert_eq!(open_kept(&[8; 32], "a", &sealed), None);
        assert_eq!(open_kept(&HOST, "a", "x"), None);
    }

    #[test]
    fn the_same_host_reads_what_it_sealed_and_two_seals_of_the_same_differ() {
        let key = DataKey::generate().unwrap();
        let wrapped = key.wrapped(&HOST, "run-1").unwrap();
        let again = DataKey::unwrapped(&wrapped, &HOST, "run-1").unwrap();
        let sealed = key.seal("run-1", 3, &[1; 32], b"jane").unwrap();
        assert_eq!(
            again.open("run-1", 3, &sealed),
            Some(([1; 32], b"jane".to_vec()))
        );
        assert_ne!(key.seal("run-1", 3, &[1; 32], b"jane").unwrap(), sealed);
    }
}
