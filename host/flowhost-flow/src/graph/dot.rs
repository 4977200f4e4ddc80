//! The graph in the language of Graphviz (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::Write as _;

use super::{Graph, Node, Shape, Way};

pub(super) fn dot(graph: &Graph) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&graph.plan));
    let direction = if graph.kind == "behavior_tree" {
        "TB"
    } else {
        "LR"
    };
    let _infallible = writeln!(
        text,
        "  rankdir={direction};\n  node [fontname=\"sans-serif\"];"
    );
    for node in &graph.nodes {
        let _infallible = writeln!(
            text,
            "  {} [label={}, shape={}{}];",
            quoted(&node.id),
            quoted(&label(node)),
            shape(node.shape),
            color(node),
        );
    }
    for edge in &graph.edges {
        let mut look = match edge.way {
            Way::Needs | Way::Success | Way::Child => String::new(),
            Way::When => format!("label={}", quoted(&edge.label)),
            Way::Failure => "style=dashed, color=\"#b3261e\"".to_owned(),
        };
        if !look.is_empty() {
            look = format!(" [{look}]");
        }
        let _infallible = writeln!(
            text,
            "  {} -> {}{look};",
            quoted(&edge.from),
            quoted(&edge.to)
        );
    }
    text.push_str("}\n");
    text
}

fn label(node: &Node) -> String {
    let mut lines = vec![node.label.clone()];
    lines.extend((!node.detail.is_empty()).then(|| node.detail.clone()));
    lines.extend(node.ended.as_ref().map(super::outline::ended));
    lines.join("\n")
}

const fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Work => "box",
        Shape::Plan => "folder",
        Shape::Decision => "diamond",
        Shape::Composite => "oval",
        Shape::Handler => "note",
        Shape::Final => "doubleoctagon",
    }
}

fn color(node: &Node) -> String {
    let color = match node.ended.as_ref().map(|it| it.status.as_str()) {
        None => return String::new(),
        Some("ok") => "#d7f0dd",
        Some("skipped" | "cancelled") => "#e6e6e6",
        Some(_) => "#fadbd8",
    };
    format!(", style=filled, fillcolor=\"{color}\"")
}

/// A quoted string: only the quote is special, and a backslash before it (and before the letters of
/// Graphviz's own line breaks, which is why every backslash is doubled).
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\n', "\\n"))
}
