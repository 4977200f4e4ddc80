//! The graph as lines for a terminal.

use std::fmt::Write as _;

use super::{Difference, Edge, Ended, Graph, Node, Way};

pub(super) fn outline(graph: &Graph) -> String {
    let mut text = format!("{} ({})\n", graph.plan, graph.kind);
    for node in &graph.nodes {
        // A tree's node is indented by where it is; nothing else has a depth.
        let depth = match graph.kind {
            "behavior_tree" => node.id.matches('.').count(),
            _ => 0,
        };
        let indent = "  ".repeat(depth + 1);
        let _infallible = writeln!(text, "{indent}{}", line(node));
        for edge in graph.edges.iter().filter(|edge| edge.from == node.id) {
            if edge.way != Way::Child {
                let _infallible = writeln!(text, "{indent}  {}", way(edge));
            }
        }
    }
    text
}

fn line(node: &Node) -> String {
    let mut text = node.label.clone();
    if !node.detail.is_empty() {
        let _infallible = write!(text, ": {}", node.detail);
    }
    if let Some(it) = &node.ended {
        let _infallible = write!(text, " [{}]", ended(it));
    }
    text
}

fn way(edge: &Edge) -> String {
    match edge.way {
        Way::Needs | Way::Success | Way::Child => format!("-> {}", edge.to),
        Way::When => format!("-> {} when {}", edge.to, edge.label),
        Way::Failure => format!("-> {} after a failure", edge.to),
    }
}

/// `ok, 12 ms`, with how often where it was more than once.
pub(super) fn ended(ended: &Ended) -> String {
    match ended.times {
        0 | 1 => format!("{}, {} ms", ended.status, ended.duration_ms),
        times => format!("{}, {} ms, {times} times", ended.status, ended.duration_ms),
    }
}

pub(super) fn difference(difference: &Difference) -> String {
    let mut text = String::new();
    for node in &difference.removed {
        let _infallible = writeln!(text, "- {}", line(node));
    }
    for node in &difference.added {
        let _infallible = writeln!(text, "+ {}", line(node));
    }
    for (before, after) in &difference.changed {
        let _infallible = writeln!(text, "~ {}\n  was {}", line(after), line(before));
    }
    for edge in &difference.edges_removed {
        let _infallible = writeln!(text, "- {} {}", edge.from, way(edge));
    }
    for edge in &difference.edges_added {
        let _infallible = writeln!(text, "+ {} {}", edge.from, way(edge));
    }
    text
}
