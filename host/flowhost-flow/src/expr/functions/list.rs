//! Functions on lists, and those that lists share with texts.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::effort::{Limits, Meter};
use crate::expr::compare;
use crate::expr::fault::Fault;
use crate::expr::functions::{Called, Function, extend, place};
use crate::expr::node::Binary;
use crate::expr::number;
use crate::expr::pattern::Patterns;
use crate::expr::value::{Text, Val};

/// Lists within lists that `flatten` opens: as deep as a value of a plan can be.
const LEVELS_MAX: i128 = 24;

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    _: &mut Patterns,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    match (function, args) {
        (Function::Size, [Val::Text(text)]) => {
            meter.scan(text.len())?;
            Ok(Some(Val::count(text.chars().count())))
        }
        (Function::Size, [value]) => Ok(value.len().map(Val::count)),
        (Function::Reverse, [Val::Text(text)]) => {
            meter.scan(text.len())?;
            meter.text(text.len())?;
            Ok(Some(Val::text(text.chars().rev().collect())))
        }
        (Function::Range | Function::ListsRange, [count]) => match count.whole() {
            Some(count) => range(count, meter),
            None => Ok(None),
        },
        (_, [list, rest @ ..]) if list.is_list() => on_list(function, list, rest, meter),
        _ => Ok(None),
    }
}

fn on_list<'a>(
    function: Function,
    list: &Val<'a>,
    rest: &[Val<'a>],
    meter: &mut Meter<'_>,
) -> Called<'a> {
    let len = list.len().unwrap_or(0);
    match (function, rest) {
        (Function::Flatten, []) => flatten(list, 1, meter),
        (Function::Flatten, [levels]) => match levels.whole() {
            Some(levels @ 0..=LEVELS_MAX) => flatten(list, levels, meter),
            Some(other) => Err(Fault::OutOfRange("`flatten`", other)),
            None => Ok(None),
        },
        (Function::Distinct, []) => distinct(list, meter),
        (Function::Sort, []) => sort(list, list, meter),
        (Function::SortByKeys, [keys]) => sort(list, keys, meter),
        (Function::Slice, [from, to]) => {
            let (Some(from), Some(to)) = (place("`slice`", from, len)?, place("`slice`", to, len)?)
            else {
                return Ok(None);
            };
            if from > to {
                return Err(Fault::Said("`slice` ends before it starts"));
            }
            meter.list(to - from)?;
            let items = (from..to).filter_map(|index| list.element(index));
            Ok(Some(Val::list(items.collect())))
        }
        (Function::Sum, []) => sum(list, meter),
        (Function::Reverse, []) => {
            meter.list(len)?;
            let items = (0..len).rev().filter_map(|index| list.element(index));
            Ok(Some(Val::list(items.collect())))
        }
        (Function::First, []) => optional(list.element(0), meter),
        (Function::Last, []) => optional(
            len.checked_sub(1).and_then(|last| list.element(last)),
            meter,
        ),
        _ => Ok(None),
    }
}

fn optional<'a>(value: Option<Val<'a>>, meter: &mut Meter<'_>) -> Called<'a> {
    meter.list(1)?;
    Ok(Some(value.map_or(Val::Optional(None), Val::some)))
}

fn range<'a>(count: i128, meter: &mut Meter<'_>) -> Called<'a> {
    let Ok(count) = usize::try_from(count) else {
        return Err(Fault::OutOfRange("`range`", count));
    };
    meter.list(count)?;
    Ok(Some(Val::list((0..count).map(Val::count).collect())))
}

/// The elements of the lists in the list, other elements as they are.
fn flatten<'a>(list: &Val<'a>, levels: i128, meter: &mut Meter<'_>) -> Called<'a> {
    let mut flat = list.clone();
    for _ in 0..levels {
        let len = flat.len().unwrap_or(0);
        let mut size = 0_usize;
        let mut nested = false;
        for index in 0..len {
            meter.charge(1)?;
            let element = flat.element(index).filter(Val::is_list);
            nested = nested || element.is_some();
            size = size.saturating_add(element.and_then(|list| list.len()).unwrap_or(1));
        }
        if !nested {
            break;
        }
        meter.list(size)?;
        let mut items = Vec::with_capacity(size);
        for element in (0..len).filter_map(|index| flat.element(index)) {
            if element.is_list() {
                extend(&mut items, &element);
            } else {
                items.push(element);
            }
        }
        flat = Val::list(items);
    }
    Ok(Some(flat))
}

/// What equality sees of a scalar: numbers by their value.
#[derive(PartialEq, Eq, Hash)]
enum Scalar<'a> {
    Null,
    Bool(bool),
    Whole(i128),
    Double(u64),
    Text(Shared<'a>),
}

/// A text by its contents.
struct Shared<'a>(Text<'a>);

impl PartialEq for Shared<'_> {
    fn eq(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl Eq for Shared<'_> {}

impl std::hash::Hash for Shared<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (*self.0).hash(state);
    }
}

fn scalar<'a>(value: &Val<'a>) -> Option<Scalar<'a>> {
    Some(match value {
        Val::Null => Scalar::Null,
        Val::Bool(value) => Scalar::Bool(*value),
        Val::Text(text) => Scalar::Text(Shared(text.clone())),
        Val::Double(number) if number.is_nan() => return None,
        _ => match (value.whole(), value) {
            (Some(whole), _) => Scalar::Whole(whole),
            (None, Val::Double(number)) => Scalar::Double(number.to_bits()),
            _ => return None,
        },
    })
}

/// The first of each kind of equal elements.
fn distinct<'a>(list: &Val<'a>, meter: &mut Meter<'_>) -> Called<'a> {
    let len = list.len().unwrap_or(0);
    meter.list(4 * len)?;
    let mut seen = HashSet::with_capacity(len);
    let mut others: Vec<Val<'a>> = Vec::new();
    let mut items = Vec::new();
    'elements: for element in (0..len).filter_map(|index| list.element(index)) {
        if let Val::Text(text) = &element {
            meter.scan(text.len())?;
        }
        match scalar(&element) {
            Some(scalar) => {
                if !seen.insert(scalar) {
                    continue;
                }
            }
            None => {
                for other in &others {
                    if compare::equal(other, &element, meter)? {
                        continue 'elements;
                    }
                }
                others.push(element.clone());
            }
        }
        items.push(element);
    }
    Ok(Some(Val::list(items)))
}

/// `list` in the order of `keys`; equal ones stay in their order.
fn sort<'a>(list: &Val<'a>, keys: &Val<'a>, meter: &mut Meter<'_>) -> Called<'a> {
    let len = list.len().unwrap_or(0);
    let rounds = len.checked_ilog2().unwrap_or(0) as usize + 1;
    meter.list(2 * len)?;
    meter.charge(len.saturating_mul(rounds) as u64)?;
    let mut pairs: Vec<(Val<'a>, Val<'a>)> = (0..len)
        .filter_map(|index| Some((keys.element(index)?, list.element(index)?)))
        .collect();
    // All that can fail comes before: the library's sort may panic where an order contradicts itself, as one does
    // that runs out of units between two comparisons. Keys that go with the first go with each other. Short
    // runs are sorted by insertion, with more comparisons than halvings: hence twice.
    if let Some((first, _)) = pairs.first() {
        for (key, _) in &pairs {
            sorted(key, first, meter)?;
            if let Val::Text(text) = key {
                meter.compare(text.len().saturating_mul(2 * rounds))?;
            }
        }
    }
    let paid = Limits {
        cost: u64::MAX,
        stop: &|| false,
    };
    let mut paid = Meter::new(&paid);
    pairs.sort_by(|(a, _), (b, _)| {
        let order = sorted(a, b, &mut paid);
        debug_assert!(order.is_ok(), "each was compared with the first");
        order.unwrap_or(Ordering::Equal)
    });
    let items = pairs.into_iter().map(|(_, item)| item);
    Ok(Some(Val::list(items.collect())))
}

fn sorted<'a>(a: &Val<'a>, b: &Val<'a>, meter: &mut Meter<'_>) -> Result<Ordering, Fault<'a>> {
    let nan = |value: &Val<'_>| matches!(value, Val::Double(number) if number.is_nan());
    match compare::order(a, b, meter)? {
        Some(Some(order)) => Ok(order),
        // Not a number stands last, so that the order is one.
        Some(None) => Ok(nan(a).cmp(&nan(b))),
        None => Err(Fault::Said(
            "only numbers, texts or booleans of one kind can be sorted",
        )),
    }
}

fn sum<'a>(list: &Val<'a>, meter: &mut Meter<'_>) -> Called<'a> {
    let mut total = Val::Int(0);
    for element in (0..list.len().unwrap_or(0)).filter_map(|index| list.element(index)) {
        meter.charge(1)?;
        total = match number::arithmetic(Binary::Add, &total, &element)? {
            Some(total) => total,
            None => return Err(Fault::Unfit("`sum` adds numbers", element.kind())),
        };
    }
    Ok(Some(total))
}
