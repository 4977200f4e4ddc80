//! The index of runs: what it makes visible.

use std::io;
use std::path::{Path, PathBuf};

use flowhost_ledger::records::RunStart;
use flowhost_ledger::{
    Code, Entry, Ledger, LedgerOptions, ReadSeek, RealDisk, Recorder as _, RunIndex, Source,
    VerifyOptions, run_dir, verify_dir, verify_in,
};

use crate::{copy, fact, key, start};

fn run(state: &Path, name: &str, count: u64) {
    let index = RunIndex::new(state, "t", key(1));
    index.started(name, start("sha256:00")).unwrap();
    let options = LedgerOptions::new(&run_dir(state, "t", name), "t", name, key(1));
    let ledger = Ledger::open(&options).unwrap();
    for number in 0..count {
        ledger.append(fact(number)).unwrap();
    }
    let sealed = ledger.close_blocking().unwrap();
    index.ended(name, "ok", &sealed).unwrap();
}

fn codes(state: &Path) -> Vec<Code> {
    verify_dir(state, &[key(1).vkey()])
        .all_problems()
        .map(|problem| problem.code)
        .collect()
}

#[test]
fn a_missing_run_a_run_nobody_entered_and_a_run_cut_back_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    for (name, count) in [("a", 3), ("b", 4), ("c", 5)] {
        run(state, name, count);
    }
    let report = verify_dir(state, &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(report.ledgers.len(), 4);
    assert!(verify_dir(&state.join("t"), &[key(1).vkey()]).ok);

    let b = run_dir(state, "t", "b");
    let kept = dir.path().join("kept");
    std::fs::rename(&b, &kept).unwrap();
    assert_eq!(codes(state), [Code::Index], "missing");

    // A shorter ledger of the same run, properly signed: an older state of it, say.
    let options = LedgerOptions::new(&b, "t", "b", key(1));
    let ledger = Ledger::open(&options).unwrap();
    ledger.append(fact(0)).unwrap();
    ledger.close_blocking().unwrap();
    drop(ledger);
    // Sound in itself, and not what the index beside it knows of this run.
    let alone = dir.path().join("alone");
    copy(&b, &alone);
    assert!(verify_dir(&alone, &[key(1).vkey()]).ok);
    let in_place = verify_dir(&b, &[key(1).vkey()]);
    let code = in_place.all_problems().next().map(|problem| problem.code);
    assert_eq!(code, Some(Code::Truncated), "{in_place}");
    std::fs::remove_dir_all(&alone).unwrap();
    assert_eq!(codes(state), [Code::Truncated], "cut back");
    std::fs::remove_dir_all(&b).unwrap();
    std::fs::rename(&kept, &b).unwrap();
    assert_eq!(codes(state), []);

    let mut stranger = LedgerOptions::new(&run_dir(state, "t", "x"), "t", "x", key(1));
    drop(Ledger::open(&stranger).unwrap());
    assert_eq!(codes(state), [Code::Index], "not entered");
    std::fs::remove_dir_all(&stranger.dir).unwrap();

    // Another run's folder in the place of this one.
    stranger.dir = run_dir(state, "t", "c");
    std::fs::remove_dir_all(&stranger.dir).unwrap();
    copy(&b, &stranger.dir);
    assert!(!codes(state).is_empty(), "replaced");
    std::fs::remove_dir_all(state.join("t/runs.index")).unwrap();
    assert!(codes(state).contains(&Code::Index), "without an index");
}

/// A disk of which one folder cannot be listed.
#[derive(Debug)]
struct Shut(PathBuf);

impl Source for Shut {
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        match dir == self.0 {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => RealDisk.list(dir),
        }
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        RealDisk.open_read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        RealDisk.len(path)
    }
}

#[test]
fn a_folder_that_nobody_could_look_into_is_told() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "a", 3);
    let shut = Shut(dir.path().join("other"));
    std::fs::create_dir(&shut.0).unwrap();
    let options = VerifyOptions {
        trusted: vec![key(1).vkey()],
        ..VerifyOptions::default()
    };
    let report = verify_in(&shut, dir.path(), &options);
    assert!(report.ok, "{report}");
    let told = |note: &String| note.contains("other was not looked into");
    assert!(report.notes.iter().any(told), "{report}");
}

#[test]
fn erasing_after_the_end_keeps_the_run_sound() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "a", 6);
    let options = LedgerOptions::new(&run_dir(dir.path(), "t", "a"), "t", "a", key(1));
    let ledger = Ledger::open(&options).unwrap();
    assert_eq!(
        ledger.erase_blocking([2, 5].into(), "asked for").unwrap(),
        2
    );
    ledger.close_blocking().unwrap();
    assert_eq!(codes(dir.path()), []);
}

#[test]
fn many_processes_may_enter_their_runs() {
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let state = dir.path();
            scope.spawn(move || run(state, name, 2));
        }
    });
    let report = verify_dir(dir.path(), &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(report.ledgers[0].records, 8);
}

#[test]
fn a_run_that_never_ended_is_a_note_and_a_name_that_is_no_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let index = RunIndex::new(dir.path(), "t", key(1));
    index.started("a", RunStart::default()).unwrap();
    let options = LedgerOptions::new(&run_dir(dir.path(), "t", "a"), "t", "a", key(1));
    drop(Ledger::open(&options).unwrap());
    let report = verify_dir(dir.path(), &[key(1).vkey()]);
    assert!(report.ok, "{report}");
    assert_eq!(report.notes.len(), 1);
    assert!(index.started("../a", RunStart::default()).is_err());
}

#[test]
fn the_index_survives_a_new_key() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "a", 2);
    let old = RunIndex::new(dir.path(), "t", key(1));
    old.rotate_key(key(2)).unwrap();
    assert!(
        old.started("b", RunStart::default()).is_err(),
        "the old key is retired"
    );
    let new = RunIndex::new(dir.path(), "t", key(2));
    let sealed = {
        new.started("b", RunStart::default()).unwrap();
        let options = LedgerOptions::new(&run_dir(dir.path(), "t", "b"), "t", "b", key(2));
        Ledger::open(&options).unwrap().close_blocking().unwrap()
    };
    new.ended("b", "ok", &sealed).unwrap();
    let report = verify_dir(dir.path(), &[key(1).vkey(), key(2).vkey()]);
    assert!(report.ok, "{report}");
}
