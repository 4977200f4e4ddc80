//! What plugins may leave in a run's evidence, in bytes as the disk holds them: one account for each
//! call, out of its caller's, out of the run's.
//!
//! The attack: a call with one read grant asks for the same long name a hundred thousand times, and every
//! answer is a record. So each record is charged to its call and to all that wait for it before it is
//! written, and a call that has used up its account is killed by the limit `evidence`. What the host
//! has to say of work that was done (a tool's result, a model's answer, a verdict) is charged and always
//! fits: the account stops what would begin next. Must never be between the host and its own facts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowhost_engine::{Meter, RunScope};
use flowhost_flow::Plan;
use flowhost_ledger::{Fact, Kind, LedgerError, Recorder, Value, canonical};

/// What all plugins of a run may record together where its plan says nothing, which is the most that a plan
/// can say.
const RUN_BYTES: u64 = flowhost_flow::plan::limits::EVIDENCE_BYTES_MAX;

/// What the plugins of a run of `plan` may record together.
pub(crate) fn allowed(plan: &Plan) -> u64 {
    plan.evidence_bytes.unwrap_or(RUN_BYTES).min(RUN_BYTES)
}

/// What a record takes beside its fields and its payload: number, time, the hash before it, the
/// commitment and the salt, with their names.
const FRAME_BYTES: u64 = 512;

/// Fields that say how long something took. They are not counted, and have room in the frame: what a call is
/// counted to have written must not depend on how fast the machine was, or a replay would count otherwise.
const MEASURED: &[&str] = &["duration_ms", "first_token_ms"];

/// Whose account is full, by the name of the limit.
const CALL: &str = "evidence";
pub(crate) const RUN: &str = "run.evidence";

/// The run with an account over everything that its plugins record, of which `used` is there already; and
/// what counts it.
pub(crate) fn of_run(
    journal: Arc<dyn Recorder>,
    used: u64,
    allowed: u64,
) -> (Arc<dyn Recorder>, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    meter.evidence_bytes.store(used, Relaxed);
    let account = Account {
        above: journal,
        name: RUN,
        used: meter.clone(),
        allowed,
    };
    (Arc::new(account), meter)
}

/// `run` for one call: what it records is counted by `meter`, and `allowed` at most.
pub(crate) fn of_call(run: &RunScope, meter: &Arc<Meter>, allowed: u64) -> RunScope {
    let account = Account {
        above: run.recorder.clone(),
        name: CALL,
        used: meter.clone(),
        allowed,
    };
    RunScope {
        recorder: Arc::new(account),
        ..run.clone()
    }
}

struct Account {
    above: Arc<dyn Recorder>,
    name: &'static str,
    used: Arc<Meter>,
    allowed: u64,
}

impl Account {
    fn charge(&self, fact: &Fact, bytes: u64) -> Result<(), LedgerError> {
        let standing = standing(fact.kind);
        let fits = |before: u64| {
            let used = before.saturating_add(bytes);
            let fits = match standing {
                Standing::Outcome => true,
                Standing::Intent => before < self.allowed,
                Standing::Other => used <= self.allowed,
            };
            fits.then_some(used)
        };
        // In one step: a record that is refused must not stand on the account for a moment, in which another call's
        // would be refused for it. The number alone is shared, and nothing that is published with it.
        let charged = self.counter().fetch_update(Relaxed, Relaxed, fits);
        charged.map(drop).map_err(|before| LedgerError::Limit {
            name: self.name,
            // What it would have been: what is not written is not used.
            used: before.saturating_add(bytes),
            allowed: self.allowed,
        })
    }

    fn refund(&self, bytes: u64) {
        self.counter().fetch_sub(bytes, Relaxed);
    }

    fn counter(&self) -> &AtomicU64 {
        &self.used.evidence_bytes
    }
}

/// How a record stands to what an account refuses.
#[derive(Clone, Copy)]
enum Standing {
    /// Says how something ended that was allowed to begin.
    Outcome,
    /// The host's word that a call begins. It fits while anything is left, so that a call's own input
    /// does not have to fit into what the call may write.
    Intent,
    /// What a plugin did, asked for or said.
    Other,
}

fn standing(kind: Kind) -> Standing {
    match kind {
        Kind::ToolResult | Kind::ModelResult | Kind::GuardVerdict => Standing::Outcome,
        Kind::ToolCall => Standing::Intent,
        _ => Standing::Other,
    }
}

impl Recorder for Account {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let bytes = written(&fact);
        // The nearest account first: the refusal that is told is the one that its reader can do most about.
        self.charge(&fact, bytes)?;
        let appended = self.above.append(fact);
        if appended.is_err() {
            self.refund(bytes);
        }
        appended
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        self.above.durable(seq)
    }
}

/// What the record of `fact` and its payload take on the disk, a little more rather than less.
fn written(fact: &Fact) -> u64 {
    let counted = |name: &str| !MEASURED.contains(&name);
    let fields = fact.fields.iter().filter(|(name, _)| counted(name));
    let fields = fields.map(|(name, value)| {
        let value = match value {
            Value::Text(text) => escaped(text),
            Value::List(items) => items.iter().map(|item| escaped(item)).sum(),
            Value::Map(items) => items.iter().map(|(k, v)| escaped(k) + escaped(v)).sum(),
        };
        escaped(name) + value
    });
    // Text as it is, and everything else as base64: so the payload file has them.
    let payload = fact.payload.as_deref().map_or(0, |payload| {
        std::str::from_utf8(payload).map_or(payload.len().div_ceil(3) as u64 * 4, escaped)
    });
    FRAME_BYTES + fields.sum::<u64>() + payload
}

/// The length of `text` as JSON, quotes and comma included: a control character takes six bytes there.
fn escaped(text: &str) -> u64 {
    canonical::escaped_len(text) as u64 + 3
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::MemoryRecorder;

    use super::*;
    use crate::standin::free::Free as _;

    fn scope(recorder: Arc<dyn Recorder>) -> RunScope {
        RunScope {
            tenant: "default".into(),
            run: "01RUN".into(),
            seed: [0; 32],
            started_ms: 0,
            recorder,
            providers: Arc::new([]),
            own_calls: Arc::default(),
            memory: None,
        }
    }

    fn look(wanted: &str) -> Fact {
        Fact::new(Kind::FsOp, "default/a").with("wanted", wanted)
    }

    fn limit(result: Result<u64, LedgerError>) -> (&'static str, u64, u64) {
        match result {
            Err(LedgerError::Limit {
                name,
                used,
                allowed,
            }) => (name, used, allowed),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn refuses_the_record_that_is_one_byte_too_long_and_writes_nothing_of_it() {
        let bytes = written(&look("/docs/a"));
        let recorder = Arc::new(MemoryRecorder::default());
        let meter = Arc::new(Meter::default());
        let call = of_call(&scope(recorder.clone()), &meter, 2 * bytes);
        call.recorder.append(look("/docs/a")).unwrap();
        let refused = limit(call.recorder.append(look("/docs/ab")));
        assert_eq!(refused, ("evidence", 2 * bytes + 1, 2 * bytes));
        call.recorder.append(look("/docs/b")).unwrap();
        assert_eq!(recorder.facts().len(), 2);
        assert_eq!(meter.evidence_bytes.load(Relaxed), 2 * bytes);
    }

    /// Takes nothing, so that what was charged for is given back.
    struct Closed;

    impl Recorder for Closed {
        fn append(&self, _: Fact) -> Result<u64, LedgerError> {
            Err(LedgerError::Closed)
        }

        fn durable(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[test]
    fn a_record_that_is_refused_takes_no_room_from_anothers_meanwhile() {
        const TIMES: usize = 20_000;
        let (run, meter) = of_run(Arc::new(Closed), 0, written(&look("x")));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    assert_eq!(limit(run.append(look("too long"))).0, "run.evidence");
                }
            });
            for _ in 0..TIMES {
                let fits = run.append(look("x"));
                assert!(matches!(fits, Err(LedgerError::Closed)), "{fits:?}");
            }
        });
        assert_eq!(meter.evidence_bytes.load(Relaxed), 0);
    }

    #[test]
    fn what_a_called_plugin_records_counts_for_its_caller_and_for_the_run() {
        let bytes = written(&look("x"));
        let (run, _) = of_run(Arc::new(MemoryRecorder::default()), 0, 3 * bytes);
        let caller = of_call(&scope(run), &Arc::default(), 2 * bytes);
        let callee = of_call(&caller, &Arc::default(), 9 * bytes);
        callee.recorder.append(look("x")).unwrap();
        callee.recorder.append(look("x")).unwrap();
        let (name, _, allowed) = limit(callee.recorder.append(look("x")));
        assert_eq!((name, allowed), ("evidence", 2 * bytes));
        let (name, _, allowed) = limit(caller.recorder.append(look("x")));
        assert_eq!((name, allowed), ("evidence", 2 * bytes));
    }

    #[test]
    fn a_run_that_is_full_lets_no_call_begin_and_records_how_those_at_work_ended() {
        let (run, _) = of_run(Arc::new(MemoryRecorder::default()), 0, written(&look("x")));
        let call = || of_call(&scope(run.clone()), &Arc::default(), 1 << 20);
        let begins = || Fact::new(Kind::ToolCall, "default/a").payload(vec![b' '; 4_096]);
        let ends = || Fact::new(Kind::ToolResult, "default/a").payload(vec![b' '; 4_096]);
        call().recorder.append(begins()).unwrap();
        call().recorder.append(ends()).unwrap();
        assert_eq!(limit(call().recorder.append(begins())).0, "run.evidence");
        assert_eq!(limit(call().recorder.append(look("x"))).0, "run.evidence");
    }

    #[test]
    fn how_long_something_took_changes_nothing_of_what_it_is_counted_to_have_written() {
        let took =
            |ms: u64| written(&Fact::new(Kind::ToolResult, "default/a").with("duration_ms", ms));
        assert_eq!(took(9), took(u64::MAX));
    }

    #[test]
    fn counts_what_the_disk_holds_and_not_what_the_plugin_wrote() {
        let plain = written(&look("aaaa"));
        assert_eq!(written(&look("\u{1}\u{1}\u{1}\u{1}")), plain + 4 * 5);
        let payload = |bytes: Vec<u8>| written(&look("").payload(bytes)) - written(&look(""));
        assert_eq!(
            payload(vec![0xff; 65_536]),
            87_384,
            "base64 of what is not text"
        );
        assert!(payload(vec![1; 1_000]) > 6_000);
    }
}
