//! Makes the graph of a plan.

use super::{Edge, Graph, Node, Shape, Way};
use crate::plan::{
    Barrier, Body, Decorator, Fsm, NodeKind, OnTimeout, Plan, Require, State, Step, Then, Tree,
    TreeNode, Work,
};
use crate::units;

impl Graph {
    /// The graph of a plan's own body; a sub-plan is one node.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut graph = Self {
            plan: plan.name.clone(),
            kind: plan.kind(),
            nodes: Vec::new(),
            edges: Vec::new(),
        };
        match &plan.body {
            Body::Workflow { steps } => graph.workflow(plan, steps.iter().map(AsRef::as_ref)),
            Body::Fsm(machine) => graph.machine(machine),
            Body::BehaviorTree(tree) => graph.tree(tree),
        }
        graph
    }

    fn workflow<'a>(&mut self, plan: &'a Plan, steps: impl Iterator<Item = &'a Step>) {
        // The plan keeps its steps by name; a person wrote them in another order.
        let mut steps: Vec<&Step> = steps.collect();
        steps.sort_by_key(|step| (step.at.line, step.at.column));
        self.nodes
            .extend(steps.iter().map(|step| of_step(step, shape(step))));
        let handlers = plan.handlers.values();
        self.nodes
            .extend(handlers.map(|step| of_step(step, Shape::Handler)));
        for step in &steps {
            for need in &step.needs {
                self.edge(need, &step.id, Way::Needs, String::new());
            }
        }
        for step in &steps {
            if let Some(handler) = &step.on_failure.run {
                self.edge(&step.id, handler, Way::Failure, String::new());
            }
            if let Then::Goto(to) = &step.on_failure.then {
                self.edge(&step.id, to, Way::Failure, String::new());
            }
        }
    }

    fn machine(&mut self, machine: &Fsm) {
        // The initial state first, then as the file has them.
        let mut states: Vec<&State> = machine.states.iter().collect();
        states.sort_by_key(|state| {
            (
                state.id != machine.initial_state,
                state.at.line,
                state.at.column,
            )
        });
        for state in &states {
            let mut node = match &state.work {
                Some(step) => of_step(step, shape(step)),
                None => Node {
                    id: state.id.clone(),
                    label: state.id.clone(),
                    detail: "decides".to_owned(),
                    shape: Shape::Decision,
                    ended: None,
                },
            };
            if machine.is_final(&state.id) {
                node.shape = Shape::Final;
            }
            self.nodes.push(node);
        }
        for state in &states {
            for way in &state.transitions {
                let when = way.when.source().to_owned();
                self.edge(&state.id, &way.to, Way::When, when);
            }
            if let Some(to) = &state.on_success {
                self.edge(&state.id, to, Way::Success, String::new());
            }
            if let Some(to) = &state.on_error {
                self.edge(&state.id, to, Way::Failure, String::new());
            }
            if let Some(to) = &state.on_timeout {
                self.edge(&state.id, to, Way::When, "nobody spoke in time".to_owned());
            }
        }
    }

    fn tree(&mut self, tree: &Tree) {
        self.tree_node(&tree.root);
    }

    fn tree_node(&mut self, node: &TreeNode) {
        self.nodes.push(of_tree_node(node));
        for child in node.children() {
            self.edge(&node.place, &child.place, Way::Child, String::new());
            self.tree_node(child);
        }
    }

    fn edge(&mut self, from: &str, to: &str, way: Way, label: String) {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.edges.push(Edge {
            from,
            to,
            way,
            label,
        });
    }
}

fn shape(step: &Step) -> Shape {
    match step.work {
        Work::Call { .. } | Work::Emit { .. } | Work::Consensus(_) => Shape::Work,
        Work::Plan { .. } => Shape::Plan,
        Work::Barrier(_) | Work::Gate(_) => Shape::Decision,
    }
}

fn of_step(step: &Step, shape: Shape) -> Node {
    Node {
        id: step.id.clone(),
        label: step.id.clone(),
        detail: detail(step),
        shape,
        ended: None,
    }
}

fn detail(step: &Step) -> String {
    let mut words = vec![match &step.work {
        Work::Call { plugin, function } => match function {
            Some(function) => format!("{plugin}/{function}"),
            None => plugin.clone(),
        },
        Work::Plan { reference } => format!("plan {reference}"),
        Work::Barrier(barrier) => waits_for(barrier),
        Work::Gate(gate) => format!("waits for {}", gate.wants.word()),
        Work::Emit { subject, .. } => format!("tells {subject}"),
        Work::Consensus(spec) => consensus_of(&spec.agents, spec.rule.word()),
    }];
    if let Some(foreach) = &step.foreach {
        words.push(format!("for each, {} at once", foreach.max_parallel));
    }
    if let Some(when) = &step.when {
        words.push(format!("when {}", when.source()));
    }
    if step.retry.max_attempts > 1 {
        words.push(format!("up to {} attempts", step.retry.max_attempts));
    }
    words.join(", ")
}

fn consensus_of(agents: &[String], rule: &str) -> String {
    format!("{} agree, by {rule}", agents.join(", "))
}

fn waits_for(barrier: &Barrier) -> String {
    let require = match barrier.require {
        Require::All => "all".to_owned(),
        Require::Any => "one".to_owned(),
        Require::Count(count) => count.to_string(),
        Require::Percent(share) => format!("{share} %"),
    };
    let then = match barrier.on_timeout {
        OnTimeout::Halt => "then fails",
        OnTimeout::Continue => "then goes on",
    };
    format!(
        "waits for {require}, {} at most, {then}",
        units::shown_duration(barrier.timeout_ms)
    )
}

fn of_tree_node(node: &TreeNode) -> Node {
    let (label, detail, shape) = match &node.node {
        NodeKind::Sequence { memory, .. } => {
            ("sequence".to_owned(), again(*memory), Shape::Composite)
        }
        NodeKind::Selector { memory, .. } => {
            ("selector".to_owned(), again(*memory), Shape::Composite)
        }
        NodeKind::Parallel {
            success_count,
            failure_count,
            ..
        } => (
            "parallel".to_owned(),
            format!("succeeds with {success_count}, fails with {failure_count}"),
            Shape::Composite,
        ),
        NodeKind::Condition(expr) => (
            "condition".to_owned(),
            expr.source().to_owned(),
            Shape::Decision,
        ),
        NodeKind::Action(step) => (step.id.clone(), detail(step), shape(step)),
        NodeKind::Decorator { how, .. } => (decorator(*how), String::new(), Shape::Composite),
    };
    Node {
        id: node.place.clone(),
        label,
        detail,
        shape,
        ended: None,
    }
}

fn again(memory: bool) -> String {
    match memory {
        true => String::new(),
        false => "from the first child at each tick".to_owned(),
    }
}

fn decorator(how: Decorator) -> String {
    match how {
        Decorator::Invert => "invert".to_owned(),
        Decorator::ForceSuccess => "force success".to_owned(),
        Decorator::ForceFailure => "force failure".to_owned(),
        Decorator::Retry(times) => format!("retry, {times} attempts"),
        Decorator::Repeat(times) => format!("repeat {times} times"),
        Decorator::Timeout(ms) => format!("timeout {}", units::shown_duration(ms)),
        Decorator::Cooldown(ms) => format!("cooldown {}", units::shown_duration(ms)),
    }
}
