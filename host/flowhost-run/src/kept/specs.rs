//! The evidence folder of a spec over time: which run left which files, and archives of those that are old.
//!
//! Files say by their names which stage they are of and when it began; which run that was, the stage's lifecycle
//! says. What belongs to no run, or to nobody this host knows, is never touched, and neither are the folders of
//! other specs. An archive holds the files of one run and is whole, with its hash beside it, before the first of them
//! goes; a kill in between is mended by doing the same again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::TryLockError;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use cap_std::fs::Dir;
use flowhost_flow::Exit;
use flowhost_flow::plan::Evidence;
use flowhost_ledger::{Archived, Durability, pack, packed};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::base::failure::Failure;
use crate::base::nofollow;
use crate::given::world::World;

/// The folders that hold a spec's files.
const FOLDERS: [&str; 2] = ["commands", "consensus"];
/// Where archives are, below the evidence root.
const ARCHIVES: &str = "archive";
/// What the names of archives end with.
const ARCHIVE_END: &str = ".tar.zst";
/// What stands in the name of a baseline where an archive of a run has its time.
const BASELINE: &str = "baseline-";
/// Bytes of a file that are read to learn whose it is: a lifecycle's first line, a verdict.
const TOLD_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a file that is archived: a whole spec has 25 MB, where its plan does not say more.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Runs of which the files stay, where nobody says.
pub const KEEP: usize = 3;

/// The evidence of one spec below an evidence root.
#[derive(Debug)]
pub struct Spec {
    dir: Dir,
    id: String,
}

/// What one run left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SpecRun {
    /// The run.
    pub run_id: String,
    /// When its first stage began: `20261126T073910Z`.
    pub began: String,
    /// How each of its stages ended.
    pub stages: BTreeMap<String, String>,
    /// Files, by their paths below the evidence root, with their bytes.
    pub files: BTreeMap<String, u64>,
}

impl SpecRun {
    /// Bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.values().sum()
    }
}

/// What is there of a spec.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Survey {
    /// Runs, oldest first.
    pub runs: Vec<SpecRun>,
    /// Files of no run: the latest synthesis of each stage, and what others put there.
    pub others: BTreeMap<String, u64>,
    /// Archives, by their paths below the evidence root, with their bytes.
    pub archives: BTreeMap<String, u64>,
}

impl Survey {
    /// Bytes that count against `evidence.max_mb`.
    #[must_use]
    pub fn footprint(&self) -> u64 {
        let runs: u64 = self.runs.iter().map(SpecRun::bytes).sum();
        runs.saturating_add(self.others.values().sum())
    }

    /// The runs beyond the newest `keep`, oldest first.
    #[must_use]
    pub fn beyond(&self, keep: usize) -> &[SpecRun] {
        let old = self.runs.len().saturating_sub(keep);
        self.runs.get(..old).unwrap_or_default()
    }
}

/// An archive of a run's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Put {
    /// The run.
    pub run_id: String,
    /// The archive, below the evidence root.
    pub path: String,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// Files in it.
    pub files: usize,
}

impl Spec {
    /// The evidence of the spec `id` below `root`, which is there.
    ///
    /// # Errors
    /// When the folder cannot be opened, or the id is no name: it may come from a file, and is a part of paths below the root.
    pub fn open(world: &dyn World, root: &Path, id: &str) -> io::Result<Self> {
        if matches!(id, "" | "." | "..") || id.contains(['/', '\\']) {
            let what = format!("`{id}` is not the id of a spec: it would name another folder");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        Ok(Self::within(world.folder(root)?, id))
    }

    /// The evidence of the spec `id` of a plan, made where it is not there.
    ///
    /// # Errors
    /// When the folder cannot be made or opened, and when a link leads to it.
    pub fn of_plan(world: &dyn World, plan_dir: &Path, of: &Evidence) -> io::Result<Self> {
        let dir = root(world, plan_dir, &of.root)?;
        Ok(Self::within(dir, &of.spec_id))
    }

    /// The evidence of the spec `id` in a root that is open.
    pub(crate) fn within(dir: Dir, id: &str) -> Self {
        Self {
            dir,
            id: id.to_owned(),
        }
    }

    /// Reads a file of at most `max` bytes by its path below the evidence root.
    ///
    /// # Errors
    /// As [`nofollow::read`].
    pub fn read(&self, path: &str, max: u64) -> io::Result<Vec<u8>> {
        nofollow::read(&self.dir, path, max)
    }

    /// Writes a file by its path below the evidence root. Under the spec's lock.
    ///
    /// # Errors
    /// As [`nofollow::write`].
    pub fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        nofollow::write(&self.dir, path, bytes, Durability::Durable)
    }

    /// Removes a file by its path below the evidence root. Under the spec's lock.
    ///
    /// # Errors
    /// What the disk says, and where a folder above it is a link.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        nofollow::remove(&self.dir, path)
    }

    /// The paths of all files that are this spec's, with what it cost.
    ///
    /// # Errors
    /// As [`nofollow::files`].
    pub fn paths(&self) -> io::Result<Vec<String>> {
        let mut paths = Vec::new();
        for folder in FOLDERS {
            paths.extend(nofollow::files(
                &self.dir,
                &format!("{folder}/{}", self.id),
            )?);
        }
        paths.extend(self.costs()?);
        Ok(paths)
    }

    /// The path of what the spec cost until now, where that is known.
    ///
    /// # Errors
    /// As [`nofollow::file`].
    pub fn costs(&self) -> io::Result<Option<String>> {
        let path = format!("costs/{}_cost_summary.json", self.id);
        match nofollow::file(&self.dir, &path) {
            Ok(_) => Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All specs that have files below the root.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn ids(world: &dyn World, root: &Path) -> io::Result<BTreeSet<String>> {
        let dir = world.folder(root)?;
        let mut ids = BTreeSet::new();
        for folder in FOLDERS {
            let Some(folder) = opened(&dir, folder)? else {
                continue;
            };
            for entry in folder.entries()? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    ids.extend(entry.file_name().into_string().ok());
                }
            }
        }
        Ok(ids)
    }

    /// Keeps runs away from the spec until what this gives is dropped.
    ///
    /// # Errors
    /// When a run holds the lock, or the folder cannot be written.
    pub fn lock(&self) -> Result<std::fs::File, Failure> {
        let failed = || {
            let what = format!("the evidence of {} cannot be changed", self.id);
            Failure::new(Exit::Internal, what)
        };
        take_lock(&self.dir, &self.id, "")
            .map_err(|error| failed().because(error.to_string()))?
            .map_err(|holder| {
                let why = match holder.as_str() {
                    "" => "somebody else holds its lock".to_owned(),
                    holder => format!("the run {holder} holds its lock"),
                };
                failed()
                    .because(why)
                    .hint("wait until that run has ended; a lock ends with its process")
            })
    }

    /// What is there.
    ///
    /// # Errors
    /// When a folder cannot be listed, or a file of it cannot be read.
    pub fn survey(&self) -> io::Result<Survey> {
        let mut files = BTreeMap::new();
        for folder in FOLDERS {
            files.extend(self.files(&format!("{folder}/{}", self.id))?);
        }
        let told = self.told(&files)?;
        let mut runs: BTreeMap<String, SpecRun> = BTreeMap::new();
        let mut others = BTreeMap::new();
        for (path, bytes) in files {
            let name = Name::of(&path);
            let of = name
                .as_ref()
                .and_then(|name| told.get(&name.stage_and_time()?));
            let of = of.map(|it| it.run.clone());
            match of.or_else(|| name?.run) {
                Some(run) => {
                    let entry = runs.entry(run.clone()).or_default();
                    entry.run_id = run;
                    entry.files.insert(path, bytes);
                }
                None => {
                    others.insert(path, bytes);
                }
            }
        }
        for ((stage, began), it) in told {
            if let Some(run) = runs.get_mut(&it.run) {
                if run.began.is_empty() || began < run.began {
                    run.began.clone_from(&began);
                }
                run.stages.insert(stage, it.ended);
            }
        }
        let mut archives = self.files(ARCHIVES)?;
        archives.retain(|path, _| self.archived(path).is_some_and(is_of_run));
        Ok(Survey {
            // Ids of runs are in the order of time, and the map is in that of ids.
            runs: runs.into_values().collect(),
            others,
            archives,
        })
    }

    /// The paths of all archives that have files of this spec: those of its runs, newest first, and then its baselines.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn archives(&self) -> io::Result<Vec<String>> {
        let all = self.files(ARCHIVES)?.into_keys();
        let named = |path: &str, is_it: fn(&str) -> bool| self.archived(path).is_some_and(is_it);
        let (mut of_runs, others): (Vec<String>, Vec<String>) =
            all.partition(|path| named(path, is_of_run));
        of_runs.reverse();
        let is_baseline = |name: &str| name.starts_with(BASELINE);
        let baselines = others.into_iter();
        of_runs.extend(baselines.filter(|path| named(path, is_baseline)));
        Ok(of_runs)
    }

    /// The path of the baseline of that name, below the evidence root.
    #[must_use]
    pub fn baseline(&self, name: &str) -> String {
        format!("{ARCHIVES}/{}_{BASELINE}{name}{ARCHIVE_END}", self.id)
    }

    /// What stands behind the spec's name in that of an archive of it.
    fn archived<'p>(&self, path: &'p str) -> Option<&'p str> {
        let own = format!("{ARCHIVES}/{}_", self.id);
        path.strip_prefix(&own)?.strip_suffix(ARCHIVE_END)
    }

    fn files(&self, folder: &str) -> io::Result<BTreeMap<String, u64>> {
        let mut files = BTreeMap::new();
        let Some(dir) = opened(&self.dir, folder)? else {
            return Ok(files);
        };
        for entry in dir.entries()? {
            let entry = entry?;
            let about = entry.metadata()?;
            // A name that is no text is nobody's here.
            if let (true, Ok(name)) = (about.is_file(), entry.file_name().into_string()) {
                files.insert(format!("{folder}/{name}"), about.len());
            }
        }
        Ok(files)
    }

    /// Which run began a stage at a time, and how that ended: by the lifecycle of the stage.
    fn told(&self, files: &BTreeMap<String, u64>) -> io::Result<BTreeMap<(String, String), Told>> {
        let mut told = BTreeMap::new();
        for path in files.keys() {
            let lifecycle = Name::of(path).filter(|name| name.is_lifecycle);
            if let Some(key) = lifecycle.and_then(|name| name.stage_and_time())
                && let Some(it) = Told::read(&self.start(path)?)
            {
                told.insert(key, it);
            }
        }
        Ok(told)
    }

    /// Whether a step of this run may not take a path: of a lifecycle, where another run's is there, and of that or of
    /// stage telemetry, where another step's of this run is. A file of an older host names no step, and is this
    /// step's where it is this run's.
    ///
    /// # Errors
    /// When a file that is there cannot be read.
    pub(crate) fn is_of_another(&self, path: &str, run: &str, step: &str) -> io::Result<bool> {
        let start = match self.start(path) {
            Ok(start) => start,
            // What is no file says nothing, and gives way to the one that is written, or says then why not.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
                ) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        Ok(match Name::of(path) {
            Some(name) if name.is_lifecycle => Told::read(&start)
                .is_some_and(|it| it.run != run || it.step.is_some_and(|it| it != step)),
            // The name of stage telemetry has its run.
            Some(name) if name.run.as_deref() == Some(run) => {
                step_of(&start).is_some_and(|it| it != step)
            }
            _ => false,
        })
    }

    /// The first bytes of a file, which say whose it is.
    fn start(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = nofollow::file(&self.dir, path)?;
        file.take(TOLD_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Puts the files of a run into an archive, with its SHA-256 beside it, and leaves them. One that is there and
    /// holds all of them stays as it is.
    ///
    /// # Errors
    /// When it cannot be written, or another one of the same name is there.
    pub fn archive(&self, run: &SpecRun) -> Result<Put, Failure> {
        let began = match run.began.as_str() {
            "" => &run.run_id,
            began => began,
        };
        let name = format!("{ARCHIVES}/{}_{began}{ARCHIVE_END}", self.id);
        let failed = |error: &io::Error| {
            let what = format!("the evidence of run {} cannot be archived", run.run_id);
            Failure::new(Exit::Internal, what).because(error.to_string())
        };
        let names: BTreeSet<String> = run.files.keys().cloned().collect();
        let read = |path: &str| self.read(path, FILE_BYTES_MAX);
        let mut bytes = Vec::new();
        let made = pack(&names, read, &mut bytes).map_err(|error| failed(&error))?;
        // However large: this host wrote it, of files that had bounds of their own.
        let there = match self.read(&name, u64::MAX) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(&error)),
        };
        let made = match there {
            Some(there) => self.same(&name, &there, &names)?,
            None => {
                self.write(&name, &bytes).map_err(|error| failed(&error))?;
                made
            }
        };
        let file = name.rsplit('/').next().unwrap_or(&name);
        // As `sha256sum --check` reads it.
        let line = format!("{}  {file}\n", made.sha256);
        self.write(&format!("{name}.sha256"), line.as_bytes())
            .map_err(|error| failed(&error))?;
        Ok(Put {
            run_id: run.run_id.clone(),
            path: name,
            sha256: made.sha256,
            bytes: made.bytes,
            files: names.len(),
        })
    }

    /// That an archive which is there has the files as they are: those that a kill has left of them.
    fn same(
        &self,
        name: &str,
        there: &[u8],
        names: &BTreeSet<String>,
    ) -> Result<Archived, Failure> {
        let another = |why: String| {
            Failure::new(
                Exit::Internal,
                format!("`{name}` is there, and is another archive"),
            )
            .because(why)
            .hint("move it away, and archive again")
        };
        let held = packed(there).map_err(|error| another(error.to_string()))?;
        for path in names {
            let bytes = self.read(path, FILE_BYTES_MAX);
            let bytes = bytes.map_err(|error| another(error.to_string()))?;
            if held.get(path) != Some(&hex::encode(Sha256::digest(&bytes))) {
                return Err(another(format!("`{path}` is not in it as it is here")));
            }
        }
        Ok(Archived {
            sha256: hex::encode(Sha256::digest(there)),
            bytes: there.len() as u64,
        })
    }

    /// Archives a run's files and removes them. What says whose they are goes last.
    ///
    /// # Errors
    /// As [`Spec::archive`], and when a file cannot be removed.
    pub fn prune(&self, run: &SpecRun) -> Result<Put, Failure> {
        let put = self.archive(run)?;
        let is_lifecycle = |path: &&String| Name::of(path).is_some_and(|name| name.is_lifecycle);
        let (last, first): (Vec<&String>, Vec<&String>) = run.files.keys().partition(is_lifecycle);
        for path in first.into_iter().chain(last) {
            nofollow::remove(&self.dir, path).map_err(|error| {
                let what = format!("`{path}` cannot be removed");
                Failure::new(Exit::Internal, what)
                    .because(error.to_string())
                    .hint(format!("it is in `{}` as well; prune again", put.path))
            })?;
        }
        Ok(put)
    }
}

/// The evidence root, below the folder of the plan and nowhere else: a plan that came with a link in its place would
/// have the host write wherever that leads.
pub(crate) fn root(world: &dyn World, plan_dir: &Path, root: &str) -> io::Result<Dir> {
    nofollow::create(&world.folder(plan_dir)?, root)
}

/// The lock, or who holds it.
pub(crate) fn take_lock(
    dir: &Dir,
    spec_id: &str,
    run: &str,
) -> io::Result<Result<std::fs::File, String>> {
    let file = nofollow::lockable(dir, &format!(".locks/{spec_id}.lock"))?;
    let mut file = file.into_std();
    match file.try_lock() {
        Ok(()) => {
            // Of whoever held it before; only who holds the lock writes.
            file.set_len(0)?;
            file.write_all(run.as_bytes())?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // A run's id has 26 characters; whatever else stands there is not shown.
            file.take(26).read_to_string(&mut holder)?;
            let plain = holder.chars().all(|c| c.is_ascii_alphanumeric());
            Ok(Err(if plain { holder } else { String::new() }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn opened(dir: &Dir, path: &str) -> io::Result<Option<Dir>> {
    match nofollow::open(dir, path) {
        Ok(dir) => Ok(Some(dir)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a stage's lifecycle says of it.
struct Told {
    run: String,
    step: Option<String>,
    ended: String,
}

impl Told {
    fn read(lines: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(lines).ok()?;
        let said = |line: &str, name: &str| -> Option<String> {
            let line: Value = serde_json::from_str(line).ok()?;
            Some(line.get(name)?.as_str()?.to_owned())
        };
        let first = text.lines().next()?;
        Some(Self {
            run: said(first, "runId").filter(|run| is_run(run))?,
            step: said(first, "step"),
            ended: said(text.lines().last()?, "event")?,
        })
    }
}

/// The step that a stage's telemetry of schema 1 is of; none where an older host or another tool wrote it.
fn step_of(document: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(document).ok()?;
    Some(document.get("step")?.as_str()?.to_owned())
}

/// What a file's name says of it.
struct Name {
    stage: String,
    time: Option<String>,
    run: Option<String>,
    is_lifecycle: bool,
}

impl Name {
    /// `spec-<stage>_<time>_…`, `spec-<stage>_lifecycle_<time>.jsonl`, `spec-<stage>_<run>.json` or, of a second step
    /// of that stage, `spec-<stage>_<run>_2.json`.
    fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?.strip_prefix("spec-")?;
        let parts: Vec<&str> = name.split(['_', '.']).collect();
        let place = parts
            .iter()
            .position(|part| is_time(part) || is_run(part))?;
        let mark = *parts.get(place)?;
        let mut before: Vec<&str> = parts.get(..place)?.to_vec();
        let is_lifecycle = before.len() > 1 && before.last() == Some(&"lifecycle");
        if is_lifecycle {
            before.pop();
        }
        Some(Self {
            stage: before.join("_"),
            time: is_time(mark).then(|| mark.to_owned()),
            run: is_run(mark).then(|| mark.to_owned()),
            is_lifecycle,
        })
    }

    fn stage_and_time(&self) -> Option<(String, String)> {
        Some((self.stage.clone(), self.time.clone()?))
    }
}

/// Whether a file's bytes count against `evidence.max_mb`, by its path below the evidence root.
pub(crate) fn counts(path: &str) -> bool {
    let folder = path.split('/').next();
    folder.is_some_and(|folder| FOLDERS.contains(&folder))
}

/// Whether a file takes the place of another stage's, by its path below the evidence root: the latest synthesis and the
/// cost summary do.
#[must_use]
pub fn is_shared(path: &str) -> bool {
    path.contains('/') && Name::of(path).is_none()
}

/// The stage that a file is of and when that began, by its path below the evidence root; none where its name does not say
/// both.
#[must_use]
pub fn stage_and_time(path: &str) -> Option<(String, String)> {
    Name::of(path)?.stage_and_time()
}

/// Whether this stands behind a spec's name in that of an archive of a run. `A_B` and `A` are two specs: what follows the
/// name is a time, or a run where nobody knows when it began.
fn is_of_run(name: &str) -> bool {
    is_time(name) || is_run(name)
}

/// Whether a file's name has the time of a stage.
pub(crate) fn has_time(path: &str) -> bool {
    Name::of(path).is_some_and(|name| name.time.is_some())
}

/// `20261126T073910Z`, and `20261126T073910Z-2` of the second run in that second.
fn is_time(text: &str) -> bool {
    let (time, number) = text.split_once('-').unwrap_or((text, "2"));
    let numbered = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    numbered
        && time.len() == 16
        && time.char_indices().all(|(at, c)| match at {
            8 => c == 'T',
            15 => c == 'Z',
            _ => c.is_ascii_digit(),
        })
}

/// A run's id.
fn is_run(text: &str) -> bool {
    text.len() == 26
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
}

#[cfg(test)]
mod tests;
