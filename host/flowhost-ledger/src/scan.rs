//! Walks a stored ledger before it is opened: what is sound, where it ends, what is torn.
//!
//! A torn tail is what a crash can leave and nothing else: bytes that are no record, at the end
//! of the last segment, beyond what a note signs, with no record behind them. There is one more
//! shape of it: one unsynced batch covers several sectors of the disk, and a loss of power may keep
//! a later one and lose an earlier one, which then reads as zeros. So whole records behind a hole
//! of zeros that fills 512-byte sectors (or the rest of the one in which the last sync ended) belong to the torn tail too. Any other
//! damage with a record behind it is corruption. Must never change a byte.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::chain::Chain;
use crate::checkpoint::{NOTE_BYTES_MAX, Note, NoteError, parse_decimal};
use crate::chunks::Effort;
use crate::disk::Source;
use crate::head::Runs;
use crate::layout;
use crate::lines::{Line, Lines};
use crate::merkle::Hash;
use crate::payloads::{self, PAYLOAD_LINE_BYTES_MAX};
use crate::record::{LINE_BYTES_MAX, LineFault, Owner, View};
use crate::records::Kind;
use crate::rows::{Row, Rows};

/// What a disk writes at once, in bytes; a lost one reads as zeros.
const SECTOR: u64 = 512;

/// Why a stored ledger cannot be continued.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    Corrupt {
        file: PathBuf,
        offset: u64,
        line: u64,
        seq: u64,
        what: String,
    },
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The end of a file that a crash left half written.
#[derive(Debug, Clone)]
pub(crate) struct Torn {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// SHA-256 over the bytes that are to be cut.
    pub(crate) hash: Hash,
}

/// What the segments say.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) chain: Chain,
    pub(crate) root_at_signed: Option<Hash>,
    /// The last segment's number.
    pub(crate) index: u32,
    pub(crate) torn: Option<Torn>,
    /// Records with a commitment that no note covers: a crash may have taken their payloads.
    pub(crate) commits: BTreeSet<u64>,
    pub(crate) erased: BTreeSet<u64>,
    /// What the records say of runs, where they are those of the index.
    pub(crate) runs: Runs,
    /// How the run ended, or stopped for the last time; none where it never did, or has gone on since.
    pub(crate) status: Option<String>,
    /// Keys that `key.rotate` records brought in.
    pub(crate) new_keys: Vec<String>,
}

/// The segment files of a ledger, in order and without a gap.
pub(crate) fn segment_files(disk: &dyn Source, dir: &Path) -> Result<Vec<String>, ScanError> {
    let entries = disk.list(dir)?;
    let names: Vec<String> = entries
        .into_iter()
        .map(|entry| entry.name)
        .filter(|name| layout::numbered(name, "seg-").is_some())
        .collect();
    for (index, name) in (0_u32..).zip(&names) {
        if *name != layout::segment(index) {
            let what = format!("{} is missing before it", layout::segment(index));
            let file = dir.join(name);
            return Err(ScanError::Corrupt {
                file,
                offset: 0,
                line: 0,
                seq: 0,
                what,
            });
        }
    }
    Ok(names)
}

/// Reads all segments; `signed` is how many records the newest note covers.
pub(crate) fn segments(
    disk: &dyn Source,
    dir: &Path,
    owner: &Owner,
    signed: u64,
) -> Result<State, ScanError> {
    let mut state = State::default();
    let names = segment_files(disk, dir)?;
    let last = names.len().saturating_sub(1);
    for (at, name) in names.iter().enumerate() {
        state.index = u32::try_from(at).unwrap_or(u32::MAX);
        let path = dir.join(name);
        let file_bytes = disk.len(&path)?;
        let effort = Effort::of_this_machine();
        let mut rows = Rows::new(disk.open_read(&path)?, file_bytes, owner, effort);
        state.note_root(signed);
        while let Some(row) = rows.next()? {
            let Err(fault) = state.take(&row, owner, signed) else {
                continue;
            };
            let (offset, number) = (row.offset, row.number);
            if at < last {
                return Err(state.corrupt(path, offset, number, &fault.to_string()));
            }
            state.torn = Some(state.tear(disk, &path, offset, number, &fault)?);
            break;
        }
        if at < last && rows.position() == 0 {
            return Err(state.corrupt(path, 0, 0, "it is empty and not the last segment"));
        }
    }
    state.note_root(signed);
    Ok(state)
}

impl State {
    fn corrupt(&self, file: PathBuf, offset: u64, line: u64, what: &str) -> ScanError {
        ScanError::Corrupt {
            file,
            offset,
            line,
            seq: self.chain.size(),
            what: what.to_owned(),
        }
    }

    fn note_root(&mut self, signed: u64) {
        if self.chain.size() == signed {
            self.root_at_signed = Some(self.chain.root());
        }
    }

    fn take(&mut self, row: &Row<'_>, owner: &Owner, signed: u64) -> Result<(), LineFault> {
        if let Some(what) = row.length_fault() {
            return Err(LineFault::Length(what));
        }
        // Almost every line is one of which only this much matters; whatever is wrong with another, the parser has
        // the words.
        if let Some(plain) = row.plain
            && self.chain.take(plain)
        {
            if plain.has_commit() && plain.seq >= signed {
                self.commits.insert(plain.seq);
            }
            self.note_root(signed);
            return Ok(());
        }
        let view = self.chain.check(row.bytes, owner)?;
        if view.commit.is_some() && view.seq >= signed {
            self.commits.insert(view.seq);
        }
        self.stands(&view);
        match view.kind() {
            Some(Kind::Erasure) => self.erased.extend(erased_by(&view)),
            kind @ Some(Kind::RunStart | Kind::RunResume | Kind::RunEnd | Kind::RunRemove) => {
                let run = view.field("run_id").and_then(|run| run.text());
                let parent = view.field("parent").and_then(|run| run.text());
                self.runs.enter(kind, run, parent);
            }
            Some(Kind::KeyRotate) => {
                let key = view
                    .field("new")
                    .and_then(|value| value.text().map(str::to_owned));
                self.new_keys.extend(key);
            }
            _ => {}
        }
        self.note_root(signed);
        Ok(())
    }

    /// Hears how the run stands after a record.
    fn stands(&mut self, view: &View<'_>) {
        let said = view.field("status").and_then(|status| status.text());
        match (view.kind(), said) {
            (Some(Kind::RunEnd | Kind::RunPause), Some(status)) => {
                self.status = Some(status.to_owned());
            }
            (Some(Kind::RunResume), _) => self.status = None,
            _ => {}
        }
    }

    /// Decides whether what starts at `offset` of the last segment is a torn tail.
    fn tear(
        &self,
        disk: &dyn Source,
        path: &Path,
        offset: u64,
        number: u64,
        fault: &LineFault,
    ) -> Result<Torn, ScanError> {
        let len = disk.len(path)?;
        let refuse = |what: String| Err(self.corrupt(path.to_owned(), offset, number, &what));
        let mut lines = Lines::new(disk.open_read(path)?, LINE_BYTES_MAX);
        let mut all_holes = true;
        while let Some(line) = lines.next()? {
            if line.offset < offset {
                continue;
            }
            match View::parse(line.bytes) {
                Ok(_) if !line.complete => {}
                Ok(view)
                    if line.offset == offset || view.seq <= self.chain.size() || !all_holes =>
                {
                    let what = match line.offset == offset {
                        true => fault.to_string(),
                        false => format!("{fault}; record {} lies behind it", view.seq),
                    };
                    return refuse(what);
                }
                Ok(_) => {}
                Err(_) => all_holes &= has_lost_sector(&line, offset, len),
            }
        }
        let hash = hash_from(disk, path, offset)?;
        Ok(Torn {
            path: path.to_owned(),
            offset,
            len: len - offset,
            hash,
        })
    }
}

/// Whether the line covers a sector of the file that holds nothing but zeros. A sync may have ended
/// within a sector, so where the tail starts (`tail`, always the start of a line) counts as one.
fn has_lost_sector(line: &Line<'_>, tail: u64, file_len: u64) -> bool {
    let mut start = line.offset;
    if start != tail {
        start = start.next_multiple_of(SECTOR);
    }
    let end = line.offset + line.bytes.len() as u64;
    while start < end {
        let stop = (start + 1)
            .next_multiple_of(SECTOR)
            .min(file_len)
            .max(start + 1);
        let range = usize::try_from(start - line.offset).unwrap_or(usize::MAX)
            ..usize::try_from(stop - line.offset).unwrap_or(usize::MAX);
        if line
            .bytes
            .get(range)
            .is_some_and(|sector| sector.iter().all(|byte| *byte == 0))
        {
            return true;
        }
        start = stop;
    }
    false
}

fn hash_from(disk: &dyn Source, path: &Path, offset: u64) -> io::Result<Hash> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = disk.open_read(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(buffer.get(..len).unwrap_or_default());
    }
}

/// The records whose payloads an `erasure` record says are gone.
pub(crate) fn erased_by(view: &View<'_>) -> Vec<u64> {
    let Some(value) = view.field("seqs").map(crate::canonical::Parsed::to_value) else {
        return Vec::new();
    };
    let seqs = value.as_list().unwrap_or_default().iter();
    // An erasure can only speak of records before it.
    seqs.filter_map(|seq| parse_decimal(seq))
        .filter(|seq| *seq < view.seq)
        .collect()
}

/// Prints numbers as ranges (`"3"`, `"5-9"`).
pub(crate) fn ranges(numbers: &BTreeSet<u64>) -> Vec<String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, end)) if *end + 1 == *number => *end = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let print = |(start, end): (u64, u64)| match start == end {
        true => start.to_string(),
        false => format!("{start}-{end}"),
    };
    ranges.into_iter().map(print).collect()
}

/// Reads what [`ranges`] printed.
pub(crate) fn parse_ranges(items: &[String]) -> Vec<(u64, u64)> {
    let parse = |item: &String| match item.split_once('-') {
        None => parse_decimal(item).map(|one| (one, one)),
        Some((start, end)) => Some((parse_decimal(start)?, parse_decimal(end)?)),
    };
    items.iter().filter_map(parse).collect()
}

/// What the payload files say.
#[derive(Debug, Default)]
pub(crate) struct PayloadState {
    pub(crate) torn: Option<Torn>,
    /// Records of `commits` without a payload.
    pub(crate) lost: BTreeSet<u64>,
}

/// Reads all payload files of a ledger of `size` records.
pub(crate) fn payloads(
    disk: &dyn Source,
    dir: &Path,
    size: u64,
    commits: &BTreeSet<u64>,
) -> Result<PayloadState, ScanError> {
    let mut state = PayloadState {
        torn: None,
        lost: commits.clone(),
    };
    let names = payloads::files(disk, dir)?;
    let last = names.len().saturating_sub(1);
    for (at, name) in names.iter().enumerate() {
        let path = dir.join(name);
        let sound = payloads::walk(disk, &path, &mut |seq| {
            let is_of_a_record = seq < size;
            if is_of_a_record {
                state.lost.remove(&seq);
            }
            is_of_a_record
        })?;
        if sound == disk.len(&path)? {
            continue;
        }
        // Something is wrong with what comes now, and every line behind it says what.
        let mut lines = Lines::new(disk.open_read(&path)?, PAYLOAD_LINE_BYTES_MAX);
        while let Some(line) = lines.next()? {
            if line.offset < sound {
                continue;
            }
            let found = payloads::glance(line.bytes).ok().filter(|_| line.complete);
            let (offset, number) = (line.offset, line.number);
            match found.map(|(seq, _)| seq).filter(|seq| *seq < size) {
                Some(seq) if state.torn.is_none() => {
                    state.lost.remove(&seq);
                }
                // Payloads are synced before their records are written, so nothing that belongs
                // to a record can lie behind a torn one.
                Some(seq) => {
                    let what = format!("payload {seq} lies behind bytes that are not a payload");
                    return Err(ScanError::Corrupt {
                        file: path,
                        offset,
                        line: number,
                        seq,
                        what,
                    });
                }
                None if at < last => {
                    let what = "no payload of a record".to_owned();
                    return Err(ScanError::Corrupt {
                        file: path,
                        offset,
                        line: number,
                        seq: 0,
                        what,
                    });
                }
                None if state.torn.is_none() => {
                    let len = disk.len(&path)? - offset;
                    let hash = hash_from(disk, &path, offset)?;
                    state.torn = Some(Torn {
                        path: path.clone(),
                        offset,
                        len,
                        hash,
                    });
                }
                None => {}
            }
        }
    }
    Ok(state)
}

/// Why a witness file is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The file cannot be read.
    #[error("the witness file cannot be read")]
    Io(#[from] io::Error),
    /// It is not there.
    #[error("the file does not exist")]
    Missing,
    /// Something in it is no note.
    #[error("the bytes from {offset} on are not a note")]
    Note {
        /// Where the note starts.
        offset: u64,
        /// What is wrong with it.
        #[source]
        source: NoteError,
    },
    /// It holds nothing, so it could never show that anything is missing.
    #[error("the witness file holds no note")]
    Empty,
}

/// The notes that `--witness` appended to a file, for [`crate::VerifyOptions::witnessed`]. They may
/// be of several runs.
///
/// # Errors
/// [`WitnessError`].
pub fn read_witness(disk: &dyn Source, path: &Path) -> Result<Vec<Note>, WitnessError> {
    let mut log = NoteLog::open(disk, path)?.ok_or(WitnessError::Missing)?;
    let mut notes = Vec::new();
    while let Some(LoggedNote { note, offset, .. }) = log.next()? {
        notes.push(note.map_err(|source| WitnessError::Note { offset, source })?);
    }
    if notes.is_empty() {
        return Err(WitnessError::Empty);
    }
    Ok(notes)
}

/// Reads the notes of `checkpoints.log` one by one.
pub(crate) struct NoteLog {
    lines: Lines,
    /// The first line of the next note, read while looking for the end of the one before.
    pending: Vec<u8>,
    offset: u64,
}

/// One note of the log.
pub(crate) struct LoggedNote {
    pub(crate) note: Result<Note, NoteError>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl NoteLog {
    pub(crate) fn open(disk: &dyn Source, path: &Path) -> io::Result<Option<Self>> {
        match disk.open_read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(file) => {
                let lines = Lines::new(file, NOTE_BYTES_MAX);
                Ok(Some(Self {
                    lines,
                    pending: Vec::new(),
                    offset: 0,
                }))
            }
        }
    }

    /// The next note: it ends before a line that follows a signature and is none itself.
    pub(crate) fn next(&mut self) -> io::Result<Option<LoggedNote>> {
        let mut bytes = std::mem::take(&mut self.pending);
        let mut signed = false;
        while bytes.len() <= NOTE_BYTES_MAX {
            let Some(line) = self.lines.next()? else {
                break;
            };
            let signature = line.bytes.starts_with("\u{2014} ".as_bytes());
            let target = if signed && !signature {
                &mut self.pending
            } else {
                &mut bytes
            };
            target.extend_from_slice(line.bytes);
            target.extend_from_slice(if line.complete { b"\n" } else { b"" });
            if signed && !signature {
                break;
            }
            signed |= signature;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let (offset, len) = (self.offset, bytes.len() as u64);
        self.offset += len;
        Ok(Some(LoggedNote {
            note: Note::parse(&bytes),
            offset,
            len,
        }))
    }
}

#[cfg(test)]
mod tests;
