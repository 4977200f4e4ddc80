//! A kill at every moment of a run's beginning and end: the next command ends what is left as a signed
//! fact, and the whole state folder verifies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_ledger::records::RunStart;
use flowhost_ledger::{
    Code, Disk as _, Durability, Fact, HostKey, IndexError, Kind, Ledger, LedgerOptions,
    Recorder as _, Report, RunIndex, Source as _, VerifyOptions, read_run_in, run_dir, verify_in,
};

use crate::sim::{Rng, SimDisk};
use crate::{Ticks, ended, fact, key, start};

const STATE: &str = "/state";
const TENANT: &str = "t";

fn index(disk: &SimDisk, key: Arc<HostKey>) -> RunIndex {
    let mut index = RunIndex::new(Path::new(STATE), TENANT, key);
    let options = index.options_mut();
    options.disk = Arc::new(disk.clone());
    options.clock = Arc::new(Ticks::default());
    index
}

fn dir(run: &str) -> PathBuf {
    run_dir(Path::new(STATE), TENANT, run)
}

fn options(disk: &SimDisk, run: &str, durability: Durability) -> LedgerOptions {
    let mut options = LedgerOptions::new(&dir(run), TENANT, run, key(1));
    options.disk = Arc::new(disk.clone());
    options.clock = Arc::new(Ticks::default());
    options.durability = durability;
    options
}

fn whole_run(disk: &SimDisk, run: &str, durability: Durability) -> Result<(), String> {
    let index = index(disk, key(1));
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let ledger = index
        .begin(&options(disk, run, durability), start("p"))
        .map_err(|error: IndexError| text(&error))?;
    let record = |ledger: &Ledger, fact| ledger.append(fact).map_err(|error| text(&error));
    record(&ledger, Fact::new(Kind::RunStart, "t/host"))?;
    for number in 1..6 {
        record(&ledger, fact(number))?;
    }
    ledger.checkpoint_blocking().map_err(|error| text(&error))?;
    let end = ended("ok");
    record(&ledger, end)?;
    let sealed = ledger.close_blocking().map_err(|error| text(&error))?;
    drop(ledger);
    let entered = index.ended(run, "ok", &sealed);
    entered.map(drop).map_err(|error| text(&error))
}

fn verify(disk: &SimDisk) -> Report {
    let options = VerifyOptions {
        trusted: vec![key(1).vkey()],
        ..VerifyOptions::default()
    };
    verify_in(disk, Path::new(STATE), &options)
}

/// What the index says of `run`: the words of its records.
fn told(disk: &SimDisk, run: &str) -> Vec<String> {
    let dir = RunIndex::dir(Path::new(STATE), TENANT);
    let records = read_run_in(disk, &dir).unwrap().map(Result::unwrap);
    records
        .filter(|record| record.text("run_id") == Some(run))
        .map(|record| match record.kind() {
            Some(Kind::RunEnd) => record.text("status").unwrap().to_owned(),
            _ => record.kind_text.clone().into_owned(),
        })
        .collect()
}

/// After whatever happened to `run`: one sweep ends it, and nothing is wrong with the state folder.
fn check(disk: &SimDisk, run: &str, what: &str) {
    let swept = index(disk, key(1)).sweep();
    let swept = swept.unwrap_or_else(|error| panic!("{what}: {error}: {error:?}"));
    assert_eq!(swept.problems, [""; 0], "{what}");
    let report = verify(disk);
    assert!(report.ok, "{what}: {report}");
    assert!(report.notes.is_empty(), "{what}: a run is open: {report}");
    let told = told(disk, run);
    let words: Vec<&str> = told.iter().map(String::as_str).collect();
    assert!(
        matches!(words[..], [] | ["run.start", "killed" | "ok"]),
        "{what}: {words:?}"
    );
    // A run that the index does not know left nothing behind.
    let staged = disk
        .list(Path::new("/state/t/runs.new"))
        .unwrap_or_default();
    assert!(staged.is_empty(), "{what}: {staged:?}");
    assert_eq!(words.is_empty(), disk.list(&dir(run)).is_err(), "{what}");
    // And there is nothing left to do.
    let again = index(disk, key(1)).sweep().unwrap();
    assert_eq!(again, flowhost_ledger::Swept::default(), "{what}");
}

/// How many operations a run takes, so that every one of them can be the last.
fn operations(durability: Durability) -> u64 {
    let disk = SimDisk::default();
    whole_run(&disk, "first", durability).unwrap();
    (1..)
        .find(|count| {
            let disk = disk.copy();
            disk.lose_power_after(*count);
            whole_run(&disk, "second", durability).is_ok()
        })
        .unwrap()
}

#[test]
fn whatever_moment_a_kill_takes_the_next_command_ends_the_run() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        for first in [false, true] {
            let before = SimDisk::default();
            if !first {
                whole_run(&before, "first", durability).unwrap();
            }
            // The first run makes a few folders more.
            let moments = operations(durability) + 20;
            let mut ended = 0;
            for moment in 0..moments {
                let disk = before.copy();
                disk.lose_power_after(moment);
                ended += u64::from(whole_run(&disk, "second", durability).is_ok());
                disk.reboot();
                if moment == 0 && first {
                    // Nothing at all was made; there is no state folder to verify.
                    continue;
                }
                let what = format!("{durability:?}, kill after {moment} operations");
                if first && disk.list(&RunIndex::dir(Path::new(STATE), TENANT)).is_err() {
                    // Nothing was ever entered: the sweep leaves no trace, and no ledger either.
                    let swept = index(&disk, key(1)).sweep().unwrap();
                    assert_eq!(swept.problems, [""; 0], "{what}");
                    continue;
                }
                check(&disk, "second", &what);
            }
            assert!((1..moments).contains(&ended), "{ended} of {moments} ended");
        }
    }
}

#[test]
fn a_kill_of_the_command_that_ends_a_killed_run_is_ended_by_the_next() {
    for moment in (3..operations(Durability::Durable)).step_by(4) {
        let killed = SimDisk::default();
        whole_run(&killed, "first", Durability::Durable).unwrap();
        killed.lose_power_after(moment);
        let _ = whole_run(&killed, "second", Durability::Durable);
        killed.reboot();
        for second in (0..60).step_by(2) {
            let disk = killed.copy();
            disk.lose_power_after(second);
            let _ = index(&disk, key(1)).sweep();
            disk.reboot();
            let what = format!("kill after {moment} operations, sweep killed after {second}");
            check(&disk, "second", &what);
        }
    }
}

#[test]
fn a_loss_of_power_at_any_moment_is_ended_as_well() {
    for durability in [Durability::Durable, Durability::Relaxed] {
        let before = SimDisk::default();
        whole_run(&before, "first", durability).unwrap();
        for moment in 0..operations(durability) + 3 {
            for seed in 0..3 {
                let mut rng = Rng::new(moment * 1000 + seed);
                let disk = before.copy();
                disk.lose_power_after(moment);
                let _ = whole_run(&disk, "second", durability);
                disk.crash(&mut rng);
                let what = format!("{durability:?}, power lost after {moment}, seed {seed}");
                check(&disk, "second", &what);
            }
        }
    }
}

#[test]
fn a_folder_that_was_deleted_stays_missing() {
    let disk = SimDisk::default();
    whole_run(&disk, "first", Durability::Durable).unwrap();
    let index = index(&disk, key(1));
    let options = options(&disk, "second", Durability::Durable);
    drop(index.begin(&options, RunStart::default()).unwrap());
    disk.delete(&dir("second"));
    assert_eq!(index.sweep().unwrap(), flowhost_ledger::Swept::default());
    let codes: Vec<Code> = verify(&disk).all_problems().map(|it| it.code).collect();
    assert_eq!(codes, [Code::Index]);
}

#[test]
fn a_folder_that_is_just_being_made_is_left_to_its_maker() {
    let disk = SimDisk::default();
    whole_run(&disk, "first", Durability::Durable).unwrap();
    let staging = Path::new("/state/t/runs.new");
    let made = staging.join("second");
    disk.create_dir(&made).unwrap();
    let making = disk.lock(staging).unwrap();
    let swept = index(&disk, key(1)).sweep().unwrap();
    assert_eq!(swept.problems, [""; 0]);
    assert!(disk.list(&made).is_ok());
    drop(making);
    index(&disk, key(1)).sweep().unwrap();
    assert!(disk.list(&made).is_err());
}

#[test]
fn a_strange_file_in_a_run_that_never_began_is_left_and_told() {
    let disk = SimDisk::default();
    whole_run(&disk, "first", Durability::Durable).unwrap();
    disk.put_at(Path::new("/state/t/runs.new/x/notes.txt"), b"mine");
    let swept = index(&disk, key(1)).sweep().unwrap();
    assert_eq!(
        swept.problems,
        [
            "run x: it never started, and its folder in runs.new holds `notes.txt`, which flowhost did not put there"
        ]
    );
    assert!(disk.list(Path::new("/state/t/runs.new/x")).is_ok());
}

/// The index's folder with each of `files` replaced, and how many records `verify` and the next run
/// find afterwards.
fn with_head(change: impl Fn(&SimDisk, &Path)) -> SimDisk {
    let disk = SimDisk::default();
    for run in ["a", "b"] {
        whole_run(&disk, run, Durability::Durable).unwrap();
    }
    change(&disk, &RunIndex::dir(Path::new(STATE), TENANT));
    disk
}

#[test]
fn a_head_that_somebody_altered_is_not_believed() {
    // An open run that is none, an older head, another host's, garbage, and none at all.
    let hide = |disk: &SimDisk, dir: &Path| {
        let index = index(disk, key(1));
        drop(
            index
                .begin(
                    &options(disk, "c", Durability::Durable),
                    RunStart::default(),
                )
                .unwrap(),
        );
        let text = String::from_utf8(disk.get(&dir.join("head"))).unwrap();
        assert!(text.contains(r#""open":["c"]"#), "{text}");
        let altered = text.replace(r#""open":["c"]"#, r#""open":[]"#);
        disk.put_at(&dir.join("head"), altered.as_bytes());
    };
    let older = |disk: &SimDisk, dir: &Path| {
        let old = disk.get(&dir.join("head"));
        let index = index(disk, key(1));
        drop(
            index
                .begin(
                    &options(disk, "c", Durability::Durable),
                    RunStart::default(),
                )
                .unwrap(),
        );
        disk.put_at(&dir.join("head"), &old);
    };
    let garbage = |disk: &SimDisk, dir: &Path| {
        let index = index(disk, key(1));
        drop(
            index
                .begin(
                    &options(disk, "c", Durability::Durable),
                    RunStart::default(),
                )
                .unwrap(),
        );
        disk.put_at(&dir.join("head"), b"{}");
    };
    for (what, change) in [
        ("hide", &hide as &dyn Fn(&SimDisk, &Path)),
        ("older", &older),
        ("garbage", &garbage),
    ] {
        let disk = with_head(change);
        let swept = index(&disk, key(1)).sweep().unwrap();
        assert_eq!(swept.sealed, ["c"], "{what}");
        assert!(verify(&disk).ok, "{what}");
        assert_eq!(told(&disk, "c"), ["run.start", "killed"], "{what}");
    }
}

#[test]
fn an_index_altered_behind_its_head_is_found_by_verify_and_by_whoever_reads_it() {
    let disk = with_head(|disk, dir| {
        let path = dir.join("seg-00000000.jsonl");
        let mut bytes = disk.get(&path);
        let at = bytes.windows(3).position(|it| it == b"\"a\"").unwrap();
        bytes[at + 1] = b'z';
        disk.put_at(&path, &bytes);
    });
    // The lengths are what they were, so a run starts.
    whole_run(&disk, "c", Durability::Durable).unwrap();
    let report = verify(&disk);
    assert!(!report.ok);
    let first = report.all_problems().next().unwrap();
    assert_eq!(
        (first.code, first.seq),
        (Code::Checkpoint, Some(0)),
        "{report}"
    );
    disk.delete_file(&RunIndex::dir(Path::new(STATE), TENANT).join("head"));
    assert!(whole_run(&disk, "d", Durability::Durable).is_err());
}

#[test]
fn an_index_that_was_cut_is_refused_whatever_its_head_says() {
    let disk = with_head(|disk, dir| {
        let path = dir.join("seg-00000000.jsonl");
        let bytes = disk.get(&path);
        let cut = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap();
        disk.put_at(&path, &bytes[..=cut]);
    });
    assert!(whole_run(&disk, "c", Durability::Durable).is_err());
    assert!(!verify(&disk).ok);
}

#[test]
fn that_no_run_begins_with_the_past_of_another_is_known_by_the_head_and_by_no_absence() {
    let disk = SimDisk::default();
    let head = RunIndex::dir(Path::new(STATE), TENANT).join("head");
    let runs = index(&disk, key(1));
    let forks = || {
        String::from_utf8(disk.get(&head))
            .unwrap()
            .contains(r#""forks":"1""#)
    };
    let fork = |parent: &str| RunStart {
        parent: Some(parent.to_owned()),
        ..RunStart::default()
    };
    assert!(runs.may_have_forks(), "nothing says that there are none");
    runs.started("a", RunStart::default()).unwrap();
    assert!(!runs.may_have_forks());
    disk.delete_file(&head);
    assert!(runs.may_have_forks(), "nothing says so any more");
    runs.started("b", RunStart::default()).unwrap();
    assert!(!runs.may_have_forks(), "it was read, and there are none");
    // Of another process.
    index(&disk, key(1)).started("c", fork("a")).unwrap();
    assert!(runs.may_have_forks() && forks());
    disk.delete_file(&head);
    runs.started("d", RunStart::default()).unwrap();
    assert!(
        runs.may_have_forks() && forks(),
        "it was read, and there is one"
    );
    assert!(index(&disk, key(2)).may_have_forks(), "not that key's word");
}

#[test]
fn a_run_begins_with_the_same_work_whatever_the_number_of_runs() {
    let work = |runs: u64| {
        let disk = SimDisk::default();
        for run in 0..runs {
            whole_run(&disk, &format!("r{run}"), Durability::Relaxed).unwrap();
        }
        let before = disk.bytes_read();
        index(&disk, key(1)).sweep().unwrap();
        whole_run(&disk, "last", Durability::Relaxed).unwrap();
        disk.bytes_read() - before
    };
    let (few, many) = (work(2), work(200));
    assert!(
        many < few + few / 4,
        "{few} bytes read beside 2 runs, {many} beside 200"
    );
}

#[test]
fn a_relaxed_run_syncs_a_dozen_times_and_a_durable_one_a_little_more() {
    let syncs = |durability| {
        let disk = SimDisk::default();
        whole_run(&disk, "first", durability).unwrap();
        let before = disk.all_syncs();
        whole_run(&disk, "second", durability).unwrap();
        disk.all_syncs() - before
    };
    let (relaxed, durable) = (syncs(Durability::Relaxed), syncs(Durability::Durable));
    assert!(relaxed <= 14, "{relaxed} syncs of a relaxed run");
    assert!(durable <= 18, "{durable} syncs of a durable run");
}
