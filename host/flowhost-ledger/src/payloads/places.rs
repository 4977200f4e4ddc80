//! Where the payloads of a ledger lie: each line of each file is looked at once, by several threads where a file is
//! large, and no payload's bytes are kept.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{PAYLOAD_LINE_BYTES_MAX, PayloadError, files, glance};
use crate::chunks::{Chunk, Chunks, Effort};
use crate::disk::Source;

/// Where a payload lies.
pub(super) struct Place {
    /// Which of the files.
    pub(super) file: usize,
    pub(super) offset: u64,
    /// Bytes of its line, without the LF.
    pub(super) len: u64,
    /// The record whose line has the bytes, where this one only names it.
    pub(super) of: Option<u64>,
}

/// All payload files, and where the payload of each record lies in them.
#[derive(Default)]
pub(super) struct Places {
    pub(super) files: Vec<PathBuf>,
    /// By the number of the record, each once.
    all: Vec<(u64, Place)>,
    /// How far the last of the files was read, which may have grown since.
    last: Reached,
}

/// How far a file was read.
#[derive(Default, Clone, Copy)]
struct Reached {
    /// In bytes.
    offset: u64,
    /// In lines.
    lines: u64,
}

/// Where the reading ends, and whether somebody may be writing the last line of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nobody is: a line without its end is a fault or the last one.
    Settled,
    /// Somebody may be: such a line is left for the next time.
    Growing,
    /// Nobody wants what stands behind the payload of this record.
    At(u64),
}

impl Places {
    pub(super) fn read(disk: &dyn Source, dir: &Path) -> Result<Self, PayloadError> {
        let mut places = Self::default();
        places.read_on(disk, dir, End::Settled)?;
        Ok(places)
    }

    /// Those of records up to `last`.
    pub(super) fn read_to(disk: &dyn Source, dir: &Path, last: u64) -> Result<Self, PayloadError> {
        let mut places = Self::default();
        places.read_on(disk, dir, End::At(last))?;
        Ok(places)
    }

    /// Those that have come since the last time. A half-written last line is left for the next one.
    pub(super) fn more(&mut self, disk: &dyn Source, dir: &Path) -> Result<(), PayloadError> {
        self.read_on(disk, dir, End::Growing)
    }

    fn read_on(&mut self, disk: &dyn Source, dir: &Path, end: End) -> Result<(), PayloadError> {
        // What was known is in order: a ledger that grows is looked at many times.
        let sorted = self.all.len().saturating_sub(1);
        let read = self.read_files(disk, dir, end);
        // Also where the reading has failed: what it found before stays, and is taken to be in order the next time.
        let new = self.all.get(sorted..).unwrap_or_default();
        if !new.is_sorted_by(|(before, _), (after, _)| before < after) {
            // No writer left it so. Of two lines for one record the later counts.
            self.all.sort_by_key(|(seq, _)| *seq);
            self.all.dedup_by(|later, earlier| {
                let is_same = later.0 == earlier.0;
                if is_same {
                    std::mem::swap(later, earlier);
                }
                is_same
            });
        }
        read
    }

    /// Reads those files that are new, and what has come in the last one that is known.
    fn read_files(&mut self, disk: &dyn Source, dir: &Path, end: End) -> Result<(), PayloadError> {
        // A writer goes on to the next file only when this one is whole, so only the last one can have grown.
        let known = self.files.len().saturating_sub(1);
        for (place, name) in files(disk, dir)?.into_iter().enumerate().skip(known) {
            let path = dir.join(&name);
            if place == self.files.len() {
                self.files.push(path.clone());
                self.last = Reached::default();
            }
            self.read_file(disk, &path, &name, end)?;
            if self.reaches(end) {
                break;
            }
        }
        Ok(())
    }

    /// Whether all was read that is wanted. Payloads stand in the order of their records.
    fn reaches(&self, end: End) -> bool {
        let newest = self.all.last().map(|(seq, _)| *seq);
        matches!((end, newest), (End::At(last), Some(newest)) if newest >= last)
    }

    /// Reads the last of the files from where it was left.
    fn read_file(
        &mut self,
        disk: &dyn Source,
        path: &Path,
        name: &str,
        end: End,
    ) -> Result<(), PayloadError> {
        let file = self.files.len().saturating_sub(1);
        let from = self.last.offset;
        let bounds = (disk.len(path)?.saturating_sub(from), PAYLOAD_LINE_BYTES_MAX);
        let mut opened = disk.open_read(path)?;
        opened.seek(SeekFrom::Start(from))?;
        let effort = Effort::of_this_machine();
        let mut chunks = Chunks::new(opened, bounds, effort, Arc::new(Seen::look));
        let mut seen = Seen::default();
        while let Some(chunk) = chunks.next(seen)? {
            seen = chunk;
            for line in seen.lines.drain(..) {
                if end == End::Growing && line.stored == line.len {
                    return Ok(());
                }
                let (seq, of) = line.found.map_err(|what| PayloadError::Malformed {
                    file: name.to_owned(),
                    line: self.last.lines + 1,
                    what,
                })?;
                let place = Place {
                    file,
                    offset: self.last.offset,
                    len: line.len,
                    of,
                };
                self.all.push((seq, place));
                self.last.offset += line.stored;
                self.last.lines += 1;
                if self.reaches(end) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Place> {
        let at = self.all.binary_search_by_key(&seq, |(seq, _)| *seq);
        self.all.get(at.ok()?).map(|(_, place)| place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Place)> {
        self.all.iter().map(|(seq, place)| (*seq, place))
    }
}

/// Goes through the payloads of a file for as long as its lines are whole and `take` wants the records that they are of.
/// Gives how many bytes those lines have.
pub(crate) fn walk(
    disk: &dyn Source,
    path: &Path,
    take: &mut dyn FnMut(u64) -> bool,
) -> io::Result<u64> {
    let bounds = (disk.len(path)?, PAYLOAD_LINE_BYTES_MAX);
    let (file, effort) = (disk.open_read(path)?, Effort::of_this_machine());
    let mut chunks = Chunks::new(file, bounds, effort, Arc::new(Seen::look));
    let (mut seen, mut walked) = (Seen::default(), 0);
    while let Some(chunk) = chunks.next(seen)? {
        seen = chunk;
        for line in seen.lines.drain(..) {
            let is_whole = line.stored > line.len;
            match line.found {
                Ok((seq, _)) if is_whole && take(seq) => walked += line.stored,
                _ => return Ok(walked),
            }
        }
    }
    Ok(walked)
}

/// Lines that were looked at together.
#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

struct Line {
    /// Bytes without and with the LF.
    len: u64,
    stored: u64,
    /// Whose payload it holds, and who has the bytes; or why the line is not one of a payload.
    found: Result<(u64, Option<u64>), String>,
}

impl Chunk for Seen {
    fn lines(&mut self) -> &mut Vec<u8> {
        self.lines.clear();
        &mut self.bytes
    }
}

impl Seen {
    fn look(&mut self) {
        for stored in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = stored.strip_suffix(b"\n").unwrap_or(stored);
            let found = glance(line);
            let is_payload = found.is_ok();
            self.lines.push(Line {
                len: line.len() as u64,
                stored: stored.len() as u64,
                found,
            });
            if !is_payload {
                // Whoever reads ends here, and a chunk of nothing but line ends would take hundreds of times its bytes.
                break;
            }
        }
    }
}
