//! Calls that are stopped while they are at work, by whoever ends their run or because their time is up. The world may
//! have heard of them: whoever holds the run is told that nobody knows, because no later process asks about it as it does
//! about a run that goes on.

use flowhost_flow::{Amounts, Call, CallResult, Failure, FailureClass};
use flowhost_policy::Access;

use super::Driver;
use crate::calls::order::Stands;
use crate::earlier::resume::Resumed;
use crate::earlier::resume::past::Settled;
use crate::plugins::installed::Installed;

/// Methods of requests that change nothing at the receiver.
const LOOKS: &[&str] = &["GET", "HEAD", "OPTIONS", "TRACE"];

/// Whether a step's call may have an effect that is still there when it is stopped, and that must not happen twice: by
/// what the plan says of the step and the tool of itself, and by what its rights let it reach.
pub(super) fn may_last(call: &Call, installed: &Installed) -> bool {
    use flowhost_flow::plan::Effects as OfStep;
    use flowhost_policy::Effects as OfTool;
    match call.effects {
        OfStep::Idempotent => return false,
        OfStep::Once => return !call.part.is_guard(),
        // What every step is that says nothing, also one that only computes.
        OfStep::Keyed => {}
    }
    let effects = installed.effects_of(call.function.as_deref());
    if matches!(effects, Some(OfTool::None | OfTool::Idempotent)) || call.part.is_guard() {
        return false;
    }
    let grants = &installed.plugin.effective().grants;
    let mut methods = grants.http.iter().flat_map(|rule| &rule.methods);
    let sends = methods.any(|method| !LOOKS.contains(&method.as_str()));
    let writes = grants.files.iter().any(|it| it.access == Access::Write);
    sends || writes || !grants.process.is_empty() || !grants.tools.call.is_empty()
}

/// The result of a call that was at work when it was stopped, as the planner hears it.
pub(super) fn doubted(result: CallResult, stands: Stands) -> (CallResult, Stands) {
    match result {
        // One that says what to do about it has said it already.
        CallResult::Failed(failure)
            if failure.class == FailureClass::Cancelled && failure.hint.is_empty() =>
        {
            let step = failure.step;
            let failure = Failure {
                step,
                ..Failure::in_doubt()
            };
            (CallResult::Failed(failure), Stands::Nowhere)
        }
        // The host's own word, by a limit: no guest can say of itself that its time was up.
        CallResult::Failed(failure) if failure.class == FailureClass::Timeout => {
            (CallResult::Failed(failure.left_in_doubt()), Stands::Nowhere)
        }
        result => (result, stands),
    }
}

/// The result of a call, by whether what it did may last: where nothing does, there is nothing that nobody knows.
pub(super) fn weighed(result: CallResult, lasts: bool) -> CallResult {
    match result {
        CallResult::Failed(failure) if !lasts => CallResult::Failed(failure.without_doubt()),
        result => result,
    }
}

impl Driver {
    /// Whether another process of the run had begun this call, which may have an effect that outlasts it, and nobody has
    /// said that it had none.
    pub(super) fn is_doubtful(&self, call: &Call, resumed: &Resumed) -> bool {
        let made = resumed.past.calls.get(&call.id.0);
        let begun = made.is_some_and(|made| {
            let said = matches!(made.settled, Some(Settled::Retry));
            made.begun && made.result.is_none() && !said
        });
        begun && self.may_have_lasted(call)
    }

    /// Whether a call that is made again was doubtful when this process took it up.
    pub(super) fn was_doubtful(&self, call: u64) -> bool {
        self.begun.get(&call).is_some_and(|it| it.doubtful)
    }

    /// Whether what a call of another process did may last.
    pub(super) fn may_have_lasted(&self, call: &Call) -> bool {
        let installed = self.registry.current(&call.plugin);
        installed.is_some_and(|installed| may_last(call, &installed))
    }

    /// Keeps a call of before from being made again in a run that goes on only to be stopped: when the planner stops it,
    /// it is told that nobody knows. `used` is what it had used.
    pub(super) fn set_aside(&mut self, call: &Call, used: Amounts) {
        self.doubtful.insert(call.id.0, used);
    }

    /// Says of calls that never answered after they were stopped that nobody knows. Not as a record: it is no word of the
    /// planner's, which a replay would look for; the record has the call's intent and no end of it.
    pub(super) fn unanswered(&mut self) {
        let out = self.open.iter();
        let begun =
            out.filter(|(call, _)| self.recording.begun(**call) || self.was_doubtful(**call));
        let said = begun.filter_map(|(_, out)| {
            let path = out.as_ref()?.lasting.as_ref()?;
            Some(format!("{path}: {}", Failure::in_doubt().with_cure()))
        });
        let said: Vec<String> = said.collect();
        self.warnings.extend(said);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_stopped_is_in_doubt_and_it_stands_in_the_record_of_its_end() {
        let failed = |class| CallResult::Failed(Failure::new(class, "the call was stopped"));
        let (told, stands) = doubted(failed(FailureClass::Cancelled), Stands::Own);
        let CallResult::Failed(failure) = told else {
            panic!("{told:?}");
        };
        assert!(failure.is_in_doubt() && stands == Stands::Nowhere);
        // The time that its profile gives was up: it stays what it is, and says that nobody knows.
        let (told, stands) = doubted(failed(FailureClass::Timeout), Stands::Nowhere);
        assert!(matches!(&told, CallResult::Failed(it) if it.is_in_doubt()
                && it.class == FailureClass::Timeout && it.message == "the call was stopped"));
        assert!(stands == Stands::Nowhere);
        let (told, _) = doubted(failed(FailureClass::Failed), Stands::Nowhere);
        assert!(matches!(&told, CallResult::Failed(it) if it.message == "the call was stopped"));
        let (told, stands) = doubted(CallResult::Output(json!(1)), Stands::Content);
        assert!(matches!(told, CallResult::Output(_)) && stands == Stands::Content);
    }
}
