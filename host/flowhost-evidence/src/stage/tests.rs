//! Files of a stage from records that are made by hand.

use std::collections::{BTreeSet, HashMap};

use flowhost_ledger::records::{
    BegunPart, CallPart, EndedPart, GuardVerdict, ModelIntent, ModelResult, PlacePart,
    PlannerEvent, Record, RecordKind, StepEnd, StepPart, StepStart, ToolCall, ToolResult, TryPart,
};
use flowhost_ledger::{Fact, StoredRecord};
use serde_json::Value;

use super::costs::Lines;
use super::gather::{Gather, Stage};
use super::{Judged, StageError, Taken, View, Wanted, files, judge};
use crate::story::PayloadSource;

struct Nothing;

impl PayloadSource for Nothing {
    fn payload(&self, _: u64, _: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }
}

fn record(seq: u64, fact: Fact) -> StoredRecord {
    StoredRecord {
        seq,
        ts: format!("2026-11-26T07:39:{seq:02}.000000Z"),
        tenant: "default".to_owned(),
        run: "01KBGHJKMNPQRSTVWXYZ012345".to_owned(),
        actor: fact.actor,
        kind_text: fact.kind.as_str().into(),
        commit: None,
        fields: fact.fields,
        leaf: [0; 32],
        line: Vec::new(),
    }
}

fn at() -> StepPart {
    StepPart {
        step: "s1".to_owned(),
        path: "plan".to_owned(),
    }
}

fn start() -> Fact {
    let start = StepStart {
        at: at(),
        stage: Some("plan".to_owned()),
    };
    start.by("default/host")
}

fn facts(twice: bool) -> Vec<Fact> {
    let call = ToolCall {
        call_of: BegunPart {
            step: "s1".to_owned(),
            call: Some("3".to_owned()),
            ..BegunPart::default()
        },
        tool: "on-plan".to_owned(),
        ..ToolCall::default()
    };
    let end = StepEnd {
        at: at(),
        status: "ok".to_owned(),
        attempts: Some(1),
        duration_ms: Some(9),
        ..StepEnd::default()
    };
    let again = twice.then(start);
    let rest = [call.by("default/writer"), end.by("default/host")];
    [start()].into_iter().chain(again).chain(rest).collect()
}

fn gathered(facts: Vec<Fact>) -> Gather {
    let mut gather = Gather::default();
    for (seq, fact) in facts.into_iter().enumerate() {
        gather.record(&record(seq as u64, fact));
    }
    gather
}

fn made(facts: Vec<Fact>, wanted: &Wanted) -> Vec<View> {
    made_beside(facts, wanted, &BTreeSet::new())
}

/// The files of a stage where others have taken those names.
fn made_beside(facts: Vec<Fact>, wanted: &Wanted, taken: &BTreeSet<String>) -> Vec<View> {
    let gather = gathered(facts);
    let stage = gather.stage("s1", &Nothing).expect("the step has ended");
    views_of(&stage, wanted, &|path| Ok(taken.contains(path))).unwrap()
}

fn views_of(stage: &Stage, wanted: &Wanted, taken: &Taken<'_>) -> Result<Vec<View>, StageError> {
    views_beside(stage, wanted, taken, &mut Lines::default())
}

/// The files of a stage where somebody knows what the spec cost.
fn views_beside(
    stage: &Stage,
    wanted: &Wanted,
    taken: &Taken<'_>,
    costs: &mut Lines,
) -> Result<Vec<View>, StageError> {
    let mut views = Vec::new();
    files::files(stage, wanted, taken, costs, &mut |view| views.push(view))?;
    Ok(views)
}

fn assert_valid(views: &[View]) {
    for view in views {
        let judged = judge(&view.path, &view.bytes);
        assert!(!matches!(judged, Judged::Invalid(..)), "{judged:?}");
    }
}

fn wanted() -> Wanted {
    Wanted {
        spec_id: "SPEC-1".to_owned(),
        run_id: "01KBGHJKMNPQRSTVWXYZ012345".to_owned(),
        step_id: "s1".to_owned(),
        ..Wanted::default()
    }
}

fn by_name(views: &[View]) -> HashMap<String, String> {
    let views = views.iter();
    views
        .map(|it| {
            (
                it.path.clone(),
                String::from_utf8(it.bytes.clone()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_step_that_has_not_ended_has_no_files() {
    let gather = gathered(vec![start()]);
    assert!(gather.stage("s1", &Nothing).is_none());
}

/// The facts of a stage with another step's id, path and calls.
fn of_step(facts: Vec<Fact>, step: &str, path: &str, call: &str) -> Vec<Fact> {
    let mut facts = facts;
    for fact in &mut facts {
        for (name, value) in [("step", step), ("path", path), ("call", call)] {
            if let Some(text) = fact.fields.get_mut(name) {
                *text = value.into();
            }
        }
    }
    facts
}

#[test]
fn stages_whose_records_lie_between_each_other_are_what_they_are_alone() {
    let one = facts(false);
    let other = of_step(facts(false), "s2", "tasks", "4");
    let returned = |call: &str| {
        let result = ToolResult {
            call_of: EndedPart {
                call: Some(call.to_owned()),
                ..EndedPart::default()
            },
            status: "ok".to_owned(),
            ..ToolResult::default()
        };
        result.by("default/host")
    };
    let between: Vec<Fact> = one
        .into_iter()
        .zip(other)
        .flat_map(|(one, other)| [one, other])
        .chain([returned("4")])
        .collect();
    let gather = gathered(between);
    let of = |step: &str| gather.stage(step, &Nothing).unwrap();
    let (first, second) = (of("s1"), of("s2"));
    assert_eq!(
        (first.path.as_str(), second.path.as_str()),
        ("plan", "tasks")
    );
    assert_eq!((first.calls.len(), second.calls.len()), (1, 1));
    assert_eq!((first.calls[0].ok, second.calls[0].ok), (false, true));
    assert_eq!(first.events.len(), 3);
}

#[test]
fn an_item_of_a_stage_and_a_step_that_is_none_are_not_kept() {
    let item = of_step(facts(false), "s1", "plan[0]", "3");
    assert!(gathered(item).stage("s1", &Nothing).is_none());
    let mut plain = facts(false);
    plain[0] = StepStart {
        at: at(),
        stage: None,
    }
    .by("default/host");
    assert!(gathered(plain).stage("s1", &Nothing).is_none());
}

#[test]
fn a_second_start_is_told_as_deduped_and_not_as_another_start() {
    let views = made(facts(true), &wanted());
    let files = by_name(&views);
    let life = &files["commands/SPEC-1/spec-plan_lifecycle_20261126T073900Z.jsonl"];
    let events: Vec<String> = life
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["event"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(events, ["queued", "deduped", "dispatched", "completed"]);
}

#[test]
fn a_second_that_another_run_has_already_is_numbered() {
    let life = |at: &str| format!("commands/SPEC-1/spec-plan_lifecycle_{at}.jsonl");
    let second = "20261126T073900Z";
    let mut taken = BTreeSet::from([life(second)]);
    for at in ["20261126T073900Z-2", "20261126T073900Z-3"] {
        let files = by_name(&made_beside(facts(true), &wanted(), &taken));
        assert!(files.contains_key(&life(at)), "{:?}", files.keys());
        assert!(
            files.keys().all(|path| !taken.contains(path)),
            "{:?}",
            files.keys()
        );
        taken.insert(life(at));
    }
}

#[test]
fn nothing_is_made_where_nobody_can_say_which_names_are_taken() {
    let gather = gathered(facts(false));
    let stage = gather.stage("s1", &Nothing).unwrap();
    let unreadable = |_: &str| Err(std::io::Error::other("no such disk"));
    let failed = views_of(&stage, &wanted(), &unreadable).unwrap_err();
    assert!(matches!(failed, StageError::Names(_)), "{failed}");
}

#[test]
fn a_stage_without_agents_that_were_asked_together_has_no_consensus_files() {
    let views = made(facts(false), &wanted());
    assert!(views.iter().all(|it| !it.path.starts_with("consensus/")));
    for view in &views {
        assert!(matches!(judge(&view.path, &view.bytes), Judged::Valid(_)));
    }
}

#[test]
fn lines_of_other_stages_stay_in_the_costs_and_those_of_this_one_are_replaced() {
    let before = serde_json::json!({ "breakdown": [
        { "stage": "tasks", "agent": "a", "cost_usd": 0.5, "calls": 2, "duration_ms": 1500 },
        { "stage": "plan", "agent": "old", "cost_usd": 9.0 },
    ] });
    let wanted = Wanted {
        costs: serde_json::to_vec(&before).ok(),
        ..wanted()
    };
    let files = by_name(&made(facts(false), &wanted));
    let costs: Value = serde_json::from_str(&files["costs/SPEC-1_cost_summary.json"]).unwrap();
    assert_eq!(costs["per_stage"]["tasks"], 0.5);
    assert_eq!(
        costs["per_stage"]["plan"],
        Value::Null,
        "what its call cost is not known"
    );
    assert_eq!(costs["total_cost_usd"], Value::Null, "and so is the sum");
    assert_eq!(costs["breakdown"].as_array().unwrap().len(), 2);
    assert_eq!(costs["duration_seconds"], 1.5);
}

#[test]
fn a_summary_with_the_largest_numbers_there_are_is_summed_up() {
    let line = serde_json::json!(
        { "stage": "tasks", "agent": "a", "calls": u64::MAX, "duration_ms": u64::MAX }
    );
    let before = serde_json::json!({ "breakdown": [line, line] });
    let wanted = Wanted {
        costs: serde_json::to_vec(&before).ok(),
        ..wanted()
    };
    let files = by_name(&made(facts(false), &wanted));
    let costs: Value = serde_json::from_str(&files["costs/SPEC-1_cost_summary.json"]).unwrap();
    assert_eq!(costs["total_calls"], u64::MAX);
}

#[test]
fn a_summary_that_this_process_wrote_is_known_and_another_in_its_place_is_read() {
    let path = "costs/SPEC-1_cost_summary.json";
    let nobody = |_: &str| Ok(false);
    let mut known = Lines::default();
    let mut there: Option<Vec<u8>> = None;
    for (step, name, call) in [
        ("s1", "plan", "3"),
        ("s2", "tasks", "4"),
        ("s1", "plan", "3"),
    ] {
        let of = of_step(facts(false), step, name, call);
        let stage = gathered(of).stage(step, &Nothing).unwrap();
        let wanted = Wanted {
            step_id: step.to_owned(),
            costs: there.clone(),
            ..wanted()
        };
        let made = |known: &mut Lines| {
            let views = views_beside(&stage, &wanted, &nobody, known).unwrap();
            assert_valid(&views);
            by_name(&views).remove(path).unwrap()
        };
        let text = made(&mut known);
        assert_eq!(text, made(&mut Lines::default()), "known or read");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(text, format!("{value:#}\n"), "as any document is printed");
        there = Some(text.into_bytes());
    }
    // Somebody has changed it since: what is there counts, and is not believed unseen.
    let stage = gathered(facts(false)).stage("s1", &Nothing).unwrap();
    let changed = |line: &str| Wanted {
        costs: Some(format!("{{\"breakdown\": [{line}]}}").into_bytes()),
        ..wanted()
    };
    let line = "{\"stage\": \"audit\", \"agent\": \"x\", \"cost_usd\": 2.5}";
    let views = views_beside(&stage, &changed(line), &nobody, &mut known).unwrap();
    let costs: Value = serde_json::from_str(&by_name(&views)[path]).unwrap();
    assert_eq!(costs["per_stage"]["audit"], 2.5, "{costs:#}");
    assert_eq!(costs["breakdown"].as_array().unwrap().len(), 2);
    let odd = changed("{\"stage\": \"audit\"}");
    let failed = views_beside(&stage, &odd, &nobody, &mut known).unwrap_err();
    assert!(matches!(failed, StageError::Schema { .. }), "{failed}");
}

#[test]
fn two_steps_of_one_stage_have_their_own_telemetry_and_both_their_costs() {
    let first = by_name(&made(facts(false), &wanted()));
    let path = format!("commands/SPEC-1/spec-plan_{}", wanted().run_id);
    let one = format!("{path}.json");
    let costs = "costs/SPEC-1_cost_summary.json";
    let second = Wanted {
        step_id: "s2".to_owned(),
        costs: Some(first[costs].clone().into_bytes()),
        ..wanted()
    };
    let of_second = of_step(facts(false), "s2", "replan", "4");
    let stage = gathered(of_second).stage("s2", &Nothing).unwrap();
    let taken = |path: &str| Ok(path == one);
    let views = views_of(&stage, &second, &taken).unwrap();
    assert_valid(&views);
    let files = by_name(&views);
    let steps = [&first[&one], &files[&format!("{path}_2.json")]];
    let steps = steps.map(|it| serde_json::from_str::<Value>(it).unwrap()["step"].clone());
    assert_eq!(steps, ["plan", "replan"]);
    let spent: Value = serde_json::from_str(&files[costs]).unwrap();
    let lines = spent["breakdown"].as_array().unwrap().iter();
    let steps: Vec<&Value> = lines.map(|it| &it["step"]).collect();
    assert_eq!(steps, ["plan", "replan"]);
    // Made once more, it takes its own place; of another run, that of both.
    let again = Wanted {
        costs: Some(files[costs].clone().into_bytes()),
        ..second.clone()
    };
    let again = by_name(&views_of(&stage, &again, &taken).unwrap());
    assert_eq!(again[costs], files[costs]);
    let other = Wanted {
        run_id: "01KBGHJKMNPQRSTVWXYZ012346".to_owned(),
        costs: Some(files[costs].clone().into_bytes()),
        ..second
    };
    let other = by_name(&views_of(&stage, &other, &taken).unwrap());
    let other: Value = serde_json::from_str(&other[costs]).unwrap();
    assert_eq!(other["breakdown"].as_array().unwrap().len(), 1);
}

#[test]
fn records_of_kinds_that_are_not_known_are_passed_over() {
    let mut gather = Gather::default();
    let mut odd = record(0, start());
    odd.kind_text = "step.dance".into();
    gather.record(&odd);
    assert!(Record::of(flowhost_ledger::Kind::StepStart, &odd.fields).is_ok());
    assert!(gather.stage("s1", &Nothing).is_none());
}

/// A guardrail answered the call of this number and gave its verdict.
fn guarded(call: u64, part: &str, took_us: Option<u64>) -> [Fact; 2] {
    let event = PlannerEvent {
        event: "call_finished".to_owned(),
        call: Some(call),
        plugin: Some("words".to_owned()),
        took_us,
        ..PlannerEvent::default()
    };
    let verdict = GuardVerdict {
        place: PlacePart {
            step: Some("s1".to_owned()),
            ..PlacePart::default()
        },
        guard: Some("words".to_owned()),
        part: Some(part.to_owned()),
        verdict: Some("pass".to_owned()),
        ..GuardVerdict::default()
    };
    [event.by("default/host"), verdict.by("default/host")]
}

/// A model of a dollar's thousandth that the call of this number asked.
fn asked(call: &str, by: &str) -> [Fact; 2] {
    let call_of = CallPart {
        step: "s1".to_owned(),
        call: Some(call.to_owned()),
        ..CallPart::default()
    };
    let intent = ModelIntent {
        call_of: call_of.clone(),
        of_try: TryPart {
            model: Some(format!("local/{by}")),
            ..TryPart::default()
        },
        ..ModelIntent::default()
    };
    let result = ModelResult {
        call_of,
        status: "ok".to_owned(),
        prompt_tokens: Some(10),
        completion_tokens: Some(5),
        micro_usd: Some(1000),
        duration_ms: Some(7),
        ..ModelResult::default()
    };
    let actor = format!("default/{by}");
    [intent.by(&actor), result.by(&actor)]
}

fn telemetry_and_costs(facts: Vec<Fact>) -> (Value, Value, Value) {
    let views = made(facts, &wanted());
    assert_valid(&views);
    let files = by_name(&views);
    let read = |path: &str| serde_json::from_str(&files[path]).unwrap();
    let line = "consensus/SPEC-1/spec-plan_20261126T073900Z_telemetry.jsonl";
    let command = format!("commands/SPEC-1/spec-plan_{}.json", wanted().run_id);
    (
        read(line),
        read("costs/SPEC-1_cost_summary.json"),
        read(&command),
    )
}

/// A stage of one agent with a model, its guardrails between start and end.
fn with_guards(before: Vec<Fact>, after: Vec<Fact>) -> Vec<Fact> {
    let mut all = facts(false);
    let end = all.pop().unwrap();
    let call = all.pop().unwrap();
    all.extend(before);
    // The agent asks while it starts, which its own call has not told yet.
    all.extend(asked("3.1", "writer"));
    all.push(call);
    all.extend(after);
    all.push(end);
    all
}

#[test]
fn a_guardrails_time_and_money_are_told_apart_from_the_agents() {
    let mut before: Vec<Fact> = asked("2", "words").into();
    before.extend(guarded(2, "before-0", Some(1_400)));
    let after = guarded(4, "after-0", Some(2_200)).into();
    let (line, costs, command) = telemetry_and_costs(with_guards(before, after));
    let guardrail = &line["guardrail"];
    assert_eq!(guardrail["prefilter_model"], "local/words", "{guardrail:#}");
    assert_eq!(guardrail["policy_model"], Value::Null, "it asked none");
    assert_eq!(guardrail["latency_ms"], 4);
    assert_eq!(guardrail["cost_usd"], 0.001);
    assert_eq!(
        line["consensus"]["total_cost_usd"], 0.001,
        "the agent's own"
    );
    assert_eq!(costs["total_cost_usd"], 0.002, "{costs:#}");
    let roles = costs["breakdown"].as_array().unwrap().iter();
    let roles: Vec<&Value> = roles.map(|it| &it["role"]).collect();
    assert_eq!(roles, ["agent", "guardrail"]);
    assert_eq!(command["policy"]["prefilter"]["model"], "local/words");
    assert_eq!(command["policy"]["final"]["note"], "words");
}

#[test]
fn what_is_not_known_of_a_guardrail_is_null_and_what_asked_no_model_cost_nothing() {
    let (line, ..) = telemetry_and_costs(with_guards(Vec::new(), Vec::new()));
    assert_eq!(line["guardrail"]["cost_usd"], Value::Null, "nobody spoke");
    assert_eq!(line["guardrail"]["latency_ms"], Value::Null);
    let after = guarded(4, "after-0", None).into();
    let before = guarded(2, "before-0", Some(900)).into();
    let (line, ..) = telemetry_and_costs(with_guards(before, after));
    assert_eq!(line["guardrail"]["cost_usd"], 0.0);
    assert_eq!(
        line["guardrail"]["latency_ms"],
        Value::Null,
        "one is unknown"
    );
}
