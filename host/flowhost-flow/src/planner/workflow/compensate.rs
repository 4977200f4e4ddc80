//! Taking back: when a workflow fails, the effects of its finished steps are undone, the last first.
//!
//! It begins when nothing of the workflow is at work any more, one step after the other, and a
//! compensation that fails keeps none of the others back: that it failed is said, and the run ends with
//! what made it fail. When the host itself has failed nothing is begun, because nothing could be recorded.

use std::sync::Arc;

use serde_json::Value;

use crate::exit::FailureClass;
use crate::planner::Note;
use crate::planner::scope::Ctx;
use crate::planner::unit::{Ended, Role};
use crate::planner::workflow::{Begin, Flow};

impl Flow {
    /// Begins to take back the step that ended last, if it is time for that.
    pub(super) fn take_back(&mut self, ctx: &mut Ctx<'_>) {
        // Nothing is taken back while nothing has failed.
        let Some(failure) = &ctx.scope.failure else {
            return;
        };
        let is_host = failure.class == FailureClass::Internal;
        if self.open > 0 || self.taking_back || is_host || ctx.scope.live > 0 {
            return;
        }
        // Everything is taken back.
        let Some((at, output)) = self.done.pop() else {
            return;
        };
        let step = self.step(at);
        let Some(spec) = step.compensate.as_ref().map(Arc::clone) else {
            debug_assert!(false, "only steps that can be taken back are listed");
            return;
        };
        let failure = serde_json::to_value(failure).unwrap_or(Value::Null);
        let path = self.path(ctx, at);
        ctx.core
            .note(Note::CompensationStarted { path: path.clone() });
        self.taking_back = true;
        let begin = Begin {
            path: format!("{path}!compensate"),
            spec,
            names: vec![
                ("output".to_owned(), output),
                ("failure".to_owned(), failure),
            ],
        };
        self.start_unit(ctx, at, Role::Compensation, begin);
    }

    /// One was taken back, or could not be.
    pub(super) fn taken_back(&mut self, ctx: &mut Ctx<'_>, ended: &Ended) {
        self.taking_back = false;
        ended.note(ctx.core);
        ctx.scope.used.add(&ended.used);
        if let Err(failure) = &ended.result {
            let message = format!(
                "its effect was not taken back: {}; look at it, and take it back by hand",
                failure.message
            );
            ctx.core.warn(&ended.path, "compensation", message);
        }
    }
}
