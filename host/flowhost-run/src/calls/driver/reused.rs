//! The driver's part in calls that an earlier run has made: how they ended is recorded with where that comes
//! from, and the planner hears it as it would hear of its own.

use flowhost_flow::{Amounts, Call, Event};

use crate::calls::driver::Driver;
use crate::calls::order::{Answered, Stands};
use crate::earlier::reuse::{Made, ReusedCall};

impl Driver {
    /// The call is not made. It costs nothing: what it used, another run has paid.
    pub(super) async fn take_over(&mut self, call: &Call, made: Made) {
        self.open.remove(&call.id.0);
        if let Err(error) = self.journal.reused(call, &made.source, false) {
            return self.ledger_broken(&error);
        }
        self.reused.push(ReusedCall {
            path: call.path.clone(),
            run: made.source.run.clone(),
            record: made.source.record,
            saved: made.used,
            duration_ms: made.source.duration_ms,
        });
        let (result, _) = self.kept(&call.step_id, made.result, Stands::Nowhere);
        let event = Event::CallFinished {
            call: call.id,
            result,
            used: Amounts::default(),
        };
        self.feed_recorded(event, Answered::default()).await;
    }
}
