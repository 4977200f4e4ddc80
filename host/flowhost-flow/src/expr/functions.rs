//! The functions of expressions: one list, each pure, each paid for by the size of what it reads.

use std::borrow::Cow;
use std::rc::Rc;

use crate::expr::EvalError;
use crate::expr::eval::Meter;
use crate::expr::value::Val;

macro_rules! functions {
    ($($name:ident $word:literal $min:literal ..= $max:literal;)*) => {
        /// A function. The receiver of `x.f(y)` is its first value, so `size(x)` is `x.size()`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Function { $($name,)* }

        impl Function {
            pub(super) const ALL: &[Function] = &[$(Function::$name,)*];

            pub(super) fn named(name: &str) -> Option<Self> {
                match name { $($word => Some(Function::$name),)* _ => None }
            }

            pub(super) const fn name(self) -> &'static str {
                match self { $(Function::$name => $word,)* }
            }

            pub(super) fn takes(self, count: usize) -> bool {
                match self { $(Function::$name => ($min..=$max).contains(&count),)* }
            }
        }
    };
}

functions! {
    Size "size" 1..=1;
    Contains "contains" 2..=2;
    StartsWith "startsWith" 2..=2;
    EndsWith "endsWith" 2..=2;
    LowerAscii "lowerAscii" 1..=1;
    UpperAscii "upperAscii" 1..=1;
    Trim "trim" 1..=1;
    Replace "replace" 3..=3;
    Split "split" 2..=2;
    Join "join" 1..=2;
    Flatten "flatten" 1..=1;
    Text "string" 1..=1;
    Int "int" 1..=1;
    Double "double" 1..=1;
    Bool "bool" 1..=1;
}

pub(super) fn call<'a>(
    function: Function,
    args: &[Val<'a>],
    meter: &mut Meter,
) -> Result<Val<'a>, EvalError> {
    for arg in args {
        if let Val::Text(text) = arg {
            meter.bytes(text.len())?;
        }
    }
    let result = match args {
        [one] => unary(function, one, meter)?,
        [Val::Text(a), Val::Text(b)] => binary(function, a, b, meter)?,
        [list, Val::Text(between)] if function == Function::Join => join(list, between, meter)?,
        [Val::Text(text), Val::Text(from), Val::Text(to)] if function == Function::Replace => {
            Some(replace(text, from, to, meter)?)
        }
        _ => None,
    };
    result.ok_or_else(|| {
        let kinds: Vec<_> = args.iter().map(Val::kind).collect();
        let name = function.name();
        EvalError::value(format!("`{name}` does not go with {}", kinds.join(" and ")))
    })
}

type Called<'a> = Result<Option<Val<'a>>, EvalError>;

fn unary<'a>(function: Function, value: &Val<'a>, meter: &mut Meter) -> Called<'a> {
    Ok(match (function, value) {
        (Function::Size, Val::Text(text)) => {
            meter.bytes(text.len())?;
            Some(whole(text.chars().count()))
        }
        (Function::Size, _) => value.len().map(whole),
        (Function::LowerAscii, Val::Text(text)) => Some(owned(text.to_ascii_lowercase())),
        (Function::UpperAscii, Val::Text(text)) => Some(owned(text.to_ascii_uppercase())),
        (Function::Trim, Val::Text(text)) => Some(owned(text.trim().to_owned())),
        (Function::Join, _) => join(value, "", meter)?,
        (Function::Flatten, _) => flatten(value, meter)?,
        (Function::Text, _) => text_of(value).map(Val::Text),
        (Function::Int, _) => int_of(value)?,
        (Function::Double, Val::Text(text)) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Some(Val::Double(number)),
            _ => return Err(EvalError::value("the text is not a number")),
        },
        (Function::Double, _) => value.double().map(Val::Double),
        (Function::Bool, Val::Bool(value)) => Some(Val::Bool(*value)),
        (Function::Bool, Val::Text(text)) => match text.as_ref() {
            "true" => Some(Val::Bool(true)),
            "false" => Some(Val::Bool(false)),
            _ => return Err(EvalError::value("the text is neither `true` nor `false`")),
        },
        _ => None,
    })
}

fn whole<'a>(count: usize) -> Val<'a> {
    Val::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn owned<'a>(text: String) -> Val<'a> {
    Val::Text(Cow::Owned(text))
}

/// Scalars as text; the way interpolation shows them too.
pub(super) fn text_of<'a>(value: &Val<'a>) -> Option<Cow<'a, str>> {
    Some(match value {
        Val::Text(text) => text.clone(),
        Val::Bool(value) => Cow::Owned(value.to_string()),
        Val::Int(number) => Cow::Owned(number.to_string()),
        Val::Double(number) => Cow::Owned(number.to_string()),
        Val::Null => Cow::Borrowed("null"),
        _ => return None,
    })
}

fn int_of<'a>(value: &Val<'a>) -> Called<'a> {
    Ok(match value {
        Val::Int(number) => Some(Val::Int(*number)),
        Val::Double(number) => {
            // Up to 2^53 every whole number is exact, beyond that the digits are made up.
            if number.abs() > crate::units::INTEGER_MAX as f64 {
                return Err(EvalError::value("the number is too large"));
            }
            #[expect(clippy::cast_possible_truncation, reason = "within 2^53, see above")]
            Some(Val::Int(*number as i64))
        }
        Val::Text(text) => match text.parse::<i64>() {
            Ok(number) => Some(Val::Int(number)),
            Err(_) => return Err(EvalError::value("the text is not a whole number")),
        },
        _ => None,
    })
}

fn binary<'a>(function: Function, a: &str, b: &str, meter: &mut Meter) -> Called<'a> {
    Ok(match function {
        Function::Contains => Some(Val::Bool(a.contains(b))),
        Function::StartsWith => Some(Val::Bool(a.starts_with(b))),
        Function::EndsWith => Some(Val::Bool(a.ends_with(b))),
        Function::Split => {
            let parts: Vec<_> = if b.is_empty() {
                a.chars().map(|c| owned(c.to_string())).collect()
            } else {
                a.split(b).map(|part| owned(part.to_owned())).collect()
            };
            meter.charge(parts.len() as u64)?;
            Some(Val::List(Rc::new(parts)))
        }
        _ => None,
    })
}

fn replace<'a>(text: &str, from: &str, to: &str, meter: &mut Meter) -> Result<Val<'a>, EvalError> {
    if from.is_empty() {
        return Err(EvalError::value("`replace` needs something to look for"));
    }
    let count = text.matches(from).count();
    meter.bytes(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(owned(text.replace(from, to)))
}

fn join<'a>(list: &Val<'a>, between: &str, meter: &mut Meter) -> Called<'a> {
    if list.kind() != "a list" {
        return Ok(None);
    }
    let mut joined = String::new();
    for index in 0..list.len().unwrap_or(0) {
        let element = list.element(index).unwrap_or(Val::Null);
        let Val::Text(text) = &element else {
            return Err(EvalError::value(format!(
                "`join` joins text, not {}",
                element.kind()
            )));
        };
        meter.charge(1)?;
        meter.bytes(text.len() + between.len())?;
        if index > 0 {
            joined.push_str(between);
        }
        joined.push_str(text);
    }
    Ok(Some(owned(joined)))
}

/// One level: the elements of the lists in the list, other elements as they are.
fn flatten<'a>(list: &Val<'a>, meter: &mut Meter) -> Called<'a> {
    if list.kind() != "a list" {
        return Ok(None);
    }
    let mut flat = Vec::new();
    for index in 0..list.len().unwrap_or(0) {
        let element = list.element(index).unwrap_or(Val::Null);
        meter.charge(1 + element.len().unwrap_or(0) as u64)?;
        match element.kind() {
            "a list" => flat.extend(element.items().unwrap_or_default()),
            _ => flat.push(element),
        }
    }
    Ok(Some(Val::List(Rc::new(flat))))
}
