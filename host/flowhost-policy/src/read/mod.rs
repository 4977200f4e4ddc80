//! Reading documents: every problem at once, each with its place, unknown keys with a suggestion.
//!
//! The functions here know shapes (a size, a list of names), never what a right means. They return
//! `None` after they have reported, and reading goes on with the next key.

mod asks;
pub(crate) mod depth;
pub(crate) mod limits;
pub(crate) mod node;

use std::collections::BTreeMap;

use flowhost_words::{meant, nearest};

use crate::{
    problem::{Lines, Position, Problem},
    text,
    unit::{self, Unit},
};
pub(crate) use asks::Author;
use node::{Entry, Node, Value};

/// Longest document that is read, in bytes. Profiles and manifests are small.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 256 * 1024;

/// Most entries of one list. Each entry of a list is compared with each of another where rights are intersected.
const LIST_MAX: usize = 1_024;

/// Longest single text, in bytes (descriptions and schemas have their own). Texts are repeated in messages,
/// hashes and reports, and a pattern of this length is already not one that a person has written.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Collects problems and remembers where each key stands.
pub(crate) struct Reader {
    file: String,
    problems: Vec<Problem>,
    places: BTreeMap<String, Position>,
}

/// A table while it is read: its path and its entries, which are all known.
#[derive(Clone)]
pub(crate) struct Fields<'n> {
    pub(crate) path: String,
    pub(crate) at: Position,
    entries: &'n [Entry],
}

impl<'n> Fields<'n> {
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    pub(crate) fn all(&self) -> &'n [Entry] {
        self.entries
    }

    /// `limits.memory` for `memory` in `limits`.
    pub(crate) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl Reader {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            problems: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Reads a TOML document into a tree; `None` when it is not TOML, since what a broken text seems
    /// to say would only be noise beside that.
    pub(crate) fn toml(&mut self, text: &str) -> Option<Node> {
        if text.len() > DOCUMENT_BYTES_MAX {
            self.problem(
                Position::START,
                "the document is larger than 256 KiB".to_owned(),
                None,
            );
            return None;
        }
        if let Some(at) = depth::too_deep_at(text) {
            let at = Lines::new(text).position(at);
            let message = format!("nested deeper than {} levels", depth::DEPTH_MAX);
            self.problem(at, message, None);
            return None;
        }
        let (node, errors) = node::from_toml(text);
        let plain = errors.is_empty();
        for (at, message) in errors {
            self.problem(at, message, None);
        }
        plain.then_some(node)
    }

    pub(crate) fn problem(&mut self, at: Position, message: String, cure: Option<String>) {
        let file = self.file.clone();
        self.problems.push(Problem {
            file,
            line: at.line,
            column: at.column,
            message,
            cure,
        });
    }

    /// The places of all keys, or the problems in the order of the document.
    pub(crate) fn finish(mut self) -> Result<BTreeMap<String, Position>, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(self.places);
        }
        self.problems
            .sort_by_key(|problem| (problem.line, problem.column));
        // A key that two readers look at is told once.
        self.problems.dedup();
        Err(self.problems)
    }

    /// Opens a table; a key that is not in `known` is a problem.
    pub(crate) fn fields<'n>(
        &mut self,
        node: &'n Node,
        path: &str,
        known: &[&str],
    ) -> Option<Fields<'n>> {
        let fields = self.open(node, path)?;
        for entry in fields.entries {
            if !known.contains(&entry.key.as_str()) {
                self.unknown(&fields, entry, known);
            }
        }
        Some(fields)
    }

    /// Opens a table whose keys are free names.
    pub(crate) fn open<'n>(&mut self, node: &'n Node, path: &str) -> Option<Fields<'n>> {
        let Value::Table(entries) = &node.value else {
            self.mismatch(node, path, "a table");
            return None;
        };
        let fields = Fields {
            path: path.to_owned(),
            at: node.at,
            entries,
        };
        for entry in entries {
            self.places.insert(fields.path_of(&entry.key), entry.at);
        }
        Some(fields)
    }

    fn unknown(&mut self, fields: &Fields<'_>, entry: &Entry, known: &[&str]) {
        let place = if fields.path.is_empty() {
            String::new()
        } else {
            format!(" in `{}`", fields.path)
        };
        let shown = text::shown(&entry.key, 64);
        let near = nearest(&entry.key, known.iter().copied());
        let cure = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known keys: {}", known.join(", ")),
        };
        self.problem(
            entry.at,
            format!("unknown key `{shown}`{place}"),
            Some(cure),
        );
    }

    pub(crate) fn mismatch(&mut self, node: &Node, path: &str, wanted: &str) {
        let name = if path.is_empty() {
            "the document"
        } else {
            path
        };
        self.problem(
            node.at,
            format!("`{name}` is {}, not {wanted}", node.value.kind()),
            None,
        );
    }

    pub(crate) fn required<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        like: &str,
    ) -> Option<&'n Node> {
        let node = fields.get(key);
        if node.is_none() {
            let message = match fields.path.as_str() {
                "" => format!("`{key}` is missing"),
                path => format!("`{key}` is missing in `{path}`"),
            };
            self.problem(fields.at, message, Some(format!("add `{key} = {like}`")));
        }
        node
    }

    pub(crate) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let node = fields.get(key)?;
        self.text_of(node, &fields.path_of(key))
    }

    pub(crate) fn text_of(&mut self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::Text(text) if text.len() > TEXT_BYTES_MAX => {
                self.problem(node.at, format!("`{path}` is longer than 8 KiB"), None);
                None
            }
            Value::Text(text) => Some(text.clone()),
            _ => {
                self.mismatch(node, path, "a string");
                None
            }
        }
    }

    pub(crate) fn bool(&mut self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let node = fields.get(key)?;
        match node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.mismatch(node, &fields.path_of(key), "true or false");
                None
            }
        }
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(fields, key)?;
        let found = words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let at = fields.get(key).map_or(fields.at, |node| node.at);
            let message = format!(
                "`{}` is not one of: {}",
                fields.path_of(key),
                known.join(", ")
            );
            let cure =
                nearest(&text, known.iter().copied()).map(|near| format!("did you mean `{near}`?"));
            self.problem(at, message, cure);
        }
        found
    }

    /// A quantity between `floor` and `ceiling`.
    pub(crate) fn quantity(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        unit: Unit,
        (floor, ceiling): (u64, u64),
    ) -> Option<u64> {
        let node = fields.get(key)?;
        let path = fields.path_of(key);
        let show = |value| unit::show(unit, value);
        let outside = |value: &str| {
            format!(
                "`{path}` is {value}, outside {} to {}",
                show(floor),
                show(ceiling)
            )
        };
        let Some(value) = quantity_of(node, unit) else {
            let (message, cure) = match too_large(node, unit) {
                Some(text) => (outside(&text::shown(text, 32)), None),
                None => {
                    let (name, like) = (unit_name(unit), unit.example());
                    let message = format!("`{path}` is not {name}, such as {like}");
                    (message, probably(node, unit, (floor, ceiling)))
                }
            };
            self.problem(node.at, message, cure);
            return None;
        };
        if (floor..=ceiling).contains(&value) {
            return Some(value);
        }
        let message = outside(&show(value));
        let switched_off = value < floor;
        let cure = switched_off.then(|| "no limit can be zero or switched off".to_owned());
        self.problem(node.at, message, cure);
        None
    }

    /// A list of texts, each checked by `check`, which says what is wrong.
    pub(crate) fn texts(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        check: impl Fn(&str) -> Result<String, String>,
    ) -> Vec<String> {
        let Some(node) = fields.get(key) else {
            return Vec::new();
        };
        let path = fields.path_of(key);
        let mut out: Vec<String> = Vec::new();
        for (index, item) in self.list(node, &path).iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.places.insert(path.clone(), item.at);
            let Some(text) = self.text_of(item, &path) else {
                continue;
            };
            match check(&text) {
                // Told, and not merely dropped: one of the two was meant to be another.
                Ok(text) if out.contains(&text) => {
                    self.problem(item.at, format!("`{text}` stands here twice"), None);
                }
                Ok(text) => out.push(text),
                Err(why) => {
                    let shown = text::shown(&text, 128);
                    self.problem(item.at, format!("`{shown}` in `{path}`: {why}"), None);
                }
            }
        }
        out
    }

    /// The items of a list, or none after a report.
    pub(crate) fn list<'n>(&mut self, node: &'n Node, path: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) if items.len() > LIST_MAX => {
                self.problem(
                    node.at,
                    format!("`{path}` has more than {LIST_MAX} entries"),
                    None,
                );
                &[]
            }
            Value::List(items) => items,
            _ => {
                self.mismatch(node, path, "a list");
                &[]
            }
        }
    }

    /// Remembers where the `index`th table of a list stands.
    pub(crate) fn place(&mut self, path: &str, at: Position) {
        self.places.insert(path.to_owned(), at);
    }
}

fn quantity_of(node: &Node, unit: Unit) -> Option<u64> {
    match (&node.value, unit) {
        (Value::Text(text), Unit::Bytes | Unit::Millis) => unit::parse(unit, text),
        (Value::Whole(digits), Unit::Count) => unit::whole(digits),
        (Value::Whole(text) | Value::Decimal(text), Unit::MicroUsd) => unit::micro_usd(text),
        _ => None,
    }
}

/// What is written as such a quantity is, and larger than any number that is held.
fn too_large(node: &Node, unit: Unit) -> Option<&str> {
    let text = match (&node.value, unit) {
        (Value::Other(what), Unit::Count) if *what == node::TOO_LARGE => return Some(what),
        (Value::Text(text), Unit::Bytes | Unit::Millis) | (Value::Whole(text), Unit::Count) => text,
        _ => return None,
    };
    unit::is_well_written(unit, text).then_some(text.as_str())
}

/// What was probably meant by what is no such quantity: a unit is missing or written as elsewhere, or quotes stand
/// where none belong.
fn probably(node: &Node, unit: Unit, (floor, ceiling): (u64, u64)) -> Option<String> {
    let within = |value: Option<u64>| value.is_some_and(|it| (floor..=ceiling).contains(&it));
    let in_quotes = |it: &String| format!("\"{it}\"");
    let asked = |candidates: Vec<String>| {
        let fitting = candidates.iter().filter(|it| within(unit::parse(unit, it)));
        meant::asked(fitting.map(in_quotes))
    };
    match (&node.value, unit) {
        (Value::Text(text) | Value::Whole(text) | Value::Decimal(text), Unit::Bytes) => {
            asked(meant::sizes(text))
        }
        (Value::Text(text) | Value::Whole(text) | Value::Decimal(text), Unit::Millis) => {
            asked(meant::durations(text))
        }
        (Value::Text(text), Unit::Count) => {
            let fits = within(unit::whole(text.trim()));
            fits.then(|| format!("write it without quotes: `{}`", text.trim()))
        }
        (Value::Text(text), Unit::MicroUsd) => {
            let dollars = meant::dollars(text).into_iter();
            let mut fitting = dollars.filter(|it| within(unit::micro_usd(it)));
            fitting
                .next()
                .map(|it| format!("write it without quotes: `{it}`"))
        }
        _ => None,
    }
}

const fn unit_name(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes => "a size",
        Unit::Millis => "a duration",
        Unit::Count => "a whole number",
        Unit::MicroUsd => "an amount of USD with at most six decimals",
    }
}
