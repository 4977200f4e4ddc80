//! The YAML file as a tree in which every node knows its place.
//!
//! Owns the limits of reading: bytes, nesting, nodes after alias expansion, duplicate keys. Must not
//! know what any key means. The tree exists because all problems are to be reported at once, and a
//! typed deserializer stops at the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jsonptr::Token;
use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};

use crate::plan::{limits, yaml_words};
use crate::problem::{At, Places, Problems, child};
use crate::units::INTEGER_MAX;

#[cfg(test)]
mod tests;

/// A part of the plan that another crate reads, with the places of its values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Raw {
    /// The value.
    pub value: Value,
    /// Places by JSON pointer (RFC 6901), the root's at `""`. A member's place is that of its key.
    #[serde(skip)]
    pub places: BTreeMap<String, At>,
}

/// How many levels of a step or plugin have places of their own: `with`, its members, and theirs.
const PARTS_DEEP: usize = 3;

/// A node of the file.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) data: Data,
}

/// What a node holds. Maps keep the order of the file, for messages.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Null,
    Bool(bool),
    /// Within ±(2^53 − 1): more is refused, because JSON readers and guests would change it.
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) at: At,
}

impl Node {
    /// What the node is, in words for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.data {
            Data::Null => "nothing",
            Data::Bool(_) => "true or false",
            Data::Integer(_) | Data::Float(_) => "a number",
            Data::Text(_) => "text",
            Data::List(_) => "a list",
            Data::Map(_) => "a map",
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.members()
            .iter()
            .find(|(name, _)| name.text == key)
            .map(|(_, node)| node)
    }

    /// The members by name, for a reader that asks for each of many: a map keeps its members in the file's
    /// order, and [`Node::get`] goes through them.
    pub(super) fn by_name(&self) -> BTreeMap<&str, &Node> {
        let members = self.members().iter();
        members
            .map(|(name, node)| (name.text.as_str(), node))
            .collect()
    }

    pub(super) fn members(&self) -> &[(Key, Node)] {
        match &self.data {
            Data::Map(members) => members,
            _ => &[],
        }
    }

    /// The elements of a list; a text in its place is its only one, so that what the walk has told of it is all that is.
    pub(super) fn listed(&self) -> &[Node] {
        match &self.data {
            Data::Text(_) => std::slice::from_ref(self),
            _ => self.elements(),
        }
    }

    pub(super) fn elements(&self) -> &[Node] {
        match &self.data {
            Data::List(nodes) => nodes,
            _ => &[],
        }
    }

    /// The place of the node at `pointer` below this one, or the nearest that is known.
    pub(super) fn place(&self, pointer: &str) -> At {
        let mut node = self;
        for part in pointer.split('/').skip(1) {
            let Ok(name) = Token::from_encoded(part) else {
                break; // a name that nobody wrote as a pointer's leads no further
            };
            let name = name.decoded();
            let next = match &node.data {
                Data::List(nodes) => name
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| nodes.get(index)),
                _ => node.get(&name),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at
    }

    /// The places of all values at and below this one, by pointer, for a reader that asks for each of many: what
    /// [`Node::place`] finds by going through the members of every map on its way.
    pub(super) fn value_places(&self) -> BTreeMap<String, At> {
        let mut places = BTreeMap::new();
        self.collect_value_places("", &mut places);
        places
    }

    fn collect_value_places(&self, pointer: &str, places: &mut BTreeMap<String, At>) {
        for (index, node) in self.elements().iter().enumerate() {
            node.collect_value_places(&format!("{pointer}/{index}"), places);
        }
        for (key, node) in self.members() {
            node.collect_value_places(&child(pointer, &key.text), places);
        }
        places.insert(pointer.to_owned(), self.at);
    }

    /// The node as JSON.
    pub(super) fn json(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Bool(value) => Value::Bool(*value),
            Data::Integer(value) => Value::from(*value),
            Data::Float(value) => Value::from(*value),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(nodes) => nodes.iter().map(Node::json).collect(),
            Data::Map(members) => {
                let pairs = members
                    .iter()
                    .map(|(key, node)| (key.text.clone(), node.json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The node as JSON with the places of all its values.
    pub(super) fn raw(&self) -> Raw {
        let mut places = BTreeMap::new();
        self.collect_places("", self.at, &mut places);
        Raw {
            value: self.json(),
            places,
        }
    }

    /// The places of what is written here, down to the parts of a part: deeper, one is as good as the whole.
    pub(super) fn places(&self) -> Places {
        let mut places = Places::default();
        self.collect_parts("", PARTS_DEEP, &mut places);
        places
    }

    fn collect_parts(&self, pointer: &str, deep: usize, places: &mut Places) {
        for (key, node) in self.members() {
            let pointer = child(pointer, &key.text);
            if deep > 1 {
                node.collect_parts(&pointer, deep - 1, places);
            }
            let at = match &node.data {
                Data::Null | Data::List(_) | Data::Map(_) => key.at,
                _ => node.at,
            };
            places.insert(pointer, at);
        }
    }

    fn collect_places(&self, pointer: &str, at: At, places: &mut BTreeMap<String, At>) {
        for (index, node) in self.elements().iter().enumerate() {
            node.collect_places(&format!("{pointer}/{index}"), node.at, places);
        }
        for (key, node) in self.members() {
            node.collect_places(&child(pointer, &key.text), key.at, places);
        }
        places.insert(pointer.to_owned(), at);
    }
}

/// Reads the file. Where it is no YAML the tree is unknown, so that this one problem is all there is to say; a number
/// that cannot be read and a key that is given twice leave the rest of it as it is.
pub(super) fn read(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() > limits::PLAN_BYTES_MAX {
        let size = text.len();
        let message = format!(
            "the file has {size} bytes; a plan has at most {}",
            limits::PLAN_BYTES_MAX
        );
        problems.add(At::default(), message, "move data into inputs or sub-plans");
        return None;
    }
    let read = |twice: DuplicateKeyPolicy| {
        serde_saphyr::from_str_with_options::<Spanned<Bare>>(text, options(twice))
    };
    let error = match read(DuplicateKeyPolicy::Error) {
        Ok(node) => return Some(finished(node, text, problems)),
        Err(error) => error,
    };
    let at = error.location().map(place).unwrap_or_default();
    let error = error.without_snippet();
    let (message, cure) = explain(error);
    match yaml_words::told(&message, text, at) {
        Some(told) => problems.add_alone(told.at, told.message, told.cure),
        None => problems.add_alone(at, message, cure),
    }
    // What else is wrong with a file in which a key is given twice can be told all the same.
    let twice = matches!(error, serde_saphyr::Error::DuplicateMappingKey { .. });
    let again = twice.then(|| read(DuplicateKeyPolicy::LastWins).ok());
    Some(finished(again.flatten()?, text, problems))
}

/// The tree, with what of it could not be read as it is written.
fn finished(node: Spanned<Bare>, text: &str, problems: &mut Problems) -> Node {
    let mut reading = Reading {
        source: text,
        lost: Vec::new(),
    };
    let node = reading.finish(node);
    for Lost { at, message, cure } in reading.lost {
        problems.add_alone(at, message, cure);
    }
    node
}

fn options(twice: DuplicateKeyPolicy) -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits::DEPTH_MAX,
            flow_nesting_limit: limits::DEPTH_MAX,
            max_nodes: limits::NODES_MAX,
            max_events: 4 * limits::NODES_MAX,
            max_documents: 1,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_total_scalar_bytes: 4 * limits::PLAN_BYTES_MAX,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::NODES_MAX,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: twice,
        merge_keys: MergeKeyPolicy::Error,
        // `!include x` would else be the text `x`: what is not read as meant is not read.
        reject_unsupported_tags: true,
        strict_booleans: true,
        with_snippet: false,
        // Refused by the visitor, in words that say what to do.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    }
}

/// The library's message without its own position, and a cure where there is a better one.
fn explain(error: &serde_saphyr::Error) -> (String, &'static str) {
    use serde_saphyr::Error as E;
    use serde_saphyr::budget::BudgetBreach;
    match error {
        E::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or("?");
            (format!("the key `{key}` is given twice"), TWICE)
        }
        E::MergeKeyNotAllowed { .. } => (
            "merge keys (`<<`) are not part of the format".to_owned(),
            "use `defaults:` for what steps share",
        ),
        // The bound on documents is met before the reader could say what they are.
        E::MultipleDocuments { .. }
        | E::Budget {
            breach: BudgetBreach::Documents { .. },
            ..
        } => (
            "the file holds more than one YAML document".to_owned(),
            "a plan is one document: move what follows `---` into a file of its own",
        ),
        // A limit reached while an alias is expanded comes wrapped, as text.
        E::Budget { .. } | E::AliasError { .. } | E::AliasReplayLimitExceeded { .. } => {
            (yaml_words::TOO_MUCH.to_owned(), yaml_words::LESS)
        }
        _ => (plain(error), ""),
    }
}

/// The error in words, without the position that the problem already has.
fn plain(error: &serde_saphyr::Error) -> String {
    let rendered = error.to_string();
    let text = rendered.lines().next().unwrap_or("the file is not YAML");
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let cut = text.find(" at line ").unwrap_or(text.len());
    text.get(..cut).unwrap_or(text).to_owned()
}

fn place(location: serde_saphyr::Location) -> At {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    At {
        line: small(location.line()),
        column: small(location.column()),
    }
}

/// A node before its place is known: the place comes with the wrapper around it.
struct Bare(BareData);

enum BareData {
    Scalar(Data),
    /// A number that no value of a plan is, and why.
    Lost(&'static str),
    List(Vec<Spanned<Bare>>),
    Map {
        members: Vec<(Spanned<String>, Spanned<Bare>)>,
        /// Keys that had been given before, whose values are left out.
        twice: Vec<Spanned<String>>,
    },
}

/// What is not read as it is written.
struct Lost {
    at: At,
    message: String,
    cure: &'static str,
}

/// A file on its way from the reader's nodes to ours.
struct Reading<'t> {
    source: &'t str,
    lost: Vec<Lost>,
}

impl Reading<'_> {
    fn finish(&mut self, node: Spanned<Bare>) -> Node {
        let at = place(node.referenced);
        let data = match node.value.0 {
            BareData::Scalar(data) => {
                match &data {
                    // No integer type holds it, so it came as text.
                    Data::Text(text)
                        if is_whole_number(text) && self.is_plain(text, node.referenced) =>
                    {
                        self.lose(at, TOO_BIG);
                    }
                    Data::Integer(_) | Data::Float(_) if self.is_ambiguous(node.referenced) => {
                        self.lose(at, AMBIGUOUS);
                    }
                    _ => {}
                }
                data
            }
            BareData::Lost(why) => {
                self.lose(at, why);
                Data::Null
            }
            BareData::List(nodes) => {
                Data::List(nodes.into_iter().map(|node| self.finish(node)).collect())
            }
            BareData::Map { members, twice } => {
                self.lost.extend(twice.into_iter().map(|key| Lost {
                    at: place(key.referenced),
                    message: format!("the key `{}` is given twice", key.value),
                    cure: TWICE,
                }));
                let members = members.into_iter().map(|(key, node)| {
                    let key = Key {
                        at: place(key.referenced),
                        text: key.value,
                    };
                    (key, self.finish(node))
                });
                Data::Map(members.collect())
            }
        };
        Node { at, data }
    }

    fn lose(&mut self, at: At, why: &str) {
        self.lost.push(Lost {
            at,
            message: why.to_owned(),
            cure: "",
        });
    }

    /// Whether a text stands in the file as it is: neither in quotes, nor behind a tag that makes it text.
    fn is_plain(&self, text: &str, place: serde_saphyr::Location) -> bool {
        self.written(place)
            .is_some_and(|(before, value)| value.starts_with(text) && !is_tagged(before))
    }

    /// What stands before a value, and what begins with it. The name that an anchor gives a value is no part of it.
    fn written(&self, place: serde_saphyr::Location) -> Option<(&str, &str)> {
        let start = usize::try_from(place.span().byte_offset()?).ok()?;
        let (before, rest) = self.source.split_at_checked(start)?;
        let named = rest.strip_prefix('&');
        let named = named.and_then(|it| it.split_once(char::is_whitespace));
        Some((before, named.map_or(rest, |(_, value)| value.trim_start())))
    }

    /// Whether readers of YAML disagree about a number: `017` is fifteen by version 1.1 and seventeen by 1.2, `1_000`
    /// and `0b11` are numbers by 1.1 alone.
    fn is_ambiguous(&self, place: serde_saphyr::Location) -> bool {
        self.written(place).is_some_and(|(_, value)| {
            let end = value.find(|c: char| c.is_whitespace() || ",]}#\"'".contains(c));
            let number = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
            let digits = number.trim_start_matches(['+', '-']);
            let mut first = digits.bytes();
            let leading = first.next() == Some(b'0')
                && first
                    .next()
                    .is_some_and(|second| second.is_ascii_digit() || second == b'b');
            leading || digits.contains('_')
        })
    }
}

/// Bytes before a value in which its tag is looked for: `!!str` and the name of an anchor.
const TAG_BYTES_MAX: usize = 128;

/// Whether what stands before a value ends with a tag, with or without an anchor behind it.
fn is_tagged(before: &str) -> bool {
    let near = before.ceil_char_boundary(before.len().saturating_sub(TAG_BYTES_MAX));
    let near = before.get(near..).unwrap_or_default();
    let mut words = near.split_whitespace().rev();
    let last = words.next().unwrap_or_default();
    let tag = match last.starts_with('&') {
        true => words.next().unwrap_or_default(),
        false => last,
    };
    near.ends_with(char::is_whitespace) && tag.starts_with('!')
}

/// A whole number as YAML 1.2 writes it in base 16 or 8. One that fits an integer type is read as a number.
fn is_whole_number(text: &str) -> bool {
    let digits = |prefix: &str, base: u32| {
        text.strip_prefix(prefix)
            .is_some_and(|it| !it.is_empty() && it.chars().all(|digit| digit.is_digit(base)))
    };
    digits("0x", 16) || digits("0o", 8)
}

impl<'de> Deserialize<'de> for Bare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BareVisitor)
    }
}

struct BareVisitor;

const AMBIGUOUS: &str = "readers of YAML disagree about this number: write it in plain digits, without leading zeros and `_`, \
                         or quote it to keep it as text";

const NOT_JSON: &str = "this number has no place in JSON; quote it to keep it as text";

const TWICE: &str = "remove one of them";

const TOO_BIG: &str = "numbers beyond 2^53 lose digits on the way to plugins; quote it to keep it";

impl<'de> Visitor<'de> for BareVisitor {
    type Value = Bare;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, true, false, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<Bare, E> {
        Ok(Bare(BareData::Scalar(Data::Null)))
    }

    fn visit_none<E>(self) -> Result<Bare, E> {
        Ok(Bare(BareData::Scalar(Data::Null)))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Bare, E> {
        Ok(Bare(BareData::Scalar(Data::Bool(value))))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Bare, E> {
        Ok(Bare(match value.unsigned_abs() > INTEGER_MAX {
            true => BareData::Lost(TOO_BIG),
            false => BareData::Scalar(Data::Integer(value)),
        }))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Bare, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Ok(Bare(BareData::Lost(TOO_BIG))),
        }
    }

    fn visit_i128<E>(self, _: i128) -> Result<Bare, E> {
        Ok(Bare(BareData::Lost(TOO_BIG)))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Bare, E> {
        Ok(Bare(BareData::Lost(TOO_BIG)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Bare, E> {
        // A whole number beyond 128 bits comes as a double, its digits already lost; and a double as
        // large as that is a whole number to those who read it as JSON.
        Ok(Bare(if !value.is_finite() {
            BareData::Lost(NOT_JSON)
        } else if value.abs() > INTEGER_MAX as f64 {
            BareData::Lost(TOO_BIG)
        } else {
            BareData::Scalar(Data::Float(value))
        }))
    }

    fn visit_str<E>(self, value: &str) -> Result<Bare, E> {
        Ok(Bare(BareData::Scalar(Data::Text(value.to_owned()))))
    }

    fn visit_string<E>(self, value: String) -> Result<Bare, E> {
        Ok(Bare(BareData::Scalar(Data::Text(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Bare, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Bare(BareData::List(nodes)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Bare, A::Error> {
        let (mut members, mut twice) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            if key.value.len() > limits::PLAN_BYTES_MAX {
                return Err(A::Error::custom("the key is too long"));
            }
            // The reader compares keys as YAML does, to which `1` and `"1"` are two; in JSON they are one.
            let value: Spanned<Bare> = access.next_value()?;
            match seen.insert(key.value.clone()) {
                true => members.push((key, value)),
                false => twice.push(key),
            }
        }
        Ok(Bare(BareData::Map { members, twice }))
    }
}
