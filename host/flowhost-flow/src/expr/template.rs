//! JSON in which strings may hold expressions: `with`, `items`, `outputs`.
//!
//! A string that is one expression keeps the JSON type of its value; any other string is text with
//! values put in. Values are never spliced into anything that is executed. `$${{` writes `${{`.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::effort::{Meter, Spent};
use crate::expr::functions::text_of;
use crate::expr::literals::{Comments, outside};
use crate::expr::value::Val;
use crate::expr::{COST_MAX, EvalError, Expr, Names, Reference, json};
use crate::problem::child;

/// What is sure of a value before its expressions have theirs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sure<'t> {
    /// This value, where no expression decides it.
    Value(&'t Value),
    /// Some text.
    Text,
    /// Some list.
    List,
    /// Some object.
    Object,
    /// Nothing but what the expression gives.
    Of(&'t Expr),
}

/// JSON with expressions in it.
#[derive(Clone)]
pub struct Template {
    source: Value,
    node: Node,
}

#[derive(Clone)]
pub(super) enum Node {
    /// No expression inside.
    Fixed(Value),
    One(Expr),
    Text(Vec<Piece>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

#[derive(Clone)]
pub(super) enum Piece {
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
        render(&self.node, names, &mut Meter::of_thread(COST_MAX))
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    /// The value, where no expression decides it.
    #[must_use]
    pub const fn constant(&self) -> Option<&Value> {
        match &self.node {
            Node::Fixed(value) => Some(value),
            _ => None,
        }
    }

    /// What is sure of a member; none where it has no such member.
    pub(crate) fn member(&self, name: &str) -> Option<Sure<'_>> {
        match &self.node {
            Node::Fixed(Value::Object(members)) => members.get(name).map(Sure::Value),
            Node::Object(members) => {
                let (_, node) = members.iter().find(|(key, _)| key == name)?;
                Some(node.sure())
            }
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

    /// The same with values in the place of expressions that have one. A text with values in it stays one: that it is
    /// a text is all that counts.
    pub(crate) fn settled(&self, value: &dyn Fn(&Expr) -> Option<Value>) -> Self {
        Self {
            source: self.source.clone(),
            node: self.node.settled(value),
        }
    }

    /// Its expressions, with the JSON pointer of the string that each stands in.
    pub(crate) fn expressions(&self) -> Vec<(String, &Expr)> {
        let mut found = Vec::new();
        expressions(&self.node, "", &mut found);
        found
    }

    /// What the template refers to, with the JSON pointer of the string that does.
    pub(crate) fn references(&self) -> Vec<(String, &Reference)> {
        let mut found = Vec::new();
        for (pointer, expr) in self.expressions() {
            let all = expr.references().iter();
            found.extend(all.map(|reference| (pointer.clone(), reference)));
        }
        found
    }
}

fn compile(source: &Value, pointer: &str, errors: &mut Vec<(String, String)>) -> Node {
    match source {
        Value::String(text) => match compile_text(text) {
            Ok(node) => node,
            Err(message) => {
                errors.push((pointer.to_owned(), message));
                // Stands in for it while the rest is looked at: with an error there is no template.
                Node::Fixed(Value::Null)
            }
        },
        Value::Array(items) => {
            let nodes: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| compile(item, &format!("{pointer}/{index}"), errors))
                .collect();
            Node::list(nodes)
        }
        Value::Object(members) => {
            let nodes: Vec<_> = members
                .iter()
                .map(|(key, member)| (key.clone(), compile(member, &child(pointer, key), errors)))
                .collect();
            Node::object(nodes)
        }
        other => Node::Fixed(other.clone()),
    }
}

impl Node {
    /// A list; a value where all of its elements are.
    fn list(nodes: Vec<Self>) -> Self {
        match nodes.iter().all(Self::is_fixed) {
            true => {
                let values = nodes.into_iter().filter_map(Self::into_fixed);
                Self::Fixed(Value::Array(values.collect()))
            }
            false => Self::List(nodes),
        }
    }

    /// An object; a value where all of its members are.
    fn object(nodes: Vec<(String, Self)>) -> Self {
        match nodes.iter().all(|(_, node)| node.is_fixed()) {
            true => {
                let pairs = nodes.into_iter();
                let pairs = pairs.filter_map(|(key, node)| Some((key, node.into_fixed()?)));
                Self::Fixed(Value::Object(pairs.collect()))
            }
            false => Self::Object(nodes),
        }
    }

    fn settled(&self, value: &dyn Fn(&Expr) -> Option<Value>) -> Self {
        match self {
            Self::One(expr) => match value(expr) {
                Some(value) => Self::Fixed(value),
                None => Self::One(expr.clone()),
            },
            Self::Fixed(_) | Self::Text(_) => self.clone(),
            Self::List(nodes) => Self::list(nodes.iter().map(|it| it.settled(value)).collect()),
            Self::Object(members) => {
                let settled = |(key, node): &(String, Self)| (key.clone(), node.settled(value));
                Self::object(members.iter().map(settled).collect())
            }
        }
    }

    fn sure(&self) -> Sure<'_> {
        match self {
            Self::Fixed(value) => Sure::Value(value),
            Self::One(expr) => Sure::Of(expr),
            Self::Text(_) => Sure::Text,
            Self::List(_) => Sure::List,
            Self::Object(_) => Sure::Object,
        }
    }

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
        // Also in front of what is no expression: what `$${{` writes must not depend on what follows.
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
    let mut depth = 0_usize;
    let mut bytes = outside(text, Comments::Keep).peekable();
    while let Some((index, byte)) = bytes.next() {
        match byte {
            b'{' => depth += 1,
            // One at a time: in `${{ {'a': {}}}}` the first two close objects.
            b'}' if depth > 0 => depth -= 1,
            b'}' if bytes.peek() == Some(&(index + 1, b'}')) => return Some(index),
            _ => {}
        }
    }
    None
}

fn render(node: &Node, names: &Names<'_>, meter: &mut Meter<'_>) -> Result<Value, EvalError> {
    match node {
        // Paid for as well: a `foreach` renders it for each of ten thousand items.
        Node::Fixed(value) => {
            json::charge_copy(value, meter)?;
            Ok(value.clone())
        }
        Node::One(expr) => eval(expr, names, meter),
        Node::Text(pieces) => {
            let mut text = String::new();
            for piece in pieces {
                match piece {
                    Piece::Text(plain) => append(&mut text, plain, meter)?,
                    Piece::Expr(expr) => show(&mut text, &eval(expr, names, meter)?, meter)?,
                }
            }
            Ok(Value::String(text))
        }
        Node::List(nodes) => {
            meter.list(nodes.len())?;
            nodes
                .iter()
                .map(|node| render(node, names, meter))
                .collect()
        }
        Node::Object(members) => {
            meter.json_object(members.len())?;
            let mut object = Map::new();
            for (key, node) in members {
                meter.json_text(key.len())?;
                object.insert(key.clone(), render(node, names, meter)?);
            }
            Ok(Value::Object(object))
        }
    }
}

fn eval(expr: &Expr, names: &Names<'_>, meter: &mut Meter<'_>) -> Result<Value, EvalError> {
    expr.eval_metered(names, meter)
        .map_err(|error| match error {
            EvalError::Value(message) => {
                EvalError::Value(format!("`{}`: {message}", expr.source()))
            }
            other => other,
        })
}

/// A value inside of a text: scalars as they are, lists and objects as JSON.
fn show(text: &mut String, value: &Value, meter: &mut Meter<'_>) -> Result<(), Spent> {
    if let Some(scalar) = text_of(&Val::from(value), meter)? {
        return append(text, &scalar, meter);
    }
    let json = Written::of(value, meter)?;
    append(text, &json, meter)
}

/// A text grows by doubling: what is appended is paid for twice.
fn append(text: &mut String, more: &str, meter: &mut Meter<'_>) -> Result<(), Spent> {
    meter.text(2 * more.len())?;
    text.push_str(more);
    Ok(())
}

/// JSON text, whose size is known and paid for before it is written.
struct Written;

impl Written {
    fn of(value: &Value, meter: &mut Meter<'_>) -> Result<String, Spent> {
        Self::charge(value, meter)?;
        Ok(value.to_string())
    }

    /// Without what the text itself takes: that is paid for when it is appended.
    fn charge(value: &Value, meter: &mut Meter<'_>) -> Result<(), Spent> {
        match value {
            // Escapes make a byte six, and are written one by one.
            Value::String(text) => meter.scan(2 * text.len()),
            Value::Array(items) => {
                meter.charge(1)?;
                items.iter().try_for_each(|item| Self::charge(item, meter))
            }
            Value::Object(members) => members.iter().try_for_each(|(key, member)| {
                meter.scan(2 * key.len())?;
                Self::charge(member, meter)
            }),
            _ => meter.charge(2),
        }
    }
}

fn expressions<'t>(node: &'t Node, pointer: &str, found: &mut Vec<(String, &'t Expr)>) {
    match node {
        Node::Fixed(_) => {}
        Node::One(expr) => found.push((pointer.to_owned(), expr)),
        Node::Text(pieces) => {
            for piece in pieces {
                if let Piece::Expr(expr) = piece {
                    found.push((pointer.to_owned(), expr));
                }
            }
        }
        Node::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                expressions(node, &format!("{pointer}/{index}"), found);
            }
        }
        Node::Object(members) => {
            for (key, node) in members {
                expressions(node, &child(pointer, key), found);
            }
        }
    }
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
