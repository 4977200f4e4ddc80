//! The writer's promises: order, acknowledgement, backpressure, poisoning.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowhost_ledger::{
    Durability, Fact, Kind, LINGER, Ledger, LedgerError, LedgerOptions, Payloads, RealDisk,
    Recorder as _, Source as _, Value, VerifyOptions, Writing, read_run, read_run_in, verify_dir,
    verify_in,
};
use proptest::prelude::*;

use crate::sim::{Rng, SimDisk};
use crate::{fact, key, options, saying};

fn on_sim(disk: &SimDisk) -> LedgerOptions {
    let mut options = options(Path::new("/s/r"));
    options.disk = Arc::new(disk.clone());
    options
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// How many records are there whole.
fn whole(disk: &SimDisk) -> usize {
    let Ok(read) = read_run_in(disk, Path::new("/s/r")) else {
        return 0;
    };
    read.map_while(Result::ok).count()
}

fn verifies(disk: &SimDisk) {
    let options = VerifyOptions {
        trusted: vec![key(1).vkey()],
        ..VerifyOptions::default()
    };
    let report = verify_in(disk, Path::new("/s/r"), &options);
    assert!(report.ok, "{report}");
}

#[test]
fn led_018_one_failed_sync_poisons_the_ledger_and_is_never_tried_again() {
    let disk = SimDisk::default();
    let ledger = Ledger::open(&on_sim(&disk)).unwrap();
    let runtime = runtime();
    let acked = ledger.append(fact(0)).unwrap();
    runtime.block_on(ledger.durable(acked)).unwrap();
    disk.fail_sync(0);
    let seq = ledger.append(fact(1)).unwrap();
    let error = runtime.block_on(ledger.durable(seq)).unwrap_err();
    assert!(matches!(error, LedgerError::Poisoned(_)), "{error}");
    let syncs = disk.syncs();
    assert!(matches!(
        ledger.append(fact(2)),
        Err(LedgerError::Poisoned(_))
    ));
    assert!(matches!(
        runtime.block_on(ledger.durable(seq)),
        Err(LedgerError::Poisoned(_))
    ));
    assert!(matches!(
        runtime.block_on(ledger.close()),
        Err(LedgerError::Poisoned(_))
    ));
    assert!(matches!(
        ledger.checkpoint_blocking(),
        Err(LedgerError::Poisoned(_))
    ));
    assert!(matches!(ledger.failure(), Some(LedgerError::Poisoned(_))));
    runtime
        .block_on(ledger.durable(acked))
        .expect("what was acknowledged stays so");
    drop(ledger);
    assert_eq!(disk.syncs(), syncs, "the sync was tried again");
}

#[test]
fn who_waits_for_the_last_number_that_there_is_hears_of_the_end_and_holds_nobody_up() {
    let disk = SimDisk::default();
    let ledger = Ledger::open(&on_sim(&disk)).unwrap();
    let runtime = runtime();
    let never = ledger.durable(u64::MAX);
    let acked = ledger.append(fact(0)).unwrap();
    runtime.block_on(ledger.durable(acked)).unwrap();
    disk.fail_sync(0);
    let seq = ledger.append(fact(1)).unwrap();
    runtime.block_on(ledger.durable(seq)).unwrap_err();
    let error = runtime.block_on(never).unwrap_err();
    assert!(matches!(error, LedgerError::Poisoned(_)), "{error}");
}

#[test]
fn led_018_a_failed_sync_of_a_checkpoint_poisons_too() {
    // The records, and the log of notes; `checkpoint` itself is synced by the last note only.
    for at in 0..2 {
        let disk = SimDisk::default();
        let ledger = Ledger::open(&on_sim(&disk)).unwrap();
        ledger.append(fact(0)).unwrap();
        disk.fail_sync(at);
        assert!(
            matches!(ledger.checkpoint_blocking(), Err(LedgerError::Poisoned(_))),
            "{at}"
        );
        assert!(
            matches!(ledger.append(fact(1)), Err(LedgerError::Poisoned(_))),
            "{at}"
        );
    }
}

#[test]
fn led_019_a_full_disk_acknowledges_nothing_and_recovers_cleanly() {
    for room in [0, 1, 100, 300, 700] {
        let disk = SimDisk::default();
        let runtime = runtime();
        let ledger = Ledger::open(&on_sim(&disk)).unwrap();
        let acked = ledger.append(fact(0)).unwrap();
        runtime.block_on(ledger.durable(acked)).unwrap();
        disk.limit_room(Some(room));
        let mut durable = acked;
        while let Ok(seq) = ledger.append(fact(2)) {
            match runtime.block_on(ledger.durable(seq)) {
                Ok(()) => durable = seq,
                Err(error) => {
                    assert!(matches!(error, LedgerError::Poisoned(_)), "{error}");
                    break;
                }
            }
        }
        drop(ledger);
        disk.limit_room(None);
        Ledger::open(&on_sim(&disk))
            .unwrap()
            .close_blocking()
            .unwrap();
        let records = read_run_in(&disk, Path::new("/s/r")).unwrap();
        let records: Vec<_> = records.map(|record| record.unwrap()).collect();
        assert!(records.len() as u64 > durable);
        verifies(&disk);
    }
}

#[test]
fn whoever_writes_by_itself_holds_no_more_bytes_than_may_wait() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk);
    options.writing = Writing::Caller;
    options.durability = Durability::Relaxed;
    options.queue_bytes_max = 1_000;
    let ledger = Ledger::open(&options).unwrap();
    let payloads = Path::new("/s/r/payloads-00000000.jsonl");
    ledger.append(fact(0).payload(vec![b'x'; 400])).unwrap();
    assert!(disk.len(payloads).is_err(), "it may wait for company");
    ledger.append(fact(1).payload(vec![b'y'; 700])).unwrap();
    assert!(disk.len(payloads).unwrap() > 1_000);
    ledger.close_blocking().unwrap();
    verifies(&disk);
}

#[test]
fn led_028_a_slow_disk_makes_producers_wait_and_drops_nothing() {
    let disk = SimDisk::default();
    disk.slow_sync(Duration::from_micros(300));
    let mut options = on_sim(&disk);
    options.queue_records_max = 8;
    let ledger = Ledger::open(&options).unwrap();
    std::thread::scope(|scope| {
        for producer in 0..4_u64 {
            let ledger = ledger.clone();
            scope.spawn(move || {
                for number in 0..200_u64 {
                    let text = format!("{producer}-{number}");
                    let fact = saying(&text);
                    ledger.append(fact).unwrap();
                }
            });
        }
    });
    ledger.close_blocking().unwrap();
    let mut next = [0_u64; 4];
    for record in read_run_in(&disk, Path::new("/s/r")).unwrap() {
        let record = record.unwrap();
        let (producer, number) = record.text("text").unwrap().split_once('-').unwrap();
        let producer: usize = producer.parse().unwrap();
        assert_eq!(
            number.parse(),
            Ok(next[producer]),
            "the order of a producer changed"
        );
        next[producer] += 1;
    }
    assert_eq!(next, [200; 4]);
    verifies(&disk);
}

#[test]
fn a_payload_larger_than_the_queue_still_passes() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk);
    options.queue_bytes_max = 10;
    let ledger = Ledger::open(&options).unwrap();
    for _ in 0..5 {
        ledger
            .append(Fact::new(Kind::ToolResult, "t/a").payload(vec![0xff; 1000]))
            .unwrap();
    }
    ledger.close_blocking().unwrap();
    verifies(&disk);
}

#[test]
fn the_number_that_append_returns_is_the_records() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    let got: Vec<(u64, u64)> = std::thread::scope(|scope| {
        let spawn = |from: u64| {
            let ledger = ledger.clone();
            scope.spawn(move || -> Vec<(u64, u64)> {
                (from..from + 300)
                    .map(|n| (ledger.append(fact(n)).unwrap(), n))
                    .collect()
            })
        };
        let threads = [spawn(0), spawn(1000), spawn(2000)];
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    ledger.close_blocking().unwrap();
    let records: Vec<_> = read_run(dir.path())
        .unwrap()
        .map(|record| record.unwrap())
        .collect();
    for (seq, n) in got {
        assert_eq!(
            records[usize::try_from(seq).unwrap()].number("used"),
            Some(n)
        );
    }
}

#[test]
fn many_who_wait_share_few_syncs() {
    let disk = SimDisk::default();
    disk.slow_sync(Duration::from_millis(2));
    let ledger = Ledger::open(&on_sim(&disk)).unwrap();
    let before = disk.syncs();
    runtime().block_on(async {
        let waits: Vec<_> = (0..200)
            .map(|_| {
                let fact = Fact::new(Kind::Message, "t/a");
                let seq = ledger.append(fact).unwrap();
                ledger.durable(seq)
            })
            .collect();
        for wait in waits {
            wait.await.unwrap();
        }
    });
    let syncs = disk.syncs() - before;
    assert!(syncs < 100, "{syncs} syncs for 200 records");
}

#[test]
fn what_nobody_waits_for_is_synced_once_for_all_of_it() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk);
    // Filled many times over, so that the thread has to take what waits.
    options.queue_records_max = 16;
    let ledger = Ledger::open(&options).unwrap();
    let (before, began) = (disk.syncs(), Instant::now());
    let mut last = 0;
    for _ in 0..200 {
        last = ledger.append(saying("x")).unwrap();
    }
    runtime().block_on(ledger.durable(last)).unwrap();
    // On a machine that is busy, those that wait for company for too long are synced by themselves.
    let late = began.elapsed().as_micros() / LINGER.as_micros();
    let syncs = disk.syncs() - before;
    assert!(u128::from(syncs) <= 1 + late, "{syncs} syncs");
    disk.crash(&mut Rng::new(1));
    assert_eq!(whole(&disk), 200, "what was acknowledged is there");
}

#[test]
fn what_nobody_waits_for_is_on_the_disk_soon() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk);
    options.queue_records_max = 16;
    // No note is due that would bring them there.
    options.checkpoints.records = u64::MAX;
    options.checkpoints.age = Duration::from_secs(3600);
    let ledger = Ledger::open(&options).unwrap();
    for _ in 0..200 {
        ledger.append(saying("x")).unwrap();
    }
    let mut tries = 0;
    loop {
        // The power goes on a copy of the disk.
        let after = disk.copy();
        after.crash(&mut Rng::new(1));
        if whole(&after) == 200 {
            break;
        }
        tries += 1;
        assert!(tries < 2000, "the records never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn short_writes_are_completed() {
    let disk = SimDisk::default();
    disk.write_short(7);
    let ledger = Ledger::open(&on_sim(&disk)).unwrap();
    for number in 0..10 {
        ledger.append(fact(number)).unwrap();
    }
    ledger.close_blocking().unwrap();
    verifies(&disk);
}

#[test]
fn a_record_that_nobody_waits_for_is_written_soon() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.append(fact(0)).unwrap();
    let path = dir.path().join("seg-00000000.jsonl");
    let mut tries = 0;
    while std::fs::metadata(&path).unwrap().len() == 0 {
        tries += 1;
        assert!(tries < 2000, "the record never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn checkpoints_come_by_count_by_age_and_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.checkpoints.records = 10;
    options.checkpoints.age = Duration::from_secs(3600);
    let ledger = Ledger::open(&options).unwrap();
    assert_eq!(ledger.checkpoint_blocking().unwrap().size, 0);
    for number in 0..9 {
        ledger.append(fact(number)).unwrap();
    }
    let runtime = runtime();
    runtime.block_on(ledger.durable(8)).unwrap();
    assert_eq!(ledger.last_sealed().unwrap().size, 0);
    assert_eq!(runtime.block_on(ledger.checkpoint()).unwrap().size, 9);
    for number in 0..10 {
        ledger.append(fact(number)).unwrap();
    }
    runtime.block_on(ledger.durable(18)).unwrap();
    let mut tries = 0;
    while ledger.last_sealed().unwrap().size < 19 {
        tries += 1;
        assert!(tries < 2000, "no checkpoint by count");
        std::thread::sleep(Duration::from_millis(5));
    }
    ledger.close_blocking().unwrap();
    drop(ledger);
    options.checkpoints.records = u64::MAX;
    options.checkpoints.age = Duration::from_millis(20);
    let ledger = Ledger::open(&options).unwrap();
    ledger.append(fact(0)).unwrap();
    while ledger.last_sealed().is_none() {
        tries += 1;
        assert!(tries < 4000, "no checkpoint by age");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_closed_ledger_refuses_politely() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.append(fact(0)).unwrap();
    assert_eq!(ledger.close_blocking().unwrap().size, 1);
    assert!(matches!(ledger.append(fact(1)), Err(LedgerError::Closed)));
    assert!(matches!(ledger.close_blocking(), Err(LedgerError::Closed)));
    assert!(matches!(
        ledger.checkpoint_blocking(),
        Err(LedgerError::Closed)
    ));
    runtime().block_on(ledger.durable(0)).unwrap();
}

#[test]
fn relaxed_waits_for_nothing_and_closes_sound() {
    let disk = SimDisk::default();
    let mut options = on_sim(&disk);
    options.durability = Durability::Relaxed;
    let ledger = Ledger::open(&options).unwrap();
    let syncs = disk.syncs();
    for number in 0..50 {
        let seq = ledger.append(fact(number)).unwrap();
        runtime().block_on(ledger.durable(seq)).unwrap();
    }
    assert_eq!(disk.syncs(), syncs);
    ledger.close_blocking().unwrap();
    verifies(&disk);
}

#[test]
fn payloads_are_for_the_owner_only_and_read_back() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    let bytes = vec![0xff, 0, 0xfe];
    ledger
        .append(Fact::new(Kind::ToolResult, "t/a").payload(bytes.clone()))
        .unwrap();
    ledger.close_blocking().unwrap();
    let path = dir.path().join("payloads-00000000.jsonl");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let record = read_run(dir.path()).unwrap().next().unwrap().unwrap();
    assert_eq!(record.number("bytes"), Some(3));
    let payloads = Payloads::open(&RealDisk, dir.path()).unwrap();
    assert_eq!(
        payloads.get(0, record.commit.as_ref().unwrap()).unwrap(),
        Some(bytes)
    );
    assert_eq!(payloads.get(1, "x").unwrap(), None);
    assert!(
        payloads
            .get(0, &format!("hmac-sha256:{}", "0".repeat(64)))
            .is_err()
    );
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let value = prop_oneof![
        any::<String>().prop_map(Value::Text),
        proptest::collection::vec(any::<String>(), 0..3).prop_map(Value::List),
        proptest::collection::btree_map(any::<String>(), any::<String>(), 0..3)
            .prop_map(Value::Map),
    ];
    let fields = proptest::collection::btree_map("x[a-z0-9_.-]{0,8}", value, 0..4);
    let payload = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50));
    (0..Kind::ALL.len(), any::<String>(), fields, payload).prop_filter_map(
        "an actor",
        |(kind, actor, fields, payload)| {
            // These three speak to the verifier; what they say must be true.
            let kind = Kind::ALL[kind].0;
            let special = matches!(kind, Kind::KeyRotate | Kind::Erasure | Kind::Recovery);
            (!special && !actor.is_empty()).then(|| {
                let mut fact = Fact::new(kind, actor);
                fact.fields = fields.into_iter().collect();
                fact.payload = payload;
                fact
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_is_recorded_verifies_and_reads_back(
        facts in proptest::collection::vec(any_fact(), 0..20),
        segment in 200..4000_u64,
    ) {
        let disk = SimDisk::default();
        let mut options = on_sim(&disk);
        options.segment_bytes_max = segment;
        let ledger = Ledger::open(&options).unwrap();
        for fact in &facts {
            ledger.append(fact.clone()).unwrap();
        }
        ledger.close_blocking().unwrap();
        verifies(&disk);
        let dir = Path::new("/s/r");
        let payloads = Payloads::open(&disk, dir).unwrap();
        let records = read_run_in(&disk, dir).unwrap().map(|record| record.unwrap());
        for (record, fact) in records.zip(&facts) {
            prop_assert_eq!(&record.actor, &fact.actor);
            prop_assert_eq!(record.kind(), Some(fact.kind));
            let payload = match &record.commit {
                Some(commit) => payloads.get(record.seq, commit).unwrap(),
                None => None,
            };
            prop_assert_eq!(&payload, &fact.payload);
        }
    }
}

#[test]
fn a_live_ledger_can_be_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    ledger.append(fact(0)).unwrap();
    ledger.checkpoint_blocking().unwrap();
    let seq = ledger.append(fact(2)).unwrap();
    runtime().block_on(ledger.durable(seq)).unwrap();
    assert!(
        !verify_dir(dir.path(), &[key(1).vkey()]).ok,
        "unsigned is not evidence yet"
    );
    let live = VerifyOptions {
        trusted: vec![key(1).vkey()],
        live: true,
        ..VerifyOptions::default()
    };
    let report = flowhost_ledger::verify_path(dir.path(), &live);
    assert!(report.ok, "{report}");
    assert_eq!(
        (report.ledgers[0].records, report.ledgers[0].signed),
        (2, 1)
    );
    assert_eq!(read_run(dir.path()).unwrap().count(), 2);
}
