//! Plans of all kinds, made and driven at random: what is recorded is enough, and order does not matter.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::budget::Amounts;
use crate::exit::{Failure, FailureClass};
use crate::plan::{Plan, Wants};
use crate::planner::harness::{self, setup};
use crate::planner::{
    Action, CallEnd, CallId, CallResult, Event, EventRecord, GateAnswer, GateId, OpenGate, Part,
    ReplayError, RequestId, RunEnd, RunSetup, Time, TimerId, Verdict, planner_for, replay,
};

mod gates;
mod random;

use random::{Dice, Mood};

/// A plan of any kind, with a plan of any kind in it.
fn random_plan(seed: u64, mood: Mood) -> Plan {
    let [outer, inner] = random::bodies(seed, mood).map(|body| harness::plan(&body));
    let mut plan = outer;
    plan.attach_plan("s.yaml", inner).unwrap();
    plan
}

/// What a run left behind: records as text, ends of calls, and every answer of its planner.
struct Recorded {
    records: Vec<String>,
    ends: BTreeMap<CallId, CallEnd>,
    answers: Vec<Vec<Action>>,
    end: RunEnd,
}

impl Recorded {
    fn events(&self) -> Vec<EventRecord> {
        let records = self.records.iter();
        records
            .map(|record| serde_json::from_str(record).unwrap())
            .collect()
    }
}

/// A driver without a world: everything it does is thrown.
struct Driver {
    planner: Box<dyn crate::Planner>,
    dice: Dice,
    mood: Mood,
    now: u64,
    open: Vec<(CallId, Part, String, Amounts, bool)>,
    timers: Vec<(u64, TimerId)>,
    gates: Vec<OpenGate>,
    recorded: Recorded,
    ended: bool,
}

impl Driver {
    fn run(plan: &Arc<Plan>, setup: &RunSetup, seed: u64, mood: Mood) -> Recorded {
        let nothing = RunEnd {
            exit: crate::Exit::Internal,
            status: crate::RunStatus::Failed,
            outputs: serde_json::Map::new(),
            failure: None,
            used: Amounts::default(),
        };
        let mut driver = Self {
            planner: planner_for(Arc::clone(plan), setup.clone()).unwrap(),
            dice: Dice::new(seed),
            mood,
            now: 1_000,
            open: Vec::new(),
            timers: Vec::new(),
            gates: Vec::new(),
            recorded: Recorded {
                records: Vec::new(),
                ends: BTreeMap::new(),
                answers: Vec::new(),
                end: nothing,
            },
            ended: false,
        };
        driver.feed(Event::Started);
        for _ in 0..20_000 {
            if driver.ended {
                return driver.recorded;
            }
            driver.step();
        }
        panic!("the run does not end");
    }

    fn feed(&mut self, event: Event) {
        let record = EventRecord::of(&event, Time(self.now));
        self.recorded
            .records
            .push(serde_json::to_string(&record).unwrap());
        if let Event::CallFinished { call, result, used } = &event {
            let (result, used) = (result.clone(), *used);
            self.recorded.ends.insert(*call, CallEnd { result, used });
        }
        let actions = self.planner.on(event, Time(self.now));
        for action in &actions {
            assert!(!self.ended, "nothing comes after the end");
            match action {
                Action::Call(call) => {
                    let open = (call.id, call.part, call.path.clone(), call.allowance, false);
                    self.open.push(open);
                }
                Action::Cancel { call, .. } => {
                    let open = self.open.iter_mut().find(|open| open.0 == *call);
                    open.expect("only open calls are cancelled").4 = true;
                }
                Action::SetTimer { timer, at } => self.timers.push((at.0, *timer)),
                Action::ClearTimer { timer } => self.timers.retain(|(_, known)| known != timer),
                Action::OpenGate(gate) => self.gates.push(gate.as_ref().clone()),
                Action::CloseGate { gate } => self.gates.retain(|open| open.id != *gate),
                Action::Reply { .. } | Action::Note(_) => {}
                Action::Finish(end) => {
                    self.recorded.end = end.as_ref().clone();
                    self.ended = true;
                }
            }
        }
        self.recorded.answers.push(actions);
    }

    fn step(&mut self) {
        let wild = self.mood == Mood::Wild;
        if wild {
            self.now += self.dice.below(40);
            match self.dice.below(400) {
                0 => {
                    return self.feed(Event::Cancelled {
                        reason: "enough".to_owned(),
                    });
                }
                1 => {
                    let failure = Failure::new(FailureClass::Internal, "the bus is gone");
                    return self.feed(Event::HostFailed { failure });
                }
                2 => {
                    let timer = TimerId(self.dice.below(50));
                    self.timers.retain(|(_, known)| *known != timer);
                    return self.feed(Event::TimerFired { timer });
                }
                _ => {}
            }
        }
        let rests = self.planner.rests();
        assert!(!rests || !self.gates.is_empty());
        if !self.gates.is_empty() && (rests || self.dice.below(4) == 0) {
            return self.speak();
        }
        let due = self.timers.iter().min().copied();
        let fires = wild && self.dice.below(12) == 0;
        match due {
            Some((at, timer)) if self.open.is_empty() || fires => {
                self.now = self.now.max(at);
                self.timers.retain(|(_, known)| *known != timer);
                self.feed(Event::TimerFired { timer });
            }
            _ => self.answer(),
        }
    }

    fn speak(&mut self) {
        let pick = self.dice.below(self.gates.len() as u64);
        let gate = self.gates.remove(usize::try_from(pick).unwrap());
        let calm = self.mood == Mood::Calm;
        let answer = match (self.dice.below(5), gate.wants) {
            (0, _) if !calm => GateAnswer::TimedOut,
            (_, Wants::Signal) => GateAnswer::Signal {
                payload: json!({ "n": 1 }),
            },
            (dice, Wants::Approval) => GateAnswer::Approval {
                approved: calm || dice > 1,
                by: "ann".to_owned(),
                note: String::new(),
            },
        };
        let gate = gate.id;
        self.feed(Event::GateAnswered { gate, answer });
    }

    fn answer(&mut self) {
        assert!(
            !self.open.is_empty(),
            "a run that waits for nothing never ends"
        );
        let pick = self.dice.below(self.open.len() as u64);
        let pick = usize::try_from(pick).unwrap();
        let (call, part, path, most, cancelled) = self.open[pick].clone();
        if cancelled && self.dice.below(3) == 0 {
            // This one never answers: its timer gives it up.
            if let Some((at, timer)) = self.timers.iter().min().copied() {
                self.now = self.now.max(at);
                self.timers.retain(|(_, known)| *known != timer);
                return self.feed(Event::TimerFired { timer });
            }
        }
        self.open.remove(pick);
        let used = Amounts {
            calls: 1,
            tokens: self.dice.below(most.tokens + 1),
            ..Amounts::default()
        };
        let result = match part {
            _ if cancelled => CallResult::Failed(Failure::new(FailureClass::Cancelled, "stopped")),
            Part::Before(_) | Part::After(_) => self.verdict(),
            _ => self.output(&path),
        };
        self.feed(Event::CallFinished { call, result, used });
    }

    fn verdict(&mut self) -> CallResult {
        let findings = Vec::new();
        CallResult::Verdict(match self.dice.below(10) {
            0 if self.mood == Mood::Wild => Verdict::Deny {
                reason: "no".to_owned(),
                findings,
            },
            1 => Verdict::Rewrite {
                subject: json!({ "n": 1 }),
                findings,
            },
            _ => Verdict::Pass { findings },
        })
    }

    fn output(&mut self, path: &str) -> CallResult {
        let class = match self.dice.below(20) {
            0 | 1 => FailureClass::Transient,
            2 => FailureClass::Failed,
            3 => FailureClass::Invalid,
            _ => return CallResult::Output(json!({ "n": path.len() })),
        };
        match self.mood {
            Mood::Calm => CallResult::Output(json!({ "n": path.len() })),
            Mood::Wild => CallResult::Failed(Failure::new(class, "it went wrong")),
        }
    }
}

fn estimates() -> BTreeMap<String, Amounts> {
    let some = Amounts {
        tokens: 40,
        ..Amounts::default()
    };
    BTreeMap::from([("t".to_owned(), some), ("s.yaml::t".to_owned(), some)])
}

#[test]
fn the_records_of_two_hundred_random_plans_give_the_same_actions() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..200 {
        let plan = Arc::new(random_plan(seed, Mood::Wild));
        let setup = setup(&plan, estimates(), json!({}));
        let run = Driver::run(&plan, &setup, seed, Mood::Wild);
        let again = replay(Arc::clone(&plan), setup, &run.events(), &run.ends).unwrap();
        let again: Vec<_> = again.into_iter().map(|answer| answer.actions).collect();
        assert_eq!(again, run.answers, "seed {seed}");
        *kinds.entry(run.end.exit.status_word()).or_default() += 1;
    }
    // The plans are worth replaying only if they end in many ways.
    assert!(kinds.len() >= 4, "{kinds:?}");
    assert!(kinds["ok"] > 20, "{kinds:?}");
}

#[test]
fn the_order_of_answers_changes_no_output_of_a_random_plan() {
    for seed in 0..120 {
        let plan = Arc::new(random_plan(seed, Mood::Calm));
        let setup = setup(&plan, BTreeMap::new(), json!({}));
        let first = Driver::run(&plan, &setup, seed, Mood::Calm);
        let second = Driver::run(&plan, &setup, seed + 1_000, Mood::Calm);
        assert_eq!(first.end.outputs, second.end.outputs, "seed {seed}");
        assert_eq!(first.end.exit, second.end.exit, "seed {seed}");
    }
}

#[test]
fn a_record_is_small_and_names_its_call_instead_of_its_result() {
    let event = Event::CallFinished {
        call: CallId(7),
        result: CallResult::Output(json!("a secret of the payload")),
        used: Amounts::default(),
    };
    let record = serde_json::to_value(EventRecord::of(&event, Time(5))).unwrap();
    assert_eq!(
        record,
        json!({ "event": "call_finished", "at": 5, "call": 7 })
    );
    let back: EventRecord = serde_json::from_value(record).unwrap();
    let missing = back.event(&BTreeMap::<CallId, CallEnd>::new());
    assert!(matches!(missing, Err(ReplayError::NoEnd { call: 7 })));
}

#[test]
fn every_kind_of_event_comes_back_from_its_record() {
    let failure = Failure::new(FailureClass::Internal, "gone").with_hint("look");
    for event in [
        Event::Started,
        Event::TimerFired { timer: TimerId(3) },
        Event::GateAnswered {
            gate: GateId(2),
            answer: GateAnswer::Approval {
                approved: true,
                by: "ann".to_owned(),
                note: "fine".to_owned(),
            },
        },
        Event::GateAnswered {
            gate: GateId(4),
            answer: GateAnswer::TimedOut,
        },
        Event::Requested {
            request: RequestId(4),
            step: "a".to_owned(),
            input: json!({ "text": [1, null] }),
        },
        Event::Withdrawn {
            request: RequestId(4),
        },
        Event::Closed { stops: None },
        Event::Closed {
            stops: Some("the client is gone".to_owned()),
        },
        Event::Cancelled {
            reason: "why".to_owned(),
        },
        Event::HostFailed { failure },
    ] {
        let text = serde_json::to_string(&EventRecord::of(&event, Time(9))).unwrap();
        let record: EventRecord = serde_json::from_str(&text).unwrap();
        let ends = BTreeMap::<CallId, CallEnd>::new();
        assert_eq!(
            format!("{:?}", record.event(&ends).unwrap()),
            format!("{event:?}")
        );
        assert_eq!(record.at, Time(9));
    }
}

#[test]
fn records_of_another_plan_are_refused() {
    let plan = Arc::new(crate::planner::harness::plan("steps:\n  a: {uses: t}\n"));
    let setup = setup(&plan, BTreeMap::new(), json!({}));
    let run = Driver::run(&plan, &setup, 1, Mood::Calm);
    let other = Arc::new(crate::planner::harness::plan(
        "steps:\n  a: {uses: t, when: 'false'}\n",
    ));
    let records = run.events();
    let refused = replay(Arc::clone(&other), setup.clone(), &records, &run.ends);
    assert!(matches!(
        refused,
        Err(ReplayError::AfterEnd {
            event: "call_finished"
        })
    ));
    let swapped = [records[1].clone(), records[0].clone()];
    let refused = replay(plan, setup, &swapped, &run.ends);
    assert!(matches!(refused, Err(ReplayError::Unasked { call: 1 })));
}

#[test]
fn a_host_that_fails_in_the_turn_that_ends_the_run_is_no_sign_of_another_plan() {
    let plan = Arc::new(harness::plan("steps:\n  a: {uses: t}\n"));
    let setup = setup(&plan, BTreeMap::new(), json!({}));
    let run = Driver::run(&plan, &setup, 1, Mood::Calm);
    let failure = Failure::new(FailureClass::Internal, "no room");
    let mut records = run.events();
    records.push(EventRecord::of(&Event::HostFailed { failure }, Time(9)));
    let answers = replay(plan, setup, &records, &run.ends).unwrap();
    assert!(answers.last().unwrap().actions.is_empty());
}

#[test]
fn a_record_of_a_request_is_refused_where_nobody_can_have_asked() {
    let plan = Arc::new(harness::plan("steps:\n  a: {uses: t}\n"));
    let setup = setup(&plan, BTreeMap::new(), json!({}));
    let started = EventRecord::of(&Event::Started, Time(0));
    let closed = EventRecord::of(&Event::Closed { stops: None }, Time(1));
    let ends = BTreeMap::<CallId, CallEnd>::new();
    for (on_request, records) in [(false, vec![started, closed.clone()]), (true, vec![closed])] {
        let setup = RunSetup {
            on_request,
            ..setup.clone()
        };
        let refused = replay(Arc::clone(&plan), setup, &records, &ends);
        assert!(matches!(
            refused,
            Err(ReplayError::NotOpen { event: "closed" })
        ));
    }
}

#[test]
fn attempts_of_the_same_work_share_a_key_and_no_two_works_do() {
    let mut keys: BTreeMap<String, (String, String)> = BTreeMap::new();
    for seed in 0..60 {
        keys.clear();
        let plan = Arc::new(random_plan(seed, Mood::Wild));
        let setup = setup(&plan, BTreeMap::new(), json!({}));
        let run = Driver::run(&plan, &setup, seed, Mood::Wild);
        for action in run.answers.iter().flatten() {
            let Action::Call(call) = action else { continue };
            let work = (call.path.clone(), call.part.word());
            let known = keys.insert(call.idempotency_key.clone(), work.clone());
            assert!(known.is_none_or(|known| known == work), "seed {seed}");
            if call.part.is_guard() {
                assert_eq!(call.effects, crate::plan::Effects::Idempotent);
            }
            assert_eq!(call.remaining_ms(call.deadline), 0);
        }
        let works: std::collections::BTreeSet<_> = keys.values().collect();
        assert_eq!(works.len(), keys.len(), "seed {seed}");
    }
}

#[test]
fn no_run_spends_more_than_its_budget_and_one_call() {
    for seed in 0..100 {
        let plan = Arc::new(random_plan(seed, Mood::Wild));
        let setup = setup(&plan, estimates(), json!({}));
        let run = Driver::run(&plan, &setup, seed, Mood::Wild);
        let limit = plan.budget.limits[2].unwrap_or(u64::MAX);
        assert!(
            run.end.used.tokens <= limit,
            "seed {seed}: {:?}",
            run.end.used
        );
    }
}

impl crate::Exit {
    fn status_word(self) -> &'static str {
        match self.status() {
            crate::RunStatus::Ok => "ok",
            crate::RunStatus::Failed => "failed",
            crate::RunStatus::Limit => "limit",
            crate::RunStatus::Halted => "halted",
            crate::RunStatus::Cancelled => "cancelled",
            crate::RunStatus::Degraded => "degraded",
            _ => "other",
        }
    }
}
