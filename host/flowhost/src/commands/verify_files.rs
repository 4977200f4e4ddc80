//! The evidence files of a run, held against the records that say what was written.
//!
//! They lie below the folder of the plan, and no longer beside the ledger: where that was, what is kept of the plan
//! says. One that is not there is looked for in the archives of its spec, which is where whoever reads numbers, packets
//! and experiments finds it. A file that is in neither (removed, or on another machine) is worth a line and no fault; one
//! that was changed is a fault wherever it lies, as it is of a view beside the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::host::world;
use flowhost::kept::BUNDLE_BYTES_MAX;
use flowhost::output::counted;
use flowhost_ledger::{Code, Problem, Report};
use flowhost_run::bundle::{BUNDLE, Bundle};
use flowhost_run::specs::{Spec, is_shared, stage_and_time};
use sha2::{Digest as _, Sha256};

use super::archived::{Archives, NAMED_MAX};
use super::ledgers::{Named, each_named};
use super::telemetry::FILE_BYTES_MAX;

/// What is wrong with a file, wherever it lies.
const CHANGED: &str = "it is not the evidence file that the run wrote: it was changed";

/// What became of files that are not where they were written.
#[derive(Default)]
struct Away {
    /// In archives, each as the run wrote it.
    same: usize,
    /// Neither there nor in an archive that could be read.
    gone: usize,
}

/// Adds to the report on the ledger in `dir`, which holds and is that of a `run` that has ended.
pub(super) fn compare(report: &mut Report, dir: &Path, run: &str, ambient: &Ambient) {
    let written = match written(dir) {
        Ok(written) => written,
        Err(why) => {
            let note = format!("its evidence files were not looked at: {why}");
            return report.notes.push(note);
        }
    };
    if written.is_empty() {
        return; // no stage of it left any
    }
    let Some(plan_dir) = plan_dir(dir, ambient) else {
        let note = "its evidence files were not looked at: where its plan was is not kept";
        return report.notes.push(note.to_owned());
    };
    let own = own_archives(run, written.keys());
    let (mut same, mut missing) = (0, BTreeMap::new());
    for (name, written) in written {
        let file = plan_dir.join(&written.root).join(&name);
        match ambient.read(&file, FILE_BYTES_MAX) {
            Ok(bytes) if is_as_written(&bytes, &written) => same += 1,
            Ok(_) => wrong(report, &file, Some(written.seq), CHANGED),
            Err(error) if error.is_missing() => {
                missing.insert(name, written);
            }
            Err(error) => wrong(report, &file, Some(written.seq), &error.to_string()),
        }
    }
    // After the files: whoever puts them away meanwhile has written the archive before the first of them goes.
    let away = look_away(report, &plan_dir, &own, missing, ambient);
    if same > 0 {
        let files = counted(same, "evidence file");
        report.notes.push(format!("{files} as the run wrote them"));
    }
    if away.same > 0 {
        let files = counted(away.same, "evidence file");
        let note = format!("{files} in archives as the run wrote them");
        report.notes.push(note);
    }
    if away.gone > 0 {
        let files = counted(away.gone, "evidence file");
        let note = format!(
            "{files} neither there nor in an archive (removed, or elsewhere): not looked at"
        );
        report.notes.push(note);
    }
}

/// What the names of this run's own archives end with: when a stage of it began, or the run where nobody knew that.
fn own_archives<'p>(run: &str, paths: impl Iterator<Item = &'p String>) -> BTreeSet<String> {
    let times = paths.filter_map(|path| Some(stage_and_time(path)?.1));
    let marks = times.chain([run.to_owned()]);
    marks.map(|mark| format!("_{mark}.tar.zst")).collect()
}

/// Looks for files that are not where they were written, in the archives of the specs that they are of.
fn look_away(
    report: &mut Report,
    plan_dir: &Path,
    own: &BTreeSet<String>,
    missing: BTreeMap<String, Named>,
    ambient: &Ambient,
) -> Away {
    let mut away = Away::default();
    let mut specs: BTreeMap<(String, String), BTreeMap<String, Named>> = BTreeMap::new();
    for (path, written) in missing {
        match spec_of(&path).map(str::to_owned) {
            Some(id) => {
                let files = specs.entry((written.root.clone(), id)).or_default();
                files.insert(path, written);
            }
            // No archive has it.
            None => away.gone += 1,
        }
    }
    for ((root, id), files) in specs {
        match in_archives(report, &plan_dir.join(root), &id, own, &files, ambient) {
            Ok(found) => {
                away.same += found.same;
                away.gone += found.gone;
            }
            Err(error) => {
                away.gone += files.len();
                let note = format!("the archives of {id} were not looked at: {error}");
                report.notes.push(note);
            }
        }
    }
    away
}

/// Holds every copy that an archive has of these files against the record. Those of other runs and baselines are read as
/// well: a copy that somebody put there is one that a reader of all of them may meet first.
fn in_archives(
    report: &mut Report,
    root: &Path,
    id: &str,
    own: &BTreeSet<String>,
    files: &BTreeMap<String, Named>,
    ambient: &Ambient,
) -> io::Result<Away> {
    let none = Away {
        same: 0,
        gone: files.len(),
    };
    let spec = match Spec::open(&world(ambient), root, id) {
        Ok(spec) => spec,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none),
        Err(error) => return Err(error),
    };
    let is_own = |name: &str| own.iter().any(|end| name.ends_with(end.as_str()));
    let mut names = spec.archives()?;
    // All are read within one bound, and those of other runs must not use up what this run's own one needs.
    names.sort_by_key(|name| !is_own(name));
    let mut archives = Archives::of_spec(&spec, |path| files.contains_key(path));
    // Whether every copy of a file is as it was written.
    let mut found: BTreeMap<String, bool> = BTreeMap::new();
    for name in &names {
        for (path, bytes) in archives.whole(name) {
            let Some(written) = files.get(&path) else {
                continue; // another run's, which is not held against this record
            };
            let is_same = is_as_written(&bytes, written);
            if !is_same {
                let what = format!("`{path}` in it: {CHANGED}");
                wrong(report, &root.join(name), Some(written.seq), &what);
            }
            *found.entry(path).or_insert(true) &= is_same;
        }
    }
    let gone = files.len().saturating_sub(found.len());
    left_out(report, root, archives.left_out(), gone, &is_own);
    Ok(Away {
        same: found.values().filter(|is_same| **is_same).count(),
        gone,
    })
}

/// Tells of archives that could not be read. This run's own is what its files should be in: where they are in no other
/// place, nobody can say any more that they are as they were.
fn left_out(
    report: &mut Report,
    root: &Path,
    left_out: Vec<(String, String)>,
    gone: usize,
    is_own: &dyn Fn(&str) -> bool,
) {
    let (own, others): (Vec<_>, Vec<_>) = left_out
        .into_iter()
        .partition(|(name, _)| gone > 0 && is_own(name));
    for (name, why) in own {
        let files = counted(gone, "evidence file");
        let what = format!(
            "this archive of the run cannot be read, and no other place has {files} of it: {why}"
        );
        wrong(report, &root.join(name), None, &what);
    }
    for (name, why) in others.iter().take(NAMED_MAX) {
        let note = format!("an archive was left out: `{name}`: {why}");
        report.notes.push(note);
    }
    let more = others.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        let note = format!("{} more left out", counted(more, "archive"));
        report.notes.push(note);
    }
}

fn is_as_written(bytes: &[u8], written: &Named) -> bool {
    hex::encode(Sha256::digest(bytes)) == written.sha256
}

/// The spec that a file is of, by its path below the evidence root; none where it is in no folder that archives are made of.
fn spec_of(path: &str) -> Option<&str> {
    let (folder, below) = path.split_once('/')?;
    let (id, _) = below.split_once('/')?;
    ["commands", "consensus"].contains(&folder).then_some(id)
}

fn wrong(report: &mut Report, file: &Path, seq: Option<u64>, what: &str) {
    report.ok = false;
    report.problems.push(Problem {
        code: Code::View,
        file: file.display().to_string(),
        line: None,
        offset: None,
        seq,
        what: what.to_owned(),
    });
}

/// The files that stay this run's, by their paths below the evidence root: what the next run takes the place of (the
/// latest synthesis, the cost summary) says nothing of this one, nor do archives of others.
fn written(dir: &Path) -> Result<BTreeMap<String, Named>, String> {
    let mut all = BTreeMap::new();
    each_named(dir, |file| {
        let is_plain = [&file.root, &file.path].into_iter().all(|it| is_plain(it));
        if is_plain && !is_shared(&file.path) {
            // The latest record of a file is what is said of it.
            all.insert(file.path.clone(), file);
        }
    })?;
    Ok(all)
}

/// Whether a path stays below where it begins.
fn is_plain(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// The folder that the run's plan was in.
fn plan_dir(dir: &Path, ambient: &Ambient) -> Option<PathBuf> {
    let bytes = ambient.read(&dir.join(BUNDLE), BUNDLE_BYTES_MAX).ok()?;
    let bundle = Bundle::read(&bytes).ok()?;
    let plan = bundle.cwd.join(&bundle.plan);
    Some(plan.parent()?.to_owned())
}
