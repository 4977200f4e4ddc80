//! Calls: reserve, ask, and read the answer.
//!
//! Every call passes here, so that none goes out without a reservation and none ends without being
//! settled, whatever it answered.

use std::sync::Arc;

use serde_json::Value;

use crate::Amounts;
use crate::budget::{AccountId, Refusal};
use crate::exit::{Failure, FailureClass};
use crate::hash::{derive_seed, idempotency_key};
use crate::plan::{OnFail, Step, Work};
use crate::planner::workflow::Workflow;
use crate::planner::workflow::state::{Phase, UnitId};
use crate::planner::workflow::units::step_spec;
use crate::planner::{Action, Call, CallId, CallResult, Note, Part, Verdict};
use crate::schema_check::OutputSchema;

/// What a part calls: plugin, function, configuration.
struct Target {
    plugin: String,
    function: Option<String>,
    config: Value,
}

impl Workflow {
    /// Asks for the call of a part, if the budget has room.
    pub(super) fn call_part(&mut self, name: UnitId, part: Part, spec: &Step) {
        let target = match self.target(name, part, spec) {
            Ok(target) => target,
            Err(failure) => return self.unit_failed(name, failure),
        };
        let Some(account) = self.account_of(name) else {
            return;
        };
        let Some(unit) = self.units.get(&name) else {
            return;
        };
        let Some(scope) = self.scopes.get(unit.at.scope.0) else {
            return;
        };
        let key = format!("{}{}", scope.key_prefix, target.plugin);
        let Some(kind) = scope.plan.plugins.get(&target.plugin).map(|decl| decl.kind) else {
            let message = format!("there is no plugin `{key}`");
            return self.unit_failed(name, Failure::new(FailureClass::Internal, message));
        };
        let mut most = self.setup.estimates.get(&key).copied().unwrap_or_default();
        most.calls = 1;
        let reservation = match self.budget.reserve(account, &most) {
            Ok(reservation) => reservation,
            Err(Refusal::Wait) => return self.hungry.push_back(name),
            Err(Refusal::Exceeded(currency)) => {
                let message = format!("the budget has no {} left", currency.word());
                let failure = Failure::new(FailureClass::Budget, message)
                    .with_hint("raise `budget:` in the plan");
                return self.unit_failed(name, failure);
            }
        };
        self.next_call += 1;
        let id = CallId(self.next_call);
        let allowance = *reservation.amounts();
        let word = part.word();
        let attempt = unit.attempt.to_string();
        let seed = derive_seed(self.setup.seed, &[&unit.step_id, &attempt, &word]);
        let work = matches!(part, Part::Work | Part::Handler);
        let plan = Arc::clone(&scope.plan);
        let call = Call {
            id,
            step_id: unit.step_id.clone(),
            path: unit.path.clone(),
            stage: spec.stage.clone(),
            attempt: unit.attempt,
            part: if unit.handler.is_some() && part == Part::Work {
                Part::Handler
            } else {
                part
            },
            plugin: key,
            kind,
            function: target.function,
            input: Arc::clone(&unit.subject),
            config: target.config,
            prompt: work.then(|| plan.prompt_of(spec)).flatten().cloned(),
            prompt_version: spec
                .prompt
                .as_ref()
                .filter(|_| work)
                .and_then(|prompt| prompt.version.clone()),
            schema: work
                .then(|| plan.schema_of(spec))
                .flatten()
                .map(OutputSchema::source),
            deadline: unit.deadline,
            seed: hex::encode(seed),
            allowance,
            ceilings: self.budget.ceilings(account),
            effects: spec.effects,
            idempotency_key: idempotency_key(&self.setup.run_id, &unit.step_id, &word),
        };
        if let Some(unit) = self.units.get_mut(&name) {
            unit.call = Some(id);
            unit.reservation = Some(reservation);
        }
        self.calls.insert(id, name);
        self.out.push(Action::Call(Box::new(call)));
    }

    fn target(&self, name: UnitId, part: Part, spec: &Step) -> Result<Target, Failure> {
        let guard = match part {
            Part::Before(index) => spec.before.get(index as usize),
            Part::After(index) => spec.after.get(index as usize),
            Part::Work | Part::Handler => None,
        };
        if let Some(guard) = guard {
            let config = self.guard_config(name, &guard.with).map_err(|error| {
                let message = format!("guardrail `{}`: with: {error}", guard.plugin);
                Failure::new(FailureClass::Expression, message)
            })?;
            return Ok(Target {
                plugin: guard.plugin.clone(),
                function: None,
                config,
            });
        }
        match &spec.work {
            Work::Call { plugin, function } => Ok(Target {
                plugin: plugin.clone(),
                function: function.clone(),
                config: Value::Null,
            }),
            Work::Plan { .. } | Work::Barrier(_) => Err(Failure::new(
                FailureClass::Internal,
                "this step calls nothing",
            )),
        }
    }

    /// Takes the answer of a call. An unknown one was given up before and is ignored.
    pub(super) fn call_finished(&mut self, call: CallId, result: CallResult, used: &Amounts) {
        let Some(name) = self.calls.remove(&call) else {
            return;
        };
        let Some(exceeded) = self.settle(name, used) else {
            return;
        };
        self.feed_hungry();
        let Some(unit) = self.units.get(&name) else {
            return;
        };
        if unit.stop.is_some() {
            return self.stopped(name);
        }
        if let Some(failure) = exceeded {
            return self.unit_failed(name, failure);
        }
        let Phase::At(part) = unit.phase else { return };
        match (part, result) {
            (_, CallResult::Failed(failure)) => self.unit_failed(name, failure),
            (Part::Work | Part::Handler, CallResult::Output(output)) => {
                self.work_done(name, output);
            }
            (Part::Before(_) | Part::After(_), CallResult::Verdict(verdict)) => {
                self.verdict(name, part, verdict);
            }
            _ => {
                let message = "the driver answered a call with what it did not ask for";
                self.unit_failed(name, Failure::new(FailureClass::Internal, message));
            }
        }
    }

    /// Books what a call used. The outer `None` means that the unit is gone.
    fn settle(&mut self, name: UnitId, used: &Amounts) -> Option<Option<Failure>> {
        let unit = self.units.get_mut(&name)?;
        unit.call = None;
        unit.used.add(used);
        let path = unit.path.clone();
        let reservation = unit.reservation.take()?;
        let settled = self.budget.settle(reservation, used);
        self.warn_of(&settled, &path);
        Some(settled.exceeded.map(|currency| {
            let message = format!("the call used more {} than the budget had", currency.word());
            Failure::new(FailureClass::Budget, message).with_hint("raise `budget:` in the plan")
        }))
    }

    /// A cancelled call did not answer: it is booked with all that it was allowed.
    pub(super) fn give_up(&mut self, name: UnitId) {
        let Some(unit) = self.units.get(&name) else {
            return;
        };
        let allowed = unit
            .reservation
            .as_ref()
            .map(|held| *held.amounts())
            .unwrap_or_default();
        if let Some(call) = unit.call {
            self.calls.remove(&call);
        }
        let path = unit.path.clone();
        self.settle(name, &allowed);
        self.warn(
            &path,
            "call",
            "a cancelled call did not answer and was given up",
        );
        self.feed_hungry();
        self.stopped(name);
    }

    /// Lets those try again that waited for budget. Who is refused again keeps its place, and with it
    /// everyone behind who spends from the same account.
    pub(super) fn feed_hungry(&mut self) {
        let mut refused: Vec<AccountId> = Vec::new();
        for name in std::mem::take(&mut self.hungry) {
            let Some(account) = self.account_of(name) else {
                continue;
            };
            if refused.contains(&account) {
                self.hungry.push_back(name);
                continue;
            }
            let waiting = self.hungry.len();
            self.advance(name);
            if self.hungry.len() > waiting {
                refused.push(account);
            }
        }
    }

    fn verdict(&mut self, name: UnitId, part: Part, verdict: Verdict) {
        let Some((plan, step)) = self.spec_of(name) else {
            return;
        };
        let Some(spec) = step_spec(&plan, &step) else {
            return;
        };
        let guard = match part {
            Part::Before(index) => spec.before.get(index as usize),
            Part::After(index) => spec.after.get(index as usize),
            Part::Work | Part::Handler => None,
        };
        let Some(guard) = guard else { return };
        let (word, findings, rewritten, reason) = match verdict {
            Verdict::Pass { findings } => ("pass", findings, None, None),
            Verdict::Rewrite { subject, findings } => ("rewrite", findings, Some(subject), None),
            Verdict::Deny { reason, findings } => ("deny", findings, None, Some(reason)),
        };
        let warned = reason.is_some() && guard.on_fail == OnFail::Warn;
        let Some(unit) = self.units.get_mut(&name) else {
            return;
        };
        if let Some(subject) = rewritten {
            unit.subject = Arc::new(subject);
        }
        let (step_id, path) = (unit.step_id.clone(), unit.path.clone());
        let scope = self.scopes.get(unit.at.scope.0);
        let prefix = scope
            .map(|scope| scope.key_prefix.as_str())
            .unwrap_or_default();
        let plugin = format!("{prefix}{}", guard.plugin);
        self.note(Note::Guardrail {
            step_id,
            path: path.clone(),
            plugin: plugin.clone(),
            part,
            verdict: word,
            findings,
            warned,
        });
        match reason {
            Some(reason) if warned => {
                self.warn(&path, "guardrail", format!("`{plugin}` denies: {reason}"));
                self.guard_done(name, part);
            }
            Some(reason) => {
                let message = format!("the guardrail `{plugin}` denies: {reason}");
                self.unit_failed(name, Failure::new(FailureClass::Guardrail, message));
            }
            None => self.guard_done(name, part),
        }
    }
}
