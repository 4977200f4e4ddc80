//! What is known of the value of a template before it is rendered, part by part: for whoever reads a value in another
//! way than expressions do, such as a prompt.
//!
//! Says only what is sure: of a part that an expression decides, no more than its kind.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Expr;
use super::kinds::Kinds;
use super::template::{Node, Template};

/// A value that is not there yet.
#[derive(Clone, Debug, PartialEq)]
pub enum Given<'t> {
    /// Nothing is known of it.
    Anything,
    /// It is this one.
    Value(&'t Value),
    /// Some text.
    Text,
    /// A text, a number, true, false or null: it has no members.
    Plain,
    /// A list of which nothing more is known.
    Elements,
    /// A list of these elements.
    List(Vec<Given<'t>>),
    /// An object of these members and no others.
    Object(BTreeMap<&'t str, Given<'t>>),
}

impl Template {
    /// What is known of its value, with what kinds of values its expressions can give.
    pub(crate) fn given(&self, kinds: &dyn Fn(&Expr) -> Kinds) -> Given<'_> {
        of(self.node(), kinds)
    }
}

fn of<'t>(node: &'t Node, kinds: &dyn Fn(&Expr) -> Kinds) -> Given<'t> {
    match node {
        Node::Fixed(value) => Given::Value(value),
        Node::One(expr) => of_kinds(kinds(expr)),
        Node::Text(_) => Given::Text,
        Node::List(nodes) => Given::List(nodes.iter().map(|node| of(node, kinds)).collect()),
        Node::Object(members) => {
            let members = members.iter();
            let members = members.map(|(key, node)| (key.as_str(), of(node, kinds)));
            Given::Object(members.collect())
        }
    }
}

fn of_kinds(kinds: Kinds) -> Given<'static> {
    const PLAIN: Kinds = Kinds::NULL
        .or(Kinds::BOOL)
        .or(Kinds::NUMBER)
        .or(Kinds::TEXT);
    if kinds.within(Kinds::TEXT) {
        Given::Text
    } else if kinds.within(PLAIN) {
        Given::Plain
    } else if kinds.within(Kinds::LIST) {
        Given::Elements
    } else {
        Given::Anything
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_what_an_expression_gives_only_its_kind_is_known() {
        let source = json!({ "a": 1, "t": "x ${{ n }}", "n": "${{ n }}", "l": ["${{ t }}", [2]], "u": "${{ u }}",
            "m": "${{ l }}", "o": { "u": "${{ u }}" } });
        let template = Template::compile(source).unwrap();
        let given = template.given(&|expr| match expr.source() {
            "n" => Kinds::NUMBER.or(Kinds::NULL),
            "t" => Kinds::TEXT,
            "l" => Kinds::LIST,
            _ => Kinds::JSON,
        });
        let Given::Object(members) = given else {
            panic!("{given:?}");
        };
        assert_eq!(members["a"], Given::Value(&json!(1)));
        assert_eq!(members["t"], Given::Text);
        assert_eq!(members["n"], Given::Plain);
        let two = json!([2]);
        let list = vec![Given::Text, Given::Value(&two)];
        assert_eq!(members["l"], Given::List(list));
        assert_eq!(members["m"], Given::Elements);
        assert_eq!(members["u"], Given::Anything);
        let inner = [("u", Given::Anything)].into();
        assert_eq!(members["o"], Given::Object(inner));
    }
}
