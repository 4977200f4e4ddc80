//! The evidence of a run: one append-only, hash-chained, signed log (`fhe/1`), written before a
//! fact is reported.
//!
//! Everything is pure but `disk` and `keyfile` (the files), `options` (the clock) and `writer` (the
//! thread). This crate knows nothing of plans, plugins or policies; it must never re-serialise a
//! stored line to compute a hash, and never repair one.

pub mod canonical;
mod chain;
mod checkpoint;
mod disk;
mod fact;
mod keyfile;
mod keys;
mod layout;
mod lines;
pub mod merkle;
mod options;
mod payloads;
mod record;
mod recorder;
mod scan;
mod writer;

pub use checkpoint::{Checkpoint, NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, VKey};
pub use disk::{Disk, DiskFile, Entry, ReadSeek, RealDisk};
pub use fact::{Fact, Kind, Value};
pub use keys::{HostKey, KeyError};
pub use options::{CheckpointPolicy, Clock, Durability, LINGER, LedgerOptions, SystemClock};
pub use payloads::{PayloadError, Payloads};
pub use record::{
    FORMAT, LINE_BYTES_MAX, LineFault, PAYLOAD_BYTES_MAX, RESERVED, StoredRecord, timestamp,
};
pub use recorder::{LedgerError, MemoryRecorder, Recorder};
pub use writer::{Ledger, OpenError, Sealed, run_dir};
