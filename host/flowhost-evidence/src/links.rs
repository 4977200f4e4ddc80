//! What a run's record says of other runs: that it begins with the past of one, or took results from some.
//!
//! Each such word names a record there and its hash, which holds those of all records before it. Whoever has
//! both folders can hold one against the other; a run that is gone is named as not looked at. Must never
//! believe a link because the other run is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_ledger::read_run;
use flowhost_ledger::records::Record;
use serde::Serialize;

use crate::Unreadable;

/// What came of following the links of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Links {
    /// Records of other runs that are as they were.
    pub same: u64,
    /// Runs that are not in the state folder any more: what is said of them was not looked at.
    pub gone: BTreeSet<String>,
    /// Links that do not hold: the record here, and what is wrong.
    pub wrong: Vec<(u64, String)>,
}

impl Links {
    /// Whether the run says nothing of others.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

struct Link {
    /// The record that has it.
    seq: u64,
    record: u64,
    hash: String,
}

/// Follows the links of the run in `dir` to the runs that lie beside it.
///
/// # Errors
/// When the run itself cannot be read.
pub fn follow(dir: &Path) -> Result<Links, Unreadable> {
    let mut links = Links::default();
    for (run, wanted) in links_of(dir)? {
        let other = dir.with_file_name(&run);
        if !other.is_dir() {
            links.gone.insert(run);
            continue;
        }
        let found = match hashes(&other, &wanted) {
            Ok(found) => found,
            Err(error) => {
                let first = wanted.first().map_or(0, |link| link.seq);
                let what = format!("run {run} cannot be read: {error}");
                links.wrong.push((first, what));
                continue;
            }
        };
        for Link { seq, record, hash } in wanted {
            let what = match found.get(&record) {
                Some(found) if *found == hash => {
                    links.same += 1;
                    continue;
                }
                Some(_) => {
                    format!("record {record} of run {run} is not the one that this run refers to")
                }
                None => {
                    format!("run {run} does not have record {record}, which this run refers to")
                }
            };
            links.wrong.push((seq, what));
        }
    }
    Ok(links)
}

fn links_of(dir: &Path) -> Result<BTreeMap<String, Vec<Link>>, Unreadable> {
    let mut links: BTreeMap<String, Vec<Link>> = BTreeMap::new();
    for record in read_run(dir)? {
        let record = record?;
        let seq = record.seq;
        match record.read() {
            Ok(Some(Record::RunStart(start))) => {
                if let (Some(run), Some(records), Some(hash)) =
                    (start.parent, start.parent_records, start.parent_hash)
                {
                    let record = records.saturating_sub(1);
                    links
                        .entry(run)
                        .or_default()
                        .push(Link { seq, record, hash });
                }
            }
            Ok(Some(Record::CallReuse(reuse))) => {
                let (record, hash) = (reuse.record, reuse.hash);
                let of_run = links.entry(reuse.run_id).or_default();
                of_run.push(Link { seq, record, hash });
            }
            _ => {}
        }
    }
    Ok(links)
}

/// The hashes of these records of the run in `dir`.
fn hashes(dir: &Path, wanted: &[Link]) -> Result<BTreeMap<u64, String>, Unreadable> {
    let wanted: BTreeSet<u64> = wanted.iter().map(|link| link.record).collect();
    let last = wanted.last().copied().unwrap_or(0);
    let mut found = BTreeMap::new();
    for record in read_run(dir)? {
        let record = record?;
        if record.seq > last {
            break;
        }
        if wanted.contains(&record.seq) {
            found.insert(record.seq, hex::encode(record.leaf));
        }
    }
    Ok(found)
}
