//! The evidence of a run: one append-only, hash-chained, signed log (`fhe/1`), written before a
//! fact is reported.
//!
//! Everything but `writer` and `payloads` is pure. This crate knows nothing of plans, plugins or
//! policies; it must never re-serialise a stored line to compute a hash, and never repair one.

pub mod canonical;
mod checkpoint;
mod fact;
mod keyfile;
mod keys;
pub mod merkle;
mod recorder;

pub use checkpoint::{Checkpoint, NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, VKey};
pub use keys::{HostKey, KeyError};
pub use fact::{Fact, Kind, Value};
pub use recorder::{LedgerError, MemoryRecorder, Recorder};
