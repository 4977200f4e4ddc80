//! Opening what was left behind: torn tails are cut and recorded, everything else is refused.

use std::path::{Path, PathBuf};

use flowhost_ledger::{Kind, Ledger, OpenError, Recorder as _, StoredRecord, read_run, verify_dir};
use sha2::{Digest as _, Sha256};

use crate::{copy, fact, key, options, write};

const SEGMENT: &str = "seg-00000000.jsonl";

/// The folder of a writer that was killed after `count` durable records, none of them signed.
fn killed(dir: &Path, count: u64) -> PathBuf {
    let (live, killed) = (dir.join("live"), dir.join("killed"));
    let mut options = options(&live);
    options.checkpoints.age = std::time::Duration::from_secs(3600);
    let ledger = Ledger::open(&options).unwrap();
    let mut last = 0;
    for number in 0..count {
        last = ledger.append(fact(number)).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(ledger.durable(last)).unwrap();
    copy(&live, &killed);
    killed
}

fn records(dir: &Path) -> Vec<StoredRecord> {
    read_run(dir)
        .unwrap()
        .map(|record| record.unwrap())
        .collect()
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}

fn refused_at(dir: &Path) -> (u64, u64, u64) {
    let before = std::fs::read(dir.join(SEGMENT)).unwrap();
    let error = Ledger::open(&options(dir)).unwrap_err();
    let OpenError::Corrupt {
        offset, line, seq, ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(
        std::fs::read(dir.join(SEGMENT)).unwrap(),
        before,
        "a refused ledger was changed"
    );
    (offset, line, seq)
}

#[test]
fn led_022_refuses_garbage_with_records_behind_it_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let killed = killed(dir.path(), 6);
    let path = killed.join(SEGMENT);
    let good = std::fs::read(&path).unwrap();
    let third = good
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(1)
        .map(|(at, _)| at + 1)
        .unwrap();
    let mut bad = good.clone();
    bad[third + 3..third + 9].fill(b'#');
    std::fs::write(&path, &bad).unwrap();
    assert_eq!(refused_at(&killed), (third as u64, 3, 2));
    // Zeros that are no lost sector are garbage, too.
    bad[third + 3..third + 9].fill(0);
    std::fs::write(&path, &bad).unwrap();
    assert_eq!(refused_at(&killed), (third as u64, 3, 2));
    // A well-formed record that does not belong there is no torn write.
    let mut swapped = good.clone();
    let at = swapped
        .windows(9)
        .rposition(|bytes| bytes == b"\"seq\":\"5\"")
        .unwrap();
    swapped[at + 7] = b'6';
    std::fs::write(&path, &swapped).unwrap();
    assert_eq!(refused_at(&killed).2, 5);
}

#[test]
fn refuses_to_cut_what_a_checkpoint_signed() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 4);
    let path = dir.path().join(SEGMENT);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 5]).unwrap();
    assert_eq!(refused_at(dir.path()).2, 3);
    let at = good.len() - 20;
    let mut bad = good;
    bad[at] ^= 1;
    std::fs::write(&path, &bad).unwrap();
    refused_at(dir.path());
}

#[test]
fn cuts_a_torn_tail_and_records_what_was_cut() {
    for tail in [
        &b"{\"actor\":\"t/agent\",\"kind\":\"ho"[..],
        b"\n",
        b"\x00\x00\x00",
        b"garbage\nmore garbage\n",
        &[b'x'; 200_000],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let killed = killed(dir.path(), 5);
        append(&killed.join(SEGMENT), tail);
        assert!(
            !verify_dir(&killed, &[key(1).vkey()]).ok,
            "torn and unsigned"
        );
        Ledger::open(&options(&killed))
            .unwrap()
            .close_blocking()
            .unwrap();
        let records = records(&killed);
        assert_eq!(records.len(), 6);
        let recovery = &records[5];
        assert_eq!(recovery.kind(), Some(Kind::Recovery));
        assert_eq!(recovery.number("cut_bytes"), Some(tail.len() as u64));
        let hash = hex::encode(Sha256::digest(tail));
        assert_eq!(recovery.text("cut_sha256"), Some(hash.as_str()));
        let report = verify_dir(&killed, &[key(1).vkey()]);
        assert!(report.ok, "{report}");
    }
}

#[test]
fn cuts_a_record_whose_line_end_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let killed = killed(dir.path(), 5);
    let path = killed.join(SEGMENT);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    Ledger::open(&options(&killed))
        .unwrap()
        .close_blocking()
        .unwrap();
    assert_eq!(records(&killed)[4].kind(), Some(Kind::Recovery));
}

#[test]
fn cuts_torn_payloads_and_notes() {
    let dir = tempfile::tempdir().unwrap();
    let killed = killed(dir.path(), 6);
    append(
        &killed.join("payloads-00000000.jsonl"),
        b"{\"payload\":\"sec",
    );
    append(&killed.join("checkpoints.log"), b"host.example/evid");
    Ledger::open(&options(&killed))
        .unwrap()
        .close_blocking()
        .unwrap();
    let report = verify_dir(&killed, &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(report.ledgers[0].payloads.checked, 2);
    assert_eq!(records(&killed)[6].number("payload_cut_bytes"), Some(15));
}

#[test]
fn goes_on_where_it_ended_without_a_recovery_record() {
    let dir = tempfile::tempdir().unwrap();
    let killed = killed(dir.path(), 5);
    write(&options(&killed), 5);
    assert_eq!(records(&killed).len(), 10);
    assert!(verify_dir(&killed, &[key(1).vkey()]).ok);
}

#[test]
fn led_021_a_second_writer_is_refused_until_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = Ledger::open(&options(dir.path())).unwrap();
    assert!(matches!(
        Ledger::open(&options(dir.path())),
        Err(OpenError::Locked(_))
    ));
    let other = first.clone();
    drop(first);
    assert!(matches!(
        Ledger::open(&options(dir.path())),
        Err(OpenError::Locked(_))
    ));
    drop(other);
    Ledger::open(&options(dir.path())).unwrap();
}

#[test]
fn refuses_the_ledger_of_another_run_host_or_key() {
    let dir = tempfile::tempdir().unwrap();
    write(&options(dir.path()), 2);
    let mut other = options(dir.path());
    other.run = "other".into();
    assert!(matches!(Ledger::open(&other), Err(OpenError::Other { .. })));
    let mut other = options(dir.path());
    other.key = key(2);
    assert!(matches!(Ledger::open(&other), Err(OpenError::Key { .. })));
    for bad in ["..", "a/b", "", "a b"] {
        let mut other = options(dir.path());
        other.tenant = bad.into();
        assert!(
            matches!(Ledger::open(&other), Err(OpenError::Id(_))),
            "{bad:?}"
        );
    }
    std::fs::remove_file(dir.path().join("ledger.json")).unwrap();
    assert!(matches!(
        Ledger::open(&options(dir.path())),
        Err(OpenError::Corrupt { .. })
    ));
}

#[test]
fn a_dropped_ledger_is_closed_with_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.append(fact(0)).unwrap();
    drop(ledger);
    assert!(verify_dir(dir.path(), &[key(1).vkey()]).ok);
}
