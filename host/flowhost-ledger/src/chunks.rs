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
    ahead: VecDeque<Receiver<C>>,
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
            spare: Vec::new(),
        }
    }

    /// The next chunk; `used` is one that nobody needs any more, whose memory serves again.
    pub(crate) fn next(&mut self, used: C) -> io::Result<Option<C>> {
        if !self.begun || !self.is_large {
            let mut chunk = used;
            let found = self.read(&mut chunk)?;
            self.begun = true;
            (self.work)(&mut chunk);
            return Ok(found.then_some(chunk));
        }
        self.spare.push(used);
        self.read_ahead()?;
        let Some(next) = self.ahead.pop_front() else {
            return Ok(None);
        };
        let chunk = next.recv();
        chunk
            .map(Some)
            .map_err(|_| io::Error::other("a thread that reads the ledger is gone"))
    }

    /// Keeps the threads busy: twice as many chunks as there are of them.
    fn read_ahead(&mut self) -> io::Result<()> {
        if self.pool.is_none() {
            self.pool = Some(Pool::start(self.effort.threads, &self.work)?);
        }
        while self.ahead.len() < self.effort.threads * 2 && !self.ended {
            let mut chunk = self.spare.pop().unwrap_or_default();
            if !self.read(&mut chunk)? {
                break;
            }
            let (done, result) = sync_channel(1);
            let jobs = self.pool.as_ref().and_then(|pool| pool.jobs.as_ref());
            let sent = jobs.map(|jobs| jobs.send(Job { chunk, done }));
            if !matches!(sent, Some(Ok(()))) {
                return Err(io::Error::other(
                    "the threads that read the ledger are gone",
                ));
            }
            self.ahead.push_back(result);
        }
        Ok(())
    }

    /// Fills a chunk with whole lines; false at the end of the file. A line that is longer than any may
    /// be, or that the file's end cuts off, comes alone and without its LF.
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
                // Nothing that comes behind it can be right.
                self.ended = true;
                lines.truncate(self.line_bytes_max + 2);
                return Ok(true);
            }
        }
    }
}
