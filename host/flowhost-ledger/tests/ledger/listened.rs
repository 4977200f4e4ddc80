//! Who hears of facts hears of records, and of nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use flowhost_ledger::{
    Durability, Fact, FactListener, Ledger, LedgerError, Recorder as _, Writing,
};

use crate::sim::SimDisk;
use crate::{fact, options, saying};

/// Remembers the numbers and the actors of what it heard.
#[derive(Default)]
struct Ear(Mutex<Vec<(u64, String)>>);

impl FactListener for Ear {
    fn recorded(&self, seq: u64, _: Instant, fact: Fact) {
        self.0.lock().unwrap().push((seq, fact.actor));
    }
}

#[test]
fn a_listener_hears_of_each_record_once_and_in_order_and_of_nothing_that_was_refused() {
    for writing in [Writing::Thread, Writing::Caller] {
        let ear = Arc::new(Ear::default());
        let mut options = options(Path::new("/s/r"));
        options.disk = Arc::new(SimDisk::default());
        options.writing = writing;
        options.listener = Some(ear.clone());
        let ledger = Ledger::open(&options).unwrap();
        for number in 0..9 {
            ledger.append(fact(number)).unwrap();
        }
        assert!(ledger.append(saying(&"x".repeat(70_000))).is_err());
        ledger.append(saying("last")).unwrap();
        ledger.close_blocking().unwrap();
        assert!(ledger.append(fact(10)).is_err());
        let heard = ear.0.lock().unwrap().clone();
        let agent = (0..9).map(|seq| (seq, "t/agent".to_owned()));
        let wanted: Vec<_> = agent.chain([(9, "t/a".to_owned())]).collect();
        assert_eq!(heard, wanted, "{writing:?}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// Takes one record, and panics over the next.
struct Fragile;

impl FactListener for Fragile {
    fn recorded(&self, seq: u64, _: Instant, _: Fact) {
        assert!(seq == 0, "the mistake of a listener");
    }
}

#[test]
fn a_listener_that_panics_ends_the_ledger_and_leaves_nobody_waiting() {
    for (writing, alone) in [
        (Writing::Thread, false),
        (Writing::Thread, true),
        (Writing::Caller, true),
    ] {
        let mut options = options(Path::new("/s/r"));
        options.disk = Arc::new(SimDisk::default());
        options.durability = Durability::Relaxed;
        options.writing = writing;
        options.listener = Some(Arc::new(Fragile));
        let ledger = Ledger::open(&options).unwrap();
        ledger.append(fact(0)).unwrap();
        runtime().block_on(ledger.written(alone)).unwrap();
        // On a thread of its own: whoever is not told would wait for ever.
        let (told, heard) = mpsc::channel();
        std::thread::spawn(move || {
            ledger.append(fact(1)).unwrap();
            // Whoever writes by itself panics here, and others are told.
            let wait = || runtime().block_on(ledger.written(alone));
            let first = catch_unwind(AssertUnwindSafe(wait));
            assert!(!matches!(first, Ok(Ok(_))), "it was not written");
            let second = runtime().block_on(ledger.written(false));
            let third = ledger.append(fact(2)).map(drop);
            told.send((second.map(drop), third, ledger.close_blocking().map(drop)))
                .unwrap();
        });
        let heard = heard.recv_timeout(Duration::from_secs(60));
        let (second, third, closed) = heard.expect("somebody waits for ever");
        for failed in [second, third, closed] {
            assert!(
                matches!(failed, Err(LedgerError::Poisoned(_))),
                "{writing:?}: {failed:?}"
            );
        }
    }
}
