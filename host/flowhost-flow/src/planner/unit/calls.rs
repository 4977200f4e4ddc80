//! Calls: reserve, ask, and read the answer.
//!
//! Every call passes here, so that none goes out without a reservation and none ends without being
//! settled, whatever it answered. Reservation, grace and part are kept by call, never by step: a unit
//! may have several out.

use std::collections::HashSet;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use flowhost_words::PluginKind;
use serde_json::Value;

use crate::Amounts;
use crate::budget::{AccountId, Refusal};
use crate::exit::{Failure, FailureClass};
use crate::hash::{derive_seed, idempotency_key};
use crate::plan::{Effects, Guard, OnFail};
use crate::planner::core::{Core, Purpose, ScopeId};
use crate::planner::scope::Scope;
use crate::planner::unit::{
    Answer, Ask, Desk, GRACE_MS, Heard, Hungry, Open, Phase, Turn, Unit, Units, Work,
};
use crate::planner::{Action, Call, CallId, CallResult, Note, Part, Verdict};
use crate::schema_check::OutputSchema;

/// A question with everything but its reservation.
#[derive(Debug)]
pub(super) struct Ready {
    ask: Ask,
    /// The plugin's key in the whole run.
    key: String,
    kind: PluginKind,
    /// The guardrail's `with`, rendered.
    config: Value,
}

impl Unit {
    /// Asks the guardrail of a part.
    pub(super) fn guard(&mut self, desk: &mut Desk<'_>, part: Part) -> Turn {
        let spec = Arc::clone(&self.spec);
        self.phase = Phase::Guarding(part);
        let Some(guard) = guard_of(&spec.before, &spec.after, part) else {
            debug_assert!(false, "parts are counted over the step's own guardrails");
            return self.guarded(desk, part);
        };
        let config = match self.render(desk, &guard.with) {
            Ok(config) => config,
            Err(error) => {
                let message = format!("guardrail `{}`: with: {error}", guard.plugin);
                return self.fail(desk, Failure::new(FailureClass::Expression, message));
            }
        };
        let ask = Ask::plain(part, &guard.plugin, None, Arc::clone(&self.subject));
        self.ask(desk, ask, config)
    }

    pub(super) fn ask_all(&mut self, desk: &mut Desk<'_>, asks: Vec<Ask>) -> Turn {
        for ask in asks {
            match (ask.after_ms, ask.part) {
                (1.., Part::Seat(seat)) => self.keep_for_later(desk, seat, ask),
                _ => self.ask(desk, ask, Value::Null)?,
            }
            if !matches!(self.phase, Phase::Working(_)) {
                // One of them was refused: the attempt ends, and the others are not asked any more.
                break;
            }
        }
        Continue(())
    }

    fn keep_for_later(&mut self, desk: &mut Desk<'_>, seat: u32, ask: Ask) {
        let at = desk.core.now.after(ask.after_ms);
        let timer = desk.core.set_timer(at, Purpose::Later(self.id, seat));
        let before = self.later.insert(seat, (timer, ask));
        debug_assert!(before.is_none(), "work uses a seat once");
    }

    /// The time of a question has come.
    pub(super) fn ask_later(&mut self, desk: &mut Desk<'_>, seat: u32) -> Turn {
        let Some((_, ask)) = self.later.remove(&seat) else {
            debug_assert!(false, "whoever takes a question back clears its timer");
            return Continue(());
        };
        self.ask(desk, ask, Value::Null)
    }

    fn ask(&mut self, desk: &mut Desk<'_>, ask: Ask, config: Value) -> Turn {
        let key = format!("{}{}", desk.scope.key_prefix, ask.plugin);
        let Some(kind) = desk
            .scope
            .plan
            .plugins
            .get(&ask.plugin)
            .map(|decl| decl.kind)
        else {
            // The checks of a plan refuse a plugin that it does not declare.
            debug_assert!(false, "the plan was checked, and has no plugin `{key}`");
            let message = format!("the plan has no plugin `{key}`");
            return self.fail(desk, Failure::new(FailureClass::Internal, message));
        };
        let ready = Ready {
            ask,
            key,
            kind,
            config,
        };
        self.reserve(desk, ready)
    }

    /// Sends the call if the budget has room, lets it wait if there may be room later.
    pub(super) fn reserve(&mut self, desk: &mut Desk<'_>, ready: Ready) -> Turn {
        let estimates = &desk.core.setup.estimates;
        let mut most = estimates.get(&ready.key).copied().unwrap_or_default();
        most.calls = 1;
        match desk.core.budget.reserve(self.account.id, &most) {
            Ok(reservation) => {
                let call = self.call(desk, &ready, *reservation.amounts());
                // Counted from when it is asked, not from when it began to wait for budget.
                // Where the attempt is over first, its own timer stops the call.
                let due = ready
                    .ask
                    .timeout_ms
                    .filter(|_| call.deadline < self.deadline);
                let due = due.map(|ms| {
                    let timer = desk.core.set_timer(call.deadline, Purpose::Late(call.id));
                    (timer, ms)
                });
                let open = Open {
                    part: ready.ask.part,
                    reservation,
                    grace: None,
                    due,
                    late: false,
                };
                self.open.insert(call.id, open);
                desk.calls.insert(call.id, self.id);
                desk.core.act(Action::Call(Box::new(call)));
                Continue(())
            }
            Err(Refusal::Wait) => {
                self.waits = true;
                desk.hungry.push_back(Hungry {
                    unit: self.id,
                    account: self.account.id,
                    ask: ready,
                });
                Continue(())
            }
            Err(Refusal::Exceeded(lack)) => {
                let failure =
                    Failure::new(FailureClass::Budget, lack.refused()).with_hint(lack.cure());
                self.fail(desk, failure)
            }
        }
    }

    fn call(&self, desk: &mut Desk<'_>, ready: &Ready, allowance: Amounts) -> Call {
        let (spec, part) = (&self.spec, ready.ask.part);
        let plan = &desk.scope.plan;
        let word = part.word();
        let attempt = self.attempt.to_string();
        let tries = format!("{}{attempt}", desk.scope.tries);
        let seed = derive_seed(desk.core.setup.seed, &[&self.step_id, &tries, &word]);
        let work = !part.is_guard();
        let prompt = spec.prompt.as_ref().filter(|_| work);
        let schema = plan.schema_of(spec).filter(|_| work);
        Call {
            id: desk.core.next_call(),
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            stage: spec.stage.clone(),
            attempt: self.attempt,
            part,
            plugin: ready.key.clone(),
            kind: ready.kind,
            function: ready.ask.function.clone(),
            input: Arc::clone(&ready.ask.input),
            config: ready.config.clone(),
            prompt: prompt.and_then(|_| plan.prompt_of(spec)).cloned(),
            prompt_version: prompt.and_then(|prompt| prompt.version.clone()),
            schema: match &ready.ask.schema {
                Some(schema) => Some(Arc::clone(schema)),
                None => schema.map(OutputSchema::source),
            },
            deadline: match ready.ask.timeout_ms {
                Some(ms) => self.deadline.min(desk.core.now.after(ms)),
                None => self.deadline,
            },
            seed: HEXLOWER.encode(&seed),
            allowance,
            ceilings: desk.core.budget.ceilings(self.account.id),
            // A guardrail looks and does nothing: to ask it twice is to ask it once.
            effects: match work {
                true => spec.effects,
                false => Effects::Idempotent,
            },
            idempotency_key: idempotency_key(&desk.core.setup.run_id, &self.step_id, &word),
        }
    }

    fn answered(&mut self, desk: &mut Desk<'_>, answer: Answer) -> Turn {
        // A placeholder, so that the phase can be taken apart: each way from here sets the next one.
        let phase = std::mem::replace(&mut self.phase, Phase::Backoff);
        // Also where the call overdrew its budget: nobody waits for it, and the next reservation is refused.
        if let Phase::Ending(end) = phase {
            self.answered_at_end(desk, &end, &answer);
            if self.open.is_empty() {
                return self.conclude(desk, end);
            }
            self.phase = Phase::Ending(end);
            return Continue(());
        }
        match &answer.result {
            CallResult::Failed(failure) if failure.is_in_doubt() => {
                self.in_doubt(desk.core, answer.part, failure.class);
            }
            CallResult::Failed(_) | CallResult::Verdict(_) => {}
            CallResult::Output(_) => self.doubt.answered(answer.part),
        }
        if let Some(failure) = answer.exceeded {
            return self.fail(desk, failure);
        }
        match (phase, answer.result) {
            (Phase::Guarding(part), CallResult::Verdict(verdict)) => {
                self.verdict(desk, part, verdict)
            }
            (Phase::Guarding(part), CallResult::Failed(failure)) => {
                let failure = self.of_guard(desk, part, failure);
                self.fail(desk, failure)
            }
            (Phase::Working(work), CallResult::Output(output)) => {
                self.heard(desk, work, answer.part, Ok(output))
            }
            (Phase::Working(work), CallResult::Failed(failure)) => {
                let failure = self.of_prompt(failure);
                self.heard(desk, work, answer.part, Err(failure))
            }
            _ => {
                let message = "the driver answered a call with what it did not ask for";
                self.fail(desk, Failure::new(FailureClass::Internal, message))
            }
        }
    }

    /// An agent knows the text of a prompt and not whose it is: a failure of what it was given gets the file's name. Which
    /// of the two parts it does not take, only its message says, and that is the agent's own text: both are named.
    fn of_prompt(&self, failure: Failure) -> Failure {
        let bare = failure.class == FailureClass::Invalid && failure.hint.is_empty();
        match &self.spec.prompt {
            Some(prompt) if bare => {
                let hint = format!(
                    "the step's prompt is `{}`, and what it is given stands in its `with`",
                    prompt.file
                );
                failure.with_hint(hint)
            }
            _ => failure,
        }
    }

    fn heard(
        &mut self,
        desk: &mut Desk<'_>,
        mut work: Box<dyn Work>,
        part: Part,
        result: Result<Value, Failure>,
    ) -> Turn {
        let next = work.heard(Heard { part, result });
        self.remember(desk, work.remarks());
        self.phase = Phase::Working(work);
        self.moved(desk, next)
    }

    /// The failure of a guardrail says whose it is: what a step takes and what its guardrail takes are two things.
    fn of_guard(&self, desk: &Desk<'_>, part: Part, mut failure: Failure) -> Failure {
        if let Some(guard) = guard_of(&self.spec.before, &self.spec.after, part) {
            let prefix = &desk.scope.key_prefix;
            failure.message = format!(
                "the guardrail `{prefix}{}`: {}",
                guard.plugin, failure.message
            );
        }
        failure
    }

    fn verdict(&mut self, desk: &mut Desk<'_>, part: Part, verdict: Verdict) -> Turn {
        let spec = Arc::clone(&self.spec);
        let Some(guard) = guard_of(&spec.before, &spec.after, part) else {
            debug_assert!(false, "parts are counted over the step's own guardrails");
            return self.guarded(desk, part);
        };
        let (word, findings, rewritten, reason) = match verdict {
            Verdict::Pass { findings } => ("pass", findings, None, None),
            Verdict::Rewrite { subject, findings } => ("rewrite", findings, Some(subject), None),
            Verdict::Deny { reason, findings } => ("deny", findings, None, Some(reason)),
        };
        let warned = reason.is_some() && guard.on_fail == OnFail::Warn;
        if let Some(subject) = rewritten {
            self.subject = Arc::new(subject);
        }
        let plugin = format!("{}{}", desk.scope.key_prefix, guard.plugin);
        desk.core.note(Note::Guardrail {
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            plugin: plugin.clone(),
            part,
            verdict: word,
            findings,
            warned,
        });
        match reason {
            Some(reason) if warned => {
                let message = format!("`{plugin}` denies: {reason}");
                desk.core.warn(&self.path, "guardrail", message);
                self.guarded(desk, part)
            }
            Some(reason) => {
                let message = format!("the guardrail `{plugin}` denies: {reason}");
                self.fail(desk, Failure::new(FailureClass::Guardrail, message))
            }
            None => self.guarded(desk, part),
        }
    }
}

impl Units {
    /// Books what a call used; `None` for a call that was given up before, which means nothing.
    pub(in crate::planner) fn settle(
        &mut self,
        core: &mut Core,
        call: CallId,
        result: CallResult,
        used: &Amounts,
    ) -> Option<Answer> {
        let id = self.calls.remove(&call)?;
        let Some(unit) = self.units.get_mut(&id) else {
            debug_assert!(false, "no unit ends while a call of it is out");
            return None;
        };
        let Some(open) = unit.open.remove(&call) else {
            debug_assert!(false, "a call is listed exactly while its unit has it open");
            return None;
        };
        core.clear_timer(open.grace);
        core.clear_timer(open.due.map(|(timer, _)| timer));
        let result = match open.due.filter(|_| open.late) {
            // Also an output: whether it came a moment after its time must not depend on the moment.
            Some((_, ms)) => {
                let message = format!("the answer took longer than {ms} ms");
                let failure = Failure::new(FailureClass::Timeout, message)
                    .with_hint("raise `agent_timeout:`");
                let doubtful = match &result {
                    CallResult::Failed(failure) => failure.is_in_doubt(),
                    CallResult::Output(_) => unit.once(open.part),
                    CallResult::Verdict(_) => false,
                };
                CallResult::Failed(match doubtful {
                    true => failure.left_in_doubt(),
                    false => failure,
                })
            }
            None => result,
        };
        unit.used.add(used);
        let settled = core.budget.settle(open.reservation, used);
        core.freed = true;
        core.warn_of(&settled, &unit.path);
        let exceeded = settled.exceeded.map(|lack| {
            Failure::new(FailureClass::Budget, lack.overdrawn()).with_hint(lack.cure())
        });
        Some(Answer {
            unit: id,
            scope: unit.seat.scope,
            part: open.part,
            result,
            exceeded,
        })
    }

    /// A call's own time is up: it is stopped, and whatever it answers does not count.
    pub(in crate::planner) fn late(&mut self, core: &mut Core, call: CallId) {
        let unit = self.calls.get(&call).and_then(|id| self.units.get_mut(id));
        let Some(open) = unit.and_then(|unit| unit.open.get_mut(&call)) else {
            debug_assert!(false, "an answer clears the timers of its call");
            return;
        };
        open.late = true;
        if open.grace.is_none() {
            core.act(Action::Cancel {
                call,
                reason: "its time is up".to_owned(),
            });
            let at = core.now.after(GRACE_MS);
            open.grace = Some(core.set_timer(at, Purpose::Grace(call)));
        }
    }

    /// A cancelled call did not answer: it is booked with all that it was allowed.
    pub(in crate::planner) fn give_up(&mut self, core: &mut Core, call: CallId) -> Option<Answer> {
        let unit = self.units.get(self.calls.get(&call)?)?;
        // What it used is not known; it may be all of it.
        let open = unit.open.get(&call)?;
        let allowed = *open.reservation.amounts();
        let path = unit.path.clone();
        let failure = match unit.once(open.part) {
            true => Failure::in_doubt(),
            false => Failure::new(FailureClass::Cancelled, "given up"),
        };
        let answer = self.settle(core, call, CallResult::Failed(failure), &allowed);
        let message = "a cancelled call did not answer and was given up";
        core.warn(&path, "call", message);
        answer
    }

    /// Hands a booked answer to its unit.
    pub(in crate::planner) fn hear(&mut self, core: &mut Core, scope: &Scope, answer: Answer) {
        let unit = answer.unit;
        self.turn(core, scope, unit, |unit, desk| unit.answered(desk, answer));
    }

    /// How many wait for budget.
    pub(in crate::planner) fn waiting(&self) -> usize {
        self.hungry.len()
    }

    /// Whose turn it is to try again, unless their account was refused just now; whoever is passed
    /// over keeps the place behind those that were asked before.
    pub(in crate::planner) fn next_waiting(
        &mut self,
        refused: &HashSet<AccountId>,
    ) -> Option<ScopeId> {
        let hungry = self.hungry.front()?;
        if refused.contains(&hungry.account) {
            let skipped = self.hungry.pop_front();
            self.hungry.extend(skipped);
            return None;
        }
        self.scope_of(hungry.unit)
    }

    /// Lets the first of those that wait try again; returns its account when it was refused again.
    pub(in crate::planner) fn try_again(
        &mut self,
        core: &mut Core,
        scope: &Scope,
    ) -> Option<AccountId> {
        let Hungry { unit, account, ask } = self.hungry.pop_front()?;
        let waiting = self.hungry.len();
        self.turn(core, scope, unit, |unit, desk| unit.reserve(desk, ask));
        (self.hungry.len() > waiting).then_some(account)
    }
}

fn guard_of<'a>(before: &'a [Guard], after: &'a [Guard], part: Part) -> Option<&'a Guard> {
    match part {
        Part::Before(index) => before.get(index as usize),
        Part::After(index) => after.get(index as usize),
        Part::Work | Part::Seat(_) | Part::Handler | Part::Compensation => None,
    }
}
