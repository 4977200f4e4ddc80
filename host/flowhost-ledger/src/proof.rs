//! Inclusion proofs: that one line is in a signed ledger, without the rest of it.
//!
//! Format: C2SP tlog-proof (c2sp.org/tlog-proof): a version line, the index, the audit path nearest
//! sibling first, a blank line, the signed checkpoint.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::checkpoint::{Checkpoint, NOTE_BYTES_MAX, Note, NoteError, VKey, parse_decimal};
use crate::disk::{self, RealDisk, Source};
use crate::layout;
use crate::merkle::{self, Hash};
use crate::reader::{ReadError, read_run_in};

const VERSION: &str = "c2sp.org/tlog-proof@v1";
/// Most bytes of a proof that carries its record: a line of 64 KiB as base64, 64 hashes, a note.
pub const PROOF_BYTES_MAX: u64 = 256 * 1024;
/// A path through a tree of 2^64 leaves has 64 steps; no more can be right.
const PATH_MAX: usize = 64;

/// Why there is no proof, or it proves nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Read(#[from] ReadError),
    /// The checkpoint is missing, or is not of the records.
    #[error("the ledger's checkpoint cannot be used: {0}")]
    Checkpoint(String),
    /// The checkpoint does not cover the record.
    #[error("record {seq} is not signed yet: the checkpoint covers {size} records")]
    Unsigned {
        /// The record asked for.
        seq: u64,
        /// How many records the checkpoint covers.
        size: u64,
    },
    /// The proof does not carry the record that it is about.
    #[error("the proof does not carry its record; make it anew with `flowhost evidence prove`")]
    NoRecord,
    /// The proof's text breaks the format.
    #[error("the proof is malformed: {0}")]
    Malformed(&'static str),
    /// The checkpoint in the proof is not by a known key.
    #[error("the proof's checkpoint is not accepted")]
    Note(#[from] NoteError),
    /// The line is not the one that the checkpoint covers at this index.
    #[error("the line is not record {0} of the signed ledger")]
    Wrong(u64),
}

/// What a proof proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The record's sequence number.
    pub seq: u64,
    /// The checkpoint that covers it.
    pub checkpoint: Checkpoint,
}

/// A record that a proof carried, and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRecord {
    /// Where it stands, and in what.
    pub proven: Proven,
    /// Its line, without LF.
    pub line: Vec<u8>,
    /// The key that signed.
    pub key: VKey,
}

/// A proof that record `seq` is in the ledger in `dir`, against its latest checkpoint.
///
/// # Errors
/// [`ProofError`].
pub fn prove(dir: &Path, seq: u64) -> Result<String, ProofError> {
    prove_in(&RealDisk, dir, seq)
}

/// [`prove`] from any source of files. Holds 32 bytes for each record in memory.
///
/// # Errors
/// As [`prove`].
pub fn prove_in(source: &dyn Source, dir: &Path, seq: u64) -> Result<String, ProofError> {
    let unusable = |what: String| ProofError::Checkpoint(what);
    let bytes = disk::read_small(source, &dir.join(layout::CHECKPOINT), NOTE_BYTES_MAX as u64)
        .map_err(|error| unusable(error.to_string()))?
        .ok_or_else(|| unusable("it holds no checkpoint".to_owned()))?;
    let note = Note::parse(&bytes).map_err(|error| unusable(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| unusable(error.to_string()))?;
    let size = note.unverified().size;
    if seq >= size {
        return Err(ProofError::Unsigned { seq, size });
    }
    let mut leaves: Vec<Hash> = Vec::new();
    let mut line = Vec::new();
    for record in read_run_in(source, dir)? {
        let record = record?;
        if record.seq == seq {
            line = record.line;
        }
        leaves.push(record.leaf);
        if leaves.len() as u64 == size {
            break;
        }
    }
    let path = merkle::inclusion_proof(&leaves, seq)
        // Fewer records than the note signs: the ledger was cut, or is being copied.
        .filter(|_| leaves.len() as u64 == size)
        .ok_or_else(|| unusable(format!("it covers {size} records")))?;
    let leaf = usize::try_from(seq)
        .ok()
        .and_then(|seq| leaves.get(seq))
        .copied();
    let root = leaf.and_then(|leaf| merkle::root_from_inclusion(seq, size, leaf, &path));
    if root != Some(note.unverified().root) {
        return Err(unusable("its root is not that of the records".to_owned()));
    }
    // The format leaves `extra` to the application; here it is the record, so that the proof is whole.
    let extra = BASE64.encode(line);
    let mut out = format!("{VERSION}\nextra {extra}\nindex {seq}\n");
    for hash in path {
        // A `String` takes whatever is written to it.
        let _ = writeln!(out, "{}", BASE64.encode(hash));
    }
    Ok(out + "\n" + &text)
}

/// Checks a proof that carries its record, against `keys`: of hosts, or of single ledgers.
///
/// # Errors
/// [`ProofError`].
pub fn verify_proof_of(proof: &str, keys: &[VKey]) -> Result<ProvenRecord, ProofError> {
    let extra = proof
        .lines()
        .nth(1)
        .and_then(|line| line.strip_prefix("extra "));
    let line = BASE64
        .decode(extra.ok_or(ProofError::NoRecord)?)
        .map_err(|_| ProofError::Malformed("its extra data is not base64"))?;
    let mut refused = ProofError::Note(NoteError::UnknownKey);
    for key in keys {
        match verify_proof(proof, &line, key) {
            Ok(proven) => {
                let key = key.clone();
                return Ok(ProvenRecord { proven, line, key });
            }
            // One of the others may be the one that signed.
            Err(ProofError::Note(NoteError::UnknownKey)) => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// Checks that `line` (with or without its LF) is what `proof` speaks of, and that the checkpoint
/// in it is by `key`: the ledger's own, or its host's.
///
/// # Errors
/// [`ProofError`].
pub fn verify_proof(proof: &str, line: &[u8], key: &VKey) -> Result<Proven, ProofError> {
    let (head, note) = proof
        .split_once("\n\n")
        .ok_or(ProofError::Malformed("it has no checkpoint"))?;
    let mut lines = head.split('\n').peekable();
    if lines.next() != Some(VERSION) {
        return Err(ProofError::Malformed("it is not of version 1"));
    }
    // Opaque to us, by the format: skipped, but it must be what it claims to be.
    if let Some(extra) = lines.next_if(|line| line.starts_with("extra ")) {
        let extra = extra.strip_prefix("extra ").unwrap_or_default();
        BASE64
            .decode(extra)
            .map_err(|_| ProofError::Malformed("its extra data is not base64"))?;
    }
    let index = lines.next().and_then(|line| line.strip_prefix("index "));
    let seq = index
        .and_then(parse_decimal)
        .ok_or(ProofError::Malformed("it has no index"))?;
    let mut path = Vec::new();
    for line in lines {
        let hash = BASE64
            .decode(line)
            .ok()
            .and_then(|bytes| Hash::try_from(bytes).ok());
        path.push(hash.ok_or(ProofError::Malformed("a line is not a hash"))?);
        if path.len() > PATH_MAX {
            return Err(ProofError::Malformed("it has too many hashes"));
        }
    }
    let note = Note::parse(note.as_bytes())?;
    let key = key
        .for_origin(&note.unverified().origin)
        .ok_or(NoteError::UnknownKey)?;
    let (checkpoint, _) = note.verify(std::slice::from_ref(&key))?;
    let leaf = merkle::leaf_hash(line.strip_suffix(b"\n").unwrap_or(line));
    if merkle::root_from_inclusion(seq, checkpoint.size, leaf, &path) != Some(checkpoint.root) {
        return Err(ProofError::Wrong(seq));
    }
    Ok(Proven {
        seq,
        checkpoint: checkpoint.clone(),
    })
}

#[cfg(test)]
mod tests;
