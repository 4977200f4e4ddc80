//! Reads a run's records one by one, for views, reports and replay.
//!
//! The chain is checked on the way (form, sequence, `prev`), so that a view is never made of
//! records that are not the ledger's; signatures are the verifier's business. What can be said of a line
//! without the one before it is found by several threads, where there are enough lines.

use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::Links;
use crate::checkpoint::{NOTE_BYTES_MAX, Note, VKey};
use crate::chunks::{Chunk, Chunks, Effort};
use crate::disk::{self, RealDisk, Source};
use crate::layout::{self, Meta};
use crate::lent::{End, LentBatch, Lines};
use crate::record::{LINE_BYTES_MAX, LineFault, Owner, StoredRecord};
use crate::scan::{self, ScanError};
use crate::tail::{Place, Tail};

/// Why a ledger cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not the record that belongs there.
    #[error("{file} line {line} (record {seq}): {fault}")]
    Record {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The record that belongs there.
        seq: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// The folder holds the ledger of another run than the one that is meant.
    #[error("{dir} is the ledger of {found}, not of {expected}")]
    OtherRun {
        /// The folder.
        dir: PathBuf,
        /// The origin that the run's own ledger would have.
        expected: String,
        /// The origin that is there.
        found: String,
    },
    /// The folder is no ledger.
    #[error("{dir} is not a ledger: {what}")]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
}

/// The records of one ledger, in order. Ends after the first error.
pub struct Records<'s> {
    batches: LentRecords<'s>,
    /// The batch at hand, and how many of its records were handed out.
    batch: LentBatch,
    taken: usize,
}

/// The records of one ledger, in order, as they were read together. Ends after the first error.
pub struct LentRecords<'s> {
    source: &'s dyn Source,
    dir: PathBuf,
    meta: Meta,
    owner: Owner,
    chain: Links,
    segments: std::vec::IntoIter<String>,
    current: Option<Segment>,
    /// Behind the last record that was handed out.
    place: Place,
    /// What is wrong behind the records that were handed out.
    fault: Option<ReadError>,
    ended: bool,
    effort: Effort,
}

/// The segment that is being read.
struct Segment {
    path: PathBuf,
    chunks: Chunks<Chunked>,
    /// How many of its lines were handed out.
    number: u64,
}

/// Lines that were read together, and what could be judged of them.
#[derive(Default)]
struct Chunked {
    bytes: Vec<u8>,
    lines: Lines,
}

impl Chunk for Chunked {
    fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Chunked {
    fn read(&mut self, owner: &Owner) {
        self.lines = Lines::read(std::mem::take(&mut self.bytes), owner);
    }
}

/// Reads the records of the ledger in the folder `dir`.
///
/// # Errors
/// [`ReadError`] when it is no ledger; the items carry what comes later. A half-written last line
/// (a writer is at work, or was killed) ends the records without an error.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use flowhost_ledger::{Fact, HostKey, Kind, Ledger, LedgerOptions, Recorder};
/// # let dir = tempfile::tempdir()?;
/// # let key = Arc::new(HostKey::generate("host.example")?);
/// # let ledger = Ledger::open(&LedgerOptions::new(dir.path(), "default", "run-1", key))?;
/// # ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
/// # ledger.close_blocking()?;
/// for record in flowhost_ledger::read_run(dir.path())? {
///     let record = record?;
///     println!("{} {} {}", record.seq, record.kind_text, record.actor);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_run(dir: &Path) -> Result<Records<'static>, ReadError> {
    read_run_in(&RealDisk, dir)
}

/// [`read_run`] from any source of files.
///
/// # Errors
/// As [`read_run`].
pub fn read_run_in<'s>(source: &'s dyn Source, dir: &Path) -> Result<Records<'s>, ReadError> {
    read_run_with(source, dir, Effort::of_this_machine())
}

/// How many records the newest note vouches for that lies beside the ledger in `dir`: where fewer are there, some were cut
/// off. To be asked before the records are read, so that those of a writer at work are not missed. Nobody has checked its
/// signature; none where it is missing or malformed, which the verifier tells.
#[must_use]
pub fn signed_size(source: &dyn Source, dir: &Path) -> Option<u64> {
    Some(newest_note(source, dir)?.unverified().size)
}

/// Bytes at the end of a segment that are read to learn how many records there are: some dozen of those that end a run.
const END_BYTES: u64 = 16 << 10;

/// How many records the ledger in `dir` has by the last one that is whole, at the same cost however many those are. Nobody
/// has checked them: for what is said in passing. None where its end does not tell.
#[must_use]
pub fn size_at_end(source: &dyn Source, dir: &Path) -> Option<u64> {
    let segments = scan::segment_files(source, dir).ok()?;
    for name in segments.iter().rev() {
        if let Some(seq) = last_seq(source, &dir.join(name)).ok()? {
            return seq.checked_add(1);
        }
    }
    Some(0)
}

/// The number of a segment's last whole record; none where it has no such record.
fn last_seq(source: &dyn Source, path: &Path) -> io::Result<Option<u64>> {
    let mut file = source.open_read(path)?;
    let end = file.seek(io::SeekFrom::End(0))?;
    file.seek(io::SeekFrom::Start(end.saturating_sub(END_BYTES)))?;
    let mut lines = crate::lines::Lines::new(file, LINE_BYTES_MAX);
    let mut last = None;
    while let Some(line) = lines.next()? {
        // Where it was read into, the first is half a line; where it was cut, the last.
        if let Ok(record) = StoredRecord::parse(line.bytes) {
            last = Some(record.seq);
        }
    }
    match last {
        None if end > END_BYTES => Err(io::Error::other("its last record is too long")),
        last => Ok(last),
    }
}

/// That the ledger in the folder `dir` is that of this run, as it says of itself: records of another run may be sound, and
/// say nothing of the one whose name they lie under. Of a ledger that does not say whose it is, whoever reads it is told that.
///
/// # Errors
/// [`ReadError::OtherRun`].
pub fn check_run(
    source: &dyn Source,
    dir: &Path,
    tenant: &str,
    run: &str,
) -> Result<(), ReadError> {
    let bytes = disk::read_small(source, &dir.join(layout::META), layout::META_BYTES_MAX);
    let meta = bytes.ok().flatten();
    let meta = meta.and_then(|bytes| Meta::parse(&bytes).ok());
    let Some((found, owner)) = meta.and_then(|meta| {
        let owner = layout::owner_of(&meta.origin)?;
        Some((meta.origin, owner))
    }) else {
        return Ok(()); // it cannot be read either, which says why
    };
    if owner.tenant == tenant && owner.run == run {
        return Ok(());
    }
    let own = format!("/evidence/{}/{}", owner.tenant, owner.run);
    let host = found.strip_suffix(&own).unwrap_or(&found);
    let wanted = Owner {
        tenant: tenant.to_owned(),
        run: run.to_owned(),
    };
    Err(ReadError::OtherRun {
        dir: dir.to_owned(),
        expected: layout::origin(host, &wanted),
        found,
    })
}

fn newest_note(source: &dyn Source, dir: &Path) -> Option<Note> {
    let path = dir.join(layout::CHECKPOINT);
    let bytes = disk::read_small(source, &path, NOTE_BYTES_MAX as u64);
    Note::parse(&bytes.ok()??).ok()
}

/// [`read_run_in`] for who keeps no record: all that were read together at once, which borrow what they say.
///
/// # Errors
/// As [`read_run`].
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use flowhost_ledger::{Fact, HostKey, Kind, Ledger, LedgerOptions, RealDisk, Recorder};
/// # let dir = tempfile::tempdir()?;
/// # let key = Arc::new(HostKey::generate("host.example")?);
/// # let ledger = Ledger::open(&LedgerOptions::new(dir.path(), "default", "run-1", key))?;
/// # ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
/// # ledger.close_blocking()?;
/// for batch in flowhost_ledger::read_lent_in(&RealDisk, dir.path())? {
///     for record in batch?.records() {
///         println!("{} {} {}", record.seq, record.kind_text, record.actor);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_lent_in<'s>(source: &'s dyn Source, dir: &Path) -> Result<LentRecords<'s>, ReadError> {
    read_lent_with(source, dir, Effort::of_this_machine())
}

/// [`read_run_in`] with that many threads and chunks of that size, which change nothing of what is read.
pub(crate) fn read_run_with<'s>(
    source: &'s dyn Source,
    dir: &Path,
    effort: Effort,
) -> Result<Records<'s>, ReadError> {
    Ok(Records {
        batches: read_lent_with(source, dir, effort)?,
        batch: LentBatch::default(),
        taken: 0,
    })
}

fn read_lent_with<'s>(
    source: &'s dyn Source,
    dir: &Path,
    effort: Effort,
) -> Result<LentRecords<'s>, ReadError> {
    let no_ledger = |what: String| ReadError::Layout {
        dir: dir.to_owned(),
        what,
    };
    let path = dir.join(layout::META);
    let bytes = disk::read_small(source, &path, layout::META_BYTES_MAX)
        .map_err(|error| ReadError::Io {
            file: path.clone(),
            source: error,
        })?
        .ok_or_else(|| no_ledger("ledger.json is missing".to_owned()))?;
    let meta = Meta::parse(&bytes).map_err(no_ledger)?;
    let owner = layout::owner_of(&meta.origin)
        .ok_or_else(|| no_ledger("its origin is malformed".to_owned()))?;
    let segments = scan::segment_files(source, dir).map_err(|error| match error {
        ScanError::Io(error) => ReadError::Io {
            file: dir.to_owned(),
            source: error,
        },
        ScanError::Corrupt { file, what, .. } => no_ledger(format!("{}: {what}", file.display())),
    })?;
    Ok(LentRecords {
        source,
        dir: dir.to_owned(),
        meta,
        owner,
        chain: Links::default(),
        segments: segments.into_iter(),
        current: None,
        place: Place::default(),
        fault: None,
        ended: false,
        effort,
    })
}

impl Records<'_> {
    /// `<host id>/evidence/<tenant>/<run>`, as the ledger says of itself.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.batches.origin()
    }

    pub(crate) const fn owner(&self) -> &Owner {
        &self.batches.owner
    }

    /// As [`LentRecords::keys`].
    #[must_use]
    pub fn keys(&self) -> &[VKey] {
        self.batches.keys()
    }

    /// As [`LentRecords::checkpoint`].
    #[must_use]
    pub fn checkpoint(&self) -> Option<Note> {
        self.batches.checkpoint()
    }
}

impl Iterator for Records<'_> {
    type Item = Result<StoredRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.batch.record(self.taken) {
                self.taken += 1;
                return Some(Ok(record.to_stored()));
            }
            match self.batches.next()? {
                Ok(batch) => (self.batch, self.taken) = (batch, 0),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl LentRecords<'_> {
    /// `<host id>/evidence/<tenant>/<run>`, as the ledger says of itself.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.meta.origin
    }

    /// The keys that the ledger names for itself, the oldest first. To believe one of them, it has to
    /// be known from elsewhere.
    #[must_use]
    pub fn keys(&self) -> &[VKey] {
        &self.meta.keys
    }

    /// The latest note beside the records, as it lies there: nobody has checked its signature. None
    /// when it is missing or malformed, which the verifier tells.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Note> {
        newest_note(self.source, &self.dir)
    }

    /// Where the records go on that come behind those that were handed out.
    #[must_use]
    pub fn tail(&self) -> Tail {
        let (dir, owner) = (self.dir.clone(), self.owner.clone());
        Tail::behind(dir, owner, self.chain.clone(), self.place)
    }

    fn step(&mut self) -> Result<Option<LentBatch>, ReadError> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            let Some(segment) = &mut self.current else {
                let Some(name) = self.segments.next() else {
                    return Ok(None);
                };
                self.current = Some(self.segment(&name)?);
                self.place = Place::at_segment(&name);
                continue;
            };
            match segment.next()? {
                None => self.current = None,
                Some(lines) => {
                    let batch = self.follow(lines);
                    if !batch.is_empty() {
                        return Ok(Some(batch));
                    }
                }
            }
        }
    }

    /// Those of the lines that are the records that belong here; what is wrong with the one behind them is kept until
    /// they were taken.
    fn follow(&mut self, lines: Lines) -> LentBatch {
        let Lines {
            mut batch,
            claims,
            end,
        } = lines;
        let mut fault = None;
        for (at, claim) in claims.iter().enumerate() {
            if let Err(other) = self.chain.take(claim) {
                batch.truncate(at);
                fault = Some(other);
                break;
            }
        }
        for record in batch.lines() {
            self.place.pass(record);
        }
        let Some(segment) = &mut self.current else {
            debug_assert!(false, "lines are those of a segment");
            return batch;
        };
        segment.number += batch.len() as u64;
        let fault = match (fault, end) {
            (Some(fault), _) | (None, Some(End::Fault(fault))) => fault,
            // A writer is at work, or was killed.
            (None, Some(End::Torn(_))) if self.segments.len() == 0 => {
                self.current = None;
                return batch;
            }
            (None, Some(End::Torn(what))) => LineFault::Length(what),
            (None, None) => return batch,
        };
        self.fault = Some(ReadError::Record {
            file: segment.path.clone(),
            line: segment.number + 1,
            seq: self.chain.size(),
            fault,
        });
        batch
    }

    fn segment(&self, name: &str) -> Result<Segment, ReadError> {
        let path = self.dir.join(name);
        let unread = |source| ReadError::Io {
            file: path.clone(),
            source,
        };
        let file = self.source.open_read(&path).map_err(unread)?;
        let file_bytes = self.source.len(&path).map_err(unread)?;
        let owner = self.owner.clone();
        let read = move |lines: &mut Chunked| lines.read(&owner);
        let bounds = (file_bytes, LINE_BYTES_MAX);
        Ok(Segment {
            chunks: Chunks::new(file, bounds, self.effort, Arc::new(read)),
            path,
            number: 0,
        })
    }
}

impl Segment {
    fn next(&mut self) -> Result<Option<Lines>, ReadError> {
        let next = self.chunks.next(Chunked::default());
        let next = next.map_err(|source| ReadError::Io {
            file: self.path.clone(),
            source,
        })?;
        Ok(next.map(|chunk| chunk.lines))
    }
}

impl Iterator for LentRecords<'_> {
    type Item = Result<LentBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}
