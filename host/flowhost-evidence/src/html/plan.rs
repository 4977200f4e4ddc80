//! The drawing of a plan: its steps, states or nodes, and what leads where; of a run also how each ended.

use std::collections::{BTreeMap, VecDeque};

use flowhost_flow::graph::{Edge, Graph, Node, Shape, Way};
use maud::{Markup, PreEscaped, html};

use super::graph::{fit, marker, way};
use super::layout::{Curve, Given, NODE, Node as Lain, Placed, draw};
use crate::runs::WAITING;
use crate::text::neutral;

/// Width above which a drawing may shrink on a page.
const WIDE: i64 = 700;
/// Characters of a condition beside its edge; the whole is in its title.
const LABEL_CHARS: usize = 24;
const WAYS: [Way; 5] = [
    Way::Needs,
    Way::Success,
    Way::When,
    Way::Failure,
    Way::Child,
];

/// The drawing as a file of its own, light or dark as its reader likes it.
#[must_use]
pub fn svg(graph: &Graph) -> String {
    let text = drawing(graph, true).into_string();
    neutral(&text)
}

/// The drawing inside a page that has a style for it.
pub(super) fn body(graph: &Graph) -> Markup {
    html! {
        div.scroll.graph role="region" tabindex="0" aria-label="Graph of the plan" {
            (drawing(graph, false))
        }
        details {
            summary { "The same as text" }
            pre { (graph.outline()) }
        }
    }
}

/// A style for a drawing that stands alone; in a page the page's own applies.
const STYLE: &str = "
svg { background: #fbfbf9; color: #1b1f24; font: 600 12.5px system-ui, sans-serif; }
text { text-anchor: middle; fill: currentColor; }
.role { font-size: 10.5px; font-weight: 400; opacity: .75; }
.times { font-size: 11px; font-weight: 400; }
.edge { fill: none; stroke: #6b7480; stroke-width: 1.5; }
.edge.failure { stroke: #ad2318; stroke-dasharray: 5 4; }
.head { fill: #6b7480; } .head.failure { fill: #ad2318; }
.node rect { fill: #ffffff; stroke: #6b7480; stroke-width: 1.5; }
.node.good rect { fill: #e0f3e7; stroke: #17724a; } .node.bad rect { fill: #fbe3e0; stroke: #ad2318; }
.node.off rect { stroke-dasharray: 3 3; opacity: .7; }
@media (prefers-color-scheme: dark) {
  svg { background: #121518; color: #e6e9ec; }
  .node rect { fill: #191d22; stroke: #98a2ae; } .edge { stroke: #98a2ae; } .head { fill: #98a2ae; }
  .node.good rect { fill: #14301f; stroke: #67d09b; } .node.bad rect { fill: #3a1a17; stroke: #ff9186; }
  .edge.failure { stroke: #ff9186; } .head.failure { fill: #ff9186; }
}
";

fn drawing(graph: &Graph, alone: bool) -> Markup {
    let drawing = draw(&given(graph));
    let nodes = drawing.nodes.iter();
    let nodes = nodes.filter_map(|place| Some((place, graph.nodes.get(place.at)?)));
    let edges: Vec<(&Curve, &Edge)> = (drawing.edges.iter())
        .filter_map(|place| Some((place, graph.edges.get(place.at)?)))
        .collect();
    let used = WAYS
        .into_iter()
        .filter(|way| edges.iter().any(|(_, edge)| edge.way == *way));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class=[(drawing.width > WIDE).then_some("wide")] role="img"
            aria-label=(format!("Graph of the plan {}", graph.plan))
            width=(drawing.width) height=(drawing.height)
            viewBox=(format!("0 0 {} {}", drawing.width, drawing.height)) {
            @if alone { style { (PreEscaped(STYLE)) } }
            defs { @for way in used { (marker("plan", class(way))) } }
            @for (place, edge) in &edges { (curve(place, edge)) }
            @for (place, node) in nodes { (placed(place, node)) }
            @for (place, edge) in &edges {
                @if !edge.label.is_empty() {
                    text.times x=(place.label.0) y=(place.label.1 + 4) {
                        title { (edge.label) }
                        (short(&edge.label))
                    }
                }
            }
        }
    }
}

/// Each node one column after what leads to it. A machine goes round in circles, so there it is the
/// shortest way from the beginning; where nothing leads back, the longest, so that a step stands after all
/// that it needs.
fn given(graph: &Graph) -> Given<'_> {
    let ranks = match graph.kind {
        "fsm" => shortest(graph),
        _ => longest(graph),
    };
    let nodes = graph.nodes.iter().enumerate().map(|(at, node)| Lain {
        name: &node.id,
        rank: ranks.get(node.id.as_str()).copied().unwrap_or(0),
        order: at,
    });
    let edges = graph.edges.iter();
    Given {
        nodes: nodes.collect(),
        edges: edges
            .map(|edge| [edge.from.as_str(), edge.to.as_str()])
            .collect(),
    }
}

fn shortest(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut ranks = BTreeMap::new();
    let first = graph.nodes.first().map(|node| node.id.as_str());
    let mut next: VecDeque<(&str, usize)> = first.map(|id| (id, 0)).into_iter().collect();
    while let Some((id, rank)) = next.pop_front() {
        if ranks.contains_key(id) {
            continue;
        }
        ranks.insert(id, rank);
        let after = graph.edges.iter().filter(|edge| edge.from == id);
        next.extend(after.map(|edge| (edge.to.as_str(), rank + 1)));
    }
    ranks
}

fn longest(graph: &Graph) -> BTreeMap<&str, usize> {
    let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
    // As many rounds as there are nodes are enough where nothing leads back; a `goto` only leads on.
    for _ in &graph.nodes {
        let mut moved = false;
        for edge in &graph.edges {
            let rank = ranks.get(edge.from.as_str()).copied().unwrap_or(0) + 1;
            let place = ranks.entry(&edge.to).or_insert(0);
            moved |= *place < rank;
            *place = rank.max(*place);
        }
        if !moved {
            break;
        }
    }
    ranks
}

const fn class(way: Way) -> &'static str {
    match way {
        Way::Needs => "needs",
        Way::Success => "success",
        Way::When => "when",
        Way::Failure => "failure",
        Way::Child => "child",
    }
}

fn curve(place: &Curve, edge: &Edge) -> Markup {
    html! {
        path.edge.(class(edge.way)) d=(way(place)) marker-end=(format!("url(#plan-{})", class(edge.way))) {}
    }
}

fn placed(place: &Placed, node: &Node) -> Markup {
    let (x, y) = (place.x + NODE.0 / 2, place.y + NODE.1 / 2);
    let status = node.ended.as_ref().map(|it| it.status.as_str());
    let look = match status {
        None => "plain",
        Some("ok") => "good",
        Some("skipped" | "cancelled" | WAITING) => "off",
        Some(_) => "bad",
    };
    let below = match &node.ended {
        Some(it) if it.times > 1 => format!("{}, {} ms, {}×", it.status, it.duration_ms, it.times),
        Some(it) if it.status == WAITING => it.status.clone(),
        Some(it) => format!("{}, {} ms", it.status, it.duration_ms),
        None => node.detail.clone(),
    };
    // Round corners say that a node only orders or decides: 22 is as good as half of its height. A machine's end is marked.
    let round = match node.shape {
        Shape::Composite | Shape::Decision => 22,
        Shape::Work | Shape::Plan | Shape::Handler | Shape::Final => 8,
    };
    let name = match node.shape {
        Shape::Final => format!("◉ {}", node.label),
        Shape::Plan => format!("▸ {}", node.label),
        _ => node.label.clone(),
    };
    html! {
        g.node.(look) {
            title { (node.label) @if !node.detail.is_empty() { ": " (node.detail) } }
            rect x=(place.x) y=(place.y) width=(NODE.0) height=(NODE.1) rx=(round) {}
            text.name x=(x) y=(y - 2) { (fit(&name)) }
            text.role x=(x) y=(y + 14) { (short(&below)) }
        }
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= LABEL_CHARS {
        return text.to_owned();
    }
    let start: String = text.chars().take(LABEL_CHARS - 1).collect();
    format!("{start}…")
}
