//! Which files of a spec their runs stand behind: each is held against what the run has on record of it.
//!
//! Evidence lies in a folder that anybody may write to, and a packet is signed. Must never let a file that its run
//! says otherwise of say anything of a stage: it is named, and the stage is `invalid`. What nobody here can check is
//! told as such, as a security review is.

use std::collections::{BTreeMap, BTreeSet};

use flowhost_flow::hash::run_began_ms;
use serde_json::Value;

use super::read::StageState;
use super::security::{Proof, Witness, run_of};
use super::{Files, sha256};

/// Asks the run of this id whether it has on record that it wrote the file at this path, of this SHA-256. The id is what a
/// file says and need not be one.
pub type Wrote<'w> = dyn Fn(&str, &str, &str) -> Proof + 'w;

/// What the file of a reader's scores ends with. A run of its own has it on record, and not the stage's.
const REVIEW: &str = "_review.json";

/// Holds the files of a stage against their runs. One that does not count is put into `refused`, and says nothing any
/// more in what this gives.
pub(super) fn vouched(
    mut stage: StageState,
    files: &Files,
    (witness, wrote): (&Witness<'_>, &Wrote<'_>),
    refused: &mut BTreeMap<String, String>,
) -> StageState {
    // In the order of their paths, as `paths` has them.
    let mut readings = std::mem::take(&mut stage.readings).into_iter();
    for path in stage.paths.clone() {
        let Some(bytes) = files.get(&path) else {
            debug_assert!(false, "a stage's paths are those of files that were read");
            continue;
        };
        let is_review = path.ends_with(REVIEW);
        let reading = if is_review { readings.next() } else { None };
        // What is not what its form says has its reason already.
        if refused.contains_key(&path) {
            continue;
        }
        let proof = match is_review {
            true => of_review(bytes, witness),
            false => wrote(&stage.run_id, &path, &sha256(bytes)),
        };
        match (proof, reading) {
            (Proof::Recorded, reading) => stage.readings.extend(reading),
            (Proof::Unverified, Some(_)) => stage.readings_unverified += 1,
            (Proof::Unverified, None) => stage.unverified = true,
            (Proof::Refused(why), reading) => {
                if reading.is_none() {
                    forget(&mut stage, &path);
                }
                refused.insert(path, why);
            }
        }
    }
    stage
}

/// Whether the run that a reader's scores name has them on record.
fn of_review(bytes: &[u8], witness: &Witness<'_>) -> Proof {
    let Ok(mut said) = serde_json::from_slice::<Value>(bytes) else {
        return Proof::Refused("it is not JSON".to_owned());
    };
    let run = run_of(&said).to_owned();
    if run_began_ms(&run).is_none() {
        return Proof::Refused(format!("`{run}` is not the id of a run"));
    }
    if let Value::Object(fields) = &mut said {
        fields.remove("recorded_by");
    }
    witness(&run, &said)
}

/// Takes away what a file has said of its stage.
fn forget(stage: &mut StageState, path: &str) {
    if path.ends_with("_telemetry.jsonl") {
        stage.agreement = None;
        stage.checks = (None, None);
        stage.cost_usd = None;
        stage.prompt = (None, None);
        stage.models.clear();
        stage.notes.clear();
    } else if path.ends_with("_verdict.json") {
        stage.missing.clear();
        stage.verdict_sha256 = None;
    } else {
        stage.disputes.clear();
        stage.output = None;
    }
}

/// The cost summary, which every stage writes anew: whichever of its runs wrote it last has it on record.
pub(super) fn of_costs(
    path: &str,
    bytes: &[u8],
    stages: &[StageState],
    wrote: &Wrote<'_>,
) -> Proof {
    let sha256 = sha256(bytes);
    let costs: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let lines = costs.get("breakdown").and_then(Value::as_array);
    let lines = lines.into_iter().flatten();
    let named = lines.filter_map(|it| it.get("run_id")?.as_str());
    let of_stages = stages.iter().map(|it| it.run_id.as_str());
    let runs: BTreeSet<&str> = named.chain(of_stages).collect();
    let mut all_are_here = !runs.is_empty();
    // Ids of runs are in the order of time, and the newest one is nearly always the one.
    for run in runs.into_iter().rev() {
        match wrote(run, path, &sha256) {
            Proof::Recorded => return Proof::Recorded,
            Proof::Unverified => all_are_here = false,
            Proof::Refused(_) => {}
        }
    }
    match all_are_here {
        true => {
            let why = "no run that it or a stage names has it with this content on record";
            Proof::Refused(why.to_owned())
        }
        false => Proof::Unverified,
    }
}
