//! The graph in the language of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Graph, Node, Shape, Way};

pub(super) fn mermaid(graph: &Graph) -> String {
    let direction = if graph.kind == "behavior_tree" {
        "TD"
    } else {
        "LR"
    };
    let mut text = format!("flowchart {direction}\n");
    // Ids of plans may be words of the language (`end` breaks a chart), so nodes are numbered.
    let ids: BTreeMap<&str, usize> = (graph.nodes.iter().enumerate())
        .map(|(at, node)| (node.id.as_str(), at))
        .collect();
    for (at, node) in graph.nodes.iter().enumerate() {
        let [open, close] = brackets(node.shape);
        let _infallible = writeln!(text, "  n{at}{open}\"{}\"{close}", label(node));
    }
    for edge in &graph.edges {
        let ends = ids.get(edge.from.as_str()).zip(ids.get(edge.to.as_str()));
        let Some((from, to)) = ends else {
            debug_assert!(false, "a checked plan leads to what there is");
            continue;
        };
        let arrow = match edge.way {
            Way::Needs | Way::Success | Way::Child => "-->".to_owned(),
            Way::When => format!("-->|\"{}\"|", escaped(&edge.label)),
            Way::Failure => "-.->".to_owned(),
        };
        let _infallible = writeln!(text, "  n{from} {arrow} n{to}");
    }
    for (class, look) in [
        ("ok", "fill:#d7f0dd,stroke:#2e7d32,color:#111"),
        ("bad", "fill:#fadbd8,stroke:#b3261e,color:#111"),
        ("off", "fill:#e6e6e6,stroke:#777,color:#111"),
    ] {
        let of: Vec<String> = (graph.nodes.iter().enumerate())
            .filter(|(_, node)| classed(node) == Some(class))
            .map(|(at, _)| format!("n{at}"))
            .collect();
        if !of.is_empty() {
            let _infallible = writeln!(
                text,
                "  classDef {class} {look}\n  class {} {class}",
                of.join(",")
            );
        }
    }
    text
}

fn classed(node: &Node) -> Option<&'static str> {
    match node.ended.as_ref()?.status.as_str() {
        "ok" => Some("ok"),
        "skipped" | "cancelled" => Some("off"),
        _ => Some("bad"),
    }
}

fn label(node: &Node) -> String {
    let mut lines = vec![escaped(&node.label)];
    lines.extend((!node.detail.is_empty()).then(|| escaped(&node.detail)));
    lines.extend(
        node.ended
            .as_ref()
            .map(|it| escaped(&super::outline::ended(it))),
    );
    lines.join("<br/>")
}

const fn brackets(shape: Shape) -> [&'static str; 2] {
    match shape {
        Shape::Work => ["[", "]"],
        Shape::Plan => ["[[", "]]"],
        Shape::Decision => ["{", "}"],
        Shape::Composite => ["([", "])"],
        Shape::Handler => [">", "]"],
        Shape::Final => ["(((", ")))"],
    }
}

/// A text as Mermaid's quoted labels take it: its own entities, which begin with `#`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '`' => out.push_str("#96;"),
            '\n' => out.push(' '),
            other => out.push(other),
        }
    }
    out
}
