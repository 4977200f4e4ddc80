//! Who waits until what it appended is in the files: alone, with others, and in vain.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowhost_ledger::{Durability, Ledger, LedgerError, LedgerOptions, Recorder as _};
use tokio::task::JoinSet;

use crate::sim::SimDisk;
use crate::{fact, options};

fn on_sim(disk: &SimDisk, durability: Durability) -> LedgerOptions {
    let mut options = options(Path::new("/s/r"));
    options.disk = Arc::new(disk.clone());
    options.durability = durability;
    // A note would be one more sync.
    options.checkpoints.age = Duration::from_secs(3_600);
    options
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn file(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.get(&PathBuf::from("/s/r").join(name))
}

fn records(disk: &SimDisk) -> usize {
    let segment = file(disk, "seg-00000000.jsonl");
    segment.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn who_waits_finds_its_records_in_the_files_whoever_wrote_them() {
    let disk = SimDisk::default();
    let ledger = Ledger::open(&on_sim(&disk, Durability::Relaxed)).unwrap();
    let (runtime, syncs) = (runtime(), disk.syncs());
    for number in 0..200_u64 {
        ledger.append(fact(2 * number)).unwrap();
        ledger.append(fact(2 * number + 1)).unwrap();
        let bytes = runtime.block_on(ledger.written(number % 3 > 0)).unwrap();
        let expected = 2 * usize::try_from(number).unwrap() + 2;
        assert_eq!(records(&disk), expected);
        if number > 0 {
            let payloads = file(&disk, "payloads-00000000.jsonl").len();
            let all = file(&disk, "seg-00000000.jsonl").len() + payloads;
            assert_eq!(bytes, all as u64);
        }
    }
    assert_eq!(disk.syncs(), syncs, "it is relaxed");
    assert_eq!(ledger.close_blocking().unwrap().size, 400);
    drop(ledger);
    // What is there already counts for whoever takes the ledger up.
    let ledger = Ledger::open(&on_sim(&disk, Durability::Relaxed)).unwrap();
    let bytes = runtime.block_on(ledger.written(true)).unwrap();
    let payloads = file(&disk, "payloads-00000000.jsonl").len();
    let all = file(&disk, "seg-00000000.jsonl").len() + payloads;
    assert_eq!(bytes, all as u64);
}

#[test]
fn what_its_caller_wrote_is_signed_when_it_is_time() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk, Durability::Relaxed);
    options.checkpoints.age = Duration::from_millis(20);
    let ledger = Ledger::open(&options).unwrap();
    ledger.append(fact(0)).unwrap();
    runtime().block_on(ledger.written(true)).unwrap();
    let mut tries = 0;
    while ledger.last_sealed().is_none() {
        tries += 1;
        assert!(tries < 2_000, "no checkpoint by age");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ledger.last_sealed().unwrap().size, 1);
}

#[test]
fn bytes_of_segments_that_have_ended_count_as_well() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk, Durability::Relaxed);
    options.segment_bytes_max = 1_000;
    let ledger = Ledger::open(&options).unwrap();
    for number in 0..30 {
        ledger.append(fact(number)).unwrap();
    }
    let bytes = runtime().block_on(ledger.written(true)).unwrap();
    ledger.close_blocking().unwrap();
    drop(ledger);
    let ledger = Ledger::open(&options).unwrap();
    assert_eq!(runtime().block_on(ledger.written(true)).unwrap(), bytes);
    assert!(bytes > 3_000, "{bytes}");
}

#[test]
fn many_who_wait_share_their_syncs() {
    let disk = SimDisk::default();
    let ledger = Ledger::open(&on_sim(&disk, Durability::Durable)).unwrap();
    disk.slow_sync(Duration::from_millis(20));
    let before = disk.syncs();
    runtime().block_on(async {
        let mut waiting = JoinSet::new();
        for number in 0..60 {
            let ledger = ledger.clone();
            waiting.spawn(async move {
                ledger.append(fact(number)).unwrap();
                ledger.written(false).await.unwrap()
            });
        }
        while let Some(written) = waiting.join_next().await {
            written.unwrap();
        }
    });
    assert_eq!(records(&disk), 60);
    let syncs = disk.syncs() - before;
    assert!(syncs <= 20, "{syncs} syncs for 60 who waited together");
}

#[test]
fn a_write_of_its_caller_that_fails_ends_the_ledger_for_all() {
    let disk = SimDisk::default();
    let ledger = Ledger::open(&on_sim(&disk, Durability::Relaxed)).unwrap();
    let runtime = runtime();
    ledger.append(fact(0)).unwrap();
    runtime.block_on(ledger.written(true)).unwrap();
    disk.limit_room(Some(0));
    ledger.append(fact(1)).unwrap();
    for alone in [true, false] {
        let failed = runtime.block_on(ledger.written(alone));
        assert!(
            matches!(failed, Err(LedgerError::Poisoned(_))),
            "{failed:?}"
        );
    }
    let refused = ledger.append(fact(2));
    assert!(matches!(refused, Err(LedgerError::Poisoned(_))));
    // Its thread ends, so that this does not wait for ever.
    drop(ledger);
}
