//! Plans driven by hand: a driver that answers calls from a script, and its own clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::budget::Amounts;
use crate::exit::{Exit, Failure, FailureClass, StepStatus};
use crate::plan::Plan;
use crate::planner::{
    Action, Call, CallResult, Event, GateAnswer, Note, OpenGate, Part, Planner, RunEnd, RunSetup,
    StepSummary, Time, TimerId, Verdict, planner_for,
};

const HEAD: &str = "flowhost: v1\nname: t\nplugins:\n  \
    t: {kind: tool, source: ./t.wasm, profile: p}\n  \
    g: {kind: guardrail, source: ./g.wasm, profile: p}\n";

/// The plan with this body: a workflow, unless the body says its kind.
pub(in crate::planner) fn plan(body: &str) -> Plan {
    let kind = match body.starts_with("kind: ") || body.contains("\nkind: ") {
        true => "",
        false => "kind: workflow\n",
    };
    let text = format!("{kind}{HEAD}{body}");
    match Plan::parse(&text, "p.yaml") {
        Ok(plan) => plan,
        Err(problems) => panic!("{text}\n{problems:#?}"),
    }
}

/// What a run of the plan begins with.
pub(in crate::planner) fn setup(
    plan: &Plan,
    estimates: BTreeMap<String, Amounts>,
    inputs: Value,
) -> RunSetup {
    let given: BTreeMap<String, Value> = inputs.as_object().unwrap().clone().into_iter().collect();
    RunSetup {
        run_id: "01J".to_owned(),
        plan_hash: "h".to_owned(),
        seed: 7,
        inputs: plan.bind_inputs(&given).unwrap(),
        estimates,
        components: BTreeMap::new(),
        only: None,
        on_request: false,
    }
}

/// A run with a clock of its own.
pub(in crate::planner) struct Run {
    pub(in crate::planner) planner: Box<dyn Planner>,
    pub(in crate::planner) now: u64,
    pub(in crate::planner) calls: Vec<Call>,
    pub(in crate::planner) cancelled: BTreeSet<u64>,
    pub(in crate::planner) timers: BTreeSet<(u64, TimerId)>,
    pub(in crate::planner) gates: Vec<OpenGate>,
    /// What requests came to, in the order in which they were replied to.
    pub(in crate::planner) replies: Vec<(u64, Result<Value, Failure>)>,
    pub(in crate::planner) notes: Vec<Note>,
    /// Every action, as text, for comparing runs.
    pub(in crate::planner) log: Vec<String>,
    pub(in crate::planner) end: Option<RunEnd>,
    pub(in crate::planner) most_parallel: usize,
}

impl Run {
    pub(in crate::planner) fn new(plan: Plan) -> Self {
        Self::with(plan, BTreeMap::new(), json!({}))
    }

    pub(in crate::planner) fn of(body: &str) -> Self {
        Self::new(plan(body))
    }

    pub(in crate::planner) fn with(
        plan: Plan,
        estimates: BTreeMap<String, Amounts>,
        inputs: Value,
    ) -> Self {
        let setup = setup(&plan, estimates, inputs);
        Self::begun(plan, setup)
    }

    /// A run that wants one step only.
    pub(in crate::planner) fn only(step: &str, body: &str) -> Self {
        let plan = plan(body);
        let setup = RunSetup {
            only: Some(step.to_owned()),
            ..setup(&plan, BTreeMap::new(), json!({}))
        };
        Self::begun(plan, setup)
    }

    /// A run that is open to requests.
    pub(in crate::planner) fn on_request(body: &str) -> Self {
        let plan = plan(body);
        let setup = RunSetup {
            on_request: true,
            ..setup(&plan, BTreeMap::new(), json!({}))
        };
        Self::begun(plan, setup)
    }

    fn begun(plan: Plan, setup: RunSetup) -> Self {
        let mut run = Self {
            planner: planner_for(Arc::new(plan), setup).unwrap(),
            now: 1_000,
            calls: Vec::new(),
            cancelled: BTreeSet::new(),
            timers: BTreeSet::new(),
            gates: Vec::new(),
            replies: Vec::new(),
            notes: Vec::new(),
            log: Vec::new(),
            end: None,
            most_parallel: 0,
        };
        run.feed(Event::Started);
        run
    }

    pub(in crate::planner) fn feed(&mut self, event: Event) {
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
                Action::OpenGate(gate) => self.gates.push(*gate),
                Action::CloseGate { gate } => self.gates.retain(|open| open.id != gate),
                Action::Reply {
                    request, result, ..
                } => self.replies.push((request.0, result)),
                Action::Note(note) => self.notes.push(note),
                Action::Finish(end) => self.end = Some(*end),
            }
        }
        self.most_parallel = self.most_parallel.max(self.calls.len());
        if self.end.is_some() {
            assert!(self.planner.is_finished());
        }
    }

    /// Speaks to the only gate that is open.
    pub(in crate::planner) fn say(&mut self, answer: GateAnswer) {
        assert_eq!(self.gates.len(), 1, "{:?}", self.gates);
        let gate = self.gates.remove(0).id;
        self.feed(Event::GateAnswered { gate, answer });
    }

    pub(in crate::planner) fn answer_with(
        &mut self,
        index: usize,
        result: CallResult,
        used: Amounts,
    ) {
        let call = self.calls.remove(index);
        self.feed(Event::CallFinished {
            call: call.id,
            result,
            used,
        });
    }

    /// Answers the open call of the path.
    pub(in crate::planner) fn answer(&mut self, path: &str, result: CallResult) {
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

    pub(in crate::planner) fn ok(&mut self, path: &str, output: Value) {
        self.answer(path, CallResult::Output(output));
    }

    pub(in crate::planner) fn fail(&mut self, path: &str, class: FailureClass) {
        self.answer(
            path,
            CallResult::Failed(Failure::new(class, "it went wrong")),
        );
    }

    pub(in crate::planner) fn verdict(&mut self, path: &str, verdict: Verdict) {
        self.answer(path, CallResult::Verdict(verdict));
    }

    /// Paths of the open calls.
    pub(in crate::planner) fn paths(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.path.as_str()).collect()
    }

    pub(in crate::planner) fn call(&self, path: &str) -> &Call {
        self.calls.iter().find(|call| call.path == path).unwrap()
    }

    /// Lets the next timer fire.
    pub(in crate::planner) fn tick(&mut self) {
        let (at, timer) = self.timers.pop_first().expect("a timer");
        self.now = self.now.max(at);
        self.feed(Event::TimerFired { timer });
    }

    /// Answers whatever is open until the run ends.
    pub(in crate::planner) fn finish(&mut self) -> &RunEnd {
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

    pub(in crate::planner) fn exit(&mut self) -> Exit {
        self.finish().exit
    }

    pub(in crate::planner) fn summary(&self, path: &str) -> &StepSummary {
        self.summaries()
            .find(|summary| summary.path == path)
            .unwrap_or_else(|| {
                panic!(
                    "no end of {path}: {:?}",
                    self.summaries().map(|s| &s.path).collect::<Vec<_>>()
                )
            })
    }

    pub(in crate::planner) fn status(&self, path: &str) -> StepStatus {
        self.summary(path).status
    }

    pub(in crate::planner) fn summaries(&self) -> impl Iterator<Item = &StepSummary> {
        self.notes.iter().filter_map(|note| match note {
            Note::StepEnded(summary) => Some(summary),
            _ => None,
        })
    }

    pub(in crate::planner) fn warnings(&self) -> Vec<&str> {
        let warnings = self.notes.iter().filter_map(|note| match note {
            Note::Warning { about, .. } => Some(*about),
            _ => None,
        });
        warnings.collect()
    }
}
