//! Workflows driven by hand: a driver that answers calls from a script, and its own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::budget::Amounts;
use crate::exit::{Exit, Failure, FailureClass, StepStatus};
use crate::plan::Plan;
use crate::planner::{
    Action, Call, CallResult, Event, Note, Part, Planner, RunEnd, RunSetup, StepSummary, Time,
    TimerId, Verdict, planner_for,
};

mod guards;
mod properties;
mod steps;

const HEAD: &str = "flowhost: v1\nkind: workflow\nname: t\nplugins:\n  \
    t: {kind: tool, source: ./t.wasm, profile: p}\n  \
    g: {kind: guardrail, source: ./g.wasm, profile: p}\n";

fn plan(body: &str) -> Plan {
    match Plan::parse(&format!("{HEAD}{body}"), "p.yaml") {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems:#?}"),
    }
}

/// A run with a clock of its own.
struct Run {
    planner: Box<dyn Planner>,
    now: u64,
    calls: Vec<Call>,
    cancelled: BTreeSet<u64>,
    timers: BTreeSet<(u64, TimerId)>,
    notes: Vec<Note>,
    /// Every action, as text, for comparing runs.
    log: Vec<String>,
    end: Option<RunEnd>,
    most_parallel: usize,
}

impl Run {
    fn new(plan: Plan) -> Self {
        Self::with(plan, BTreeMap::new(), json!({}))
    }

    fn of(body: &str) -> Self {
        Self::new(plan(body))
    }

    fn with(plan: Plan, estimates: BTreeMap<String, Amounts>, inputs: Value) -> Self {
        let given: BTreeMap<String, Value> =
            inputs.as_object().unwrap().clone().into_iter().collect();
        let inputs: Map<String, Value> = plan.bind_inputs(&given).unwrap();
        let setup = RunSetup {
            run_id: "01J".to_owned(),
            plan_hash: "h".to_owned(),
            seed: 7,
            inputs,
            estimates,
        };
        let mut run = Self {
            planner: planner_for(Arc::new(plan), setup).unwrap(),
            now: 1_000,
            calls: Vec::new(),
            cancelled: BTreeSet::new(),
            timers: BTreeSet::new(),
            notes: Vec::new(),
            log: Vec::new(),
            end: None,
            most_parallel: 0,
        };
        run.feed(Event::Started);
        run
    }

    fn feed(&mut self, event: Event) {
        let actions = self.planner.on(event, Time(self.now));
        assert!(
            self.end.is_none() || actions.is_empty(),
            "nothing comes after the end"
        );
        for action in actions {
            assert!(self.end.is_none(), "Finish is the last action");
            self.log.push(format!("{} {action:?}", self.now));
            match action {
                Action::Call(call) => self.calls.push(*call),
                Action::Cancel { call, .. } => {
                    self.cancelled.insert(call.0);
                }
                Action::SetTimer { timer, at } => {
                    self.timers.insert((at.0, timer));
                }
                Action::ClearTimer { timer } => self.timers.retain(|(_, known)| *known != timer),
                Action::Note(note) => self.notes.push(note),
                Action::Finish(end) => self.end = Some(*end),
            }
        }
        self.most_parallel = self.most_parallel.max(self.calls.len());
        if self.end.is_some() {
            assert!(self.planner.is_finished());
        }
    }

    fn answer_with(&mut self, index: usize, result: CallResult, used: Amounts) {
        let call = self.calls.remove(index);
        self.feed(Event::CallFinished {
            call: call.id,
            result,
            used,
        });
    }

    /// Answers the open call of the path.
    fn answer(&mut self, path: &str, result: CallResult) {
        let index = self.calls.iter().position(|call| call.path == path);
        let index = index.unwrap_or_else(|| panic!("no open call at {path}: {:?}", self.paths()));
        self.answer_with(
            index,
            result,
            Amounts {
                calls: 1,
                ..Amounts::default()
            },
        );
    }

    fn ok(&mut self, path: &str, output: Value) {
        self.answer(path, CallResult::Output(output));
    }

    fn fail(&mut self, path: &str, class: FailureClass) {
        self.answer(
            path,
            CallResult::Failed(Failure::new(class, "it went wrong")),
        );
    }

    fn verdict(&mut self, path: &str, verdict: Verdict) {
        self.answer(path, CallResult::Verdict(verdict));
    }

    /// Paths of the open calls.
    fn paths(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.path.as_str()).collect()
    }

    fn call(&self, path: &str) -> &Call {
        self.calls.iter().find(|call| call.path == path).unwrap()
    }

    /// Lets the next timer fire.
    fn tick(&mut self) {
        let (at, timer) = self.timers.pop_first().expect("a timer");
        self.now = self.now.max(at);
        self.feed(Event::TimerFired { timer });
    }

    /// Answers whatever is open until the run ends.
    fn finish(&mut self) -> &RunEnd {
        while self.end.is_none() {
            match self.calls.first() {
                None => self.tick(),
                Some(call) if self.cancelled.contains(&call.id.0) => {
                    let failure = Failure::new(FailureClass::Cancelled, "stopped");
                    self.answer_with(0, CallResult::Failed(failure), Amounts::default());
                }
                Some(call) if matches!(call.part, Part::Before(_) | Part::After(_)) => {
                    let pass = CallResult::Verdict(Verdict::Pass {
                        findings: Vec::new(),
                    });
                    self.answer_with(0, pass, Amounts::default());
                }
                Some(call) => {
                    let output = CallResult::Output(json!({ "path": call.path }));
                    self.answer_with(0, output, Amounts::default());
                }
            }
        }
        self.end.as_ref().unwrap()
    }

    fn exit(&mut self) -> Exit {
        self.finish().exit
    }

    fn summary(&self, path: &str) -> &StepSummary {
        self.summaries()
            .find(|summary| summary.path == path)
            .unwrap_or_else(|| {
                panic!(
                    "no end of {path}: {:?}",
                    self.summaries().map(|s| &s.path).collect::<Vec<_>>()
                )
            })
    }

    fn status(&self, path: &str) -> StepStatus {
        self.summary(path).status
    }

    fn summaries(&self) -> impl Iterator<Item = &StepSummary> {
        self.notes.iter().filter_map(|note| match note {
            Note::StepEnded(summary) => Some(summary),
            _ => None,
        })
    }

    fn warnings(&self) -> Vec<&str> {
        let warnings = self.notes.iter().filter_map(|note| match note {
            Note::Warning { about, .. } => Some(*about),
            _ => None,
        });
        warnings.collect()
    }
}
