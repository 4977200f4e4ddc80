//! A disk in memory that loses power, fills up, writes short and fails to sync.
//!
//! The model of a power loss: synced bytes and synced names stay. Of everything else, each file
//! keeps a random length between what was synced and what was written, each unsynced 512-byte
//! sector is there or reads as zeros, independently of the others, and of the pending changes of
//! names a random prefix happened.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flowhost_ledger::{Disk, DiskFile, Entry, ReadSeek, Source};

#[derive(Default, Clone, Debug)]
struct Inode {
    durable: Vec<u8>,
    now: Vec<u8>,
}

#[derive(Clone, Debug)]
enum NameOp {
    Set(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameOp {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Set(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

#[derive(Default, Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending: Vec<NameOp>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    /// Operations until the power goes.
    power: Option<u64>,
    /// Bytes that still fit.
    room: Option<usize>,
    /// The sync that fails, counted down; later ones work again, as on a real disk.
    failing_sync: Option<u64>,
    syncs: u64,
    longest_write: Option<usize>,
    sync_delay: Duration,
}

/// The simulated disk; clones are the same disk.
#[derive(Default, Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

/// A small generator of random numbers (xorshift*), so that a seed is a test case.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    pub(crate) fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(end as u64)).unwrap()
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.power {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn name(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.pending.push(op);
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The files of a real folder, as the folder `/`.
    pub(crate) fn load(dir: &Path) -> Self {
        let disk = Self::default();
        disk.create_dir(Path::new("/")).unwrap();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            disk.put(
                path.file_name().unwrap().to_str().unwrap(),
                &std::fs::read(&path).unwrap(),
            );
        }
        disk
    }

    /// Writes a whole file of the folder `/`.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let inode = Inode {
            durable: bytes.to_vec(),
            now: bytes.to_vec(),
        };
        let path = Path::new("/").join(name);
        match state.names.get(&path).copied() {
            Some(at) => state.inodes[at] = inode,
            None => {
                state.inodes.push(inode);
                let at = state.inodes.len() - 1;
                state.names.insert(path.clone(), at);
                state.durable_names.insert(path, at);
            }
        }
    }

    pub(crate) fn lose_power_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    pub(crate) fn limit_room(&self, bytes: Option<usize>) {
        self.state().room = bytes;
    }

    pub(crate) fn fail_sync(&self, after: u64) {
        self.state().failing_sync = Some(after);
    }

    pub(crate) fn write_short(&self, longest: usize) {
        self.state().longest_write = Some(longest);
    }

    pub(crate) fn slow_sync(&self, delay: Duration) {
        self.state().sync_delay = delay;
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Loses the power for good, and comes up again with what the disk kept.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        let mut state = self.state();
        let keep = rng.index(state.pending.len() + 1);
        let mut names = state.durable_names.clone();
        for op in state.pending.iter().take(keep) {
            op.apply(&mut names);
        }
        for inode in &mut state.inodes {
            inode.now = torn(inode, rng);
            inode.durable = inode.now.clone();
        }
        state.names.clone_from(&names);
        state.durable_names = names;
        state.pending.clear();
        state.locked.clear();
        state.power = None;
    }
}

fn torn(inode: &Inode, rng: &mut Rng) -> Vec<u8> {
    let synced = inode.durable.len();
    let written = inode.now.len();
    assert!(inode.now.starts_with(&inode.durable), "append-only");
    let len = synced + rng.index(written - synced + 1);
    let mut bytes = inode.now[..len].to_vec();
    let mut start = synced / 512 * 512;
    while start < len {
        if rng.below(3) == 0 {
            let end = (start + 512).min(len);
            bytes[start.max(synced)..end].fill(0);
        }
        start += 512;
    }
    bytes
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.step()?;
        let mut len = bytes.len().min(state.longest_write.unwrap_or(usize::MAX));
        if let Some(room) = &mut state.room {
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            len = len.min(*room);
            *room -= len;
        }
        state.inodes[self.inode]
            .now
            .extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.syncs += 1;
        std::thread::sleep(state.sync_delay);
        match &mut state.failing_sync {
            Some(0) => {
                state.failing_sync = None;
                return Err(io::Error::from_raw_os_error(5));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.now.clone();
        Ok(())
    }
}

impl Source for SimDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        if !state.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let child = |path: &PathBuf, is_dir| {
            (path.parent() == Some(dir)).then(|| Entry {
                name: path.file_name().unwrap().to_str().unwrap().into(),
                is_dir,
            })
        };
        let files = state.names.keys().filter_map(|path| child(path, false));
        let mut entries: Vec<Entry> = files
            .chain(state.dirs.iter().filter_map(|path| child(path, true)))
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        let state = self.state();
        let inode = state.find(path)?;
        Ok(Box::new(io::Cursor::new(state.inodes[inode].now.clone())))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        let inode = state.find(path)?;
        Ok(state.inodes[inode].now.len() as u64)
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        for dir in dir.ancestors() {
            state.dirs.insert(dir.to_owned());
        }
        Ok(())
    }

    fn open_append(&self, path: &Path, _private: bool) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.step()?;
        let inode = match state.find(path) {
            Ok(inode) => inode,
            Err(_) => {
                state.inodes.push(Inode::default());
                let inode = state.inodes.len() - 1;
                state.name(NameOp::Set(path.to_owned(), inode));
                inode
            }
        };
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let inode = state.find(path)?;
        let inode = &mut state.inodes[inode];
        inode.now.truncate(usize::try_from(len).unwrap());
        inode.durable = inode.now.clone();
        Ok(())
    }

    fn wipe(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let inode = state.find(path)?;
        let inode = &mut state.inodes[inode];
        let start = usize::try_from(offset).unwrap();
        inode.now[start..start + usize::try_from(len).unwrap()].fill(0);
        inode.durable = inode.now.clone();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.find(from)?;
        state.name(NameOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let inode = state.find(from)?;
        state.name(NameOp::Set(to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.find(path)?;
        state.name(NameOp::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.durable_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Any + Send>> {
        struct Guard(SimDisk, PathBuf);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.state().locked.remove(&self.1);
            }
        }
        if !self.state().locked.insert(dir.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Guard(self.clone(), dir.to_owned())))
    }
}
