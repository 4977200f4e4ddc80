//! Where the payloads of a ledger lie: each line of each file is looked at once, by several threads where a file is
//! large, and no payload's bytes are kept.

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
pub(super) struct Places {
    pub(super) files: Vec<PathBuf>,
    /// By the number of the record, each once.
    all: Vec<(u64, Place)>,
}

impl Places {
    pub(super) fn read(disk: &dyn Source, dir: &Path) -> Result<Self, PayloadError> {
        let mut places = Self {
            files: Vec::new(),
            all: Vec::new(),
        };
        for name in files(disk, dir)? {
            places.read_file(disk, dir.join(&name), &name)?;
        }
        if !places
            .all
            .is_sorted_by(|(before, _), (after, _)| before < after)
        {
            // No writer left it so. Of two lines for one record the later counts.
            places.all.sort_by_key(|(seq, _)| *seq);
            places.all.dedup_by(|later, earlier| {
                let is_same = later.0 == earlier.0;
                if is_same {
                    std::mem::swap(later, earlier);
                }
                is_same
            });
        }
        Ok(places)
    }

    fn read_file(
        &mut self,
        disk: &dyn Source,
        path: PathBuf,
        name: &str,
    ) -> Result<(), PayloadError> {
        let bounds = (disk.len(&path)?, PAYLOAD_LINE_BYTES_MAX);
        let effort = Effort::of_this_machine();
        let mut chunks = Chunks::new(disk.open_read(&path)?, bounds, effort, Arc::new(Seen::look));
        let (mut offset, mut number) = (0, 0);
        let mut seen = Seen::default();
        while let Some(chunk) = chunks.next(seen)? {
            seen = chunk;
            for line in seen.lines.drain(..) {
                number += 1;
                let (seq, of) = line.found.map_err(|what| PayloadError::Malformed {
                    file: name.to_owned(),
                    line: number,
                    what,
                })?;
                let place = Place {
                    file: self.files.len(),
                    offset,
                    len: line.len,
                    of,
                };
                self.all.push((seq, place));
                offset += line.stored;
            }
        }
        self.files.push(path);
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
