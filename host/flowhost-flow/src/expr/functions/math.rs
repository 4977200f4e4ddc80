//! `math.…`: functions on numbers. Whole ones may stand where doubles are expected, as in JSON.

use std::cmp::Ordering;

use crate::effort::Meter;
use crate::expr::compare;
use crate::expr::fault::Fault;
use crate::expr::functions::{Called, Function};
use crate::expr::pattern::Patterns;
use crate::expr::value::Val;

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    _: &mut Patterns,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    match (function, args) {
        (Function::Greatest, args) => extreme(args, Ordering::Greater, meter),
        (Function::Least, args) => extreme(args, Ordering::Less, meter),
        (_, [value]) => Ok(one(function, value)?),
        (_, [a, b]) => bits(function, a, b),
        _ => Ok(None),
    }
}

/// Of the values, or of the one list that is given.
fn extreme<'a>(args: &[Val<'a>], wanted: Ordering, meter: &mut Meter<'_>) -> Called<'a> {
    let list = match args {
        [list] if list.is_list() => Some(list),
        _ => None,
    };
    let len = list.map_or(args.len(), |list| list.len().unwrap_or(0));
    let get = |index| match list {
        Some(list) => list.element(index),
        None => args.get(index).cloned(),
    };
    let Some(mut best) = get(0) else {
        return Err(Fault::Said(
            "an empty list has neither a greatest nor a least number",
        ));
    };
    for index in 0..len {
        meter.charge(1)?;
        let Some(value) = get(index) else { break };
        if value.double().is_none() {
            return Ok(None);
        }
        if compare::order(&value, &best, meter)?.flatten() == Some(wanted) {
            best = value;
        }
    }
    Ok(Some(best))
}

fn one<'a>(function: Function, value: &Val<'a>) -> Called<'a> {
    match (function, value) {
        (Function::Abs, Val::Int(number)) => number
            .checked_abs()
            .map(|number| Some(Val::Int(number)))
            .ok_or(Fault::Said("the number is too large")),
        (Function::Abs | Function::Sign, Val::Uint(number)) => {
            let sign = u64::from(*number > 0);
            let abs = function == Function::Abs;
            Ok(Some(Val::Uint(if abs { *number } else { sign })))
        }
        (Function::Sign, Val::Int(number)) => Ok(Some(Val::Int(number.signum()))),
        (Function::BitNot, Val::Int(number)) => Ok(Some(Val::Int(!number))),
        (Function::BitNot, Val::Uint(number)) => Ok(Some(Val::Uint(!number))),
        (Function::BitNot, _) => Ok(None),
        _ => Ok(value
            .double()
            .and_then(|number| on_double(function, number))),
    }
}

fn on_double<'a>(function: Function, number: f64) -> Option<Val<'a>> {
    Some(match function {
        Function::Ceil => Val::Double(number.ceil()),
        Function::Floor => Val::Double(number.floor()),
        Function::Round => Val::Double(number.round()),
        Function::Trunc => Val::Double(number.trunc()),
        Function::Abs => Val::Double(number.abs()),
        // Not a number has no sign, and zero keeps its own.
        Function::Sign if number.is_nan() || number == 0.0 => Val::Double(number),
        Function::Sign => Val::Double(number.signum()),
        Function::Sqrt => Val::Double(number.sqrt()),
        Function::IsNan => Val::Bool(number.is_nan()),
        Function::IsInf => Val::Bool(number.is_infinite()),
        Function::IsFinite => Val::Bool(number.is_finite()),
        _ => return None,
    })
}

fn bits<'a>(function: Function, a: &Val<'a>, b: &Val<'a>) -> Called<'a> {
    if matches!(function, Function::ShiftLeft | Function::ShiftRight) {
        return shift(function, a, b);
    }
    let (a, b, signed) = match (a, b) {
        (Val::Int(a), Val::Int(b)) => (a.cast_unsigned(), b.cast_unsigned(), true),
        (Val::Uint(a), Val::Uint(b)) => (*a, *b, false),
        _ => return Ok(None),
    };
    let result = match function {
        Function::BitAnd => a & b,
        Function::BitOr => a | b,
        Function::BitXor => a ^ b,
        _ => return Ok(None),
    };
    Ok(Some(from_bits(result, signed)))
}

/// Bits that are shifted out are lost; zeros come in, on both sides.
fn shift<'a>(function: Function, value: &Val<'a>, by: &Val<'a>) -> Called<'a> {
    let (bits, signed) = match value {
        Val::Int(number) => (number.cast_unsigned(), true),
        Val::Uint(number) => (*number, false),
        _ => return Ok(None),
    };
    let (Val::Int(_) | Val::Uint(_), Some(by)) = (by, by.whole()) else {
        return Ok(None);
    };
    let Ok(by) = u64::try_from(by) else {
        return Err(Fault::OutOfRange("a shift", by));
    };
    let by = u32::try_from(by).unwrap_or(u32::MAX);
    let result = if function == Function::ShiftLeft {
        bits.checked_shl(by)
    } else {
        bits.checked_shr(by)
    };
    Ok(Some(from_bits(result.unwrap_or(0), signed)))
}

fn from_bits<'a>(bits: u64, signed: bool) -> Val<'a> {
    if signed {
        Val::Int(bits.cast_signed())
    } else {
        Val::Uint(bits)
    }
}
