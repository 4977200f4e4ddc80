//! Loss of power at any moment, on the simulated disk.

use std::path::Path;
use std::sync::Arc;

use flowhost_ledger::{
    Durability, Ledger, LedgerOptions, Payloads, Recorder as _, VerifyOptions, read_run_in,
    verify_in,
};

use crate::sim::{Rng, SimDisk};
use crate::{key, options, saying};

const DIR: &str = "/state/t/runs/r";

fn sim_options(disk: &SimDisk) -> LedgerOptions {
    let mut options = options(Path::new(DIR));
    options.disk = Arc::new(disk.clone());
    options
}

struct Acked {
    seq: u64,
    text: String,
    payload: String,
    erased: bool,
}

/// Appends, waits, signs and erases at random until the power goes. Returns what was acknowledged.
fn work(options: &LedgerOptions, rng: &mut Rng, round: u64) -> Vec<Acked> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut acked: Vec<Acked> = Vec::new();
    let Ok(ledger) = Ledger::open(options) else {
        return acked;
    };
    for step in 0..40 {
        let mut waiting = Vec::new();
        for number in 0..=rng.below(6) {
            let text = format!("{round}-{step}-{number}-{}", "x".repeat(rng.index(900)));
            let mut fact = saying(&text);
            // Every third is one that was met before, and large enough to be stored once.
            let payload = match text.len() % 3 {
                0 => "again".repeat(300),
                _ => text.clone(),
            };
            if rng.below(3) == 0 {
                fact = fact.payload(payload.clone().into_bytes());
            }
            let Ok(seq) = ledger.append(fact) else {
                return acked;
            };
            waiting.push(Acked {
                seq,
                text,
                payload,
                erased: false,
            });
        }
        if rng.below(4) > 0 {
            let Some(last) = waiting.last() else { continue };
            if runtime.block_on(ledger.durable(last.seq)).is_err() {
                return acked;
            }
            acked.extend(waiting);
        }
        match rng.below(10) {
            0 if ledger.checkpoint_blocking().is_err() => return acked,
            1 if !acked.is_empty() => {
                let at = rng.index(acked.len());
                let seq = acked[at].seq;
                // Whether or not the power goes meanwhile, the payload may be gone from now on.
                acked[at].erased = true;
                if ledger.erase_blocking([seq].into(), "test").is_err() {
                    return acked;
                }
            }
            _ => {}
        }
    }
    acked
}

fn check(disk: &SimDisk, acked: &[Acked], seed: u64) {
    let report = verify_in(
        disk,
        Path::new(DIR),
        &VerifyOptions {
            trusted: vec![key(1).vkey()],
            ..VerifyOptions::default()
        },
    );
    assert!(report.ok, "seed {seed}: {report}");
    let records: Vec<_> = read_run_in(disk, Path::new(DIR))
        .unwrap()
        .map(|record| record.unwrap())
        .collect();
    let payloads = Payloads::open(disk, Path::new(DIR)).unwrap();
    for acked in acked {
        let Acked {
            seq, text, erased, ..
        } = acked;
        let record = &records[usize::try_from(*seq).unwrap()];
        assert_eq!(
            record.text("text"),
            Some(text.as_str()),
            "seed {seed}: record {seq} changed"
        );
        if let Some(commit) = record.commit.as_ref().filter(|_| !erased) {
            let payload = payloads.get(*seq, commit).unwrap();
            assert_eq!(
                payload.as_deref(),
                Some(acked.payload.as_bytes()),
                "seed {seed}: payload {seq}"
            );
        }
    }
}

fn seeds() -> u64 {
    std::env::var("FLOWHOST_POWER_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(150)
}

#[test]
fn led_017_nothing_acknowledged_is_lost_when_the_power_goes_at_any_moment() {
    let mut outages = 0;
    for seed in 0..seeds() {
        let mut rng = Rng::new(seed);
        let disk = SimDisk::default();
        let mut options = sim_options(&disk);
        options.segment_bytes_max = 4096 << rng.below(4);
        options.checkpoints.records = 1 + rng.below(30);
        if seed % 2 == 1 {
            // So few that most are written before anybody waits for them.
            options.queue_records_max = 4;
        }
        let mut acked = Vec::new();
        for round in 0..3 {
            disk.lose_power_after(rng.below(160));
            acked.extend(work(&options, &mut rng, round));
            outages += u64::from(disk.is_off());
            disk.crash(&mut rng);
        }
        let opened = Ledger::open(&options);
        let ledger = opened.unwrap_or_else(|error| panic!("seed {seed}: {error} {error:?}"));
        ledger.close_blocking().unwrap();
        check(&disk, &acked, seed);
    }
    // Moments after the last operation prove nothing.
    assert!(outages > seeds(), "{outages} times the power went");
}

#[test]
fn a_relaxed_ledger_is_sound_after_a_loss_of_power_and_says_what_it_lost() {
    for seed in 0..seeds() / 2 {
        let mut rng = Rng::new(seed + 1_000_000);
        let disk = SimDisk::default();
        let mut options = sim_options(&disk);
        options.durability = Durability::Relaxed;
        options.segment_bytes_max = 4096 << rng.below(4);
        options.checkpoints.records = 1 + rng.below(30);
        disk.lose_power_after(rng.below(200));
        work(&options, &mut rng, 0);
        disk.crash(&mut rng);
        let opened = Ledger::open(&options);
        opened
            .unwrap_or_else(|error| panic!("seed {seed}: {error} {error:?}"))
            .close_blocking()
            .unwrap();
        check(&disk, &[], seed);
    }
}

/// The process is killed, and what it had handed to the kernel is there.
fn killed(disk: &SimDisk, ledger: Ledger) {
    disk.lose_power_after(0);
    drop(ledger);
    disk.reboot();
}

#[test]
fn a_note_signs_nothing_of_a_killed_process_that_a_loss_of_power_takes() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for seed in 0..seeds() / 5 {
        let mut rng = Rng::new(seed + 2_000_000);
        let disk = SimDisk::default();
        let mut options = sim_options(&disk);
        options.durability = Durability::Relaxed;
        let ledger = Ledger::open(&options).unwrap();
        for number in 0..40 {
            let text = format!("{number}-{}", "x".repeat(200));
            let fact = saying(&text).payload(text.clone().into_bytes());
            ledger.append(fact).unwrap();
        }
        runtime.block_on(ledger.flush()).unwrap();
        killed(&disk, ledger);
        // The next one signs what it finds, and adds nothing, or a record without a payload.
        let ledger = Ledger::open(&options).unwrap();
        if rng.below(2) == 0 {
            ledger.append(saying("goes on")).unwrap();
        }
        let sealed = ledger.close_blocking().unwrap();
        drop(ledger);
        disk.crash(&mut rng);
        let ledger =
            Ledger::open(&options).unwrap_or_else(|error| panic!("seed {seed}: {error} {error:?}"));
        assert_eq!(ledger.size(), sealed.size, "seed {seed}");
        ledger.close_blocking().unwrap();
        check(&disk, &[], seed);
    }
}

#[test]
fn what_a_relaxed_ledger_was_told_to_sync_survives_a_loss_of_power() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for seed in 0..seeds() / 5 {
        let mut rng = Rng::new(seed + 3_000_000);
        let disk = SimDisk::default();
        let mut options = sim_options(&disk);
        options.durability = Durability::Relaxed;
        let ledger = Ledger::open(&options).unwrap();
        let mut synced = 0;
        for number in 0..rng.below(30) {
            let text = format!("{number}-{}", "x".repeat(rng.index(900)));
            let fact = saying(&text).payload(text.clone().into_bytes());
            let seq = ledger.append(fact).unwrap();
            if rng.below(4) == 0 {
                runtime.block_on(ledger.sync()).unwrap();
                synced = seq + 1;
            }
        }
        disk.lose_power_after(0);
        drop(ledger);
        disk.crash(&mut rng);
        let ledger =
            Ledger::open(&options).unwrap_or_else(|error| panic!("seed {seed}: {error} {error:?}"));
        assert!(ledger.size() >= synced, "seed {seed}");
        ledger.close_blocking().unwrap();
        check(&disk, &[], seed);
        let payloads = Payloads::open(&disk, Path::new(DIR)).unwrap();
        let records = read_run_in(&disk, Path::new(DIR)).unwrap();
        for record in records.map(Result::unwrap).filter(|it| it.seq < synced) {
            let commit = record.commit.as_deref().unwrap();
            let payload = payloads.get(record.seq, commit).unwrap();
            assert!(payload.is_some(), "seed {seed}: payload {}", record.seq);
        }
    }
}
