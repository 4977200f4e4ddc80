//! JSON in which strings may hold expressions: `with`, `items`, `outputs`.
//!
//! A string that is one expression keeps the JSON type of its value; any other string is text with
//! values put in. Values are never spliced into anything that is executed. `$${{` writes `${{`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::expr::{EvalError, Expr, Names, Reference, value};

/// JSON with expressions in it.
#[derive(Clone)]
pub struct Template {
    source: Value,
    node: Node,
}

#[derive(Clone)]
enum Node {
    /// No expression inside.
    Fixed(Value),
    One(Expr),
    Text(Vec<Piece>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Clone)]
enum Piece {
    Text(String),
    Expr(Expr),
}

impl Template {
    /// Compiles `source`. All messages, not only the first.
    ///
    /// # Errors
    /// What is wrong with its expressions, each with the JSON pointer of its string.
    pub fn compile(source: Value) -> Result<Self, Vec<(String, String)>> {
        let mut errors = Vec::new();
        let node = compile(&source, "", &mut errors);
        if errors.is_empty() {
            Ok(Self { source, node })
        } else {
            Err(errors)
        }
    }

    /// A template without expressions.
    #[must_use]
    pub fn fixed(value: Value) -> Self {
        Self {
            source: value.clone(),
            node: Node::Fixed(value),
        }
    }

    /// As written in the plan.
    #[must_use]
    pub const fn source(&self) -> &Value {
        &self.source
    }

    /// The value with all expressions evaluated.
    ///
    /// # Errors
    /// The first expression that fails, named.
    pub fn render(&self, names: &Names<'_>) -> Result<Value, EvalError> {
        render(&self.node, names)
    }

    /// The value, where no expression decides it.
    #[must_use]
    pub const fn constant(&self) -> Option<&Value> {
        match &self.node {
            Node::Fixed(value) => Some(value),
            _ => None,
        }
    }

    /// Whether a list can come out of it.
    pub(crate) fn may_be_list(&self) -> bool {
        match &self.node {
            Node::Fixed(value) => value.is_array(),
            Node::One(_) | Node::List(_) => true,
            Node::Text(_) | Node::Object(_) => false,
        }
    }

    /// Whether the name `root` is used.
    pub(crate) fn mentions(&self, root: &str) -> bool {
        !matches!(self.node, Node::Fixed(_))
            && self
                .references()
                .iter()
                .any(|(_, reference)| reference.root == root)
    }

    /// What the template refers to, with the JSON pointer of the string that does.
    pub(crate) fn references(&self) -> Vec<(String, &Reference)> {
        let mut found = Vec::new();
        references(&self.node, "", &mut found);
        found
    }
}

fn compile(source: &Value, pointer: &str, errors: &mut Vec<(String, String)>) -> Node {
    match source {
        Value::String(text) => match compile_text(text) {
            Ok(node) => node,
            Err(message) => {
                errors.push((pointer.to_owned(), message));
                Node::Fixed(Value::Null)
            }
        },
        Value::Array(items) => {
            let nodes: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| compile(item, &format!("{pointer}/{index}"), errors))
                .collect();
            if nodes.iter().all(Node::is_fixed) {
                Node::Fixed(Value::Array(
                    nodes.into_iter().filter_map(Node::into_fixed).collect(),
                ))
            } else {
                Node::List(nodes)
            }
        }
        Value::Object(members) => {
            let nodes: Vec<_> = members
                .iter()
                .map(|(key, member)| (key.clone(), compile(member, &child(pointer, key), errors)))
                .collect();
            if nodes.iter().all(|(_, node)| node.is_fixed()) {
                let pairs = nodes
                    .into_iter()
                    .filter_map(|(key, node)| Some((key, node.into_fixed()?)));
                Node::Fixed(Value::Object(pairs.collect()))
            } else {
                Node::Object(nodes)
            }
        }
        other => Node::Fixed(other.clone()),
    }
}

impl Node {
    const fn is_fixed(&self) -> bool {
        matches!(self, Self::Fixed(_))
    }

    fn into_fixed(self) -> Option<Value> {
        match self {
            Self::Fixed(value) => Some(value),
            _ => None,
        }
    }
}

fn compile_text(text: &str) -> Result<Node, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${{") {
        let (before, after) = rest.split_at(start);
        let inner = after.get(3..).unwrap_or_default();
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${{");
            rest = inner;
            continue;
        }
        plain.push_str(before);
        let end =
            end_of(inner).ok_or("`${{` without its `}}`; write `$${{` for the text itself")?;
        let (source, tail) = inner.split_at(end);
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(Piece::Expr(Expr::compile(source)?));
        rest = tail.get(2..).unwrap_or_default();
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(match pieces.as_slice() {
        [] => Node::Fixed(Value::String(String::new())),
        [Piece::Text(text)] => Node::Fixed(Value::String(text.clone())),
        [Piece::Expr(expr)] => Node::One(expr.clone()),
        _ => Node::Text(pieces),
    })
}

/// Where the `}}` of an expression is, past string literals and braces of its own.
fn end_of(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut depth, mut quote, mut index) = (0_usize, None, 0_usize);
    while let Some(byte) = bytes.get(index) {
        match (quote, byte) {
            (Some(_), b'\\') => index += 1,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(index + 1) == Some(&b'}') => return Some(index),
            _ => {}
        }
        index += 1;
    }
    None
}

fn render(node: &Node, names: &Names<'_>) -> Result<Value, EvalError> {
    match node {
        Node::Fixed(value) => Ok(value.clone()),
        Node::One(expr) => eval(expr, names),
        Node::Text(pieces) => {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(plain) => text.push_str(plain),
                    Piece::Expr(expr) => text.push_str(&show(eval(expr, names)?)),
                }
            }
            Ok(Value::String(text))
        }
        Node::List(nodes) => nodes.iter().map(|node| render(node, names)).collect(),
        Node::Object(members) => {
            let mut object = Map::new();
            for (key, node) in members {
                object.insert(key.clone(), render(node, names)?);
            }
            Ok(Value::Object(object))
        }
    }
}

fn eval(expr: &Expr, names: &Names<'_>) -> Result<Value, EvalError> {
    expr.eval(names).map_err(|error| match error {
        EvalError::Value(message) => EvalError::Value(format!("`{}`: {message}", expr.source())),
        EvalError::Cost => EvalError::Cost,
    })
}

/// How a value looks inside of a text: scalars as they are, lists and objects as JSON.
fn show(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => value::Val::from(&other)
            .text()
            .map_or_else(|| other.to_string(), std::borrow::Cow::into_owned),
    }
}

fn references<'t>(node: &'t Node, pointer: &str, found: &mut Vec<(String, &'t Reference)>) {
    let mut take = |expr: &'t Expr| {
        found.extend(
            expr.references()
                .iter()
                .map(|reference| (pointer.to_owned(), reference)),
        );
    };
    match node {
        Node::Fixed(_) => {}
        Node::One(expr) => take(expr),
        Node::Text(pieces) => {
            for piece in pieces {
                if let Piece::Expr(expr) = piece {
                    take(expr);
                }
            }
        }
        Node::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                references(node, &format!("{pointer}/{index}"), found);
            }
        }
        Node::Object(members) => {
            for (key, node) in members {
                references(node, &child(pointer, key), found);
            }
        }
    }
}

/// The JSON pointer (RFC 6901) of a member.
fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({})", self.source)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}
