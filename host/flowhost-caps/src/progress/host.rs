//! `flowhost:progress`.

use flowhost_engine::HostState;
use flowhost_ledger::records::{Decision, DecisionPart, HostCall};
use wasmtime::component::Linker;

use crate::progress::ProgressState;
use crate::shared::bindings;
use crate::shared::support::{HasStore, kill};

bindings!(
    "import flowhost:progress/progress@0.1.0;",
    "../../wit/progress/0.1.0",
    trappable
);

pub(super) use bindings::flowhost::progress::progress as wit;

pub(super) const INTERFACE: &str = "flowhost:progress/progress@0.1.0";

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    fn report(&mut self, done: f64, total: Option<f64>, message: String) -> wasmtime::Result<()> {
        self.scope().charge_host_call().map_err(kill)?;
        let parts = self.parts::<ProgressState>();
        let (state, scope) = (parts.state, parts.scope);
        // A plugin that can do without the right is linked without it, and is silent.
        if !scope.effective.grants.log {
            return Ok(());
        }
        let due = state.pace.report(done, total, tokio::time::Instant::now());
        if due.show {
            state.gate.progress(done, total, &message);
        }
        if due.record {
            let record = HostCall {
                decided: DecisionPart {
                    interface: Some(INTERFACE.to_owned()),
                    decision: Some(Decision::Allow),
                    rule: Some("log".to_owned()),
                    ..DecisionPart::default()
                },
                done: Some(done.to_string()),
                total: total.map(|total| total.to_string()),
                reports: Some(state.pace.reports()),
                ..HostCall::default()
            };
            let message = state.gate.clean(&message).into_bytes();
            let fact = scope.said(record).payload(message);
            scope.run.recorder.append(fact).map_err(kill_ledger)?;
        }
        Ok(())
    }
}

fn kill_ledger(error: flowhost_ledger::LedgerError) -> wasmtime::Error {
    kill(flowhost_engine::Fault::from(error))
}
