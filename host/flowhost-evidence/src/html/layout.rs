//! Where the nodes and edges of a graph lie: in columns, with lanes between the nodes of a column for what
//! passes it.
//!
//! Pure, integers only, and the same for the same graph: nothing is random and nothing moves.

use std::collections::BTreeMap;

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

/// A graph to lay out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given<'g> {
    pub(super) nodes: Vec<Node<'g>>,
    /// Names of nodes: from, to.
    pub(super) edges: Vec<[&'g str; 2]>,
}

/// A node to lay out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Node<'g> {
    pub(super) name: &'g str,
    /// Its column, from the left; columns that nobody is in take no room.
    pub(super) rank: usize,
    /// Its place among those that nothing else tells apart.
    pub(super) order: usize,
}

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
    /// Its place among the given nodes.
    pub(super) at: usize,
    pub(super) x: i64,
    pub(super) y: i64,
}

/// An edge, and where its label stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Curve {
    /// Its place among the given edges.
    pub(super) at: usize,
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
enum Member<'g> {
    Node(usize, Node<'g>),
    /// Room for the edge of this place in the list.
    Lane(usize),
}

impl Member<'_> {
    const fn height(&self) -> i64 {
        match self {
            Self::Node(..) => NODE.1,
            Self::Lane(_) => LANE,
        }
    }

    /// Whether this is the node of that name, or the lane of that edge.
    fn is(&self, name: &str, edge: usize) -> bool {
        match self {
            Self::Node(_, node) => node.name == name,
            Self::Lane(lane) => *lane == edge,
        }
    }
}

/// Lays the graph out.
pub(super) fn draw(given: &Given<'_>) -> Drawing {
    let columns = columns(given);
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
                Member::Node(at, _) => nodes.push(Placed { at: *at, x, y }),
                Member::Lane(edge) => lanes.entry(*edge).or_default().push((x, y + LANE / 2)),
            }
            y += member.height() + GAP_Y;
        }
    }
    let edges = curves(given, &nodes, &lanes);
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

/// The columns, without empty ones. What is joined stands near each other.
fn columns<'g>(given: &Given<'g>) -> Vec<Vec<Member<'g>>> {
    let mut ranks: Vec<usize> = given.nodes.iter().map(|node| node.rank).collect();
    ranks.sort_unstable();
    ranks.dedup();
    // The columns of all ends are looked up once: a plan may have ten thousand steps, each in a column of its own.
    let mut column: BTreeMap<&str, usize> = BTreeMap::new();
    for node in &given.nodes {
        if let Ok(place) = ranks.binary_search(&node.rank) {
            column.entry(node.name).or_insert(place);
        }
    }
    let ends = |[from, to]: &[&str; 2]| Some((*column.get(*from)?, *column.get(*to)?));
    let ends: Vec<Option<(usize, usize)>> = given.edges.iter().map(ends).collect();
    let mut columns: Vec<Vec<Member<'_>>> = Vec::new();
    for (place, wanted) in ranks.iter().enumerate() {
        let all = given.nodes.iter().enumerate();
        let here = all.filter(|(_, node)| node.rank == *wanted);
        let mut members: Vec<Member<'_>> = here.map(|(at, node)| Member::Node(at, *node)).collect();
        for (at, ends) in ends.iter().enumerate() {
            if ends.is_some_and(|(a, b)| a.min(b) < place && place < a.max(b)) {
                members.push(Member::Lane(at));
            }
        }
        if let Some(before) = columns.last() {
            // Cached, because each look goes through all edges.
            members.sort_by_cached_key(|member| (pull(given, before, member), order(member)));
        }
        columns.push(members);
    }
    columns
}

/// Ties are broken by what a member is: lanes above, so that a way that only passes does not part nodes that belong together.
const fn order(member: &Member<'_>) -> (bool, usize, usize) {
    match member {
        Member::Lane(edge) => (false, 0, *edge),
        Member::Node(at, node) => (true, node.order, *at),
    }
}

/// The middle of the rows, in thousandths, of those in the column before that this joins; the last
/// for one that joins nobody there.
fn pull(given: &Given<'_>, before: &[Member<'_>], member: &Member<'_>) -> i64 {
    let mut rows = Vec::new();
    for (at, [from, to]) in given.edges.iter().enumerate() {
        let others: &[&str] = match member {
            Member::Lane(lane) if *lane == at => &[from, to],
            Member::Node(_, node) if node.name == *from => &[to],
            Member::Node(_, node) if node.name == *to => &[from],
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

fn curves(given: &Given<'_>, nodes: &[Placed], lanes: &BTreeMap<usize, Vec<Point>>) -> Vec<Curve> {
    let mut seen: BTreeMap<[&str; 2], i64> = BTreeMap::new();
    let mut curves = Vec::new();
    for (at, edge) in given.edges.iter().enumerate() {
        let find = |name: &str| {
            let place = given.nodes.iter().position(|node| node.name == name)?;
            nodes.iter().find(|node| node.at == place)
        };
        let [Some(from), Some(to)] = edge.map(find) else {
            continue;
        };
        let mut pair = *edge;
        pair.sort_unstable();
        let nth = seen.entry(pair).or_default();
        let shift = side_by_side(*nth);
        *nth += 1;
        let lanes = lanes.get(&at).map(Vec::as_slice).unwrap_or_default();
        curves.push(curve(at, [from, to], lanes, shift));
    }
    curves
}

/// 0, then one below, one above, two below, two above…
const fn side_by_side(nth: i64) -> i64 {
    let step = (nth + 1) / 2 * PARALLEL;
    if nth % 2 == 1 { step } else { -step }
}

fn curve(at: usize, [from, to]: [&Placed; 2], lanes: &[Point], shift: i64) -> Curve {
    // However many edges join two nodes, each ends on the side of its node, clear of the round corners.
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
        // From a node to itself: with both ends in one place the way would be a line there and back.
        let apart = if from.at == to.at { NODE.1 / 3 } else { 0 };
        stops.push((from.x + NODE.0, middle(from) - apart));
        stops.push((to.x + NODE.0, middle(to) + apart));
    }
    let [start, next] = match stops.as_slice() {
        [start, next, ..] => [*start, *next],
        _ => [(0, 0); 2],
    };
    // The middle of the first bend lies between columns, where no node is. A cubic curve whose two inner points are
    // `bulge` away is three quarters of it away there.
    let label = (
        i64::midpoint(start.0, next.0) + bulge * 3 / 4,
        i64::midpoint(start.1, next.1),
    );
    Curve {
        at,
        stops,
        bulge,
        label,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 15] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o",
    ];

    fn given(edges: &[(usize, usize)]) -> Given<'static> {
        let nodes = NAMES.iter().enumerate().map(|(at, name)| Node {
            name,
            rank: at % 5,
            order: at % 3,
        });
        let edges = edges.iter().map(|(from, to)| [NAMES[*from], NAMES[*to]]);
        Given {
            nodes: nodes.collect(),
            edges: edges.collect(),
        }
    }

    #[test]
    fn a_graph_of_nobody_has_nothing_to_draw() {
        let drawing = draw(&Given::default());
        assert!(drawing.nodes.is_empty() && drawing.edges.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_lies_outside_and_no_two_nodes_overlap(
            edges in prop::collection::vec((0_usize..15, 0_usize..15), 0..60),
        ) {
            let drawing = draw(&given(&edges));
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
            prop_assert_eq!(drawing, draw(&given(&edges)));
        }
    }
}
