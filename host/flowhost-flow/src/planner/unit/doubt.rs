//! Calls that were at work when their time was up, and said nothing themselves: nobody knows whether they had their
//! effect, as after a crash.
//!
//! A step that says `effects: once` is not tried again after one, whatever its `retry` says, and neither is a step whose
//! sub-plan has such a step. Another step is: its calls carry the same key, and one that answers settles what the
//! ones before it left open. Must not judge whether a call can have had an effect: whoever made it says so.

use crate::exit::{Failure, FailureClass};
use crate::plan::Effects;
use crate::planner::core::{Core, ScopeId};
use crate::planner::unit::{Answer, Desk, End, Stop, Unit};
use crate::planner::{CallResult, Part};

/// What is not known of a unit's work.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// Parts of it with a call that is in doubt, where no later call has answered.
    open: Vec<Part>,
    /// The last of them ended by itself.
    unanswered: bool,
    /// What must not be done twice may have been done.
    once: bool,
    /// It was said when the unit was stopped, of the first call that answered so: the same is true of all of them.
    told: bool,
}

impl Doubt {
    /// A later call of the same part has answered: what had the effect before had it under the same key. An agent of a
    /// consensus that is asked again has another seat, and another key, since it is asked something else.
    pub(super) fn answered(&mut self, part: Part) {
        self.open.retain(|it| *it != part);
    }

    pub(super) const fn forbids_more(&self) -> bool {
        self.once
    }

    /// The failure of a unit that is over, with what to look for.
    pub(super) fn placed_on(&self, failure: Failure) -> Failure {
        match self.open.is_empty() {
            true => failure,
            false => failure.with_look(self.once),
        }
    }
}

impl Unit {
    /// Whether what this part of the step does must not be done twice.
    pub(super) fn once(&self, part: Part) -> bool {
        self.spec.effects == Effects::Once && !part.is_guard()
    }

    /// A call was ended while it was at work, or ended while what it had asked had not answered.
    pub(super) fn in_doubt(&mut self, core: &mut Core, part: Part, why: FailureClass) {
        let ended = matches!(why, FailureClass::Timeout | FailureClass::Cancelled);
        self.doubt.unanswered = !ended;
        if !self.doubt.open.contains(&part) {
            self.doubt.open.push(part);
        }
        if self.once(part) {
            self.never_again(core);
        }
    }

    fn never_again(&mut self, core: &mut Core) {
        self.doubt.once = true;
        core.doubtful.insert(self.seat.scope);
    }

    /// A call of an attempt that is being ended has answered.
    pub(super) fn answered_at_end(&mut self, desk: &mut Desk<'_>, end: &End, answer: &Answer) {
        let once = self.once(answer.part);
        match (&answer.result, end) {
            (CallResult::Failed(failure), End::Stopped(Stop::Cancelled))
                if failure.is_in_doubt() =>
            {
                let told = match failure.in_doubt {
                    true => Failure::in_doubt().with_cure(),
                    false => failure.with_cure(),
                };
                if !std::mem::replace(&mut self.doubt.told, true) {
                    desk.core.warn(&self.path, "call", told);
                }
                // Said already, also of an attempt before this one.
                self.doubt.open.clear();
                if once {
                    self.never_again(desk.core);
                }
            }
            (CallResult::Failed(failure), _) if failure.is_in_doubt() => {
                self.in_doubt(desk.core, answer.part, failure.class);
            }
            // It came to its end in the moment in which its time was up.
            (CallResult::Output(_), End::Stopped(Stop::Timeout)) if once => {
                self.in_doubt(desk.core, answer.part, FailureClass::Timeout);
            }
            (CallResult::Output(_), _) => self.doubt.answered(answer.part),
            (CallResult::Failed(_) | CallResult::Verdict(_), _) => {}
        }
    }

    /// The sub-plan has ended: to do it anew would do anew what is in doubt in it.
    pub(super) fn sub_was_in_doubt(&mut self, core: &mut Core, sub: ScopeId) {
        if core.doubtful.remove(&sub) {
            self.never_again(core);
        }
    }

    /// Says of a unit that is over what nobody knows of it. Not before: an attempt that follows may still answer.
    pub(super) fn tell_doubt(&self, core: &mut Core) {
        if !self.doubt.open.is_empty() {
            let doubt = match self.doubt.unanswered {
                true => Failure::unanswered(),
                false => Failure::in_doubt(),
            };
            core.warn(&self.path, "call", doubt.with_cure());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exit::Exit;
    use crate::planner::harness::{Run, plan};
    use crate::planner::{Event, Note};

    const TRIES: &str = "timeout: 2s, retry: {max_attempts: 3, retry_on: [timeout, transient]}";

    fn stopped() -> CallResult {
        CallResult::Failed(Failure::in_doubt())
    }

    /// By the limit of its profile, which the host tells without the planner's word.
    fn late() -> CallResult {
        CallResult::Failed(Failure::new(FailureClass::Timeout, "deadline").left_in_doubt())
    }

    fn told(run: &Run) -> Vec<&str> {
        let told = run.notes.iter().filter_map(|note| match note {
            Note::Warning { path, about, .. } if *about == "call" => Some(path.as_str()),
            _ => None,
        });
        told.collect()
    }

    #[test]
    fn what_must_not_be_done_twice_is_not_tried_again_after_its_time_was_up() {
        for by_limit in [false, true] {
            let mut run = Run::of(&format!(
                "steps:\n  a: {{uses: t, effects: once, {TRIES}}}\n"
            ));
            if by_limit {
                run.answer("a", late());
            } else {
                run.tick();
                run.answer("a", stopped());
            }
            assert!(run.calls.is_empty() && run.end.is_some(), "{by_limit}");
            assert_eq!(run.exit(), Exit::Limit);
            assert_eq!(told(&run), ["a"]);
            let failure = run.summary("a").failure.clone().unwrap();
            assert_eq!(failure.class, FailureClass::Timeout);
            assert!(failure.hint.contains("look whether it happened"));
            assert!(failure.hint.contains("is not tried again"));
        }
    }

    #[test]
    fn an_answer_that_comes_when_its_time_is_up_does_not_let_it_be_done_twice_either() {
        let mut run = Run::of(&format!(
            "steps:\n  a: {{uses: t, effects: once, {TRIES}}}\n"
        ));
        run.tick();
        run.ok("a", json!(1));
        assert!(run.calls.is_empty());
        assert_eq!(run.exit(), Exit::Limit);
        assert_eq!(told(&run), ["a"]);
    }

    #[test]
    fn what_asked_and_got_no_answer_is_not_tried_again_where_it_must_not_be_done_twice() {
        let unanswered = || {
            let failure = Failure::new(FailureClass::Transient, "the connection broke");
            CallResult::Failed(failure.left_in_doubt())
        };
        let mut run = Run::of(&format!(
            "steps:\n  a: {{uses: t, effects: once, {TRIES}}}\n"
        ));
        run.answer("a", unanswered());
        assert!(run.calls.is_empty() && run.end.is_some());
        assert_eq!(told(&run), ["a"]);
        let failure = run.summary("a").failure.clone().unwrap();
        assert_eq!(failure.class, FailureClass::Transient);
        assert!(failure.hint.contains("is not tried again"));
        // A keyed one is, under its key.
        let mut run = Run::of(&format!("steps:\n  a: {{uses: t, {TRIES}}}\n"));
        run.answer("a", unanswered());
        run.tick();
        run.ok("a", json!(1));
        assert_eq!(run.exit(), Exit::Ok);
        assert!(told(&run).is_empty());
    }

    #[test]
    fn a_failure_of_its_own_is_tried_again_also_where_it_must_not_be_done_twice() {
        let mut run = Run::of(&format!(
            "steps:\n  a: {{uses: t, effects: once, {TRIES}}}\n"
        ));
        run.fail("a", FailureClass::Transient);
        run.tick();
        run.ok("a", json!(1));
        assert_eq!(run.exit(), Exit::Ok);
        assert!(told(&run).is_empty());
    }

    #[test]
    fn what_is_keyed_is_tried_again_and_an_answer_settles_the_doubt() {
        let body = format!("steps:\n  a: {{uses: t, {TRIES}}}\n");
        let mut run = Run::of(&body);
        let key = run.call("a").idempotency_key.clone();
        run.tick();
        run.answer("a", stopped());
        run.tick();
        assert_eq!(run.call("a").idempotency_key, key);
        run.ok("a", json!(1));
        assert_eq!(run.exit(), Exit::Ok);
        assert!(told(&run).is_empty());
        // Also one that answers when its time is up.
        let mut run = Run::of(&body);
        run.tick();
        run.answer("a", stopped());
        run.tick();
        run.tick();
        run.ok("a", json!(1));
        run.tick();
        run.fail("a", FailureClass::Denied);
        assert_eq!(run.exit(), Exit::Denied);
        assert!(told(&run).is_empty());
        // One that only fails settles nothing.
        let mut run = Run::of(&body);
        run.tick();
        run.answer("a", stopped());
        run.tick();
        run.fail("a", FailureClass::Denied);
        assert_eq!(run.exit(), Exit::Denied);
        assert_eq!(told(&run), ["a"]);
    }

    #[test]
    fn an_agent_that_a_consensus_asks_again_settles_no_doubt_of_before() {
        let body = "  a: {kind: agent, source: ./a.wasm, profile: p}\n  \
                    b: {kind: agent, source: ./b.wasm, profile: p}\nsteps:\n  \
                    s: {consensus: {agents: [a, b], rule: unanimous, vote: /n, agent_timeout: 2s}, \
                    retry: {max_attempts: 2, retry_on: [timeout]}, timeout: 1m}\n";
        for doubtful in [true, false] {
            let mut run = Run::of(body);
            run.answer("s", CallResult::Output(json!({ "n": 1 })));
            run.tick();
            let at_work = match doubtful {
                true => stopped(),
                false => CallResult::Failed(Failure::new(FailureClass::Cancelled, "stopped")),
            };
            run.answer("s", at_work);
            run.tick();
            run.answer("s", CallResult::Output(json!({ "n": 1 })));
            assert_eq!(run.exit(), Exit::Ok);
            let expected: &[&str] = if doubtful { &["s"] } else { &[] };
            assert_eq!(told(&run), expected);
        }
    }

    #[test]
    fn of_agents_that_are_stopped_together_it_is_said_once() {
        let mut run = Run::of(
            "  a: {kind: agent, source: ./a.wasm, profile: p}\n  \
             b: {kind: agent, source: ./b.wasm, profile: p}\nsteps:\n  \
             s: {consensus: {agents: [a, b], rule: unanimous, vote: /n}}\n",
        );
        let reason = "enough".to_owned();
        run.feed(Event::Cancelled { reason });
        run.answer("s", stopped());
        run.answer("s", stopped());
        assert_eq!(run.exit(), Exit::Interrupted);
        assert_eq!(told(&run), ["s"]);
    }

    #[test]
    fn a_sub_plan_with_such_a_step_is_not_done_anew() {
        let body = "steps:\n  a: {uses: 'plan:sub.yaml', timeout: 1m, retry: {max_attempts: 2, retry_on: [timeout]}}\n";
        let mut outer = plan(body);
        let inner = plan("steps:\n  b: {uses: t, effects: once, timeout: 2s}\n");
        outer.attach_plan("sub.yaml", inner).unwrap();
        let mut run = Run::new(outer);
        run.tick();
        run.answer("a/b", stopped());
        assert!(run.calls.is_empty() && run.end.is_some());
        assert_eq!(told(&run), ["a/b"]);
    }
}
