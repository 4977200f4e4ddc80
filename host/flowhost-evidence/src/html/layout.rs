//! Where the nodes and edges of the graph lie: columns from the host to the models, and lanes between
//! the nodes of a column for what passes it.
//!
//! Pure, integers only, and the same for the same graph: nothing is random and nothing moves.

use std::collections::BTreeMap;

use crate::story::{Edge, EdgeKind, Node, NodeKind, Talk};

/// Size of a node, in the drawing's units (CSS pixels at full size).
pub(super) const NODE: (i64, i64) = (152, 46);
/// Height of a lane.
const LANE: i64 = 14;
/// Room between columns, in which edges bend.
const GAP_X: i64 = 84;
/// Room between rows.
const GAP_Y: i64 = 18;
/// Room around the drawing.
const MARGIN: i64 = 16;
/// How far an edge within a column leaves it.
const BULGE: i64 = 52;
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

/// An edge, and where its count stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve {
    pub(super) kind: EdgeKind,
    pub(super) count: u64,
    /// From the start, over both ends of each lane, to the end: the way bends between columns and is
    /// straight in a lane.
    pub(super) stops: Vec<Point>,
    /// How far the way goes out of its column and back; 0 for one that goes on.
    pub(super) bulge: i64,
    pub(super) label: Point,
}

/// A place: x and y.
pub(super) type Point = (i64, i64);

/// What takes room in a column.
#[derive(Debug, Clone, Copy)]
enum Member<'t> {
    Node(&'t Node),
    /// Room for the edge of this place in the list.
    Lane(usize),
}

impl Member<'_> {
    const fn height(&self) -> i64 {
        match self {
            Self::Node(_) => NODE.1,
            Self::Lane(_) => LANE,
        }
    }

    /// Whether this is the node of that name, or the lane of that edge.
    fn is(&self, name: &str, edge: usize) -> bool {
        match self {
            Self::Node(node) => node.name == name,
            Self::Lane(lane) => *lane == edge,
        }
    }
}

/// Lays the graph out.
pub(super) fn draw(talk: &Talk) -> Drawing {
    let columns = columns(talk);
    let tall = |members: &Vec<Member<'_>>| {
        let all: i64 = members.iter().map(|member| member.height() + GAP_Y).sum();
        all - GAP_Y
    };
    let inner = columns.iter().map(tall).max().unwrap_or(0);
    let mut nodes = Vec::new();
    let mut lanes: BTreeMap<usize, Vec<Point>> = BTreeMap::new();
    for (column, members) in columns.iter().enumerate() {
        let x = MARGIN + whole(column) * (NODE.0 + GAP_X);
        let mut y = MARGIN + (inner - tall(members)) / 2;
        for member in members {
            match member {
                Member::Node(node) => nodes.push(Placed {
                    name: node.name.clone(),
                    kind: node.kind,
                    x,
                    y,
                }),
                Member::Lane(edge) => lanes.entry(*edge).or_default().push((x, y + LANE / 2)),
            }
            y += member.height() + GAP_Y;
        }
    }
    let edges = curves(talk, &nodes, &lanes);
    let right = nodes.iter().map(|node| node.x + NODE.0).max().unwrap_or(0);
    let reach = edges.iter().flat_map(|edge| {
        let out = edge.bulge;
        edge.stops.iter().map(move |stop| stop.0 + out)
    });
    Drawing {
        width: reach.max().unwrap_or(0).max(right) + MARGIN,
        height: inner + 2 * MARGIN,
        nodes,
        edges,
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(0)
}

/// The columns, without empty ones. Who talks to each other stands near each other.
fn columns(talk: &Talk) -> Vec<Vec<Member<'_>>> {
    let rank = |node: &Node| match node.kind {
        NodeKind::Host => 0,
        NodeKind::Agent => 1,
        NodeKind::Tool | NodeKind::Guardrail => 2,
        NodeKind::Model => 3,
    };
    let mut ranks: Vec<i32> = talk.nodes.items.iter().map(rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let column = |name: &str| {
        let node = talk.nodes.items.iter().find(|node| node.name == name)?;
        ranks.iter().position(|known| *known == rank(node))
    };
    let mut columns: Vec<Vec<Member<'_>>> = Vec::new();
    for (place, wanted) in ranks.iter().enumerate() {
        let here = talk.nodes.items.iter().filter(|node| rank(node) == *wanted);
        let mut members: Vec<Member<'_>> = here.map(Member::Node).collect();
        for (at, edge) in talk.edges.items.iter().enumerate() {
            let ends = column(&edge.from).zip(column(&edge.to));
            if ends.is_some_and(|(a, b)| a.min(b) < place && place < a.max(b)) {
                members.push(Member::Lane(at));
            }
        }
        if let Some(before) = columns.last() {
            members.sort_by_key(|member| (pull(talk, before, member), order(member)));
        }
        columns.push(members);
    }
    columns
}

/// Ties are broken by what a member is.
fn order(member: &Member<'_>) -> (Option<NodeKind>, String, usize) {
    match member {
        Member::Node(node) => (Some(node.kind), node.name.clone(), 0),
        Member::Lane(edge) => (None, String::new(), *edge),
    }
}

/// The middle of the rows, in thousandths, of those in the column before that this joins; the last
/// for one that joins nobody there.
fn pull(talk: &Talk, before: &[Member<'_>], member: &Member<'_>) -> i64 {
    let mut rows = Vec::new();
    for (at, edge) in talk.edges.items.iter().enumerate() {
        let others: &[&String] = match member {
            Member::Lane(lane) if *lane == at => &[&edge.from, &edge.to],
            Member::Node(node) if node.name == edge.from => &[&edge.to],
            Member::Node(node) if node.name == edge.to => &[&edge.from],
            _ => continue,
        };
        let joined = before
            .iter()
            .position(|it| others.iter().any(|name| it.is(name, at)));
        rows.extend(joined.map(whole));
    }
    match rows.len() {
        0 => i64::MAX,
        count => rows.iter().sum::<i64>() * 1_000 / whole(count),
    }
}

fn curves(talk: &Talk, nodes: &[Placed], lanes: &BTreeMap<usize, Vec<Point>>) -> Vec<Curve> {
    let mut seen: BTreeMap<[&str; 2], i64> = BTreeMap::new();
    let mut curves = Vec::new();
    for (at, edge) in talk.edges.items.iter().enumerate() {
        let find = |name: &str| nodes.iter().find(|node| node.name == name);
        let (Some(from), Some(to)) = (find(&edge.from), find(&edge.to)) else {
            continue;
        };
        let mut pair = [edge.from.as_str(), edge.to.as_str()];
        pair.sort_unstable();
        let nth = seen.entry(pair).or_default();
        let shift = side_by_side(*nth);
        *nth += 1;
        let lanes = lanes.get(&at).map(Vec::as_slice).unwrap_or_default();
        curves.push(curve(edge, [from, to], lanes, shift));
    }
    curves
}

/// 0, then one below, one above, two below, two above…
const fn side_by_side(nth: i64) -> i64 {
    let step = (nth + 1) / 2 * PARALLEL;
    if nth % 2 == 1 { step } else { -step }
}

fn curve(edge: &Edge, [from, to]: [&Placed; 2], lanes: &[Point], shift: i64) -> Curve {
    let shift = shift.clamp(-NODE.1 / 2 + 6, NODE.1 / 2 - 6);
    let middle = |node: &Placed| node.y + NODE.1 / 2 + shift;
    let mut stops = Vec::new();
    let mut bulge = 0;
    if from.x < to.x {
        stops.push((from.x + NODE.0, middle(from)));
        stops.extend(lanes.iter().flat_map(|(x, y)| [(*x, *y), (x + NODE.0, *y)]));
        stops.push((to.x, middle(to)));
    } else if from.x > to.x {
        stops.push((from.x, middle(from)));
        let back = lanes.iter().rev();
        stops.extend(back.flat_map(|(x, y)| [(x + NODE.0, *y), (*x, *y)]));
        stops.push((to.x + NODE.0, middle(to)));
    } else {
        bulge = BULGE;
        let apart = if from.name == to.name { NODE.1 / 3 } else { 0 };
        stops.push((from.x + NODE.0, middle(from) - apart));
        stops.push((to.x + NODE.0, middle(to) + apart));
    }
    let [start, next] = match stops.as_slice() {
        [start, next, ..] => [*start, *next],
        _ => [(0, 0); 2],
    };
    // The middle of the first bend lies between columns, where no node is.
    let label = (
        i64::midpoint(start.0, next.0) + bulge * 3 / 4,
        i64::midpoint(start.1, next.1),
    );
    Curve {
        kind: edge.kind,
        count: edge.count,
        stops,
        bulge,
        label,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::story::Shown;

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
                prop_assert!(edge.stops.len().is_multiple_of(2));
                for (x, y) in &edge.stops {
                    prop_assert!((0..=drawing.width).contains(&(x + edge.bulge)), "{edge:?}");
                    prop_assert!((0..=drawing.height).contains(y), "{edge:?}");
                }
                let (x, y) = edge.label;
                for node in &drawing.nodes {
                    let inside = (node.x..=node.x + NODE.0).contains(&x)
                        && (node.y..=node.y + NODE.1).contains(&y);
                    prop_assert!(!inside, "{edge:?} {node:?}");
                    // In a lane no node stands in the way.
                    for lane in edge.stops[1..edge.stops.len() - 1].chunks(2) {
                        let meets = lane.iter().any(|(x, y)| {
                            (node.x..=node.x + NODE.0).contains(x)
                                && (node.y..=node.y + NODE.1).contains(y)
                        });
                        prop_assert!(!meets, "{edge:?} {node:?}");
                    }
                }
            }
            prop_assert_eq!(drawing, draw(&talk(&edges)));
        }
    }
}
