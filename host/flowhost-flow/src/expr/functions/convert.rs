//! Conversions between kinds of values, and scalars as text.

use std::borrow::Cow;

use crate::effort::{Meter, Spent};
use crate::expr::fault::Fault;
use crate::expr::functions::{Called, Function};
use crate::expr::pattern::Patterns;
use crate::expr::value::{Text, Val};

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    _: &mut Patterns,
    meter: &mut Meter<'_>,
) -> Called<'a> {
    let [value] = args else {
        return Ok(None);
    };
    if let Val::Text(text) = value {
        meter.scan(text.len())?;
    }
    match function {
        Function::Text => Ok(text_of(value, meter)?.map(Val::Text)),
        Function::Int => int(value),
        Function::Uint => uint(value),
        Function::Double => double(value),
        Function::Bool => boolean(value),
        Function::Dyn => Ok(Some(value.clone())),
        _ => Ok(None),
    }
}

/// Scalars as text; the way interpolation shows them too.
pub(crate) fn text_of<'a>(
    value: &Val<'a>,
    meter: &mut Meter<'_>,
) -> Result<Option<Text<'a>>, Spent> {
    Ok(Some(match value {
        Val::Text(text) => text.clone(),
        Val::Bool(true) => Text::Outside("true"),
        Val::Bool(false) => Text::Outside("false"),
        Val::Null => Text::Outside("null"),
        Val::Int(number) => {
            meter.text(20)?;
            Text::own(number.to_string())
        }
        Val::Uint(number) => {
            meter.text(20)?;
            Text::own(number.to_string())
        }
        Val::Ip(address) => {
            meter.text(40)?;
            Text::own(address.to_string())
        }
        Val::Network(network) => {
            meter.text(44)?;
            Text::own(network.to_string())
        }
        Val::Double(number) => {
            // Without an exponent: up to 309 digits, or as many after the point.
            let size = if (1e-9..1e21).contains(&number.abs()) {
                32
            } else {
                340
            };
            meter.text(size)?;
            match shown(*number) {
                Cow::Borrowed(word) => Text::Outside(word),
                Cow::Owned(text) => Text::own(text),
            }
        }
        _ => return Ok(None),
    }))
}

/// A double as text.
pub(crate) fn shown(number: f64) -> Cow<'static, str> {
    if number.is_nan() {
        "NaN".into()
    } else if number == f64::INFINITY {
        "Infinity".into()
    } else if number == f64::NEG_INFINITY {
        "-Infinity".into()
    } else {
        number.to_string().into()
    }
}

/// 2^63 as a double; −2^63 is out of range too, as in CEL.
const INT_END: f64 = 9_223_372_036_854_775_808.0;
/// 2^64 as a double.
const UINT_END: f64 = 18_446_744_073_709_551_616.0;
const OUT: Fault<'static> = Fault::Said("the number is out of range");

#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction is cut on purpose, the range is checked"
)]
fn int<'a>(value: &Val<'a>) -> Called<'a> {
    Ok(Some(Val::Int(match value {
        Val::Int(number) => *number,
        Val::Uint(number) => i64::try_from(*number).map_err(|_| OUT)?,
        Val::Double(number) if number.abs() < INT_END => *number as i64,
        Val::Double(_) => return Err(OUT),
        Val::Text(text) => text
            .parse()
            .map_err(|_| Fault::Said("the text is not a whole number of 64 bits"))?,
        _ => return Ok(None),
    })))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the fraction is cut on purpose, the range is checked"
)]
fn uint<'a>(value: &Val<'a>) -> Called<'a> {
    Ok(Some(Val::Uint(match value {
        Val::Uint(number) => *number,
        Val::Int(number) => u64::try_from(*number).map_err(|_| OUT)?,
        Val::Double(number) if (0.0..UINT_END).contains(number) => *number as u64,
        Val::Double(_) => return Err(OUT),
        Val::Text(text) => text
            .parse()
            .map_err(|_| Fault::Said("the text is not a whole number from 0 on"))?,
        _ => return Ok(None),
    })))
}

fn double<'a>(value: &Val<'a>) -> Called<'a> {
    Ok(match value {
        Val::Text(text) => match text.parse() {
            Ok(number) => Some(Val::Double(number)),
            Err(_) => return Err(Fault::Said("the text is not a number")),
        },
        _ => value.double().map(Val::Double),
    })
}

fn boolean<'a>(value: &Val<'a>) -> Called<'a> {
    Ok(Some(Val::Bool(match value {
        Val::Bool(value) => *value,
        Val::Text(text) => match &**text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
            "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
            _ => return Err(Fault::Said("the text is neither `true` nor `false`")),
        },
        _ => return Ok(None),
    })))
}
