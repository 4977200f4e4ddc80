//! The body of `kind: behavior_tree`: composites, decorators and leaves.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::expr::Expr;
use crate::plan::defaults::{Defaults, duration};
use crate::plan::parse::{expr, text};
use crate::plan::tree::{Data, Node};
use crate::plan::{Step, steps};
use crate::problem::{At, Problems};

/// A behaviour tree.
#[derive(Clone, Debug, Serialize)]
pub struct Tree {
    /// The node that is ticked.
    pub root: TreeNode,
}

/// A node of a behaviour tree.
#[derive(Clone, Debug, Serialize)]
pub struct TreeNode {
    /// Where the node is: `root`, `root.0.2`. An action is named by its own `id` if it has one.
    pub place: String,
    /// Place in the file.
    #[serde(skip)]
    pub at: At,
    /// What it does.
    pub node: NodeKind,
}

/// What a node does when it is ticked. Every kind answers success, failure, or that it is running.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Succeeds when all children have, one after the other.
    Sequence {
        /// Goes on where it was instead of beginning again at each tick.
        memory: bool,
        /// In this order.
        children: Vec<TreeNode>,
    },
    /// Succeeds when one child has, one after the other.
    Selector {
        /// Goes on where it was instead of beginning again at each tick.
        memory: bool,
        /// In this order.
        children: Vec<TreeNode>,
    },
    /// Ticks all children.
    Parallel {
        /// Does not tick again what has ended.
        memory: bool,
        /// Children that must succeed.
        success_count: u32,
        /// Children whose failure is its own.
        failure_count: u32,
        /// In this order.
        children: Vec<TreeNode>,
    },
    /// Success if true; sees `inputs`, `nodes` and `run`.
    Condition(Expr),
    /// Does the work of a step.
    #[serde(serialize_with = "work")]
    Action(Arc<Step>),
    /// Changes how its child counts.
    Decorator {
        /// In which way.
        how: Decorator,
        /// The child.
        child: Box<TreeNode>,
    },
}

/// How a decorator changes its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decorator {
    /// Success is failure, failure is success.
    Invert,
    /// Whatever the end, it counts as success.
    ForceSuccess,
    /// Whatever the end, it counts as failure.
    ForceFailure,
    /// Begins again after a failure, up to so many attempts in all.
    Retry(u32),
    /// Begins again after a success, until there were so many.
    Repeat(u32),
    /// Stops what runs longer, in milliseconds; that is a failure.
    Timeout(u64),
    /// Fails at once for so long after its last end, in milliseconds.
    Cooldown(u64),
}

impl TreeNode {
    /// The children, in order.
    #[must_use]
    pub fn children(&self) -> &[TreeNode] {
        match &self.node {
            NodeKind::Sequence { children, .. }
            | NodeKind::Selector { children, .. }
            | NodeKind::Parallel { children, .. } => children,
            NodeKind::Decorator { child, .. } => std::slice::from_ref(child),
            NodeKind::Condition(_) | NodeKind::Action(_) => &[],
        }
    }

    /// All actions at and below the node, in the order of the file.
    #[must_use]
    pub fn actions(&self) -> Vec<&Step> {
        match &self.node {
            NodeKind::Action(step) => vec![step.as_ref()],
            _ => self.children().iter().flat_map(Self::actions).collect(),
        }
    }
}

pub(super) fn read(root: &Node, defaults: &Defaults, problems: &mut Problems) -> Tree {
    let nothing = Node {
        at: root.at,
        data: Data::Null,
    };
    let node = root.get("root").unwrap_or(&nothing);
    Tree {
        root: tree_node(node, "root".to_owned(), defaults, problems),
    }
}

fn tree_node(node: &Node, place: String, defaults: &Defaults, problems: &mut Problems) -> TreeNode {
    let count = |key| {
        let number = node.get(key).and_then(|node| node.json().as_u64());
        number.and_then(|number| u32::try_from(number).ok())
    };
    let memory = !matches!(
        node.get("memory").map(|node| &node.data),
        Some(Data::Bool(false))
    );
    let ty = text(node, "type");
    let kind = match ty.as_str() {
        "sequence" => NodeKind::Sequence {
            memory,
            children: children(node, &place, defaults, problems),
        },
        "selector" => NodeKind::Selector {
            memory,
            children: children(node, &place, defaults, problems),
        },
        "parallel" => {
            let children = children(node, &place, defaults, problems);
            let all = u32::try_from(children.len()).unwrap_or(u32::MAX);
            let success_count = count("success_count").unwrap_or(all);
            // So many failures put success out of reach.
            let hopeless = all.saturating_sub(success_count).saturating_add(1);
            NodeKind::Parallel {
                memory,
                success_count,
                failure_count: count("failure_count").unwrap_or(hopeless),
                children,
            }
        }
        "action" => {
            let id = node.get("id").and_then(Node::text).unwrap_or(&place);
            steps::beside(id, "action", node, problems);
            if !["uses", "wait_for", "emit"]
                .iter()
                .any(|key| node.get(key).is_some())
            {
                let message = format!("action `{id}` does nothing: it has no `uses`");
                let cure = "`uses: plugin`, `uses: plan:…`, `wait_for: approval` or `emit: …`";
                problems.add(node.at, message, cure);
            }
            NodeKind::Action(Arc::new(steps::work_of(id, node, defaults, problems)))
        }
        "condition" => match expr(node.get("check"), problems) {
            Some(check) => NodeKind::Condition(check),
            None => refused(),
        },
        other => {
            let how = match other {
                "invert" => Some(Decorator::Invert),
                "force_success" => Some(Decorator::ForceSuccess),
                "force_failure" => Some(Decorator::ForceFailure),
                "retry" => Some(Decorator::Retry(count("max_attempts").unwrap_or(1))),
                "repeat" => Some(Decorator::Repeat(count("times").unwrap_or(1))),
                "timeout" => duration(Some(node), "timeout").map(Decorator::Timeout),
                "cooldown" => duration(Some(node), "cooldown").map(Decorator::Cooldown),
                _ => None,
            };
            decorated(node, how, &place, defaults, problems)
        }
    };
    TreeNode {
        place,
        at: node.at,
        node: kind,
    }
}

/// A decorator and its child.
fn decorated(
    node: &Node,
    how: Option<Decorator>,
    place: &str,
    defaults: &Defaults,
    problems: &mut Problems,
) -> NodeKind {
    match (how, node.get("child")) {
        (Some(how), Some(child)) => NodeKind::Decorator {
            how,
            child: Box::new(tree_node(child, format!("{place}.0"), defaults, problems)),
        },
        _ => refused(),
    }
}

/// Stands for a node that was reported: a plan with problems is never run.
const fn refused() -> NodeKind {
    NodeKind::Sequence {
        memory: true,
        children: Vec::new(),
    }
}

fn children(
    node: &Node,
    place: &str,
    defaults: &Defaults,
    problems: &mut Problems,
) -> Vec<TreeNode> {
    let nodes = node.get("children").map(Node::elements).unwrap_or_default();
    if nodes.is_empty() && node.get("children").is_some() {
        let message = format!("the {} has no children", text(node, "type"));
        problems.add(node.at, message, "a composite needs a child to tick");
    }
    let nodes = nodes.iter().enumerate();
    nodes
        .map(|(index, child)| tree_node(child, format!("{place}.{index}"), defaults, problems))
        .collect()
}

fn work<S: Serializer>(work: &Arc<Step>, serializer: S) -> Result<S::Ok, S::Error> {
    work.as_ref().serialize(serializer)
}
