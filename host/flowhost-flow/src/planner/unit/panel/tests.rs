//! Consensus steps in whole runs: agents and an arbiter that answer, fail, come late and contradict.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Amounts;
use crate::consensus::{Status, Verdict};
use crate::exit::{Exit, Failure, FailureClass};
use crate::plan::{Foresight, Promised};
use crate::planner::harness::{Run, plan};
use crate::planner::{Call, CallResult, Note};

const AGENTS: &str = "  a: {kind: agent, source: ./a.wasm, profile: p}\n  \
    b: {kind: agent, source: ./b.wasm, profile: p}\n  \
    c: {kind: agent, source: ./c.wasm, profile: p}\n  \
    z: {kind: agent, source: ./z.wasm, profile: p}\n";

/// What an agent does when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Says(u8),
    /// A failure that may pass, the first time.
    Stumbles(u8),
    Fails,
    /// Answers when its time is up.
    Late(u8),
    /// Answers what does not fit the schema.
    Babbles,
    /// Answers for another stage.
    Strays,
}

impl Member {
    const fn says(self) -> Option<u8> {
        match self {
            Self::Says(n) | Self::Stumbles(n) => Some(n),
            Self::Fails | Self::Late(_) | Self::Babbles | Self::Strays => None,
        }
    }
}

/// What the arbiter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judge {
    Agrees,
    Objects,
    /// Lists the same point as agreed and as a conflict.
    Wavers,
    Fails,
    Babbles,
    /// Objects, and decides nothing when it may.
    Shrugs,
    /// Objects, and decides what there is not.
    Invents,
}

struct Bench {
    run: Run,
    members: BTreeMap<&'static str, Member>,
    judge: Judge,
    /// Mixes the order in which open calls are answered.
    order: u64,
}

fn body(consensus: &str, more: &str) -> String {
    format!(
        "{AGENTS}timeout: 1h\nsteps:\n  s:\n    stage: plan\n    with: {{ spec: x }}\n    \
         retry: {{ max_attempts: 2, backoff: {{ initial: 1s, jitter: 0 }}, \
         retry_on: [transient, timeout] }}\n    consensus: {{ {consensus} }}\n    \
         output: {{ schema: {{ type: object, required: [n] }} }}\n{more}\
         outputs: {{ n: '${{{{ steps.s.output }}}}' }}\n"
    )
}

impl Bench {
    fn new(consensus: &str, members: [Member; 3], judge: Judge, order: u64) -> Self {
        Self {
            run: Run::new(plan(&body(consensus, ""))),
            members: ["a", "b", "c"].into_iter().zip(members).collect(),
            judge,
            order,
        }
    }

    /// Answers until the run is over.
    fn finish(&mut self) -> (Exit, Vec<Verdict>, Value) {
        for _ in 0..500 {
            if let Some(end) = &self.run.end {
                return (end.exit, verdicts(&self.run), json!(end.outputs));
            }
            let ready: Vec<usize> = (0..self.run.calls.len())
                .filter(|at| self.is_ready(&self.run.calls[*at]))
                .collect();
            if ready.is_empty() {
                self.run.tick();
                continue;
            }
            self.order = self
                .order
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let at = ready[(self.order >> 33) as usize % ready.len()];
            let result = self.answer(&self.run.calls[at]);
            let used = Amounts {
                calls: 1,
                tokens: 7,
                ..Amounts::default()
            };
            self.run.answer_with(at, result, used);
        }
        panic!("it comes to no end: {:#?}", self.run.log);
    }

    fn is_ready(&self, call: &Call) -> bool {
        let late = matches!(
            self.members.get(call.plugin.as_str()),
            Some(Member::Late(_))
        );
        !late || self.run.cancelled.contains(&call.id.0)
    }

    fn answer(&self, call: &Call) -> CallResult {
        let consensus = &call.input["consensus"];
        if consensus["role"] == "arbiter" {
            return self.judged(consensus);
        }
        let fail = |class| CallResult::Failed(Failure::new(class, "no"));
        match self.members[call.plugin.as_str()] {
            Member::Says(n) | Member::Late(n) => CallResult::Output(json!({ "n": n })),
            Member::Stumbles(n) => match consensus["failure"].as_str() {
                Some(told) => {
                    assert!(told.starts_with("previous attempt failed ("), "{told}");
                    CallResult::Output(json!({ "n": n }))
                }
                None => fail(FailureClass::Transient),
            },
            Member::Fails => fail(FailureClass::Failed),
            Member::Babbles => CallResult::Output(json!("I would say two")),
            Member::Strays => CallResult::Output(json!({ "n": 0, "stage": "tasks" })),
        }
    }

    fn judged(&self, asked: &Value) -> CallResult {
        let output = json!({ "n": 9 });
        let conflict = json!([{ "issue": "the date", "positions": { "a": "May", "b": "June" } }]);
        let synthesis = |agreements: Value, conflicts: Value| json!({ "agreements": agreements, "conflicts": conflicts, "output": output });
        CallResult::Output(match (asked["task"].as_str().unwrap(), self.judge) {
            (_, Judge::Fails) => {
                return CallResult::Failed(Failure::new(FailureClass::Failed, "no"));
            }
            (_, Judge::Babbles) => json!({ "agreements": 3 }),
            ("judge", _) => {
                let agents = asked["outputs"].as_object().unwrap().keys();
                let scores: Vec<Value> = agents
                    .map(|agent| json!({ "agent": agent, "score": 0.5, "reason": "fine" }))
                    .collect();
                json!({ "scores": scores })
            }
            ("decide", judge) => {
                let open = asked["conflicts"].as_array().unwrap().iter();
                let decide = |id: &Value| json!({ "conflict": id, "resolution": "May", "sided_with": "a", "reason": "earlier" });
                let decisions: Vec<Value> = match judge {
                    Judge::Shrugs => Vec::new(),
                    Judge::Invents => vec![decide(&json!("c99"))],
                    _ => open.map(|it| decide(&it["id"])).collect(),
                };
                json!({ "decisions": decisions, "sufficient": true, "output": output })
            }
            (_, Judge::Agrees) => synthesis(json!(["the goal", "the owner"]), json!([])),
            (_, Judge::Wavers) => synthesis(json!(["The date "]), conflict),
            (_, Judge::Objects | Judge::Shrugs | Judge::Invents) => {
                synthesis(json!(["the goal"]), conflict)
            }
        })
    }
}

fn verdicts(run: &Run) -> Vec<Verdict> {
    let verdicts = run.notes.iter().filter_map(|note| match note {
        Note::Consensus { verdict, .. } => Some((**verdict).clone()),
        _ => None,
    });
    verdicts.collect()
}

const ALL: &str = "agents: [a, b, c], arbiter: z, min_participation: 2, agent_timeout: 5s";
const WELL: [Member; 3] = [Member::Says(1); 3];

fn of(more: &str, members: [Member; 3], judge: Judge) -> (Exit, Vec<Verdict>, Value) {
    Bench::new(&format!("{ALL}{more}"), members, judge, 1).finish()
}

#[test]
fn what_expressions_find_in_a_verdict_is_known_before_the_run() {
    let (_, verdicts, _) = of("", WELL, Judge::Agrees);
    let mut verdict = serde_json::to_value(&verdicts[0]).unwrap();
    // What is left out where there is nothing of it.
    verdict["issues"] = json!([]);
    let mut names: Vec<&String> = verdict.as_object().unwrap().keys().collect();
    names.sort_unstable();
    let mut known = Verdict::MEMBERS;
    known.sort_unstable();
    assert_eq!(names, known);
    let of = |read: &str| {
        let more = format!("  t: {{ needs: [s], uses: t, when: '{read}' }}\n");
        let plan = plan(&body(ALL, &more));
        let problems = Foresight::new(&plan, &Promised::new()).problems();
        problems.into_iter().map(|it| it.cure).collect::<Vec<_>>()
    };
    assert!(of("steps.s.consensus.ok && steps.s.consensus.agreement_ratio > 0.5").is_empty());
    assert_eq!(
        of("steps.s.consensus.stauts == \"ok\""),
        ["did you mean `status`?"]
    );
}

#[test]
fn an_open_conflict_ends_the_run_with_2_and_an_absence_with_3() {
    let two = [Member::Says(1), Member::Fails, Member::Fails];
    let (exit, verdicts, _) = of("", WELL, Judge::Objects);
    assert_eq!(
        (exit, verdicts[0].status),
        (Exit::Conflict, Status::Conflict)
    );
    let (exit, verdicts, _) = of("", two, Judge::Agrees);
    assert_eq!(
        (exit, verdicts[0].status),
        (Exit::Degraded, Status::Missing)
    );
    assert_eq!(verdicts[0].missing_agents, ["b", "c"]);
    let one = [Member::Says(1), Member::Says(1), Member::Fails];
    let (exit, verdicts, _) = of("", one, Judge::Agrees);
    assert_eq!(
        (exit, verdicts[0].status),
        (Exit::Degraded, Status::Degraded)
    );
}

#[test]
fn all_agents_and_an_arbiter_that_finds_no_conflict_are_ok() {
    let (exit, verdicts, outputs) = of("", WELL, Judge::Agrees);
    assert_eq!((exit, verdicts.len()), (Exit::Ok, 1));
    assert!(verdicts[0].ok && verdicts[0].conflicts.is_empty());
    assert_eq!(verdicts[0].agreement_ratio, Some(1.0));
    assert_eq!(
        outputs,
        json!({ "n": { "n": 9 } }),
        "the arbiter's output is the step's"
    );
}

#[test]
fn a_degraded_consensus_passes_only_where_the_plan_accepts_it() {
    let one = [Member::Says(1), Member::Late(1), Member::Says(1)];
    let (exit, verdicts, _) = of(", on_degraded: [retry, accept]", one, Judge::Agrees);
    assert_eq!(exit, Exit::Ok);
    let decisions: Vec<&str> = verdicts.iter().map(|it| it.decision.as_str()).collect();
    assert_eq!(decisions, ["retry", "accept"]);
    let last = verdicts.last().unwrap();
    assert!(!last.ok, "accepted is not ok");
    assert_eq!(last.agents[1].status, "late");
    assert_eq!(
        last.agents[1].attempts, 4,
        "two tries in each of two rounds"
    );
    let (exit, verdicts, _) = of(", on_degraded: [arbiter, halt]", one, Judge::Agrees);
    assert_eq!(exit, Exit::Ok);
    assert_eq!(
        verdicts.last().unwrap().accepted_by.as_deref(),
        Some("arbiter")
    );
}

#[test]
fn a_conflict_goes_to_the_arbiter_and_passes_only_when_it_is_decided() {
    let decided = ", on_conflict: [arbiter, halt], min_agreement: 0.5";
    let (exit, verdicts, _) = of(decided, WELL, Judge::Objects);
    assert_eq!(exit, Exit::Ok);
    let last = verdicts.last().unwrap();
    assert!(last.conflicts.is_empty() && last.escalation_triggered);
    assert_eq!(last.conflicts_resolved[0].sided_with.as_deref(), Some("a"));
    assert!(last.agents[1].arbiter_override && !last.agents[0].arbiter_override);
    assert_eq!(last.agents[1].override_reason.as_deref(), Some("earlier"));
    for judge in [Judge::Shrugs, Judge::Invents] {
        let (exit, verdicts, _) = of(decided, WELL, judge);
        assert_eq!(exit, Exit::Conflict, "{judge:?}");
        assert_eq!(verdicts.last().unwrap().conflicts.len(), 1);
    }
}

#[test]
fn a_decided_conflict_still_counts_as_a_difference() {
    let strict = ", on_conflict: [arbiter, halt], on_degraded: [halt]";
    let (exit, verdicts, _) = of(strict, WELL, Judge::Objects);
    assert_eq!(exit, Exit::Degraded);
    assert_eq!(verdicts.last().unwrap().agreement_ratio, Some(0.5));
}

#[test]
fn a_conflict_below_the_recoverable_share_is_not_tried_again() {
    let (exit, verdicts, _) = of(", on_conflict: [retry, halt]", WELL, Judge::Objects);
    assert_eq!((exit, verdicts.len()), (Exit::Conflict, 1));
    assert!(verdicts[0].escalation_triggered);
    assert_eq!(verdicts[0].agreement_ratio, Some(0.5));
    let points =
        ", on_conflict: [retry, halt], compare: [{at: /n, by: equal}, {at: /n, by: number}]";
    let (exit, verdicts, _) = of(points, WELL, Judge::Objects);
    assert_eq!(
        (exit, verdicts.len()),
        (Exit::Conflict, 2),
        "0.75 is one recovery"
    );
    assert_eq!((verdicts[0].round, verdicts[1].round), (1, 2));
    assert_eq!(verdicts[1].agents[0].effort, "high");
}

#[test]
fn an_arbiter_that_lists_a_point_twice_has_a_conflict() {
    let (exit, verdicts, _) = of("", WELL, Judge::Wavers);
    assert_eq!(exit, Exit::Conflict);
    assert!(verdicts[0].agreements.is_empty());
    assert!(verdicts[0].notes[0].contains("as agreed and as a conflict"));
}

#[test]
fn an_arbiter_without_an_answer_leaves_no_consensus() {
    for judge in [Judge::Fails, Judge::Babbles] {
        let (exit, verdicts, _) = of(", on_no_consensus: [retry, halt]", WELL, judge);
        assert_eq!(exit, Exit::Degraded, "{judge:?}");
        assert_eq!(verdicts.len(), 2);
        assert!(
            verdicts[1].agents.iter().all(|it| it.attempts == 1),
            "the members are not asked again"
        );
        assert_eq!(verdicts[1].arbiter.as_ref().unwrap().attempts, 2);
    }
}

#[test]
fn a_relay_hands_on_what_was_said_and_a_parallel_panel_does_not() {
    let mut bench = Bench::new(&format!("{ALL}, mode: relay"), WELL, Judge::Agrees, 1);
    assert_eq!(bench.run.calls.len(), 1, "one after the other");
    assert_eq!(bench.run.calls[0].input["spec"], "x");
    bench.run.ok("s", json!({ "n": 5 }));
    let second = &bench.run.calls[0];
    assert_eq!(second.plugin, "b");
    assert_eq!(
        second.input["consensus"]["earlier"],
        json!({ "a": { "n": 5 } })
    );
    let bench = Bench::new(ALL, WELL, Judge::Agrees, 1);
    assert_eq!(bench.run.calls.len(), 3, "all at once");
    assert!(
        bench
            .run
            .calls
            .iter()
            .all(|call| call.input["consensus"].get("earlier").is_none())
    );
}

#[test]
fn a_relay_stops_early_when_too_few_can_answer() {
    let two = [Member::Fails, Member::Fails, Member::Says(1)];
    let asked = |more: &str| {
        let mut bench = Bench::new(&format!("{ALL}, mode: relay{more}"), two, Judge::Agrees, 1);
        let (exit, verdicts, _) = bench.finish();
        assert_eq!(exit, Exit::Degraded);
        verdicts[0].agents[2].clone()
    };
    assert_eq!((asked("").status.as_str(), asked("").attempts), ("ok", 1));
    let early = asked(", early_stop: true");
    assert_eq!((early.status.as_str(), early.attempts), ("not_needed", 0));
}

#[test]
fn the_last_runs_or_another_stages_answer_does_not_count() {
    let members = [Member::Says(1), Member::Says(1), Member::Strays];
    let (exit, verdicts, _) = of("", members, Judge::Agrees);
    assert_eq!(exit, Exit::Degraded);
    let error = verdicts[0].agents[2].error.clone().unwrap();
    assert!(
        error.contains("of the stage `tasks`, not `plan`"),
        "{error}"
    );
}

#[test]
fn the_same_component_with_the_same_config_is_counted_once() {
    let text = "agents: [a, b, c], rule: majority, distinct: true";
    let plan = plan(&body(text, ""));
    let mut setup = crate::planner::harness::setup(&plan, BTreeMap::new(), json!({}));
    for (agent, digest) in [("a", "1"), ("b", "2"), ("c", "2")] {
        setup.components.insert(agent.to_owned(), digest.to_owned());
    }
    let mut planner = crate::planner_for(std::sync::Arc::new(plan), setup).unwrap();
    let actions = planner.on(crate::Event::Started, crate::Time(0));
    let asked = actions
        .iter()
        .filter(|it| matches!(it, crate::Action::Call(_)));
    assert_eq!(asked.count(), 2);
    assert!(actions.iter().any(|it| matches!(
        it,
        crate::Action::Note(Note::Warning {
            about: "consensus",
            ..
        })
    )));
}

#[test]
fn a_verdict_is_in_reach_of_checks_and_of_later_steps() {
    let checks = "    checks: [{id: ok, that: 'consensus.ok && size(consensus.conflicts) == 0'}]\n  \
        t: {needs: [s], uses: t, with: {ratio: '${{ steps.s.consensus.agreement_ratio }}'}}\n";
    let mut bench = Bench::new(ALL, WELL, Judge::Agrees, 1);
    bench.run = Run::new(plan(&body(ALL, checks)));
    for _ in 0..4 {
        let result = bench.answer(&bench.run.calls[0]);
        bench.run.answer_with(0, result, Amounts::default());
    }
    assert_eq!(bench.run.call("t").input["ratio"], json!(1.0));
    bench.run.ok("t", json!(1));
    assert_eq!(bench.run.exit(), Exit::Ok);
}

#[test]
fn whose_answer_counts_is_never_asked_under_a_name_that_was_used() {
    let members = [Member::Stumbles(1), Member::Late(1), Member::Says(1)];
    let mut bench = Bench::new(
        &format!("{ALL}, on_degraded: [retry, halt]"),
        members,
        Judge::Agrees,
        3,
    );
    bench.finish();
    let keys: Vec<&str> = bench
        .run
        .log
        .iter()
        .flat_map(|line| {
            let parts = line.split("idempotency_key: \"").skip(1);
            parts.map(|part| part.split('"').next().unwrap())
        })
        .collect();
    let distinct: std::collections::BTreeSet<&&str> = keys.iter().collect();
    assert!(keys.len() > 6 && distinct.len() == keys.len(), "{keys:?}");
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![
        4 => (0_u8..2).prop_map(Member::Says),
        1 => (0_u8..2).prop_map(Member::Stumbles),
        1 => Just(Member::Fails),
        1 => (0_u8..2).prop_map(Member::Late),
        1 => Just(Member::Babbles),
        1 => Just(Member::Strays),
    ]
}

fn judge() -> impl Strategy<Value = Judge> {
    prop_oneof![
        3 => Just(Judge::Agrees),
        1 => Just(Judge::Objects),
        1 => Just(Judge::Wavers),
        1 => Just(Judge::Fails),
        1 => Just(Judge::Babbles),
        1 => Just(Judge::Shrugs),
        1 => Just(Judge::Invents),
    ]
}

fn rule() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(", compare: [{at: /n, by: equal}]"),
        Just(", compare: [{at: /n, by: equal}], min_agreement: 0.3"),
        Just(", rule: majority"),
        Just(", rule: weighted, weights: {a: 3, b: 1, c: 1}"),
        Just(", rule: unanimous"),
        Just(", rule: majority, vote: /n, min_agreement: 0.6"),
        Just(", rule: best_of"),
    ]
}

fn lists() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(""),
        Just(", on_degraded: [accept]"),
        Just(
            ", on_degraded: [retry, arbiter, accept], on_conflict: [retry, arbiter, halt], \
             on_no_consensus: [retry, halt]"
        ),
        Just(", on_conflict: [arbiter, retry, halt]"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_failed_agent_never_counts_a_conflict_never_passes_and_the_order_changes_nothing(
        members in [member(), member(), member()],
        judge in judge(),
        rule in rule(),
        lists in lists(),
        orders in [any::<u64>(), any::<u64>()],
    ) {
        let consensus = format!("{ALL}{rule}{lists}");
        let run = |order| Bench::new(&consensus, members, judge, order).finish();
        let (exit, verdicts, outputs) = run(orders[0]);
        prop_assert_eq!(run(orders[1]), (exit, verdicts.clone(), outputs));
        let last = verdicts.last().unwrap();
        for verdict in &verdicts {
            for (agent, member) in verdict.agents.iter().zip(members) {
                prop_assert_eq!(agent.status == "ok", member.says().is_some(), "{:?}", agent);
                prop_assert_eq!(agent.seat.is_some(), agent.status == "ok");
            }
            let present = members.iter().filter(|it| it.says().is_some()).count();
            prop_assert_eq!(verdict.participation.present as usize, present);
            let passes = ["pass", "accept"].contains(&verdict.decision.as_str());
            prop_assert!(!passes || verdict.conflicts.is_empty());
            prop_assert_eq!(verdict.decision == "pass", verdict.ok);
        }
        let passed = ["pass", "accept"].contains(&last.decision.as_str());
        prop_assert_eq!(exit == Exit::Ok, passed);
        prop_assert_eq!(exit == Exit::Conflict, !last.conflicts.is_empty());
        prop_assert!([Exit::Ok, Exit::Conflict, Exit::Degraded].contains(&exit));
    }

    #[test]
    fn stopping_early_changes_neither_status_nor_output(
        members in [member(), member(), member()],
        rule in prop_oneof![
            Just(", rule: majority"),
            Just(", rule: weighted, weights: {a: 3, b: 1, c: 1}"),
            Just(", rule: unanimous"),
        ],
        relay: bool,
        order: u64,
    ) {
        let mode = if relay { ", mode: relay" } else { "" };
        let run = |early: &str| {
            let consensus = format!("{ALL}{rule}{mode}{early}");
            let (exit, verdicts, outputs) =
                Bench::new(&consensus, members, Judge::Agrees, order).finish();
            (exit, verdicts.last().unwrap().status, outputs)
        };
        prop_assert_eq!(run(", early_stop: true"), run(""));
    }
}

/// A run of a panel whose agents say 1, with these signals in the step's input.
fn selected(signals: &str, members: [Member; 3]) -> (Exit, Vec<Verdict>, Value) {
    let consensus = format!("{ALL}, compare: [{{ at: /n, by: equal }}], select: /size");
    let text = body(&consensus, "").replace("with: { spec: x }", &format!("with: {{ {signals} }}"));
    let mut bench = Bench {
        run: Run::new(plan(&text)),
        members: ["a", "b", "c"].into_iter().zip(members).collect(),
        judge: Judge::Agrees,
        order: 1,
    };
    bench.finish()
}

#[test]
fn the_smallest_set_that_the_work_is_worth_is_asked() {
    let says = [Member::Says(1); 3];
    for (signals, asked) in [
        ("size: { tasks: 3 }", 1),
        ("size: { tasks: 12 }", 2),
        ("size: { tasks: 40 }", 3),
        ("size: { tasks: 3, risk: high }", 3),
        ("size: { mood: good }", 3),
        ("spec: x", 3),
    ] {
        let (exit, verdicts, output) = selected(signals, says);
        assert_eq!(exit, Exit::Ok, "{signals}: {verdicts:#?}");
        // The arbiter of these tests says 9, whoever said what.
        let says = if asked == 1 { 1 } else { 9 };
        assert_eq!(output["n"]["n"], says, "{signals}");
        let verdict = &verdicts[0];
        assert_eq!(verdict.status, Status::Ok, "{signals}");
        assert_eq!(verdict.participation.expected, asked, "{signals}");
        let not_needed = verdict.agents.iter().filter(|it| it.status == "not_needed");
        assert_eq!(not_needed.count(), 3 - asked as usize, "{signals}");
        // Of one answer nothing is to be put together.
        assert_eq!(verdict.arbiter.is_none(), asked == 1, "{signals}");
        let noted = verdict.notes.iter().any(|it| it.starts_with("selection: "));
        assert_eq!(noted, signals.contains("tasks"), "{:?}", verdict.notes);
    }
}

#[test]
fn one_that_was_chosen_alone_and_fails_is_no_consensus() {
    let members = [Member::Fails, Member::Says(1), Member::Says(1)];
    let (exit, verdicts, _) = selected("size: { tasks: 3 }", members);
    assert_eq!(exit, Exit::Degraded);
    assert_eq!(verdicts[0].status, Status::Missing);
    assert_eq!(verdicts[0].missing_agents, ["a"]);
}

#[test]
fn an_arbiter_that_failed_is_asked_again_about_the_issues_that_are_its_to_settle() {
    let body = format!(
        "{AGENTS}timeout: 1h\nsteps:\n  s: {{ consensus: {{ agents: [a, b, c], rule: issues, arbiter: z, \
         min_agreement: 0.9, on_degraded: [retry, accept] }} }}\n\
         outputs: {{ n: '${{{{ steps.s.output }}}}' }}\n"
    );
    let raised = |answer: &str| {
        CallResult::Output(json!({ "issues": [{
            "id": "offline", "question": "what while offline?", "answer": answer,
            "confidence": "high", "magnitude": "minor", "resolvability": "auto",
        }] }))
    };
    let mut run = Run::new(plan(&body));
    let mut put_to_arbiter = Vec::new();
    while run.end.is_none() {
        let call = &run.calls[0];
        let result = match call.plugin.as_str() {
            "z" => {
                put_to_arbiter.push(call.input["consensus"]["issues"][0]["id"].clone());
                match put_to_arbiter.len() {
                    1 => CallResult::Failed(Failure::new(FailureClass::Failed, "no")),
                    _ => CallResult::Output(json!({ "decisions": [
                        { "issue": "offline", "accept": true, "reason": "it can be undone" },
                    ] })),
                }
            }
            "c" => raised("drop it"),
            _ => raised("queue it"),
        };
        run.answer_with(0, result, Amounts::default());
    }
    assert_eq!(put_to_arbiter, ["offline", "offline"]);
    let verdicts = verdicts(&run);
    assert_eq!(verdicts.len(), 2, "{verdicts:#?}");
    assert!(verdicts[0].notes[0].starts_with("waits for a person: `offline`"));
    assert!(verdicts[1].notes.is_empty(), "{:?}", verdicts[1].notes);
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Ok);
    assert_eq!(end.outputs["n"]["applied"][0]["by"], "arbiter");
}
