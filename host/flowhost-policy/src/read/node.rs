//! A document as a tree in which every key and value knows its place.
//!
//! Profiles are TOML and the plan's narrowing is a piece of a YAML document that another crate has
//! read; both become the same tree, so that there is one reader and one set of messages.

use jsonptr::Token;
use toml::de::{DeTable, DeValue};

use crate::problem::{Lines, Position};
use crate::text::shown;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What a value is. Numbers keep their text, so that money stays decimal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Whole(String),
    Decimal(String),
    Bool(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    Other(&'static str),
}

/// A key, where it stands, and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, for messages: `a string`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) => "a whole number",
            Self::Decimal(_) => "a decimal number",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// What a whole number is that no integer type holds.
pub(crate) const TOO_LARGE: &str = "a number that is too large";

/// Reads TOML; what could not be read comes back as messages with their places.
pub(crate) fn from_toml(text: &str) -> (Node, Vec<(Position, String)>) {
    let lines = Lines::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let errors = errors
        .iter()
        .map(|error| {
            let span = error.span();
            let at = span.as_ref().map(|span| lines.position(span.start));
            let there = span.and_then(|span| text.get(span)).unwrap_or_default();
            let message = match error.message() {
                "duplicate key" if !there.is_empty() => {
                    format!("the key `{}` is given twice", shown(there, 64))
                }
                other => format!("not TOML: {other}"),
            };
            (at.unwrap_or(Position::START), message)
        })
        .collect();
    let value = Value::Table(entries(table.get_ref(), &lines));
    (
        Node {
            at: Position::START,
            value,
        },
        errors,
    )
}

fn entries(table: &DeTable<'_>, lines: &Lines<'_>) -> Vec<Entry> {
    table
        .iter()
        .map(|(key, value)| {
            let at = lines.position(key.span().start);
            let node = Node {
                at: lines.position(value.span().start),
                value: from_value(value.get_ref(), lines),
            };
            Entry {
                key: key.get_ref().to_string(),
                at,
                node,
            }
        })
        .collect()
}

fn from_value(value: &DeValue<'_>, lines: &Lines<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        // Wider than any amount that is held, so that what is below zero or beyond 64 bits is told
        // as out of bounds and not as no number.
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Whole(number.to_string()),
            Err(_) => Value::Other(TOO_LARGE),
        },
        // As text: money in binary fractions would not be the amount that was written.
        DeValue::Float(number) => Value::Decimal(number.as_str().replace('_', "")),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| Node {
                    at: lines.position(item.span().start),
                    value: from_value(item.get_ref(), lines),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, lines)),
    }
}

/// Reads JSON that another reader has taken out of its document; `place` knows where the value of a
/// JSON Pointer stands.
pub(crate) fn from_json(json: &serde_json::Value, place: &dyn Fn(&str) -> Position) -> Node {
    below(json, "", place)
}

fn below(json: &serde_json::Value, pointer: &str, place: &dyn Fn(&str) -> Position) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Other("null"),
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) if number.is_f64() => Value::Decimal(number.to_string()),
        serde_json::Value::Number(number) => Value::Whole(number.to_string()),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(list) => {
            let items = list.iter().enumerate();
            let item = |(index, item)| below(item, &format!("{pointer}/{index}"), place);
            Value::List(items.map(item).collect())
        }
        serde_json::Value::Object(map) => {
            let entry = |(key, value): (&String, &serde_json::Value)| {
                let name = Token::new(key);
                let node = below(value, &format!("{pointer}/{}", name.encoded()), place);
                Entry {
                    key: key.clone(),
                    at: node.at,
                    node,
                }
            };
            Value::Table(map.iter().map(entry).collect())
        }
    };
    let at = place(pointer);
    Node { at, value }
}

/// The tree as JSON, for tool schemas that are written as TOML tables; else the first value that JSON has no
/// form for: a date, a number that is none or too large.
pub(crate) fn to_json(node: &Node) -> Result<serde_json::Value, &Node> {
    Ok(match &node.value {
        Value::Text(text) => text.clone().into(),
        Value::Bool(value) => (*value).into(),
        // TOML writes `+1.5` as well, and JSON does not.
        Value::Whole(number) | Value::Decimal(number) => number
            .strip_prefix('+')
            .unwrap_or(number)
            .parse::<serde_json::Number>()
            .map_err(|_| node)?
            .into(),
        Value::List(list) => list.iter().map(to_json).collect::<Result<_, &Node>>()?,
        Value::Table(entries) => entries
            .iter()
            .map(|entry| Ok((entry.key.clone(), to_json(&entry.node)?)))
            .collect::<Result<_, &Node>>()?,
        Value::Other(_) => return Err(node),
    })
}
