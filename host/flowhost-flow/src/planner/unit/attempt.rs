//! The transitions of a unit within its attempts.

use std::ops::ControlFlow::{Break, Continue};
use std::sync::Arc;

use serde_json::Value;

use crate::consensus::Verdict;
use crate::exit::{Failure, FailureClass};
use crate::expr::EvalError;
use crate::handed::Room;
use crate::hash::derive_seed;
use crate::plan::{Consensus, OnFail, Work as Spec, limits};
use crate::planner::core::{Job, Opening, Purpose};
use crate::planner::unit::panel::{Convened, Panel};
use crate::planner::unit::work::{Remark, Single};
use crate::planner::unit::{Desk, End, GRACE_MS, Move, Phase, Role, Stop, Turn, Unit, Work};
use crate::planner::{Action, Note, Part};

/// Bytes of JSON that make a token, as a rule of thumb: what a provider counts is known for its whole
/// answer, and not for what became of several.
const BYTES_PER_TOKEN: u64 = 4;

impl Unit {
    /// The first attempt: the input is rendered once, for all attempts.
    pub(super) fn begin(&mut self, desk: &mut Desk<'_>) -> Turn {
        self.count_attempt(desk);
        match self.render(desk, &Arc::clone(&self.spec).with) {
            Ok(input) => {
                self.rendered = Arc::new(input);
                self.subject = Arc::clone(&self.rendered);
                self.first_part(desk)
            }
            Err(error) => {
                let message = format!("with: {error}");
                self.fail(desk, Failure::new(FailureClass::Expression, message))
            }
        }
    }

    pub(super) fn next_attempt(&mut self, desk: &mut Desk<'_>) -> Turn {
        debug_assert!(
            matches!(self.phase, Phase::Backoff),
            "the timer of a wait is cleared when the wait ends otherwise"
        );
        self.count_attempt(desk);
        self.subject = Arc::clone(&self.rendered);
        self.first_part(desk)
    }

    /// Counts the attempt, sets its deadline and says so.
    pub(super) fn count_attempt(&mut self, desk: &mut Desk<'_>) {
        self.attempt += 1;
        self.consensus = None;
        self.deadline = desk.core.now.after(self.spec.timeout_ms);
        let timer = desk
            .core
            .set_timer(self.deadline, Purpose::Attempt(self.id));
        self.timer = Some(timer);
        desk.core.note(Note::StepStarted {
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            stage: self.spec.stage.clone(),
            attempt: self.attempt,
        });
    }

    fn first_part(&mut self, desk: &mut Desk<'_>) -> Turn {
        match self.spec.before.is_empty() {
            true => self.work(desk),
            false => self.guard(desk, Part::Before(0)),
        }
    }

    fn work(&mut self, desk: &mut Desk<'_>) -> Turn {
        match &Arc::clone(&self.spec).work {
            Spec::Plan { reference } => return self.open_sub_plan(desk, reference),
            Spec::Consensus(spec) => return self.convene(desk, spec),
            Spec::Gate(gate) => return self.wait(desk, gate),
            Spec::Emit { subject, payload } => return self.emit(desk, subject, payload),
            Spec::Call { .. } | Spec::Barrier(_) => {}
        }
        let part = match self.seat.role {
            Role::Handler => Part::Handler,
            Role::Compensation => Part::Compensation,
            Role::Whole | Role::Item(_) => Part::Work,
        };
        match Single::of(&self.spec, part, &self.subject) {
            Some(single) => self.begin_work(desk, Box::new(single)),
            None => {
                debug_assert!(false, "barriers are not done by a unit");
                let message = "this step calls nothing";
                self.fail(desk, Failure::new(FailureClass::Internal, message))
            }
        }
    }

    pub(super) fn begin_work(&mut self, desk: &mut Desk<'_>, mut work: Box<dyn Work>) -> Turn {
        let asks = work.begin();
        debug_assert!(!asks.is_empty(), "work that asks nothing would never end");
        self.remember(desk, work.remarks());
        self.phase = Phase::Working(work);
        self.ask_all(desk, asks)
    }

    /// The agents of a consensus come together.
    fn convene(&mut self, desk: &mut Desk<'_>, spec: &Arc<Consensus>) -> Turn {
        let plan = &desk.scope.plan;
        let prompt = plan.prompt_of(&self.spec);
        let prompt_chars = prompt.map_or(0, |text| text.chars().count());
        let convened = Convened {
            duplicates: match spec.distinct {
                true => self.duplicates(desk, spec),
                false => Vec::new(),
            },
            spec: Arc::clone(spec),
            input: Arc::clone(&self.subject),
            stage: self.spec.stage.clone(),
            schema: plan.schema_of(&self.spec).cloned(),
            prompt_chars,
            retry: self.spec.retry.clone(),
            seed: desk.core.setup.seed,
            step_id: self.step_id.clone(),
            attempt: self.attempt,
        };
        self.begin_work(desk, Box::new(Panel::new(convened)))
    }

    /// The agents that are what one before them is: the same component with the same configuration.
    fn duplicates(&self, desk: &Desk<'_>, spec: &Consensus) -> Vec<String> {
        let mut seen: Vec<(&String, Value)> = Vec::new();
        let mut duplicates = Vec::new();
        for agent in &spec.agents {
            let key = format!("{}{agent}", desk.scope.key_prefix);
            let component = desk.core.setup.components.get(&key);
            let decl = desk.scope.plan.plugins.get(agent);
            let config = decl.and_then(|decl| self.render(desk, &decl.config).ok());
            // What is not known is like no other.
            let (Some(component), Some(config)) = (component, config) else {
                continue;
            };
            match seen
                .iter()
                .any(|(c, it)| **c == *component && *it == config)
            {
                true => duplicates.push(agent.clone()),
                false => seen.push((component, config)),
            }
        }
        duplicates
    }

    /// Records what the work remarks.
    pub(super) fn remember(&mut self, desk: &mut Desk<'_>, remarks: Vec<Remark>) {
        for remark in remarks {
            match remark {
                Remark::Warning(message) => desk.core.warn(&self.path, "consensus", message),
                Remark::Verdict(verdict) => {
                    desk.core.note(Note::Consensus {
                        step_id: self.step_id.clone(),
                        path: self.path.clone(),
                        attempt: self.attempt,
                        verdict: Arc::clone(&verdict),
                    });
                    self.consensus = Some(verdict);
                }
            }
        }
    }

    pub(super) fn moved(&mut self, desk: &mut Desk<'_>, next: Move) -> Turn {
        match next {
            Move::Ask(asks) => self.ask_all(desk, asks),
            Move::End(Ok(output)) => self.wind_down(desk, End::Done(output)),
            Move::End(Err(failure)) => self.wind_down(desk, End::Failed(failure)),
        }
    }

    fn open_sub_plan(&mut self, desk: &mut Desk<'_>, reference: &str) -> Turn {
        let scope = desk.scope;
        let Some(plan) = scope.plan.sub_plan(reference).cloned() else {
            // `planner_for` refuses a plan whose sub-plans are not attached.
            debug_assert!(false, "the plan `{reference}` was not attached");
            let message = format!("the plan `{reference}` was not attached");
            return self.fail(desk, Failure::new(FailureClass::Internal, message));
        };
        let key_prefix = format!("{}{reference}::", scope.key_prefix);
        if key_prefix.matches("::").count() > limits::SUB_PLAN_DEPTH_MAX {
            let message = "plans within plans nest too deeply";
            return self.fail(desk, Failure::new(FailureClass::Limit, message));
        }
        let given = match self.subject.as_ref() {
            Value::Object(given) => given.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            _ => std::collections::BTreeMap::new(),
        };
        match plan.bind_inputs(&given) {
            Ok(inputs) => {
                self.phase = Phase::Opening;
                let opening = Opening {
                    account: self.account.id,
                    plan,
                    key_prefix,
                    path_prefix: format!("{}/", self.path),
                    tries: format!("{}{}.", scope.tries, self.attempt),
                    inputs: Value::Object(inputs),
                };
                let job = Job::Open(self.id, Box::new(opening));
                desk.core.jobs.push_back(job);
                Continue(())
            }
            Err(problems) => {
                let messages: Vec<_> = problems.into_iter().map(|it| it.message).collect();
                let hint = format!("`inputs:` of `{reference}` says what `with:` may give");
                let failure = Failure::new(FailureClass::Invalid, messages.join("; "));
                self.fail(desk, failure.with_hint(hint))
            }
        }
    }

    pub(super) fn sub_ended(
        &mut self,
        desk: &mut Desk<'_>,
        result: Result<Value, Failure>,
    ) -> Turn {
        let stop = match self.phase {
            Phase::Sub { scope, stop } => {
                self.sub_was_in_doubt(desk.core, scope);
                stop
            }
            _ => {
                debug_assert!(false, "only a unit whose sub-plan runs hears of its end");
                None
            }
        };
        let end = match (stop, result) {
            (Some(stop), _) => End::Stopped(stop),
            (None, Ok(output)) => End::Done(output),
            (None, Err(failure)) => End::Failed(failure),
        };
        self.wind_down(desk, end)
    }

    /// The guardrail at `part` let the subject through.
    pub(super) fn guarded(&mut self, desk: &mut Desk<'_>, part: Part) -> Turn {
        match part {
            Part::Before(index) if (index as usize) + 1 < self.spec.before.len() => {
                self.guard(desk, Part::Before(index + 1))
            }
            Part::After(index) if (index as usize) + 1 < self.spec.after.len() => {
                self.guard(desk, Part::After(index + 1))
            }
            Part::Before(_) => self.work(desk),
            Part::After(_) | Part::Work | Part::Seat(_) | Part::Handler | Part::Compensation => {
                self.judge(desk)
            }
        }
    }

    /// Schema, length and checks, on the output as the guardrails left it. The schema comes first, so that a check
    /// may read what it promises.
    fn judge(&mut self, desk: &mut Desk<'_>) -> Turn {
        let output = std::mem::take(&mut self.subject);
        let schema = desk.scope.plan.schema_of(&self.spec);
        if let Some(violations) = schema.and_then(|schema| schema.violations(&output)) {
            let message = format!("the output does not match its schema: {violations}");
            return self.fail(desk, Failure::new(FailureClass::Output, message));
        }
        if let Some(failure) = self.count_tokens(desk, &output) {
            return self.fail(desk, failure);
        }
        match self.check(desk, &output) {
            Ok(()) => {
                // Of agents that were asked, and that the others decided without.
                self.tell_doubt(desk.core);
                Break(Ok(Arc::unwrap_or_clone(output)))
            }
            Err(failure) => self.fail(desk, failure),
        }
    }

    /// Holds the output's length against the range that the plan wants.
    fn count_tokens(&self, desk: &mut Desk<'_>, output: &Value) -> Option<Failure> {
        let range = self.spec.output_tokens.as_ref()?;
        let tokens = (output.to_string().len() as u64).div_ceil(BYTES_PER_TOKEN);
        if (range.min..=range.max).contains(&tokens) {
            return None;
        }
        let (min, max) = (range.min, range.max);
        let message = format!("the output has about {tokens} tokens; {min} to {max} are wanted");
        match range.on_fail {
            OnFail::Warn => {
                desk.core.warn(&self.path, "check", message);
                None
            }
            OnFail::Halt => Some(Failure::new(FailureClass::Check, message)),
        }
    }

    fn check(&self, desk: &mut Desk<'_>, output: &Value) -> Result<(), Failure> {
        let mut first = None;
        let consensus = self.consensus.as_deref().map(as_value);
        // All of them, also after one that fails: whoever mends the output learns of everything at once.
        for check in &self.spec.checks {
            let mut names = self.names();
            names.push(("output", output));
            names.extend(consensus.as_ref().map(|verdict| ("consensus", verdict)));
            let id = &check.id;
            let message = match desk.scope.holds(desk.core, &check.that, &names) {
                Ok(true) => None,
                Ok(false) => {
                    let source = check.that.source();
                    Some(format!("the check `{id}` does not hold: {source}"))
                }
                Err(error) => Some(format!("the check `{id}` cannot be evaluated: {error}")),
            };
            desk.core.note(Note::Check {
                step_id: self.step_id.clone(),
                path: self.path.clone(),
                id: id.clone(),
                holds: message.is_none(),
            });
            if message.is_some() {
                desk.core.check_failed();
            }
            match (message, check.on_fail) {
                (Some(message), OnFail::Warn) => desk.core.warn(&self.path, "check", message),
                (Some(message), OnFail::Halt) if first.is_none() => {
                    first = Some(Failure::new(FailureClass::Check, message));
                }
                _ => {}
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Ends the attempt once no call of it is out: cancels what is, and waits for it.
    pub(super) fn wind_down(&mut self, desk: &mut Desk<'_>, end: End) -> Turn {
        self.ask_no_more(desk);
        // What is out has money reserved: it is booked before anything else is asked (ADR 0010).
        if self.open.is_empty() {
            return self.conclude(desk, end);
        }
        let reason = match &end {
            End::Stopped(stop) => stop.reason(),
            End::Done(_) | End::Failed(_) => "the work is decided without it",
        };
        for (call, open) in &mut self.open {
            // One whose own time was up was cancelled then.
            if open.grace.is_none() {
                desk.core.act(Action::Cancel {
                    call: *call,
                    reason: reason.to_owned(),
                });
                let at = desk.core.now.after(GRACE_MS);
                open.grace = Some(desk.core.set_timer(at, Purpose::Grace(*call)));
            }
        }
        self.phase = Phase::Ending(end);
        Continue(())
    }

    /// The last call of an attempt that is being ended has answered.
    pub(super) fn conclude(&mut self, desk: &mut Desk<'_>, end: End) -> Turn {
        match end {
            End::Done(output) => {
                self.subject = Arc::new(output);
                match self.spec.after.is_empty() {
                    true => self.judge(desk),
                    false => self.guard(desk, Part::After(0)),
                }
            }
            End::Failed(failure) => self.fail(desk, failure),
            End::Stopped(Stop::Timeout) => {
                let limit = self.spec.timeout_ms;
                let message = format!("the attempt took longer than its timeout of {limit} ms");
                let failure = Failure::new(FailureClass::Timeout, message)
                    .with_hint("raise the step's `timeout:`");
                self.fail(desk, failure)
            }
            // Not by `fail`: what is not wanted any more is not tried again.
            End::Stopped(Stop::Cancelled) => {
                self.tell_doubt(desk.core);
                Break(Err(self.placed(Failure::new(
                    FailureClass::Cancelled,
                    "stopped before its end",
                ))))
            }
        }
    }

    /// The attempt failed: what is out is awaited, then there is another one, or the end.
    pub(super) fn fail(&mut self, desk: &mut Desk<'_>, failure: Failure) -> Turn {
        if !self.open.is_empty() {
            return self.wind_down(desk, End::Failed(failure));
        }
        self.ask_no_more(desk);
        let failure = self.placed(failure);
        let names = [self.step_id.as_str(), &self.attempt.to_string(), "backoff"];
        let seed = derive_seed(desk.core.setup.seed, &names);
        let wait = self.spec.retry.next(self.attempt, failure.class, seed);
        // What takes effects back works while its run stops, and because it does.
        let goes_on = !desk.scope.is_stopping() || self.seat.role == Role::Compensation;
        let Some(wait) = wait.filter(|_| goes_on && !self.doubt.forbids_more()) else {
            self.tell_doubt(desk.core);
            return Break(Err(self.doubt.placed_on(failure)));
        };
        let at = desk.core.now.after(wait);
        desk.core.note(Note::Retrying {
            step_id: self.step_id.clone(),
            path: self.path.clone(),
            attempt: self.attempt,
            failure,
            at,
        });
        desk.core.clear_timer(self.timer.take());
        self.timer = Some(desk.core.set_timer(at, Purpose::Backoff(self.id)));
        self.phase = Phase::Backoff;
        Continue(())
    }

    /// Takes back what waits for its time or for budget. Looked for only where something may wait: the
    /// line is shared.
    fn ask_no_more(&mut self, desk: &mut Desk<'_>) {
        for (timer, _) in std::mem::take(&mut self.later).into_values() {
            desk.core.clear_timer(Some(timer));
        }
        if std::mem::take(&mut self.waits) {
            desk.hungry.retain(|hungry| hungry.unit != self.id);
        }
    }

    fn placed(&self, mut failure: Failure) -> Failure {
        if failure.step.is_empty() {
            failure.step.clone_from(&self.path);
        }
        failure
    }

    pub(super) fn stop(&mut self, desk: &mut Desk<'_>, stop: Stop) -> Turn {
        match &mut self.phase {
            // It is being stopped already, or has failed, which its time cannot make worse.
            Phase::Ending(End::Stopped(_)) | Phase::Sub { stop: Some(_), .. } => Continue(()),
            Phase::Ending(End::Failed(_)) if stop == Stop::Timeout => Continue(()),
            Phase::Ending(end) => {
                *end = End::Stopped(stop);
                Continue(())
            }
            Phase::Sub { scope, stop: place } => {
                *place = Some(stop);
                let failure = Failure::new(FailureClass::Cancelled, stop.reason());
                desk.core.jobs.push_back(Job::Halt(*scope, failure));
                desk.core.clear_timer(self.timer.take());
                Continue(())
            }
            Phase::Waiting(gate) => {
                let gate = *gate;
                self.close(desk, gate);
                self.wind_down(desk, End::Stopped(stop))
            }
            Phase::Guarding(_) | Phase::Working(_) | Phase::Opening | Phase::Backoff => {
                desk.core.clear_timer(self.timer.take());
                self.wind_down(desk, End::Stopped(stop))
            }
        }
    }

    /// The names that the unit has in reach besides those of its scope.
    pub(super) fn names(&self) -> Vec<(&str, &Value)> {
        let names = self.names.iter();
        names.map(|(name, value)| (name.as_str(), value)).collect()
    }

    pub(super) fn render(
        &self,
        desk: &Desk<'_>,
        template: &crate::expr::Template,
    ) -> Result<Value, EvalError> {
        let value = desk.scope.render(desk.core, template, &self.names())?;
        Room::new().fit(value)
    }
}

/// A verdict as expressions see it.
pub(in crate::planner) fn as_value(verdict: &Verdict) -> Value {
    let value = serde_json::to_value(verdict);
    debug_assert!(value.is_ok(), "a verdict holds what JSON can carry");
    value.unwrap_or_default()
}
