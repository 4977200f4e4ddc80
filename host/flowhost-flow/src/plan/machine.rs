//! The body of `kind: fsm`: states, and the ways between them.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::expr::Expr;
use crate::plan::defaults::Defaults;
use crate::plan::keys::is_work_key;
use crate::plan::parse::{expr, members, text};
use crate::plan::tree::Node;
use crate::plan::{Step, limits, steps};
use crate::problem::{At, Problems};

/// Transitions at most when a plan does not say: enough for a conversation, an end to a loop.
const TRANSITIONS: u32 = 50;

/// A state machine.
#[derive(Clone, Debug, Serialize)]
pub struct Fsm {
    /// The state it begins in.
    pub initial_state: String,
    /// The states it ends in, sorted.
    pub final_states: Vec<String>,
    /// Transitions at most; one more fails the run with class `limit`.
    pub max_transitions: u32,
    /// Sorted by id.
    pub states: Vec<State>,
}

/// A state.
#[derive(Clone, Debug, Serialize)]
pub struct State {
    /// Its key under `states:`.
    pub id: String,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
    /// What it does; a state without work only decides.
    #[serde(serialize_with = "work")]
    pub work: Option<Arc<Step>>,
    /// Ways out after success, in the order in which they are tried.
    pub transitions: Vec<Transition>,
    /// The way out after success when none of `transitions` holds.
    pub on_success: Option<String>,
    /// The way out after failure; without it a failure ends the run.
    pub on_error: Option<String>,
    /// The way out when a gate's time is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<String>,
}

/// A way out of a state.
#[derive(Clone, Debug, Serialize)]
pub struct Transition {
    /// Taken if true; sees `output` besides the other names.
    pub when: Expr,
    /// The next state.
    pub to: String,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
}

impl Fsm {
    /// The state with this id.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<&State> {
        let place = self
            .states
            .binary_search_by(|state| state.id.as_str().cmp(id));
        self.states.get(place.ok()?)
    }

    /// Whether the machine ends in this state.
    #[must_use]
    pub fn is_final(&self, id: &str) -> bool {
        self.final_states
            .binary_search_by(|state| state.as_str().cmp(id))
            .is_ok()
    }
}

impl State {
    /// The ids of the states that may follow.
    pub(crate) fn ways(&self) -> impl Iterator<Item = &str> {
        let transitions = self.transitions.iter().map(|way| &way.to);
        let ways = transitions
            .chain(&self.on_success)
            .chain(&self.on_error)
            .chain(&self.on_timeout);
        ways.map(String::as_str)
    }
}

pub(super) fn read(root: &Node, defaults: &Defaults, problems: &mut Problems) -> Fsm {
    let names = root
        .get("final_states")
        .map(Node::listed)
        .unwrap_or_default()
        .iter()
        .filter_map(Node::text);
    let mut final_states: Vec<String> = names.map(str::to_owned).collect();
    // Searched by halves, as the states are; and their order in the file must not change the plan's hash.
    final_states.sort_unstable();
    final_states.dedup();
    let states = members(root, "states");
    let mut states: Vec<State> = states
        .map(|(id, node)| state(id, node, defaults, problems))
        .collect();
    states.sort_by(|a, b| a.id.cmp(&b.id));
    let most = root
        .get("max_transitions")
        .and_then(|node| node.json().as_u64());
    Fsm {
        initial_state: text(root, "initial_state"),
        final_states,
        max_transitions: most
            .and_then(|most| u32::try_from(most).ok())
            .map_or(TRANSITIONS, |most| most.min(limits::TRANSITIONS_MAX)),
        states,
    }
}

fn state(id: &str, node: &Node, defaults: &Defaults, problems: &mut Problems) -> State {
    let nodes = node.get("transitions").map(Node::elements);
    let transitions = nodes.unwrap_or_default().iter().filter_map(|node| {
        Some(Transition {
            when: expr(node.get("when"), problems)?,
            to: text(node, "to"),
            at: node.get("to").map_or(node.at, |node| node.at),
        })
    });
    let transitions = transitions.collect();
    let target = |key| node.get(key).and_then(Node::text).map(str::to_owned);
    let works = ["uses", "wait_for", "emit"]
        .iter()
        .any(|key| node.get(key).is_some());
    steps::beside(id, "state", node, problems);
    if !works {
        only_decides(id, node, problems);
    }
    State {
        id: id.to_owned(),
        at: node.at,
        transitions,
        on_success: target("on_success"),
        on_error: target("on_error"),
        on_timeout: target("on_timeout"),
        work: works.then(|| Arc::new(steps::work_of(id, node, defaults, problems))),
    }
}

/// A state without `uses` has nothing that a timeout or a guardrail could apply to.
fn only_decides(id: &str, node: &Node, problems: &mut Problems) {
    let members = node.members().iter();
    for (key, _) in members.filter(|(key, _)| is_work_key(&key.text)) {
        let message = format!("state `{id}`: `{}` has no meaning without `uses`", key.text);
        problems.add(key.at, message, "a state without `uses` only decides");
    }
}

#[expect(clippy::ref_option, reason = "serde hands in a reference to the field")]
fn work<S: Serializer>(work: &Option<Arc<Step>>, serializer: S) -> Result<S::Ok, S::Error> {
    work.as_deref().serialize(serializer)
}
