//! Stored lines in bulk: read in chunks, looked at on several threads, handed out one by one.
//!
//! Almost every line of a sound ledger is plain: canonical, of this ledger, of a kind that only has to be
//! hashed. That much is decided here, from the line alone and without allocating for it. Whether a line
//! follows from the one before stays with [`crate::chain`], and a line that is anything but plain is
//! given to the one parser that knows every rule and every fault ([`crate::record::View`]): so this file can
//! only ever make a verification faster, never another. A property test compares the two.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::canonical;
use crate::checkpoint::parse_decimal;
use crate::disk::ReadSeek;
use crate::merkle::{Hash, leaf_hash};
use crate::record::{FORMAT, LINE_BYTES_MAX, Owner, commit_is_valid, ts_is_valid};
use crate::records::Kind;

/// Bytes of a chunk: some 600 records, so that handing it to a thread (microseconds) is nothing beside
/// the work on it, and a dozen of them in flight are a few MiB.
const CHUNK_BYTES: usize = 256 * 1024;
/// Most threads: one that reads and joins the chain is busy with what four others look at.
const THREADS_MAX: usize = 4;

/// A line that is plain, as far as it can be judged alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) seq: u64,
    pub(crate) prev: Hash,
    pub(crate) leaf: Hash,
    /// Where its commitment is in the line.
    commit: Option<(usize, usize)>,
}

impl Plain {
    /// Looks at a line (without LF); `None` if the parser must.
    pub(crate) fn of(line: &[u8], owner: &Owner) -> Option<Self> {
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
                    let mut hash = Hash::default();
                    // Digits above 9 must be small letters, which the decoder does not ask for.
                    let small = !text?.bytes().any(|byte| byte.is_ascii_uppercase());
                    let decoded = hex::decode_to_slice(text?, &mut hash).is_ok();
                    prev = Some(hash);
                    small && decoded
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
        Some(Self {
            seq: seq?,
            prev: prev?,
            leaf: leaf_hash(line),
            commit,
        })
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
    fn look(&mut self, owner: &Owner) {
        self.ends.clear();
        let mut start = 0;
        for piece in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = piece.strip_suffix(b"\n");
            let line = line.filter(|line| line.len() <= LINE_BYTES_MAX);
            start += piece.len();
            self.ends
                .push((start, line.and_then(|line| Plain::of(line, owner))));
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
    fn start(count: usize, owner: &Arc<Owner>) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(count * 4);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for _ in 0..count {
            let (queue, owner) = (queue.clone(), owner.clone());
            let thread = std::thread::Builder::new().name("verify".to_owned());
            threads.push(thread.spawn(move || work(&queue, &owner))?);
        }
        Ok(Self {
            jobs: Some(jobs),
            threads,
        })
    }
}

fn work(queue: &Mutex<Receiver<Job>>, owner: &Owner) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The pool is dropped: that is how its threads are told to end.
        let Ok(mut job) = next else { return };
        job.chunk.look(owner);
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
    pub(crate) fn new(file: Box<dyn ReadSeek>, file_bytes: u64, owner: &Owner) -> io::Result<Self> {
        let owner = Arc::new(owner.clone());
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = match file_bytes > 4 * CHUNK_BYTES as u64 && threads > 1 {
            true => Some(Pool::start(threads.min(THREADS_MAX), &owner)?),
            false => None,
        };
        Ok(Self {
            file,
            ended: false,
            owner,
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
            chunk.look(&self.owner);
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
                .take(CHUNK_BYTES as u64)
                .read_to_end(&mut chunk.bytes)?;
            if read < CHUNK_BYTES {
                self.ended = true;
                return Ok(!chunk.bytes.is_empty());
            }
            if let Some(at) = chunk.bytes.iter().rposition(|byte| *byte == b'\n') {
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
