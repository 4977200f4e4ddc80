//! Verifies what lies in a folder or a bundle: finds the ledgers, feeds them to the judgement in
//! [`crate::verify`], and says where the first fault is.
//!
//! Needs nothing of the host that wrote the ledgers. Files are read as streams with bounded
//! lines; whatever the bytes are, the answer is a report, never a panic.

mod beside;
mod listed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bundle::Bundle;
use crate::checkpoint::{NOTE_BYTES_MAX, Note, VKey};
use crate::chunks::Effort;
use crate::disk::{self, RealDisk, Source};
use crate::layout::{self, Meta};
use crate::merkle::{Hash, leaf_hash};
use crate::payload_feed::PayloadFeed;
use crate::record::{LINE_BYTES_MAX, View};
use crate::report::{Code, Indexed, LedgerReport, Problem, Report, Trust};
use crate::rows::{Row, Rows};
use crate::scan::{self, NoteLog, ScanError};
use crate::verify::{Accepted, Check, Fault, Floor, fault};

use listed::{Listed, list_run};

/// Said of a half-written record that a kill explains.
const TORN_RECORD: &str = " (the host was killed while it wrote it; `flowhost` cuts it when it \
                           opens the ledger again)";

/// What a verification starts from.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The keys that are believed: of hosts (`<host id>`) or of single ledgers (the origin).
    /// Without any, the key that `ledger.json` names is used, and the report says so loudly.
    pub trusted: Vec<VKey>,
    /// A writer may be at work: an unsigned or half-written end is no fault.
    pub live: bool,
    /// Notes that were sent away earlier: no ledger may have fewer records or others.
    pub witnessed: Vec<Note>,
    /// The ledger lies where its host keeps it, so there is an index of runs that knows it. Without
    /// this, an index is asked if there is one.
    pub in_place: bool,
}

/// How often an index that others write to is read again. Each read takes milliseconds, and so does an
/// entry: one of a few finds it at rest.
const INDEX_READS_MAX: usize = 8;

/// Verifies the ledger, tenant's folder, state folder or bundle at `path` against `trusted` keys.
///
/// # Examples
///
/// ```
/// let report = flowhost_ledger::verify_dir(std::path::Path::new("/nowhere"), &[]);
/// assert!(!report.ok);
/// ```
#[must_use]
pub fn verify_dir(path: &Path, trusted: &[VKey]) -> Report {
    verify_path(
        path,
        &VerifyOptions {
            trusted: trusted.to_vec(),
            ..VerifyOptions::default()
        },
    )
}

/// [`verify_dir`] with all options.
#[must_use]
pub fn verify_path(path: &Path, options: &VerifyOptions) -> Report {
    if RealDisk.list(path).is_ok() {
        return verify_in(&RealDisk, path, options);
    }
    match Bundle::open(path) {
        Ok(bundle) => {
            let mut report = verify_in(&bundle, Path::new(""), options);
            report.path = path.display().to_string();
            report
        }
        Err(error) => {
            let mut walk = Walk::new(&RealDisk, path, options);
            walk.report
                .problems
                .push(place(path, fault(Code::Io, error.to_string())));
            walk.finish()
        }
    }
}

/// Verifies what lies at `path` of any source of files.
#[must_use]
pub fn verify_in(source: &dyn Source, path: &Path, options: &VerifyOptions) -> Report {
    verify_with(source, path, options, Effort::of_this_machine())
}

/// [`verify_in`] by as many threads as `effort` says.
fn verify_with(
    source: &dyn Source,
    path: &Path,
    options: &VerifyOptions,
    effort: Effort,
) -> Report {
    let mut walk = Walk::new(source, path, options);
    walk.effort = effort;
    walk.find(path);
    walk.finish()
}

/// Verifies what stays of a run that was removed: its archive in the tenant's folder, by what the index of
/// runs says of both.
#[must_use]
pub fn verify_removed(tenant_dir: &Path, run: &str, options: &VerifyOptions) -> Report {
    let mut walk = Walk::new(&RealDisk, tenant_dir, options);
    walk.removed_alone(tenant_dir, run);
    walk.finish()
}

pub(crate) fn place(file: &Path, fault: Fault) -> Problem {
    let file = file.display().to_string();
    Problem {
        code: fault.code,
        file,
        line: None,
        offset: None,
        seq: fault.seq,
        what: fault.what,
    }
}

pub(crate) fn io_fault(file: &Path) -> impl Fn(io::Error) -> Problem {
    move |error| place(file, fault(Code::Io, error.to_string()))
}

struct Walk<'a> {
    source: &'a dyn Source,
    options: &'a VerifyOptions,
    effort: Effort,
    report: Report,
}

impl<'a> Walk<'a> {
    fn new(source: &'a dyn Source, path: &Path, options: &'a VerifyOptions) -> Self {
        let report = Report {
            ok: false,
            path: path.display().to_string(),
            ledgers: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
        };
        Self {
            source,
            options,
            effort: Effort::of_this_machine(),
            report,
        }
    }

    fn finish(mut self) -> Report {
        let ok = self.report.all_problems().next().is_none();
        self.report.ok = ok;
        self.report
    }

    /// A ledger has `ledger.json` or a first segment; a tenant's folder has runs; a state folder
    /// has tenants.
    fn find(&mut self, path: &Path) {
        let entries = match self.source.list(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.report.problems.push(io_fault(path)(error));
                return;
            }
        };
        let has = |name: &str| entries.iter().any(|entry| entry.name == name);
        let first_segment = layout::segment(0);
        if [layout::META, layout::CHECKPOINT, first_segment.as_str()]
            .into_iter()
            .any(has)
        {
            self.single(path);
            return;
        }
        // Either: a tenant whose index somebody took away is looked at, too, and found wanting.
        if has(layout::RUNS) || has(layout::INDEX) {
            self.tenant(path);
            return;
        }
        let before = (self.report.ledgers.len(), self.report.problems.len());
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            let tenant = path.join(&entry.name);
            let names = match self.source.list(&tenant) {
                Ok(names) => names,
                Err(error) => {
                    // It may be a tenant's: whoever believes the report has to know that nobody looked.
                    let note = format!("{} was not looked into: {error}", tenant.display());
                    self.report.notes.push(note);
                    continue;
                }
            };
            if names
                .iter()
                .any(|entry| [layout::RUNS, layout::INDEX].contains(&&*entry.name))
            {
                self.tenant(&tenant);
            }
        }
        if before == (self.report.ledgers.len(), self.report.problems.len()) {
            let what = "the folder holds no ledger (no ledger.json, runs or tenants)";
            self.report
                .problems
                .push(place(path, fault(Code::Layout, what)));
        }
    }

    /// One ledger, which may be a run in its tenant's folder: then the index says how much of it there
    /// must be.
    fn single(&mut self, path: &Path) {
        let Some(index_path) = self.index_of(path) else {
            let ledger = self.ledger(path, &[], &mut |_| {});
            self.report.ledgers.push(ledger);
            return;
        };
        let (mut listed, index) = self.index(&index_path);
        let name = path.file_name().and_then(|name| name.to_str());
        let known = name.and_then(|name| listed.remove(name));
        // What an index says that is not sound itself is worth nothing.
        let problem = index.problem.clone().or_else(|| match &known {
            Some(listed) => listed.should_be_gone(path),
            None => {
                let what = "this run is not in the index of runs";
                Some(place(path, fault(Code::Index, what)))
            }
        });
        let goes_on = known.as_ref().is_some_and(|listed| listed.goes_on);
        let end = known.and_then(|listed| listed.end);
        let mut ledger = self.ledger(path, end.as_slice(), &mut |_| {});
        ledger.index = match (&problem, &end) {
            (Some(_), _) => None,
            (None, Some(end)) if !goes_on => Some(Indexed::Ended { records: end.size }),
            (None, _) => Some(Indexed::Open),
        };
        self.report.ledgers.push(ledger);
        self.report.problems.extend(problem);
    }

    /// Where the index is that knows the run in `path`, if that is a run's place.
    fn index_of(&self, path: &Path) -> Option<PathBuf> {
        let runs = path.parent()?;
        if runs.file_name().is_none_or(|name| name != layout::RUNS) {
            return None;
        }
        let index = runs.parent()?.join(layout::INDEX);
        (self.options.in_place || self.source.list(&index).is_ok()).then_some(index)
    }

    /// Reads an index of runs: what it says of each, and how sound it is. Runs that begin and end write
    /// to it meanwhile, and the files are read one after another: what seems wrong is looked at again if
    /// they grew.
    fn index(&self, path: &Path) -> (BTreeMap<String, Listed>, LedgerReport) {
        let mut reads = 0..INDEX_READS_MAX;
        loop {
            let before = self.sizes(path);
            let mut listed: BTreeMap<String, Listed> = BTreeMap::new();
            let report = self.ledger(path, &[], &mut |view| list_run(&mut listed, view));
            let may_be_wrong = report.problem.is_some() && self.sizes(path) != before;
            if !may_be_wrong || reads.next().is_none() {
                return (listed, report);
            }
        }
    }

    /// How large each file of a folder is. A record is written before anything that signs it, so that
    /// nothing of a ledger changes unseen by this.
    fn sizes(&self, dir: &Path) -> Vec<(String, Option<u64>)> {
        let entries = self.source.list(dir).unwrap_or_default();
        let size = |name: String| {
            // A file that is gone by now has another size than before, which is all that is asked.
            let len = self.source.len(&dir.join(&name)).ok();
            (name, len)
        };
        entries.into_iter().map(|entry| size(entry.name)).collect()
    }

    fn tenant(&mut self, path: &Path) {
        let (mut listed, index) = self.index(&path.join(layout::INDEX));
        self.report.ledgers.push(index);
        let runs_path = path.join(layout::RUNS);
        let runs = match self.source.list(&runs_path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.report.problems.push(io_fault(&runs_path)(error));
                return;
            }
            other => other.unwrap_or_default(),
        };
        for run in runs.iter().filter(|entry| entry.is_dir) {
            let dir = runs_path.join(&run.name);
            let known = listed.remove(&run.name);
            if known.is_none() {
                let what = "this run is not in the index of runs";
                self.report
                    .problems
                    .push(place(&dir, fault(Code::Index, what)));
            }
            let there = known.as_ref().and_then(|it| it.should_be_gone(&dir));
            self.report.problems.extend(there);
            let goes_on = known.as_ref().is_some_and(|listed| listed.goes_on);
            let end = known.and_then(|listed| listed.end);
            if end.is_none() || goes_on {
                self.report
                    .notes
                    .push(format!("{} has not ended", dir.display()));
            }
            let ledger = self.ledger(&dir, end.as_slice(), &mut |_| {});
            self.report.ledgers.push(ledger);
        }
        self.removed_runs(path, &listed);
        for (run, _) in listed.iter().filter(|(_, it)| it.removed.is_none()) {
            let what = "the index of runs has this run, and its folder is missing";
            let dir = runs_path.join(run);
            self.report
                .problems
                .push(place(&dir, fault(Code::Index, what)));
        }
    }

    fn check(
        &self,
        dir: &Path,
        floors: &[Floor],
        look: &mut dyn FnMut(&View<'_>),
        report: &mut LedgerReport,
    ) -> Result<(), Problem> {
        let (origin, check, checkpoint) = self.begin(dir, report)?;
        report.origin = Some(origin.clone());
        let mut floors = floors.to_vec();
        for note in &self.options.witnessed {
            let seen = note.unverified();
            if seen.origin == origin {
                let source = "a witness".to_owned();
                floors.push(Floor {
                    size: seen.size,
                    root: seen.root,
                    source,
                });
            }
        }
        // The largest first: the next one to be met is then popped from the end.
        floors.sort_by_key(|floor| std::cmp::Reverse(floor.size));
        let log_path = dir.join(layout::CHECKPOINTS);
        let log = NoteLog::open(self.source, &log_path).map_err(io_fault(&log_path))?;
        let mut feed = Feed {
            source: self.source,
            dir,
            effort: self.effort,
            live: self.options.live,
            check,
            checkpoint,
            log,
            next: None,
            before: None,
            floors,
            look,
        };
        let result = feed.run(report);
        feed.check.describe(report);
        result
    }

    /// Finds out whose ledger this is and which keys may sign it.
    fn begin(
        &self,
        dir: &Path,
        report: &mut LedgerReport,
    ) -> Result<(String, Check, Option<Note>), Problem> {
        let path = dir.join(layout::CHECKPOINT);
        let checkpoint = disk::read_small(self.source, &path, NOTE_BYTES_MAX as u64)
            .map_err(io_fault(&path))?
            .map(|bytes| Note::parse(&bytes))
            .transpose()
            .map_err(|error| place(&path, fault(Code::Checkpoint, error.to_string())))?;
        let meta_path = dir.join(layout::META);
        let meta = disk::read_small(self.source, &meta_path, layout::META_BYTES_MAX)
            .map_err(io_fault(&meta_path))?
            .map(|bytes| Meta::parse(&bytes))
            .transpose()
            .map_err(|what| place(&meta_path, fault(Code::Meta, what)))?;
        // No fault, because all that is signed can be verified without it; and told, because it is missed elsewhere.
        report.no_meta = meta.is_none();
        let origin = match (&meta, &checkpoint) {
            (Some(meta), _) => meta.origin.clone(),
            (None, Some(note)) => note.unverified().origin.clone(),
            (None, None) => {
                let what = "there is neither ledger.json nor a checkpoint";
                return Err(place(dir, fault(Code::Layout, what)));
            }
        };
        let owner = layout::owner_of(&origin)
            .ok_or_else(|| place(&meta_path, fault(Code::Meta, "the origin is malformed")))?;
        let given: Vec<VKey> = self
            .options
            .trusted
            .iter()
            .filter_map(|key| key.for_origin(&origin))
            .collect();
        let own = meta.into_iter().flat_map(|meta| meta.keys);
        let named: Vec<VKey> = own.filter(|key| key.name() == origin).collect();
        let (keys, trust) = match self.options.trusted.is_empty() {
            false => (given, Trust::Given),
            true => (named.clone(), Trust::SelfAsserted),
        };
        if keys.is_empty() {
            let what = format!("none of the given keys is for {origin}");
            return Err(place(dir, fault(Code::UnknownKey, what)));
        }
        Ok((
            origin.clone(),
            Check::new(&origin, owner, keys, named, trust),
            checkpoint,
        ))
    }
}

/// Feeds one ledger's files to its check, in step.
struct Feed<'a> {
    source: &'a dyn Source,
    dir: &'a Path,
    effort: Effort,
    live: bool,
    check: Check,
    checkpoint: Option<Note>,
    log: Option<NoteLog>,
    /// The next note of the log.
    next: Option<Note>,
    /// Where the record before stands.
    before: Option<Place>,
    /// The largest first, so that the next one is last.
    floors: Vec<Floor>,
    look: &'a mut dyn FnMut(&View<'_>),
}

impl Feed<'_> {
    fn run(&mut self, report: &mut LedgerReport) -> Result<(), Problem> {
        let names = scan::segment_files(self.source, self.dir).map_err(scan_problem)?;
        self.check_payload_names(&names)?;
        self.advance_log()?;
        self.meet_notes()?;
        let last = names.len().saturating_sub(1);
        for (at, name) in names.iter().enumerate() {
            report.segments += 1;
            self.segment(name, at == last, report)?;
        }
        self.check_nothing_is_cut()?;
        let live = self.live;
        self.check
            .finish(live, report)
            .map_err(|fault| place(self.dir, fault))
    }

    /// A payload file without its segment would otherwise never be looked at.
    fn check_payload_names(&self, segments: &[String]) -> Result<(), Problem> {
        let files = crate::payloads::files(self.source, self.dir).map_err(io_fault(self.dir))?;
        let has_segment = |name: &String| {
            let number = layout::numbered(name, "payloads-").unwrap_or_default();
            segments
                .iter()
                .any(|segment| layout::numbered(segment, "seg-") == Some(number))
        };
        match files.iter().find(|name| !has_segment(name)) {
            Some(name) if !self.live => {
                let number = layout::numbered(name, "payloads-").unwrap_or_default();
                let what = format!("it is missing, and {name} is there");
                let segment = self.dir.join(format!("seg-{number}.jsonl"));
                Err(place(&segment, fault(Code::Layout, what)))
            }
            _ => Ok(()),
        }
    }

    fn segment(
        &mut self,
        name: &str,
        last: bool,
        report: &mut LedgerReport,
    ) -> Result<(), Problem> {
        let path = self.dir.join(name);
        let mut rows = self.rows(&path)?;
        let path: Arc<Path> = path.into();
        let number = layout::numbered(name, "seg-").unwrap_or_default();
        let mut payloads = PayloadFeed::open(self.source, self.dir, number, self.effort)?;
        let mut any = false;
        while let Some(row) = rows.next().map_err(io_fault(&path))? {
            any = true;
            let here = Place::of(&path, &row);
            if !row.complete && last && self.live {
                return Ok(());
            }
            // Of a line that is too long more or less was read, as chunks fell: it counts for as much as says so.
            report.bytes += row.bytes.len().min(LINE_BYTES_MAX + 1) as u64 + 1;
            let record = match self.record(&row) {
                Ok(record) => record,
                Err(mut fault) => {
                    if last && row.is_torn() && self.may_end_here() {
                        fault.what.push_str(TORN_RECORD);
                    }
                    let hash = leaf_hash(row.bytes);
                    return Err(self.first_of_two(here, hash, &mut rows, fault));
                }
            };
            self.before = Some(here);
            payloads.meet(&mut self.check, &record)?;
            self.meet_notes()?;
        }
        if !any && !last {
            let what = "it is empty and not the last segment";
            return Err(place(&path, fault(Code::Layout, what)));
        }
        if !(self.live && last) {
            report.payloads.unrecorded = payloads.finish(&self.check, last)?;
        }
        Ok(())
    }

    /// A line that does not follow from the one before it: which of the two was altered? The line after
    /// them knows the hash of the second, and a note may know the first.
    fn first_of_two(&self, here: Place, hash: Hash, rows: &mut Rows, fault: Fault) -> Problem {
        let seq = self.check.size();
        let before = self.before.as_ref().filter(|_| fault.broken_link);
        let Some(before) = before.filter(|_| !self.check.is_fitted()) else {
            return here.problem(Some(seq), fault);
        };
        let next = rows.next().ok().flatten();
        let next = next.as_ref().and_then(|line| View::parse(line.bytes).ok());
        if next.is_some_and(|next| next.prev != hex::encode(hash)) {
            return here.problem(Some(seq), fault);
        }
        let what = format!("it was altered: record {seq} names another hash of it");
        let altered = crate::verify::fault(fault.code, what);
        before.problem(Some(seq.saturating_sub(1)), altered)
    }

    /// Whether nobody vouches for more records than there are: a crash may have ended them here.
    const fn may_end_here(&self) -> bool {
        self.checkpoint.is_none() && self.next.is_none() && self.check.is_unfinished()
    }

    fn rows(&self, path: &Path) -> Result<Rows, Problem> {
        let file = self.source.open_read(path).map_err(io_fault(path))?;
        let len = self.source.len(path).map_err(io_fault(path))?;
        Ok(Rows::new(file, len, self.check.owner(), self.effort))
    }

    fn record<'a>(&mut self, row: &Row<'a>) -> Result<Accepted<'a>, Fault> {
        if let Some(what) = row.length_fault() {
            return Err(crate::record::LineFault::Length(what).into());
        }
        self.check.row(row, self.look)
    }

    /// Reads the next note of the log. A half-written one at the end is what a crash leaves.
    fn advance_log(&mut self) -> Result<(), Problem> {
        self.next = None;
        let path = self.dir.join(layout::CHECKPOINTS);
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let Some(found) = log.next().map_err(io_fault(&path))? else {
            return Ok(());
        };
        match found.note {
            Ok(note) => {
                if note.unverified().size < self.check.size() {
                    let what = "its notes are not in the order of their sizes";
                    return Err(place(&path, fault(Code::Checkpoint, what)));
                }
                self.next = Some(note);
                Ok(())
            }
            Err(_) if self.live => Ok(()),
            Err(error) => {
                let mut problem = place(&path, fault(Code::Checkpoint, error.to_string()));
                problem.offset = Some(found.offset);
                Err(problem)
            }
        }
    }

    /// Compares everything that speaks of the ledger's present size.
    fn meet_notes(&mut self) -> Result<(), Problem> {
        let size = self.check.size();
        while self
            .next
            .as_ref()
            .is_some_and(|note| note.unverified().size == size)
        {
            let Some(note) = self.next.take() else { break };
            let path = self.dir.join(layout::CHECKPOINTS);
            self.check
                .note(&note, false)
                .map_err(|fault| place(&path, fault))?;
            self.advance_log()?;
        }
        if self
            .checkpoint
            .as_ref()
            .is_some_and(|note| note.unverified().size == size)
            && let Some(note) = self.checkpoint.take()
        {
            let path = self.dir.join(layout::CHECKPOINT);
            self.check
                .note(&note, true)
                .map_err(|fault| place(&path, fault))?;
        }
        while self.floors.last().is_some_and(|floor| floor.size == size) {
            let Some(floor) = self.floors.pop() else {
                break;
            };
            self.check
                .floor(&floor)
                .map_err(|fault| place(self.dir, fault))?;
        }
        Ok(())
    }

    /// Whatever still waits for its size speaks of records that are not there.
    fn check_nothing_is_cut(&self) -> Result<(), Problem> {
        let cut = |source: &str, size: u64| {
            let what = format!(
                "{source} has {size} records, {} are there",
                self.check.size()
            );
            fault(Code::Truncated, what)
        };
        if let Some(note) = &self.checkpoint {
            let path = self.dir.join(layout::CHECKPOINT);
            return Err(place(&path, cut("the checkpoint", note.unverified().size)));
        }
        // A live ledger may have grown notes since its segments were read.
        if let Some(note) = self.next.as_ref().filter(|_| !self.live) {
            let path = self.dir.join(layout::CHECKPOINTS);
            return Err(place(
                &path,
                cut("a checkpoint of the log", note.unverified().size),
            ));
        }
        match self.floors.first() {
            Some(floor) => Err(place(self.dir, cut(&floor.source, floor.size))),
            None => Ok(()),
        }
    }
}

/// A line of a file.
struct Place {
    path: Arc<Path>,
    line: u64,
    offset: u64,
}

impl Place {
    fn of(path: &Arc<Path>, row: &Row<'_>) -> Self {
        Self {
            path: path.clone(),
            line: row.number,
            offset: row.offset,
        }
    }

    fn problem(&self, seq: Option<u64>, fault: Fault) -> Problem {
        let mut problem = place(&self.path, fault);
        problem.line = Some(self.line);
        problem.offset = Some(self.offset);
        problem.seq = seq;
        problem
    }
}

fn scan_problem(error: ScanError) -> Problem {
    match error {
        ScanError::Io(error) => place(Path::new(""), fault(Code::Io, error.to_string())),
        ScanError::Corrupt { file, what, .. } => place(&file, fault(Code::Layout, what)),
    }
}
