//! Stored lines in bulk: read in chunks, looked at on several threads, handed out one by one.
//!
//! Almost every line of a sound ledger is plain: canonical, of this ledger, of a kind that only has to be
//! hashed. That much is decided here, from the line alone and without allocating for it. Whether a line
//! follows from the one before stays with [`crate::chain`], and a line that is anything but plain is
//! given to the one parser that knows every rule and every fault ([`crate::record::View`]): so this file can
//! only ever make a verification faster, never another. Property tests compare the two, line by line and
//! report by report. The nodes of the tree within a chunk are made here, too, so that whoever joins the chunks
//! has next to nothing to hash.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::canonical;
use crate::checkpoint::parse_decimal;
use crate::disk::ReadSeek;
use crate::merkle::{Hash, Joins, Subtree, leaf_hash};
use crate::record::{FORMAT, LINE_BYTES_MAX, Owner, commit_is_valid, ts_is_valid};
use crate::records::Kind;

/// Bytes of a chunk: some 600 records, so that handing it to a thread (microseconds) is nothing beside
/// the work on it, and a dozen of them in flight are a few MiB.
const CHUNK_BYTES: usize = 256 * 1024;
/// Most threads: one that reads and joins the chain is busy with what eight others look at, since hashing is
/// most of the work on a line and none of it is left to the one.
const THREADS_MAX: usize = 8;

/// Who looks at lines, and at how many of them at once. Changes how long a verification takes, and nothing of
/// what it finds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Threads that look at chunks; with one, whoever reads does it.
    pub(crate) threads: usize,
    pub(crate) chunk_bytes: usize,
    /// Whether to look at all. Without it every line goes to the parser: what tests compare with.
    pub(crate) looks: bool,
}

impl Effort {
    pub(crate) fn of_this_machine() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            threads: threads.min(THREADS_MAX),
            chunk_bytes: CHUNK_BYTES,
            looks: true,
        }
    }
}

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
fn small_hex(text: &str) -> Option<Hash> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let (pairs, _) = digits.as_chunks::<2>();
    let (mut hash, mut seen) = (Hash::default(), 0);
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        let [high, low] = pair.map(digit);
        seen |= high | low;
        *byte = (high << 4) | low;
    }
    (seen & NO_DIGIT == 0).then_some(hash)
}

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => NO_DIGIT,
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
struct Chunk {
    bytes: Vec<u8>,
    /// Where each line ends, its LF included.
    ends: Vec<(usize, Option<Plain>)>,
}

impl Chunk {
    fn look(&mut self, owner: &Owner, effort: Effort) {
        self.ends.clear();
        let (mut start, mut joins) = (0, Joins::default());
        for lf in memchr::memchr_iter(b'\n', &self.bytes) {
            let line = self.bytes.get(start..lf);
            let line = line.filter(|line| line.len() <= LINE_BYTES_MAX && effort.looks);
            let plain = line.and_then(|line| Plain::of(line, owner, &mut joins));
            if plain.is_none() {
                // Nobody knows yet which record it is, so nothing is joined across it.
                joins.forget();
            }
            start = lf + 1;
            self.ends.push((start, plain));
        }
        // What the file's end or the bound of a line cuts off.
        if start < self.bytes.len() {
            self.ends.push((self.bytes.len(), None));
        }
    }
}

struct Job {
    chunk: Chunk,
    done: SyncSender<Chunk>,
}

/// Threads that look at chunks.
struct Pool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    fn start(effort: Effort, owner: &Arc<Owner>) -> io::Result<Self> {
        let count = effort.threads;
        let (jobs, queue) = sync_channel::<Job>(count * 4);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for _ in 0..count {
            let (queue, owner) = (queue.clone(), owner.clone());
            let thread = std::thread::Builder::new().name("verify".to_owned());
            threads.push(thread.spawn(move || work(&queue, &owner, effort))?);
        }
        Ok(Self {
            jobs: Some(jobs),
            threads,
        })
    }
}

fn work(queue: &Mutex<Receiver<Job>>, owner: &Owner, effort: Effort) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The pool is dropped: that is how its threads are told to end.
        let Ok(mut job) = next else { return };
        job.chunk.look(owner, effort);
        // Whoever asked may have found a fault and gone.
        let _ = job.done.send(job.chunk);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // It does not panic; if it did, its chunk never came and the reader said so.
            let _ = thread.join();
        }
    }
}

/// The lines of one segment, in order.
pub(crate) struct Rows {
    file: Box<dyn ReadSeek>,
    ended: bool,
    owner: Arc<Owner>,
    effort: Effort,
    /// None for what one chunk holds: most runs are small, and a thread costs more than they do.
    pool: Option<Pool>,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    ahead: VecDeque<Receiver<Chunk>>,
    current: Chunk,
    /// The next line of the current chunk, and where it starts there.
    line: usize,
    start: usize,
    offset: u64,
    number: u64,
    spare: Vec<Chunk>,
}

impl Rows {
    /// `file_bytes` decides how many threads are worth it.
    pub(crate) fn new(
        file: Box<dyn ReadSeek>,
        file_bytes: u64,
        owner: &Owner,
        effort: Effort,
    ) -> io::Result<Self> {
        let owner = Arc::new(owner.clone());
        let pool = match file_bytes > 4 * effort.chunk_bytes as u64 && effort.threads > 1 {
            true => Some(Pool::start(effort, &owner)?),
            false => None,
        };
        Ok(Self {
            file,
            ended: false,
            owner,
            effort,
            pool,
            rest: Vec::new(),
            ahead: VecDeque::new(),
            current: Chunk::default(),
            line: 0,
            start: 0,
            offset: 0,
            number: 0,
            spare: Vec::new(),
        })
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Row<'_>>> {
        while self.line >= self.current.ends.len() {
            if !self.next_chunk()? {
                return Ok(None);
            }
        }
        let Some((end, plain)) = self.current.ends.get(self.line) else {
            return Ok(None);
        };
        let bytes = self.current.bytes.get(self.start..*end).unwrap_or_default();
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
            plain: plain.as_ref(),
        }))
    }

    fn next_chunk(&mut self) -> io::Result<bool> {
        let Some(pool) = &self.pool else {
            let mut chunk = std::mem::take(&mut self.current);
            let found = self.read(&mut chunk)?;
            chunk.look(&self.owner, self.effort);
            self.take(chunk);
            return Ok(found);
        };
        let ahead = pool.threads.len() * 2;
        while self.ahead.len() < ahead && !self.ended {
            let mut chunk = self.spare.pop().unwrap_or_default();
            if !self.read(&mut chunk)? {
                break;
            }
            let (done, result) = sync_channel(1);
            let jobs = self.pool.as_ref().and_then(|pool| pool.jobs.as_ref());
            let sent = jobs.map(|jobs| jobs.send(Job { chunk, done }));
            if !matches!(sent, Some(Ok(()))) {
                return Err(io::Error::other("the threads that verify are gone"));
            }
            self.ahead.push_back(result);
        }
        let Some(next) = self.ahead.pop_front() else {
            return Ok(false);
        };
        let chunk = next
            .recv()
            .map_err(|_| io::Error::other("a thread that verifies is gone"))?;
        let used = std::mem::take(&mut self.current);
        self.spare.push(used);
        self.take(chunk);
        Ok(true)
    }

    fn take(&mut self, chunk: Chunk) {
        self.current = chunk;
        self.line = 0;
        self.start = 0;
    }

    /// Fills a chunk with whole lines; false at the end of the file. A line that is longer than any may
    /// be, or that the file's end cuts off, comes alone and without its LF.
    fn read(&mut self, chunk: &mut Chunk) -> io::Result<bool> {
        chunk.bytes.clear();
        chunk.ends.clear();
        if self.ended {
            return Ok(false);
        }
        chunk.bytes.append(&mut self.rest);
        loop {
            let read = (&mut self.file)
                .take(self.effort.chunk_bytes as u64)
                .read_to_end(&mut chunk.bytes)?;
            if read < self.effort.chunk_bytes {
                self.ended = true;
                return Ok(!chunk.bytes.is_empty());
            }
            if let Some(at) = memchr::memrchr(b'\n', &chunk.bytes) {
                self.rest = chunk.bytes.split_off(at + 1);
                return Ok(true);
            }
            if chunk.bytes.len() > LINE_BYTES_MAX + 1 {
                // Nothing that comes behind it can be right.
                self.ended = true;
                chunk.bytes.truncate(LINE_BYTES_MAX + 2);
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
