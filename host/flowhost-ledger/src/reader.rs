//! Reads a run's records one by one, for views, reports and replay.
//!
//! The chain is checked on the way (form, sequence, `prev`), so that a view is never made of
//! records that are not the ledger's; signatures are the verifier's business. What can be said of a line
//! without the one before it is found by several threads, where there are enough lines.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::{Claim, Links};
use crate::checkpoint::{NOTE_BYTES_MAX, Note, VKey};
use crate::chunks::{Chunk, Chunks, Effort};
use crate::disk::{self, RealDisk, Source};
use crate::layout::{self, Meta};
use crate::merkle::leaf_hash;
use crate::record::{LINE_BYTES_MAX, LineFault, Owner, StoredRecord, View};
use crate::records::{FieldError, Record};
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
    source: &'s dyn Source,
    dir: PathBuf,
    meta: Meta,
    owner: Owner,
    chain: Links,
    segments: std::vec::IntoIter<String>,
    current: Option<Segment>,
    /// Behind the last record that was handed out.
    place: Place,
    ended: bool,
    effort: Effort,
    /// Whether what a record says is wanted, too.
    says: bool,
}

/// A record, and what it says.
#[derive(Debug, Clone)]
pub struct SaidRecord {
    /// The record.
    pub record: StoredRecord,
    /// What it says, as [`StoredRecord::read`] gives it.
    pub said: Result<Option<Record>, FieldError>,
}

impl From<StoredRecord> for SaidRecord {
    fn from(record: StoredRecord) -> Self {
        let said = record.read();
        Self { record, said }
    }
}

/// The records of one ledger with what each says, in order. Ends after the first error.
pub struct SaidRecords<'s>(Records<'s>);

/// The segment that is being read.
struct Segment {
    path: PathBuf,
    chunks: Chunks<Batch>,
    batch: Batch,
    /// How many of its lines were handed out.
    number: u64,
}

/// Lines that were read together, and what is left of them to hand out.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    read: std::vec::IntoIter<Read>,
}

/// A line, as far as it can be judged alone.
enum Read {
    Record(Box<Line>, Claim),
    Fault(LineFault),
    /// The file's end cuts it off, or the bound of a line; why it is no line.
    Torn(&'static str),
}

/// A record, and what it says where that is wanted.
struct Line {
    record: StoredRecord,
    said: Option<Result<Option<Record>, FieldError>>,
}

impl Chunk for Batch {
    fn lines(&mut self) -> &mut Vec<u8> {
        self.read = Vec::new().into_iter();
        &mut self.bytes
    }
}

impl Batch {
    /// Ends with the first line that is no record, as whoever reads does: a chunk of nothing but line ends would else
    /// take hundreds of times its bytes.
    fn read(&mut self, owner: &Owner, says: bool) {
        let mut read = Vec::new();
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            read.push(Read::of(line, owner, says));
            if !matches!(read.last(), Some(Read::Record(..))) {
                break;
            }
        }
        self.read = read.into_iter();
    }
}

impl Read {
    fn of(stored: &[u8], owner: &Owner, says: bool) -> Self {
        let line = stored.strip_suffix(b"\n");
        let (line, complete) = (line.unwrap_or(stored), line.is_some());
        match (complete, line.len() > LINE_BYTES_MAX) {
            (true, true) => return Self::Fault(LineFault::Length("too long")),
            (false, true) => return Self::Torn("too long"),
            (false, false) => return Self::Torn("cut off: it has no line end"),
            (true, false) => {}
        }
        match View::parse(line) {
            Ok(view) => {
                let claim = Claim::of(&view, owner, leaf_hash(line));
                let record = StoredRecord::of(&view, line, claim.leaf());
                let said = says.then(|| record.read());
                Self::Record(Box::new(Line { record, said }), claim)
            }
            Err(fault) => Self::Fault(fault),
        }
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

/// [`read_run_in`], each record with what it says: found by the threads that read the lines, where there are enough of
/// them.
///
/// # Errors
/// As [`read_run`].
pub fn read_said_in<'s>(source: &'s dyn Source, dir: &Path) -> Result<SaidRecords<'s>, ReadError> {
    let mut records = read_run_in(source, dir)?;
    records.says = true;
    Ok(SaidRecords(records))
}

/// [`read_run_in`] with that many threads and chunks of that size, which change nothing of what is read.
pub(crate) fn read_run_with<'s>(
    source: &'s dyn Source,
    dir: &Path,
    effort: Effort,
) -> Result<Records<'s>, ReadError> {
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
    Ok(Records {
        source,
        dir: dir.to_owned(),
        meta,
        owner,
        chain: Links::default(),
        segments: segments.into_iter(),
        current: None,
        place: Place::default(),
        ended: false,
        effort,
        says: false,
    })
}

impl Records<'_> {
    /// `<host id>/evidence/<tenant>/<run>`, as the ledger says of itself.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.meta.origin
    }

    pub(crate) const fn owner(&self) -> &Owner {
        &self.owner
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
        let path = self.dir.join(layout::CHECKPOINT);
        let bytes = disk::read_small(self.source, &path, NOTE_BYTES_MAX as u64);
        Note::parse(&bytes.ok()??).ok()
    }

    fn line(&mut self) -> Option<Result<Line, ReadError>> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }

    fn step(&mut self) -> Result<Option<Line>, ReadError> {
        loop {
            let Some(segment) = &mut self.current else {
                let Some(name) = self.segments.next() else {
                    return Ok(None);
                };
                self.current = Some(self.segment(&name)?);
                self.place = Place::at_segment(&name);
                continue;
            };
            let Some(read) = segment.next()? else {
                self.current = None;
                continue;
            };
            let claimed = match read {
                // A writer is at work, or was killed.
                Read::Torn(_) if self.segments.len() == 0 => return Ok(None),
                Read::Torn(what) => Err(LineFault::Length(what)),
                Read::Fault(fault) => Err(fault),
                Read::Record(line, claim) => self.chain.take(&claim).map(|()| line),
            };
            let line = claimed.map_err(|fault| ReadError::Record {
                file: segment.path.clone(),
                line: segment.number,
                seq: self.chain.size(),
                fault,
            })?;
            self.place.pass(&line.record.line);
            return Ok(Some(*line));
        }
    }

    fn segment(&self, name: &str) -> Result<Segment, ReadError> {
        let path = self.dir.join(name);
        let unread = |source| ReadError::Io {
            file: path.clone(),
            source,
        };
        let file = self.source.open_read(&path).map_err(unread)?;
        let file_bytes = self.source.len(&path).map_err(unread)?;
        let (owner, says) = (self.owner.clone(), self.says);
        let read = move |batch: &mut Batch| batch.read(&owner, says);
        let bounds = (file_bytes, LINE_BYTES_MAX);
        Ok(Segment {
            chunks: Chunks::new(file, bounds, self.effort, Arc::new(read)),
            path,
            batch: Batch::default(),
            number: 0,
        })
    }
}

impl Segment {
    fn next(&mut self) -> Result<Option<Read>, ReadError> {
        loop {
            if let Some(read) = self.batch.read.next() {
                self.number += 1;
                return Ok(Some(read));
            }
            let next = self.chunks.next(std::mem::take(&mut self.batch));
            let next = next.map_err(|source| ReadError::Io {
                file: self.path.clone(),
                source,
            })?;
            let Some(batch) = next else {
                return Ok(None);
            };
            self.batch = batch;
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<StoredRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.line()?.map(|line| line.record))
    }
}

impl SaidRecords<'_> {
    /// Where the records go on that come behind those that were handed out.
    #[must_use]
    pub fn tail(&self) -> Tail {
        let records = &self.0;
        let (dir, owner) = (records.dir.clone(), records.owner.clone());
        Tail::behind(dir, owner, records.chain.clone(), records.place)
    }
}

impl Iterator for SaidRecords<'_> {
    type Item = Result<SaidRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.0.line()?;
        Some(line.map(|Line { record, said }| match said {
            Some(said) => SaidRecord { record, said },
            None => SaidRecord::from(record),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_what_stands_behind_a_line_that_is_no_record() {
        let mut batch = Batch {
            bytes: vec![b'\n'; 1_000],
            ..Batch::default()
        };
        let owner = Owner {
            tenant: "t".to_owned(),
            run: "r".to_owned(),
        };
        batch.read(&owner, false);
        assert_eq!(batch.read.len(), 1);
    }
}
