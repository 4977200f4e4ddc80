//! Values during an evaluation: JSON that is borrowed as long as it can be.
//!
//! Owns equality, order and the way back to JSON. Must not copy a list or a map to look into it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Number, Value};

use crate::expr::EvalError;
use crate::expr::eval::Meter;

/// A value. Arrays and objects that come from outside stay where they are.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    /// An array or an object.
    Json(&'a Value),
    List(Rc<Vec<Val<'a>>>),
    Map(Rc<BTreeMap<String, Val<'a>>>),
}

impl<'a> From<&'a Value> for Val<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => number.as_i64().map_or_else(
                || Self::Double(number.as_f64().unwrap_or(f64::NAN)),
                Self::Int,
            ),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }
}

/// What a JSON value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    Val::from(value).kind()
}

impl<'a> Val<'a> {
    /// What the value is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Double(_) => "a number",
            Self::Text(_) => "text",
            Self::Json(Value::Array(_)) | Self::List(_) => "a list",
            Self::Json(_) | Self::Map(_) => "an object",
        }
    }

    /// A number as a double.
    #[expect(
        clippy::cast_precision_loss,
        reason = "CEL compares whole and other numbers so"
    )]
    pub(super) fn double(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// A scalar as text.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        crate::expr::functions::text_of(self)
    }

    /// Number of elements or members, for lists and objects.
    pub(super) fn len(&self) -> Option<usize> {
        match self {
            Self::Json(Value::Array(items)) => Some(items.len()),
            Self::Json(Value::Object(members)) => Some(members.len()),
            Self::List(items) => Some(items.len()),
            Self::Map(members) => Some(members.len()),
            _ => None,
        }
    }

    /// The element at `index` of a list.
    pub(super) fn element(&self, index: usize) -> Option<Val<'a>> {
        match self {
            Self::Json(Value::Array(items)) => items.get(index).map(Val::from),
            Self::List(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// The member `name` of an object.
    pub(super) fn member(&self, name: &str) -> Option<Val<'a>> {
        match self {
            Self::Json(Value::Object(members)) => members.get(name).map(Val::from),
            Self::Map(members) => members.get(name).cloned(),
            _ => None,
        }
    }

    /// What a loop runs over: the elements of a list, the sorted keys of an object.
    pub(super) fn items(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Self::Json(Value::Array(items)) => Some(items.iter().map(Val::from).collect()),
            Self::Json(Value::Object(members)) => {
                let mut keys: Vec<&'a String> = members.keys().collect();
                keys.sort_unstable();
                Some(
                    keys.into_iter()
                        .map(|key| Val::Text(Cow::Borrowed(key)))
                        .collect(),
                )
            }
            Self::List(items) => Some(items.as_ref().clone()),
            Self::Map(members) => Some(
                members
                    .keys()
                    .map(|key| Val::Text(Cow::Owned(key.clone())))
                    .collect(),
            ),
            _ => None,
        }
    }

    /// CEL's equality: numbers by value, everything else by kind and content.
    pub(super) fn equals(&self, other: &Val<'a>, meter: &mut Meter) -> Result<bool, EvalError> {
        meter.charge(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => {
                meter.bytes(a.len().min(b.len()))?;
                a == b
            }
            _ => match (self.double(), other.double()) {
                (Some(a), Some(b)) => a.partial_cmp(&b) == Some(Ordering::Equal),
                _ => return self.containers_equal(other, meter),
            },
        })
    }

    fn containers_equal(&self, other: &Val<'a>, meter: &mut Meter) -> Result<bool, EvalError> {
        let (Some(len), Some(other_len)) = (self.len(), other.len()) else {
            return Ok(false);
        };
        if len != other_len || self.kind() != other.kind() {
            return Ok(false);
        }
        if self.kind() == "a list" {
            for index in 0..len {
                match (self.element(index), other.element(index)) {
                    (Some(a), Some(b)) if a.equals(&b, meter)? => {}
                    _ => return Ok(false),
                }
            }
            return Ok(true);
        }
        meter.charge(len as u64)?;
        for key in self.items().unwrap_or_default() {
            let Val::Text(key) = key else {
                return Ok(false);
            };
            match (self.member(&key), other.member(&key)) {
                (Some(a), Some(b)) if a.equals(&b, meter)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The order of two values, if they have one.
    pub(super) fn order(&self, other: &Val<'a>) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            _ => self.double()?.partial_cmp(&other.double()?),
        }
    }

    /// The value as JSON of its own.
    pub(super) fn into_json(self, meter: &mut Meter) -> Result<Value, EvalError> {
        meter.charge(1)?;
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(number) => Value::from(number),
            Self::Double(number) => Number::from_f64(number)
                .map(Value::Number)
                .ok_or_else(|| EvalError::value("the result is not a finite number"))?,
            Self::Text(text) => {
                meter.bytes(text.len())?;
                Value::String(text.into_owned())
            }
            Self::Json(value) => {
                charge_copy(value, meter)?;
                value.clone()
            }
            Self::List(items) => {
                let items = Rc::try_unwrap(items).unwrap_or_else(|items| items.as_ref().clone());
                let values: Result<Vec<_>, _> = items
                    .into_iter()
                    .map(|item| item.into_json(meter))
                    .collect();
                Value::Array(values?)
            }
            Self::Map(members) => {
                let mut object = Map::new();
                for (key, member) in members.as_ref() {
                    meter.bytes(key.len())?;
                    object.insert(key.clone(), member.clone().into_json(meter)?);
                }
                Value::Object(object)
            }
        })
    }
}

/// Pays for a copy of the whole value before it is made.
fn charge_copy(value: &Value, meter: &mut Meter) -> Result<(), EvalError> {
    meter.charge(1)?;
    match value {
        Value::String(text) => meter.bytes(text.len()),
        Value::Array(items) => items.iter().try_for_each(|item| charge_copy(item, meter)),
        Value::Object(members) => members.iter().try_for_each(|(key, member)| {
            meter.bytes(key.len())?;
            charge_copy(member, meter)
        }),
        _ => Ok(()),
    }
}
