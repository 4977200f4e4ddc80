//! Where the nodes and edges of the graph lie: columns from the host to the models.
//!
//! Pure, integers only, and the same for the same graph: nothing is random and nothing moves.

use std::collections::BTreeMap;

use crate::evidence::story::{Edge, EdgeKind, Node, NodeKind, Talk};

/// Size of a node, in the drawing's units (CSS pixels at full size).
pub(super) const NODE: (i64, i64) = (168, 46);
/// Room between columns, in which edges bend.
const GAP_X: i64 = 104;
/// Room between rows.
const GAP_Y: i64 = 22;
/// Room around the drawing; edges within a column bulge into it.
const MARGIN: i64 = 24;
const BULGE: i64 = 56;
/// Between edges that join the same two nodes.
const PARALLEL: i64 = 12;

/// A drawing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Drawing {
    pub(super) width: i64,
    pub(super) height: i64,
    pub(super) nodes: Vec<Placed>,
    pub(super) edges: Vec<Curve>,
}

/// A node and its upper left corner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) kind: NodeKind,
    pub(super) x: i64,
    pub(super) y: i64,
}

/// An edge as a cubic curve: its ends, its control points, and where its count stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve {
    pub(super) kind: EdgeKind,
    pub(super) count: u64,
    pub(super) points: [(i64, i64); 4],
    pub(super) label: (i64, i64),
}

/// Lays the graph out.
pub(super) fn draw(talk: &Talk) -> Drawing {
    let columns = columns(talk);
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    let height_of = |rows: usize| whole(rows) * (NODE.1 + GAP_Y) - GAP_Y;
    let inner = height_of(rows);
    let mut nodes = Vec::new();
    for (column, members) in columns.iter().enumerate() {
        let top = MARGIN + (inner - height_of(members.len())) / 2;
        for (row, node) in members.iter().enumerate() {
            nodes.push(Placed {
                name: node.name.clone(),
                kind: node.kind,
                x: MARGIN + whole(column) * (NODE.0 + GAP_X),
                y: top + whole(row) * (NODE.1 + GAP_Y),
            });
        }
    }
    let edges = curves(talk, &nodes);
    Drawing {
        width: MARGIN + whole(columns.len()) * (NODE.0 + GAP_X) - GAP_X + MARGIN + BULGE,
        height: inner + 2 * MARGIN,
        nodes,
        edges,
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(0)
}

/// Nodes by column, without empty ones; within a column near to whom they talk.
fn columns(talk: &Talk) -> Vec<Vec<&Node>> {
    let column = |node: &Node| match node.kind {
        NodeKind::Host => 0,
        NodeKind::Agent => 1,
        NodeKind::Tool | NodeKind::Guardrail => 2,
        NodeKind::Model => 3,
    };
    let mut all: BTreeMap<i32, Vec<&Node>> = BTreeMap::new();
    for node in &talk.nodes.items {
        all.entry(column(node)).or_default().push(node);
    }
    let mut columns: Vec<Vec<&Node>> = Vec::new();
    for mut members in all.into_values() {
        if let Some(before) = columns.last() {
            members.sort_by_key(|node| (pull(talk, before, node), node.kind, node.name.clone()));
        }
        columns.push(members);
    }
    columns
}

/// The middle of the rows, in thousandths, of those in the column before that talk to this node;
/// the last for one that nobody there talks to.
fn pull(talk: &Talk, before: &[&Node], node: &Node) -> i64 {
    let rows = talk.edges.items.iter().filter_map(|edge| {
        let other = match (edge.from == node.name, edge.to == node.name) {
            (true, false) => &edge.to,
            (false, true) => &edge.from,
            _ => return None,
        };
        before.iter().position(|it| it.name == *other).map(whole)
    });
    let rows: Vec<i64> = rows.collect();
    match rows.len() {
        0 => i64::MAX,
        count => rows.iter().sum::<i64>() * 1_000 / whole(count),
    }
}

fn curves(talk: &Talk, nodes: &[Placed]) -> Vec<Curve> {
    let mut seen: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut curves = Vec::new();
    for edge in &talk.edges.items {
        let find = |name: &str| nodes.iter().find(|node| node.name == name);
        let (Some(from), Some(to)) = (find(&edge.from), find(&edge.to)) else {
            continue;
        };
        let pair = if edge.from <= edge.to {
            (edge.from.as_str(), edge.to.as_str())
        } else {
            (edge.to.as_str(), edge.from.as_str())
        };
        let nth = seen.entry(pair).or_default();
        let shift = side_by_side(*nth);
        *nth += 1;
        curves.push(curve(edge, from, to, shift));
    }
    curves
}

/// 0, then one below, one above, two below, two above…
const fn side_by_side(nth: i64) -> i64 {
    let step = (nth + 1) / 2 * PARALLEL;
    if nth % 2 == 1 { step } else { -step }
}

fn curve(edge: &Edge, from: &Placed, to: &Placed, shift: i64) -> Curve {
    let shift = shift.clamp(-NODE.1 / 2 + 6, NODE.1 / 2 - 6);
    let middle = |node: &Placed| node.y + NODE.1 / 2 + shift;
    let (left, right) = (|node: &Placed| node.x, |node: &Placed| node.x + NODE.0);
    let points = if from.x < to.x {
        let (start, end) = ((right(from), middle(from)), (left(to), middle(to)));
        let bend = (end.0 - start.0) / 2;
        [start, (start.0 + bend, start.1), (end.0 - bend, end.1), end]
    } else if from.x > to.x {
        let (start, end) = ((left(from), middle(from)), (right(to), middle(to)));
        let bend = (start.0 - end.0) / 2;
        [start, (start.0 - bend, start.1), (end.0 + bend, end.1), end]
    } else {
        let out = right(from) + BULGE;
        let apart = if from.name == to.name { NODE.1 / 3 } else { 0 };
        let start = (right(from), middle(from) - apart);
        let end = (right(to), middle(to) + apart);
        [start, (out, start.1), (out, end.1), end]
    };
    let [a, b, c, d] = points;
    // A cubic curve at its middle.
    let at = |a: i64, b: i64, c: i64, d: i64| (a + 3 * b + 3 * c + d) / 8;
    Curve {
        kind: edge.kind,
        count: edge.count,
        points,
        label: (at(a.0, b.0, c.0, d.0), at(a.1, b.1, c.1, d.1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::story::Shown;

    fn talk(edges: &[(usize, usize)]) -> Talk {
        let kinds = [
            NodeKind::Host,
            NodeKind::Agent,
            NodeKind::Tool,
            NodeKind::Guardrail,
            NodeKind::Model,
        ];
        let nodes: Vec<Node> = (0..15)
            .map(|at| Node {
                name: format!("n{at:02}"),
                kind: kinds[at % 5],
            })
            .collect();
        let edges: Vec<Edge> = edges
            .iter()
            .map(|(from, to)| Edge {
                from: nodes[*from].name.clone(),
                to: nodes[*to].name.clone(),
                kind: EdgeKind::Step,
                count: 1,
            })
            .collect();
        Talk {
            nodes: Shown {
                total: nodes.len() as u64,
                items: nodes,
            },
            edges: Shown {
                total: edges.len() as u64,
                items: edges,
            },
        }
    }

    #[test]
    fn a_graph_of_nobody_has_nothing_to_draw() {
        let drawing = draw(&Talk::default());
        assert!(drawing.nodes.is_empty() && drawing.edges.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_lies_outside_and_no_two_nodes_overlap(
            edges in prop::collection::vec((0_usize..15, 0_usize..15), 0..60),
        ) {
            let drawing = draw(&talk(&edges));
            prop_assert_eq!(drawing.edges.len(), edges.len());
            for node in &drawing.nodes {
                prop_assert!(node.x >= 0 && node.x + NODE.0 <= drawing.width);
                prop_assert!(node.y >= 0 && node.y + NODE.1 <= drawing.height);
            }
            for (at, a) in drawing.nodes.iter().enumerate() {
                for b in &drawing.nodes[at + 1..] {
                    let apart = (a.x - b.x).abs() >= NODE.0 || (a.y - b.y).abs() >= NODE.1;
                    prop_assert!(apart, "{a:?} {b:?}");
                }
            }
            for edge in &drawing.edges {
                for (x, y) in edge.points {
                    prop_assert!((0..=drawing.width).contains(&x), "{edge:?}");
                    prop_assert!((0..=drawing.height).contains(&y), "{edge:?}");
                }
            }
            prop_assert_eq!(drawing, draw(&talk(&edges)));
        }
    }
}
