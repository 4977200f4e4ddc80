//! What the index of runs says of each run, and what is looked at where it says that one was removed.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Walk, io_fault, place};
use crate::archive;
use crate::bundle::Bundle;
use crate::checkpoint::parse_decimal;
use crate::disk::Source;
use crate::layout;
use crate::record::View;
use crate::records::Kind;
use crate::report::{Code, Indexed, LedgerReport, Problem, counted};
use crate::verify::{Floor, fault};

/// What the index of a tenant says about one run.
#[derive(Default)]
pub(super) struct Listed {
    /// The least that its ledger must hold.
    pub(super) end: Option<Floor>,
    /// It went on after that, and has not ended again.
    pub(super) goes_on: bool,
    /// It was removed on purpose.
    pub(super) removed: Option<Removed>,
}

/// A run that was removed.
pub(super) struct Removed {
    /// SHA-256 of the archive that it was put into; none where it was not.
    archive: Option<String>,
    /// Its folder was gone before: somebody else had taken it.
    gone: bool,
}

impl Listed {
    /// That the run in `dir` cannot be there, if it cannot.
    pub(super) fn should_be_gone(&self, dir: &Path) -> Option<Problem> {
        self.removed.as_ref()?;
        let what = "the index of runs says that this run was removed, and its folder is there";
        Some(place(dir, fault(Code::Index, what)))
    }

    fn was_gone(&self) -> bool {
        self.removed.as_ref().is_some_and(|it| it.gone)
    }
}

/// Takes down what an index record says.
pub(super) fn list_run(listed: &mut BTreeMap<String, Listed>, view: &View<'_>) {
    let text = |name: &str| view.field(name).and_then(|value| value.text());
    // A record of the index that names no run lists none.
    let Some(run) = text("run_id") else { return };
    let entry = listed.entry(run.to_owned()).or_default();
    entry.goes_on = view.kind() == Some(Kind::RunResume);
    if view.kind() == Some(Kind::RunRemove) {
        let archive = text("archive").map(str::to_owned);
        let gone = text("gone") == Some("true");
        entry.removed = Some(Removed { archive, gone });
    }
    if view.kind() == Some(Kind::RunRestore) {
        entry.removed = None;
    }
    if view.kind() != Some(Kind::RunEnd) {
        return;
    }
    let size = text("size").and_then(parse_decimal);
    let mut root = [0_u8; 32];
    let sound = text("root").is_some_and(|text| hex::decode_to_slice(text, &mut root).is_ok());
    if let (Some(size), true) = (size, sound) {
        entry.end = Some(Floor {
            size,
            root,
            source: "the index of runs".to_owned(),
        });
    }
}

impl Walk<'_> {
    /// The runs of a tenant that were removed on purpose.
    pub(super) fn removed_runs(&mut self, tenant: &Path, listed: &BTreeMap<String, Listed>) {
        let removed = || listed.iter().filter(|(_, it)| it.removed.is_some());
        for (run, listed) in removed() {
            self.removed(tenant, run, listed);
        }
        let were = |count: usize| match count {
            1 => "1 run was".to_owned(),
            _ => format!("{} were", counted(count as u64, "run")),
        };
        let gone = removed().filter(|(_, it)| it.was_gone()).count();
        let told = [
            (
                removed().count() - gone,
                "removed on purpose, as the index of runs says",
            ),
            (
                gone,
                "taken out of the index of runs after somebody had taken the folder away",
            ),
        ];
        let told = told.into_iter().filter(|(count, _)| *count > 0);
        let notes = told.map(|(count, how)| format!("{} {how}", were(count)));
        self.report.notes.extend(notes);
    }

    /// One run that was removed, and nothing beside it.
    pub(super) fn removed_alone(&mut self, tenant: &Path, run: &str) {
        let (listed, index) = self.index(&tenant.join(layout::INDEX));
        self.report.problems.extend(index.problem);
        let told = |what: &str| place(tenant, fault(Code::Index, format!("run {run} {what}")));
        let problem = match listed.get(run) {
            None => told("is not in the index of runs"),
            Some(Listed { removed: None, .. }) => {
                told("was not removed, and its folder is missing")
            }
            Some(Listed {
                removed: Some(Removed { gone: true, .. }),
                ..
            }) => told(
                "was taken out of the index of runs after its folder was gone: nothing of it is left to verify",
            ),
            Some(Listed {
                removed: Some(Removed { archive: None, .. }),
                ..
            }) => told("was removed without an archive: nothing of it is left to verify"),
            Some(listed) => {
                let before = self.report.ledgers.len();
                self.removed(tenant, run, listed);
                if self.report.ledgers.len() > before || !self.report.problems.is_empty() {
                    return;
                }
                told(
                    "was removed, and its archive is not here; pass the archive's file to `verify`",
                )
            }
        };
        self.report.problems.push(problem);
    }

    /// The archive of a run, if it is here: it may have been taken to another place, which is no fault.
    fn removed(&mut self, tenant: &Path, run: &str, listed: &Listed) {
        let archive = listed.removed.as_ref().and_then(|it| it.archive.as_ref());
        // It was removed without an archive, and that is all that can be said.
        let Some(sha256) = archive else { return };
        let path = tenant.join(layout::ARCHIVES).join(layout::archive(run));
        let Ok(mut file) = self.source.open_read(&path) else {
            self.report.notes.push(format!(
                "the archive of run {run} is not here; where it is, `flowhost verify FILE` checks it"
            ));
            return;
        };
        match archive::measure(&mut file) {
            Err(error) => return self.report.problems.push(io_fault(&path)(error)),
            Ok(found) if found.sha256 != *sha256 => {
                let what =
                    "it is not the archive that the index of runs names: its SHA-256 differs";
                let problem = place(&path, fault(Code::Index, what));
                return self.report.problems.push(problem);
            }
            Ok(_) => {}
        }
        match self.source.open_read(&path).and_then(Bundle::unpack) {
            Err(error) => self.report.problems.push(io_fault(&path)(error)),
            Ok(bundle) => {
                let ledger = self.archived(&bundle, &path, listed);
                self.report.ledgers.push(ledger);
            }
        }
    }

    fn archived(&self, bundle: &dyn Source, path: &Path, listed: &Listed) -> LedgerReport {
        let inside = Walk::new(bundle, path, self.options);
        let mut ledger = inside.ledger(Path::new(""), listed.end.as_slice(), &mut |_| {});
        ledger.path = path.display().to_string();
        if let Some(problem) = &mut ledger.problem {
            problem.file = format!("{}: {}", path.display(), problem.file);
        }
        let ended = listed.end.as_ref().filter(|_| ledger.problem.is_none());
        ledger.index = ended.map(|end| Indexed::Ended { records: end.size });
        ledger
    }
}
