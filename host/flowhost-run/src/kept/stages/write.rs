//! Makes the files of a stage, and writes each while the next is made: one thread parses, prints and holds against schemas,
//! another waits for the disk, hashes and records.
//!
//! Both have ended when this has, so that nothing of the run goes on before all files are there. Must write nothing that was
//! not held against its schema, and record nothing that is not written.

use std::collections::BTreeSet;
use std::io::{self, BufReader, Read as _};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Builder};

use cap_std::fs::Dir;
use flowhost_ledger::Durability;
use serde::Deserialize;
use serde_json::Value;

use super::unwritten;
use crate::base::failure::Failure;
use crate::base::nofollow;
use crate::given::world::{Said, StageViews, StageWanted, Taken};
use crate::kept::journal::Journal;
use crate::kept::specs::{self, Spec};

/// Most bytes of a cost summary that are read: some hundred lines, each a few hundred bytes.
const COSTS_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of the latest synthesis that are read for its time: no run holds more of what its agents said.
const LATEST_BYTES_MAX: u64 = 1 << 30;

/// A file by its path below the evidence root.
type Named = (String, Vec<u8>);

/// Where files go.
pub(super) struct To<'t> {
    pub(super) dir: &'t Dir,
    /// The folder as the plan names it.
    pub(super) root: &'t str,
    pub(super) durability: Durability,
    pub(super) journal: &'t Journal,
}

/// What a stage has left.
pub(super) struct Made {
    /// Its files, by their paths below the evidence root.
    pub(super) paths: Vec<String>,
    pub(super) said: Vec<Said>,
    /// Bytes that the spec's files have now.
    pub(super) footprint: u64,
}

/// Makes the files, and writes and records them, each whole or not at all; of a stage that an earlier process had ended,
/// those that are not `recorded`.
pub(super) fn write(
    views: &mut dyn StageViews,
    to: &To<'_>,
    step: &str,
    mut wanted: StageWanted,
    recorded: Option<&BTreeSet<String>>,
) -> Result<Made, Failure> {
    let (dir, before) = (to.dir, wanted.footprint_bytes);
    let failed = |error: io::Error| unwritten(to.root, &error);
    wanted.costs = costs(dir, &wanted.spec_id);
    // Under the spec's lock: what is there now stays as it is until the files are written.
    let spec = Spec::within(dir.try_clone().map_err(failed)?, &wanted.spec_id);
    let run = wanted.run_id.clone();
    let taken = |path: &str| spec.is_of_another(path, &run, step);
    if recorded.is_some() {
        wanted.footprint_bytes = footprint_before(views, dir, &wanted, &taken)?;
    }
    thread::scope(|scope| {
        let (hand, files) = channel::<Named>();
        let writer = Builder::new().name("stage-files".to_owned());
        let writer = writer.spawn_scoped(scope, || written(to, files, before));
        let writer = writer.map_err(failed)?;
        // Whoever takes them is gone when one could not be written, and says so itself.
        let give = |file: Named| drop(hand.send(file));
        let (mut paths, mut last) = (Vec::new(), None);
        let said = views.stage(wanted, &taken, &mut |path, bytes| {
            if recorded.is_some() && is_newer(dir, &path, &bytes) {
                return;
            }
            paths.push(path.clone());
            if recorded.is_some_and(|it| it.contains(&path)) {
                return;
            }
            match is_latest(&path) {
                // While it has not taken the place of another stage's, it can be told how many bytes there were before.
                true => last = Some((path, bytes)),
                false => give((path, bytes)),
            }
        });
        if said.is_ok() {
            last.into_iter().for_each(give);
        }
        drop(hand);
        let written = writer.join();
        let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(Made {
            said: said?,
            footprint: written?,
            paths,
        })
    })
}

/// Writes and records the files that come, until no more do. Gives how many bytes the spec's files have then, which had so
/// many `before`.
fn written(to: &To<'_>, files: Receiver<Named>, before: u64) -> Result<u64, Failure> {
    let (root, mut footprint) = (to.root, before);
    let mut together = nofollow::Together::new(to.dir, to.durability);
    let mut unrecorded = Vec::new();
    for (path, bytes) in files {
        let replaced = match is_latest(&path) {
            true => together.write_copy(&path, &bytes),
            false => together.write(&path, &bytes),
        };
        let replaced = replaced.map_err(|error| unwritten(&format!("{root}/{path}"), &error))?;
        if specs::counts(&path) {
            let less = footprint.saturating_sub(replaced);
            footprint = less.saturating_add(bytes.len() as u64);
        }
        match to.durability {
            Durability::Relaxed => to.journal.view_below(root, &path, &bytes)?,
            // A loss of power must not take what is on record: their names come to the disk together, below.
            Durability::Durable => unrecorded.push((path, bytes)),
        }
    }
    let ended = together.end();
    ended.map_err(|(path, error)| unwritten(&format!("{root}/{path}"), &error))?;
    for (path, bytes) in unrecorded {
        to.journal.view_below(root, &path, &bytes)?;
    }
    Ok(footprint)
}

/// The spec's cost summary as it stands; none where there is none that can be read.
fn costs(dir: &Dir, spec_id: &str) -> Option<Vec<u8>> {
    let path = format!("costs/{spec_id}_cost_summary.json");
    nofollow::read(dir, &path, COSTS_BYTES_MAX).ok()
}

/// Whether a file is the latest synthesis of a stage, which takes the place of another stage's and counts.
fn is_latest(path: &str) -> bool {
    specs::is_shared(path) && specs::counts(path)
}

/// Bytes that the spec's files had when the stage ended, of which an earlier process may have left some: its telemetry
/// names them.
fn footprint_before(
    views: &mut dyn StageViews,
    dir: &Dir,
    wanted: &StageWanted,
    taken: &Taken<'_>,
) -> Result<u64, Failure> {
    // Made for the sake of the names, and of what the files that are counted add.
    let once = StageWanted {
        footprint_bytes: 0,
        answers: false,
        ..wanted.clone()
    };
    let mut made = Vec::new();
    views.stage(once, taken, &mut |path, bytes| made.push((path, bytes)))?;
    let told = |bytes: &[u8]| {
        let line: Value = serde_json::from_slice(bytes).ok()?;
        line.get("evidenceFootprintBytes")?.as_u64()
    };
    let mut own = 0_u64;
    for (path, bytes) in &made {
        // The latest synthesis has not taken the place of another where the telemetry is not there.
        if !specs::counts(path) || is_latest(path) {
            continue;
        }
        // An answer may be larger than all that tells of others.
        let Ok(there) = nofollow::file(dir, path).and_then(|file| file.metadata()) else {
            continue;
        };
        own = own.saturating_add(there.len());
        let Some(added) = told(bytes) else { continue };
        let there = nofollow::read(dir, path, COSTS_BYTES_MAX);
        if let Some(all) = there.ok().as_deref().and_then(told) {
            return Ok(all.saturating_sub(added));
        }
    }
    Ok(wanted.footprint_bytes.saturating_sub(own))
}

/// Whether the latest synthesis that is there is of a stage that ended later than the one in `bytes`: another run has gone
/// on while this one lay still.
fn is_newer(dir: &Dir, path: &str, bytes: &[u8]) -> bool {
    if !is_latest(path) {
        return false;
    }
    // Times of records have one form, in which the later one is the greater text.
    ended_there(dir, path).is_some_and(|there| Some(there) > ended(bytes))
}

/// When the stage ended that a synthesis is of.
#[derive(Deserialize)]
struct Ending {
    timestamp: String,
}

fn ended(synthesis: &[u8]) -> Option<String> {
    let ending: Ending = serde_json::from_slice(synthesis).ok()?;
    Some(ending.timestamp)
}

/// The same of a file, which is as large as what the agents said: all but the time is read past and not held.
fn ended_there(dir: &Dir, path: &str) -> Option<String> {
    let file = nofollow::file(dir, path).ok()?;
    let synthesis = BufReader::new(file.take(LATEST_BYTES_MAX));
    let ending: Ending = serde_json::from_reader(synthesis).ok()?;
    Some(ending.timestamp)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test lays out what is found")]
mod tests {
    use super::*;

    const LARGE: &str = "commands/S/spec-plan_lifecycle_20261126T073910Z.jsonl";

    /// A stage that leaves one file.
    struct One;

    impl StageViews for One {
        fn stage(
            &mut self,
            _: StageWanted,
            _: &Taken<'_>,
            each: &mut dyn FnMut(String, Vec<u8>),
        ) -> Result<Vec<Said>, Failure> {
            each(LARGE.to_owned(), Vec::new());
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_file_that_is_there_already_is_not_counted_however_large_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let own = COSTS_BYTES_MAX + 1;
        std::fs::create_dir_all(folder.path().join("commands/S")).unwrap();
        let file = std::fs::File::create(folder.path().join(LARGE)).unwrap();
        file.set_len(own).unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let wanted = StageWanted {
            spec_id: "S".to_owned(),
            run_id: String::new(),
            step_id: String::new(),
            footprint_bytes: own + 7,
            costs: None,
            answers: false,
        };
        let before = footprint_before(&mut One, &dir, &wanted, &|_| Ok(false));
        assert_eq!(before.unwrap(), 7);
    }

    #[test]
    fn a_latest_synthesis_that_ended_later_stays_however_large_it_is() {
        const LATEST: &str = "consensus/S/spec-plan_synthesis.json";
        assert!(is_latest(LATEST));
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("consensus/S")).unwrap();
        let of = |time: &str, bytes: u64| {
            let answer = "x".repeat(usize::try_from(bytes).unwrap());
            serde_json::json!({ "answer": answer, "timestamp": time }).to_string()
        };
        let later = of("2026-11-26T10:00:00.000Z", COSTS_BYTES_MAX + 1);
        std::fs::write(folder.path().join(LATEST), later).unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let newer = |time: &str| is_newer(&dir, LATEST, of(time, 1).as_bytes());
        assert!(newer("2026-11-26T09:00:00.000Z"));
        assert!(!newer("2026-11-26T11:00:00.000Z"));
    }
}
