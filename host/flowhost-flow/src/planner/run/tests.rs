//! Turns of nothing but the planner's own work: they hear a stop, and a run has only so many steps.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;

use super::Run;
use crate::effort::stoppable;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::planner::harness::{plan, setup};
use crate::planner::{Action, Event, Note, Planner as _, Time};

fn run(plan: Plan) -> Run {
    let setup = setup(&plan, BTreeMap::new(), json!({}));
    Run::new(&Arc::new(plan), setup)
}

/// Ten thousand times a plan that calls nothing, within plans of the same kind.
fn nested() -> Plan {
    let each = "steps:\n  all:\n    foreach: {items: '${{ range(10000) }}', fail_fast: false}\n    uses: plan:c.yaml\n";
    let mut middle = plan(each);
    let pure = plan("steps:\n  one: {when: 'false', uses: t}\n");
    middle.attach_plan("c.yaml", pure).unwrap();
    let mut outer = plan(each);
    outer.attach_plan("c.yaml", middle).unwrap();
    outer
}

#[test]
fn a_turn_without_an_end_hears_a_stop_whatever_it_is_made_of() {
    let machines = "steps:\n  all:\n    foreach: {items: '${{ range(10000) }}', fail_fast: false}\n    uses: plan:c.yaml\n";
    let mut machines = plan(machines);
    let machine = "kind: fsm\ninitial_state: a\nfinal_states: [end]\nmax_transitions: 10000\nstates:\n  \
                   a: {transitions: [{when: 'inputs.size() > 0', to: end}], on_success: b}\n  b: {on_success: a}\n  end: {}\n";
    machines.attach_plan("c.yaml", plan(machine)).unwrap();
    let tree = "kind: behavior_tree\nroot: {type: repeat, times: 1000, child: {type: repeat, times: 1000, child: \
                {type: condition, check: 'true'}}}\n";
    let failing = "steps:\n  all:\n    foreach: {items: '${{ range(10000) }}', fail_fast: false}\n    uses: t\n    \
                   with: {x: '${{ 1 / (item - item) }}'}\n    continue_on_error: true\n";
    for plan in [nested(), machines, plan(tree), plan(failing)] {
        let asked = Rc::new(Cell::new(0_u32));
        let seen = Rc::clone(&asked);
        let stop = move || {
            seen.set(seen.get() + 1);
            seen.get() == 3
        };
        let mut run = run(plan);
        let actions = stoppable(stop, || run.on(Event::Started, Time(1)));
        assert_eq!(asked.get(), 3, "after a yes nothing is asked any more");
        // Three questions are some milliseconds of work: a few hundred steps, and not the ten thousand. It may
        // say that the run has failed, of an expression that was stopped: the answer is thrown away.
        assert!(actions.len() < 3_000, "{}", actions.len());
    }
}

#[test]
fn a_run_has_only_so_many_steps_with_all_its_sub_plans() {
    let mut run = run(nested());
    run.core.steps_max = 500;
    let actions = run.on(Event::Started, Time(1));
    let Some(Action::Finish(end)) = actions.last() else {
        panic!("it has not ended");
    };
    assert_eq!(end.exit, Exit::Limit);
    let failure = end.failure.as_ref().unwrap();
    assert!(
        failure.message.contains("more than 500 steps"),
        "{failure:?}"
    );
    let ended = |it: &&Action| matches!(it, Action::Note(Note::StepEnded(_)));
    let ended = actions.iter().filter(ended).count();
    assert!((501..600).contains(&ended), "{ended}");
}

#[test]
fn a_run_of_as_many_steps_as_there_may_be_is_well() {
    let each = "steps:\n  all:\n    foreach: {items: '${{ range(20) }}'}\n    uses: plan:c.yaml\n";
    let mut outer = plan(each);
    let pure = plan("steps:\n  one: {when: 'false', uses: t}\n");
    outer.attach_plan("c.yaml", pure).unwrap();
    for (most, exit) in [(41, Exit::Ok), (30, Exit::Limit)] {
        let mut run = run(outer.clone());
        run.core.steps_max = most;
        let actions = run.on(Event::Started, Time(1));
        // 20 items, each with the step of its plan, and the step that joins them.
        let Some(Action::Finish(end)) = actions.last() else {
            panic!("it has not ended");
        };
        assert_eq!(end.exit, exit);
    }
}
