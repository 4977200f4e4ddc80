//! Stored lines in bulk: looked at in chunks, on several threads, and handed out one by one.
//!
//! Almost every line of a sound ledger is plain: canonical, of this ledger, of a kind that only has to be
//! hashed. That much is decided here, from the line alone and without allocating for it. Whether a line
//! follows from the one before stays with [`crate::chain`], and a line that is anything but plain is
//! given to the one parser that knows every rule and every fault ([`crate::record::View`]): so this file can
//! only ever make a verification faster, never another. Property tests compare the two, line by line and
//! report by report. The nodes of the tree within a chunk are made here, too, so that whoever joins the chunks
//! has next to nothing to hash.

use std::io;
use std::sync::Arc;

use crate::canonical;
use crate::checkpoint::parse_decimal;
use crate::chunks::{Chunk, Chunks, Effort};
use crate::disk::ReadSeek;
use crate::merkle::{Hash, Joins, Subtree, leaf_hash};
use crate::record::{FORMAT, LINE_BYTES_MAX, Owner, commit_is_valid, ts_is_valid};
use crate::records::Kind;

/// A line that is plain, as far as it can be judged alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) seq: u64,
    pub(crate) prev: Hash,
    pub(crate) leaf: Hash,
    /// What it closes of the tree, as far as that lies within its chunk.
    pub(crate) whole: Subtree,
    /// Where its commitment is in the line.
    commit: Option<(usize, usize)>,
}

impl Plain {
    /// Looks at a line (without LF) behind those that `joins` has taken; `None` if the parser must.
    pub(crate) fn of(line: &[u8], owner: &Owner, joins: &mut Joins) -> Option<Self> {
        let (mut seq, mut prev, mut commit, mut known) = (None, None, None, 0_u32);
        let sound = canonical::scan_plain(line, &mut |name, text, at| {
            let fits = match name {
                "actor" => true,
                "commit" => {
                    commit = Some((at, at + text?.len()));
                    return Some(commit_is_valid(text?));
                }
                "kind" => is_ordinary(text?),
                "prev" => {
                    prev = small_hex(text?);
                    prev.is_some()
                }
                "run" => text? == owner.run,
                "seq" => {
                    seq = parse_decimal(text?);
                    seq.is_some()
                }
                "tenant" => text? == owner.tenant,
                "ts" => ts_is_valid(text?),
                "v" => text? == FORMAT,
                _ => return Some(true),
            };
            known += 1;
            Some(fits)
        });
        // The eight fields that each record has, each of them once, because names are in order.
        (sound == Some(true) && known == 8).then_some(())?;
        let (seq, prev) = (seq?, prev?);
        let leaf = leaf_hash(line);
        Some(Self {
            seq,
            prev,
            leaf,
            whole: joins.take(seq, leaf),
            commit,
        })
    }
}

impl Plain {
    /// Whether the record has a payload, or had one.
    pub(crate) const fn has_commit(&self) -> bool {
        self.commit.is_some()
    }
}

/// What is no digit: a bit that no digit's value has.
const NO_DIGIT: u8 = 0x80;

/// A hash in small hexadecimal digits; another spelling of it is not the ledger's. Whether all are digits is
/// asked once at the end, because every line has sixty-four of them.
pub(crate) fn small_hex(text: &str) -> Option<Hash> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let (pairs, _) = digits.as_chunks::<2>();
    let (mut hash, mut seen) = (Hash::default(), 0);
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        let [high, low] = *pair;
        let (high, low) = (digit(high), digit(low));
        seen |= high | low;
        *byte = (high << 4) | low;
    }
    (seen & NO_DIGIT == 0).then_some(hash)
}

/// Without a branch where the compiler wants none: all bytes are looked at whatever the first of them is.
#[inline]
const fn digit(byte: u8) -> u8 {
    let (number, letter) = (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a'));
    if number < 10 {
        number
    } else if letter < 6 {
        letter + 10
    } else {
        NO_DIGIT
    }
}

/// Whether nothing but the hash of such a record matters to a verifier.
fn is_ordinary(kind: &str) -> bool {
    !matches!(
        Kind::parse(kind),
        None | Some(
            Kind::RunStart
                | Kind::RunEnd
                | Kind::RunResume
                | Kind::RunRemove
                | Kind::RunRestore
                | Kind::RunPause
                | Kind::Erasure
                | Kind::Recovery
                | Kind::KeyRotate
                | Kind::ViewWrite
        )
    )
}

/// One line as it was stored.
pub(crate) struct Row<'a> {
    /// Its bytes without the LF.
    pub(crate) bytes: &'a [u8],
    /// Whether it ended with LF; if not, it is the file's last or over the bound.
    pub(crate) complete: bool,
    /// Where it starts in the file, in bytes.
    pub(crate) offset: u64,
    /// Its number in the file, from 1.
    pub(crate) number: u64,
    /// What could be judged of it alone.
    pub(crate) plain: Option<&'a Plain>,
}

impl<'a> Row<'a> {
    /// The commitment of a plain line.
    pub(crate) fn commit(&self) -> Option<&'a str> {
        let (start, end) = self.plain?.commit?;
        std::str::from_utf8(self.bytes.get(start..end)?).ok()
    }

    /// What is wrong with its length, in the words of a fault.
    pub(crate) const fn length_fault(&self) -> Option<&'static str> {
        match (self.complete, self.bytes.len() > LINE_BYTES_MAX) {
            (_, true) => Some("too long"),
            (false, _) => Some("cut off: it has no line end"),
            _ => None,
        }
    }

    /// Whether the file's end cuts it off, as a kill while writing leaves it.
    pub(crate) const fn is_torn(&self) -> bool {
        !self.complete && self.bytes.len() <= LINE_BYTES_MAX
    }
}

/// Whole lines of a file, and what is known of them.
#[derive(Default)]
struct Looked {
    bytes: Vec<u8>,
    /// Where each line ends, its LF included, and whether it is plain.
    ends: Vec<(usize, bool)>,
    /// What is known of the plain ones, in order. Apart, because a chunk of nothing but line ends would else take
    /// hundreds of times its bytes.
    plain: Vec<Plain>,
}

impl Chunk for Looked {
    fn lines(&mut self) -> &mut Vec<u8> {
        self.ends.clear();
        self.plain.clear();
        &mut self.bytes
    }
}

impl Looked {
    fn look(&mut self, owner: &Owner, effort: Effort) {
        let (mut start, mut joins) = (0, Joins::default());
        for lf in memchr::memchr_iter(b'\n', &self.bytes) {
            let line = self
                .bytes
                .get(start..lf)
                .filter(|line| line.len() <= LINE_BYTES_MAX && effort.looks);
            let plain = line.and_then(|line| Plain::of(line, owner, &mut joins));
            if plain.is_none() {
                // Nobody knows yet which record it is, so nothing is joined across it.
                joins.forget();
            }
            start = lf + 1;
            self.ends.push((start, plain.is_some()));
            self.plain.extend(plain);
        }
        // What the file's end or the bound of a line cuts off.
        if start < self.bytes.len() {
            self.ends.push((self.bytes.len(), false));
        }
    }
}

/// The lines of one segment, in order.
pub(crate) struct Rows {
    chunks: Chunks<Looked>,
    current: Looked,
    /// The next line of the current chunk, where it starts there, and how many plain ones are before it.
    line: usize,
    start: usize,
    plain: usize,
    offset: u64,
    number: u64,
}

impl Rows {
    /// `file_bytes` decides whether threads are worth it.
    pub(crate) fn new(
        file: Box<dyn ReadSeek>,
        file_bytes: u64,
        owner: &Owner,
        effort: Effort,
    ) -> Self {
        let owner = owner.clone();
        let look = move |chunk: &mut Looked| chunk.look(&owner, effort);
        Self {
            chunks: Chunks::new(file, (file_bytes, LINE_BYTES_MAX), effort, Arc::new(look)),
            current: Looked::default(),
            line: 0,
            start: 0,
            plain: 0,
            offset: 0,
            number: 0,
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        while self.line >= self.current.ends.len() {
            let used = std::mem::take(&mut self.current);
            let Some(chunk) = self.chunks.next(used)? else {
                return Ok(None);
            };
            self.current = chunk;
            self.line = 0;
            self.start = 0;
            self.plain = 0;
        }
        let Some((end, is_plain)) = self.current.ends.get(self.line) else {
            return Ok(None);
        };
        let bytes = self.current.bytes.get(self.start..*end).unwrap_or_default();
        let plain = self.current.plain.get(self.plain).filter(|_| *is_plain);
        self.plain += usize::from(*is_plain);
        let offset = self.offset;
        self.line += 1;
        self.start = *end;
        self.offset += bytes.len() as u64;
        self.number += 1;
        let cut = bytes.strip_suffix(b"\n");
        Ok(Some(Row {
            bytes: cut.unwrap_or(bytes),
            complete: cut.is_some(),
            offset,
            number: self.number,
            plain,
        }))
    }

    /// How many bytes were handed out so far.
    pub(crate) const fn position(&self) -> u64 {
        self.offset
    }
}

#[cfg(test)]
mod tests;
