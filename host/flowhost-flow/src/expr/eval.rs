//! The evaluation, with every step paid for before it is made.
//!
//! Must be deterministic: same tree and same names, same value or same error.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use crate::expr::lower::{Binary, Loop, Node};
use crate::expr::value::Val;
use crate::expr::{COST_MAX, EvalError, Names, functions};

/// What an evaluation may still cost.
#[derive(Debug)]
pub(super) struct Meter {
    left: u64,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self { left: COST_MAX }
    }

    pub(super) fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.left = self.left.checked_sub(cost).ok_or(EvalError::Cost)?;
        Ok(())
    }

    /// Pays for reading or copying so many bytes.
    pub(super) fn bytes(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.charge(bytes as u64 / 32)
    }
}

pub(super) fn evaluate(node: &Node, names: &Names<'_>) -> Result<Value, EvalError> {
    let mut eval = Eval {
        names,
        locals: Vec::new(),
        meter: Meter::new(),
    };
    let value = eval.node(node)?;
    eval.locals.clear();
    value.into_json(&mut eval.meter)
}

struct Eval<'n, 'a> {
    names: &'n Names<'a>,
    locals: Vec<Val<'a>>,
    meter: Meter,
}

type Evaluated<'a> = Result<Val<'a>, EvalError>;

impl<'a> Eval<'_, 'a> {
    fn node(&mut self, node: &Node) -> Evaluated<'a> {
        self.meter.charge(1)?;
        match node {
            Node::Null => Ok(Val::Null),
            Node::Bool(value) => Ok(Val::Bool(*value)),
            Node::Int(number) => Ok(Val::Int(*number)),
            Node::Double(number) => Ok(Val::Double(*number)),
            Node::Text(text) => {
                self.meter.bytes(text.len())?;
                Ok(Val::Text(Cow::Owned(text.clone())))
            }
            Node::Name(name) => {
                self.names.get(name).map(Val::from).ok_or_else(|| {
                    EvalError::value(format!("the name `{name}` is not in reach here"))
                })
            }
            Node::Local(place) => self.local(*place),
            Node::Field { of, name } => {
                let of = self.node(of)?;
                of.member(name).ok_or_else(|| missing(&of, name))
            }
            Node::Has { of, name } => {
                let of = self.node(of)?;
                Ok(Val::Bool(of.member(name).is_some()))
            }
            Node::Index(of, index) => self.index(of, index),
            Node::Not(inner) => Ok(Val::Bool(!self.condition(inner)?)),
            Node::Negate(inner) => negate(&self.node(inner)?),
            Node::And(a, b) => self.logical(a, b, false),
            Node::Or(a, b) => self.logical(a, b, true),
            Node::If(condition, yes, no) => {
                if self.condition(condition)? {
                    self.node(yes)
                } else {
                    self.node(no)
                }
            }
            Node::NotFalse(inner) => match self.node(inner) {
                Err(EvalError::Cost) => Err(EvalError::Cost),
                Ok(Val::Bool(false)) => Ok(Val::Bool(false)),
                _ => Ok(Val::Bool(true)),
            },
            Node::Binary(binary, a, b) => {
                let (a, b) = (self.node(a)?, self.node(b)?);
                self.binary(*binary, &a, &b)
            }
            Node::Call(function, args) => {
                let args: Result<Vec<_>, _> = args.iter().map(|arg| self.node(arg)).collect();
                functions::call(*function, &args?, &mut self.meter)
            }
            Node::List(nodes) => {
                let items: Result<Vec<_>, _> = nodes.iter().map(|node| self.node(node)).collect();
                Ok(Val::List(Rc::new(items?)))
            }
            Node::Map(entries) => self.map(entries),
            Node::Push(place, item) => self.push(*place, item),
            Node::Loop(inner) => self.run_loop(inner),
        }
    }

    fn local(&self, place: usize) -> Evaluated<'a> {
        self.locals
            .get(place)
            .cloned()
            .ok_or_else(|| EvalError::value("a name is out of reach"))
    }

    fn condition(&mut self, node: &Node) -> Result<bool, EvalError> {
        match self.node(node)? {
            Val::Bool(value) => Ok(value),
            other => Err(EvalError::value(format!(
                "expected true or false, not {}",
                other.kind()
            ))),
        }
    }

    /// `&&` and `||`: an error on one side does not matter if the other side decides.
    fn logical(&mut self, a: &Node, b: &Node, decides: bool) -> Evaluated<'a> {
        let left = self.condition(a);
        match left {
            Ok(value) if value == decides => return Ok(Val::Bool(decides)),
            Err(EvalError::Cost) => return Err(EvalError::Cost),
            _ => {}
        }
        match self.condition(b)? {
            right if right == decides => Ok(Val::Bool(decides)),
            right => left.map(|_| Val::Bool(right)),
        }
    }

    fn index(&mut self, of: &Node, index: &Node) -> Evaluated<'a> {
        let (of, index) = (self.node(of)?, self.node(index)?);
        match &index {
            Val::Text(name) => of.member(name).ok_or_else(|| missing(&of, name)),
            Val::Int(place) => {
                let element = usize::try_from(*place)
                    .ok()
                    .and_then(|place| of.element(place));
                element.ok_or_else(|| match of.len() {
                    Some(len) if of.kind() == "a list" => {
                        EvalError::value(format!("a list of {len} has no element {place}"))
                    }
                    _ => EvalError::value(format!("{} has no element {place}", of.kind())),
                })
            }
            other => Err(EvalError::value(format!(
                "{} cannot be an index",
                other.kind()
            ))),
        }
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Evaluated<'a> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let Val::Text(key) = self.node(key)? else {
                return Err(EvalError::value("the keys of an object are text"));
            };
            let value = self.node(value)?;
            if map.insert(key.clone().into_owned(), value).is_some() {
                return Err(EvalError::value(format!("the key `{key}` is given twice")));
            }
        }
        Ok(Val::Map(Rc::new(map)))
    }

    fn push(&mut self, place: usize, item: &Node) -> Evaluated<'a> {
        let item = self.node(item)?;
        let Some(local) = self.locals.get_mut(place) else {
            return Err(EvalError::value("a name is out of reach"));
        };
        let Val::List(mut list) = std::mem::replace(local, Val::Null) else {
            return Err(EvalError::value("only a list grows"));
        };
        if Rc::get_mut(&mut list).is_none() {
            self.meter.charge(list.len() as u64)?;
        }
        Rc::make_mut(&mut list).push(item);
        Ok(Val::List(list))
    }

    fn run_loop(&mut self, inner: &Loop) -> Evaluated<'a> {
        let over = self.node(&inner.over)?;
        let start = self.node(&inner.start)?;
        self.meter.charge(over.len().unwrap_or(0) as u64)?;
        let items = over.items().ok_or_else(|| {
            EvalError::value(format!("{} is neither a list nor an object", over.kind()))
        })?;
        self.locals.truncate(inner.accu);
        self.locals.push(start);
        self.locals.push(Val::Null);
        let result = self.turns(inner, items);
        self.locals.truncate(inner.accu);
        result
    }

    /// The turns of a loop. As in CEL, an error of one turn of `all` or `exists` does not matter if
    /// another turn decides; `logical` keeps that per turn, and `failed` over the turns.
    fn turns(&mut self, inner: &Loop, items: Vec<Val<'a>>) -> Evaluated<'a> {
        let fold = matches!(inner.step, Node::And(..) | Node::Or(..));
        let mut failed = None;
        for item in items {
            if !self.condition(&inner.go_on)? {
                failed = None;
                break;
            }
            self.set(inner.accu + 1, item);
            match self.node(&inner.step) {
                Ok(step) => self.set(inner.accu, step),
                Err(error @ EvalError::Value(_)) if fold => failed = failed.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = failed
            && self.condition(&inner.go_on)?
        {
            return Err(error);
        }
        self.node(&inner.result)
    }

    fn set(&mut self, place: usize, value: Val<'a>) {
        if let Some(local) = self.locals.get_mut(place) {
            *local = value;
        }
    }

    fn binary(&mut self, binary: Binary, a: &Val<'a>, b: &Val<'a>) -> Evaluated<'a> {
        match binary {
            Binary::Equal => Ok(Val::Bool(a.equals(b, &mut self.meter)?)),
            Binary::NotEqual => Ok(Val::Bool(!a.equals(b, &mut self.meter)?)),
            Binary::In => self.contains(b, a),
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                let order = a.order(b).ok_or_else(|| mismatch(binary, a, b))?;
                Ok(Val::Bool(match binary {
                    Binary::Less => order.is_lt(),
                    Binary::LessOrEqual => order.is_le(),
                    Binary::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            _ => self.arithmetic(binary, a, b),
        }
    }

    fn contains(&mut self, container: &Val<'a>, item: &Val<'a>) -> Evaluated<'a> {
        match (container.kind(), item) {
            ("an object", Val::Text(name)) => Ok(Val::Bool(container.member(name).is_some())),
            ("a list", _) => {
                for index in 0..container.len().unwrap_or(0) {
                    if let Some(element) = container.element(index)
                        && element.equals(item, &mut self.meter)?
                    {
                        return Ok(Val::Bool(true));
                    }
                }
                Ok(Val::Bool(false))
            }
            _ => Err(mismatch(Binary::In, item, container)),
        }
    }

    fn arithmetic(&mut self, binary: Binary, a: &Val<'a>, b: &Val<'a>) -> Evaluated<'a> {
        match (a, b) {
            (Val::Int(a), Val::Int(b)) => whole(binary, *a, *b).map(Val::Int),
            (Val::Text(a), Val::Text(b)) if binary == Binary::Add => {
                self.meter.bytes(a.len() + b.len())?;
                Ok(Val::Text(Cow::Owned(format!("{a}{b}"))))
            }
            _ if binary == Binary::Add && a.kind() == "a list" && b.kind() == "a list" => {
                self.meter
                    .charge((a.len().unwrap_or(0) + b.len().unwrap_or(0)) as u64)?;
                let mut items = a.items().unwrap_or_default();
                items.extend(b.items().unwrap_or_default());
                Ok(Val::List(Rc::new(items)))
            }
            _ => match (a.double(), b.double()) {
                (Some(a), Some(b)) => double(binary, a, b).map(Val::Double),
                _ => Err(mismatch(binary, a, b)),
            },
        }
    }
}

fn missing(of: &Val<'_>, name: &str) -> EvalError {
    match of.kind() {
        "an object" => EvalError::value(format!("there is no `{name}` in the object")),
        kind => EvalError::value(format!("{kind} has no member `{name}`")),
    }
}

fn mismatch(binary: Binary, a: &Val<'_>, b: &Val<'_>) -> EvalError {
    let symbol = binary.symbol();
    EvalError::value(format!(
        "`{symbol}` does not go with {} and {}",
        a.kind(),
        b.kind()
    ))
}

fn negate<'a>(value: &Val<'a>) -> Evaluated<'a> {
    match value {
        Val::Int(number) => number.checked_neg().map(Val::Int).ok_or_else(too_large),
        Val::Double(number) => Ok(Val::Double(-number)),
        other => Err(EvalError::value(format!(
            "`-` does not go with {}",
            other.kind()
        ))),
    }
}

fn too_large() -> EvalError {
    EvalError::value("the number is too large")
}

fn whole(binary: Binary, a: i64, b: i64) -> Result<i64, EvalError> {
    let result = match binary {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        _ if b == 0 => return Err(EvalError::value("division by zero")),
        Binary::Divide => a.checked_div(b),
        _ => a.checked_rem(b),
    };
    result.ok_or_else(too_large)
}

fn double(binary: Binary, a: f64, b: f64) -> Result<f64, EvalError> {
    Ok(match binary {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        _ => return Err(EvalError::value("`%` goes with whole numbers only")),
    })
}
