//! The evidence files of a run, held against the records that say what was written.
//!
//! They lie below the folder of the plan, and no longer beside the ledger: where that was, what is kept of the plan
//! says. A file that is not there (archived, removed, or on another machine) is worth a line and no fault; one that was
//! changed is a fault, as it is of a view beside the ledger.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::kept::BUNDLE_BYTES_MAX;
use flowhost::output::counted;
use flowhost_ledger::records::Record;
use flowhost_ledger::{Code, Problem, Report, read_run};
use flowhost_run::bundle::{BUNDLE, Bundle};
use flowhost_run::specs::is_shared;
use sha2::{Digest as _, Sha256};

use super::telemetry::FILE_BYTES_MAX;

/// What the latest record says of one file.
struct Written {
    seq: u64,
    root: String,
    sha256: String,
}

/// Adds to the report on the ledger in `dir`, which holds and is that of a run that has ended.
pub(super) fn compare(report: &mut Report, dir: &Path, ambient: &Ambient) {
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
    let (mut same, mut gone) = (0, 0);
    for (name, written) in written {
        let file = plan_dir.join(&written.root).join(&name);
        match ambient.read(&file, FILE_BYTES_MAX) {
            Ok(bytes) if hex::encode(Sha256::digest(&bytes)) == written.sha256 => same += 1,
            Ok(_) => wrong(
                report,
                &file,
                written.seq,
                "it is not the evidence file that the run wrote: it was changed",
            ),
            Err(error) if error.is_missing() => gone += 1,
            Err(error) => wrong(report, &file, written.seq, &error.to_string()),
        }
    }
    if same > 0 {
        let files = counted(same, "evidence file");
        report.notes.push(format!("{files} as the run wrote them"));
    }
    if gone > 0 {
        let files = counted(gone, "evidence file");
        let note = format!("{files} not there (archived, removed, or elsewhere): not looked at");
        report.notes.push(note);
    }
}

fn wrong(report: &mut Report, file: &Path, seq: u64, what: &str) {
    report.ok = false;
    report.problems.push(Problem {
        code: Code::View,
        file: file.display().to_string(),
        line: None,
        offset: None,
        seq: Some(seq),
        what: what.to_owned(),
    });
}

/// The files that stay this run's, by their paths below the evidence root: what the next run takes the place of (the
/// latest synthesis, the cost summary) says nothing of this one, nor do archives of others.
fn written(dir: &Path) -> Result<BTreeMap<String, Written>, String> {
    let mut all = BTreeMap::new();
    for record in read_run(dir).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        if let Ok(Some(Record::ViewWrite(view))) = record.read()
            && let Some(root) = view.root
            && !is_shared(&view.path)
            && [root.as_str(), view.path.as_str()]
                .into_iter()
                .all(is_plain)
        {
            let written = Written {
                seq: record.seq,
                root,
                sha256: view.sha256,
            };
            all.insert(view.path, written);
        }
    }
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
