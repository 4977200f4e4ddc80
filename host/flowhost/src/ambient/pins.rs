//! Components that this process has read, hashed and inspected: one whose file has not changed since is not
//! read again. A server resolves its plans anew for every call, and a component can have twenty megabytes.
//!
//! What is trusted is the system's word that a file has not changed: its device and number, its length, and
//! when its content and the file itself were last changed. The last of these nobody can set: whoever puts back
//! the time of the content changes it. What is handed out always fits its digest, because the bytes and what
//! was found in them are kept together; a change that the system hides (a file that is mapped and written to)
//! is seen late, and never half.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flowhost_engine::{InspectError, Inspected};

/// A file that was changed less than this long ago may be changed once more at the same time as its file system
/// tells it: FAT counts in steps of two seconds, and nothing else in longer ones.
const SETTLED: Duration = Duration::from_secs(3);

/// Bytes of components that are kept. A component that is in use is held by its run as well, so this is only what
/// waits for a next one.
const BYTES_MAX: usize = 128 << 20;

/// Why there is no component.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// The file cannot be read.
    Unread(super::FileError),
    /// What it holds is refused.
    Refused(InspectError),
}

/// Which file it is, and in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
    len: u64,
    /// Of the content: seconds and nanoseconds.
    modified: (i64, i64),
    /// Of the file: set by the system alone.
    changed: (i64, i64),
}

impl Identity {
    fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            number: about.ino(),
            len: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    /// Whether a change from now on has another time. A clock that was set back says no.
    fn is_settled(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let changed = u64::try_from(self.changed.0).map(Duration::from_secs);
        changed.is_ok_and(|changed| now >= changed.saturating_add(SETTLED))
    }
}

/// Looks at a component.
type Inspect<'a> = &'a dyn Fn(Arc<[u8]>) -> Result<Inspected, InspectError>;

type Known = BTreeMap<PathBuf, (Identity, Inspected)>;

/// The components of a process, by the path that they were asked for by.
#[derive(Debug)]
pub(super) struct Pins {
    known: Mutex<Known>,
    bytes_max: usize,
}

impl Default for Pins {
    fn default() -> Self {
        Self::of(BYTES_MAX)
    }
}

impl Pins {
    fn of(bytes_max: usize) -> Self {
        Self {
            known: Mutex::default(),
            bytes_max,
        }
    }

    /// The component at `path`, of at most `max` bytes, which `inspect` looks at.
    pub(super) fn component(
        &self,
        path: &Path,
        max: u64,
        now: SystemTime,
        inspect: Inspect<'_>,
    ) -> Result<Inspected, Unusable> {
        let unread = |source| Unusable::Unread(super::FileError::new("read", path, source));
        let about = std::fs::metadata(path).map_err(unread)?;
        if let Some(known) = self.known(path, &Identity::of(&about)) {
            return Ok(known);
        }
        let (bytes, identity) = read(path, max).map_err(unread)?;
        // Without the lock: inspection takes milliseconds, and two that look at once get the same.
        let component = inspect(bytes.into()).map_err(Unusable::Refused)?;
        if let Some(identity) = identity.filter(|it| it.is_settled(now)) {
            self.keep(path, identity, &component);
        }
        Ok(component)
    }

    fn known(&self, path: &Path, identity: &Identity) -> Option<Inspected> {
        // One that panicked in between has left whole entries: each is put in by one step.
        let pins = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept, component) = pins.get(path)?;
        (kept == identity).then(|| component.clone())
    }

    fn keep(&self, path: &Path, identity: Identity, component: &Inspected) {
        let mut pins = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(path.to_owned(), (identity, component.clone()));
        let held = |pins: &Known| -> usize { pins.values().map(|(_, it)| it.bytes().len()).sum() };
        while held(&pins) > self.bytes_max {
            // Which one goes is of no weight: it is read again when it is wanted.
            let other = pins.keys().find(|it| *it != path).cloned();
            let Some(other) = other else { break };
            pins.remove(&other);
        }
    }
}

/// A file's content, and which file it was, if it was the same before and after.
fn read(path: &Path, max: u64) -> std::io::Result<(Vec<u8>, Option<Identity>)> {
    let (mut file, before) = super::open_regular(path)?;
    let bytes = super::read_open(&mut file, &before, max)?;
    let before = Identity::of(&before);
    let after = Identity::of(&file.metadata()?);
    Ok((bytes, (before == after).then_some(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tool whose bytes differ with its name.
    fn component(name: &str) -> Vec<u8> {
        let text = format!(
            "(component ${name} (component $c) (instance $i (instantiate $c)) \
             (export \"flowhost:roles/tool@0.1.0\" (instance $i)))"
        );
        wat::parse_str(text).unwrap()
    }

    fn later() -> SystemTime {
        SystemTime::now() + 10 * SETTLED
    }

    fn inspect(bytes: Arc<[u8]>) -> Result<Inspected, InspectError> {
        Inspected::new(bytes, &flowhost_engine::ShapeLimits::default())
    }

    fn digest(pins: &Pins, path: &Path, now: SystemTime) -> String {
        let component = pins.component(path, 1 << 20, now, &inspect);
        component.expect("a component").digest.to_string()
    }

    #[test]
    fn reads_a_component_once_while_its_file_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        std::fs::write(&path, component("a")).unwrap();
        let pins = Pins::default();
        let (one, two) = (
            pins.component(&path, 1 << 20, later(), &inspect).unwrap(),
            pins.component(&path, 1 << 20, later(), &inspect).unwrap(),
        );
        assert!(std::sync::Arc::ptr_eq(one.bytes(), two.bytes()));
    }

    #[test]
    fn a_file_that_was_changed_just_now_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        let pins = Pins::default();
        for name in ["a", "b", "c"] {
            std::fs::write(&path, component(name)).unwrap();
            let inspected = flowhost_engine::digest(&component(name));
            assert_eq!(digest(&pins, &path, SystemTime::now()), inspected);
        }
    }

    #[test]
    fn whoever_changes_a_file_cannot_make_it_look_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wasm");
        let (a, b) = (component("a"), component("b"));
        assert_eq!(a.len(), b.len());
        std::fs::write(&path, &a).unwrap();
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        let pins = Pins::default();
        let before = digest(&pins, &path, later());
        // In place, with the time of its content put back.
        std::fs::write(&path, &b).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(modified).unwrap();
        assert_ne!(digest(&pins, &path, later()), before);
        // By another file under its name, with the old content and the old time.
        let other = dir.path().join("other.wasm");
        std::fs::write(&other, &a).unwrap();
        let file = std::fs::File::options().write(true).open(&other).unwrap();
        file.set_modified(modified).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(digest(&pins, &path, later()), before);
        // By a link to another file.
        std::fs::write(&other, &b).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_ne!(digest(&pins, &path, later()), before);
        std::fs::remove_file(&other).unwrap();
        assert!(pins.component(&path, 1 << 20, later(), &inspect).is_err());
    }

    #[test]
    fn keeps_no_more_than_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let len = component("a").len();
        let pins = Pins::of(3 * len);
        for name in ["a", "b", "c", "d", "e"] {
            let path = dir.path().join(format!("{name}.wasm"));
            std::fs::write(&path, component(name)).unwrap();
            pins.component(&path, 1 << 20, later(), &inspect).unwrap();
        }
        let known = pins.known.lock().unwrap();
        assert_eq!(known.len(), 3);
        assert!(known.contains_key(&dir.path().join("e.wasm")));
    }
}
