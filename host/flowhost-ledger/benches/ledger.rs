//! What a record costs: appending (durable and relaxed), and verifying.

#![expect(clippy::expect_used, reason = "a bench may fail loudly")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowhost_ledger::records::{
    CallPart, Decision, DecisionPart, HostCall, RecordKind as _, RunStart,
};
use flowhost_ledger::{
    Durability, Fact, HostKey, Ledger, LedgerOptions, Recorder as _, RunIndex, run_dir, verify_dir,
};

fn options(dir: &Path, durability: Durability) -> LedgerOptions {
    let key = Arc::new(HostKey::from_seed("host.example", [1; 32]).expect("a seed"));
    let mut options = LedgerOptions::new(dir, "t", "r", key);
    options.durability = durability;
    options
}

fn fact() -> Fact {
    let call = HostCall {
        call_of: CallPart {
            step: "01JD3M0000000000000000000".to_owned(),
            ..CallPart::default()
        },
        decided: DecisionPart {
            interface: Some("flowhost:state/state@0.1.0".to_owned()),
            decision: Some(Decision::Allow),
            rule: Some("state.read#0".to_owned()),
            ..DecisionPart::default()
        },
        ..HostCall::default()
    };
    call.by("default/notes")
}

fn append(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(1));
    let relaxed = Ledger::open(&options(&dir.path().join("relaxed"), Durability::Relaxed));
    let relaxed = relaxed.expect("a ledger");
    group.bench_function("relaxed", |b| {
        b.iter_batched(
            fact,
            |fact| relaxed.append(fact),
            criterion::BatchSize::SmallInput,
        );
    });
    let durable = Ledger::open(&options(&dir.path().join("durable"), Durability::Durable));
    let durable = durable.expect("a ledger");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    group.bench_function("durable_one_waits", |b| {
        b.iter(|| {
            let seq = durable.append(fact()).expect("a record");
            runtime.block_on(durable.durable(seq)).expect("durable");
        });
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("durable_64_wait_together", |b| {
        b.iter(|| {
            for _ in 1..64 {
                durable.append(fact()).expect("a record");
            }
            let last = durable.append(fact()).expect("a record");
            runtime.block_on(durable.durable(last)).expect("durable");
        });
    });
    group.finish();
}

fn verify(c: &mut Criterion) {
    const RECORDS: u64 = 100_000;
    let dir = tempfile::tempdir().expect("a folder");
    let ledger = Ledger::open(&options(dir.path(), Durability::Relaxed)).expect("a ledger");
    for _ in 0..RECORDS {
        ledger.append(fact()).expect("a record");
    }
    ledger.close_blocking().expect("closed");
    let key = HostKey::from_seed("host.example", [1; 32])
        .expect("a seed")
        .vkey();
    let mut group = c.benchmark_group("verify");
    group.sample_size(10);
    group.throughput(Throughput::Elements(RECORDS));
    group.bench_function("100k_records", |b| {
        b.iter(|| {
            let report = verify_dir(black_box(dir.path()), std::slice::from_ref(&key));
            assert!(report.ok);
        });
    });
    group.finish();
}

/// The beginning and the end of a run beside few others and beside many.
fn run(c: &mut Criterion) {
    let mut group = c.benchmark_group("run");
    group.sample_size(10);
    for runs in [1_u32, 2_000] {
        let dir = tempfile::tempdir().expect("a folder");
        let key = Arc::new(HostKey::from_seed("host.example", [1; 32]).expect("a seed"));
        let index = RunIndex::new(dir.path(), "t", key.clone());
        let mut number = 0;
        let mut whole = || {
            number += 1;
            let name = format!("r{number}");
            let at = run_dir(dir.path(), "t", &name);
            let mut options = LedgerOptions::new(&at, "t", &name, key.clone());
            options.durability = Durability::Relaxed;
            index.sweep().expect("swept");
            let ledger = index.begin(&options, RunStart::default()).expect("begun");
            ledger.append(fact()).expect("a record");
            let sealed = ledger.close_blocking().expect("closed");
            index.ended(&name, "ok", &sealed).expect("entered");
        };
        for _ in 0..runs {
            whole();
        }
        group.bench_function(format!("beside_{runs}"), |b| b.iter(&mut whole));
    }
    group.finish();
}

criterion_group!(benches, append, verify, run);
criterion_main!(benches);
