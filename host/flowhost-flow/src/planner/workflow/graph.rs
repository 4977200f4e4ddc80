//! Who needs whom, resolved once, so that a planner never looks a step up by its name.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::{Barrier, Step, Work};
use crate::planner::arena::{Arena, slot};

slot! {
    /// Names a step of a workflow.
    StepIx
}

/// A step and its neighbours.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) step: Arc<Step>,
    pub(super) needs: Vec<StepIx>,
    pub(super) dependents: Vec<StepIx>,
}

impl Node {
    pub(super) fn barrier(&self) -> Option<&Barrier> {
        match &self.step.work {
            Work::Barrier(barrier) => Some(barrier),
            Work::Call { .. }
            | Work::Plan { .. }
            | Work::Gate(_)
            | Work::Emit { .. }
            | Work::Consensus(_) => None,
        }
    }

    pub(super) fn is_barrier(&self) -> bool {
        self.barrier().is_some()
    }
}

/// The steps of a workflow.
#[derive(Debug)]
pub(in crate::planner) struct Graph {
    pub(super) steps: Arena<StepIx, Node>,
    places: BTreeMap<String, StepIx>,
}

impl Graph {
    pub(in crate::planner) fn new(steps: &[Arc<Step>]) -> Self {
        let nodes = steps.iter().map(|step| Node {
            step: Arc::clone(step),
            needs: Vec::new(),
            dependents: Vec::new(),
        });
        let mut graph = Self {
            steps: nodes.collect(),
            places: BTreeMap::new(),
        };
        for (at, node) in graph.steps.iter() {
            graph.places.insert(node.step.id.clone(), at);
        }
        for at in graph.steps.names() {
            let step = Arc::clone(&graph.steps[at].step);
            let needs = step.needs.iter().filter_map(|need| graph.place(need));
            for need in needs.collect::<Vec<_>>() {
                graph.steps[need].dependents.push(at);
                graph.steps[at].needs.push(need);
            }
        }
        graph
    }

    /// The step of this name: the checks of a plan let no other name pass.
    pub(super) fn place(&self, id: &str) -> Option<StepIx> {
        let place = self.places.get(id).copied();
        debug_assert!(
            place.is_some(),
            "the plan names `{id}`, which is not a step"
        );
        place
    }

    /// A step and all that it needs, directly or not.
    pub(super) fn with_needs(&self, at: StepIx) -> Arena<StepIx, bool> {
        let mut found: Arena<StepIx, bool> = self.steps.names().map(|_| false).collect();
        let mut open = vec![at];
        while let Some(current) = open.pop() {
            if !std::mem::replace(&mut found[current], true) {
                open.extend(&self.steps[current].needs);
            }
        }
        found
    }

    /// All that come after a step, directly or not.
    pub(super) fn after(&self, at: StepIx) -> Arena<StepIx, bool> {
        let mut found: Arena<StepIx, bool> = self.steps.names().map(|_| false).collect();
        let mut open = vec![at];
        while let Some(current) = open.pop() {
            for next in &self.steps[current].dependents {
                if !found[*next] {
                    found[*next] = true;
                    open.push(*next);
                }
            }
        }
        found
    }
}
