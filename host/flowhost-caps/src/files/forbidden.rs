//! Folders that no profile may grant, whatever path leads to them.
//!
//! Compared by device and inode, not by text: a link, a bind mount or `a/../..` to `/etc` is `/etc`.

use std::{io, path::Path};

use cap_std::{
    ambient_authority,
    fs::{Dir, MetadataExt},
};

/// Device and inode of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DirId {
    device: u64,
    inode: u64,
}

impl DirId {
    pub(super) fn of(dir: &Dir) -> io::Result<Self> {
        let metadata = dir.dir_metadata()?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

#[derive(Debug, Clone)]
struct Entry {
    id: DirId,
    why: String,
    /// Whether folders below it are refused too.
    below: bool,
}

/// The table, made once when a run starts.
#[derive(Debug, Clone, Default)]
pub struct Forbidden {
    entries: Vec<Entry>,
}

impl Forbidden {
    /// `/`, `/proc`, `/sys`, `/dev` and what is below the last three; `home` and its parents; the
    /// state directory, its parents and what is below it.
    ///
    /// # Errors
    /// When one of them cannot be looked at. The state directory must be there already: what is
    /// made later could not be told from a granted folder.
    pub fn new(home: Option<&Path>, state: &Path) -> io::Result<Self> {
        let mut table = Self::default();
        table.add(Path::new("/"), "the root of this machine", false)?;
        for system in ["/proc", "/sys", "/dev"] {
            there(
                table
                    .add(Path::new(system), &format!("`{system}`"), true)
                    .map(|_| ()),
            )?;
        }
        if let Some(home) = home {
            there(table.add_with_parents(home, "the home directory", false))?;
        }
        table.add_with_parents(state, "the state directory", true)?;
        Ok(table)
    }

    /// The same before a run has made its state directory: then only its parents are there.
    ///
    /// # Errors
    /// As [`Forbidden::new`].
    pub fn before_the_first_run(home: Option<&Path>, state: &Path) -> io::Result<Self> {
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match Self::new(home, state) {
            Err(error) if is_missing(&error) => {}
            done => return done,
        }
        for above in state.ancestors().skip(1) {
            match Self::new(home, above) {
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(error),
                Ok(mut table) => {
                    // Below a parent there is room for grants; below the system's folders there is none.
                    let why = "the state directory";
                    for entry in table.entries.iter_mut().filter(|entry| entry.why == why) {
                        entry.below = false;
                        entry.why = format!("a parent of {why}");
                    }
                    return Ok(table);
                }
            }
        }
        Self::new(home, state)
    }

    fn add(&mut self, path: &Path, why: &str, below: bool) -> io::Result<Dir> {
        let dir = Dir::open_ambient_dir(path, ambient_authority())?;
        self.entries.push(Entry {
            id: DirId::of(&dir)?,
            why: why.to_owned(),
            below,
        });
        Ok(dir)
    }

    fn add_with_parents(&mut self, path: &Path, why: &str, below: bool) -> io::Result<()> {
        let dir = self.add(path, why, below)?;
        for id in parents(&dir)? {
            self.entries.push(Entry {
                id,
                why: format!("a parent of {why}"),
                below: false,
            });
        }
        Ok(())
    }

    /// Why `dir` may not be granted, if it may not.
    ///
    /// # Errors
    /// When its parents cannot be looked at.
    pub(super) fn refuses(&self, dir: &Dir) -> io::Result<Option<&str>> {
        let own = DirId::of(dir)?;
        let above = parents(dir)?;
        let hit = self
            .entries
            .iter()
            .find(|entry| entry.id == own || (entry.below && above.contains(&entry.id)));
        Ok(hit.map(|entry| entry.why.as_str()))
    }
}

/// What is not there cannot be granted.
fn there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Every directory above, nearest first.
fn parents(dir: &Dir) -> io::Result<Vec<DirId>> {
    let mut found = Vec::new();
    let mut last = DirId::of(dir)?;
    let mut at = dir.open_parent_dir(ambient_authority())?;
    loop {
        let id = DirId::of(&at)?;
        if id == last {
            return Ok(found);
        }
        found.push(id);
        last = id;
        at = at.open_parent_dir(ambient_authority())?;
    }
}
