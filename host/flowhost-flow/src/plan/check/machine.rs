//! What a state machine must have so that it can always come to an end.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::check::{Check, Reach};
use crate::plan::tree::Node;
use crate::plan::{Fsm, State, Work};
use crate::problem::At;

impl<'p> Check<'p> {
    pub(super) fn machine(&mut self, machine: &'p Fsm, root: &Node) {
        if let Some(states) = root.get("states")
            && machine.states.is_empty()
        {
            return self
                .problems
                .add(states.at, "a state machine needs a state", "");
        }
        if let Some(node) = root.get("initial_state") {
            self.known_state(machine, &machine.initial_state, "initial_state", node.at);
        }
        self.final_states(machine, root);
        let nodes = root.get("states").map(Node::by_name).unwrap_or_default();
        for state in &machine.states {
            if let Some(node) = nodes.get(state.id.as_str()) {
                self.state(machine, state, node);
            }
        }
        self.reach(machine);
    }

    fn final_states(&mut self, machine: &Fsm, root: &Node) {
        // The walk has told that it is missing.
        let Some(node) = root.get("final_states") else {
            return;
        };
        if machine.final_states.is_empty() {
            let cure = "list the states in which the run has ended";
            self.problems.add(
                node.at,
                "`final_states` names no state: the run would never end",
                cure,
            );
        }
        for node in node.listed() {
            if let Some(id) = node.text() {
                self.known_state(machine, id, "final_states", node.at);
            }
        }
    }

    fn state(&mut self, machine: &Fsm, state: &'p State, node: &Node) {
        let id = &state.id;
        if let Some(step) = &state.work {
            self.work_node(step, node, true);
        }
        let ways = node
            .get("transitions")
            .map(Node::elements)
            .unwrap_or_default();
        for (way, node) in state.transitions.iter().zip(ways) {
            let at = node.get("when").map_or(node.at, |node| node.at);
            let gate = state
                .work
                .as_ref()
                .is_some_and(|step| matches!(step.work, Work::Gate(_)));
            let reach = match gate {
                true => Reach::Gate,
                false => Reach::Work {
                    failure: true,
                    output: true,
                    step: state.work.as_deref(),
                },
            };
            self.expr(&way.when, at, &reach);
            self.known_state(machine, &way.to, "to", way.at);
        }
        for (key, target) in [
            ("on_success", &state.on_success),
            ("on_error", &state.on_error),
            ("on_timeout", &state.on_timeout),
        ] {
            if let (Some(target), Some(node)) = (target, node.get(key)) {
                self.known_state(machine, target, key, node.at);
            }
        }
        if machine.is_final(id) {
            for key in ["transitions", "on_success", "on_error", "on_timeout"] {
                if let Some(node) = node.get(key) {
                    let message = format!("state `{id}` is final and has no way out by `{key}`");
                    let cure = format!("remove `{key}`, or take `{id}` out of `final_states`");
                    self.problems.add(node.at, message, cure);
                }
            }
            return;
        }
        let always = state
            .transitions
            .iter()
            .any(|way| way.when.source() == "true");
        if state.on_success.is_none() && !always {
            let message = format!("state `{id}` is not final and has no way out that always holds");
            let cure = "add `on_success:`, or list the state under `final_states`";
            self.problems.add(node.at, message, cure);
        }
        if let (None, Some(node)) = (&state.work, node.get("on_error")) {
            let message = format!("state `{id}`: `on_error` has no meaning without `uses`");
            let cure = "a state without `uses` only decides";
            self.problems.add(node.at, message, cure);
        }
    }

    fn known_state(&mut self, machine: &Fsm, id: &str, key: &str, at: At) {
        // Where no state could be read, that has been told.
        if machine.state(id).is_none() && !id.is_empty() && !machine.states.is_empty() {
            let known = || {
                machine
                    .states
                    .iter()
                    .map(|state| state.id.as_str())
                    .collect()
            };
            let cure = self.problems.suggest("state", id, known);
            let message = format!("{key}: the plan has no state `{id}`");
            self.problems.add(at, message, cure);
        }
    }

    /// Orphans, and states from which no final state can be reached.
    fn reach(&mut self, machine: &Fsm) {
        if machine.state(&machine.initial_state).is_none() {
            return;
        }
        let from_start = closure(&[&machine.initial_state], |id| {
            let ways = machine.state(id).into_iter().flat_map(State::ways);
            ways.collect()
        });
        let finals: Vec<&str> = machine.final_states.iter().map(String::as_str).collect();
        let mut before: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for state in &machine.states {
            for way in state.ways() {
                before.entry(way).or_default().push(&state.id);
            }
        }
        let to_end = closure(&finals, |id| before.get(id).cloned().unwrap_or_default());
        for state in &machine.states {
            let id = state.id.as_str();
            if !from_start.contains(id) {
                let message = format!("state `{id}` is never reached from `initial_state`");
                let cure = "remove it, or name it in a transition";
                self.problems.add(state.at, message, cure);
            } else if !to_end.contains(id) && state.ways().next().is_some() {
                let message = format!("no final state can be reached from state `{id}`");
                let cure = "give it, or a state after it, a way to a final state";
                self.problems.add(state.at, message, cure);
            }
        }
    }
}

/// All that is reached from `starts` by `next`, the starts included.
fn closure<'a>(starts: &[&'a str], next: impl Fn(&str) -> Vec<&'a str>) -> BTreeSet<&'a str> {
    let mut found: BTreeSet<&str> = starts.iter().copied().collect();
    let mut open: Vec<&str> = starts.to_vec();
    while let Some(current) = open.pop() {
        for id in next(current) {
            if found.insert(id) {
                open.push(id);
            }
        }
    }
    found
}
