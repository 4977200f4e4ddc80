//! Tests of the ledger through its public surface, one binary.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::type_complexity,
    reason = "helpers of tests may fail loudly and touch files of their own"
)]

mod attack;
mod begin;
mod crash;
mod hand;
mod index;
mod killed;
mod listened;
mod power;
mod read;
mod recovery;
mod removed;
mod sample;
mod shared;
mod sim;
mod write;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowhost_ledger::records::{Budget, RecordKind as _, RunEnd, RunStart};
use flowhost_ledger::{Clock, Fact, HostKey, Kind, Ledger, LedgerOptions, Recorder as _};

/// A clock that moves one microsecond at each look.
#[derive(Default)]
pub(crate) struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now_us(&self) -> u64 {
        1_795_000_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) fn key(seed: u8) -> Arc<HostKey> {
    Arc::new(HostKey::from_seed("host.example", [seed; 32]).unwrap())
}

pub(crate) fn options(dir: &Path) -> LedgerOptions {
    let mut options = LedgerOptions::new(dir, "t", "r", key(1));
    options.clock = Arc::new(Ticks::default());
    options
}

pub(crate) fn fact(number: u64) -> Fact {
    // The kind of which no field has to be there: its line is the shortest.
    let record = Budget {
        used: Some(number),
        ..Budget::default()
    };
    let fact = record.by("t/agent");
    if number % 3 == 2 {
        fact.payload(format!("secret {number}").into_bytes())
    } else {
        fact
    }
}

/// A record with a text in its line.
pub(crate) fn saying(text: &str) -> Fact {
    let mut fact = Fact::new(Kind::Message, "t/a");
    fact.fields.insert("text".to_owned(), text.into());
    fact
}

/// The end of a run.
pub(crate) fn ended(status: &str) -> Fact {
    let end = RunEnd {
        status: status.to_owned(),
        ..RunEnd::default()
    };
    end.by("t/host")
}

/// The start of a run of this plan, as the index is told it.
pub(crate) fn start(plan: &str) -> RunStart {
    RunStart {
        plan: Some(plan.to_owned()),
        ..RunStart::default()
    }
}

/// Writes `count` records, every third with a payload, and closes.
pub(crate) fn write(options: &LedgerOptions, count: u64) {
    let ledger = Ledger::open(options).unwrap();
    for number in 0..count {
        ledger.append(fact(number)).unwrap();
    }
    ledger.close_blocking().unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
