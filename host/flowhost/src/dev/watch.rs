//! Which files have changed.
//!
//! The operating system wakes us ([`notify`]); what changed is found by looking. Notices are lost when a
//! folder vanishes, when a queue runs over, and on file systems that send none, and editors save in three
//! different ways: a look at the files is right in all of these. It happens after each notice and, because
//! a notice may never come, every [`LOOK_EVERY`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::ambient::{Ambient, Stamp};

/// How often files are looked at without a notice: as long as a person takes to wonder, and seldom enough for ten thousand
/// files to be no load.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Quiet that ends a save: editors write, rename and touch within a few milliseconds.
const QUIET: Duration = Duration::from_millis(25);
/// Somebody who saves without pause is heard at least this often.
const QUIET_MAX: Duration = Duration::from_millis(250);
/// Files of one folder of sources. A folder with more holds something that a `.gitignore` should name.
const SOURCES_MAX: usize = 10_000;
/// Below a folder of sources, what a build leaves there: watching it would make each build cause another.
const BUILD_FOLDERS: &[&str] = &["target", "node_modules", "dist", "__pycache__"];

/// Files that are whole and that nobody has asked for: whoever hears of them reads on at once.
const WHOLE_MAX: usize = 16;

/// What to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Single files; one that is not there yet may come.
    pub(super) files: BTreeSet<PathBuf>,
    /// Folders of sources, with all that is in them and that no `.gitignore` names.
    pub(super) folders: BTreeSet<PathBuf>,
}

/// The files as they were looked at last.
pub(super) struct Watch {
    ambient: Ambient,
    wanted: Wanted,
    seen: BTreeMap<PathBuf, Stamp>,
    notices: mpsc::Receiver<()>,
    /// None where the system gives no notices: then only the clock wakes us.
    watcher: Option<RecommendedWatcher>,
    armed: BTreeSet<PathBuf>,
    /// When files are looked at whether or not there was a notice.
    look_at: Instant,
    /// While a save goes on: when it counts as over whatever comes.
    settled_by: Option<Instant>,
}

impl Watch {
    /// Watches nothing yet. Gives as well what tells of files that somebody has written to their end, or put in their
    /// place, before the save that they belong to is over; not every system does, and none tells of each.
    #[must_use]
    pub(super) fn new(ambient: &Ambient) -> (Self, mpsc::Receiver<PathBuf>) {
        // One place: a second notice while one waits says nothing new.
        let (wake, notices) = mpsc::channel(1);
        let (tell, whole) = mpsc::channel(WHOLE_MAX);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is no change, and we read them all.
            if !event.as_ref().is_ok_and(|event| event.kind.is_access()) {
                // The watcher's thread must not wait for us, or it would lose notices of the system.
                let _already_woken = wake.try_send(());
            }
            let written = event.ok().filter(|event| is_whole(event.kind));
            for path in written.into_iter().flat_map(|event| event.paths) {
                let _nobody_waits_for_it = tell.try_send(path);
            }
        });
        let watch = Self {
            ambient: ambient.clone(),
            wanted: Wanted::default(),
            seen: BTreeMap::new(),
            notices,
            watcher: watcher.ok(),
            armed: BTreeSet::new(),
            look_at: Instant::now() + LOOK_EVERY,
            settled_by: None,
        };
        (watch, whole)
    }

    /// Watches these files from now on. What is new among them counts as seen.
    pub(super) fn want(&mut self, wanted: Wanted) {
        self.wanted = wanted;
        let now = self.look();
        // What was wanted before keeps its old stamp: a change between the reading and this is told by the next look.
        for (path, stamp) in now {
            self.seen.entry(path).or_insert(stamp);
        }
        self.arm();
    }

    /// Waits until something has changed, and gives all of it: changed, new and vanished files.
    ///
    /// May be dropped and asked again at any point; a change is given once.
    pub(super) async fn changed(&mut self) -> BTreeSet<PathBuf> {
        loop {
            // Whoever waits drops us and asks again many times a second: what was heard and since when we
            // wait is kept, or neither the end of a save nor the clock would ever come.
            if self.settled_by.is_none() {
                let heard = match self.watcher {
                    Some(_) => timeout_at(self.look_at, self.notices.recv()).await,
                    // Its channel is closed from the start: only the clock is waited for.
                    None => {
                        tokio::time::sleep_until(self.look_at).await;
                        Ok(None)
                    }
                };
                if matches!(heard, Ok(Some(()))) {
                    self.settled_by = Some(Instant::now() + QUIET_MAX);
                }
            }
            if let Some(last) = self.settled_by {
                self.settle(last).await;
            }
            self.settled_by = None;
            self.look_at = Instant::now() + LOOK_EVERY;
            let changed = self.difference();
            if !changed.is_empty() {
                // A folder that was replaced is another folder to the system.
                self.armed.clear();
                self.arm();
                return changed;
            }
        }
    }

    /// Waits for the end of a save, at most until `last`.
    async fn settle(&mut self, last: Instant) {
        while Instant::now() < last {
            let quiet = (Instant::now() + QUIET).min(last);
            if timeout_at(quiet, self.notices.recv()).await.is_err() {
                return;
            }
        }
    }

    fn difference(&mut self) -> BTreeSet<PathBuf> {
        let now = self.look();
        let mut changed: BTreeSet<PathBuf> = now
            .iter()
            .filter(|(path, stamp)| self.seen.get(*path) != Some(stamp))
            .map(|(path, _)| path.clone())
            .collect();
        let gone = self.seen.keys().filter(|path| !now.contains_key(*path));
        changed.extend(gone.cloned());
        self.seen = now;
        changed
    }

    fn look(&self) -> BTreeMap<PathBuf, Stamp> {
        let files = self.wanted.files.iter().cloned();
        let folders = self.wanted.folders.iter();
        let files = files.chain(folders.flat_map(|folder| sources(folder)));
        files
            .filter_map(|path| Some((path.clone(), self.ambient.stamp(&path)?)))
            .collect()
    }

    /// Asks for notices. A folder that cannot be had is looked at by the clock alone.
    fn arm(&mut self) {
        // This machine gives no notices: the clock alone looks.
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let parents = self.wanted.files.iter().filter_map(|file| file.parent());
        let folders = self.wanted.folders.iter().flat_map(|it| folders_below(it));
        let wanted: BTreeSet<PathBuf> = parents.map(Path::to_owned).chain(folders).collect();
        for folder in &wanted {
            // To ask again for the same would cost a call for each folder at each reading.
            if self.armed.contains(folder) {
                continue;
            }
            // Each folder by itself: a recursive watch would take those that a build fills as well.
            if watcher.watch(folder, RecursiveMode::NonRecursive).is_ok() {
                self.armed.insert(folder.clone());
            }
        }
    }
}

/// Whether nobody writes the file of such a notice any more: it was closed by who wrote it, or has its name from now on.
fn is_whole(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(RenameMode::To))
    )
}

/// Whether `path` is a source of the plugin in `folder`, and not something that its build writes there:
/// a build that wakes the next one never ends.
#[must_use]
pub(super) fn is_source(path: &Path, folder: &Path) -> bool {
    let Ok(below) = path.strip_prefix(folder) else {
        return false;
    };
    let made = below
        .extension()
        .is_some_and(|it| it == "wasm" || it == "map");
    let locked = below.ends_with("Cargo.lock") || below.ends_with("package-lock.json");
    let built = below
        .iter()
        .any(|part| BUILD_FOLDERS.iter().any(|it| part == *it));
    !made && !locked && !built
}

fn walk(folder: &Path) -> impl Iterator<Item = ignore::DirEntry> {
    let mut walk = ignore::WalkBuilder::new(folder);
    // A fresh project is often not a repository yet, and its `.gitignore` is meant all the same.
    walk.require_git(false)
        .follow_links(false)
        // Deeper than sources of a person go: a folder that is mounted below itself ends.
        .max_depth(Some(16));
    walk.filter_entry(|entry| {
        let name = entry.file_name().to_string_lossy();
        !BUILD_FOLDERS.contains(&&*name)
    });
    walk.build().filter_map(Result::ok).take(SOURCES_MAX)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    walk(folder)
        .filter(|entry| entry.file_type().is_some_and(|ty| ty.is_file()))
        .map(ignore::DirEntry::into_path)
        .collect()
}

fn folders_below(folder: &Path) -> Vec<PathBuf> {
    walk(folder)
        .filter(|entry| entry.file_type().is_some_and(|ty| ty.is_dir()))
        .map(ignore::DirEntry::into_path)
        .collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test is who changes the files")]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn here(folder: &Path) -> Ambient {
        Ambient::with(BTreeMap::new(), folder.to_owned(), None)
    }

    fn names(changed: &BTreeSet<PathBuf>) -> Vec<&str> {
        changed
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect()
    }

    #[test]
    fn a_change_is_seen_once_and_a_file_may_come_and_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("plan.yaml"), "a").unwrap();
        let (mut watch, _whole) = Watch::new(&here(folder.path()));
        watch.want(Wanted {
            files: [file("plan.yaml"), file("later.toml")].into(),
            folders: BTreeSet::new(),
        });
        assert!(watch.difference().is_empty());
        std::fs::write(file("plan.yaml"), "ab").unwrap();
        std::fs::write(file("other.yaml"), "not wanted").unwrap();
        assert_eq!(names(&watch.difference()), ["plan.yaml"]);
        assert!(watch.difference().is_empty());
        std::fs::write(file("later.toml"), "x").unwrap();
        std::fs::remove_file(file("plan.yaml")).unwrap();
        assert_eq!(names(&watch.difference()), ["later.toml", "plan.yaml"]);
    }

    #[test]
    fn what_a_build_leaves_wakes_no_build() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        for dir in ["src", "target", "node_modules", "out"] {
            std::fs::create_dir(file(dir)).unwrap();
            std::fs::write(file(dir).join("lib.rs"), "").unwrap();
        }
        std::fs::write(file(".gitignore"), "out\n").unwrap();
        for made in ["greeter.wasm", "greeter.wasm.map", "Cargo.lock"] {
            std::fs::write(file(made), "").unwrap();
            assert!(!is_source(&file(made), folder.path()), "{made}");
        }
        std::fs::write(file("Cargo.toml"), "").unwrap();
        let found = sources(folder.path()).into_iter();
        let found: BTreeSet<PathBuf> = found.filter(|it| is_source(it, folder.path())).collect();
        assert_eq!(found, [file("Cargo.toml"), file("src/lib.rs")].into());
        assert!(!is_source(
            &folder.path().join("target/x.rs"),
            folder.path()
        ));
        assert!(!is_source(Path::new("/elsewhere/lib.rs"), folder.path()));
    }

    #[tokio::test]
    async fn a_folder_that_vanishes_and_comes_back_is_heard_again() {
        let folder = tempfile::tempdir().unwrap();
        let plans = folder.path().join("plans");
        let plan = plans.join("plan.yaml");
        std::fs::create_dir(&plans).unwrap();
        std::fs::write(&plan, "a").unwrap();
        let (mut watch, _whole) = Watch::new(&here(folder.path()));
        watch.want(Wanted {
            files: [plan.clone()].into(),
            folders: BTreeSet::new(),
        });
        std::fs::remove_dir_all(&plans).unwrap();
        assert_eq!(watch.changed().await, [plan.clone()].into());
        std::fs::create_dir(&plans).unwrap();
        std::fs::write(&plan, "abc").unwrap();
        assert_eq!(watch.changed().await, [plan].into());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_file_is_told_of_when_it_is_whole_however_it_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let (mut watch, mut whole) = Watch::new(&here(folder.path()));
        watch.want(Wanted {
            files: [file("written.wasm"), file("renamed.wasm")].into(),
            folders: BTreeSet::new(),
        });
        let mut written = std::fs::File::create(file("written.wasm")).unwrap();
        written.write_all(b"half").unwrap();
        std::fs::write(file("aside"), "all").unwrap();
        std::fs::rename(file("aside"), file("renamed.wasm")).unwrap();
        let mut told = Vec::new();
        while told.last() != Some(&file("renamed.wasm")) {
            told.push(whole.recv().await.unwrap());
        }
        assert!(!told.contains(&file("written.wasm")), "{told:?}");
        written.write_all(b" and half").unwrap();
        drop(written);
        assert_eq!(whole.recv().await, Some(file("written.wasm")));
    }

    #[tokio::test]
    async fn many_saves_are_one_change_and_the_last_is_never_missed() {
        let folder = tempfile::tempdir().unwrap();
        let plan = folder.path().join("plan.yaml");
        std::fs::write(&plan, "").unwrap();
        let (mut watch, _whole) = Watch::new(&here(folder.path()));
        watch.want(Wanted {
            files: [plan.clone()].into(),
            folders: BTreeSet::new(),
        });
        let saves = tokio::spawn({
            let plan = plan.clone();
            async move {
                for length in 1..=100 {
                    std::fs::write(&plan, "x".repeat(length)).unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
        let mut times = 0;
        while watch.seen[&plan].len != 100 {
            watch.changed().await;
            times += 1;
        }
        saves.await.unwrap();
        assert!(times < 50, "{times} changes for a hundred saves");
    }
}
