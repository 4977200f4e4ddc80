//! A file in chunks of whole lines: several threads work on them, and they come out in the file's order.
//!
//! Who reads a ledger and who verifies it do other things with its lines, but both can do most of them line by
//! line, wherever the line stands. What that is comes in as a function; whatever needs the order of the file is
//! left to whoever takes the chunks. The file itself is read by the taker, so a source of files needs to know
//! nothing of threads.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::disk::ReadSeek;

/// Bytes of a chunk: some 600 records, so that handing it to a thread (microseconds) is nothing beside
/// the work on it, and a dozen of them in flight are a few MiB.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes in flight at which no more is read ahead. Chunks of records do not come to it; a line of payloads can be
/// hundreds of times a chunk, and a dozen of those would be gigabytes.
const AHEAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes at once of what is looked through for the end of a line that is too long.
const SKIPPED_BYTES: usize = 64 * 1024;
/// Bytes of the first one: who wants only the first records of a ledger should not have read hundreds.
const FIRST_BYTES: usize = 16 * 1024;
/// Chunks of a file that is worth threads: a thread costs more than a small run does.
const CHUNKS_MIN: u64 = 4;
/// Most threads: one that reads and joins the chain is busy with what eight others look at, since hashing is
/// most of the work on a line and none of it is left to the one.
const THREADS_MAX: usize = 8;

/// Threads of this machine for it. Asked once: the answer is put together from files of the system, which costs more
/// than reading a small run.
static THREADS: LazyLock<usize> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads.min(THREADS_MAX)
});

/// Who looks at lines, and at how many of them at once. Changes how long a reading takes, and nothing of
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
        Self {
            threads: *THREADS,
            chunk_bytes: CHUNK_BYTES,
            looks: true,
        }
    }
}

/// Whole lines of a file, with what was made of them.
pub(crate) trait Chunk: Default + Send + 'static {
    /// Where the lines are put; what was made of others before goes.
    fn lines(&mut self) -> &mut Vec<u8>;
}

/// What is done with each chunk, by whichever thread has time for it.
pub(crate) type Work<C> = Arc<dyn Fn(&mut C) + Send + Sync>;

struct Job<C> {
    chunk: C,
    done: SyncSender<C>,
}

/// Threads that work on chunks.
struct Pool<C> {
    jobs: Option<SyncSender<Job<C>>>,
    threads: Vec<JoinHandle<()>>,
}

impl<C: Chunk> Pool<C> {
    fn start(count: usize, work: &Work<C>) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job<C>>(count * 4);
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::new();
        for _ in 0..count {
            let (queue, work) = (queue.clone(), work.clone());
            let thread = std::thread::Builder::new().name("ledger-read".to_owned());
            threads.push(thread.spawn(move || serve(&queue, &*work))?);
        }
        Ok(Self {
            jobs: Some(jobs),
            threads,
        })
    }
}

fn serve<C>(queue: &Mutex<Receiver<Job<C>>>, work: &(dyn Fn(&mut C) + Send + Sync)) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // The pool is dropped: that is how its threads are told to end.
        let Ok(mut job) = next else { return };
        work(&mut job.chunk);
        // Whoever asked may have found a fault and gone.
        let _ = job.done.send(job.chunk);
    }
}

impl<C> Drop for Pool<C> {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // It does not panic; if it did, its chunk never came and the reader said so.
            let _ = thread.join();
        }
    }
}

/// The chunks of one file, in order.
pub(crate) struct Chunks<C: Chunk> {
    file: Box<dyn ReadSeek>,
    begun: bool,
    ended: bool,
    effort: Effort,
    work: Work<C>,
    /// Whether there is enough to do for threads.
    is_large: bool,
    /// Most bytes of a line without its LF.
    line_bytes_max: usize,
    pool: Option<Pool<C>>,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    /// Chunks that are worked on, with the bytes of each.
    ahead: VecDeque<(usize, Receiver<C>)>,
    ahead_bytes: usize,
    spare: Vec<C>,
}

impl<C: Chunk> Chunks<C> {
    /// `file_bytes` decides whether threads are worth it; a line may have `line_bytes_max` without its LF.
    pub(crate) fn new(
        file: Box<dyn ReadSeek>,
        (file_bytes, line_bytes_max): (u64, usize),
        effort: Effort,
        work: Work<C>,
    ) -> Self {
        Self {
            file,
            begun: false,
            ended: false,
            effort,
            work,
            is_large: file_bytes > CHUNKS_MIN * effort.chunk_bytes as u64 && effort.threads > 1,
            line_bytes_max,
            pool: None,
            rest: Vec::new(),
            ahead: VecDeque::new(),
            ahead_bytes: 0,
            spare: Vec::new(),
        }
    }

    /// The next chunk; `used` is one that nobody needs any more, whose memory serves again.
    pub(crate) fn next(&mut self, mut used: C) -> io::Result<Option<C>> {
        if !self.begun || !self.is_large {
            let found = self.read(&mut used)?;
            self.begun = true;
            (self.work)(&mut used);
            return Ok(found.then_some(used));
        }
        // The memory of a line that was much longer than a chunk is not kept for lines that are not.
        if used.lines().capacity() <= 4 * self.effort.chunk_bytes {
            self.spare.push(used);
        }
        self.read_ahead()?;
        let Some((bytes, next)) = self.ahead.pop_front() else {
            return Ok(None);
        };
        self.ahead_bytes -= bytes;
        next.recv()
            .map(Some)
            .map_err(|_| io::Error::other("a thread that reads the ledger is gone"))
    }

    /// Keeps the threads busy: twice as many chunks as there are of them, if they are not large.
    fn read_ahead(&mut self) -> io::Result<()> {
        if self.pool.is_none() {
            self.pool = Some(Pool::start(self.effort.threads, &self.work)?);
        }
        let most = self.effort.threads * 2;
        while self.ahead.len() < most && self.ahead_bytes < AHEAD_BYTES_MAX && !self.ended {
            let mut chunk = self.spare.pop().unwrap_or_default();
            if !self.read(&mut chunk)? {
                break;
            }
            let bytes = chunk.lines().len();
            let (done, result) = sync_channel(1);
            let jobs = self.pool.as_ref().and_then(|pool| pool.jobs.as_ref());
            let sent = jobs.map(|jobs| jobs.send(Job { chunk, done }));
            if !matches!(sent, Some(Ok(()))) {
                return Err(io::Error::other(
                    "the threads that read the ledger are gone",
                ));
            }
            self.ahead.push_back((bytes, result));
            self.ahead_bytes += bytes;
        }
        Ok(())
    }

    /// Fills a chunk with whole lines; false at the end of the file. What the file's end cuts off comes without an LF.
    /// Of a line that is longer than any may be as much may come as says so: it is the last that comes.
    fn read(&mut self, chunk: &mut C) -> io::Result<bool> {
        let lines = chunk.lines();
        lines.clear();
        if self.ended {
            return Ok(false);
        }
        lines.append(&mut self.rest);
        let bytes = match self.begun {
            true => self.effort.chunk_bytes,
            false => FIRST_BYTES.min(self.effort.chunk_bytes),
        };
        // Whoever keeps what was read leaves no memory for more.
        lines.reserve(bytes);
        loop {
            // What was there before holds no end of a line.
            let before = lines.len();
            let read = (&mut self.file).take(bytes as u64).read_to_end(lines)?;
            if read < bytes {
                self.ended = true;
                return Ok(!lines.is_empty());
            }
            let fresh = lines.get(before..).unwrap_or_default();
            if let Some(at) = memchr::memrchr(b'\n', fresh) {
                self.rest = lines.split_off(before + at + 1);
                return Ok(true);
            }
            if lines.len() > self.line_bytes_max + 1 {
                // Nothing that comes behind it can be right. What the file's end cuts off may be a writer's that is
                // at work, and a line that ends may not: which of the two it is must not depend on where a chunk ends.
                self.ended = true;
                lines.truncate(self.line_bytes_max + 1);
                if ends(self.file.as_mut())? {
                    lines.push(b'\n');
                }
                return Ok(true);
            }
        }
    }
}

/// Whether the line in which `file` stands ends with an LF.
fn ends(file: &mut dyn ReadSeek) -> io::Result<bool> {
    let mut piece = Vec::with_capacity(SKIPPED_BYTES);
    loop {
        piece.clear();
        let read = (&mut *file)
            .take(SKIPPED_BYTES as u64)
            .read_to_end(&mut piece)?;
        if read == 0 {
            return Ok(false);
        }
        if memchr::memchr(b'\n', &piece).is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[derive(Default)]
    struct Bytes(Vec<u8>);

    impl Chunk for Bytes {
        fn lines(&mut self) -> &mut Vec<u8> {
            &mut self.0
        }
    }

    #[test]
    fn no_more_is_read_ahead_than_its_bytes_allow_however_long_lines_are() {
        const LINE: usize = 3 << 20;
        let line = [vec![b'x'; LINE - 1], vec![b'\n']].concat();
        let file = line.repeat(12);
        let effort = Effort {
            threads: 8,
            chunk_bytes: 64 << 10,
            looks: true,
        };
        let bounds = (file.len() as u64, LINE);
        let work: Work<Bytes> = Arc::new(|_: &mut Bytes| {});
        let mut chunks = Chunks::new(Box::new(Cursor::new(file.clone())), bounds, effort, work);
        let (mut read, mut used) = (Vec::new(), Bytes::default());
        while let Some(chunk) = chunks.next(used).unwrap() {
            assert!(chunks.ahead_bytes <= AHEAD_BYTES_MAX + LINE);
            assert!(chunks.spare.is_empty(), "a long line's memory is let go");
            read.extend_from_slice(&chunk.0);
            used = chunk;
        }
        assert_eq!(chunks.ahead_bytes, 0);
        assert!(read == file);
    }
}
