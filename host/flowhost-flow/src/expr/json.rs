//! The way back to JSON, paid for before anything is copied.

use serde_json::{Map, Number, Value};

use crate::effort::{Meter, Spent};
use crate::expr::fault::Fault;
use crate::expr::value::{Key, Text, Val};

/// The value as JSON of its own.
pub(super) fn made<'a>(value: &Val<'a>, meter: &mut Meter<'_>) -> Result<Value, Fault<'a>> {
    meter.charge(1)?;
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(value) => Value::Bool(*value),
        Val::Int(number) => Value::from(*number),
        Val::Uint(number) => Value::from(*number),
        Val::Double(number) => Number::from_f64(*number)
            .map(Value::Number)
            .ok_or(Fault::Said("the result is not a finite number"))?,
        Val::Text(text) => {
            meter.json_text(text.len())?;
            Value::String((**text).to_owned())
        }
        Val::Json(value) => {
            charge_copy(value, meter)?;
            (*value).clone()
        }
        Val::List(items) => {
            meter.list(items.len())?;
            let mut values = Vec::with_capacity(items.len());
            for item in items.iter() {
                values.push(made(item, meter)?);
            }
            Value::Array(values)
        }
        Val::Map(members) => {
            meter.json_object(members.len())?;
            let mut object = Map::new();
            for (key, member) in members.iter() {
                let key = key_text(key);
                meter.json_text(key.len())?;
                let member = made(member, meter)?;
                if object.insert((*key).to_owned(), member).is_some() {
                    // `{1: a, '1': b}` has two keys, and one in JSON.
                    return Err(Fault::Twice(Key::Text(key)));
                }
            }
            Value::Object(object)
        }
        // The longest IPv6 address has 39 characters, and a network of one four more.
        Val::Ip(address) => {
            meter.json_text(40)?;
            Value::String(address.to_string())
        }
        Val::Network(network) => {
            meter.json_text(44)?;
            Value::String(network.to_string())
        }
        Val::Optional(_) => {
            return Err(Fault::Said(
                "the result is an optional value; say what holds without one: `.orValue(…)`",
            ));
        }
    })
}

/// A key as JSON has it: numbers, true and false become text.
pub(super) fn key_text<'a>(key: &Key<'a>) -> Text<'a> {
    match key {
        Key::Text(text) => text.clone(),
        Key::Bool(true) => Text::Outside("true"),
        Key::Bool(false) => Text::Outside("false"),
        Key::Int(number) => Text::own(number.to_string()),
        Key::Large(number) => Text::own(number.to_string()),
    }
}

/// Pays for a copy of the whole value before it is made.
pub(super) fn charge_copy(value: &Value, meter: &mut Meter<'_>) -> Result<(), Spent> {
    meter.charge(1)?;
    match value {
        Value::String(text) => meter.json_text(text.len()),
        Value::Array(items) => {
            meter.list(0)?;
            items.iter().try_for_each(|item| charge_copy(item, meter))
        }
        Value::Object(members) => {
            meter.json_object(members.len())?;
            members.iter().try_for_each(|(key, member)| {
                meter.json_text(key.len())?;
                charge_copy(member, meter)
            })
        }
        _ => Ok(()),
    }
}
