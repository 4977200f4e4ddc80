//! The evaluation, with every step paid for before it is made.
//!
//! Must be deterministic: same tree and same names, same value or same error.

use std::rc::Rc;

use serde_json::Value;

use crate::effort::{Meter, Spent};
use crate::expr::fault::{Fault, Kinds};
use crate::expr::node::{Binary, Loop, Node};
use crate::expr::pattern::{Pattern, Patterns};
use crate::expr::value::{Items, Key, Text, Val};
use crate::expr::{EvalError, Names, compare, functions, json, number};

/// The value of `node`, as JSON of its own.
pub(super) fn evaluate(
    node: &Node,
    names: &Names<'_>,
    meter: &mut Meter<'_>,
) -> Result<Value, EvalError> {
    let mut eval = Eval {
        names,
        locals: Vec::new(),
        patterns: Patterns::default(),
        meter,
    };
    let value = eval.node(node).map_err(|fault| fault.told())?;
    json::made(&value, eval.meter).map_err(|fault| fault.told())
}

struct Eval<'n, 'a, 'm, 's> {
    names: &'n Names<'a>,
    locals: Vec<Val<'a>>,
    patterns: Patterns,
    meter: &'m mut Meter<'s>,
}

pub(super) type Evaluated<'a> = Result<Val<'a>, Fault<'a>>;

impl<'a> Eval<'_, 'a, '_, '_> {
    fn node(&mut self, node: &'a Node) -> Evaluated<'a> {
        self.meter.charge(1)?;
        match node {
            Node::Null => Ok(Val::Null),
            Node::Bool(value) => Ok(Val::Bool(*value)),
            Node::Int(number) => Ok(Val::Int(*number)),
            Node::Uint(number) => Ok(Val::Uint(*number)),
            Node::Double(number) => Ok(Val::Double(*number)),
            Node::Text(text) => Ok(Val::Text(Text::Outside(text))),
            Node::Name(name) => self
                .names
                .get(name)
                .map(Val::from)
                .ok_or(Fault::Unknown(name)),
            Node::Local(place) => self.local(*place),
            Node::Field { of, name } => {
                let of = self.node(of)?;
                self.select(&of, Key::Text(Text::Outside(name)))
            }
            Node::FieldIfAny { of, name } => {
                let of = self.node(of)?;
                self.select_if_any(&of, Key::Text(Text::Outside(name)))
            }
            Node::Has { of, name } => {
                let of = self.node(of)?;
                self.has(&of, Key::Text(Text::Outside(name)))
            }
            Node::Index(of, index) => {
                let (of, index) = (self.node(of)?, self.node(index)?);
                let key = key_of(&index)?;
                self.select(&of, key)
            }
            Node::IndexIfAny(of, index) => {
                let (of, index) = (self.node(of)?, self.node(index)?);
                let key = key_of(&index)?;
                self.select_if_any(&of, key)
            }
            Node::Not(inner) => Ok(Val::Bool(!self.condition(inner)?)),
            Node::Negate(inner) => number::negate(&self.node(inner)?),
            Node::And(a, b) => self.logical(a, b, false),
            Node::Or(a, b) => self.logical(a, b, true),
            Node::If(condition, yes, no) => {
                if self.condition(condition)? {
                    self.node(yes)
                } else {
                    self.node(no)
                }
            }
            // CEL's `@not_strictly_false`: an error is not false, so that a later turn of `all` may still decide.
            Node::NotFalse(inner) => match self.node(inner) {
                Err(Fault::Spent(spent)) => Err(spent.into()),
                Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                _ => Ok(Val::Bool(true)),
            },
            Node::Binary(binary, a, b) => {
                let (a, b) = (self.node(a)?, self.node(b)?);
                self.binary(*binary, &a, &b)
            }
            Node::Call(function, args) => {
                let args = self.all(args)?;
                functions::call(*function, &args, &mut self.patterns, self.meter)
            }
            Node::Matches(text, pattern) => self.matches(text, pattern),
            Node::List(nodes) => self.list(nodes),
            Node::Map(entries) => self.map(entries),
            Node::IfAny(inner) => self.node(inner),
            Node::Push(place, item) => self.push(*place, item),
            Node::Put(place, entry) => self.put(*place, &entry.0, &entry.1),
            Node::PutAll(place, entries) => self.put_all(*place, entries),
            Node::Loop(inner) => self.run_loop(inner),
            Node::Bind(place, inner) => {
                let value = self.node(&inner.0)?;
                self.locals.truncate(*place);
                self.locals.push(value);
                let result = self.node(&inner.1);
                self.locals.truncate(*place);
                result
            }
        }
    }

    fn all(&mut self, nodes: &'a [Node]) -> Result<Vec<Val<'a>>, Fault<'a>> {
        self.meter.list(nodes.len())?;
        nodes.iter().map(|node| self.node(node)).collect()
    }

    fn local(&self, place: usize) -> Evaluated<'a> {
        let local = self.locals.get(place).cloned();
        debug_assert!(local.is_some(), "lowering counts places as this does");
        local.ok_or(Fault::Said("a name is out of reach"))
    }

    fn condition(&mut self, node: &'a Node) -> Result<bool, Fault<'a>> {
        match self.node(node)? {
            Val::Bool(value) => Ok(value),
            other => Err(Fault::Unfit("expected true or false", other.kind())),
        }
    }

    /// `&&` and `||`: an error on one side does not matter if the other side decides.
    fn logical(&mut self, a: &'a Node, b: &'a Node, decides: bool) -> Evaluated<'a> {
        let left = match self.condition(a) {
            Ok(value) if value == decides => return Ok(Val::Bool(decides)),
            // No error of the values: what an expression may cost, and when it is to stop, holds for all of it.
            Err(Fault::Spent(spent)) => return Err(spent.into()),
            left => left,
        };
        match self.condition(b)? {
            right if right == decides => Ok(Val::Bool(decides)),
            right => left.map(|_| Val::Bool(right)),
        }
    }

    fn select(&mut self, of: &Val<'a>, key: Key<'a>) -> Evaluated<'a> {
        if matches!(of, Val::Optional(_)) {
            return self.select_if_any(of, key);
        }
        match part(of, &key, self.meter)? {
            Some(part) => Ok(part),
            // By the key and not by the value alone: whoever writes `.name` at a list takes it for an object.
            None if matches!(key, Key::Text(_)) || of.is_map() => {
                Err(Fault::Missing(of.kind(), key))
            }
            None => Err(Fault::NoElement(of.kind(), of.len(), key)),
        }
    }

    /// `.?` and `[?…]`: an optional value; of an optional one, only if it has a value itself.
    fn select_if_any(&mut self, of: &Val<'a>, key: Key<'a>) -> Evaluated<'a> {
        let of = match of {
            Val::Optional(None) => return Ok(Val::Optional(None)),
            Val::Optional(Some(inner)) => inner.as_ref(),
            other => other,
        };
        let fits = of.is_map() || (of.is_list() && !matches!(key, Key::Text(_)));
        if !fits {
            return Err(Fault::Missing(of.kind(), key));
        }
        let part = part(of, &key, self.meter)?;
        self.meter.list(1)?;
        Ok(Val::Optional(part.map(Rc::new)))
    }

    fn has(&mut self, of: &Val<'a>, key: Key<'a>) -> Evaluated<'a> {
        match of {
            Val::Optional(None) => Ok(Val::Bool(false)),
            Val::Optional(Some(inner)) => self.has(inner, key),
            _ if of.is_map() => Ok(Val::Bool(member(of, &key, self.meter)?.is_some())),
            _ => Err(Fault::Missing(of.kind(), key)),
        }
    }

    fn list(&mut self, nodes: &'a [Node]) -> Evaluated<'a> {
        self.meter.list(nodes.len())?;
        let mut items = Vec::with_capacity(nodes.len());
        for node in nodes {
            let value = self.node(node)?;
            items.extend(given(node, value)?);
        }
        Ok(Val::list(items))
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Evaluated<'a> {
        self.meter.list(2 * entries.len())?;
        let mut map = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.node(key)?;
            let Some(key) = Key::of(&key) else {
                return Err(Fault::Unfit(KEYS, key.kind()));
            };
            let node = value;
            let value = self.node(node)?;
            if let Some(value) = given(node, value)? {
                insert(&mut map, key, value, self.meter)?;
            }
        }
        Ok(Val::Map(Rc::new(map)))
    }

    fn push(&mut self, place: usize, item: &'a Node) -> Evaluated<'a> {
        let item = self.node(item)?;
        let Val::List(mut list) = self.taken(place) else {
            return Err(Fault::Said("only a list grows"));
        };
        // Copied where something else holds it too; a loop's own list never is.
        if Rc::get_mut(&mut list).is_none() {
            self.meter.list(list.len())?;
        }
        self.meter.charge(1)?;
        Rc::make_mut(&mut list).push(item);
        Ok(Val::List(list))
    }

    fn put(&mut self, place: usize, key: &'a Node, value: &'a Node) -> Evaluated<'a> {
        let key = self.node(key)?;
        let Some(key) = Key::of(&key) else {
            return Err(Fault::Unfit(KEYS, key.kind()));
        };
        let value = self.node(value)?;
        self.grow(place, std::iter::once((key, value)))
    }

    fn put_all(&mut self, place: usize, entries: &'a Node) -> Evaluated<'a> {
        let entries = self.node(entries)?;
        if !entries.is_map() {
            return Err(Fault::Unfit("entries come as an object", entries.kind()));
        }
        self.meter.list(2 * entries.len().unwrap_or(0))?;
        let members = match entries.items() {
            Some(Items::Members(members)) => members,
            _ => Vec::new(),
        };
        self.grow(place, members.into_iter())
    }

    fn grow(
        &mut self,
        place: usize,
        entries: impl Iterator<Item = (Key<'a>, Val<'a>)>,
    ) -> Evaluated<'a> {
        let Val::Map(mut map) = self.taken(place) else {
            return Err(Fault::Said("only an object grows"));
        };
        if Rc::get_mut(&mut map).is_none() {
            self.meter.list(2 * map.len())?;
        }
        for (key, value) in entries {
            insert(Rc::make_mut(&mut map), key, value, self.meter)?;
        }
        Ok(Val::Map(map))
    }

    /// The value of a local, which has none until it is set again: so that nothing else holds it.
    fn taken(&mut self, place: usize) -> Val<'a> {
        match self.locals.get_mut(place) {
            Some(local) => std::mem::replace(local, Val::Null),
            None => Val::Null,
        }
    }

    fn run_loop(&mut self, inner: &'a Loop) -> Evaluated<'a> {
        let over = self.node(&inner.over)?;
        let start = self.node(&inner.start)?;
        let len = over.len().unwrap_or(0);
        if over.is_map() {
            self.meter.list(2 * len)?;
        }
        let Some(items) = over.items() else {
            let what = "a loop goes over a list or an object";
            return Err(Fault::Unfit(what, over.kind()));
        };
        // In the order in which lowering counted them: what is built, then the names of the turn.
        self.locals.truncate(inner.accu);
        self.locals.push(start);
        self.locals.push(Val::Null);
        if inner.two {
            self.locals.push(Val::Null);
        }
        let result = self.turns(inner, &items, len);
        self.locals.truncate(inner.accu);
        result
    }

    /// The turns of a loop. As in CEL, an error of one turn of `all` or `exists` does not matter if
    /// another turn decides; `logical` keeps that per turn, and `failed` over the turns.
    fn turns(&mut self, inner: &'a Loop, items: &Items<'a>, len: usize) -> Evaluated<'a> {
        let fold = matches!(inner.step, Node::And(..) | Node::Or(..));
        let by_key = matches!(items, Items::Members(_));
        let mut failed = None;
        for place in 0..len {
            self.meter.charge(1)?;
            if !self.condition(&inner.go_on)? {
                failed = None;
                break;
            }
            let Some((key, item)) = items.get(place) else {
                break;
            };
            if inner.two {
                self.set(inner.accu + 1, key);
                self.set(inner.accu + 2, item);
            } else {
                self.set(inner.accu + 1, if by_key { key } else { item });
            }
            match self.node(&inner.step) {
                Ok(step) => self.set(inner.accu, step),
                Err(fault) if fold && fault.is_of_values() => failed = failed.or(Some(fault)),
                Err(fault) => return Err(fault),
            }
        }
        // Once more behind the last turn, which may have decided.
        if let Some(fault) = failed
            && self.condition(&inner.go_on)?
        {
            return Err(fault);
        }
        self.node(&inner.result)
    }

    fn set(&mut self, place: usize, value: Val<'a>) {
        if let Some(local) = self.locals.get_mut(place) {
            *local = value;
        }
    }

    fn matches(&mut self, text: &'a Node, pattern: &'a Pattern) -> Evaluated<'a> {
        match self.node(text)? {
            Val::Text(text) => {
                let found = self.patterns.matches(pattern, &text, self.meter)?;
                Ok(Val::Bool(found))
            }
            other => Err(Fault::Mismatch("matches", Kinds::of(&[other]))),
        }
    }

    fn binary(&mut self, binary: Binary, a: &Val<'a>, b: &Val<'a>) -> Evaluated<'a> {
        match binary {
            Binary::Equal => Ok(Val::Bool(compare::equal(a, b, self.meter)?)),
            Binary::NotEqual => Ok(Val::Bool(!compare::equal(a, b, self.meter)?)),
            Binary::In => self.contains(b, a),
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                let order =
                    compare::order(a, b, self.meter)?.ok_or_else(|| mismatch(binary, a, b))?;
                // No order is that of what is not a number: every comparison with it is false, as in IEEE 754.
                Ok(Val::Bool(order.is_some_and(|order| match binary {
                    Binary::Less => order.is_lt(),
                    Binary::LessOrEqual => order.is_le(),
                    Binary::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })))
            }
            _ => self.arithmetic(binary, a, b),
        }
    }

    fn contains(&mut self, container: &Val<'a>, item: &Val<'a>) -> Evaluated<'a> {
        if container.is_map() {
            // What cannot be a key is in no object.
            let found = match key_of(item) {
                Ok(key) => member(container, &key, self.meter)?.is_some(),
                Err(_) => false,
            };
            return Ok(Val::Bool(found));
        }
        if !container.is_list() {
            return Err(mismatch(Binary::In, item, container));
        }
        for index in 0..container.len().unwrap_or(0) {
            if let Some(element) = container.element(index)
                && compare::equal(&element, item, self.meter)?
            {
                return Ok(Val::Bool(true));
            }
        }
        Ok(Val::Bool(false))
    }

    fn arithmetic(&mut self, binary: Binary, a: &Val<'a>, b: &Val<'a>) -> Evaluated<'a> {
        match (a, b) {
            (Val::Text(a), Val::Text(b)) if binary == Binary::Add => {
                // Shared and not copied: a text that is put together begins with an empty one.
                if a.is_empty() || b.is_empty() {
                    return Ok(Val::Text(if a.is_empty() { b } else { a }.clone()));
                }
                self.meter.text(a.len() + b.len())?;
                let mut text = String::with_capacity(a.len() + b.len());
                text.push_str(a);
                text.push_str(b);
                Ok(Val::text(text))
            }
            _ if binary == Binary::Add && a.is_list() && b.is_list() => {
                let len = a.len().unwrap_or(0) + b.len().unwrap_or(0);
                self.meter.list(len)?;
                let mut items = Vec::with_capacity(len);
                functions::extend(&mut items, a);
                functions::extend(&mut items, b);
                Ok(Val::list(items))
            }
            _ => match number::arithmetic(binary, a, b)? {
                Some(number) => Ok(number),
                None => Err(mismatch(binary, a, b)),
            },
        }
    }
}

/// What may be a key of a map literal.
const KEYS: &str = "the keys of an object are text, whole numbers, true or false";

/// The key that an index means: also `2.0` is one.
fn key_of<'a>(index: &Val<'a>) -> Result<Key<'a>, Fault<'a>> {
    if let Some(key) = Key::of(index) {
        return Ok(key);
    }
    let whole = index
        .whole()
        .map(|whole| (i64::try_from(whole), u64::try_from(whole)));
    match (whole, index) {
        (Some((Ok(number), _)), _) => Ok(Key::Int(number)),
        (Some((_, Ok(number))), _) => Ok(Key::Large(number)),
        (_, Val::Double(_)) => Err(Fault::Said("there is nothing at a number with a fraction")),
        _ => Err(Fault::Unfit(
            "an index is text, a whole number, true or false",
            index.kind(),
        )),
    }
}

/// The member of an object, paid for.
pub(super) fn member<'a>(
    of: &Val<'a>,
    key: &Key<'a>,
    meter: &mut Meter<'_>,
) -> Result<Option<Val<'a>>, Spent> {
    meter.look_up(of, key.size())?;
    Ok(of.member(key))
}

/// The member of an object or the element of a list.
fn part<'a>(of: &Val<'a>, key: &Key<'a>, meter: &mut Meter<'_>) -> Result<Option<Val<'a>>, Spent> {
    match key {
        Key::Int(place) if of.is_list() => Ok(usize::try_from(*place)
            .ok()
            .and_then(|place| of.element(place))),
        _ => member(of, key, meter),
    }
}

/// The value of an element, unless it is marked to be left out and has none.
fn given<'a>(node: &Node, value: Val<'a>) -> Result<Option<Val<'a>>, Fault<'a>> {
    match (node, value) {
        (Node::IfAny(_), Val::Optional(inner)) => Ok(inner.map(|inner| inner.as_ref().clone())),
        (Node::IfAny(_), other) => Err(Fault::Unfit("`?` takes an optional value", other.kind())),
        (_, value) => Ok(Some(value)),
    }
}

/// Adds to a sorted map. Keys come in order as a rule; else what follows is moved, and paid for.
fn insert<'a>(
    map: &mut Vec<(Key<'a>, Val<'a>)>,
    key: Key<'a>,
    value: Val<'a>,
    meter: &mut Meter<'_>,
) -> Result<(), Fault<'a>> {
    let halvings = map.len().checked_ilog2().unwrap_or(0) as usize + 1;
    meter.charge(2 + halvings as u64 / 4)?;
    meter.compare(key.size().saturating_mul(halvings))?;
    match map.binary_search_by(|(known, _)| known.cmp(&key)) {
        Ok(_) => Err(Fault::Twice(key)),
        Err(place) => {
            meter.compare((map.len() - place) * size_of::<(Key<'a>, Val<'a>)>())?;
            map.insert(place, (key, value));
            Ok(())
        }
    }
}

fn mismatch<'a>(binary: Binary, a: &Val<'a>, b: &Val<'a>) -> Fault<'a> {
    Fault::Mismatch(binary.symbol(), Kinds::of(&[a.clone(), b.clone()]))
}
