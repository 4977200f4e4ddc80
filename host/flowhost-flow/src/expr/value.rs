//! Values during an evaluation: shared and borrowed, never copied to look into them.
//!
//! A text is a slice of what the plan, a plugin or the evaluation itself made; reading a name, a local
//! or a part of a text costs no memory. Must not compare or convert: that is paid work, done elsewhere.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::ops::{Deref, Range};
use std::rc::Rc;

use serde_json::Value;

use crate::expr::functions::Network;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// From `1u`, `uint()` and JSON integers above 2^63 − 1.
    Uint(u64),
    Double(f64),
    Text(Text<'a>),
    /// An array or an object from outside; it stays where it is.
    Json(&'a Value),
    List(Rc<Vec<Val<'a>>>),
    /// Sorted by key.
    Map(Rc<Vec<(Key<'a>, Val<'a>)>>),
    Optional(Option<Rc<Val<'a>>>),
    Ip(IpAddr),
    Network(Network),
}

/// A text, or a part of one.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    Outside(&'a str),
    Own {
        whole: Rc<String>,
        from: usize,
        to: usize,
    },
}

impl Text<'_> {
    pub(super) fn own(text: String) -> Self {
        Self::Own {
            from: 0,
            to: text.len(),
            whole: Rc::new(text),
        }
    }

    /// The part at `range`, in bytes; empty where that is no part of the text.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        debug_assert!(
            self.get(range.clone()).is_some(),
            "ranges come from searching this very text"
        );
        match self {
            Self::Outside(text) => Self::Outside(text.get(range).unwrap_or_default()),
            Self::Own { whole, from, .. } => Self::Own {
                whole: Rc::clone(whole),
                from: from + range.start,
                to: from + range.end,
            },
        }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Outside(text) => text,
            Self::Own { whole, from, to } => whole.get(*from..*to).unwrap_or_default(),
        }
    }
}

/// A key of a map: what JSON and CEL have in common, and numbers by their value.
#[derive(Clone, Debug)]
pub(super) enum Key<'a> {
    Bool(bool),
    Int(i64),
    /// Above 2^63 − 1; smaller ones are `Int`, so that `1` and `1u` are one key.
    Large(u64),
    Text(Text<'a>),
}

impl<'a> Key<'a> {
    /// The key that a value is, if it is one.
    pub(super) fn of(value: &Val<'a>) -> Option<Self> {
        Some(match value {
            Val::Bool(value) => Self::Bool(*value),
            Val::Int(number) => Self::Int(*number),
            Val::Uint(number) => i64::try_from(*number).map_or(Self::Large(*number), Self::Int),
            Val::Text(text) => Self::Text(text.clone()),
            _ => return None,
        })
    }

    pub(super) fn value(&self) -> Val<'a> {
        match self {
            Self::Bool(value) => Val::Bool(*value),
            Self::Int(number) => Val::Int(*number),
            Self::Large(number) => Val::Uint(*number),
            Self::Text(text) => Val::Text(text.clone()),
        }
    }

    /// Bytes that a comparison with it may read.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 8,
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Large(a), Self::Large(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) => (**a).cmp(&**b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Key<'_> {
    /// Numbers first, the large ones behind all that are `Int`, so that they stand by their value. For the rest any
    /// order will do, as long as it is the same in every process: what loops over a map gives must not differ.
    const fn rank(&self) -> u8 {
        match self {
            Self::Int(_) => 0,
            Self::Large(_) => 1,
            Self::Bool(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}

impl<'a> From<&'a Value> for Val<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            // `Int` where it fits, so that one number is one key and one value, however it came here.
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number),
                (None, Some(number)) => Self::Uint(number),
                (None, None) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Self::Text(Text::Outside(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }
}

/// What a JSON value is, in words.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    Val::from(value).kind()
}

/// What a loop runs over: the elements of a list with their places, or the members of an object in
/// the order of their keys.
pub(super) enum Items<'a> {
    List(Val<'a>),
    Members(Vec<(Key<'a>, Val<'a>)>),
}

impl<'a> Items<'a> {
    pub(super) fn get(&self, place: usize) -> Option<(Val<'a>, Val<'a>)> {
        match self {
            Self::List(list) => {
                let index = i64::try_from(place).unwrap_or(i64::MAX);
                Some((Val::Int(index), list.element(place)?))
            }
            Self::Members(members) => members
                .get(place)
                .map(|(key, member)| (key.value(), member.clone())),
        }
    }
}

impl<'a> Val<'a> {
    pub(super) fn text(text: String) -> Self {
        Self::Text(Text::own(text))
    }

    pub(super) fn list(items: Vec<Val<'a>>) -> Self {
        Self::List(Rc::new(items))
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn some(value: Val<'a>) -> Self {
        Self::Optional(Some(Rc::new(value)))
    }

    /// What the value is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Uint(_) | Self::Double(_) => "a number",
            Self::Text(_) => "text",
            Self::Json(Value::Array(_)) | Self::List(_) => "a list",
            Self::Json(_) | Self::Map(_) => "an object",
            Self::Optional(_) => "an optional value",
            Self::Ip(_) => "an IP address",
            Self::Network(_) => "a network",
        }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::Json(Value::Array(_)) | Self::List(_))
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self, Self::Json(Value::Object(_)) | Self::Map(_))
    }

    /// A number as a double.
    #[expect(
        clippy::cast_precision_loss,
        reason = "arithmetic that mixes numbers is arithmetic of doubles"
    )]
    pub(super) fn double(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Uint(number) => Some(*number as f64),
            Self::Double(number) => Some(*number),
            _ => None,
        }
    }

    /// A whole number, also one that is written as `2.0`.
    pub(super) fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(i128::from(*number)),
            Self::Uint(number) => Some(i128::from(*number)),
            Self::Double(number) if number.fract() == 0.0 && number.abs() < 1e19 =>
            {
                #[expect(clippy::cast_possible_truncation, reason = "whole, and below 2^64")]
                Some(*number as i128)
            }
            _ => None,
        }
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

    /// The member `key` of an object. Paid by `Meter::look_up` before.
    pub(super) fn member(&self, key: &Key<'a>) -> Option<Val<'a>> {
        match (self, key) {
            (Self::Json(Value::Object(members)), Key::Text(name)) => {
                members.get(&**name).map(Val::from)
            }
            (Self::Map(members), key) => members
                .binary_search_by(|(known, _)| known.cmp(key))
                .ok()
                .and_then(|place| members.get(place))
                .map(|(_, member)| member.clone()),
            _ => None,
        }
    }

    /// What a loop runs over. Costs memory for an object's members: paid by their number before.
    pub(super) fn items(&self) -> Option<Items<'a>> {
        match self {
            Self::Json(Value::Object(members)) => {
                let mut list: Vec<_> = members
                    .iter()
                    .map(|(key, member)| (Key::Text(Text::Outside(key)), Val::from(member)))
                    .collect();
                // Sorted already, unless JSON objects are built to keep their order.
                list.sort_by(|(a, _), (b, _)| a.cmp(b));
                Some(Items::Members(list))
            }
            Self::Map(members) => Some(Items::Members(members.to_vec())),
            _ if self.is_list() => Some(Items::List(self.clone())),
            _ => None,
        }
    }
}
