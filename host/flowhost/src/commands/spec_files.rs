//! The evidence files of a spec, those in its archives among them, for packets and baselines.
//!
//! A plan with `keep_runs` puts the newest run of a stage away as soon as enough runs without that stage have followed: read
//! from what is there alone, the stage would be missing in a packet that says of the others that all is well. Must never
//! leave out an archive without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use flowhost_evidence::packet::Files;
use flowhost_run::specs::{Spec, stage_and_time};
use serde_json::Value;

use super::archived::Archives;
use super::telemetry::FILE_BYTES_MAX;

/// What the name of a stage's telemetry ends with.
const TELEMETRY: &str = "_telemetry.jsonl";

/// The files of a spec, by their paths below the evidence root.
pub(super) struct Gathered {
    /// Those that are there, and of each stage those of its newest run in an archive.
    pub(super) files: Files,
    /// Paths of all files of stages that archives have, as far as they could be read.
    pub(super) archived: BTreeSet<String>,
    /// Archives that could not be read, with why.
    pub(super) left_out: Vec<(String, String)>,
}

/// What one run left.
pub(super) struct Left {
    pub(super) run_id: String,
    pub(super) files: Files,
}

/// A stage in archives, as far as they were read.
#[derive(Default)]
struct Newest {
    at: String,
    files: Files,
}

/// Reads the files of the spec `id`. Of what archives hold, that of one run for each stage is kept: a packet tells no
/// more, and there may be thousands of runs.
pub(super) fn gather(spec: &Spec, id: &str) -> io::Result<Gathered> {
    let mut files = Files::new();
    for path in spec.paths()? {
        let bytes = spec.read(&path, FILE_BYTES_MAX)?;
        files.insert(path, bytes);
    }
    let consensus = format!("consensus/{id}/");
    let mut archives = Archives::of_spec(spec, move |path| is_in(path, &consensus));
    files.keys().for_each(|path| archives.there(path));
    let there = told_of(&files);
    let mut newest: BTreeMap<String, Newest> = BTreeMap::new();
    let mut archived = BTreeSet::new();
    for archive in spec.archives()? {
        let fresh = archives.fresh(&archive);
        archived.extend(fresh.keys().cloned());
        let told = told_of(&fresh);
        for (path, bytes) in fresh {
            let Some((stage, at)) = stage_and_time(&path) else {
                continue;
            };
            // A kill while files were put away has left the others of this stage.
            if there.contains(&(stage.clone(), at.clone())) {
                files.insert(path, bytes);
                continue;
            }
            // Without telemetry it says nothing of how the stage went, and must not hide the run before it.
            if !told.contains(&(stage.clone(), at.clone())) {
                continue;
            }
            let kept = newest.entry(stage).or_default();
            if kept.at < at {
                *kept = Newest {
                    at: at.clone(),
                    files: Files::new(),
                };
            }
            if kept.at == at {
                kept.files.insert(path, bytes);
            }
        }
    }
    files.extend(newest.into_values().flat_map(|it| it.files));
    Ok(Gathered {
        files,
        archived,
        left_out: archives.left_out(),
    })
}

/// What the run `wanted` left, from an archive; without a name, the newest run of which there is one. `tell` hears of
/// archives that could not be read.
pub(super) fn put_away(
    spec: &Spec,
    id: &str,
    wanted: Option<&str>,
    tell: &dyn Fn(&str),
) -> io::Result<Option<Left>> {
    let folders = [format!("commands/{id}/"), format!("consensus/{id}/")];
    let is_of_spec = move |path: &str| folders.iter().any(|folder| is_in(path, folder));
    let mut archives = Archives::of_spec(spec, is_of_spec);
    let mut found = None;
    for archive in spec.archives()? {
        let files = archives.fresh(&archive);
        let run = files.iter().find_map(|(path, bytes)| run_of(path, bytes));
        if let Some(run_id) = run
            && wanted.is_none_or(|it| it == run_id)
        {
            found = Some(Left { run_id, files });
            break;
        }
    }
    archives.tell(tell);
    Ok(found)
}

/// The stages that names of files are of.
pub(super) fn stages<'p>(paths: impl Iterator<Item = &'p String>) -> BTreeSet<String> {
    paths
        .filter_map(|path| Some(stage_and_time(path)?.0))
        .collect()
}

/// Which run each stage is newest of, by telemetry.
pub(super) fn newest_runs(files: &Files) -> BTreeMap<String, String> {
    let mut newest: BTreeMap<String, (String, String)> = BTreeMap::new();
    let telemetry = files.iter().filter(|(path, _)| path.ends_with(TELEMETRY));
    for (path, bytes) in telemetry {
        if let Some((stage, at)) = stage_and_time(path)
            && let Some(run) = run_of(path, bytes)
            && newest.get(&stage).is_none_or(|(before, _)| *before < at)
        {
            newest.insert(stage, (at, run));
        }
    }
    let runs = newest.into_iter();
    runs.map(|(stage, (_, run))| (stage, run)).collect()
}

/// The stages of which there is telemetry, with when they began.
fn told_of(files: &Files) -> BTreeSet<(String, String)> {
    let telemetry = files.keys().filter(|path| path.ends_with(TELEMETRY));
    telemetry.filter_map(|path| stage_and_time(path)).collect()
}

/// Which run a file says that it is of: the life of a stage does, and its telemetry.
fn run_of(path: &str, bytes: &[u8]) -> Option<String> {
    if !path.contains("_lifecycle_") && !path.ends_with(TELEMETRY) {
        return None;
    }
    let line = std::str::from_utf8(bytes).ok()?.lines().next()?;
    let line: Value = serde_json::from_str(line).ok()?;
    Some(line.get("runId")?.as_str()?.to_owned())
}

/// Whether a path is that of a file in the folder, and not below another folder there: whoever made an archive chose the
/// names in it.
fn is_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|name| !name.contains(['/', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_an_archive_leads_into_no_other_folder() {
        assert!(is_in("consensus/S/spec-plan_x.json", "consensus/S/"));
        for other in [
            "consensus/S/../T/spec-plan_x.json",
            "consensus/S/..\\x.json",
            "consensus/T/spec-plan_x.json",
            "/consensus/S/spec-plan_x.json",
        ] {
            assert!(!is_in(other, "consensus/S/"), "{other}");
        }
    }

    #[test]
    fn the_run_that_began_a_stage_last_is_its_newest() {
        let file = |time: &str, run: &str| {
            let path = format!("consensus/S/spec-plan_{time}_telemetry.jsonl");
            (path, format!("{{\"runId\":\"{run}\"}}\n").into_bytes())
        };
        let files = Files::from([
            file("20261126T073910Z", "A"),
            file("20261126T083910Z", "B"),
            (
                "consensus/S/spec-plan_synthesis.json".to_owned(),
                Vec::new(),
            ),
        ]);
        let newest = newest_runs(&files);
        assert_eq!(newest.get("plan").map(String::as_str), Some("B"));
        assert_eq!(stages(files.keys()), BTreeSet::from(["plan".to_owned()]));
    }
}
