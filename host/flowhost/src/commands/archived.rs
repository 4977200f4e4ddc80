//! What older runs left, out of the archives that `evidence archive|prune`, `keep_runs` and baselines make of it: one reader
//! for numbers over many runs, for experiments, for packets and for `verify`.
//!
//! Whatever is said of many runs would otherwise say less with each run that is put away. An archive is read as far as it is
//! what the file beside it says, and within bounds: whatever is left out is told. Must never give a file twice to whoever
//! counts: an archive may hold what is still there, and a baseline what another archive has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost::ambient::Ambient;
use flowhost::output::counted;
use flowhost_ledger::unpacked;
use flowhost_run::specs::Spec;
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
pub(super) const NAMED_MAX: usize = 5;
/// What says something in numbers over many runs, and in experiments.
const ENDS: [&str; 3] = ["_telemetry.jsonl", "_synthesis.json", "_review.json"];

/// Whether a file is an archive, or says what one is.
pub(super) fn is_archive(name: &str) -> bool {
    name.ends_with(ARCHIVE) || name.ends_with(".tar.zst.sha256")
}

/// Reads a file of at most so many bytes, or says why it cannot.
type Read<'a> = Box<dyn Fn(&str, u64) -> Result<Vec<u8>, String> + 'a>;
/// Whether a file of an archive says something to whoever asks.
type Wanted<'a> = Box<dyn Fn(&str) -> bool + 'a>;

/// Gives what archives hold and nobody had yet.
pub(super) struct Archives<'a> {
    read: Read<'a>,
    wanted: Wanted<'a>,
    /// Names of evidence files that were taken in, without the folder that the evidence is in.
    seen: BTreeSet<String>,
    bytes_left: u64,
    unpacked_left: u64,
    /// Archives that were left out, and why.
    left_out: Vec<(String, String)>,
}

impl<'a> Archives<'a> {
    /// Archives wherever they lie: of their files those that say something of many runs.
    pub(super) fn anywhere(ambient: &'a Ambient) -> Self {
        let read = move |name: &str, most: u64| {
            let path = Path::new(name);
            // Evidence comes with git, and git carries links.
            match ambient.is_link(path) {
                true => Err(format!(
                    "`{name}` is a symbolic link, which is not followed"
                )),
                false => ambient.read(path, most).map_err(|error| error.to_string()),
            }
        };
        let wanted = |name: &str| ENDS.iter().any(|end| name.ends_with(end));
        Self::new(Box::new(read), Box::new(wanted))
    }

    /// Archives of a spec, by their paths below the evidence root: of their files those that are `wanted`.
    pub(super) fn of_spec(spec: &'a Spec, wanted: impl Fn(&str) -> bool + 'a) -> Self {
        let read =
            move |name: &str, most: u64| spec.read(name, most).map_err(|error| error.to_string());
        Self::new(Box::new(read), Box::new(wanted))
    }

    const fn new(read: Read<'a>, wanted: Wanted<'a>) -> Self {
        Self {
            read,
            wanted,
            seen: BTreeSet::new(),
            bytes_left: ALL_BYTES_MAX,
            unpacked_left: ALL_UNPACKED_BYTES_MAX,
            left_out: Vec::new(),
        }
    }

    /// A file that is there: what an archive has of it is the same.
    pub(super) fn there(&mut self, path: &str) {
        self.seen.insert(below(path));
    }

    /// The files of an archive that nobody had yet, by their names in it.
    pub(super) fn fresh(&mut self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = self.whole(name);
        files.retain(|file, _| self.seen.insert(below(file)));
        files
    }

    /// The files of an archive, whoever had them before: for whoever asks whether every copy is the same.
    pub(super) fn whole(&mut self, name: &str) -> BTreeMap<String, Vec<u8>> {
        if !name.ends_with(ARCHIVE) {
            return BTreeMap::new();
        }
        match self.files(name) {
            Ok(files) => files,
            Err(why) => {
                self.left_out.push((name.to_owned(), why));
                BTreeMap::new()
            }
        }
    }

    fn files(&mut self, name: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
        // The file is read within what is left of all: its length is asked of nobody.
        let most = ARCHIVE_BYTES_MAX.min(self.bytes_left);
        let bytes = (self.read)(name, most).map_err(|why| match most < ARCHIVE_BYTES_MAX {
            true => format!(
                "{} MiB of archives are read, and that is all",
                ALL_BYTES_MAX >> 20
            ),
            false => why,
        })?;
        self.bytes_left = self.bytes_left.saturating_sub(bytes.len() as u64);
        let beside = format!("{name}.sha256");
        let line = (self.read)(&beside, HASH_BYTES_MAX)
            .map_err(|why| format!("what it is cannot be read: {why}"))?;
        let line = String::from_utf8_lossy(&line);
        let said = line.split_whitespace().next().unwrap_or_default();
        if said != hex::encode(Sha256::digest(&bytes)) {
            return Err(format!("it is another one than `{beside}` says"));
        }
        let most = UNPACKED_BYTES_MAX.min(self.unpacked_left);
        let mut left = most;
        let files = unpacked(&bytes, &*self.wanted, &mut left);
        self.unpacked_left = self.unpacked_left.saturating_sub(most - left);
        files.map_err(|error| match most < UNPACKED_BYTES_MAX && left == 0 {
            true => format!(
                "{} GiB are unpacked from archives, and that is all",
                ALL_UNPACKED_BYTES_MAX >> 30
            ),
            false => error.to_string(),
        })
    }

    /// Archives that were left out, with why: whoever does not tell it by [`Archives::tell`] tells it elsewhere.
    pub(super) fn left_out(self) -> Vec<(String, String)> {
        self.left_out
    }

    /// Says what was left out.
    pub(super) fn tell(&self, tell: &dyn Fn(&str)) {
        for (name, why) in self.left_out.iter().take(NAMED_MAX) {
            tell(&format!("note: an archive was left out: `{name}`: {why}\n"));
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
