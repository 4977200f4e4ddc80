//! What the ledgers of this host's runs say of the evidence files that the runs wrote.
//!
//! What lies beside a ledger is verified with it. These files lie below the folder of a plan, where anybody may have changed
//! them, so that whoever goes by them (packets, experiments, `verify`) holds them against the record first.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_flow::hash::run_began_ms;
use flowhost_ledger::read_run;
use flowhost_ledger::records::Record;

use super::verify;
use crate::commands::Context;

/// An evidence file as a ledger names it.
pub(super) struct Named {
    /// The number of the record that does.
    pub(super) seq: u64,
    /// The evidence folder, as the plan names it.
    pub(super) root: String,
    /// The file's path below it.
    pub(super) path: String,
    pub(super) sha256: String,
}

/// What a run has on record of one evidence file.
pub(super) enum Wrote {
    /// The run is not here.
    Away,
    /// It has not ended, and its ledger is not signed to its end yet.
    Going,
    /// Its ledger does not stand, and why.
    Broken(String),
    /// It wrote the file with this content.
    This,
    /// It wrote the file with another content.
    Another,
    /// It wrote no file of this path.
    Nothing,
}

/// What a run has on record of all its evidence files.
enum Files {
    Away,
    Going,
    Broken(String),
    /// SHA-256 of each, by its path below the evidence root.
    Known(BTreeMap<String, String>),
}

/// The ledgers of this host's runs, as one command asks them: each is verified once and read once, however much is held
/// against it.
pub(super) struct Ledgers<'c> {
    context: &'c Context,
    /// What is wrong with those that were verified, or why one could not be.
    verified: RefCell<BTreeMap<String, Result<Option<String>, String>>>,
    files: RefCell<BTreeMap<String, Files>>,
}

impl<'c> Ledgers<'c> {
    pub(super) const fn new(context: &'c Context) -> Self {
        Self {
            context,
            verified: RefCell::new(BTreeMap::new()),
            files: RefCell::new(BTreeMap::new()),
        }
    }

    /// Asks the run of this id, which may be a word of a stranger's, of the file that has this path below the evidence root.
    pub(super) fn wrote(&self, run: &str, path: &str, sha256: &str) -> Wrote {
        let mut known = self.files.borrow_mut();
        let files = known.entry(run.to_owned());
        match files.or_insert_with(|| self.files_of(run)) {
            Files::Away => Wrote::Away,
            Files::Going => Wrote::Going,
            Files::Broken(why) => Wrote::Broken(why.clone()),
            Files::Known(files) => match files.get(path) {
                Some(written) if written == sha256 => Wrote::This,
                Some(_) => Wrote::Another,
                None => Wrote::Nothing,
            },
        }
    }

    /// As [`verify::wrong_with`].
    pub(super) fn wrong_with(&self, run: &str) -> Result<Option<String>, String> {
        let mut verified = self.verified.borrow_mut();
        let wrong = verified.entry(run.to_owned()).or_insert_with(|| {
            verify::wrong_with(run, self.context).map_err(|failure| failure.message)
        });
        wrong.clone()
    }

    fn files_of(&self, run: &str) -> Files {
        // A name that is no run's may be a path.
        if run_began_ms(run).is_none() {
            return Files::Away;
        }
        let dir = self.context.state.run_dir(run);
        if !self.context.ambient.is_dir(&dir) {
            return Files::Away;
        }
        let wrong = match self.wrong_with(run) {
            Ok(wrong) => wrong.map(|why| format!("its ledger does not verify: {why}")),
            Err(why) => return Files::Broken(why),
        };
        // After it was verified: what a run that goes on has written since is in what is read.
        match (read_files(&dir), wrong) {
            (Ok((files, _)), None) => Files::Known(files),
            (Ok((_, false)), Some(_)) => Files::Going,
            // What does not verify cannot be read for the same reason.
            (_, Some(why)) | (Err(why), None) => Files::Broken(why),
        }
    }
}

/// The paths below the evidence root of all files that the run of this id has on record as far as it has come; none where it
/// is not here. Not verified: a record that names a file which is gone counts against it, whoever wrote the record.
pub(super) fn paths_of(run: &str, context: &Context) -> Result<BTreeSet<String>, String> {
    // A name that is no run's may be a path.
    if run_began_ms(run).is_none() {
        return Ok(BTreeSet::new());
    }
    let dir = context.state.run_dir(run);
    match context.ambient.is_dir(&dir) {
        true => Ok(read_files(&dir)?.0.into_keys().collect()),
        false => Ok(BTreeSet::new()),
    }
}

/// SHA-256 of the evidence files that a ledger names, by their paths, and whether it has the end of its run.
fn read_files(dir: &Path) -> Result<(BTreeMap<String, String>, bool), String> {
    let mut files = BTreeMap::new();
    let ended = each_named(dir, |file| {
        files.insert(file.path, file.sha256);
    })?;
    Ok((files, ended))
}

/// Hears of the evidence files that the ledger in `dir` names, in the order of its records; whether it has the end of its
/// run.
pub(super) fn each_named(dir: &Path, mut hear: impl FnMut(Named)) -> Result<bool, String> {
    let mut ended = false;
    for record in read_run(dir).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        match record.read() {
            Ok(Some(Record::ViewWrite(view))) => {
                // Files beside the ledger have no root: these are the ones below the evidence folder.
                if let Some(root) = view.root {
                    hear(Named {
                        seq: record.seq,
                        root,
                        path: view.path,
                        sha256: view.sha256,
                    });
                }
            }
            Ok(Some(Record::RunEnd(_))) => ended = true,
            _ => {}
        }
    }
    Ok(ended)
}
