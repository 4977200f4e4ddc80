//! A disk in memory that loses power, fills up, writes short and fails to sync. The simulation of
//! `flowhost-run` has it from here.
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
    /// A folder with everything in it.
    RenameDir(PathBuf, PathBuf),
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
            Self::RenameDir(from, to) => {
                let inside =
                    |path: &PathBuf| path.strip_prefix(from).ok().map(|rest| to.join(rest));
                *names = std::mem::take(names)
                    .into_iter()
                    .map(|(path, inode)| (inside(&path).unwrap_or(path), inode))
                    .collect();
            }
        }
    }
}

#[derive(Default, Debug, Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    pending: Vec<NameOp>,
    /// Folders, each with its own number, so that a lock stays with a folder that is renamed.
    dirs: BTreeMap<PathBuf, u64>,
    dirs_made: u64,
    locked: BTreeSet<u64>,
    /// Operations until the power goes.
    power: Option<u64>,
    /// Bytes that still fit.
    room: Option<usize>,
    /// The sync that fails, counted down; later ones work again, as on a real disk.
    failing_sync: Option<u64>,
    syncs: u64,
    /// Syncs of files and of folders.
    all_syncs: u64,
    /// Bytes of all files that were opened for reading.
    bytes_read: u64,
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

    /// Whether the power is gone: nothing that happens from now on happened.
    pub(crate) fn is_off(&self) -> bool {
        self.state().power == Some(0)
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

    pub(crate) fn all_syncs(&self) -> u64 {
        self.state().all_syncs
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.state().bytes_read
    }

    /// Another disk with the same content.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    pub(crate) fn get(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        state.inodes[state.names[path]].now.clone()
    }

    /// Writes a whole file, and makes its folder.
    pub(crate) fn put_at(&self, path: &Path, bytes: &[u8]) {
        self.create_dir(path.parent().unwrap()).unwrap();
        let mut state = self.state();
        state.inodes.push(Inode {
            durable: bytes.to_vec(),
            now: bytes.to_vec(),
        });
        let at = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), at);
        state.durable_names.insert(path.to_owned(), at);
    }

    pub(crate) fn delete_file(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.durable_names.remove(path);
    }

    /// Removes a folder with everything in it.
    pub(crate) fn delete(&self, dir: &Path) {
        let mut state = self.state();
        state.names.retain(|path, _| !path.starts_with(dir));
        state.durable_names.retain(|path, _| !path.starts_with(dir));
        state.dirs.retain(|path, _| !path.starts_with(dir));
    }

    /// The process is gone and the machine stays: all that was written is there.
    pub(crate) fn reboot(&self) {
        let mut state = self.state();
        state.locked.clear();
        state.power = None;
    }

    /// Loses the power for good, and comes up again with what the disk kept.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        let mut state = self.state();
        let keep = rng.index(state.pending.len() + 1);
        let mut names = state.durable_names.clone();
        for op in state.pending.iter().take(keep) {
            op.apply(&mut names);
        }
        let undone: Vec<(PathBuf, PathBuf)> = state.pending[keep..]
            .iter()
            .filter_map(|op| match op {
                NameOp::RenameDir(from, to) => Some((from.clone(), to.clone())),
                _ => None,
            })
            .collect();
        for (from, to) in undone.into_iter().rev() {
            if let Some(number) = state.dirs.remove(&to) {
                state.dirs.insert(from, number);
            }
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
        state.all_syncs += 1;
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
        if !state.dirs.contains_key(dir) {
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
            .chain(state.dirs.keys().filter_map(|path| child(path, true)))
            .collect();
        entries.sort();
        Ok(entries)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        let mut state = self.state();
        let inode = state.find(path)?;
        state.bytes_read += state.inodes[inode].now.len() as u64;
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
        state.step()?;
        for dir in dir.ancestors() {
            if !state.dirs.contains_key(dir) {
                state.dirs_made += 1;
                let number = state.dirs_made;
                state.dirs.insert(dir.to_owned(), number);
            }
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
        state.all_syncs += 1;
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
        if let Some(number) = state.dirs.get(from).copied() {
            if state.dirs.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.dirs.remove(from);
            state.dirs.insert(to.to_owned(), number);
            state.name(NameOp::RenameDir(from.to_owned(), to.to_owned()));
            return Ok(());
        }
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

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let filled = state.names.keys().any(|path| path.starts_with(dir));
        match (filled, state.dirs.remove(dir)) {
            (true, _) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (false, None) => Err(io::ErrorKind::NotFound.into()),
            (false, Some(_)) => Ok(()),
        }
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.all_syncs += 1;
        state.durable_names = state.names.clone();
        state.pending.clear();
        Ok(())
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Any + Send>> {
        struct Guard(SimDisk, u64);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.state().locked.remove(&self.1);
            }
        }
        let mut state = self.state();
        let number = state.dirs.get(dir).copied();
        let number = number.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        if !state.locked.insert(number) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Guard(self.clone(), number)))
    }
}
