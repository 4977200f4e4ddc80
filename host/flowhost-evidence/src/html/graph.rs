//! The graph of who talked to whom, and the same as a table for those who do not see it.

use maud::{Markup, html};

use super::layout::{Curve, Given, NODE, Node as Lain, Placed, draw};
use super::parts::{Column, more, numbers_in, table, words_in};
use super::words;
use crate::story::{Edge, EdgeKind, Node, NodeKind, Story, Talk};

/// Characters of a name that a node has room for: 152 units wide, at some eight for a character.
const NAME_CHARS: usize = 19;
/// Width above which the drawing may shrink, but not so far that nobody can read it.
const WIDE: i64 = 700;
const KINDS: [EdgeKind; 4] = [
    EdgeKind::Step,
    EdgeKind::Tool,
    EdgeKind::Message,
    EdgeKind::Model,
];

const COLUMNS: [Column; 4] = [
    words_in("From"),
    words_in("To"),
    words_in("What"),
    numbers_in("Times"),
];

/// The section.
pub(super) fn body(story: &Story) -> Markup {
    let talk = &story.talk;
    if talk.edges.items.is_empty() {
        return html! { p.none { "Nobody talked to anybody." } };
    }
    let drawing = draw(&given(talk));
    let nodes = drawing
        .nodes
        .iter()
        .filter_map(|place| Some((place, talk.nodes.items.get(place.at)?)));
    let edges: Vec<(&Curve, &Edge)> = (drawing.edges.iter())
        .filter_map(|place| Some((place, talk.edges.items.get(place.at)?)))
        .collect();
    let used = KINDS.iter().filter(|kind| {
        let mut edges = talk.edges.items.iter();
        edges.any(|edge| edge.kind == **kind)
    });
    let used: Vec<EdgeKind> = used.copied().collect();
    html! {
        p.legend {
            @for kind in &used { span { i.key.(class(*kind)) {} (word(*kind)) } }
        }
        div.scroll.graph role="region" tabindex="0" aria-label="Graph of who talked to whom" {
            svg.wide[drawing.width > WIDE] role="img" aria-label="Who talked to whom; the table below says the same"
                width=(drawing.width) height=(drawing.height)
                viewBox=(format!("0 0 {} {}", drawing.width, drawing.height)) {
                defs { @for kind in &used { (arrow(*kind)) } }
                // SVG paints in this order: edges below nodes, and numbers above both.
                @for (place, edge) in &edges { (curve(place, edge)) }
                @for (place, node) in nodes { (placed(place, node)) }
                @for (place, edge) in &edges {
                    text.times x=(place.label.0) y=(place.label.1 + 4) { (words::short(edge.count)) }
                }
            }
        }
        (more(&story.head.run, &talk.nodes, "node", "nodes"))
        (more(&story.head.run, &talk.edges, "edge", "edges"))
        details {
            summary { "The same as a table" }
            (table("Who talked to whom", &COLUMNS, &html! {
                @for edge in &talk.edges.items {
                    tr {
                        th scope="row" { code { (edge.from) } }
                        td { code { (edge.to) } }
                        td { (word(edge.kind)) }
                        td.n { (words::count(edge.count)) }
                    }
                }
            }))
        }
    }
}

/// Columns from the host to the models.
fn given(talk: &Talk) -> Given<'_> {
    let rank = |kind| match kind {
        NodeKind::Host => 0,
        NodeKind::Agent => 1,
        NodeKind::Tool | NodeKind::Guardrail => 2,
        NodeKind::Model => 3,
    };
    let nodes = talk.nodes.items.iter();
    // The list of nodes begins with the busiest; a drawing of another run should look alike.
    let mut names: Vec<(NodeKind, &str)> = nodes
        .clone()
        .map(|node| (node.kind, node.name.as_str()))
        .collect();
    names.sort_unstable();
    let nodes = nodes.map(|node| Lain {
        name: &node.name,
        rank: rank(node.kind),
        order: names.partition_point(|it| *it < (node.kind, node.name.as_str())),
    });
    let edges = talk.edges.items.iter();
    Given {
        nodes: nodes.collect(),
        edges: edges
            .map(|edge| [edge.from.as_str(), edge.to.as_str()])
            .collect(),
    }
}

const fn class(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Step => "step",
        EdgeKind::Tool => "tool",
        EdgeKind::Message => "message",
        EdgeKind::Model => "model",
    }
}

const fn word(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Step => "step of the plan",
        EdgeKind::Tool => "tool call",
        EdgeKind::Message => "message",
        EdgeKind::Model => "model call",
    }
}

const fn role(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Host => "performs the plan",
        NodeKind::Agent => "agent",
        NodeKind::Tool => "tool",
        NodeKind::Guardrail => "guardrail",
        NodeKind::Model => "model",
    }
}

const fn node_class(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Host => "host",
        NodeKind::Agent => "agent",
        NodeKind::Tool | NodeKind::Guardrail => "tool",
        NodeKind::Model => "model",
    }
}

fn arrow(kind: EdgeKind) -> Markup {
    marker("arrow", class(kind))
}

/// The head of an arrow: `{of}-{class}` is what a way names as its end.
pub(super) fn marker(of: &str, class: &str) -> Markup {
    html! {
        marker id=(format!("{of}-{class}")) viewBox="0 0 8 8" refX="7" refY="4"
            markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto" {
            path.head.(class) d="M0 0 L8 4 L0 8 z" {}
        }
    }
}

fn curve(place: &Curve, edge: &Edge) -> Markup {
    // Ten times as often is one unit wider.
    let width = 1.5 + f64::from(edge.count.max(1).ilog10());
    html! {
        path.edge.(class(edge.kind)) d=(way(place)) stroke-width=(width)
            marker-end=(format!("url(#arrow-{})", class(edge.kind))) {}
    }
}

/// The way as SVG writes it: a bend between columns, a straight line in a lane.
pub(super) fn way(edge: &Curve) -> String {
    let mut way = String::new();
    let mut at = (0, 0);
    // Stops come in pairs, an end and the beginning of the next straight part, so that a stop of an odd place ends a bend.
    for (nth, stop) in edge.stops.iter().enumerate() {
        let (x, y) = *stop;
        let half = (x - at.0) / 2 + edge.bulge;
        let back = (x - at.0) / 2 - edge.bulge;
        way.push_str(&match nth {
            0 => format!("M{x} {y}"),
            odd if odd % 2 == 1 => {
                format!(" C{} {} {} {y} {x} {y}", at.0 + half, at.1, x - back)
            }
            _ => format!(" L{x} {y}"),
        });
        at = (x, y);
    }
    way
}

fn placed(place: &Placed, node: &Node) -> Markup {
    let (x, y) = (place.x + NODE.0 / 2, place.y + NODE.1 / 2);
    let (name, what) = words_of(node);
    html! {
        g.node.(node_class(node.kind)) {
            title { (node.name) ", " (role(node.kind)) }
            rect x=(place.x) y=(place.y) width=(NODE.0) height=(NODE.1) rx="8" {}
            text.name x=(x) y=(y - 2) { (fit(&name)) }
            text.role x=(x) y=(y + 14) { (fit(&what)) }
        }
    }
}

/// A node's name and what it is; of a model its own name first, then its provider.
fn words_of(node: &Node) -> (String, String) {
    match node.name.split_once('/') {
        Some((provider, name)) if node.kind == NodeKind::Model => {
            (name.to_owned(), format!("model, {provider}"))
        }
        _ => (node.name.clone(), role(node.kind).to_owned()),
    }
}

/// As much of a name as fits; its end says more than its beginning.
pub(super) fn fit(name: &str) -> String {
    let length = name.chars().count();
    if length <= NAME_CHARS {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length - NAME_CHARS + 1).collect();
    format!("…{end}")
}
