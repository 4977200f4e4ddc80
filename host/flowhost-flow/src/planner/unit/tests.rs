//! A unit with several calls out at once: budget, cancellation, time and failure are kept for each.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Ask, Heard, Move, Role, Seat, Start, Stop, Units, Work};
use crate::budget::Amounts;
use crate::exit::{Failure, FailureClass};
use crate::plan::{Body, Plan};
use crate::planner::core::{Core, Job, Purpose, ScopeId};
use crate::planner::harness;
use crate::planner::scope::{Scope, pending_results};
use crate::planner::{Action, Call, CallId, CallResult, Part, Time, TimerId};

/// Asks so many at once and ends with the first `enough` outputs, or when that is out of reach.
#[derive(Debug)]
struct Panel {
    seats: u32,
    enough: usize,
    outputs: BTreeMap<String, Value>,
    failed: usize,
}

impl Work for Panel {
    fn begin(&mut self) -> Vec<Ask> {
        let seats = 0..self.seats;
        seats
            .map(|seat| {
                let input = Arc::new(json!({ "seat": seat }));
                Ask::plain(Part::Seat(seat), "t", None, input)
            })
            .collect()
    }

    fn heard(&mut self, heard: Heard) -> Move {
        match heard.result {
            Ok(output) => {
                self.outputs.insert(heard.part.word(), output);
            }
            Err(_) => self.failed += 1,
        }
        if self.outputs.len() == self.enough {
            return Move::End(Ok(json!(self.outputs)));
        }
        if self.seats as usize - self.failed < self.enough {
            let failure = Failure::new(FailureClass::Transient, "too few answered");
            return Move::End(Err(failure));
        }
        Move::Ask(Vec::new())
    }
}

/// One asks the next: each sees what came before.
#[derive(Debug)]
struct Relay {
    left: u32,
}

impl Relay {
    fn ask(&self, input: Value) -> Ask {
        Ask::plain(Part::Seat(3 - self.left), "t", None, Arc::new(input))
    }
}

impl Work for Relay {
    fn begin(&mut self) -> Vec<Ask> {
        vec![self.ask(json!([]))]
    }

    fn heard(&mut self, heard: Heard) -> Move {
        self.left -= 1;
        match heard.result {
            Ok(output) if self.left == 0 => Move::End(Ok(output)),
            Ok(output) => Move::Ask(vec![self.ask(output)]),
            Err(failure) => Move::End(Err(failure)),
        }
    }
}

/// A unit at its work, without a body around it.
struct Bench {
    core: Core,
    units: Units,
    scope: Scope,
    timers: BTreeMap<TimerId, Time>,
    calls: Vec<Call>,
    cancelled: Vec<CallId>,
}

impl Bench {
    fn new(body: &str, estimate: u64, work: impl FnOnce(u32) -> Box<dyn Work>) -> Self {
        let plan: Arc<Plan> = Arc::new(harness::plan(body));
        let tokens = Amounts {
            tokens: estimate,
            ..Amounts::default()
        };
        let estimates = BTreeMap::from([("t".to_owned(), tokens)]);
        let setup = harness::setup(&plan, estimates, json!({}));
        let mut core = Core::new(&plan, setup);
        let account = core.account(core.budget.root(), None);
        let scope = Scope {
            id: ScopeId(0),
            results: pending_results(&plan),
            key_prefix: String::new(),
            path_prefix: String::new(),
            tries: String::new(),
            parent: None,
            inputs: Value::Null,
            last_failure: Value::Null,
            live: 1,
            account,
            used: Amounts::default(),
            failure: None,
            plan,
        };
        let Body::Workflow { steps } = &scope.plan.body else {
            unreachable!()
        };
        let mut units = Units::default();
        let start = Start {
            seat: Seat {
                scope: ScopeId(0),
                slot: 0,
                role: Role::Whole,
            },
            spec: Arc::clone(&steps[0]),
            path: "a".to_owned(),
            account,
            names: Vec::new(),
        };
        units.start_with(&mut core, &scope, start, work(3));
        let mut bench = Self {
            core,
            units,
            scope,
            timers: BTreeMap::new(),
            calls: Vec::new(),
            cancelled: Vec::new(),
        };
        bench.perform();
        bench
    }

    fn perform(&mut self) {
        for action in self.core.answer() {
            match action {
                Action::Call(call) => self.calls.push(*call),
                Action::Cancel { call, .. } => self.cancelled.push(call),
                Action::SetTimer { timer, at } => {
                    self.timers.insert(timer, at);
                }
                Action::ClearTimer { timer } => {
                    self.timers.remove(&timer);
                }
                Action::Note(_)
                | Action::Reply { .. }
                | Action::Finish(_)
                | Action::OpenGate(_)
                | Action::CloseGate { .. } => {}
            }
        }
    }

    fn answer(&mut self, call: u64, result: CallResult, tokens: u64) {
        let used = Amounts {
            calls: 1,
            tokens,
            ..Amounts::default()
        };
        let answer = self
            .units
            .settle(&mut self.core, CallId(call), result, &used);
        self.units
            .hear(&mut self.core, &self.scope, answer.unwrap());
        self.perform();
    }

    fn ok(&mut self, call: u64, output: Value) {
        self.answer(call, CallResult::Output(output), 5);
    }

    fn fail(&mut self, call: u64) {
        let failure = Failure::new(FailureClass::Transient, "no");
        self.answer(call, CallResult::Failed(failure), 1);
    }

    fn fire(&mut self) {
        let (timer, at) = self.timers.iter().min_by_key(|(_, at)| **at).unwrap();
        let (timer, at) = (*timer, *at);
        self.timers.remove(&timer);
        self.core.now = at;
        match self.core.timer_fired(timer).unwrap() {
            Purpose::Grace(call) => {
                let answer = self.units.give_up(&mut self.core, call).unwrap();
                self.units.hear(&mut self.core, &self.scope, answer);
            }
            purpose => self.units.timer(&mut self.core, &self.scope, purpose),
        }
        self.perform();
    }

    fn ended(&mut self) -> Option<(Result<Value, Failure>, Amounts)> {
        match self.core.jobs.pop_front()? {
            Job::Ended(ended) => Some((ended.result, ended.used)),
            other => panic!("{other:?}"),
        }
    }
}

fn panel(enough: usize) -> impl FnOnce(u32) -> Box<dyn Work> {
    move |seats| {
        Box::new(Panel {
            seats,
            enough,
            outputs: BTreeMap::new(),
            failed: 0,
        })
    }
}

const ONE: &str = "steps:\n  a: {uses: t, timeout: 10s}\n";

#[test]
fn a_unit_waits_for_all_its_calls_before_it_ends() {
    let mut bench = Bench::new(ONE, 0, panel(3));
    assert_eq!(bench.calls.len(), 3);
    let keys: std::collections::BTreeSet<_> = bench
        .calls
        .iter()
        .map(|call| call.idempotency_key.clone())
        .collect();
    assert_eq!(keys.len(), 3, "each seat is work of its own");
    bench.ok(2, json!("b"));
    bench.ok(1, json!("a"));
    assert!(bench.ended().is_none());
    bench.ok(3, json!("c"));
    let (result, used) = bench.ended().unwrap();
    assert_eq!(
        result.unwrap(),
        json!({ "seat-0": "a", "seat-1": "b", "seat-2": "c" })
    );
    assert_eq!((used.calls, used.tokens), (3, 15));
    assert!(bench.timers.is_empty());
}

#[test]
fn a_race_cancels_the_losers_and_counts_what_they_used() {
    let mut bench = Bench::new(ONE, 0, panel(1));
    bench.ok(2, json!("first"));
    assert_eq!(bench.cancelled, [CallId(1), CallId(3)]);
    assert!(bench.ended().is_none(), "a loser may still be spending");
    bench.fail(1);
    bench.fail(3);
    let (result, used) = bench.ended().unwrap();
    assert_eq!(result.unwrap(), json!({ "seat-1": "first" }));
    assert_eq!((used.calls, used.tokens), (3, 7));
}

#[test]
fn a_loser_that_never_answers_is_given_up_with_all_it_was_allowed() {
    let body = "budget: {tokens: 100}\nsteps:\n  a: {uses: t, timeout: 10s}\n";
    let mut bench = Bench::new(body, 20, panel(1));
    bench.ok(1, json!("first"));
    bench.fail(2);
    bench.fire();
    let (result, used) = bench.ended().unwrap();
    assert_eq!(result.unwrap(), json!({ "seat-0": "first" }));
    assert_eq!(used.tokens, 5 + 1 + 20);
    assert_eq!(
        bench.core.budget.left(bench.core.budget.root()).tokens,
        100 - 26
    );
}

#[test]
fn a_timeout_cancels_every_call_and_the_next_attempt_asks_all_again() {
    let body = "steps:\n  a: {uses: t, timeout: 10s, retry: {max_attempts: 2}}\n";
    let mut bench = Bench::new(body, 0, panel(2));
    bench.ok(1, json!("a"));
    bench.fire();
    assert_eq!(bench.cancelled, [CallId(2), CallId(3)]);
    bench.fail(2);
    bench.fail(3);
    assert!(bench.ended().is_none(), "another attempt follows");
}

#[test]
fn a_failure_of_the_work_is_one_failure_of_the_attempt() {
    let mut bench = Bench::new(ONE, 0, panel(3));
    bench.fail(1);
    assert_eq!(bench.cancelled, [CallId(2), CallId(3)]);
    bench.ok(2, json!("late"));
    bench.fail(3);
    let (result, _) = bench.ended().unwrap();
    assert_eq!(result.unwrap_err().message, "too few answered");
}

#[test]
fn calls_of_one_unit_wait_for_the_budget_that_another_of_them_holds() {
    let body = "budget: {tokens: 50}\nsteps:\n  a: {uses: t}\n";
    let mut bench = Bench::new(body, 20, panel(3));
    assert_eq!(
        bench.calls.len(),
        2,
        "the third does not fit beside the others"
    );
    assert_eq!(bench.units.waiting(), 1);
    bench.ok(1, json!("a"));
    assert_eq!(bench.units.next_waiting(&HashSet::new()), Some(ScopeId(0)));
    assert!(
        bench
            .units
            .try_again(&mut bench.core, &bench.scope)
            .is_none()
    );
    bench.perform();
    assert_eq!(bench.calls.len(), 3);
    let reserved: u64 = bench.calls.iter().map(|call| call.allowance.tokens).sum();
    assert!(reserved - 20 + 5 <= 50);
}

#[test]
fn a_relay_asks_one_after_the_other_and_hands_on_what_it_heard() {
    let mut bench = Bench::new(ONE, 0, |seats| Box::new(Relay { left: seats }));
    for call in 1..=3 {
        assert_eq!(bench.calls.len(), usize::try_from(call).unwrap());
        bench.ok(call, json!([call]));
    }
    assert_eq!(*bench.calls[2].input, json!([2]));
    assert_eq!(bench.ended().unwrap().0.unwrap(), json!([3]));
}

#[test]
fn a_unit_that_is_not_wanted_any_more_awaits_all_its_calls() {
    let mut bench = Bench::new(ONE, 0, panel(2));
    let unit = bench.units.of_scope(ScopeId(0))[0];
    bench
        .units
        .stop(&mut bench.core, &bench.scope, unit, Stop::Cancelled);
    bench.perform();
    assert_eq!(bench.cancelled.len(), 3);
    for call in 1..=3 {
        assert!(bench.ended().is_none());
        bench.fail(call);
    }
    assert_eq!(
        bench.ended().unwrap().0.unwrap_err().class,
        FailureClass::Cancelled
    );
}
