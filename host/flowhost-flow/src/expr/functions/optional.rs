//! Optional values: what `.?` and `[?…]` give, and how a value comes out of them.

use crate::effort::Meter;
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
    Ok(match (function, args) {
        (Function::OptionalNone, []) => Some(Val::Optional(None)),
        (Function::OptionalOf, [value]) => {
            meter.list(1)?;
            Some(Val::some(value.clone()))
        }
        (Function::OptionalOfNonZero, [value]) => {
            meter.list(1)?;
            Some(if is_zero(value) {
                Val::Optional(None)
            } else {
                Val::some(value.clone())
            })
        }
        (Function::HasValue, [Val::Optional(inner)]) => Some(Val::Bool(inner.is_some())),
        (Function::Value, [Val::Optional(Some(inner))]) => Some(inner.as_ref().clone()),
        (Function::Value, [Val::Optional(None)]) => {
            return Err(Fault::Said("the optional value has no value"));
        }
        (Function::Or, [Val::Optional(inner), other @ Val::Optional(_)]) => Some(
            inner
                .as_ref()
                .map_or_else(|| other.clone(), |_| Val::Optional(inner.clone())),
        ),
        (Function::OrValue, [Val::Optional(inner), other]) => Some(
            inner
                .as_ref()
                .map_or_else(|| other.clone(), |inner| inner.as_ref().clone()),
        ),
        _ => None,
    })
}

/// What its kind starts with: null, false, 0, an empty text, list or object.
fn is_zero(value: &Val<'_>) -> bool {
    match value {
        Val::Null | Val::Bool(false) | Val::Optional(None) => true,
        Val::Text(text) => text.is_empty(),
        Val::Bool(true) | Val::Optional(Some(_)) => false,
        _ => value.len() == Some(0) || value.double() == Some(0.0),
    }
}
