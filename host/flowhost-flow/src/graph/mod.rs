//! A plan as a graph: what there is, and what leads to what, for all three kinds.
//!
//! Pure, and the same for the same plan: nodes come in the plan's order, edges in the order of their
//! nodes. It is made for drawings and for comparing; nothing is planned by it.

mod dot;
mod mermaid;
mod outline;
mod read;

use serde::Serialize;

/// A plan's graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// The plan's name.
    pub plan: String,
    /// `workflow`, `fsm` or `behavior_tree`.
    pub kind: &'static str,
    /// What there is.
    pub nodes: Vec<Node>,
    /// What leads to what.
    pub edges: Vec<Edge>,
}

/// A step, a state, a handler, or a node of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Unique in the graph: a step's or a state's id, a tree node's place (`root.0.2`).
    pub id: String,
    /// What people call it.
    pub label: String,
    /// What it does, in a few words.
    pub detail: String,
    /// How it is drawn.
    pub shape: Shape,
    /// What became of it in a run; none in a plan, and for what the run never came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Calls a plugin.
    Work,
    /// Runs another plan.
    Plan,
    /// Only decides: a barrier, a state without work, a condition.
    Decision,
    /// Orders its children: a composite or a decorator of a tree.
    Composite,
    /// Runs when another step has failed.
    Handler,
    /// A machine ends here.
    Final,
}

/// How a node ended in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// The report's word: `ok`, `failed`, `skipped`.
    pub status: String,
    /// Milliseconds, of all its visits together.
    pub duration_ms: u64,
    /// How often it ended: items of a `foreach`, visits of a state.
    pub times: u64,
}

/// From a node to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Id of a node.
    pub from: String,
    /// Id of a node.
    pub to: String,
    /// Why it leads there.
    pub way: Way,
    /// The condition, where there is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
}

/// Why one node leads to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The second waits for the first.
    Needs,
    /// After success.
    Success,
    /// After success, if a condition holds.
    When,
    /// After failure.
    Failure,
    /// The second is a child of the first.
    Child,
}

impl Graph {
    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The same with what became of each node. `ends` are paths as reports have them (`scan[3]`, `review#2`,
    /// `outer/inner`), each with its status and milliseconds; what is in a sub-plan counts for the step that
    /// runs it only through that step's own end.
    #[must_use]
    pub fn with_ends<'a>(
        mut self,
        ends: impl IntoIterator<Item = (&'a str, &'a str, u64)>,
    ) -> Self {
        for (path, status, duration_ms) in ends {
            if path.contains('/') {
                continue;
            }
            // The first end of a node counts it once, its own as well as that of its first item or visit.
            let is_part = path.contains(['[', '#']);
            let own = path.split(['[', '#']).next().unwrap_or(path);
            let mut nodes = self.nodes.iter_mut();
            // A tree's nodes are named by their places, and the ends of its actions by their ids, which are the labels.
            let Some(node) = nodes.find(|node| node.id == own || node.label == own) else {
                continue; // an older run may have had what this plan has not, and compensations are no nodes
            };
            let ended = node.ended.get_or_insert_with(|| Ended {
                status: String::new(),
                duration_ms: 0,
                times: 0,
            });
            ended.times += u64::from(is_part || ended.times == 0);
            // Items run side by side, and their step says how long all of them took.
            if !path.contains('[') {
                ended.duration_ms = ended.duration_ms.saturating_add(duration_ms);
                status.clone_into(&mut ended.status);
            } else if ended.status.is_empty() || status != "ok" {
                // Until the step's own end is heard, which a run that was cut short has not, an item that went wrong
                // speaks for it.
                status.clone_into(&mut ended.status);
            }
        }
        self
    }

    /// The same without what became of each node: the plan alone.
    #[must_use]
    pub fn without_ends(mut self) -> Self {
        for node in &mut self.nodes {
            node.ended = None;
        }
        self
    }

    /// For Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        dot::dot(self)
    }

    /// For Mermaid, which many pages draw by themselves.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::mermaid(self)
    }

    /// Lines for a terminal.
    #[must_use]
    pub fn outline(&self) -> String {
        outline::outline(self)
    }
}

/// What is different between two graphs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Nodes of the second that the first has not.
    pub added: Vec<Node>,
    /// Nodes of the first that the second has not.
    pub removed: Vec<Node>,
    /// Nodes of both that do, or ended as, something else: before and after.
    pub changed: Vec<(Node, Node)>,
    /// Edges of the second that the first has not.
    pub edges_added: Vec<Edge>,
    /// Edges of the first that the second has not.
    pub edges_removed: Vec<Edge>,
}

impl Difference {
    /// From `before` to `after`; nodes are the same by their ids. How long one took is no difference: no two runs take as
    /// long.
    #[must_use]
    pub fn between(before: &Graph, after: &Graph) -> Self {
        let without = |of: &Graph, other: &Graph| -> Vec<Node> {
            let nodes = of.nodes.iter();
            nodes
                .filter(|node| other.node(&node.id).is_none())
                .cloned()
                .collect()
        };
        let edges = |of: &Graph, other: &Graph| -> Vec<Edge> {
            let edges = of.edges.iter();
            edges
                .filter(|edge| !other.edges.contains(edge))
                .cloned()
                .collect()
        };
        let changed = before.nodes.iter().filter_map(|node| {
            let now = after.node(&node.id)?;
            (timeless(now) != timeless(node)).then(|| (node.clone(), now.clone()))
        });
        Self {
            added: without(after, before),
            removed: without(before, after),
            changed: changed.collect(),
            edges_added: edges(after, before),
            edges_removed: edges(before, after),
        }
    }

    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Lines for a terminal: `+`, `-` and `~`.
    #[must_use]
    pub fn outline(&self) -> String {
        outline::difference(self)
    }
}

/// A node, whatever time it took.
fn timeless(node: &Node) -> Node {
    let mut node = node.clone();
    if let Some(ended) = &mut node.ended {
        ended.duration_ms = 0;
    }
    node
}

#[cfg(test)]
mod tests;
