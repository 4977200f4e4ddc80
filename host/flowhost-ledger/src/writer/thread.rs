//! The writer's thread: takes what waits, makes it records, syncs, acknowledges, signs.
//!
//! The same work can be done by whoever waits for it ([`Worker::turn`]), where no thread is wanted.
//! Acknowledging comes after the sync and never before. Any error ends the thread for good.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::files::{Files, Occasion};
use super::{Command, Item, Queue, Reply, Sealed, Shared};
use crate::options::{CheckpointPolicy, Durability, LINGER, LedgerOptions};
use crate::recorder::LedgerError;

/// How long a record that was written and that nobody waits for may be the system's alone, in durable mode: a loss of
/// power takes it, as it would take what was never recorded. Ten times [`LINGER`], so that a call that asks the host
/// thousands of things has mostly ended, and waits for one sync; where it has not, a sync each time costs little.
const UNSETTLED_MAX: Duration = Duration::from_millis(50);

/// Where the worker is between two pieces of work. Whoever takes it out holds the lock until it is back; it is gone when
/// the ledger has ended.
pub(super) type Place = Mutex<Option<Worker>>;

/// Starts the thread.
pub(super) fn start(shared: Arc<Shared>, place: Arc<Place>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || run(&shared, &place))
}

fn run(shared: &Shared, place: &Place) {
    let mut batch = VecDeque::new();
    loop {
        shared.await_work();
        // The queue is taken under the lock of the place, by callers as well: records keep their order.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(worker) = place.take() else {
            return; // a caller's write has failed
        };
        let settles = {
            let mut queue = shared.queue();
            let settles = !matches!(shared.next(&queue), Next::Write);
            Worker::take(&mut queue, &mut batch);
            settles
        };
        shared.space.notify_all();
        *place = worker.work(&mut batch, settles);
        if place.is_none() {
            return;
        }
    }
}

/// What there is to do for the thread.
enum Next {
    /// Nothing for so long; without end where there is no time.
    Sleep(Option<Duration>),
    /// To write what waits. Nobody waits for any of it, and there is so much that more is to be expected: the disk, which
    /// takes as long for many records as for few, is asked once for all of them.
    Write,
    /// To write what waits, and to settle it with all that was written before.
    Settle,
}

impl Shared {
    /// Blocks until there is work for the thread; a sync and a checkpoint that are due are some as well.
    fn await_work(&self) {
        let mut queue = self.queue();
        loop {
            let wait = match self.next(&queue) {
                Next::Sleep(wait) => wait,
                // It is asked again under the lock of the place: until then others may write.
                Next::Write | Next::Settle => return,
            };
            queue.sleeping = true;
            queue.wakes_at = wait.and_then(|wait| Instant::now().checked_add(wait));
            queue = match wait {
                None => self
                    .work
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.work
                        .wait_timeout(queue, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            queue.sleeping = false;
        }
    }

    fn next(&self, queue: &Queue) -> Next {
        let left = |most: Duration, since: Instant| most.saturating_sub(since.elapsed());
        let sleep = [
            queue.since.map(|since| left(LINGER, since)),
            queue.unsettled_since.map(|it| left(UNSETTLED_MAX, it)),
            queue.unsigned_since.map(|it| left(self.unsigned_max, it)),
        ];
        let sleep = sleep.into_iter().flatten().min();
        let any = queue.since.or(queue.unsettled_since).is_some();
        let wanted = any && queue.wanted > queue.settled;
        if queue.urgent || wanted || sleep == Some(Duration::ZERO) {
            return Next::Settle;
        }
        match queue.crowded || queue.items.len() >= self.company {
            true => Next::Write,
            false => Next::Sleep(sleep),
        }
    }
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    files: Files,
    policy: CheckpointPolicy,
    unsigned_since: Option<Instant>,
    /// Whether all that was made is where the ledger's mode has it.
    is_settled: bool,
    /// Who waits for what came before, and for no more than that it is written.
    waiting: Vec<Reply<u64>>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, files: Files, options: &LedgerOptions) -> Self {
        let unsigned_since = (files.unsigned() > 0).then(Instant::now);
        shared.queue().unsigned_since = unsigned_since;
        Self {
            shared,
            files,
            policy: options.checkpoints,
            unsigned_since,
            is_settled: true,
            waiting: Vec::new(),
        }
    }

    /// Does everything that waits, on the caller's thread. Gives itself back unless the ledger has ended. Leaves nothing
    /// unsettled: nobody would come for it later.
    pub(super) fn turn(mut self) -> Option<Self> {
        let mut batch = VecDeque::new();
        loop {
            Self::take(&mut self.shared.queue(), &mut batch);
            if batch.is_empty() {
                return Some(self);
            }
            self = self.work(&mut batch, true)?;
        }
    }

    /// Swaps what waits into `batch`.
    pub(super) fn take(queue: &mut Queue, batch: &mut VecDeque<Item>) {
        std::mem::swap(&mut queue.items, batch);
        queue.bytes = 0;
        queue.unsettled_since = queue.unsettled_since.or(queue.since);
        queue.since = None;
        queue.urgent = false;
        queue.crowded = false;
        // From now on: until whoever took them says how far it came, nobody else knows that there are any.
        if !batch.is_empty() {
            queue.unsigned_since.get_or_insert_with(Instant::now);
        }
    }

    /// Does a batch, and settles it where it has to be. Gives itself back unless the ledger has ended.
    fn work(mut self, batch: &mut VecDeque<Item>, settles: bool) -> Option<Self> {
        match self.process(batch, settles) {
            Ok(true) => {
                self.is_done();
                Some(self)
            }
            Ok(false) => None,
            Err(error) => {
                self.poison(&error, std::mem::take(batch));
                None
            }
        }
    }

    /// Writes a batch of records in relaxed mode, and signs nothing: that waits for the disk, and the thread does it.
    pub(super) fn write(mut self, batch: &mut VecDeque<Item>) -> Result<Self, LedgerError> {
        debug_assert!(
            batch.iter().all(|item| matches!(item, Item::Fact { .. })),
            "a command is urgent, and the thread's"
        );
        match self.process_all(batch, true) {
            Ok(_) => {
                self.is_done();
                Ok(self)
            }
            Err(error) => Err(self.poison(&error, std::mem::take(batch))),
        }
    }

    /// Says how far it came to who looks at the queue.
    fn is_done(&self) {
        let mut queue = self.shared.queue();
        queue.unsigned_since = self.unsigned_since;
        if self.is_settled {
            queue.settled = self.files.size();
            queue.unsettled_since = None;
        }
    }

    /// Whether a small batch goes into the files that are open: before others are made, these are brought to the disk.
    pub(super) fn has_room(&self) -> bool {
        self.files.has_room()
    }

    /// Bytes of all records and payloads.
    pub(super) const fn bytes(&self) -> u64 {
        self.files.bytes()
    }

    /// Writes a batch; false when the ledger is closed.
    fn process(&mut self, batch: &mut VecDeque<Item>, settles: bool) -> io::Result<bool> {
        if !self.process_all(batch, settles)? {
            return Ok(false);
        }
        // A note signs what is on the disk, and is no reason to go there.
        if !settles {
            return Ok(true);
        }
        let due = self
            .unsigned_since
            .is_some_and(|since| since.elapsed() >= self.policy.age);
        let counts = self.shared.durability == Durability::Durable;
        if due || counts && self.files.unsigned() >= self.policy.records {
            self.seal(Occasion::Due)?;
        }
        Ok(true)
    }

    /// All of a batch, but for the note that may be due after it.
    fn process_all(&mut self, batch: &mut VecDeque<Item>, settles: bool) -> io::Result<bool> {
        self.is_settled &= batch.is_empty();
        while let Some(item) = batch.pop_front() {
            match item {
                Item::Fact { fact, ts_us, at } => {
                    let seq = self.files.size();
                    self.files.push(&fact, ts_us)?;
                    if let (Some(listener), Some(at)) = (&self.shared.listener, at) {
                        listener.recorded(seq, at, fact);
                    }
                }
                // With all others of this batch: one write, or one sync, does for them.
                Item::Command(Command::Written(reply)) => self.waiting.push(reply),
                Item::Command(command) => {
                    if let Err(error) = self.settle() {
                        // Whoever asked is answered with the others, once the ledger has failed.
                        batch.push_front(Item::Command(command));
                        return Err(error);
                    }
                    if !self.obey(command)? {
                        return Ok(false);
                    }
                }
            }
        }
        match settles {
            true => self.settle()?,
            false => {
                debug_assert!(self.waiting.is_empty(), "a command is urgent, and settled");
                self.ages();
                self.files.flush()?;
            }
        }
        Ok(true)
    }

    /// From the first record that no note covers it is counted when one is due.
    fn ages(&mut self) {
        if self.files.unsigned() > 0 && self.unsigned_since.is_none() {
            self.unsigned_since = Some(Instant::now());
        }
    }

    /// Brings everything to the kernel, and in durable mode to the disk, and acknowledges it.
    fn settle(&mut self) -> io::Result<()> {
        self.ages();
        match self.shared.durability {
            Durability::Durable => self.sync()?,
            Durability::Relaxed => self.files.flush()?,
        }
        self.is_settled = true;
        let bytes = self.files.bytes();
        for reply in self.waiting.drain(..) {
            reply(Ok(bytes));
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.files.sync()?;
        let size = self.files.size();
        // Nobody is woken to find that nothing has changed.
        self.shared.progress.send_if_modified(|progress| {
            let grown = progress.durable < size;
            progress.durable = size;
            grown
        });
        Ok(())
    }

    fn seal(&mut self, occasion: Occasion) -> io::Result<Sealed> {
        self.sync()?;
        let sealed = self.files.seal(occasion)?;
        self.unsigned_since = None;
        self.shared
            .progress
            .send_modify(|progress| progress.sealed = Some(sealed.clone()));
        Ok(sealed)
    }

    fn obey(&mut self, command: Command) -> io::Result<bool> {
        match command {
            // All that came before a command has been brought there.
            Command::Flush(reply) => reply(Ok(self.files.reached())),
            Command::Written(reply) => reply(Ok(self.files.bytes())),
            Command::Sync(reply) => {
                let result = self.sync();
                self.answer(result, reply)?;
            }
            Command::Checkpoint(reply) => {
                let result = self.seal(Occasion::Asked);
                self.answer(result, reply)?;
            }
            Command::RotateKey(key, reply) => {
                // The note by both keys is brought to the disk as the last one is: the old key is
                // gone after it, and nobody could sign it again.
                self.files.add_key(key);
                let result = self.seal(Occasion::Last);
                self.files.retire_old_key();
                self.answer(result, reply)?;
            }
            Command::Erase(seqs, reply) => {
                // In relaxed mode as well the erasure is on record before a byte of a payload goes.
                let result = self.sync().and_then(|()| self.files.erase(&seqs));
                self.answer(result, reply)?;
            }
            Command::Close(reply) => {
                let result = self.seal(Occasion::Last);
                self.answer(result, reply)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Replies, and hands the error on so that it poisons the ledger; whoever reads the reply must
    /// already find the ledger failed.
    fn answer<T>(&self, result: io::Result<T>, reply: Reply<T>) -> io::Result<()> {
        match result {
            Ok(value) => {
                reply(Ok(value));
                Ok(())
            }
            Err(error) => {
                let failure = self.fail(&error);
                reply(Err(failure));
                Err(error)
            }
        }
    }

    /// Marks the ledger as failed. Both marks are set under the queue's lock, so that nobody sees one
    /// without the other.
    fn fail(&self, error: &io::Error) -> LedgerError {
        let failure = LedgerError::Poisoned(error.to_string());
        let mut queue = self.shared.queue();
        queue.closed = true;
        self.shared
            .progress
            .send_modify(|progress| progress.failed = Some(failure.clone()));
        failure
    }

    /// Tells everyone who waits, now and later, that nothing more will be acknowledged.
    fn poison(&mut self, error: &io::Error, batch: VecDeque<Item>) -> LedgerError {
        let failure = self.fail(error);
        let mut queue = self.shared.queue();
        let left: Vec<Item> = batch.into_iter().chain(queue.items.drain(..)).collect();
        // A thread that sleeps while a caller's write fails has to find that there is no more to do.
        queue.urgent = true;
        self.shared.wake(&mut queue);
        drop(queue);
        self.shared.space.notify_all();
        for reply in self.waiting.drain(..) {
            reply(Err(failure.clone()));
        }
        for item in left {
            match item {
                // Whoever waits for one is told by the progress that has failed.
                Item::Fact { .. } => {}
                Item::Command(Command::Erase(_, reply) | Command::Written(reply)) => {
                    reply(Err(failure.clone()));
                }
                Item::Command(Command::Flush(reply)) => reply(Err(failure.clone())),
                Item::Command(Command::Sync(reply)) => reply(Err(failure.clone())),
                Item::Command(
                    Command::Checkpoint(reply)
                    | Command::RotateKey(_, reply)
                    | Command::Close(reply),
                ) => reply(Err(failure.clone())),
            }
        }
        failure
    }
}

/// Who hears of facts is no part of the ledger, and may panic while it is handed one. What was being written is half there
/// then, as after a write that failed, and nobody comes for what waits: it would wait for ever.
impl Drop for Worker {
    fn drop(&mut self) {
        // One that is let go of by somebody who panics for another reason has failed, or has nothing left to do.
        if std::thread::panicking() {
            let error = io::Error::other("whoever writes the ledger has panicked");
            self.poison(&error, VecDeque::new());
        }
    }
}
