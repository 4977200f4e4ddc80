//! The evidence of a run: one append-only, hash-chained, signed log (`fhe/1`), written before a
//! fact is reported.
//!
//! What a record is and what proves it are pure: `canonical`, `chain`, `merkle`, `record`, `records`. Whoever needs
//! files goes through `disk`, but for `keyfile` and `bundle`, which open their own; the clock is in `options`,
//! the thread in `writer`. What a record says is declared once, in `records`; nothing else here knows of plans, plugins
//! or policies. This crate must never re-serialise a stored line to compute a hash, and never repair
//! one.

mod archive;
mod audit;
mod bundle;
pub mod canonical;
mod chain;
mod checkpoint;
mod chunks;
mod disk;
pub mod dsse;
mod fact;
mod fields;
mod group;
mod head;
mod index;
mod keyfile;
mod keys;
mod known;
mod layout;
mod lent;
mod lines;
pub mod merkle;
mod options;
mod overheard;
mod payload_feed;
mod payloads;
mod proof;
mod reader;
mod record;
mod recorder;
pub mod records;
mod removal;
mod report;
mod rows;
mod scan;
mod seal;
mod tail;
pub mod trace;
mod trust;
mod unfinished;
mod verify;
mod views;
mod writer;

pub use archive::{Archived, archive_path, archives_dir, pack, packed, unpacked};
pub use audit::{VerifyOptions, verify_dir, verify_in, verify_path, verify_removed};
pub use bundle::Bundle;
pub use checkpoint::{Checkpoint, NOTE_BYTES_MAX, Note, NoteError, SIGNATURES_MAX, VKey};
pub use disk::{Disk, DiskFile, Entry, ReadSeek, RealDisk, Source};
pub use fact::{Fact, Value};
pub use index::{IndexError, RunIndex};
pub use keys::{HostKey, KeyError};
pub use layout::PLAN_BUNDLE;
pub use lent::{LentBatch, LentFields, LentRecord};
pub use options::{
    CheckpointPolicy, Clock, Durability, Entropy, LINGER, LedgerOptions, SystemClock,
    SystemEntropy, Writing,
};
pub use overheard::{Overheard, overheard};
pub use payloads::{PayloadError, PayloadOf, Payloads};
pub use proof::{
    PROOF_BYTES_MAX, ProofError, Proven, ProvenRecord, prove, prove_in, verify_proof,
    verify_proof_of,
};
pub use reader::{
    LentRecords, ReadError, Records, check_run, read_lent_in, read_run, read_run_in, signed_size,
    size_at_end,
};
pub use record::{
    FORMAT, LINE_BYTES_MAX, LineFault, PAYLOAD_BYTES_MAX, RESERVED, StoredRecord, timestamp,
};
pub use recorder::{FactListener, LedgerError, MemoryRecorder, Recorder};
pub use records::Kind;
pub use removal::{Removal, RemoveError, open_archive};
pub use report::{Code, Indexed, LedgerReport, PayloadCounts, Problem, Report, Trust, ViewCounts};
pub use scan::{WitnessError, read_witness};
pub use seal::{DataKey, SEALED_KEY, erase_sealed_key, open_kept, seal_kept};
pub use tail::Tail;
pub use trust::{TrustError, parse_trust};
pub use unfinished::{KILLED, Swept, UNFINISHED_RUNS_MAX, seal_unfinished};
pub use writer::{Ledger, OpenError, Reached, Sealed, run_dir};
