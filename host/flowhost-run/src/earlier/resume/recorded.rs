//! What a run's ledger says of its interruptions: that it stopped before its end, and that it goes on.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use flowhost_flow::Call;
use flowhost_flow::planner::OpenGate;
use flowhost_ledger::records::{CallReuse, Gate, RunPause, RunResume, SCHEMA, SpentPart, StepPart};
use flowhost_ledger::{Ledger, LedgerError, Recorder as _};

use crate::base::failure::{Failure, ledger_failure};
use crate::calls::driver::{Outcome, Paused, status_word};
use crate::earlier::resume::rebuild::unwritten;
use crate::earlier::resume::{Resumed, Told};
use crate::earlier::reuse::Source;
use crate::kept::journal::{Denial, Journal, append};

impl Journal {
    /// The run stops before its end.
    pub(crate) fn run_pause(&self, outcome: &Outcome, paused: &Paused) -> Result<(), Failure> {
        let failure = outcome.end.failure.as_ref();
        let reason = failure.map(|it| it.message.clone()).unwrap_or_default();
        let pause = RunPause {
            status: status_word(outcome).to_owned(),
            exit_code: Some(u64::from(outcome.end.exit.code())),
            steps: (!paused.steps.is_empty()).then(|| paused.steps.clone()),
        };
        append(self, self.by_host(pause).payload(reason.into_bytes()))
    }

    /// The run goes on in this process. On the disk of `ledger` before anything of it is begun, however relaxed that is:
    /// the next process counts from it how many there were, and must not take this one's words for its own. Told with it:
    /// the plugins that were replaced, and the second keys that this process has turned.
    pub(crate) async fn run_resume(
        &self,
        ledger: &Ledger,
        resumed: &Resumed,
        (replaced, second_keys): (BTreeMap<String, String>, Option<Vec<String>>),
    ) -> Result<(), Failure> {
        let Told {
            again,
            known,
            replaced,
        } = resumed.told(replaced);
        let some = |calls: Vec<String>| (!calls.is_empty()).then_some(calls);
        let resume = RunResume {
            run_id: None,
            flowhost: Some(env!("CARGO_PKG_VERSION").to_owned()),
            time_ms: resumed.rebuilt.at.map(|at| at.0),
            again: some(again),
            known: some(known),
            replaced: (!replaced.is_empty()).then_some(replaced),
            schema: Some(SCHEMA),
            second_keys,
        };
        let cannot = |error: LedgerError| {
            ledger_failure("it cannot be recorded that the run goes on", &error)
        };
        let resumed_at = self.append(self.by_host(resume)).map_err(cannot)?;
        let (notes, written) = (&resumed.rebuilt.notes, &resumed.past.notes);
        for fact in unwritten(notes, written, |note| self.fact_of(note)) {
            append(self, fact)?;
        }
        self.durable(resumed_at).await.map_err(cannot)?;
        // Of a relaxed ledger that is known at once, and means nothing.
        ledger.sync().await.map_err(cannot)
    }

    /// A gate was reached.
    pub(crate) fn gate_opened(&self, gate: &OpenGate, until_ms: u64) -> Result<(), LedgerError> {
        let record = Gate {
            at: StepPart {
                step: gate.step_id.clone(),
                path: gate.path.clone(),
            },
            gate: gate.id.0,
            event: "opened".to_owned(),
            wants: gate.wants.word().to_owned(),
            until_ms: Some(until_ms),
            by: None,
        };
        self.append(self.by_host(record)).map(drop)
    }

    /// A call is not made: another run made it. `counts` where that run's past is this run's.
    pub(crate) fn reused(
        &self,
        call: &Call,
        source: &Source,
        counts: bool,
    ) -> Result<(), LedgerError> {
        let used = &source.used;
        let record = CallReuse {
            at: StepPart {
                step: call.step_id.clone(),
                path: call.path.clone(),
            },
            call: call.id.0,
            part: call.part.word(),
            plugin: call.plugin.clone(),
            run_id: source.run.clone(),
            call_there: source.call,
            record: source.record,
            hash: source.hash.clone(),
            spent: SpentPart {
                calls: Some(used.calls),
                fuel: Some(used.fuel),
                tokens: Some(used.tokens),
                micro_usd: Some(used.micro_usd),
            },
            duration_ms: Some(source.duration_ms),
            counts: counts.then_some(true),
        };
        self.append(self.by_host(record)).map(drop)
    }

    /// Counts the refusals of another process as this run's.
    pub(crate) fn knows(&self, denials: Vec<Denial>) {
        *self.denials.lock().unwrap_or_else(PoisonError::into_inner) = denials;
    }
}
