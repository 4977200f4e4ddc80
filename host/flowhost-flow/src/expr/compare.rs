//! Equality and order of values.
//!
//! Numbers are compared by their value, whatever way they are written; nothing is compared that was
//! not paid for.

use std::cmp::Ordering;

use crate::effort::{Meter, Spent};
use crate::expr::eval::member;
use crate::expr::value::{Key, Val};

/// CEL's equality: numbers by value, everything else by kind and content.
pub(super) fn equal<'a>(a: &Val<'a>, b: &Val<'a>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    meter.charge(1)?;
    Ok(match (a, b) {
        (Val::Null, Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Ip(a), Val::Ip(b)) => a == b,
        (Val::Network(a), Val::Network(b)) => a == b,
        (Val::Text(a), Val::Text(b)) => {
            // For nothing: a length is known.
            if a.len() != b.len() {
                return Ok(false);
            }
            meter.compare(a.len())?;
            **a == **b
        }
        (Val::Optional(a), Val::Optional(b)) => match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => equal(a, b, meter)?,
            _ => false,
        },
        _ if a.is_list() && b.is_list() => lists_equal(a, b, meter)?,
        _ if a.is_map() && b.is_map() => maps_equal(a, b, meter)?,
        _ => numbers(a, b) == Some(Some(Ordering::Equal)),
    })
}

fn lists_equal<'a>(a: &Val<'a>, b: &Val<'a>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for index in 0..a.len().unwrap_or(0) {
        match (a.element(index), b.element(index)) {
            (Some(a), Some(b)) if equal(&a, &b, meter)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn maps_equal<'a>(a: &Val<'a>, b: &Val<'a>, meter: &mut Meter<'_>) -> Result<bool, Spent> {
    let len = a.len().unwrap_or(0);
    if b.len() != Some(len) {
        return Ok(false);
    }
    // For what `items` makes: an object of JSON has no places to look at.
    meter.list(len)?;
    let Some(items) = a.items() else {
        return Ok(false);
    };
    for place in 0..len {
        let Some((key, mine)) = items.get(place) else {
            return Ok(false);
        };
        let Some(key) = Key::of(&key) else {
            return Ok(false);
        };
        let Some(other) = member(b, &key, meter)? else {
            return Ok(false);
        };
        if !equal(&mine, &other, meter)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The order of two values: none where they have no common order, and one without an ordering where
/// one of them is not a number (NaN), which is neither less nor more than anything.
pub(super) fn order(
    a: &Val<'_>,
    b: &Val<'_>,
    meter: &mut Meter<'_>,
) -> Result<Option<Option<Ordering>>, Spent> {
    Ok(match (a, b) {
        (Val::Text(a), Val::Text(b)) => {
            meter.compare(a.len().min(b.len()))?;
            Some(Some((**a).cmp(&**b)))
        }
        (Val::Bool(a), Val::Bool(b)) => Some(Some(a.cmp(b))),
        _ => numbers(a, b),
    })
}

fn numbers(a: &Val<'_>, b: &Val<'_>) -> Option<Option<Ordering>> {
    match (a, b) {
        (Val::Double(a), Val::Double(b)) => Some(a.partial_cmp(b)),
        (Val::Double(a), b) => {
            let order = whole_and_double(exact(b)?, *a);
            Some(order.map(Ordering::reverse))
        }
        (a, Val::Double(b)) => Some(whole_and_double(exact(a)?, *b)),
        _ => Some(Some(exact(a)?.cmp(&exact(b)?))),
    }
}

fn exact(value: &Val<'_>) -> Option<i128> {
    match value {
        Val::Int(number) => Some(i128::from(*number)),
        Val::Uint(number) => Some(i128::from(*number)),
        _ => None,
    }
}

/// Exact also where the whole number has more digits than a double.
fn whole_and_double(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // A cast from a double saturates, and both bounds lie far beyond 64 bits.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the fraction is compared next"
    )]
    let truncated = double.trunc() as i128;
    let fraction = || {
        if double.fract() > 0.0 {
            Ordering::Less
        } else if double.fract() < 0.0 {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    };
    Some(whole.cmp(&truncated).then_with(fraction))
}
