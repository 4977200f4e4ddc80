//! Who reads beside a run hears what somebody hears who reads it all at its end, or leaves it to that one.

use flowhost_ledger::{
    Fact, HostKey, Kind, Ledger, LedgerOptions, LentRecord, Recorder as _, read_run,
};

use super::*;
use crate::standin::free::Free as _;

/// Numbers and commitments of records.
type Records = Mutex<Vec<(u64, Option<String>)>>;

/// Remembers the records that it heard, and gives their payloads as views.
struct Ear(Arc<Records>);

impl Listener for Ear {
    fn hear(&mut self, record: &LentRecord<'_>) {
        let commit = record.commit.map(str::to_owned);
        self.0.lock().unwrap().push((record.seq, commit));
    }

    fn views(
        self: Box<Self>,
        _: &Path,
        _: &Reached,
        at_hand: &AtHand<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let heard = self.0.lock().unwrap();
        let payloads = heard.iter().filter_map(|(seq, commit)| {
            let payload = at_hand.payloads.get(*seq, commit.as_deref()?);
            Some((seq.to_string(), payload.unwrap().unwrap()))
        });
        Ok(payloads.collect())
    }
}

struct Stage {
    dir: tempfile::TempDir,
    ledger: Ledger,
    follower: Arc<Follower>,
    heard: Arc<Records>,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(HostKey::generate("host.example").unwrap());
        let mut options = LedgerOptions::new(dir.path(), "default", "run-1", key);
        options.segment_bytes_max = 300_000;
        let ledger = Ledger::open(&options).unwrap();
        let heard = Arc::default();
        let ear = Box::new(Ear(Arc::clone(&heard)));
        let follower = Follower::of_new(ear, dir.path().to_owned(), None);
        Self {
            dir,
            ledger,
            follower,
            heard,
        }
    }

    fn record(&self, records: u64) {
        for number in 0..records {
            let fact = Fact::new(Kind::StepStart, "default/host").with("step", "s");
            let fact = match number % 3 {
                0 => fact.payload(format!("payload {number}").into_bytes()),
                _ => fact,
            };
            let seq = self.ledger.append(fact).unwrap();
            self.follower.grown(seq);
        }
        self.ledger.checkpoint_blocking().unwrap();
    }

    fn views(&self, heard: Heard) -> Vec<(String, Vec<u8>)> {
        let root = String::new();
        let reached = Reached { size: 0, root };
        heard.views(self.dir.path(), &reached).unwrap()
    }

    fn seqs(&self) -> Vec<u64> {
        let heard = self.heard.lock().unwrap();
        heard.iter().map(|(seq, _)| *seq).collect()
    }
}

#[test]
fn a_run_of_a_few_records_has_nobody_who_reads_beside_it() {
    let stage = Stage::new();
    stage.record(BEGIN);
    assert!(stage.follower.state.lock().unwrap().reads.is_none());
    assert!(stage.follower.end().is_none());
    // What is recorded behind the end begins nothing.
    stage.record(2 * BEGIN);
    assert!(stage.follower.end().is_none());
    assert!(stage.seqs().is_empty());
}

#[test]
fn each_record_is_heard_once_and_in_order_over_segments_and_with_its_payload() {
    let stage = Stage::new();
    stage.record(BEGIN + 1);
    // The first are heard before anybody asks for a view.
    while stage.seqs().is_empty() {
        stage.record(EVERY);
        std::thread::sleep(LINGER);
    }
    let heard = stage.follower.end().unwrap();
    stage.record(40);
    let views = stage.views(heard);
    let all: Vec<_> = read_run(stage.dir.path())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(stage.seqs(), (0..all.len() as u64).collect::<Vec<_>>());
    let with_payload = all.iter().filter(|record| record.commit.is_some());
    let names: Vec<_> = with_payload.map(|record| record.seq.to_string()).collect();
    let seen: Vec<_> = views.iter().map(|(seq, _)| seq.clone()).collect();
    assert_eq!(seen, names);
    assert_eq!(views.last().unwrap().1, b"payload 39");
}

#[test]
fn a_run_that_was_taken_up_is_heard_from_where_it_was_left() {
    let stage = Stage::new();
    stage.record(30);
    let ear = Box::new(Ear(Arc::clone(&stage.heard)));
    let mut heard = Heard::before(
        ear,
        Tail::open(stage.dir.path()).unwrap(),
        Payloads::growing(&RealDisk, stage.dir.path()),
    );
    heard.more().unwrap();
    let follower = Follower::of_heard(heard, 30);
    // So few that nobody was told: what was heard is not lost.
    stage.record(5);
    follower.grown(34);
    stage.views(follower.end().unwrap());
    assert_eq!(stage.seqs(), (0..35).collect::<Vec<_>>());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test alters what lies on the disk"
)]
fn what_cannot_be_read_on_the_way_is_left_to_whoever_reads_everything() {
    let stage = Stage::new();
    std::fs::remove_file(stage.dir.path().join("ledger.json")).unwrap();
    stage.record(2 * BEGIN);
    assert!(stage.follower.end().is_none());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test alters what lies on the disk"
)]
fn what_cannot_be_read_on_at_the_end_is_left_to_whoever_reads_everything() {
    let stage = Stage::new();
    // All of them in one segment, which can be read on.
    stage.record(30);
    let reached = Reached {
        size: 0,
        root: String::new(),
    };
    let end = |heard: Heard| {
        let anew = || Ok(vec![("anew".to_owned(), Vec::new())]);
        let views = views_of(Some(heard), (stage.dir.path(), &reached), anew).unwrap();
        views.first().map(|(name, _)| name.clone())
    };
    let heard = || {
        let ear = Box::new(Ear(Arc::clone(&stage.heard)));
        Heard::before(
            ear,
            Tail::open(stage.dir.path()).unwrap(),
            Payloads::growing(&RealDisk, stage.dir.path()),
        )
    };
    assert_eq!(end(heard()).as_deref(), Some("0"));
    let mut late = heard();
    late.more().unwrap();
    let path = stage.dir.path().join("seg-00000000.jsonl");
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"no record\n");
    std::fs::write(&path, text).unwrap();
    assert_eq!(end(late).as_deref(), Some("anew"));
}
