//! Whatever record a run stops at, it ends as if it had not.

use std::path::Path;

use serde_json::Value;

use super::evidence::run_dir;
use super::examples::example;
use crate::support::Home;

/// A folder whose run lost everything behind its record `keep`, as a loss of power leaves it that comes
/// before the first checkpoint.
pub(super) fn cut(home: &Home, whole: &[String], keep: usize) {
    cut_in(&run_dir(home), whole, keep);
}

/// The same of the run in `dir`.
pub(super) fn cut_in(dir: &Path, whole: &[String], keep: usize) {
    let text: String = whole[..keep]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(dir.join("seg-00000000.jsonl"), text).unwrap();
    for name in ["checkpoint", "checkpoints.log"] {
        let _was_not_there = std::fs::remove_file(dir.join(name));
    }
}

/// Stops a run of the example at each of its records, and takes it up: it ends as the run did that nobody stopped.
#[track_caller]
fn stopped_at_any_record(name: &str) {
    let home = example(name);
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let dir = run_dir(&home);
    let text = std::fs::read_to_string(dir.join("seg-00000000.jsonl")).unwrap();
    let payloads = std::fs::read(dir.join("payloads-00000000.jsonl")).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let place_of = |wanted: &str| {
        let kind = |line: &String| serde_json::from_str::<Value>(line).unwrap()["kind"].clone();
        lines.iter().position(|line| kind(line) == wanted).unwrap()
    };
    let steps = |report: &Value| {
        let steps = report["steps"].as_object().unwrap().iter();
        let told = steps.map(|(path, step)| {
            let (status, attempts) = (step["status"].clone(), step["attempts"].clone());
            (path.clone(), status, attempts)
        });
        told.collect::<Vec<_>>()
    };
    for keep in place_of("view.write") + 1..=place_of("run.end") {
        cut(&home, &lines, keep);
        std::fs::write(dir.join("payloads-00000000.jsonl"), &payloads).unwrap();
        let resumed = home
            .flowhost(&["runs", "resume", "latest", "--json"])
            .expect(0)
            .json();
        let at = format!("{name} stopped at record {keep}");
        assert_eq!(resumed["outputs"], report["outputs"], "{at}");
        assert_eq!(steps(&resumed), steps(&report), "{at}");
        if keep % 5 == 0 {
            // Whatever the first process left half done, the record of both is the script of one replay.
            super::again::replays(&home);
        }
    }
    home.flowhost(&["verify", "latest"]).expect(0);
}

// One test for each example, so that they run beside each other.

#[test]
fn the_first_plan_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("first-plan");
}

#[test]
fn a_check_of_documents_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("docs-check");
}

#[test]
fn a_triage_by_a_model_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("support-triage");
}

#[test]
fn a_message_seen_from_two_sides_that_is_stopped_at_any_record_ends_as_if_it_had_not_been() {
    stopped_at_any_record("urgent-message");
}

/// Three agents are at work at once, each of them started and none of them done.
#[test]
fn a_step_of_several_agents_that_is_taken_up_costs_what_is_recorded_of_it() {
    let home = example("quality-gates");
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    let text = std::fs::read_to_string(run_dir(&home).join("seg-00000000.jsonl")).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_answer = |line: &String| {
        let record: Value = serde_json::from_str(line).unwrap();
        record["kind"] == "tool.result" && record["tool"] == "on-plan"
    };
    let keep = lines.iter().position(is_answer).unwrap();
    assert!(lines[..keep].iter().any(|line| line.contains("on-start")));
    cut(&home, &lines, keep);
    home.flowhost(&["runs", "resume", "latest"]).expect(9);
    super::again::replays(&home);
    home.flowhost(&["verify", "latest"]).expect(0);
}
