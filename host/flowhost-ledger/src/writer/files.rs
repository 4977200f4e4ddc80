//! The open files of a ledger that is being written, and the order in which they reach the disk.
//!
//! A payload is on the disk before the record that commits to it is written, and a record before
//! the note that signs it: whatever a crash leaves, the earlier half of each pair is there.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::chain::Chain;
use crate::checkpoint::Checkpoint;
use crate::disk::{self, Disk, DiskFile, append_all};
use crate::fact::Fact;
use crate::head::{IndexHead, Runs};
use crate::keys::HostKey;
use crate::layout;
use crate::options::{Durability, Entropy, LedgerOptions};
use crate::payloads::{self, Shared};
use crate::record::{Head, Owner, Salt, commitment, push_line};
use crate::seal::DataKey;
use crate::writer::{Reached, Sealed};

/// Buffered bytes are handed to the kernel at this size, to bound memory: 1 MiB.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// What a few small records have at most, lines and payloads: a sixteenth of a segment.
const ROOM_BYTES: u64 = 4 << 20;

/// One append-only file with what waits to be written to it.
struct Output {
    file: Box<dyn DiskFile>,
    /// Bytes in the file and in the buffer.
    len: u64,
    buffer: Vec<u8>,
    unsynced: bool,
}

impl Output {
    fn open(disk: &dyn Disk, path: &std::path::Path, private: bool) -> io::Result<Self> {
        let file = disk.open_append(path, private)?;
        let len = disk.len(path)?;
        Ok(Self {
            file,
            len,
            buffer: Vec::new(),
            // Whoever wrote what is there may have been killed before it was on the disk, and a note must sign nothing
            // that a loss of power takes.
            unsynced: len > 0,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            append_all(self.file.as_mut(), &self.buffer)?;
            self.buffer.clear();
            self.unsynced = true;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.unsynced {
            self.file.sync()?;
            self.unsynced = false;
        }
        Ok(())
    }
}

/// Why the ledger is signed just now, which decides what a loss of power may take of the note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It was time.
    Due,
    /// Somebody asked.
    Asked,
    /// Nobody may open the ledger again, so nothing can be put in order later.
    Last,
}

/// All files of one open ledger.
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    owner: Owner,
    origin: String,
    /// The keys that sign; two while a rotation is under way.
    keys: Vec<Arc<HostKey>>,
    durability: Durability,
    segment_max: u64,
    payload_max: u64,
    seal: Option<DataKey>,
    entropy: Arc<dyn Entropy>,
    chain: Chain,
    signed: u64,
    index: u32,
    /// Bytes of the segments before, with their payloads.
    before: u64,
    segment: Output,
    payload: Option<Output>,
    /// What the payload file has already.
    shared: Shared,
    notes: Output,
    /// Files were made whose names are not yet on the disk.
    names_unsynced: bool,
    /// What the records say of runs, if this is the index of them.
    runs: Option<Runs>,
    witness: Option<Box<dyn DiskFile>>,
    /// Held until the ledger is closed.
    _lock: Box<dyn std::any::Any + Send>,
}

/// Where an existing ledger stands.
pub(super) struct Standing {
    pub(super) chain: Chain,
    pub(super) signed: u64,
    pub(super) index: u32,
    /// What the records say of runs, if this is the index of them.
    pub(super) runs: Option<Runs>,
    /// Its folder may name files that a loss of power would take.
    pub(super) names_unsynced: bool,
    pub(super) lock: Box<dyn std::any::Any + Send>,
}

impl Files {
    pub(super) fn open(
        options: &LedgerOptions,
        owner: &Owner,
        standing: Standing,
    ) -> io::Result<Self> {
        let disk = options.disk.clone();
        let dir = options.dir.clone();
        let index = standing.index;
        let segment = Output::open(disk.as_ref(), &dir.join(layout::segment(index)), false)?;
        let notes = Output::open(disk.as_ref(), &dir.join(layout::CHECKPOINTS), false)?;
        let witness = options
            .witness
            .as_ref()
            .map(|path| disk.open_append(path, false));
        let len = |path: &str| disk.len(&dir.join(path)).unwrap_or_default();
        let before = (0..index).map(|it| len(&layout::segment(it)) + len(&layout::payloads(it)));
        let before = before.sum();
        let mut files = Self {
            origin: layout::origin(options.key.host(), owner),
            owner: owner.clone(),
            keys: vec![options.key.clone()],
            durability: options.durability,
            segment_max: options.segment_bytes_max,
            payload_max: options.payload_file_bytes_max,
            seal: options.seal.clone(),
            entropy: options.entropy.clone(),
            chain: standing.chain,
            signed: standing.signed,
            index,
            before,
            segment,
            payload: None,
            shared: Shared::new(),
            notes,
            names_unsynced: standing.names_unsynced,
            runs: standing.runs,
            witness: witness.transpose()?,
            _lock: standing.lock,
            disk,
            dir,
        };
        if files.disk.len(&files.payload_path()).is_ok() {
            files.open_payload()?;
            files.shared = Shared::nothing();
        }
        Ok(files)
    }

    pub(super) const fn size(&self) -> u64 {
        self.chain.size()
    }

    /// What a note over all records would sign.
    pub(super) fn reached(&self) -> Reached {
        Reached {
            size: self.size(),
            root: hex::encode(self.chain.root()),
        }
    }

    /// How many records no note covers yet.
    pub(super) const fn unsigned(&self) -> u64 {
        self.chain.size() - self.signed
    }

    /// Bytes of all records and payloads.
    pub(super) const fn bytes(&self) -> u64 {
        self.before + self.segment.len + self.payload_len()
    }

    const fn payload_len(&self) -> u64 {
        match &self.payload {
            Some(output) => output.len,
            None => 0,
        }
    }

    /// Whether a few records more leave the segment open: one that ends is brought to the disk.
    pub(super) const fn has_room(&self) -> bool {
        self.segment.len + ROOM_BYTES < self.segment_max
            && self.payload_len() + ROOM_BYTES < self.payload_max
    }

    fn payload_path(&self) -> PathBuf {
        self.dir.join(layout::payloads(self.index))
    }

    fn open_payload(&mut self) -> io::Result<()> {
        let path = self.payload_path();
        self.payload = Some(Output::open(self.disk.as_ref(), &path, true)?);
        self.names_unsynced = true;
        Ok(())
    }

    /// The runs that have not ended; empty for any ledger but the index.
    pub(super) fn open_runs(&self) -> &[String] {
        match &self.runs {
            Some(runs) => &runs.open,
            None => &[],
        }
    }

    /// Makes a fact the next record. It waits in a buffer until [`Files::flush`].
    pub(super) fn push(&mut self, fact: &Fact, ts_us: u64) -> io::Result<()> {
        let seq = self.size();
        let salt = match fact.payload {
            Some(_) => Some(self.new_salt()?),
            None => None,
        };
        let sealed = self.sealed(seq, fact)?;
        let commit = salt
            .as_ref()
            .zip(fact.payload.as_deref())
            .map(|(salt, payload)| commitment(salt, payload));
        let prev = *self.chain.prev();
        let head = Head {
            owner: &self.owner,
            seq,
            ts_us,
            prev: &prev,
            commit: commit.as_deref(),
            sealed: sealed.as_ref().map(|(commit, _)| commit.as_str()),
        };
        // Written into the buffer first, and moved if the segment is full: how long a line is is
        // known by writing it.
        let start = self.segment.buffer.len();
        push_line(&mut self.segment.buffer, &head, fact);
        let line_len = (self.segment.buffer.len() - start) as u64 + 1;
        if self.is_full(line_len) {
            self.rotate(start)?;
        }
        let start = if self.segment.len == 0 { 0 } else { start };
        self.chain
            .extend(self.segment.buffer.get(start..).unwrap_or_default());
        self.segment.buffer.push(b'\n');
        self.segment.len += line_len;
        if let Some(runs) = &mut self.runs {
            let run = fact.fields.get("run_id").and_then(|run| run.as_text());
            let parent = fact.fields.get("parent").and_then(|run| run.as_text());
            runs.enter(Some(fact.kind), run, parent);
        }
        // Behind its record in memory alone: `flush` and `sync` hand the payloads over first.
        if let (Some(salt), Some(payload)) = (salt, fact.payload.as_deref()) {
            let sealed = sealed.as_ref().map(|(_, text)| text.as_str());
            self.push_payload(seq, &salt, payload, sealed)?;
        }
        if self.segment.buffer.len() >= BUFFER_BYTES_MAX {
            self.flush()?;
        }
        Ok(())
    }

    /// What the payload was before it was redacted: the commitment, and the sealed text.
    fn sealed(&self, seq: u64, fact: &Fact) -> io::Result<Option<(String, String)>> {
        let (Some(key), Some(exact), Some(_)) = (&self.seal, &fact.sealed, &fact.payload) else {
            return Ok(None);
        };
        let salt = self.new_salt()?;
        let text = key.seal(&self.owner.run, seq, &salt, exact)?;
        Ok(Some((commitment(&salt, exact), text)))
    }

    fn push_payload(
        &mut self,
        seq: u64,
        salt: &Salt,
        payload: &[u8],
        sealed: Option<&str>,
    ) -> io::Result<()> {
        if self.payload.is_none() {
            self.open_payload()?;
        }
        let Some(output) = &mut self.payload else {
            return Ok(());
        };
        let before = output.buffer.len();
        // What is sealed belongs to one record, and its line with it.
        let same = match sealed {
            None => self.shared.with(seq, payload),
            Some(_) => None,
        };
        match same {
            Some(of) => payloads::push_same(&mut output.buffer, seq, salt, of),
            None => payloads::push_line(&mut output.buffer, seq, salt, payload, sealed),
        }
        output.len += (output.buffer.len() - before) as u64;
        if output.buffer.len() >= BUFFER_BYTES_MAX {
            output.flush()?;
        }
        Ok(())
    }

    fn is_full(&self, line_len: u64) -> bool {
        self.segment.len > 0
            && (self.segment.len + line_len > self.segment_max
                || self.payload_len() >= self.payload_max)
    }

    /// Ends the segment before the buffered line that starts at `start`, and moves that line to a
    /// new one. The old segment is synced first, so that only the last one can ever be torn.
    fn rotate(&mut self, start: usize) -> io::Result<()> {
        let line = self.segment.buffer.split_off(start);
        self.sync()?;
        self.before = self.bytes();
        self.index = self
            .index
            .checked_add(1)
            .ok_or_else(|| io::Error::other("the ledger has no segment numbers left"))?;
        let path = self.dir.join(layout::segment(self.index));
        self.segment = Output::open(self.disk.as_ref(), &path, false)?;
        self.disk.sync_dir(&self.dir)?;
        self.segment.buffer = line;
        self.payload = None;
        self.shared = Shared::new();
        Ok(())
    }

    /// Hands everything to the kernel, payloads first; in durable mode they are on the disk then, because nobody knows in
    /// which order the system brings there what it has.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self.durability {
            Durability::Durable => self.sync_payload()?,
            Durability::Relaxed => {
                if let Some(payload) = &mut self.payload {
                    payload.flush()?;
                }
            }
        }
        self.segment.flush()
    }

    /// Brings everything to the disk, payloads first.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.sync_payload()?;
        self.segment.sync()
    }

    fn sync_payload(&mut self) -> io::Result<()> {
        // The names first: a file whose name a loss of power takes is not there, whatever is on the
        // disk of it.
        if self.names_unsynced {
            self.disk.sync_dir(&self.dir)?;
            self.names_unsynced = false;
        }
        match &mut self.payload {
            Some(payload) => payload.sync(),
            None => Ok(()),
        }
    }

    /// Signs the ledger as it is. Everything must be synced, because a note that outlives the records
    /// it signs could not be told from records that were cut off.
    ///
    /// The note goes to `checkpoints.log` and to `checkpoint`, and either will do. So only the last one of
    /// a run brings both to the disk; before it, `checkpoint` may be lost, and in relaxed mode the
    /// log's end, too. The index of runs is opened again by the next run, which puts both in order: what it is told
    /// in relaxed mode is on the disk with its record, and its notes may be lost. (To leave the
    /// last note of a relaxed run to the system was tried: a loss of power then left a run that had ended and
    /// could not be verified.)
    pub(super) fn seal(&mut self, occasion: Occasion) -> io::Result<Sealed> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.size(),
            root: self.chain.root(),
        };
        let keys: Vec<&HostKey> = self.keys.iter().map(AsRef::as_ref).collect();
        let note = HostKey::sign(&checkpoint, &keys).map_err(io::Error::other)?;
        self.notes.buffer.extend_from_slice(note.as_bytes());
        self.notes.len += note.len() as u64;
        match (occasion, self.durability, &self.runs) {
            (Occasion::Due | Occasion::Asked, Durability::Relaxed, _)
            | (Occasion::Last, Durability::Relaxed, Some(_)) => self.notes.flush()?,
            _ => self.notes.sync()?,
        }
        // Always synced: it is there to convict whoever cuts the ledger, and a note that is lost
        // convicts nobody.
        if let Some(witness) = &mut self.witness {
            append_all(witness.as_mut(), note.as_bytes())?;
            witness.sync()?;
        }
        let path = self.dir.join(layout::CHECKPOINT);
        match (occasion, &self.runs) {
            (Occasion::Last, None) => {
                disk::replace(self.disk.as_ref(), &path, note.as_bytes(), false)?;
            }
            _ => disk::replace_unsynced(self.disk.as_ref(), &path, note.as_bytes(), false)?,
        }
        self.signed = checkpoint.size;
        self.write_head(&note)?;
        Ok(Sealed {
            size: checkpoint.size,
            root: hex::encode(checkpoint.root),
            note,
        })
    }

    /// Says beside the index where it ends. Signed by the newest key alone: a retired one is gone.
    fn write_head(&self, note: &str) -> io::Result<()> {
        let (Some(runs), Some(key)) = (&self.runs, self.keys.last()) else {
            return Ok(());
        };
        let head = IndexHead {
            chain: self.chain.clone(),
            segment: self.index,
            segment_bytes: self.segment.len,
            notes_bytes: self.notes.len,
            note: note.to_owned(),
            runs: runs.clone(),
        };
        head.write(self.disk.as_ref(), &self.dir, &self.origin, key)
    }

    pub(super) fn add_key(&mut self, key: Arc<HostKey>) {
        self.keys.push(key);
    }

    pub(super) fn retire_old_key(&mut self) {
        if self.keys.len() > 1 {
            self.keys.remove(0);
        }
    }

    /// Erases payloads; everything must be synced, the erasure's record included.
    pub(super) fn erase(&mut self, seqs: &BTreeSet<u64>) -> io::Result<u64> {
        self.payload = None;
        // None of those that go may be named from now on.
        self.shared = Shared::nothing();
        let gone = payloads::erase(self.disk.as_ref(), &self.dir, seqs)?;
        if self.disk.len(&self.payload_path()).is_ok() {
            self.open_payload()?;
        }
        Ok(gone)
    }

    fn new_salt(&self) -> io::Result<Salt> {
        let mut salt = Salt::default();
        self.entropy.fill(&mut salt)?;
        Ok(salt)
    }
}
