//! The writer's thread: takes what waits, makes it records, syncs, acknowledges, signs.
//!
//! The same work can be done by whoever waits for it ([`Worker::turn`]), where no thread is wanted.
//! Acknowledging comes after the sync and never before. Any error ends the thread for good.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::files::{Files, Occasion};
use super::{Command, Item, Queue, Sealed, Shared};
use crate::options::{CheckpointPolicy, Durability, LINGER, LedgerOptions};
use crate::recorder::LedgerError;

/// Starts the thread.
pub(super) fn start(worker: Worker) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("ledger".to_owned())
        .spawn(move || worker.run())
}

pub(super) struct Worker {
    shared: Arc<Shared>,
    files: Files,
    policy: CheckpointPolicy,
    unsigned_since: Option<Instant>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, files: Files, options: &LedgerOptions) -> Self {
        let unsigned_since = (files.unsigned() > 0).then(Instant::now);
        Self {
            shared,
            files,
            policy: options.checkpoints,
            unsigned_since,
        }
    }

    /// Does everything that waits, on the caller's thread. Gives itself back unless the ledger has ended.
    pub(super) fn turn(mut self) -> Option<Self> {
        let mut batch = VecDeque::new();
        loop {
            self.take(&mut self.shared.queue(), &mut batch);
            if batch.is_empty() {
                return Some(self);
            }
            match self.process(&mut batch) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.poison(&error, batch);
                    return None;
                }
            }
        }
    }

    fn run(mut self) {
        let mut batch = VecDeque::new();
        loop {
            self.next_batch(&mut batch);
            match self.process(&mut batch) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.poison(&error, batch),
            }
        }
    }

    /// Blocks until there is work, and swaps it into `batch` (empty: a checkpoint is due).
    fn next_batch(&self, batch: &mut VecDeque<Item>) {
        let mut queue = self.shared.queue();
        loop {
            let wait = self.wait(&queue);
            if wait == Some(Duration::ZERO) {
                break;
            }
            queue.sleeping = true;
            queue = match wait {
                None => self
                    .shared
                    .work
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    self.shared
                        .work
                        .wait_timeout(queue, wait)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            queue.sleeping = false;
        }
        self.take(&mut queue, batch);
        drop(queue);
        self.shared.space.notify_all();
    }

    fn take(&self, queue: &mut Queue, batch: &mut VecDeque<Item>) {
        std::mem::swap(&mut queue.items, batch);
        queue.bytes = 0;
        queue.since = None;
        queue.urgent = false;
    }

    /// How long there is nothing to do; zero when there is, `None` without end.
    fn wait(&self, queue: &Queue) -> Option<Duration> {
        let signing = self
            .unsigned_since
            .map(|since| self.policy.age.saturating_sub(since.elapsed()));
        let Some(since) = queue.since.filter(|_| !queue.urgent) else {
            return if queue.urgent {
                Some(Duration::ZERO)
            } else {
                signing
            };
        };
        // Half a queue is company enough, and leaves room for those who come meanwhile.
        let crowded = queue.items.len() * 2 >= self.shared.records_max;
        if crowded || queue.wanted > self.files.size() {
            return Some(Duration::ZERO);
        }
        let linger = LINGER.saturating_sub(since.elapsed());
        Some(signing.map_or(linger, |signing| signing.min(linger)))
    }

    /// Writes a batch; false when the ledger is closed.
    fn process(&mut self, batch: &mut VecDeque<Item>) -> io::Result<bool> {
        while let Some(item) = batch.pop_front() {
            match item {
                Item::Fact { fact, ts_us } => self.files.push(&fact, ts_us)?,
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
        self.settle()?;
        let due = self
            .unsigned_since
            .is_some_and(|since| since.elapsed() >= self.policy.age);
        let counts = self.shared.durability == Durability::Durable;
        if due || counts && self.files.unsigned() >= self.policy.records {
            self.seal(Occasion::Due)?;
        }
        Ok(true)
    }

    /// Brings everything to the kernel, and in durable mode to the disk, and acknowledges it.
    fn settle(&mut self) -> io::Result<()> {
        if self.files.unsigned() > 0 && self.unsigned_since.is_none() {
            self.unsigned_since = Some(Instant::now());
        }
        match self.shared.durability {
            Durability::Durable => self.sync(),
            Durability::Relaxed => self.files.flush(),
        }
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
    fn answer<T>(&self, result: io::Result<T>, reply: super::Reply<T>) -> io::Result<()> {
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
    fn poison(self, error: &io::Error, batch: VecDeque<Item>) {
        let failure = self.fail(error);
        let mut queue = self.shared.queue();
        let left: Vec<Item> = batch.into_iter().chain(queue.items.drain(..)).collect();
        drop(queue);
        self.shared.space.notify_all();
        for item in left {
            match item {
                // Whoever waits for one is told by the progress that has failed.
                Item::Fact { .. } => {}
                Item::Command(Command::Erase(_, reply)) => reply(Err(failure.clone())),
                Item::Command(Command::Flush(reply)) => reply(Err(failure.clone())),
                Item::Command(Command::Sync(reply)) => reply(Err(failure.clone())),
                Item::Command(
                    Command::Checkpoint(reply)
                    | Command::RotateKey(_, reply)
                    | Command::Close(reply),
                ) => reply(Err(failure.clone())),
            }
        }
    }
}
