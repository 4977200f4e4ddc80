//! What the verifier says of a ledger whose host was killed, and how the next run puts it in order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flowhost_ledger::records::RunStart;
use flowhost_ledger::{
    Code, Fact, Kind, Ledger, LedgerReport, Recorder as _, RunIndex, read_run, run_dir,
    seal_unfinished, verify_dir,
};

use crate::crash::killed_after;
use crate::{copy, ended, fact, key, options, write};

const SEGMENT: &str = "seg-00000000.jsonl";
const PAYLOADS: &str = "payloads-00000000.jsonl";

fn payload(seq: u64) -> String {
    format!(
        "{{\"payload\":\"p\",\"salt\":\"{}\",\"seq\":\"{seq}\"}}\n",
        "0".repeat(64)
    )
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn verify(dir: &Path) -> LedgerReport {
    verify_dir(dir, &[key(1).vkey()]).ledgers.remove(0)
}

fn code(report: &LedgerReport) -> Option<Code> {
    report.problem.as_ref().map(|problem| problem.code)
}

/// The folder of a writer that was killed after six durable records, three of them signed.
fn killed(dir: &Path) -> PathBuf {
    let (live, killed) = (dir.join("live"), dir.join("killed"));
    let mut options = options(&live);
    options.checkpoints.age = Duration::from_secs(3600);
    let ledger = Ledger::open(&options).unwrap();
    let mut last = 0;
    for number in 0..6 {
        if number == 3 {
            ledger.checkpoint_blocking().unwrap();
        }
        last = ledger.append(fact(number)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(ledger.durable(last)).unwrap();
    copy(&live, &killed);
    killed
}

#[test]
fn payloads_that_no_kill_leaves_are_a_fault_of_an_unfinished_ledger() {
    let torn = "{\"payload\":\"sec";
    let bad = [
        ("of a record without one", payload(4)),
        ("of an earlier record", payload(2)),
        ("twice the same", payload(6) + &payload(6)),
        ("going back", payload(7) + &payload(6)),
        ("garbage with a line end", "garbage\n".to_owned()),
        ("torn within", format!("{torn}\n{}", payload(6))),
    ];
    for (what, tail) in bad {
        let dir = tempfile::tempdir().unwrap();
        let killed = killed(dir.path());
        append(&killed.join(PAYLOADS), &tail);
        assert_eq!(code(&verify(&killed)), Some(Code::Payload), "{what}");
    }
}

#[test]
fn a_payload_behind_the_signed_end_of_a_run_is_a_fault() {
    for tail in [payload(4), "{\"payload\":\"sec".to_owned()] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&options(dir.path())).unwrap();
        for number in 0..3 {
            ledger.append(fact(number)).unwrap();
        }
        ledger.append(Fact::new(Kind::RunEnd, "t/host")).unwrap();
        ledger.close_blocking().unwrap();
        assert_eq!(code(&verify(dir.path())), None);
        append(&dir.path().join(PAYLOADS), &tail);
        assert_eq!(code(&verify(dir.path())), Some(Code::Payload));
    }
}

#[test]
fn a_payload_behind_an_earlier_segment_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.segment_bytes_max = 800;
    write(&options, 12);
    append(&dir.path().join(PAYLOADS), &payload(12));
    assert_eq!(code(&verify(dir.path())), Some(Code::Payload));
}

#[test]
fn a_missing_payload_is_not_excused_by_a_torn_one() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 3);
    let path = dir.path().join(PAYLOADS);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    let report = verify(dir.path());
    assert_eq!(code(&report), Some(Code::Payload));
    assert!(report.to_string().contains("record 2 is missing"));
}

#[test]
fn payloads_of_records_that_never_came_are_a_note() {
    let tail = payload(7) + &payload(9) + "{\"payload\":\"sec";
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 6);
    append(&dir.path().join(PAYLOADS), &tail);
    let report = verify(dir.path());
    assert_eq!(code(&report), None, "{report}");
    assert_eq!(report.payloads.unrecorded, 3);
    assert_eq!(report.payloads.checked, 2);
    // Opening cuts and records them.
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.close_blocking().unwrap();
    let report = verify(dir.path());
    assert_eq!(code(&report), None, "{report}");
    assert_eq!((report.records, report.payloads.unrecorded), (7, 0));
}

#[test]
fn a_killed_ledger_is_told_as_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let killed = killed(dir.path());
    append(&killed.join(PAYLOADS), &payload(8));
    let report = verify(&killed);
    assert_eq!(code(&report), Some(Code::Unsigned));
    let path = killed.display().to_string();
    let root = report.root.clone().unwrap();
    let text = report
        .to_string()
        .replace(&path, "DIR")
        .replace(&root, "ROOT");
    insta::with_settings!({ filters => vec![(r"\d+ bytes", "N bytes")] }, {
        insta::assert_snapshot!(text, @r#"
        FAILED  DIR
          origin       host.example/evidence/t/r
          records      6 in 1 segment, N bytes: canonical, chained, in sequence
          checkpoints  2 fit; 3 records signed, 3 not
          root         ROOT
          key          trusted: host.example/evidence/t/r+f53acd28+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
          payloads     2 match their records, 0 erased, 0 lost in a crash
          note         1 payload for records that never came: the host was killed
          note         the record run.end is missing: the run was killed, or is still at work
          first fault  DIR: not signed: 3 records after the last checkpoint; the host was killed before it could sign, or is still at work; `flowhost` signs when it opens the ledger again
        "#);
    });
    append(&killed.join(SEGMENT), "{\"actor\":\"t/ag");
    let report = verify(&killed);
    assert_eq!(code(&report), Some(Code::Record));
    let what = report.problem.unwrap().what;
    insta::assert_snapshot!(what, @"the line is cut off: it has no line end (the host was killed while it wrote it; `flowhost` cuts it when it opens the ledger again)");
}

/// A run that was entered, written to and killed.
fn start_and_kill(state: &Path, seed: u64) -> PathBuf {
    let index = RunIndex::new(state, "t", key(1));
    index.started("r", RunStart::default()).unwrap();
    let dir = run_dir(state, "t", "r");
    killed_after(&dir, seed, Duration::from_millis(8));
    dir
}

fn statuses(state: &Path) -> Vec<(String, String)> {
    let records = read_run(&RunIndex::dir(state, "t"))
        .unwrap()
        .map(Result::unwrap);
    let ends = records.filter(|record| record.kind() == Some(Kind::RunEnd));
    let text = |record: &flowhost_ledger::StoredRecord, name| record.text(name).unwrap().to_owned();
    ends.map(|record| (text(&record, "run_id"), text(&record, "status")))
        .collect()
}

#[test]
fn a_run_killed_for_real_is_sealed_once_and_its_end_is_held_against_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let run = start_and_kill(state, 7);
    let swept = seal_unfinished(state, "t", key(1)).unwrap();
    assert_eq!((swept.sealed, swept.problems), (vec!["r".into()], vec![]));
    assert_eq!(statuses(state), [("r".into(), "killed".into())]);
    let report = verify_dir(state, &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert!(report.notes.is_empty(), "{report}");
    let again = seal_unfinished(state, "t", key(1)).unwrap();
    assert_eq!(again, flowhost_ledger::Swept::default());
    // From now on the run cannot be cut back.
    std::fs::remove_dir_all(&run).unwrap();
    let mut shorter = options(&run);
    shorter.run = "r".into();
    write(&shorter, 1);
    let report = verify_dir(state, &[key(1).vkey()]);
    let first = report.all_problems().next().map(|problem| problem.code);
    assert_eq!(first, Some(Code::Truncated));
}

#[test]
fn sealing_leaves_alone_what_runs_what_is_missing_and_what_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let index = RunIndex::new(state, "t", key(1));
    let none = seal_unfinished(state, "t", key(1)).unwrap();
    assert_eq!(none, flowhost_ledger::Swept::default(), "nothing ever ran");
    assert!(!state.join("t").exists());
    for run in ["at-work", "gone", "corrupt", "foreign", "killed"] {
        index.started(run, RunStart::default()).unwrap();
    }
    let of = |run: &str, seed: u8| {
        let dir = run_dir(state, "t", run);
        flowhost_ledger::LedgerOptions::new(&dir, "t", run, key(seed))
    };
    let at_work = Ledger::open(&of("at-work", 1)).unwrap();
    for (run, seed) in [("corrupt", 1), ("foreign", 2), ("killed", 1)] {
        write(&of(run, seed), 3);
    }
    std::fs::write(run_dir(state, "t", "corrupt").join(SEGMENT), "x\n").unwrap();
    let swept = seal_unfinished(state, "t", key(1)).unwrap();
    assert_eq!(swept.sealed, ["killed"]);
    let [corrupt, foreign] = &swept.problems[..] else {
        panic!("{:?}", swept.problems)
    };
    assert!(corrupt.starts_with("run corrupt: its ledger cannot be opened: "));
    assert!(
        corrupt.contains("it signs 3 records, 0 are there"),
        "{corrupt}"
    );
    assert!(
        foreign.contains("the host's key is not one of"),
        "{foreign}"
    );
    assert!(!run_dir(state, "t", "gone").exists(), "made anew");
    assert_eq!(statuses(state), [("killed".into(), "killed".into())]);
    drop(at_work);
}

#[test]
fn a_run_whose_end_was_written_but_not_entered_keeps_its_status() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    RunIndex::new(state, "t", key(1))
        .started("r", RunStart::default())
        .unwrap();
    let ledger = Ledger::open(&options(&run_dir(state, "t", "r"))).unwrap();
    let end = ended("degraded");
    ledger.append(end).unwrap();
    ledger.close_blocking().unwrap();
    // The folder is free only when the writer's thread is gone.
    drop(ledger);
    let swept = seal_unfinished(state, "t", key(1)).unwrap();
    assert_eq!((swept.sealed, swept.problems), (vec!["r".into()], vec![]));
    assert_eq!(statuses(state), [("r".into(), "degraded".into())]);
}

#[test]
fn sealing_looks_at_the_newest_runs_only() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let index = RunIndex::new(state, "t", key(1));
    let max = flowhost_ledger::UNFINISHED_RUNS_MAX;
    for number in 0..=max {
        index
            .started(&format!("r{number}"), RunStart::default())
            .unwrap();
    }
    for number in [0, 1, max] {
        let run = format!("r{number}");
        let dir = run_dir(state, "t", &run);
        write(
            &flowhost_ledger::LedgerOptions::new(&dir, "t", &run, key(1)),
            1,
        );
    }
    let swept = seal_unfinished(state, "t", key(1)).unwrap();
    assert_eq!(swept.sealed, ["r1".to_owned(), format!("r{max}")]);
    assert_eq!(swept.problems, [""; 0]);
}
