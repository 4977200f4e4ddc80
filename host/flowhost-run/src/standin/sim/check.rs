//! The invariants: what must hold after every interruption, and at the end of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_flow::budget::OnExceeded;
use flowhost_flow::planner::{Note, RunEnd};
use flowhost_ledger::{Durability, Kind, StoredRecord, VerifyOptions, read_run_in, verify_in};

use super::disk::SimDisk;
use super::run::Simulated;
use super::world::{World, told};

/// The records of a run, as far as they are whole.
pub(super) fn records(disk: &SimDisk, dir: &Path) -> Vec<StoredRecord> {
    let Ok(read) = read_run_in(disk, dir) else {
        return Vec::new();
    };
    read.map_while(Result::ok).collect()
}

/// The lines of a run.
pub(super) fn lines(disk: &SimDisk, dir: &Path) -> Vec<String> {
    let line = |record: StoredRecord| String::from_utf8_lossy(&record.line).into_owned();
    records(disk, dir).into_iter().map(line).collect()
}

/// What was acknowledged is there, and is what was acknowledged.
pub(super) fn acknowledged(world: &World, dir: &Path) {
    let records = records(&world.disk, dir);
    let left = records.len() as u64;
    let mut seen = world.seen();
    let acknowledged = seen.acknowledged;
    assert!(
        left >= acknowledged,
        "{left} records are left, {acknowledged} were acknowledged"
    );
    for record in records.iter().filter(|it| it.seq < acknowledged) {
        let Some(handed) = seen.handed.get(&record.seq) else {
            continue; // by the ledger itself, or by a person
        };
        let kind = record.kind().map_or("", Kind::as_str);
        let text = |name: &str| record.text(name).unwrap_or_default();
        let stands = told(kind, text("call"), text("step"));
        assert_eq!(stands, *handed, "record {}", record.seq);
    }
    // The numbers of what is lost are given to others.
    seen.handed.retain(|seq, _| *seq < left);
}

/// The ledger is signed, and nothing is wrong with it.
pub(super) fn verified(simulated: &Simulated) {
    let report = verify_in(
        &simulated.world.disk,
        &simulated.dir(),
        &VerifyOptions {
            trusted: vec![simulated.key.vkey()],
            ..VerifyOptions::default()
        },
    );
    assert!(report.ok, "{report}");
}

/// What must hold of a run that has ended. Gives the number of its records.
pub(super) fn ended(simulated: &Simulated, end: &RunEnd) -> u64 {
    let (world, dir) = (&simulated.world, simulated.dir());
    verified(simulated);
    let records = records(&world.disk, &dir);
    effects(world, &records, simulated.durability);
    steps(&records);
    let ends = records.iter().filter(|it| it.kind() == Some(Kind::RunEnd));
    assert_eq!(ends.count(), 1, "a run ends once");
    // A planner that is fed the records comes to the same end.
    let (_, resumed) = simulated.read().unwrap().expect("a run that ended began");
    let fed = resumed
        .rebuilt
        .end
        .expect("its planner has come to the end");
    assert_eq!(fed.outputs, end.outputs);
    said(&resumed.rebuilt.notes, &records);
    let cancelled = &resumed.rebuilt.cancelled;
    let open = resumed
        .rebuilt
        .open
        .keys()
        .find(|call| !cancelled.contains(call));
    assert_eq!(
        open, None,
        "a call that nobody stopped is open after the end"
    );
    let budget = &simulated.plan.budget;
    if let (Some(limit), OnExceeded::Halt) = (budget.limits[2], budget.on_exceeded) {
        let charged = world.seen().charged;
        assert!(charged <= limit, "{charged} tokens of {limit} were charged");
    }
    records.len() as u64
}

/// Nothing happened twice that must happen once, nothing without an intent, nothing is missing that a
/// record says was done, and what came again came under the same key. A relaxed run may have lost records, but not its
/// memory.
fn effects(world: &World, records: &[StoredRecord], durability: Durability) {
    let kept = durability == Durability::Durable;
    let seen = world.seen();
    assert!(
        seen.late.is_empty(),
        "calls {:?} had ended, and were made again",
        seen.late
    );
    let calls = |kind: Kind, status: Option<&str>| -> BTreeSet<u64> {
        let of_kind = records.iter().filter(|it| it.kind() == Some(kind));
        let of_kind = of_kind.filter(|it| status.is_none_or(|is| it.text("status") == Some(is)));
        let number = |it: &StoredRecord| it.text("call")?.parse().ok();
        let tools = of_kind.filter(|it| it.text("tool") == Some("fn"));
        tools.filter_map(number).collect()
    };
    let mut happened: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for effect in &seen.effects {
        happened.entry(effect.call).or_default().push(&effect.key);
    }
    let intents = calls(Kind::ToolCall, None);
    for (call, keys) in &happened {
        assert!(
            !kept || intents.contains(call),
            "call {call} has an effect and no intent"
        );
        let once = seen.once.get(call).copied().unwrap_or(false);
        assert!(
            !once || keys.len() == 1,
            "call {call} says `effects: once` and happened {} times",
            keys.len()
        );
        let same = keys.iter().all(|key| Some(key) == keys.first());
        assert!(same, "call {call} came under several keys: {keys:?}");
    }
    for call in calls(Kind::ToolResult, Some("ok")) {
        assert!(
            !kept || happened.contains_key(&call),
            "call {call} was done, and nothing happened"
        );
    }
}

/// How steps began and ended stands on record once, in the order in which the planner said it.
fn said(notes: &[Note], records: &[StoredRecord]) {
    let of_note = |note: &Note| match note {
        // The record of a wait stands for the attempt after it.
        Note::StepStarted {
            step_id,
            attempt: 1,
            ..
        } => Some((step_id.clone(), None)),
        Note::StepEnded(summary) => {
            let status = summary.status.word().to_owned();
            Some((summary.step_id.clone(), Some(status)))
        }
        _ => None,
    };
    let of_record = |record: &StoredRecord| match record.kind() {
        Some(Kind::StepStart) => Some((record.text("step")?.to_owned(), None)),
        Some(Kind::StepEnd) => {
            let status = record.text("status").map(str::to_owned);
            Some((record.text("step")?.to_owned(), status))
        }
        _ => None,
    };
    let said: Vec<_> = notes.iter().filter_map(of_note).collect();
    let on_record: Vec<_> = records.iter().filter_map(of_record).collect();
    assert_eq!(said, on_record);
}

/// Whatever step began has ended.
fn steps(records: &[StoredRecord]) {
    let of = |kind: Kind| -> BTreeMap<&str, usize> {
        let mut count = BTreeMap::new();
        for record in records.iter().filter(|it| it.kind() == Some(kind)) {
            *count
                .entry(record.text("step").unwrap_or_default())
                .or_default() += 1;
        }
        count
    };
    let (starts, ends) = (of(Kind::StepStart), of(Kind::StepEnd));
    for (step, begun) in starts {
        let ended = ends.get(step).copied().unwrap_or(0);
        assert!(
            ended >= begun,
            "step {step} began {begun} times and ended {ended} times"
        );
    }
}
