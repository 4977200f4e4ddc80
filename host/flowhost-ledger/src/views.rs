//! Views beside a ledger, compared with the `view.write` records that say what was written.
//!
//! A view is no evidence: the records are, and everything in a view can be read from them. So a view
//! that is not there (somebody cleaned up, or only the ledger was copied) is worth a line and no
//! fault, unless the run is to go on by it: what a run was made of stands in no record. One that was altered is a fault: a reader believes a report that lies beside a verified
//! ledger. One that no record names is no fault either (a kill leaves it between the file and its record), and told:
//! nobody vouches for it.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Component, Path};

use sha2::{Digest as _, Sha256};

use crate::checkpoint::parse_decimal;
use crate::disk::Source;
use crate::layout;
use crate::record::View;
use crate::records::Kind;
use crate::report::{Code, Problem, ViewCounts};
use crate::seal::SEALED_KEY;

/// Most views that are compared: a run writes a handful for each stage.
const VIEWS_MAX: usize = 10_000;
/// Most bytes of a view that are read. It is read part by part, so this bounds the time that a stranger's folder
/// can take and not the memory.
const VIEW_BYTES_MAX: u64 = 1 << 30;
/// Bytes that are read at once. A hash reaches its full speed with less, and a verifier may run many beside each
/// other.
const PART_BYTES: usize = 64 << 10;

/// What the latest record says about one view.
struct Written {
    seq: u64,
    sha256: String,
    size: Option<u64>,
}

/// The views that a ledger's records name; the last record of a path counts.
#[derive(Default)]
pub(crate) struct Views(BTreeMap<String, Written>);

impl Views {
    /// Takes down a record, if it is about a view.
    pub(crate) fn take(&mut self, record: &View<'_>) {
        if record.kind() != Some(Kind::ViewWrite) {
            return;
        }
        let text = |name: &str| record.field(name).and_then(|value| value.text());
        // What lies below a plan's evidence folder is not beside the ledger: where the plan's folder is, the
        // ledger does not say.
        if text("root").is_some() {
            return;
        }
        // A record without them is no view that could be compared; its form is the audit's to judge.
        let (Some(path), Some(sha256)) = (text("path"), text("sha256")) else {
            return;
        };
        // Those that came first stay: the count in the report says how many were compared.
        if self.0.len() >= VIEWS_MAX && !self.0.contains_key(path) {
            return;
        }
        let written = Written {
            seq: record.seq,
            sha256: sha256.to_owned(),
            size: text("size").and_then(parse_decimal),
        };
        self.0.insert(path.to_owned(), written);
    }

    /// Compares every view with the file of its name in the ledger's folder; gives the first that is another, or that is
    /// `needed` and missing.
    pub(crate) fn compare(
        &self,
        source: &dyn Source,
        dir: &Path,
        needed: Option<&str>,
        counts: &mut ViewCounts,
    ) -> Result<(), Problem> {
        let mut first = None;
        for (name, written) in &self.0 {
            let problem = |what: String| Problem {
                code: Code::View,
                file: dir.join(name).display().to_string(),
                line: None,
                offset: None,
                seq: Some(written.seq),
                what,
            };
            if !is_plain(Path::new(name)) {
                let mut outside = problem("it names a view outside of its folder".to_owned());
                outside.file = dir.display().to_string();
                counts.altered += 1;
                first.get_or_insert(outside);
                continue;
            }
            let what = match written.is_in(source, &dir.join(name)) {
                Ok(true) => {
                    counts.checked += 1;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if needed != Some(name.as_str()) {
                        counts.missing += 1;
                        continue;
                    }
                    "it is missing, and the run has not ended: nothing else says what it is made of"
                        .to_owned()
                }
                Ok(false) => "it is not the view that was written".to_owned(),
                Err(error) => error.to_string(),
            };
            counts.altered += 1;
            first.get_or_insert_with(|| problem(what));
        }
        first.map_or(Ok(()), Err)
    }

    /// What lies in the ledger's folder, and is neither the ledger's own nor a view that a record names.
    pub(crate) fn unnamed(&self, source: &dyn Source, dir: &Path) -> io::Result<Vec<String>> {
        let is_named = |name: &str| {
            let below = format!("{name}/");
            let next = self.0.range(below.clone()..).next();
            self.0.contains_key(name) || next.is_some_and(|(view, _)| view.starts_with(&below))
        };
        let entries = source.list(dir)?.into_iter().map(|entry| entry.name);
        let unnamed = entries.filter(|name| !is_of_ledger(name) && !is_named(name));
        Ok(unnamed.collect())
    }
}

impl Written {
    fn is_in(&self, source: &dyn Source, path: &Path) -> io::Result<bool> {
        let file = source.open_read(path)?;
        let size = source.len(path)?;
        if self.size.is_some_and(|written| written != size) || size > VIEW_BYTES_MAX {
            return Ok(false);
        }
        let (mut hash, mut part, mut file) = (Sha256::new(), vec![0; PART_BYTES], file.take(size));
        loop {
            let read = file.read(&mut part)?;
            match part.get(..read) {
                Some([]) | None => break,
                Some(bytes) => hash.update(bytes),
            }
        }
        Ok(hex::encode(hash.finalize()) == self.sha256)
    }
}

/// Whether the writer of ledgers gives this name to a file.
fn is_of_ledger(name: &str) -> bool {
    let own = [
        layout::META,
        layout::CHECKPOINT,
        layout::CHECKPOINTS,
        SEALED_KEY,
    ];
    let is_numbered = |prefix| layout::numbered(name, prefix).is_some();
    own.contains(&name) || is_numbered("seg-") || is_numbered("payloads-")
}

fn is_plain(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}
