//! What an expression refers to, found without running it.
//!
//! That is how an unknown step is an error of the file and not of the run. A reference that cannot be
//! known before the run (`steps[inputs.name]`) is therefore not allowed; the checks say so.

use crate::expr::node::Node;

/// A name from outside and, where it is written out, the members that follow: `steps.plan.output`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    /// `steps`.
    pub(crate) root: String,
    /// `["plan", "output", …]`; ends where an index or a function begins.
    pub(crate) path: Vec<String>,
    /// Of `steps.each.outputs[0].files`, the members that follow the element.
    pub(crate) of_element: Vec<String>,
    /// Whether the expression cannot do without any of them: none is asked for by `has` or as an optional one.
    pub(crate) is_sure: bool,
}

/// All references of an expression.
pub(crate) type References = Vec<Reference>;

pub(super) fn collect(node: &Node) -> References {
    let mut found = Vec::new();
    visit(node, &mut found);
    found.sort();
    found.dedup();
    found
}

fn visit(node: &Node, found: &mut References) {
    if let Some(reference) = reference(node) {
        found.push(reference);
        return;
    }
    if let Some((reference, index)) = of_element(node) {
        found.push(reference);
        visit(index, found);
        return;
    }
    match node {
        Node::Null
        | Node::Bool(_)
        | Node::Int(_)
        | Node::Uint(_)
        | Node::Double(_)
        | Node::Text(_)
        | Node::Name(_)
        | Node::Local(_) => {}
        Node::Field { of, .. } | Node::FieldIfAny { of, .. } | Node::Has { of, .. } => {
            visit(of, found);
        }
        Node::Not(inner)
        | Node::Negate(inner)
        | Node::NotFalse(inner)
        | Node::IfAny(inner)
        | Node::Matches(inner, _)
        | Node::Push(_, inner)
        | Node::PutAll(_, inner) => visit(inner, found),
        Node::Put(_, inner) | Node::Bind(_, inner) => {
            visit(&inner.0, found);
            visit(&inner.1, found);
        }
        Node::IndexIfAny(a, b)
        | Node::Index(a, b)
        | Node::And(a, b)
        | Node::Or(a, b)
        | Node::Binary(_, a, b) => {
            visit(a, found);
            visit(b, found);
        }
        Node::If(a, b, c) => [a, b, c].into_iter().for_each(|inner| visit(inner, found)),
        Node::Call(_, nodes) | Node::List(nodes) => {
            nodes.iter().for_each(|inner| visit(inner, found));
        }
        Node::Map(entries) => entries.iter().for_each(|(key, value)| {
            visit(key, found);
            visit(value, found);
        }),
        Node::Loop(inner) => {
            [
                &inner.over,
                &inner.start,
                &inner.go_on,
                &inner.step,
                &inner.result,
            ]
            .into_iter()
            .for_each(|part| visit(part, found));
        }
    }
}

/// The reference that this node spells, if it spells one.
pub(super) fn reference(node: &Node) -> Option<Reference> {
    match node {
        Node::Name(name) => Some(Reference {
            root: name.clone(),
            path: Vec::new(),
            of_element: Vec::new(),
            is_sure: true,
        }),
        Node::Field { of, name } | Node::FieldIfAny { of, name } | Node::Has { of, name } => {
            let mut reference = reference(of)?;
            reference.path.push(name.clone());
            reference.is_sure &= matches!(node, Node::Field { .. });
            Some(reference)
        }
        Node::Index(of, index) | Node::IndexIfAny(of, index) => {
            let Node::Text(name) = index.as_ref() else {
                return None;
            };
            let mut reference = reference(of)?;
            reference.path.push(name.clone());
            reference.is_sure &= matches!(node, Node::Index(..));
            Some(reference)
        }
        _ => None,
    }
}

/// The reference that this node spells through an element of what a `foreach` gave, and what says which element.
fn of_element(node: &Node) -> Option<(Reference, &Node)> {
    match node {
        Node::Field { of, name } | Node::FieldIfAny { of, name } | Node::Has { of, name } => {
            let (mut reference, index) = of_element(of)?;
            reference.of_element.push(name.clone());
            reference.is_sure &= matches!(node, Node::Field { .. });
            Some((reference, index))
        }
        Node::Index(of, index) | Node::IndexIfAny(of, index) => {
            let mut reference = reference(of)?;
            let is_list = matches!(reference.path.as_slice(), [_, field] if field == "outputs");
            reference.is_sure &= matches!(node, Node::Index(..));
            is_list.then_some((reference, index.as_ref()))
        }
        _ => None,
    }
}
