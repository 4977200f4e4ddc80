//! Behaviour trees, tick by tick: which leaves start, go on and stop, and what a node answers.
//!
//! The meaning of the nodes is that of `py_trees` 2.x, against which random trees are compared; ours
//! are the thresholds of `parallel` and the `cooldown`. Must never know what a leaf does: leaves are
//! reached through [`Leaves`].
//!
//! A tick walks from the root. A node that was not running begins anew; one that was goes on. A node
//! that ends stops what still runs below it. Recursion is as deep as the plan file may nest.

use crate::effort;
use crate::plan::{Decorator, NodeKind, TreeNode};
use crate::planner::Time;
use crate::planner::arena::{Arena, slot};

/// What a node costs that is looked at, in the units of [`crate::effort`]: a list of its children is copied.
const NODE_UNITS: u64 = 4;

slot! {
    /// Names a node.
    NodeIx
}

/// What a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not ticked yet, or stopped.
    Idle,
    /// At work.
    Running,
    /// Ended well.
    Success,
    /// Ended badly.
    Failure,
}

/// The leaves of a tree and its time.
pub(super) trait Leaves {
    /// Starts the action of a node.
    fn start(&mut self, node: NodeIx) -> Status;
    /// How the running action of a node stands.
    fn poll(&mut self, node: NodeIx) -> Status;
    /// Stops the running action of a node.
    fn stop(&mut self, node: NodeIx);
    /// Whether the condition of a node holds.
    fn check(&mut self, node: NodeIx) -> bool;
    /// The time of the tick.
    fn now(&self) -> Time;
    /// Wants a tick at this time.
    fn set_timer(&mut self, node: NodeIx, at: Time);
    /// Does not want it any more.
    fn clear_timer(&mut self, node: NodeIx);
}

#[derive(Debug)]
enum Kind {
    Sequence {
        memory: bool,
    },
    Selector {
        memory: bool,
    },
    Parallel {
        memory: bool,
        successes: usize,
        failures: usize,
    },
    Condition,
    Action,
    Decorator(Decorator),
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    children: Vec<NodeIx>,
    status: Status,
    /// Sequence and selector: the child that is running. Retry and repeat: how often.
    count: usize,
    /// Timeout: when it is up. Cooldown: when it is over.
    at: Time,
}

/// A tree with the state of its nodes.
#[derive(Debug)]
pub(super) struct Ticks {
    nodes: Arena<NodeIx, Node>,
    root: NodeIx,
    /// A node wants another tick without anything having happened.
    again: bool,
}

/// What a tick came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticked {
    pub(super) status: Status,
    /// Tick again at once: a `retry` or `repeat` begins its next turn.
    pub(super) again: bool,
}

impl Ticks {
    /// The tree below `root`; `each` hears the name of every node, parents first.
    pub(super) fn new<'t>(root: &'t TreeNode, mut each: impl FnMut(NodeIx, &'t TreeNode)) -> Self {
        let mut nodes = Arena::new();
        let root = add(root, &mut nodes, &mut each);
        Self {
            nodes,
            root,
            again: false,
        }
    }

    /// Ticks the tree once.
    pub(super) fn tick(&mut self, leaves: &mut dyn Leaves) -> Ticked {
        self.again = false;
        let status = self.tick_node(self.root, leaves);
        Ticked {
            status,
            again: self.again && status == Status::Running,
        }
    }

    /// Stops everything that runs.
    pub(super) fn stop(&mut self, leaves: &mut dyn Leaves) {
        self.stop_node(self.root, leaves);
    }

    fn tick_node(&mut self, at: NodeIx, leaves: &mut dyn Leaves) -> Status {
        // A tree that never calls anything is ticked thousands of times in one turn.
        if !effort::goes_on(NODE_UNITS) {
            return Status::Running;
        }
        let fresh = self.nodes[at].status != Status::Running;
        let status = match self.nodes[at].kind {
            Kind::Condition => match leaves.check(at) {
                true => Status::Success,
                false => Status::Failure,
            },
            Kind::Action if fresh => leaves.start(at),
            Kind::Action => leaves.poll(at),
            Kind::Sequence { memory } => self.chain(at, fresh, memory, Status::Success, leaves),
            Kind::Selector { memory } => self.chain(at, fresh, memory, Status::Failure, leaves),
            Kind::Parallel {
                memory,
                successes,
                failures,
            } => self.parallel(at, fresh, memory, (successes, failures), leaves),
            Kind::Decorator(how) => self.decorator(at, fresh, how, leaves),
        };
        self.nodes[at].status = status;
        status
    }

    /// Sequence and selector: ticks children for as long as each answers `go_on`.
    fn chain(
        &mut self,
        at: NodeIx,
        fresh: bool,
        memory: bool,
        go_on: Status,
        leaves: &mut dyn Leaves,
    ) -> Status {
        let children = self.nodes[at].children.clone();
        let first = match memory && !fresh {
            true => self.nodes[at].count,
            false => 0,
        };
        for (index, child) in children.iter().enumerate().skip(first) {
            let status = self.tick_node(*child, leaves);
            if status != go_on {
                self.nodes[at].count = index;
                // Without memory an earlier child may have taken over from one that still runs.
                for later in children.iter().skip(index + 1) {
                    self.stop_node(*later, leaves);
                }
                return status;
            }
        }
        go_on
    }

    fn parallel(
        &mut self,
        at: NodeIx,
        fresh: bool,
        memory: bool,
        (successes, failures): (usize, usize),
        leaves: &mut dyn Leaves,
    ) -> Status {
        let children = self.nodes[at].children.clone();
        let mut count = (0, 0);
        for child in &children {
            let known = self.nodes[*child].status;
            let ended = matches!(known, Status::Success | Status::Failure);
            // A fresh node begins all of them anew, whatever they came to the last time.
            let status = match ended && memory && !fresh {
                true => known,
                false => self.tick_node(*child, leaves),
            };
            count.0 += usize::from(status == Status::Success);
            count.1 += usize::from(status == Status::Failure);
        }
        // Failure counts first, so that a tick that brings both is not a success by accident.
        let status = if count.1 >= failures {
            Status::Failure
        } else if count.0 >= successes {
            Status::Success
        } else if count.0 + count.1 == children.len() {
            // Nothing runs any more, and neither number was reached.
            Status::Failure
        } else {
            return Status::Running;
        };
        for child in children {
            self.stop_node(child, leaves);
        }
        status
    }

    fn decorator(
        &mut self,
        at: NodeIx,
        fresh: bool,
        how: Decorator,
        leaves: &mut dyn Leaves,
    ) -> Status {
        let now = leaves.now();
        if fresh {
            self.nodes[at].count = 0;
        }
        match how {
            Decorator::Cooldown(_) if fresh && now < self.nodes[at].at => return Status::Failure,
            Decorator::Timeout(ms) if fresh => {
                let up = now.after(ms);
                self.nodes[at].at = up;
                leaves.set_timer(at, up);
            }
            _ => {}
        }
        let Some(child) = self.nodes[at].children.first().copied() else {
            debug_assert!(false, "a decorator is built with its child");
            return Status::Failure;
        };
        let status = self.tick_node(child, leaves);
        let ended = status != Status::Running;
        match (how, status) {
            (Decorator::Invert, Status::Success) => Status::Failure,
            (Decorator::Invert, Status::Failure) => Status::Success,
            (Decorator::ForceSuccess, _) if ended => Status::Success,
            (Decorator::ForceFailure, _) if ended => Status::Failure,
            (Decorator::Retry(most), Status::Failure) => self.turn(at, most, Status::Failure),
            (Decorator::Repeat(most), Status::Success) => self.turn(at, most, Status::Success),
            // Asked after the child was ticked: one that has ended by then has kept its time.
            (Decorator::Timeout(_), Status::Running) if now >= self.nodes[at].at => {
                self.stop_node(child, leaves);
                leaves.clear_timer(at);
                Status::Failure
            }
            (Decorator::Timeout(_), _) if ended => {
                leaves.clear_timer(at);
                status
            }
            (Decorator::Cooldown(ms), _) if ended => {
                self.nodes[at].at = now.after(ms);
                status
            }
            _ => status,
        }
    }

    /// Counts a turn; after the last one the node answers `end`.
    fn turn(&mut self, at: NodeIx, most: u32, end: Status) -> Status {
        let node = &mut self.nodes[at];
        node.count += 1;
        if node.count >= most as usize {
            return end;
        }
        self.again = true;
        Status::Running
    }

    fn stop_node(&mut self, at: NodeIx, leaves: &mut dyn Leaves) {
        let node = &mut self.nodes[at];
        let was = std::mem::replace(&mut node.status, Status::Idle);
        if was != Status::Running {
            return;
        }
        match node.kind {
            Kind::Action => leaves.stop(at),
            Kind::Decorator(Decorator::Timeout(_)) => leaves.clear_timer(at),
            _ => {}
        }
        for child in node.children.clone() {
            self.stop_node(child, leaves);
        }
    }
}

fn add<'t>(
    it: &'t TreeNode,
    nodes: &mut Arena<NodeIx, Node>,
    each: &mut impl FnMut(NodeIx, &'t TreeNode),
) -> NodeIx {
    let kind = match &it.node {
        NodeKind::Sequence { memory, .. } => Kind::Sequence { memory: *memory },
        NodeKind::Selector { memory, .. } => Kind::Selector { memory: *memory },
        NodeKind::Parallel {
            memory,
            success_count,
            failure_count,
            ..
        } => Kind::Parallel {
            memory: *memory,
            successes: *success_count as usize,
            failures: *failure_count as usize,
        },
        NodeKind::Condition(_) => Kind::Condition,
        NodeKind::Action(_) => Kind::Action,
        NodeKind::Decorator { how, .. } => Kind::Decorator(*how),
    };
    let at = nodes.push(Node {
        kind,
        children: Vec::new(),
        status: Status::Idle,
        count: 0,
        at: Time::default(),
    });
    each(at, it);
    let children = it.children().iter();
    let children = children.map(|child| add(child, nodes, each)).collect();
    nodes[at].children = children;
    at
}
