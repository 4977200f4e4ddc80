//! Folders that no profile may grant, whatever path leads to them, and the one that no grant shows.
//!
//! Compared by device and inode, not by text: a link, a bind mount, another case of a name or `a/../..` to
//! `/etc` is `/etc`. The state folder lies below the project by default, so that a grant of the project
//! holds it: such a grant is given, and the state folder is not in it.

use std::{io, path::Path};

use cap_std::{
    ambient_authority,
    fs::{Dir, Metadata, MetadataExt},
};

/// Device and inode of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct DirId {
    device: u64,
    inode: u64,
}

impl DirId {
    pub(super) fn of(dir: &Dir) -> io::Result<Self> {
        Ok(Self::from(&dir.dir_metadata()?))
    }
}

impl From<&Metadata> for DirId {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// A folder below a grant that the grant does not show: its identity, and that of every folder around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    id: DirId,
    above: Vec<DirId>,
}

impl Hidden {
    pub(super) fn is(&self, id: DirId) -> bool {
        self.id == id
    }

    /// Whether `id` is a folder around it: to move that one would move it, too.
    pub(super) fn is_around(&self, id: DirId) -> bool {
        self.above.contains(&id)
    }

    /// Whether `dir` is it or lies below it.
    ///
    /// # Errors
    /// When its parents cannot be looked at.
    pub(super) fn holds(&self, dir: &Dir) -> io::Result<bool> {
        Ok(self.id == DirId::of(dir)? || parents(dir)?.contains(&self.id))
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
    hidden: Option<Hidden>,
}

impl Forbidden {
    /// `/`, `/proc`, `/sys`, `/dev` and what is below the last three; `home` and its parents; the
    /// state directory and what is below it, which a grant of a folder around it does not show.
    ///
    /// # Errors
    /// When one of them cannot be looked at. The state directory must be there already: what is
    /// made later could not be told from a granted folder.
    pub fn new(home: Option<&Path>, state: &Path) -> io::Result<Self> {
        let mut table = Self::without_state(home)?;
        let dir = table.add(state, "the state directory", true)?;
        table.hidden = Some(Hidden {
            id: DirId::of(&dir)?,
            // By handles upwards, not by the path: a link on the way to it has other parents in its
            // name.
            above: parents(&dir)?,
        });
        Ok(table)
    }

    fn without_state(home: Option<&Path>) -> io::Result<Self> {
        let mut table = Self::default();
        table.add(Path::new("/"), "the root of this machine", false)?;
        // All that is below them as well: `/proc/self/root` is `/` again.
        for system in ["/proc", "/sys", "/dev"] {
            there(
                table
                    .add(Path::new(system), &format!("`{system}`"), true)
                    .map(|_| ()),
            )?;
        }
        if let Some(home) = home {
            // Not what is below it: projects lie there. Its parents would show it.
            there(table.add_with_parents(home, "the home directory"))?;
        }
        Ok(table)
    }

    /// The same before a run has made its state directory: what is not there is in no grant yet.
    ///
    /// # Errors
    /// As [`Forbidden::new`].
    pub fn before_the_first_run(home: Option<&Path>, state: &Path) -> io::Result<Self> {
        match Self::new(home, state) {
            // Only the state directory can be missing here: `there` takes what is missing of the
            // others.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::without_state(home),
            done => done,
        }
    }

    /// What a grant of `dir` must not show.
    ///
    /// # Errors
    /// When the folder cannot be looked at.
    pub(super) fn hidden_below(&self, dir: &Dir) -> io::Result<Option<Hidden>> {
        let id = DirId::of(dir)?;
        let hidden = self.hidden.clone();
        Ok(hidden.filter(|hidden| hidden.is_around(id)))
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

    fn add_with_parents(&mut self, path: &Path, why: &str) -> io::Result<()> {
        let dir = self.add(path, why, false)?;
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
        // The root is its own parent, and in a container the container's root is.
        if id == last {
            return Ok(found);
        }
        found.push(id);
        last = id;
        at = at.open_parent_dir(ambient_authority())?;
    }
}
