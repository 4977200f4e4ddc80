//! Arithmetic. Whole numbers never wrap around, and numbers of different kinds mix.

use crate::expr::eval::Evaluated;
use crate::expr::fault::Fault;
use crate::expr::node::Binary;
use crate::expr::value::Val;

const TOO_LARGE: Fault<'static> = Fault::Said("the number is too large");

pub(super) fn negate<'a>(value: &Val<'a>) -> Evaluated<'a> {
    match value {
        Val::Int(number) => number.checked_neg().map(Val::Int).ok_or(TOO_LARGE),
        Val::Double(number) => Ok(Val::Double(-number)),
        Val::Uint(_) => Err(Fault::Said("`-` does not go with an unsigned number")),
        other => Err(Fault::Unfit("`-` goes with a number", other.kind())),
    }
}

/// The result, or nothing where the two are not both numbers.
pub(super) fn arithmetic<'a>(
    binary: Binary,
    a: &Val<'a>,
    b: &Val<'a>,
) -> Result<Option<Val<'a>>, Fault<'a>> {
    Ok(Some(match (a, b) {
        (Val::Int(a), Val::Int(b)) => {
            let result = whole(binary, i128::from(*a), i128::from(*b))?;
            Val::Int(i64::try_from(result).map_err(|_| TOO_LARGE)?)
        }
        (Val::Uint(a), Val::Uint(b)) => {
            let result = whole(binary, i128::from(*a), i128::from(*b))?;
            Val::Uint(u64::try_from(result).map_err(|_| TOO_LARGE)?)
        }
        (Val::Int(a), Val::Uint(b)) => mixed(binary, i128::from(*a), i128::from(*b))?,
        (Val::Uint(a), Val::Int(b)) => mixed(binary, i128::from(*a), i128::from(*b))?,
        _ => match (a.double(), b.double()) {
            (Some(a), Some(b)) => Val::Double(double(binary, a, b)?),
            _ => return Ok(None),
        },
    }))
}

fn mixed<'a>(binary: Binary, a: i128, b: i128) -> Evaluated<'a> {
    from_whole(whole(binary, a, b)?).ok_or(TOO_LARGE)
}

/// The number as the first kind that holds it.
pub(super) fn from_whole<'a>(number: i128) -> Option<Val<'a>> {
    match (i64::try_from(number), u64::try_from(number)) {
        (Ok(number), _) => Some(Val::Int(number)),
        (_, Ok(number)) => Some(Val::Uint(number)),
        _ => None,
    }
}

/// 64 bits in, so that 128 bits hold every result.
fn whole<'a>(binary: Binary, a: i128, b: i128) -> Result<i128, Fault<'a>> {
    let result = match binary {
        Binary::Add => a.checked_add(b),
        Binary::Subtract => a.checked_sub(b),
        Binary::Multiply => a.checked_mul(b),
        _ if b == 0 => return Err(Fault::Said("division by zero")),
        Binary::Divide => a.checked_div(b),
        // The least number by −1 has no quotient, and CEL refuses its remainder with it.
        _ if a == i128::from(i64::MIN) && b == -1 => None,
        _ => a.checked_rem(b),
    };
    result.ok_or(TOO_LARGE)
}

fn double<'a>(binary: Binary, a: f64, b: f64) -> Result<f64, Fault<'a>> {
    Ok(match binary {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Divide => a / b,
        _ => return Err(Fault::Said("`%` goes with whole numbers only")),
    })
}
