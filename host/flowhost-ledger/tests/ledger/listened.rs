//! Who hears of facts hears of records, and of nothing else.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use flowhost_ledger::{Fact, FactListener, Ledger, Recorder as _, Writing};

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
