//! Values of WIT types from JSON and back, as `schema` says them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value, json};
use wasmtime::component::Val;
use wasmtime::component::types::Type;

use super::schema::EXACT_MAX;

/// The value of a type; `what` names it in the message. `None` where nothing is said.
pub(super) fn from_json(ty: &Type, json: Option<&Value>, what: &str) -> Result<Val, String> {
    if let Type::Option(option) = ty {
        return match json {
            None | Some(Value::Null) => Ok(Val::Option(None)),
            Some(json) => {
                let inner = from_json(&option.ty(), Some(json), what)?;
                Ok(Val::Option(Some(Box::new(inner))))
            }
        };
    }
    let json = json.ok_or_else(|| format!("`{what}` is missing"))?;
    let wrong = || format!("`{what}` is not of its type");
    Ok(match (ty, json) {
        (Type::Bool, Value::Bool(it)) => Val::Bool(*it),
        (Type::S8, it) => Val::S8(integer(it).ok_or_else(wrong)?),
        (Type::U8, it) => Val::U8(integer(it).ok_or_else(wrong)?),
        (Type::S16, it) => Val::S16(integer(it).ok_or_else(wrong)?),
        (Type::U16, it) => Val::U16(integer(it).ok_or_else(wrong)?),
        (Type::S32, it) => Val::S32(integer(it).ok_or_else(wrong)?),
        (Type::U32, it) => Val::U32(integer(it).ok_or_else(wrong)?),
        (Type::S64, it) => Val::S64(integer(it).ok_or_else(wrong)?),
        (Type::U64, it) => Val::U64(integer(it).ok_or_else(wrong)?),
        (Type::Float32, Value::Number(it)) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a number of JSON becomes the nearest one of the type"
            )]
            let near = it.as_f64().ok_or_else(wrong)? as f32;
            Val::Float32(near)
        }
        (Type::Float64, Value::Number(it)) => Val::Float64(it.as_f64().ok_or_else(wrong)?),
        (Type::Char, Value::String(it)) => {
            let mut characters = it.chars();
            match (characters.next(), characters.next()) {
                (Some(only), None) => Val::Char(only),
                _ => return Err(format!("`{what}` is not one character")),
            }
        }
        (Type::String, Value::String(it)) => Val::String(it.clone()),
        (Type::List(list), Value::String(it)) if list.ty() == Type::U8 => {
            let bytes = STANDARD
                .decode(it)
                .map_err(|error| format!("`{what}` is not base64: {error}"))?;
            Val::List(bytes.into_iter().map(Val::U8).collect())
        }
        (Type::List(list), Value::Array(items)) => Val::List(each(&list.ty(), items, what)?),
        (Type::FixedLengthList(list), Value::Array(items))
            if usize::try_from(list.len()) == Ok(items.len()) =>
        {
            Val::FixedLengthList(each(&list.ty(), items, what)?)
        }
        (Type::Record(record), Value::Object(members)) => {
            let mut fields = Vec::new();
            for field in record.fields() {
                let value = from_json(&field.ty, members.get(field.name), field.name)?;
                fields.push((field.name.to_owned(), value));
            }
            let known = |name: &String| fields.iter().any(|(it, _)| it == name);
            if let Some(odd) = members.keys().find(|name| !known(name)) {
                return Err(format!("`{what}` has no field `{odd}`"));
            }
            Val::Record(fields)
        }
        (Type::Tuple(tuple), Value::Array(items)) if tuple.types().len() == items.len() => {
            let pairs = tuple.types().zip(items);
            let items: Result<Vec<Val>, String> = pairs
                .map(|(ty, json)| from_json(&ty, Some(json), what))
                .collect();
            Val::Tuple(items?)
        }
        (Type::Variant(variant), json) => {
            let (name, inside) = case(json).ok_or_else(wrong)?;
            let case = variant.cases().find(|it| it.name == name);
            let case = case.ok_or_else(|| format!("`{what}` has no case `{name}`"))?;
            let inside = payload(case.ty.as_ref(), inside, name)?;
            Val::Variant(name.to_owned(), inside)
        }
        (Type::Result(result), json) => match case(json).ok_or_else(wrong)? {
            ("ok", inside) => Val::Result(Ok(payload(result.ok().as_ref(), inside, "ok")?)),
            ("err", inside) => Val::Result(Err(payload(result.err().as_ref(), inside, "err")?)),
            (name, _) => return Err(format!("`{what}` has no case `{name}`")),
        },
        (Type::Enum(names), Value::String(it)) if names.names().any(|name| name == it) => {
            Val::Enum(it.clone())
        }
        (Type::Flags(flags), Value::Array(items)) => {
            let name = |item: &Value| {
                item.as_str()
                    .filter(|it| flags.names().any(|name| name == *it))
                    .map(ToOwned::to_owned)
                    .ok_or_else(wrong)
            };
            let names: Result<Vec<String>, String> = items.iter().map(name).collect();
            Val::Flags(names?)
        }
        _ => return Err(wrong()),
    })
}

/// A number that is whole and of the type; `2.0` is 2.
fn integer<T: TryFrom<i128>>(json: &Value) -> Option<T> {
    let number = json.as_number()?;
    let whole = match (number.as_i64(), number.as_u64()) {
        (Some(it), _) => i128::from(it),
        (None, Some(it)) => i128::from(it),
        (None, None) => {
            let near = number.as_f64().filter(|it| it.fract() == 0.0)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole, and what is beyond the type does not fit it"
            )]
            let whole = near as i128;
            whole
        }
    };
    T::try_from(whole).ok()
}

fn each(ty: &Type, items: &[Value], what: &str) -> Result<Vec<Val>, String> {
    items
        .iter()
        .map(|json| from_json(ty, Some(json), what))
        .collect()
}

/// The name of a case, and what is in it.
fn case(json: &Value) -> Option<(&str, Option<&Value>)> {
    match json {
        Value::String(name) => Some((name, None)),
        // One key says which case it is; with two it would be two.
        Value::Object(members) if members.len() == 1 => {
            let (name, inside) = members.iter().next()?;
            Some((name, Some(inside)))
        }
        _ => None,
    }
}

fn payload(
    ty: Option<&Type>,
    inside: Option<&Value>,
    name: &str,
) -> Result<Option<Box<Val>>, String> {
    match (ty, inside) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(format!("the case `{name}` has nothing in it")),
        (Some(ty), inside) => from_json(ty, inside, name).map(|it| Some(Box::new(it))),
    }
}

/// The JSON of a value of this type.
pub(super) fn to_json(ty: &Type, value: &Val) -> Result<Value, String> {
    Ok(match (ty, value) {
        (_, Val::Bool(it)) => json!(it),
        (_, Val::S8(it)) => json!(it),
        (_, Val::U8(it)) => json!(it),
        (_, Val::S16(it)) => json!(it),
        (_, Val::U16(it)) => json!(it),
        (_, Val::S32(it)) => json!(it),
        (_, Val::U32(it)) => json!(it),
        (_, Val::S64(it)) => exact((*it).into())?,
        (_, Val::U64(it)) => exact((*it).into())?,
        (_, Val::Float32(it)) => number((*it).into())?,
        (_, Val::Float64(it)) => number(*it)?,
        (_, Val::Char(it)) => json!(it.to_string()),
        (_, Val::String(it) | Val::Enum(it)) => json!(it),
        (_, Val::Flags(names)) => json!(names),
        (Type::List(list), Val::List(items)) if list.ty() == Type::U8 => {
            // All of them are, by the type of the list.
            let bytes = items.iter().filter_map(|item| match item {
                Val::U8(it) => Some(*it),
                _ => None,
            });
            json!(STANDARD.encode(bytes.collect::<Vec<u8>>()))
        }
        (Type::List(list), Val::List(items)) => all(&list.ty(), items)?,
        (Type::FixedLengthList(list), Val::FixedLengthList(items)) => all(&list.ty(), items)?,
        (Type::Tuple(tuple), Val::Tuple(items)) => {
            let pairs = tuple.types().zip(items);
            let items: Result<Vec<Value>, String> =
                pairs.map(|(ty, item)| to_json(&ty, item)).collect();
            Value::Array(items?)
        }
        (Type::Record(record), Val::Record(fields)) => {
            let mut members = Map::new();
            for (field, (name, value)) in record.fields().zip(fields) {
                members.insert(name.clone(), to_json(&field.ty, value)?);
            }
            Value::Object(members)
        }
        (Type::Variant(variant), Val::Variant(name, inside)) => {
            let case = variant.cases().find(|case| case.name == name);
            told(name, case.and_then(|case| case.ty), inside.as_deref())?
        }
        (Type::Result(result), Val::Result(Ok(inside))) => {
            told("ok", result.ok(), inside.as_deref())?
        }
        (Type::Result(result), Val::Result(Err(inside))) => {
            told("err", result.err(), inside.as_deref())?
        }
        (Type::Option(_), Val::Option(None)) => Value::Null,
        (Type::Option(option), Val::Option(Some(inside))) => to_json(&option.ty(), inside)?,
        _ => return Err("it answered something that JSON has no form for".to_owned()),
    })
}

fn all(ty: &Type, items: &[Val]) -> Result<Value, String> {
    let items: Result<Vec<Value>, String> = items.iter().map(|item| to_json(ty, item)).collect();
    items.map(Value::Array)
}

fn told(name: &str, ty: Option<Type>, inside: Option<&Val>) -> Result<Value, String> {
    Ok(match (ty, inside) {
        (Some(ty), Some(inside)) => json!({ name: to_json(&ty, inside)? }),
        _ => json!(name),
    })
}

/// A whole number that every reader keeps.
fn exact(number: i128) -> Result<Value, String> {
    let most = i128::from(EXACT_MAX);
    match i64::try_from(number) {
        Ok(it) if (-most..=most).contains(&number) => Ok(json!(it)),
        _ => Err(format!(
            "it answered {number}, and readers of JSON keep whole numbers up to {EXACT_MAX}"
        )),
    }
}

fn number(number: f64) -> Result<Value, String> {
    let number = Number::from_f64(number);
    number
        .map(Value::Number)
        .ok_or_else(|| "it answered a number that JSON cannot hold: NaN or infinite".to_owned())
}
