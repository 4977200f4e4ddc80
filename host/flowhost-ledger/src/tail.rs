//! Follows a ledger that another process writes: the records that there are, and later those that have come.
//!
//! The chain is checked as the reader does it. A half-written last line is left for the next time.

use std::io::{Read as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::chain::Links;
use crate::disk::{RealDisk, Source as _};
use crate::layout;
use crate::lent::{self, LentBatch};
use crate::lines::Lines;
use crate::reader::{ReadError, read_run};
use crate::record::{LINE_BYTES_MAX, LineFault, Owner, StoredRecord};

/// Bytes that are read at once of records that nobody keeps: some 600 of them. A line has less, so that one of which the
/// end is not among so many is longer than any may be.
const AT_ONCE_BYTES: usize = 256 * 1024;
const _: () = assert!(
    AT_ONCE_BYTES > LINE_BYTES_MAX,
    "a line that is read whole can be told from one that is too long"
);

/// Where a reader of a growing ledger stands.
#[derive(Debug)]
pub struct Tail {
    dir: PathBuf,
    owner: Owner,
    chain: Links,
    place: Place,
}

/// Where in the files of a ledger a reader stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    segment: u32,
    /// Of the segment, in bytes: what was read of it.
    offset: u64,
    /// Of the segment, in lines.
    lines: u64,
}

impl Place {
    /// At the first line of the segment of this name.
    pub(crate) fn at_segment(name: &str) -> Self {
        let number = layout::numbered(name, "seg-").and_then(|number| number.parse().ok());
        debug_assert!(number.is_some(), "who lists segments knows their names");
        Self {
            segment: number.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Goes on behind a line, which is without its LF.
    pub(crate) const fn pass(&mut self, line: &[u8]) {
        self.offset = self.offset.saturating_add(line.len() as u64 + 1);
        self.lines = self.lines.saturating_add(1);
    }
}

impl Tail {
    /// At the first record of the ledger in `dir`.
    ///
    /// # Errors
    /// [`ReadError`] when it is no ledger.
    pub fn open(dir: &Path) -> Result<Self, ReadError> {
        Ok(Self {
            owner: read_run(dir)?.owner().clone(),
            dir: dir.to_owned(),
            chain: Links::default(),
            place: Place::default(),
        })
    }

    /// Behind the records that somebody else has read.
    pub(crate) const fn behind(dir: PathBuf, owner: Owner, chain: Links, place: Place) -> Self {
        Self {
            dir,
            owner,
            chain,
            place,
        }
    }

    /// The records that have come since the last time, at most `max` of them: fewer mean that there are
    /// no more for now.
    ///
    /// # Errors
    /// [`ReadError`] when a file cannot be read, or a line is not the record that belongs there.
    pub fn more(&mut self, max: usize) -> Result<Vec<StoredRecord>, ReadError> {
        let mut records = Vec::new();
        loop {
            self.read_segment(max, &mut records)?;
            if records.len() >= max || !self.goes_on()? {
                return Ok(records);
            }
        }
    }

    /// As [`Tail::more`], for who keeps none of them: those that were read together. An empty batch means that there are no
    /// more for now.
    ///
    /// # Errors
    /// As [`Tail::more`], once the records before the fault were handed out.
    pub fn lent(&mut self) -> Result<LentBatch, ReadError> {
        loop {
            let batch = self.lend_segment()?;
            if !batch.is_empty() || !self.goes_on()? {
                return Ok(batch);
            }
        }
    }

    /// Goes on to the next segment, if there is one.
    fn goes_on(&mut self) -> Result<bool, ReadError> {
        // A writer goes on to the next segment only when this one is whole.
        let next = self.place.segment.saturating_add(1);
        let there = RealDisk.len(&self.dir.join(layout::segment(next))).is_ok();
        if !there || !self.is_at_end()? {
            return Ok(false);
        }
        self.place = Place {
            segment: next,
            ..Place::default()
        };
        Ok(true)
    }

    fn path(&self) -> PathBuf {
        self.dir.join(layout::segment(self.place.segment))
    }

    fn is_at_end(&self) -> Result<bool, ReadError> {
        let path = self.path();
        RealDisk
            .len(&path)
            .map(|len| len == self.place.offset)
            .map_err(|source| ReadError::Io { file: path, source })
    }

    /// What is wrong with the line that comes next.
    fn refused(&self, fault: LineFault) -> ReadError {
        ReadError::Record {
            file: self.path(),
            line: self.place.lines.saturating_add(1),
            seq: self.chain.size(),
            fault,
        }
    }

    /// Whole lines of the segment that have come since the last time. What is wrong with one is told when it is the first,
    /// which it is the next time.
    fn lend_segment(&mut self) -> Result<LentBatch, ReadError> {
        let mut bytes = self.read_on()?;
        match memchr::memrchr(b'\n', &bytes) {
            Some(at) => bytes.truncate(at + 1),
            None if bytes.len() > LINE_BYTES_MAX => {
                return Err(self.refused(LineFault::Length("too long")));
            }
            // Nothing, or the half of a line.
            None => return Ok(LentBatch::default()),
        }
        let lent::Lines {
            mut batch,
            claims,
            end,
        } = lent::Lines::read(bytes, &self.owner);
        let mut fault = match end {
            Some(lent::End::Fault(fault)) => Some(fault),
            Some(lent::End::Torn(what)) => Some(LineFault::Length(what)),
            None => None,
        };
        for (at, claim) in claims.iter().enumerate() {
            if let Err(other) = self.chain.take(claim) {
                batch.truncate(at);
                fault = Some(other);
                break;
            }
        }
        match fault.filter(|_| batch.is_empty()) {
            Some(fault) => Err(self.refused(fault)),
            None => {
                batch.lines().for_each(|line| self.place.pass(line));
                Ok(batch)
            }
        }
    }

    /// What stands in the segment behind what was read of it, at most [`AT_ONCE_BYTES`].
    fn read_on(&self) -> Result<Vec<u8>, ReadError> {
        let path = self.path();
        let mut file = match RealDisk.open_read(&path) {
            // The first segment is made a moment after the folder.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| ReadError::Io {
                file: path.clone(),
                source,
            })?,
        };
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(self.place.offset))
            .and_then(|_| file.take(AT_ONCE_BYTES as u64).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(source) => Err(ReadError::Io { file: path, source }),
        }
    }

    fn read_segment(
        &mut self,
        max: usize,
        records: &mut Vec<StoredRecord>,
    ) -> Result<(), ReadError> {
        let path = self.path();
        let failed = |source| ReadError::Io {
            file: path.clone(),
            source,
        };
        let mut file = match RealDisk.open_read(&path) {
            // The first segment is made a moment after the folder.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(failed)?,
        };
        file.seek(SeekFrom::Start(self.place.offset))
            .map_err(failed)?;
        let mut lines = Lines::new(file, LINE_BYTES_MAX);
        while records.len() < max {
            let Some(line) = lines.next().map_err(failed)? else {
                return Ok(());
            };
            if line.is_torn(LINE_BYTES_MAX) {
                return Ok(());
            }
            let number = self.place.lines.saturating_add(1);
            let refuse = |fault| ReadError::Record {
                file: path.clone(),
                line: number,
                seq: self.chain.size(),
                fault,
            };
            if let Some(what) = line.length_fault(LINE_BYTES_MAX) {
                return Err(refuse(LineFault::Length(what)));
            }
            // A copy, so that a line that is refused can be asked for again.
            let mut chain = self.chain.clone();
            let view = chain.check(line.bytes, &self.owner).map_err(refuse)?;
            records.push(StoredRecord::of(&view, line.bytes, *chain.prev()));
            self.chain = chain;
            self.place.pass(line.bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes what others find")]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Fact, HostKey, Kind, Ledger, LedgerOptions, Recorder as _};

    #[test]
    fn hears_each_record_once_over_segments_and_while_the_writer_is_at_work() {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(HostKey::generate("host.example").unwrap());
        let mut options = LedgerOptions::new(dir.path(), "default", "run-1", key);
        options.segment_bytes_max = 2_000;
        let ledger = Ledger::open(&options).unwrap();
        let mut tail = Tail::open(dir.path()).unwrap();
        let mut heard = Vec::new();
        for round in 0..30 {
            let fact = Fact::new(Kind::StepStart, "default/host").with("step", "s");
            ledger
                .append(fact.with("path", format!("{round}")))
                .unwrap();
            ledger.checkpoint_blocking().unwrap();
            heard.extend(tail.more(7).unwrap());
        }
        ledger.close_blocking().unwrap();
        loop {
            let more = tail.more(7).unwrap();
            if more.is_empty() {
                break;
            }
            heard.extend(more);
        }
        assert!(dir.path().join(layout::segment(1)).exists());
        let numbers: Vec<u64> = heard.iter().map(|record| record.seq).collect();
        let all = read_run(dir.path()).unwrap().count() as u64;
        assert_eq!(numbers, (0..all).collect::<Vec<_>>());
    }

    #[test]
    fn who_keeps_no_record_hears_the_same_whenever_it_looks() {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(HostKey::generate("host.example").unwrap());
        let mut options = LedgerOptions::new(dir.path(), "default", "run-1", key);
        options.segment_bytes_max = 300_000;
        let ledger = Ledger::open(&options).unwrap();
        let mut tail = Tail::open(dir.path()).unwrap();
        assert!(tail.lent().unwrap().is_empty());
        let mut heard = Vec::new();
        let mut hear = |tail: &mut Tail| {
            loop {
                let batch = tail.lent().unwrap();
                if batch.is_empty() {
                    return;
                }
                heard.extend(batch.records().map(|record| record.to_stored()));
            }
        };
        for records in [1, 900, 2, 1_500, 0, 40] {
            for number in 0..records {
                let fact = Fact::new(Kind::StepStart, "default/host").with("step", "s");
                ledger
                    .append(fact.with("path", format!("{number}")))
                    .unwrap();
            }
            ledger.checkpoint_blocking().unwrap();
            hear(&mut tail);
        }
        ledger.close_blocking().unwrap();
        hear(&mut tail);
        assert!(dir.path().join(layout::segment(1)).exists());
        let all: Vec<_> = read_run(dir.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(heard, all);
    }

    #[test]
    fn what_is_wrong_is_told_once_all_before_it_was_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(HostKey::generate("host.example").unwrap());
        let options = LedgerOptions::new(dir.path(), "default", "run-1", key);
        let ledger = Ledger::open(&options).unwrap();
        for path in ["one", "two", "three"] {
            let fact = Fact::new(Kind::StepStart, "default/host").with("step", "s");
            ledger.append(fact.with("path", path)).unwrap();
        }
        ledger.close_blocking().unwrap();
        let path = dir.path().join(layout::segment(0));
        let text = std::fs::read_to_string(&path).unwrap();
        let lent = |text: &str, records: usize| {
            std::fs::write(&path, text).unwrap();
            let mut tail = Tail::open(dir.path()).unwrap();
            assert_eq!(tail.lent().unwrap().len(), records, "{text}");
            tail
        };
        let (half, _) = text.split_at(text.len() - 9);
        let mut tail = lent(half, 2);
        assert!(tail.lent().unwrap().is_empty());
        std::fs::write(&path, &text).unwrap();
        assert_eq!(tail.lent().unwrap().len(), 1);
        // In the chain of nobody, as the record behind it says.
        let mut tail = lent(&text.replace("\"two\"", "\"TWO\""), 2);
        assert!(matches!(tail.lent(), Err(ReadError::Record { seq: 2, .. })));
        let mut tail = lent(&format!("{text}no record\n"), 3);
        assert!(matches!(
            tail.lent(),
            Err(ReadError::Record {
                seq: 3,
                line: 4,
                ..
            })
        ));
        let long = "x".repeat(AT_ONCE_BYTES);
        let mut tail = lent(&format!("{text}{long}"), 3);
        assert!(matches!(
            tail.lent(),
            Err(ReadError::Record {
                seq: 3,
                fault: LineFault::Length(_),
                ..
            })
        ));
    }

    #[test]
    fn a_half_written_line_is_left_for_later_and_an_altered_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(HostKey::generate("host.example").unwrap());
        let options = LedgerOptions::new(dir.path(), "default", "run-1", key);
        let ledger = Ledger::open(&options).unwrap();
        ledger
            .append(Fact::new(Kind::RunStart, "default/host"))
            .unwrap();
        ledger.close_blocking().unwrap();
        let path = dir.path().join(layout::segment(0));
        let text = std::fs::read_to_string(&path).unwrap();
        let (half, rest) = text.split_at(text.len() / 2);
        std::fs::write(&path, half).unwrap();
        let mut tail = Tail::open(dir.path()).unwrap();
        assert_eq!(tail.more(9).unwrap().len(), 0);
        std::fs::write(&path, format!("{half}{rest}")).unwrap();
        assert_eq!(tail.more(9).unwrap().len(), 1);
        std::fs::write(
            &path,
            format!("{text}{}", text.replace("run.start", "run.fresh")),
        )
        .unwrap();
        assert!(matches!(
            tail.more(9),
            Err(ReadError::Record { seq: 1, .. })
        ));
    }
}
