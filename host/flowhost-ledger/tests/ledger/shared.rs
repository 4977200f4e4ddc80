//! Payloads that are met again: stored once, committed to each, erased each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_ledger::{
    Bundle, Code, Fact, Kind, Ledger, LedgerOptions, Payloads, RealDisk, Recorder as _,
    VerifyOptions, read_run_in, verify_dir, verify_in, verify_path,
};
use proptest::prelude::*;

use crate::sim::SimDisk;
use crate::{key, options};

const PAYLOADS: &str = "payloads-00000000.jsonl";

fn given(payload: &str) -> Fact {
    Fact::new(Kind::ToolCall, "t/a").payload(payload.as_bytes().to_vec())
}

fn long(letter: char) -> String {
    letter.to_string().repeat(5_000)
}

fn append(options: &LedgerOptions, payloads: &[&str]) {
    let ledger = Ledger::open(options).unwrap();
    for payload in payloads {
        ledger.append(given(payload)).unwrap();
    }
    ledger.close_blocking().unwrap();
}

#[track_caller]
fn verifies(dir: &Path, payloads: u64) {
    let report = verify_dir(dir, &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(report.ledgers[0].payloads.checked, payloads);
}

/// The payload of a record, as a view reads it.
fn read(dir: &Path, seq: u64) -> Option<String> {
    let at = usize::try_from(seq).unwrap();
    let record = read_run_in(&RealDisk, dir).unwrap().nth(at);
    let commit = record.unwrap().unwrap().commit.unwrap();
    let payloads = Payloads::open(&RealDisk, dir).unwrap();
    let bytes = payloads.get(seq, &commit).unwrap();
    bytes.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn what_is_met_again_is_stored_once_and_read_by_each() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (long('a'), long('b'));
    append(&options(dir.path()), &[&a, &b, &a, "small", "small", &a]);
    verifies(dir.path(), 6);
    let text = std::fs::read_to_string(dir.path().join(PAYLOADS)).unwrap();
    assert!(text.len() < 11_000, "{}", text.len());
    assert_eq!(text.matches(r#"{"of":"0","#).count(), 2);
    assert_eq!(
        text.matches("small").count(),
        2,
        "what is small is not worth it"
    );
    for (seq, payload) in [(0, &a), (1, &b), (2, &a), (5, &a)] {
        assert_eq!(read(dir.path(), seq).as_ref(), Some(payload));
    }
    // Equal payloads have commitments that do not say so.
    let commits: BTreeSet<_> = read_run_in(&RealDisk, dir.path())
        .unwrap()
        .map(|record| record.unwrap().commit)
        .collect();
    assert_eq!(commits.len(), 6);
    let payloads = Payloads::open(&RealDisk, dir.path()).unwrap();
    assert_eq!(payloads.same_as(2), [0, 5].into());
    assert_eq!(payloads.same_as(0), [2, 5].into());
    assert_eq!(payloads.same_as(1), [].into());
    assert_eq!(payloads.same_as(9), [].into());
    // A bundle is the same.
    let bundle = tempfile::NamedTempFile::new().unwrap();
    Bundle::write(&RealDisk, dir.path(), false, &[], &mut bundle.as_file()).unwrap();
    let trusted = vec![key(1).vkey()];
    let options = VerifyOptions {
        trusted,
        ..VerifyOptions::default()
    };
    assert!(verify_path(bundle.path(), &options).ok);
}

#[test]
fn a_ledger_that_goes_on_later_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let a = long('a');
    append(&options(dir.path()), &[&a, &a]);
    append(&options(dir.path()), &[&a, &a]);
    verifies(dir.path(), 4);
}

#[test]
fn led_025_who_is_erased_is_gone_and_who_has_the_same_keeps_it_until_it_is_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let a = long('a');
    append(&options(dir.path()), &[&a, &a, &a, &a]);
    let path = dir.path().join(PAYLOADS);
    for (nth, seq) in [0_u64, 2, 1].into_iter().enumerate() {
        let salt = std::fs::read_to_string(&path).unwrap();
        let salt = salt
            .lines()
            .find(|line| line.contains(&format!("\"seq\":\"{seq}\"")));
        let salt = salt.unwrap().split("\"salt\":\"").nth(1).unwrap()[..64].to_owned();
        let ledger = Ledger::open(&options(dir.path())).unwrap();
        assert_eq!(ledger.erase_blocking([seq].into(), "asked").unwrap(), 1);
        ledger.close_blocking().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&salt));
        assert_eq!(text.matches(&a).count(), 1, "the others have it, once");
        assert_eq!(read(dir.path(), seq), None);
        assert_eq!(read(dir.path(), 3), Some(a.clone()));
        verifies(dir.path(), 3 - nth as u64);
    }
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.erase_blocking([3].into(), "asked").unwrap();
    ledger.close_blocking().unwrap();
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&a));
    verifies(dir.path(), 0);
}

#[test]
fn what_was_erased_is_not_named_by_what_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let a = long('a');
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.append(given(&a)).unwrap();
    ledger.append(given(&a)).unwrap();
    ledger.erase_blocking([0, 1].into(), "asked").unwrap();
    let seq = ledger.append(given(&a)).unwrap();
    ledger.close_blocking().unwrap();
    verifies(dir.path(), 1);
    assert_eq!(read(dir.path(), seq), Some(a));
}

#[test]
fn a_line_that_names_what_it_must_not_is_refused_and_is_no_endless_work() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (long('a'), long('b'));
    append(&options(dir.path()), &[&a, &b, &a, &a]);
    let disk = SimDisk::load(dir.path());
    let honest = std::fs::read_to_string(dir.path().join(PAYLOADS)).unwrap();
    let lines: Vec<&str> = honest.lines().collect();
    let two_to = |of: &str| honest.replacen(r#"{"of":"0","#, &format!(r#"{{"of":"{of}","#), 1);
    for (what, altered) in [
        ("another's", two_to("1")),
        ("one that comes later", two_to("3")),
        ("itself", two_to("2")),
        ("nobody", two_to("x")),
        (
            "one that names another",
            [
                lines[0],
                lines[1],
                lines[2],
                &lines[3].replace("\"of\":\"0\"", "\"of\":\"2\""),
            ]
            .map(|line| format!("{line}\n"))
            .concat(),
        ),
        (
            "one that is gone",
            [lines[1], lines[2], lines[3]]
                .map(|line| format!("{line}\n"))
                .concat(),
        ),
    ] {
        assert_ne!(altered, honest, "{what}");
        disk.put(PAYLOADS, altered.as_bytes());
        let options = VerifyOptions {
            trusted: vec![key(1).vkey()],
            ..VerifyOptions::default()
        };
        let report = verify_in(&disk, Path::new("/"), &options);
        let problem = report.all_problems().next().expect(what);
        assert_eq!(problem.code, Code::Payload, "{what}: {problem}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_is_shared_and_erased_the_rest_is_read_and_verified(
        written in proptest::collection::vec((0..3_usize, 0..4_usize), 1..40),
        erased in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        payload_file_bytes_max in 3_000..30_000_u64,
    ) {
        let disk = SimDisk::default();
        let dir = Path::new("/s/r");
        let mut options = options(dir);
        options.disk = std::sync::Arc::new(disk.clone());
        options.payload_file_bytes_max = payload_file_bytes_max;
        let ledger = Ledger::open(&options).unwrap();
        let mut there = BTreeMap::new();
        for (letter, size) in written {
            let payload = ["a", "\"", "\u{e9}"][letter].repeat([10, 1_024, 1_500, 4_000][size]);
            let seq = ledger.append(given(&payload)).unwrap();
            there.insert(seq, payload);
        }
        let all: Vec<u64> = there.keys().copied().collect();
        for pick in erased.chunks(2) {
            let seqs: BTreeSet<u64> = pick.iter().map(|at| *at.get(&all)).collect();
            ledger.erase_blocking(seqs.clone(), "asked").unwrap();
            there.retain(|seq, _| !seqs.contains(seq));
        }
        ledger.close_blocking().unwrap();
        let verify = VerifyOptions { trusted: vec![key(1).vkey()], ..VerifyOptions::default() };
        let report = verify_in(&disk, dir, &verify);
        prop_assert!(report.ok, "{}", report);
        let payloads = Payloads::open(&disk, dir).unwrap();
        for record in read_run_in(&disk, dir).unwrap() {
            let record = record.unwrap();
            let Some(commit) = &record.commit else { continue };
            let found = payloads.get(record.seq, commit).unwrap();
            let found = found.map(|bytes| String::from_utf8(bytes).unwrap());
            prop_assert_eq!(found.as_ref(), there.get(&record.seq), "record {}", record.seq);
        }
    }
}
