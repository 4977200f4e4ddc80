//! LED: the ledger of a real run, made by the built executable and attacked on disk.

use std::path::PathBuf;

use serde_json::Value;

use super::home;
use crate::support::{Home, Ran};

/// A folder with one finished run.
pub(super) fn finished() -> Home {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home
}

/// The folder of the only run.
pub(super) fn run_dir(home: &Home) -> PathBuf {
    let runs = home.path().join(".flowhost/default/runs");
    let mut all = std::fs::read_dir(runs)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    all.find(|path| path.join("ledger.json").is_file()).unwrap()
}

pub(super) fn segment(home: &Home) -> PathBuf {
    run_dir(home).join("seg-00000000.jsonl")
}

/// The host's own key, which a verifier is given.
pub(super) fn key(home: &Home) -> String {
    let shown = home.flowhost(&["keys", "show", "--json"]).expect(0).stdout;
    let document: Value = serde_json::from_str(&shown).unwrap_or(Value::Null);
    let find = |value: &Value| {
        value
            .as_str()
            .filter(|text| text.contains('+'))
            .map(str::to_owned)
    };
    match &document {
        Value::Object(fields) => fields.values().find_map(find).unwrap(),
        other => find(other).unwrap_or_else(|| shown.trim().to_owned()),
    }
}

pub(super) fn verify(home: &Home) -> Ran {
    home.flowhost(&["verify", "latest"])
}

/// Verification fails after the lines of the segment were changed.
#[track_caller]
fn rejects(what: &str, change: impl FnOnce(&mut Vec<String>)) {
    let home = finished();
    let text = std::fs::read_to_string(segment(&home)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(segment(&home), format!("{}\n", lines.join("\n"))).unwrap();
    let ran = verify(&home);
    assert_eq!(ran.code, 1, "{what}: {}", ran.all());
}

#[test]
fn led_001_one_flipped_bit_anywhere_fails_and_names_the_place() {
    let home = finished();
    verify(&home).expect(0);
    let honest = std::fs::read(segment(&home)).unwrap();
    let step = honest.len() / 24;
    for (turn, at) in (0..honest.len()).step_by(step).enumerate() {
        let mut bytes = honest.clone();
        bytes[at] ^= 1 << (turn % 8);
        std::fs::write(segment(&home), &bytes).unwrap();
        let ran = verify(&home);
        assert_eq!(ran.code, 1, "bit {} of byte {at}: {}", turn % 8, ran.all());
        assert!(
            ran.all().contains("seq") || ran.all().contains("record") || ran.all().contains("line"),
            "{}",
            ran.all()
        );
    }
    std::fs::write(segment(&home), &honest).unwrap();
    verify(&home).expect(0);
}

#[test]
fn led_001_one_flipped_bit_in_a_checkpoint_or_a_payload_fails() {
    for name in [
        "checkpoint",
        "checkpoints.log",
        "payloads-00000000.jsonl",
        "ledger.json",
    ] {
        let home = finished();
        let path = run_dir(&home).join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() * 2 / 3;
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let ran = verify(&home);
        assert_eq!(ran.code, 1, "{name}: {}", ran.all());
    }
}

#[test]
fn led_004_a_ledger_cut_after_its_checkpoint_fails() {
    rejects("the last record", |lines| {
        lines.pop();
    });
    rejects("all but one", |lines| lines.truncate(1));
}

#[test]
fn led_005_swapped_deleted_doubled_and_inserted_records_fail() {
    rejects("swapped", |lines| lines.swap(2, 3));
    rejects("deleted", |lines| {
        lines.remove(3);
    });
    rejects("doubled", |lines| lines.insert(3, lines[3].clone()));
    rejects("inserted", |lines| {
        lines.insert(3, "{\"v\":\"fhe/1\"}".to_owned())
    });
}

#[test]
fn led_012_lines_that_are_not_canonical_fail() {
    rejects("a space", |lines| {
        lines[2] = lines[2].replacen(':', ": ", 1)
    });
    rejects("a blank line", |lines| lines.insert(2, String::new()));
    rejects("a carriage return", |lines| lines[2].push('\r'));
}

#[test]
fn led_023_a_missing_segment_fails() {
    let home = finished();
    std::fs::remove_file(segment(&home)).unwrap();
    verify(&home).expect(1);
}

#[test]
fn a_run_that_lost_its_end_is_not_verified_in_its_own_state_folder() {
    let home = finished();
    let dir = run_dir(&home);
    // An older state of the whole folder, properly signed: what its owner can always put back.
    let log = std::fs::read_to_string(dir.join("checkpoints.log")).unwrap();
    let first = log.split_inclusive("\n\n").next().unwrap().to_owned();
    let rest = log.strip_prefix(&first).unwrap();
    let signature = rest.split_inclusive('\n').next().unwrap();
    let note = first.clone() + signature;
    let size: usize = note.lines().nth(1).unwrap().parse().unwrap();
    let text = std::fs::read_to_string(segment(&home)).unwrap();
    assert!(
        text.lines().count() > size,
        "the first note is the last one"
    );
    let kept: String = text.split_inclusive('\n').take(size).collect();
    std::fs::write(segment(&home), kept).unwrap();
    std::fs::write(dir.join("checkpoint"), &note).unwrap();
    std::fs::write(dir.join("checkpoints.log"), &note).unwrap();
    let payloads = dir.join("payloads-00000000.jsonl");
    if let Ok(text) = std::fs::read_to_string(&payloads) {
        let seq = |line: &str| -> usize {
            let at = line.rfind("\"seq\":\"").unwrap() + 7;
            line[at..]
                .trim_end_matches(['"', '}', '\n'])
                .parse()
                .unwrap()
        };
        let kept: String = text
            .split_inclusive('\n')
            .filter(|line| seq(line) < size)
            .collect();
        std::fs::write(&payloads, kept).unwrap();
    }
    for target in ["latest", dir.to_str().unwrap()] {
        let ran = home.flowhost(&["verify", target]).expect(1);
        let words = format!("the index of runs has {} records", text.lines().count());
        assert!(ran.stdout.contains(&words), "{}", ran.stdout);
    }
}

#[test]
fn a_run_that_vanished_shows_in_the_index() {
    let home = finished();
    let tenant = home.path().join(".flowhost/default");
    let tenant = tenant.to_str().unwrap();
    home.flowhost(&["verify", tenant]).expect(0);
    std::fs::remove_dir_all(run_dir(&home)).unwrap();
    home.flowhost(&["verify", tenant]).expect(1);
}

#[test]
fn a_plain_step_costs_five_records_and_two_kib() {
    let step = |id: &str| format!("  {id}: {{ uses: ok_add/run, with: {{ a: 1, b: 2 }} }}");
    let records = |steps: &[&str]| {
        let steps: Vec<String> = steps.iter().map(|id| step(id)).collect();
        let home = home(&["ok_add"], &steps.join("\n"));
        home.flowhost(&["run", "plan.yaml"]).expect(0);
        let bytes = std::fs::metadata(segment(&home)).unwrap().len();
        let kinds = home.records().into_iter();
        let kinds = kinds.map(|it| it["kind"].as_str().unwrap().to_owned());
        (kinds.collect::<Vec<_>>(), bytes)
    };
    let (one, few) = records(&["only"]);
    let (five, many) = records(&["only", "other", "third", "fourth", "fifth"]);
    assert_eq!(five.len() - one.len(), 4 * 5, "{five:?}");
    assert!(many - few <= 4 * 2_048, "{} bytes a step", (many - few) / 4);
    let own = one.iter().skip_while(|kind| *kind != "step.start");
    let own: Vec<&str> = own.map(String::as_str).take(5).collect();
    let wanted = [
        "step.start",
        "tool.call",
        "tool.result",
        "planner.event",
        "step.end",
    ];
    assert_eq!(own, wanted);
}

#[test]
fn runs_are_listed_and_shown() {
    let home = finished();
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(listed.stdout.contains(" ok "), "{}", listed.stdout);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    for kind in [
        "run.start",
        "component.load",
        "policy.load",
        "step.end",
        "run.end",
    ] {
        assert!(shown.stdout.contains(kind), "{kind}: {}", shown.stdout);
    }
    home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    home.flowhost(&["runs", "show", "01JD0000000000000000000000"])
        .expect(1);
}

#[test]
fn the_witness_gets_every_checkpoint() {
    let home = finished();
    home.flowhost(&["run", "plan.yaml", "--witness", "witness.log"])
        .expect(0);
    assert!(home.read("witness.log").contains("/evidence/default/"));
    home.flowhost(&["verify", "latest", "--witness", "witness.log"])
        .expect(0);
}

#[test]
fn an_altered_report_fails_and_a_missing_one_is_a_note() {
    let home = finished();
    let report = run_dir(&home).join("report.json");
    let honest = std::fs::read_to_string(&report).unwrap();
    let ran = verify(&home).expect(0);
    assert!(
        ran.stdout.contains("views        3 of 3 match"),
        "{}",
        ran.stdout
    );
    std::fs::write(&report, honest.replacen("\"ok\"", "\"no\"", 1)).unwrap();
    let ran = verify(&home).expect(1);
    assert!(ran.stdout.contains("report.json"), "{}", ran.stdout);
    assert!(ran.stdout.contains("not the view"), "{}", ran.stdout);
    std::fs::write(&report, format!("{honest} ")).unwrap();
    verify(&home).expect(1);
    std::fs::remove_file(&report).unwrap();
    let ran = verify(&home).expect(0);
    assert!(
        ran.stdout.contains("not beside the ledger"),
        "{}",
        ran.stdout
    );
}

/// What `verify` says about the first fault after the lines of the segment were changed.
#[track_caller]
fn first_fault(change: impl FnOnce(&mut Vec<String>)) -> String {
    let home = finished();
    let text = std::fs::read_to_string(segment(&home)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(segment(&home), format!("{}\n", lines.join("\n"))).unwrap();
    let ran = verify(&home).expect(1);
    assert!(!ran.stdout.contains("run.end"), "{}", ran.stdout);
    let fault = ran
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix("first fault  "));
    let fault = fault.unwrap_or_else(|| panic!("{}", ran.stdout));
    fault.rsplit('/').next().unwrap().to_owned()
}

/// Without the bytes, which change with the lengths of names.
#[track_caller]
fn is_at(fault: &str, line: u64, what: &str) {
    let begin = format!("seg-00000000.jsonl, line {line}, byte ");
    assert!(fault.starts_with(&begin), "{fault}");
    let record = format!(", record {}: {what}", line - 1);
    assert!(fault.contains(&record), "{fault}");
}

#[test]
fn the_first_fault_is_the_record_that_was_altered_and_not_the_next_one() {
    for at in [0, 5, 10] {
        let fault =
            first_fault(|lines| lines[at] = lines[at].replacen("\"ts\":\"2", "\"ts\":\"1", 1));
        is_at(&fault, at as u64 + 1, "it was altered");
    }
    // The link itself: the records before it are what they were.
    let fault = first_fault(|lines| {
        let at = lines[6].find("\"prev\":\"").unwrap() + 8;
        let old = lines[6].as_bytes()[at];
        let new = if old == b'0' { "1" } else { "0" };
        lines[6].replace_range(at..=at, new);
    });
    is_at(&fault, 7, "prev is not the hash");
    let fault = first_fault(|lines| _ = lines.remove(4));
    is_at(&fault, 5, "expected seq 4, found 5");
    let fault = first_fault(|lines| lines.insert(5, lines[4].clone()));
    is_at(&fault, 6, "expected seq 5, found 4");
}

#[test]
fn records_that_were_made_to_fit_again_are_told_by_the_checkpoint() {
    let mut records = 0;
    let fault = first_fault(|lines| {
        records = lines.len();
        let last = lines.last_mut().unwrap();
        *last = last.replacen("\"ts\":\"2", "\"ts\":\"1", 1);
    });
    let altered = format!("record {} was altered", records - 1);
    assert!(fault.contains(&altered), "{fault}");
    let fault = first_fault(|lines| lines.truncate(3));
    let missing = format!("{records} records, 3 are there");
    assert!(fault.contains(&missing), "{fault}");
}

#[test]
fn a_missing_segment_is_named_and_not_what_is_left_beside_it() {
    let home = finished();
    std::fs::remove_file(segment(&home)).unwrap();
    let ran = verify(&home).expect(1);
    let words = "/seg-00000000.jsonl: it is missing, and payloads-00000000.jsonl is there";
    assert!(ran.stdout.contains(words), "{}", ran.stdout);
    assert!(!ran.stdout.contains("run.end"), "{}", ran.stdout);
}
