//! The past of a new run: what of a recorded one it takes, what it does anew, and where it cannot begin.

use serde_json::json;

use super::*;
use crate::budget::Amounts;
use crate::exit::{Failure, FailureClass};
use crate::planner::{CallResult, GateAnswer, harness};

const BODY: &str = "steps:\n  a: {uses: t, with: {n: 1}}\n  \
    b: {uses: t, needs: [a], with: {n: \"${{ steps.a.output }}\"}, \
    retry: {max_attempts: 2, backoff: {initial: 50ms}, retry_on: [transient]}}\n  \
    ok: {wait_for: approval, needs: [b], timeout: 1h}\n  \
    c: {uses: t, needs: [ok], with: {n: \"${{ steps.b.output }}\"}}\n  \
    d: {uses: t, needs: [c], with: {}}\noutputs: {last: \"${{ steps.d.output }}\"}\n";

/// What a run was fed, and how its calls ended.
type Left = (Vec<EventRecord>, BTreeMap<CallId, CallEnd>);

fn setup(plan: &Plan, seed: u64, hash: &str) -> RunSetup {
    RunSetup {
        seed,
        plan_hash: hash.to_owned(),
        ..harness::setup(plan, BTreeMap::new(), json!({}))
    }
}

/// A run to its end: each call says its path, the first attempt of `b` fails, the gate is opened.
fn recorded(plan: &Arc<Plan>) -> Left {
    recorded_with(plan, "")
}

/// The same where the calls of one step fail.
fn recorded_with(plan: &Arc<Plan>, fails: &str) -> Left {
    let planner = planner_for(plan.clone(), setup(plan, 7, "h")).unwrap();
    let mut branch = Branch::new(planner, "nowhere", &[]);
    let mut ends = BTreeMap::new();
    branch.feed(Event::Started, Time(1_000));
    for _ in 0..100 {
        if branch.planner.is_finished() {
            break;
        }
        let at = branch.now.after(10);
        if let Some(tag) = branch.open.keys().next().cloned() {
            let result = match (tag.path.as_str(), tag.attempt) {
                ("b", 1) => CallResult::Failed(Failure::new(FailureClass::Transient, "not now")),
                (path, _) if path == fails => {
                    CallResult::Failed(Failure::new(FailureClass::Failed, "no"))
                }
                (path, _) => CallResult::Output(json!(path)),
            };
            let used = Amounts {
                calls: 1,
                tokens: 5,
                ..Amounts::default()
            };
            let end = CallEnd { result, used };
            let id = *branch.open[&tag].front().unwrap();
            ends.insert(id, end.clone());
            branch.call_ended(&tag, id, &end, at);
        } else if let Some((_, gate)) = branch.gates.pop_first() {
            let answer = GateAnswer::Approval {
                approved: true,
                by: "ann".to_owned(),
                note: String::new(),
            };
            branch.feed(Event::GateAnswered { gate, answer }, at);
        } else {
            let due = branch.timers.first().unwrap().0;
            branch.time(due);
        }
    }
    assert!(branch.planner.is_finished(), "{:?}", branch.events);
    (branch.events, ends)
}

/// Nothing was taken back by hand.
static NOTHING: BTreeSet<String> = BTreeSet::new();

/// The run of this plan that left this.
fn parent<'l>(plan: &Arc<Plan>, (events, ends): &'l Left) -> Parent<'l> {
    Parent {
        plan: plan.clone(),
        setup: setup(plan, 7, "h"),
        started: Time(1_000),
        events,
        ends,
        by_hand: &NOTHING,
    }
}

/// The past that a run of `plan` has where it begins with this one's, up to a step.
fn begin(parent: &Parent<'_>, plan: &Arc<Plan>, at: &str) -> Result<Prefix, ForkError> {
    let setup = setup(plan, 7, "another");
    fork(parent, plan.clone(), setup, Time(9_000), at)
}

fn forked(before: &Arc<Plan>, after: &Arc<Plan>, at: &str) -> Result<Prefix, ForkError> {
    begin(&parent(before, &recorded(before)), after, at)
}

#[test]
fn refuses_a_step_that_never_ran_and_names_those_that_did() {
    let plan = Arc::new(harness::plan(BODY));
    let refused = forked(&plan, &plan, "e").unwrap_err();
    let ForkError::NeverRan { step, ran } = refused else {
        panic!("{refused}");
    };
    assert_eq!(
        (step.as_str(), ran.join(" ")),
        ("e", "a b ok c d".to_owned())
    );
}

#[test]
fn a_step_that_never_began_is_reached_where_all_that_it_needs_was_done() {
    let plan = Arc::new(harness::plan(BODY));
    let (events, mut ends) = recorded(&plan);
    // As a run of `c` alone would have ended: before `d` was asked for.
    let last = ends.pop_last().unwrap().0;
    let before = |record: &&EventRecord| !matches!(record.event, Recorded::CallFinished { call } if call == last);
    let events: Vec<EventRecord> = events.iter().filter(before).cloned().collect();
    let left = (events, ends);
    let mut parent = parent(&plan, &left);
    parent.setup.only = Some("c".to_owned());
    let reached = begin(&parent, &plan, "d").unwrap();
    assert_eq!(reached.calls.len(), left.1.len());
    assert!(matches!(
        begin(&parent, &plan, "e"),
        Err(ForkError::NeverRan { .. })
    ));
}

const SAGA: &str = "steps:\n  x: {uses: t, with: {n: 1}}\n  \
    a: {uses: t, needs: [x], with: {n: 1}, compensate: {uses: t, with: {n: 0}}}\n  \
    c: {uses: t, needs: [a], with: {n: \"${{ steps.a.output }}\"}}\noutputs: {last: \"${{ steps.c.output }}\"}\n";

/// The past up to `c` of a run of it that failed there; `end` says how the call ended that took `a` back.
fn saga(plan: &Arc<Plan>, end: impl Fn(&mut CallEnd)) -> Result<Prefix, ForkError> {
    let mut left = recorded_with(plan, "c");
    // The last call of all is the one that takes back.
    end(left.1.values_mut().next_back().unwrap());
    begin(&parent(plan, &left), plan, "c")
}

#[test]
fn what_was_taken_back_later_is_no_past_and_is_done_anew() {
    let plan = Arc::new(harness::plan(SAGA));
    let prefix = saga(&plan, |_| {}).unwrap();
    assert_eq!(prefix.anew, ["a"]);
    assert_eq!(prefix.calls.len(), 1, "`x` has nothing that takes it back");
    let mut replayer = Replayer::new(plan.clone(), setup(&plan, 7, "another")).unwrap();
    let mut last = Vec::new();
    for event in &prefix.events {
        last = replayer.feed(event, &prefix.ends).unwrap();
    }
    let asks = |action: &Action| matches!(action, Action::Call(call) if call.path == "a");
    assert!(last.iter().any(asks), "it is asked for again: {last:?}");
}

#[test]
fn what_could_not_be_taken_back_still_counts_as_done() {
    let plan = Arc::new(harness::plan(SAGA));
    let refused = |end: &mut CallEnd| {
        end.result = CallResult::Failed(Failure::new(FailureClass::Failed, "no"));
    };
    let prefix = saga(&plan, refused).unwrap();
    assert_eq!((prefix.anew.len(), prefix.calls.len()), (0, 2));
}

#[test]
fn what_a_person_took_back_by_hand_is_done_anew() {
    let plan = Arc::new(harness::plan(SAGA));
    let mut left = recorded_with(&plan, "c");
    let back = left.1.values_mut().next_back().unwrap();
    back.result = CallResult::Failed(Failure::new(FailureClass::Failed, "no"));
    let by_hand = BTreeSet::from(["a".to_owned()]);
    let run = Parent {
        by_hand: &by_hand,
        ..parent(&plan, &left)
    };
    let prefix = begin(&run, &plan, "c").unwrap();
    assert_eq!(prefix.anew, ["a"]);
    assert_eq!(prefix.calls.len(), 1);
}

/// A step that is taken back, one behind it of this kind, which nothing takes back, a gate behind that, and one beside.
fn behind(more: &str) -> Arc<Plan> {
    let body = format!(
        "steps:\n  a: {{uses: t, with: {{n: 1}}, compensate: {{uses: t, with: {{n: 0}}}}}}\n  x: {{uses: t, with: {{n: 1}}}}\n  \
         pay: {{uses: t, needs: [a], with: {{n: 1}}{more}}}\n  ok: {{wait_for: approval, needs: [pay], timeout: 1h}}\n  \
         d: {{uses: t, needs: [ok, x], with: {{n: 1}}}}\noutputs: {{last: \"${{{{ steps.d.output }}}}\"}}\n"
    );
    Arc::new(harness::plan(&body))
}

#[test]
fn what_needs_a_step_that_was_taken_back_is_named_as_done_anew_too() {
    let plan = behind("");
    let left = recorded_with(&plan, "d");
    let prefix = begin(&parent(&plan, &left), &plan, "d").unwrap();
    assert_eq!(prefix.anew, ["a", "ok", "pay"]);
    assert_eq!(prefix.behind, ["ok", "pay"]);
    assert_eq!(prefix.calls.len(), 1, "`x` stays");
}

#[test]
fn an_effect_that_must_not_happen_twice_is_not_done_anew_unless_it_was_taken_back() {
    let once = behind(", effects: once");
    let left = recorded_with(&once, "d");
    let run = parent(&once, &left);
    let refused = begin(&run, &once, "d").unwrap_err();
    assert!(
        matches!(&refused, ForkError::OnceAgain { steps } if steps == &["pay"]),
        "{refused}"
    );
    // The new plan may say so, and the recorded one not.
    let refused = begin(&run, &behind(""), "d").unwrap_err();
    assert!(matches!(refused, ForkError::OnceAgain { .. }), "{refused}");
    let plain = behind("");
    let left = recorded_with(&plain, "d");
    let refused = begin(&parent(&plain, &left), &once, "d").unwrap_err();
    assert!(matches!(refused, ForkError::OnceAgain { .. }), "{refused}");
    // At the step itself it is wanted once more.
    assert_eq!(begin(&run, &once, "pay").unwrap().anew, ["a"]);
    let back = behind(", effects: once, compensate: {uses: t, with: {n: 0}}");
    let left = recorded_with(&back, "d");
    let prefix = begin(&parent(&back, &left), &back, "d").unwrap();
    assert_eq!(prefix.anew, ["a", "ok", "pay"]);
    assert_eq!(prefix.behind, ["ok"]);
}

#[test]
fn a_call_that_must_not_happen_twice_may_be_made_again_where_it_failed_and_not_where_it_is_in_doubt()
 {
    let plan = behind(", effects: once, continue_on_error: true");
    let failing = |failure: Failure| {
        let mut left = recorded_with(&plan, "d");
        let ends = left.1.values_mut();
        let pay = ends.filter(|end| matches!(&end.result, CallResult::Output(it) if it == "pay"));
        pay.for_each(|end| end.result = CallResult::Failed(failure.clone()));
        begin(&parent(&plan, &left), &plan, "d")
    };
    assert!(failing(Failure::new(FailureClass::Failed, "no")).is_ok());
    let refused = failing(Failure::new(FailureClass::Timeout, "late").left_in_doubt()).unwrap_err();
    assert!(matches!(refused, ForkError::OnceAgain { .. }), "{refused}");
}

#[test]
fn a_step_stands_for_its_parts_where_all_of_them_are_done_anew() {
    let set =
        |paths: &[&str]| -> BTreeSet<String> { paths.iter().map(|it| (*it).to_owned()).collect() };
    let before = set(&[
        "a", "each", "each[0]", "each[1]", "each2", "sub", "sub/x", "sub/y",
    ]);
    let after = set(&["each2", "sub/x"]);
    let named = anew::named(&["a".to_owned(), "sub/z".to_owned()], &before, &after);
    assert_eq!(named, ["a", "each", "sub/y", "sub/z"]);
}

#[test]
fn what_was_taken_back_as_a_whole_is_named_so_though_a_gate_in_it_stays() {
    let set =
        |paths: &[&str]| -> BTreeSet<String> { paths.iter().map(|it| (*it).to_owned()).collect() };
    let (before, after) = (set(&["sub", "sub/ok", "sub/pay"]), set(&["sub/ok"]));
    assert_eq!(anew::named(&["sub".to_owned()], &before, &after), ["sub"]);
}

#[test]
fn what_takes_a_step_back_is_no_step_to_begin_at() {
    let plan = Arc::new(harness::plan(BODY));
    let refused = forked(&plan, &plan, "a!compensate").unwrap_err();
    assert!(matches!(&refused, ForkError::TakesBack { step, .. } if step == "a"));
}

#[test]
fn a_step_that_was_being_taken_back_is_no_past_of_anything() {
    let plan = Arc::new(harness::plan(SAGA));
    let mut left = recorded_with(&plan, "c");
    // As a kill leaves it: what takes back was begun.
    left.0.pop();
    let parent = parent(&plan, &left);
    let refused = begin(&parent, &plan, "c").unwrap_err();
    assert!(
        matches!(&refused, ForkError::HalfTakenBack { step } if step == "a"),
        "{refused}"
    );
    assert_eq!(begin(&parent, &plan, "a").unwrap().calls.len(), 1);
}

#[test]
fn refuses_a_plan_that_wants_what_was_never_done_before_the_step() {
    let before = Arc::new(harness::plan(BODY));
    let after = BODY.replace(
        "  c: {uses: t, needs: [ok]",
        "  x: {uses: t}\n  w: {uses: t}\n  z: {uses: t}\n  y: {uses: t}\n  \
         c: {uses: t, needs: [ok, w, x, y, z]",
    );
    let after = Arc::new(harness::plan(&after));
    let refused = forked(&before, &after, "c").unwrap_err();
    let ForkError::NotReached { wants, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!(wants, ["w", "x", "y", "z"]);
}

#[test]
fn the_planner_stands_where_the_step_begins_whatever_its_plan_says_of_what_comes_later() {
    let before = Arc::new(harness::plan(BODY));
    let after = Arc::new(harness::plan(&BODY.replace(
        "  d: {uses: t, needs: [c], with: {}}",
        "  d: {uses: t, needs: [c], with: {more: true}}",
    )));
    for (at, calls) in [("a", 0), ("b", 1), ("ok", 3), ("c", 3), ("d", 4)] {
        let prefix = forked(&before, &after, at).unwrap();
        assert_eq!(prefix.calls.len(), calls, "{at}");
        let mut replayer = Replayer::new(after.clone(), setup(&after, 7, "another")).unwrap();
        let mut last = Vec::new();
        for event in &prefix.events {
            last = replayer.feed(event, &prefix.ends).unwrap();
        }
        let begun = last
            .iter()
            .any(|action| matches!(action, Action::Note(note) if begins(note, at)));
        assert!(begun, "{at}: {last:?}");
        // On the new run's clock, as far from its start as it was.
        assert!(prefix.events.iter().all(|it| it.at >= Time(9_000)), "{at}");
    }
}
