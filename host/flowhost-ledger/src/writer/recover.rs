//! Opening a ledger: a new one, or one that some process left behind in whatever state.
//!
//! What a crash can leave is known exactly: bytes at the end of the last segment that were never
//! acknowledged. They are cut, and a `recovery` record says what was cut. Everything else that is
//! wrong is corruption: it is refused with its exact place, and never repaired, because a repair
//! would destroy the evidence of what happened to the evidence.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::{Files, Standing};
use crate::checkpoint::{NOTE_BYTES_MAX, Note};
use crate::disk::{self, Disk};
use crate::fact::Fact;
use crate::head::{IndexHead, Runs};
use crate::layout::{self, Meta};
use crate::options::LedgerOptions;
use crate::payloads;
use crate::record::{Owner, timestamp};
use crate::records::{RecordKind as _, Recovery};
use crate::scan::{self, ScanError, State, Torn};

/// Between two looks at a lock that somebody else holds.
const LOCK_POLL: Duration = Duration::from_millis(2);

/// Why a ledger cannot be opened for writing. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process or handle writes to it.
    #[error("the ledger {0} is being written by another process")]
    Locked(PathBuf),
    /// A tenant or run id cannot be part of a path and an origin.
    #[error("{0:?} cannot be the id of a tenant or run (letters, digits, _ . -, at most 128)")]
    Id(String),
    /// The folder holds the ledger of another run, or of another host.
    #[error("{dir} is the ledger of {found}, not of {expected}")]
    Other {
        /// The folder.
        dir: PathBuf,
        /// The origin that was asked for.
        expected: String,
        /// The origin that is there.
        found: String,
    },
    /// The ledger's last note is by none of the keys at hand.
    #[error("{dir} was signed by a key that is not the host's: {what}")]
    Key {
        /// The folder.
        dir: PathBuf,
        /// What was wrong with the note.
        what: String,
    },
    /// The ledger is damaged; it can be read and verified, not written.
    #[error("{}: {what}", place(file, *offset, *line, *seq))]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// Where in the file, in lines from 1; 0 when it is no matter of a line.
        line: u64,
        /// The record that should be there.
        seq: u64,
        /// What is wrong.
        what: String,
    },
    /// The disk failed.
    #[error("the ledger's files cannot be used")]
    Io(#[from] io::Error),
}

/// Where the damage is. What is no matter of a line is one of the whole file.
fn place(file: &Path, offset: u64, line: u64, seq: u64) -> String {
    let file = file.display();
    match line {
        0 => file.to_string(),
        _ => format!("{file} is corrupt at byte {offset} (line {line}, record {seq})"),
    }
}

impl OpenError {
    fn from_scan(error: ScanError) -> Self {
        match error {
            ScanError::Io(error) => Self::Io(error),
            ScanError::Corrupt {
                file,
                offset,
                line,
                seq,
                what,
            } => Self::Corrupt {
                file,
                offset,
                line,
                seq,
                what,
            },
        }
    }
}

pub(super) struct Opened {
    pub(super) files: Files,
    /// How the run ended, or stopped for the last time, as its records say.
    pub(super) status: Option<String>,
}

/// The folder of a ledger, held by one writer. The lock is the folder's, whatever it is named.
pub(crate) type Lock = Box<dyn std::any::Any + Send>;

pub(super) fn check_ids(owner: &Owner) -> Result<(), OpenError> {
    for id in [&owner.tenant, &owner.run] {
        if !layout::segment_is_valid(id) {
            return Err(OpenError::Id(id.clone()));
        }
    }
    Ok(())
}

/// Makes the ledger's folder if needed, and takes its lock.
pub(crate) fn take_folder(options: &LedgerOptions) -> Result<Lock, OpenError> {
    options.disk.create_dir(&options.dir)?;
    take_lock(options)
}

/// Opens or makes the ledger of `options` in a folder that is held.
pub(super) fn open(
    options: &LedgerOptions,
    owner: &Owner,
    lock: Lock,
) -> Result<Opened, OpenError> {
    check_ids(owner)?;
    let disk = options.disk.as_ref();
    let origin = layout::origin(options.key.host(), owner);
    let meta_path = options.dir.join(layout::META);
    let meta = disk::read_small(disk, &meta_path, layout::META_BYTES_MAX)?
        .map(|bytes| Meta::parse(&bytes));
    match meta {
        None => create(options, owner, &origin, lock),
        // A loss of power may leave the name without the bytes; then there is no record either.
        Some(Err(_)) if !has_records(options)? => create(options, owner, &origin, lock),
        Some(Err(what)) => Err(corrupt(meta_path, &what)),
        Some(Ok(meta)) => {
            if meta.origin != origin {
                let (dir, found) = (options.dir.clone(), meta.origin);
                return Err(OpenError::Other {
                    dir,
                    expected: origin,
                    found,
                });
            }
            resume(options, owner, &origin, &meta, lock)
        }
    }
}

/// That a ledger is in the folder: none is made where one was.
pub(super) fn check_is_there(options: &LedgerOptions) -> Result<(), OpenError> {
    let path = options.dir.join(layout::META);
    match disk::read_small(options.disk.as_ref(), &path, layout::META_BYTES_MAX)? {
        Some(_) if has_records(options)? => Ok(()),
        Some(_) => Err(corrupt(path, "no record stands beside it")),
        None => Err(corrupt(path, "it is missing")),
    }
}

fn corrupt(file: PathBuf, what: &str) -> OpenError {
    OpenError::Corrupt {
        file,
        offset: 0,
        line: 0,
        seq: 0,
        what: what.to_owned(),
    }
}

pub(super) fn take_lock(
    options: &LedgerOptions,
) -> Result<Box<dyn std::any::Any + Send>, OpenError> {
    let start = Instant::now();
    loop {
        match options.disk.lock(&options.dir) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error.into()),
            Err(_) if start.elapsed() >= options.lock_wait => {
                return Err(OpenError::Locked(options.dir.clone()));
            }
            // `flock` waits without an end or not at all. Two milliseconds are what an entry of the
            // index takes.
            Err(_) => std::thread::sleep(LOCK_POLL),
        }
    }
}

fn has_records(options: &LedgerOptions) -> Result<bool, OpenError> {
    let entries = options.disk.list(&options.dir)?;
    Ok(entries.iter().any(|entry| {
        layout::numbered(&entry.name, "seg-").is_some()
            || [layout::CHECKPOINT, layout::CHECKPOINTS].contains(&&*entry.name)
    }))
}

/// Writes `ledger.json`, which says whose ledger the folder is.
pub(crate) fn write_meta(options: &LedgerOptions, origin: &str) -> io::Result<()> {
    let meta = Meta {
        origin: origin.to_owned(),
        created: timestamp(options.clock.now_us()),
        keys: vec![options.key.vkey_for(origin)],
    };
    let disk = options.disk.as_ref();
    disk::replace(disk, &options.dir.join(layout::META), &meta.print(), false)
}

fn create(
    options: &LedgerOptions,
    owner: &Owner,
    origin: &str,
    lock: Lock,
) -> Result<Opened, OpenError> {
    let disk = options.disk.as_ref();
    // `ledger.json` is there before any record is; a segment without it was not made by us.
    if has_records(options)? {
        return Err(corrupt(options.dir.join(layout::META), "it is missing"));
    }
    write_meta(options, origin)?;
    if let Some(parent) = options.dir.parent() {
        disk.sync_dir(parent)?;
    }
    let standing = Standing {
        chain: crate::chain::Chain::default(),
        signed: 0,
        index: 0,
        runs: options.index.then(Runs::default),
        names_unsynced: true,
        lock,
    };
    Ok(Opened {
        files: Files::open(options, owner, standing)?,
        status: None,
    })
}

fn resume(
    options: &LedgerOptions,
    owner: &Owner,
    origin: &str,
    meta: &Meta,
    lock: Lock,
) -> Result<Opened, OpenError> {
    let disk = options.disk.as_ref();
    let dir = &options.dir;
    if options.index
        && let Some(head) = IndexHead::read(disk, dir, origin, &options.key)?
    {
        let standing = Standing {
            signed: head.chain.size(),
            chain: head.chain,
            index: head.segment,
            runs: Some(head.runs),
            // It was signed, and so synced, since the last of them was made.
            names_unsynced: false,
            lock,
        };
        let files = Files::open(options, owner, standing)?;
        let status = None; // the index of runs is none
        return Ok(Opened { files, status });
    }
    let (note, notes_end) = last_note(disk, options, origin)?;
    let signed = note.as_ref().map_or(0, |note| note.unverified().size);
    let mut state = scan::segments(disk, dir, owner, signed).map_err(OpenError::from_scan)?;
    check_signed(dir, note.as_ref(), &state)?;
    check_key(options, origin, meta, note.as_ref(), &state.new_keys)?;
    let payload = scan::payloads(disk, dir, state.chain.size(), &state.commits)
        .map_err(OpenError::from_scan)?;
    // From here on the ledger is sound, and what a crash left behind is put away.
    payloads::clean_up(disk, dir)?;
    for torn in state.torn.iter().chain(&payload.torn) {
        disk.truncate(&torn.path, torn.offset)?;
    }
    let log = dir.join(layout::CHECKPOINTS);
    if disk.len(&log)? != notes_end {
        disk.truncate(&log, notes_end)?;
    }
    // Erasures that were cut: their records are there, so that they are ended and not asked for
    // again.
    payloads::erase(disk, dir, &state.erased)?;
    let lost: BTreeSet<u64> = payload.lost.difference(&state.erased).copied().collect();
    let standing = Standing {
        chain: std::mem::take(&mut state.chain),
        signed,
        index: state.index,
        runs: options.index.then_some(state.runs),
        names_unsynced: true,
        lock,
    };
    let mut files = Files::open(options, owner, standing)?;
    if state.torn.is_some() || payload.torn.is_some() || !lost.is_empty() {
        let fact = recovery_fact(owner, state.torn.as_ref(), payload.torn.as_ref(), &lost);
        files.push(&fact, options.clock.now_us())?;
        files.sync()?;
    }
    let status = state.status;
    Ok(Opened { files, status })
}

/// That the records are those that the last note signs.
fn check_signed(dir: &Path, note: Option<&Note>, state: &State) -> Result<(), OpenError> {
    let Some(note) = note.map(Note::unverified) else {
        return Ok(());
    };
    let (signed, there) = (note.size, state.chain.size());
    if there < signed {
        return Err(OpenError::Corrupt {
            file: dir.join(layout::CHECKPOINT),
            offset: 0,
            line: 0,
            seq: there,
            what: format!("it signs {signed} records, {there} are there"),
        });
    }
    if state.root_at_signed != Some(note.root) {
        let what = format!("its root is not that of the first {signed} records");
        return Err(corrupt(dir.join(layout::CHECKPOINT), &what));
    }
    Ok(())
}

fn recovery_fact(
    owner: &Owner,
    records: Option<&Torn>,
    payload: Option<&Torn>,
    lost: &BTreeSet<u64>,
) -> Fact {
    let name = |torn: &Torn| {
        let name = torn.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let recovery = Recovery {
        file: records.map(name),
        offset: records.map(|torn| torn.offset),
        cut_bytes: records.map(|torn| torn.len),
        cut_sha256: records.map(|torn| hex::encode(torn.hash)),
        payload_file: payload.map(name),
        payload_offset: payload.map(|torn| torn.offset),
        payload_cut_bytes: payload.map(|torn| torn.len),
        payload_cut_sha256: payload.map(|torn| hex::encode(torn.hash)),
        payloads_lost: (!lost.is_empty()).then(|| scan::ranges(lost)),
    };
    recovery.by(format!("{}/host", owner.tenant))
}

/// The newest note of `checkpoint` and `checkpoints.log`, and where the sound part of the log
/// ends. A note that is only in the log is one whose `checkpoint` was not yet renamed.
fn last_note(
    disk: &dyn Disk,
    options: &LedgerOptions,
    origin: &str,
) -> Result<(Option<Note>, u64), OpenError> {
    let path = options.dir.join(layout::CHECKPOINT);
    let bytes = disk::read_small(disk, &path, NOTE_BYTES_MAX as u64)?;
    // One that is half there is what a loss of power leaves; the log has the same note, or an older
    // one and the records behind it are unsigned.
    let mut newest = bytes.and_then(|bytes| Note::parse(&bytes).ok());
    let log_path = options.dir.join(layout::CHECKPOINTS);
    let mut end = 0;
    if let Some(mut log) = scan::NoteLog::open(disk, &log_path)? {
        while let Some(found) = log.next()? {
            let Ok(note) = found.note else { break };
            end = found.offset + found.len;
            if newest
                .as_ref()
                .is_none_or(|last| last.unverified().size < note.unverified().size)
            {
                newest = Some(note);
            }
        }
        let len = disk.len(&log_path)?;
        if len - end > NOTE_BYTES_MAX as u64 {
            let what = "bytes that are not a note, with more behind them".to_owned();
            return Err(OpenError::Corrupt {
                file: log_path,
                offset: end,
                line: 0,
                seq: 0,
                what,
            });
        }
    } else {
        // Made here, because its length is asked for before it is opened to be written.
        drop(disk.open_append(&log_path, false)?);
    }
    if newest
        .as_ref()
        .is_some_and(|note| note.unverified().origin != origin)
    {
        return Err(corrupt(path, "it is of another ledger"));
    }
    Ok((newest, end))
}

/// The last note must be by the host's key, and that key must be one that the ledger knows.
fn check_key(
    options: &LedgerOptions,
    origin: &str,
    meta: &Meta,
    note: Option<&Note>,
    new_keys: &[String],
) -> Result<(), OpenError> {
    let key = options.key.vkey_for(origin);
    let refuse = |what: &str| {
        Err(OpenError::Key {
            dir: options.dir.clone(),
            what: what.to_owned(),
        })
    };
    let known = meta.keys.contains(&key) || new_keys.contains(&key.to_string());
    if !known {
        return refuse("the host's key is not one of the ledger's (was it rotated without it?)");
    }
    match note.map(|note| note.verify(std::slice::from_ref(&key))) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(error)) => refuse(&error.to_string()),
    }
}
