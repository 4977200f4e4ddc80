//! What older runs left, out of the archives that `evidence archive|prune`, `keep_runs` and baselines make of it.
//!
//! Numbers over many runs would otherwise say less with each run that is put away. An archive is read as far as it is
//! what the file beside it says, and within bounds: whatever is left out is told. Must never count a file twice: an
//! archive may hold what is still there, and a baseline what another archive has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost::ambient::Ambient;
use flowhost::output::counted;
use flowhost_evidence::analysis::{Evidence, Reading};
use flowhost_ledger::unpacked;
use sha2::{Digest as _, Sha256};

/// What the names of archives end with.
const ARCHIVE: &str = ".tar.zst";
/// Bytes of one archive: that of a run is smaller than its spec's 25 MB.
const ARCHIVE_BYTES_MAX: u64 = 64 << 20;
/// Bytes that one archive unpacks to. What is wanted of it is held in memory at once, and whoever made the archive must
/// not decide how much that is.
const UNPACKED_BYTES_MAX: u64 = 256 << 20;
/// Bytes of archives that are read altogether: some thousand runs, and seconds.
const ALL_BYTES_MAX: u64 = 512 << 20;
/// Bytes that all of them unpack to together. A MiB of an archive that somebody made for it unpacks to gigabytes, so
/// that the bytes of archives bound nothing.
const ALL_UNPACKED_BYTES_MAX: u64 = 4 << 30;
/// Bytes of a `.sha256` file, which is a line.
const HASH_BYTES_MAX: u64 = 4 << 10;
/// Archives that are named one by one; more are counted, or the notes would push the numbers off the screen.
const NAMED_MAX: usize = 5;
/// What says something in numbers over many runs.
const ENDS: [&str; 3] = ["_telemetry.jsonl", "_synthesis.json", "_review.json"];

/// Whether a file is an archive, or says what one is.
pub(super) fn is_archive(name: &str) -> bool {
    name.ends_with(ARCHIVE) || name.ends_with(".tar.zst.sha256")
}

/// Takes in what archives hold and nobody had yet.
pub(super) struct Archives<'a> {
    ambient: &'a Ambient,
    /// Names of evidence files that were taken in, without the folder that the evidence is in.
    seen: BTreeSet<String>,
    bytes_left: u64,
    unpacked_left: u64,
    /// Archives that were left out, and why.
    left_out: Vec<String>,
}

impl<'a> Archives<'a> {
    pub(super) const fn new(ambient: &'a Ambient) -> Self {
        Self {
            ambient,
            seen: BTreeSet::new(),
            bytes_left: ALL_BYTES_MAX,
            unpacked_left: ALL_UNPACKED_BYTES_MAX,
            left_out: Vec::new(),
        }
    }

    /// A file that is there: what an archive has of it is the same.
    pub(super) fn there(&mut self, path: &Path) {
        self.seen.insert(below(&path.display().to_string()));
    }

    /// Reads an archive; `tell` hears of files in it that were left out.
    pub(super) fn add(&mut self, path: &Path, evidence: &mut Evidence, tell: &dyn Fn(&str)) {
        let name = path.display().to_string();
        if !name.ends_with(ARCHIVE) {
            return;
        }
        let files = match self.files(path, &name) {
            Ok(files) => files,
            Err(why) => return self.left_out.push(format!("`{name}`: {why}")),
        };
        for (file, bytes) in files {
            if !self.seen.insert(below(&file)) {
                continue;
            }
            if let Reading::Faulty(why) = evidence.add(&file, &bytes) {
                tell(&format!("note: `{file}` in `{name}` was left out: {why}\n"));
            }
        }
    }

    fn files(&mut self, path: &Path, name: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
        // The file is read within what is left of all: its length is asked of nobody.
        let most = ARCHIVE_BYTES_MAX.min(self.bytes_left);
        let read = self.ambient.read(path, most);
        let bytes = read.map_err(|error| match most < ARCHIVE_BYTES_MAX {
            true => format!(
                "{} MiB of archives are read, and that is all",
                ALL_BYTES_MAX >> 20
            ),
            false => error.to_string(),
        })?;
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        let beside = format!("{name}.sha256");
        // Evidence comes with git, and git carries links.
        if self.ambient.is_link(Path::new(&beside)) {
            return Err(format!(
                "`{beside}` is a symbolic link, which is not followed"
            ));
        }
        let line = self.ambient.read_text(Path::new(&beside), HASH_BYTES_MAX);
        let line = line.map_err(|error| format!("what it is cannot be read: {error}"))?;
        let said = line.split_whitespace().next().unwrap_or_default();
        if said != hex::encode(Sha256::digest(&bytes)) {
            return Err(format!("it is another one than `{beside}` says"));
        }
        let wanted = |name: &str| ENDS.iter().any(|end| name.ends_with(end));
        let most = UNPACKED_BYTES_MAX.min(self.unpacked_left);
        let mut left = most;
        let files = unpacked(&bytes, &wanted, &mut left);
        self.unpacked_left = self.unpacked_left.saturating_sub(most - left);
        files.map_err(|error| match most < UNPACKED_BYTES_MAX && left == 0 {
            true => format!(
                "{} GiB are unpacked from archives, and that is all",
                ALL_UNPACKED_BYTES_MAX >> 30
            ),
            false => error.to_string(),
        })
    }

    /// Says what was left out.
    pub(super) fn tell(&self, tell: &dyn Fn(&str)) {
        for why in self.left_out.iter().take(NAMED_MAX) {
            tell(&format!("note: an archive was left out: {why}\n"));
        }
        let more = self.left_out.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            tell(&format!(
                "note: {} more left out\n",
                counted(more, "archive")
            ));
        }
    }
}

/// The name of an evidence file from the folder `consensus` on, where it has one: what it is called in an archive.
fn below(path: &str) -> String {
    const CONSENSUS: &str = "consensus/";
    match path.rfind(CONSENSUS) {
        Some(at) => path.get(at..).unwrap_or(path).to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_wherever_its_evidence_lies() {
        let name = "consensus/S/spec-plan_20261126T073910Z_telemetry.jsonl";
        assert_eq!(below(name), name);
        assert_eq!(below(&format!("work/consensus/evidence/{name}")), name);
        assert_eq!(below("one_telemetry.jsonl"), "one_telemetry.jsonl");
    }
}
