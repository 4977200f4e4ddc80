//! Runs that were removed on purpose: a kill at every moment of it, what `verify` says of them, and what
//! is refused.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_ledger::{
    Code, Disk as _, Fact, Kind, LedgerOptions, RealDisk, Recorder as _, RemoveError, Report,
    RunIndex, Source as _, VerifyOptions, archive_path, run_dir, verify_dir, verify_in,
    verify_path, verify_removed,
};

use crate::sim::{Rng, SimDisk};
use crate::{Ticks, ended, fact, key, start};

const TENANT: &str = "t";

fn index(state: &Path, disk: Option<&SimDisk>) -> RunIndex {
    let mut index = RunIndex::new(state, TENANT, key(1));
    if let Some(disk) = disk {
        let options = index.options_mut();
        options.disk = Arc::new(disk.clone());
        options.clock = Arc::new(Ticks::default());
    }
    index
}

/// Runs `run` to its end.
fn ran(state: &Path, disk: Option<&SimDisk>, run: &str) {
    let index = index(state, disk);
    let mut options = LedgerOptions::new(&run_dir(state, TENANT, run), TENANT, run, key(1));
    if let Some(disk) = disk {
        options.disk = Arc::new(disk.clone());
        options.clock = Arc::new(Ticks::default());
    }
    let ledger = index.begin(&options, start("p")).unwrap();
    ledger.append(Fact::new(Kind::RunStart, "t/host")).unwrap();
    for number in 1..6 {
        ledger.append(fact(number)).unwrap();
    }
    ledger.append(ended("ok")).unwrap();
    let sealed = ledger.close_blocking().unwrap();
    drop(ledger);
    index.ended(run, "ok", &sealed).unwrap();
}

fn options() -> VerifyOptions {
    VerifyOptions {
        trusted: vec![key(1).vkey()],
        ..VerifyOptions::default()
    }
}

/// What a kill left, and what a loss of power may have left.
fn restarted(disk: &SimDisk, moment: u64) -> Vec<SimDisk> {
    let killed = disk.copy();
    killed.reboot();
    let lost = (0..3).map(|seed| {
        let lost = disk.copy();
        lost.crash(&mut Rng::new(moment * 1_000 + seed));
        lost
    });
    std::iter::once(killed).chain(lost).collect()
}

#[test]
fn whatever_moment_a_kill_takes_the_run_is_there_or_it_is_removed() {
    let state = Path::new("/state");
    for archives in [false, true] {
        let before = SimDisk::default();
        ran(state, Some(&before), "first");
        ran(state, Some(&before), "second");
        let (mut stayed, mut went) = (0, 0);
        for moment in 1.. {
            let disk = before.copy();
            disk.lose_power_after(moment);
            let removed = index(state, Some(&disk))
                .removal()
                .and_then(|mut removal| removal.remove("first", archives));
            for disk in restarted(&disk, moment) {
                let what = format!("archives: {archives}, kill after {moment}");
                let swept = index(state, Some(&disk)).sweep().unwrap();
                assert_eq!(swept.problems, [""; 0], "{what}");
                let report = verify_in(&disk, state, &options());
                assert!(report.ok, "{what}: {report}");
                let gone = disk.list(Path::new("/state/t/runs.gone"));
                assert!(gone.unwrap_or_default().is_empty(), "{what}");
                match disk.list(&run_dir(state, TENANT, "first")) {
                    Ok(_) => stayed += 1,
                    Err(_) => went += 1,
                }
                assert!(disk.list(&run_dir(state, TENANT, "second")).is_ok());
            }
            if removed.is_ok() {
                break;
            }
        }
        assert!(stayed > 0 && went > 0, "{stayed} stayed, {went} went");
    }
}

#[test]
fn wherever_the_disk_is_full_the_run_is_there_without_an_archive_or_it_is_removed() {
    let state = Path::new("/state");
    let before = SimDisk::default();
    ran(state, Some(&before), "first");
    let archive = archive_path(state, TENANT, "first");
    let mut stayed = 0;
    for room in (0..).step_by(100) {
        let disk = before.copy();
        disk.limit_room(Some(room));
        let removed = index(state, Some(&disk))
            .removal()
            .and_then(|mut removal| removal.remove("first", true));
        disk.limit_room(None);
        let swept = index(state, Some(&disk)).sweep().unwrap();
        assert_eq!(swept.problems, [""; 0], "room for {room}");
        let report = verify_in(&disk, state, &options());
        assert!(report.ok, "room for {room}: {report}");
        let is_there = disk.list(&run_dir(state, TENANT, "first")).is_ok();
        assert_eq!(is_there, disk.len(&archive).is_err(), "room for {room}");
        stayed += usize::from(is_there);
        if removed.is_ok() {
            break;
        }
    }
    assert!(stayed > 0);
}

#[test]
fn whatever_moment_a_kill_takes_a_run_that_is_brought_back_is_there_or_still_archived() {
    let state = Path::new("/state");
    let before = SimDisk::default();
    ran(state, Some(&before), "first");
    let whole = files(&before, &run_dir(state, TENANT, "first"));
    let taken = index(state, Some(&before));
    taken.removal().unwrap().remove("first", true).unwrap();
    let archive = archive_path(state, TENANT, "first");
    let (mut stayed, mut came) = (0, 0);
    for moment in 1.. {
        let disk = before.copy();
        disk.lose_power_after(moment);
        let restored = index(state, Some(&disk))
            .removal()
            .and_then(|mut removal| removal.restore("first"));
        for disk in restarted(&disk, moment) {
            let swept = index(state, Some(&disk)).sweep().unwrap();
            assert_eq!(swept.problems, [""; 0], "kill after {moment}");
            let report = verify_in(&disk, state, &options());
            assert!(report.ok, "kill after {moment}: {report}");
            let gone = disk.list(Path::new("/state/t/runs.gone"));
            assert!(gone.unwrap_or_default().is_empty(), "kill after {moment}");
            let is_archived = disk.len(&archive).is_ok();
            match files(&disk, &run_dir(state, TENANT, "first")) {
                none if none.is_empty() => {
                    assert!(is_archived, "kill after {moment}: the run is lost");
                    stayed += 1;
                }
                all => {
                    assert_eq!(all, whole, "kill after {moment}");
                    assert!(!is_archived, "what is erased here would live on there");
                    came += 1;
                }
            }
        }
        if restored.is_ok() {
            break;
        }
    }
    assert!(stayed > 0 && came > 0, "{stayed} stayed, {came} came back");
}

/// The files of a folder with what is in them; none where the folder is not there.
fn files(disk: &SimDisk, dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = disk.list(dir).unwrap_or_default();
    let read = |name: String| {
        let mut bytes = Vec::new();
        let mut file = disk.open_read(&dir.join(&name)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    entries.into_iter().map(|it| read(it.name)).collect()
}

#[test]
fn a_run_comes_back_out_of_its_own_archive_and_of_no_other() {
    let (state, archive) = removed(true);
    let index = index(state.path(), None);
    let bytes = std::fs::read(&archive).unwrap();
    let refused = |run: &str| index.removal().unwrap().restore(run).unwrap_err();
    assert!(matches!(refused("second"), RemoveError::IsThere(_)));
    assert!(matches!(refused("never"), RemoveError::Unknown(_)));
    std::fs::write(&archive, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(refused("first"), RemoveError::Archive { .. }));
    std::fs::remove_file(&archive).unwrap();
    assert!(matches!(refused("first"), RemoveError::Archive { .. }));
    std::fs::write(&archive, &bytes).unwrap();
    index.removal().unwrap().restore("first").unwrap();
    assert!(whole(state.path()).ok, "{}", whole(state.path()));
    let first = verify_path(&run_dir(state.path(), TENANT, "first"), &options());
    assert!(first.ok, "{first}");
    // And goes again as any other, into the same bytes.
    index.removal().unwrap().remove("first", true).unwrap();
    assert_eq!(std::fs::read(&archive).unwrap(), bytes);
    index.removal().unwrap().remove("first", false).unwrap();
    assert!(matches!(refused("first"), RemoveError::NoArchive(_)));
    assert!(whole(state.path()).ok, "{}", whole(state.path()));
}

/// A state folder with two runs, of which the first is removed.
fn removed(archives: bool) -> (tempfile::TempDir, PathBuf) {
    let state = tempfile::tempdir().unwrap();
    ran(state.path(), None, "first");
    ran(state.path(), None, "second");
    let index = index(state.path(), None);
    let archived = index.removal().unwrap().remove("first", archives).unwrap();
    assert_eq!(archived.is_some(), archives);
    let archive = archive_path(state.path(), TENANT, "first");
    assert_eq!(archive.exists(), archives);
    assert!(!run_dir(state.path(), TENANT, "first").exists());
    (state, archive)
}

fn whole(state: &Path) -> Report {
    verify_dir(state, &[key(1).vkey()])
}

#[track_caller]
fn fails(report: &Report, code: Code, says: &str) {
    assert!(!report.ok, "{report}");
    let found = report
        .all_problems()
        .any(|it| it.code == code && it.what.contains(says));
    assert!(found, "{says}: {report}");
}

#[test]
fn a_folder_that_is_missing_without_the_word_of_the_index_is_told() {
    let (state, _) = removed(false);
    assert!(whole(state.path()).ok, "{}", whole(state.path()));
    std::fs::remove_dir_all(run_dir(state.path(), TENANT, "second")).unwrap();
    fails(&whole(state.path()), Code::Index, "its folder is missing");
}

#[test]
fn a_removed_run_that_is_there_again_is_told() {
    let (state, _) = removed(false);
    let (first, second) = (
        run_dir(state.path(), TENANT, "first"),
        run_dir(state.path(), TENANT, "second"),
    );
    std::fs::create_dir(&first).unwrap();
    for entry in std::fs::read_dir(second).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), first.join(entry.file_name())).unwrap();
    }
    fails(
        &whole(state.path()),
        Code::Index,
        "says that this run was removed",
    );
    fails(
        &verify_path(&first, &options()),
        Code::Index,
        "says that this run was removed",
    );
}

#[test]
fn an_archive_is_verified_by_what_the_index_says_here_and_elsewhere() {
    let (state, archive) = removed(true);
    let report = whole(state.path());
    assert!(report.ok, "{report}");
    assert_eq!(report.ledgers.len(), 3, "index, second, archive: {report}");
    let alone = verify_removed(&state.path().join(TENANT), "first", &options());
    assert!(alone.ok, "{alone}");
    let text = alone.to_string();
    assert!(
        text.contains("ended with 7 records, as the index"),
        "{text}"
    );
    // Anywhere else, too.
    let elsewhere = state.path().join("elsewhere.tar.zst");
    std::fs::rename(&archive, &elsewhere).unwrap();
    let moved = verify_path(&elsewhere, &options());
    assert!(moved.ok, "{moved}");
    let without = whole(state.path());
    assert!(
        without.ok && without.to_string().contains("is not here"),
        "{without}"
    );
    fails(
        &verify_removed(&state.path().join(TENANT), "first", &options()),
        Code::Index,
        "its archive is not here",
    );
}

#[test]
fn an_archive_that_was_altered_cut_or_exchanged_is_told() {
    let (state, archive) = removed(true);
    let bytes = std::fs::read(&archive).unwrap();
    let mut altered = bytes.clone();
    let middle = altered.len() / 2;
    altered[middle] ^= 1;
    for wrong in [&altered[..], &bytes[..middle], b"", b"no archive at all"] {
        std::fs::write(&archive, wrong).unwrap();
        fails(&whole(state.path()), Code::Index, "its SHA-256 differs");
        assert!(!verify_path(&archive, &options()).ok);
    }
    std::fs::write(&archive, &bytes).unwrap();
    assert!(whole(state.path()).ok);
}

#[test]
fn a_run_that_is_at_work_or_unknown_or_gone_is_not_removed() {
    let state = tempfile::tempdir().unwrap();
    ran(state.path(), None, "held");
    let held = RealDisk
        .lock(&run_dir(state.path(), TENANT, "held"))
        .unwrap();
    let open = index(state.path(), None);
    let dir = run_dir(state.path(), TENANT, "open");
    let at_work = open
        .begin(
            &LedgerOptions::new(&dir, TENANT, "open", key(1)),
            start("p"),
        )
        .unwrap();
    ran(state.path(), None, "lost");
    std::fs::remove_dir_all(run_dir(state.path(), TENANT, "lost")).unwrap();
    let mut removal = open.removal().unwrap();
    let mut refused = |run| removal.remove(run, true).unwrap_err();
    assert!(matches!(refused("open"), RemoveError::NotEnded(_)));
    assert!(matches!(refused("held"), RemoveError::InUse(_)));
    assert!(matches!(refused("lost"), RemoveError::Missing(_)));
    assert!(matches!(refused("never"), RemoveError::Unknown(_)));
    drop(held);
    removal.remove("held", true).unwrap();
    assert!(matches!(
        removal.remove("held", true),
        Err(RemoveError::Removed(_))
    ));
    drop(at_work);
}

#[test]
fn an_archive_that_is_removed_leaves_a_line_of_the_index_and_nothing_else() {
    let (state, archive) = removed(true);
    let index = index(state.path(), None);
    let none = index.removal().unwrap().remove("first", false).unwrap();
    assert!(none.is_none() && !archive.exists());
    assert!(whole(state.path()).ok);
    fails(
        &verify_removed(&state.path().join(TENANT), "first", &options()),
        Code::Index,
        "nothing of it is left to verify",
    );
}

#[test]
fn a_run_whose_folder_was_taken_is_taken_out_of_the_index_and_one_that_is_there_is_not() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    ran(state, None, "first");
    ran(state, None, "second");
    let index = index(state, None);
    let mut removal = index.removal().unwrap();
    let refused = removal.forget("first");
    assert!(matches!(refused, Err(RemoveError::IsThere(_))));
    let refused = removal.forget("never");
    assert!(matches!(refused, Err(RemoveError::Unknown(_))));
    std::fs::remove_dir_all(run_dir(state, TENANT, "first")).unwrap();
    assert!(!RunIndex::has_folder(state, TENANT, "first"));
    assert!(RunIndex::has_folder(state, TENANT, "second"));
    assert!(!verify_path(state, &options()).ok);
    removal.forget("first").unwrap();
    let refused = removal.forget("first");
    assert!(matches!(refused, Err(RemoveError::Removed(_))));
    // One that never ended, too: no sweep can end it.
    index.started("third", start("p")).unwrap();
    assert!(!RunIndex::has_folder(state, TENANT, "third"));
    index.removal().unwrap().forget("third").unwrap();
    let report = verify_path(state, &options());
    assert!(report.ok, "{report}");
    let note =
        "2 runs were taken out of the index of runs after somebody had taken the folder away";
    assert!(report.to_string().contains(note), "{report}");
    let alone = verify_removed(&state.join(TENANT), "first", &options());
    assert!(!alone.ok, "{alone}");
    assert!(
        alone.to_string().contains("after its folder was gone"),
        "{alone}"
    );
}

#[test]
fn a_run_that_was_taken_out_of_the_index_is_not_open_again_where_the_head_of_it_is_lost() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path();
    let index = index(state, None);
    // Its folder is gone, and nothing ended it.
    index.started("lost", start("p")).unwrap();
    index.removal().unwrap().forget("lost").unwrap();
    let head = RunIndex::dir(state, TENANT).join("head");
    std::fs::remove_file(&head).unwrap();
    ran(state, None, "next");
    let head = std::fs::read_to_string(&head).unwrap();
    assert!(head.contains(r#""open":[]"#), "{head}");
}
