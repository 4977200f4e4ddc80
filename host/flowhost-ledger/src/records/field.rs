//! What a record's field can be, how it becomes one of the format's three values, and how it is read
//! back. The wire knows strings, lists of strings and objects of strings; types end here.
//!
//! Reading is strict about what is there and mild about what is not: a field of the wrong form is an
//! error, an optional one that is missing is none, because records of older hosts lack newer fields.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::parts::lent::Part;
use crate::canonical::Parsed;
use crate::checkpoint::parse_decimal;
use crate::fact::Value;
use crate::fields::Fields;
use crate::lent::LentFields;

/// Why a record is not what its kind says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the field `{name}` {what}")]
pub struct FieldError {
    /// The field.
    pub name: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
}

/// The form of a field on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// A decimal number without sign or leading zeros.
    Number,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A list of decimal numbers.
    Numbers,
    /// Texts by name.
    Map,
}

/// One field as documentation and schema show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldDoc {
    /// Its name on the wire.
    pub name: &'static str,
    /// Its form.
    pub shape: Shape,
    /// Whether every record of the kind has it, older ones included.
    pub required: bool,
    /// What it says.
    pub doc: &'static str,
}

/// A field, or a group of fields that several kinds share.
pub trait Field: Sized + Any {
    /// The same, borrowed from where its record stands.
    type Lent<'a>: Clone + fmt::Debug + PartialEq + Eq;

    /// Adds what it says to `out`; a group ignores `name` and uses its own.
    fn put(self, name: &'static str, out: &mut Fields);

    /// Reads it.
    ///
    /// # Errors
    /// [`FieldError`] when it is missing and has to be there, or is of another form.
    fn get(name: &'static str, fields: &Fields) -> Result<Self, FieldError>;

    /// As [`Field::get`], without a copy of it.
    ///
    /// # Errors
    /// As [`Field::get`].
    fn lend<'a>(name: &'static str, fields: LentFields<'a>) -> Result<Self::Lent<'a>, FieldError>;

    /// Which group of fields it is, if it is one.
    #[must_use]
    fn part<'r, 'a>(_lent: &'r Self::Lent<'a>) -> Option<Part<'r, 'a>> {
        None
    }

    /// Adds what documentation says about it.
    fn describe(name: &'static str, doc: &'static str, out: &mut Vec<FieldDoc>);
}

/// A field of its own, with one value.
pub trait Single: Sized + Any {
    /// Its form.
    const SHAPE: Shape;

    /// The same, borrowed from where its record stands.
    type Seen<'a>: Clone + fmt::Debug + PartialEq + Eq;

    /// As the format has it.
    fn value(self) -> Value;

    /// Reads it; none when it is of another form.
    fn parse(value: &Value) -> Option<Self>;

    /// As [`Single::parse`], without a copy of it.
    fn see(value: Parsed<'_>) -> Option<Self::Seen<'_>>;
}

impl Shape {
    /// What a value of another form is told.
    const fn wanted(self) -> &'static str {
        match self {
            Self::Text => "has to be a text",
            Self::Number => "has to be a decimal number",
            Self::Flag => "has to be `true` or `false`",
            Self::Word(_) => "is not one of the words that it can be",
            Self::List => "has to be a list of texts",
            Self::Numbers => "has to be a list of decimal numbers",
            Self::Map => "has to be an object of texts",
        }
    }
}

/// The identifier of a field in the code as its name on the wire: `r#type` is `type`.
pub(super) fn wire(identifier: &'static str) -> &'static str {
    identifier.strip_prefix("r#").unwrap_or(identifier)
}

impl<T: Single> Field for T {
    type Lent<'a> = T::Seen<'a>;

    fn put(self, name: &'static str, out: &mut Fields) {
        out.insert(wire(name), self.value());
    }

    fn get(name: &'static str, fields: &Fields) -> Result<Self, FieldError> {
        let name = wire(name);
        let value = fields.get(name).ok_or(FieldError {
            name,
            what: "is missing",
        })?;
        T::parse(value).ok_or(FieldError {
            name,
            what: T::SHAPE.wanted(),
        })
    }

    fn lend<'a>(name: &'static str, fields: LentFields<'a>) -> Result<Self::Lent<'a>, FieldError> {
        let name = wire(name);
        let value = fields.get(name).ok_or(FieldError {
            name,
            what: "is missing",
        })?;
        T::see(value).ok_or(FieldError {
            name,
            what: T::SHAPE.wanted(),
        })
    }

    fn describe(name: &'static str, doc: &'static str, out: &mut Vec<FieldDoc>) {
        out.push(FieldDoc {
            name: wire(name),
            shape: T::SHAPE,
            required: true,
            doc: doc.trim(),
        });
    }
}

impl<T: Single> Field for Option<T> {
    type Lent<'a> = Option<T::Seen<'a>>;

    fn put(self, name: &'static str, out: &mut Fields) {
        if let Some(field) = self {
            field.put(name, out);
        }
    }

    fn get(name: &'static str, fields: &Fields) -> Result<Self, FieldError> {
        let name = wire(name);
        let Some(value) = fields.get(name) else {
            return Ok(None);
        };
        let parsed = T::parse(value).ok_or(FieldError {
            name,
            what: T::SHAPE.wanted(),
        });
        parsed.map(Some)
    }

    fn lend<'a>(name: &'static str, fields: LentFields<'a>) -> Result<Self::Lent<'a>, FieldError> {
        let name = wire(name);
        let Some(value) = fields.get(name) else {
            return Ok(None);
        };
        let seen = T::see(value).ok_or(FieldError {
            name,
            what: T::SHAPE.wanted(),
        });
        seen.map(Some)
    }

    fn describe(name: &'static str, doc: &'static str, out: &mut Vec<FieldDoc>) {
        out.push(FieldDoc {
            name: wire(name),
            shape: T::SHAPE,
            required: false,
            doc: doc.trim(),
        });
    }
}

impl Single for String {
    const SHAPE: Shape = Shape::Text;

    type Seen<'a> = Cow<'a, str>;

    fn value(self) -> Value {
        Value::Text(self)
    }

    fn parse(value: &Value) -> Option<Self> {
        value.as_text().map(str::to_owned)
    }

    fn see(value: Parsed<'_>) -> Option<Cow<'_, str>> {
        match value {
            Parsed::Text(text) => Some(text),
            Parsed::List(_) | Parsed::Map(_) => None,
        }
    }
}

impl Single for u64 {
    const SHAPE: Shape = Shape::Number;

    type Seen<'a> = Self;

    fn value(self) -> Value {
        Value::Text(self.to_string())
    }

    fn parse(value: &Value) -> Option<Self> {
        value.as_text().and_then(parse_decimal)
    }

    fn see(value: Parsed<'_>) -> Option<Self> {
        value.text().and_then(parse_decimal)
    }
}

impl Single for bool {
    const SHAPE: Shape = Shape::Flag;

    type Seen<'a> = Self;

    fn value(self) -> Value {
        Value::Text(self.to_string())
    }

    fn parse(value: &Value) -> Option<Self> {
        flag(value.as_text()?)
    }

    fn see(value: Parsed<'_>) -> Option<Self> {
        flag(value.text()?)
    }
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

impl Single for Vec<String> {
    const SHAPE: Shape = Shape::List;

    type Seen<'a> = Vec<Cow<'a, str>>;

    fn value(self) -> Value {
        Value::List(self)
    }

    fn parse(value: &Value) -> Option<Self> {
        value.as_list().map(<[String]>::to_vec)
    }

    fn see(value: Parsed<'_>) -> Option<Vec<Cow<'_, str>>> {
        match value {
            Parsed::List(items) => Some(items),
            Parsed::Text(_) | Parsed::Map(_) => None,
        }
    }
}

impl Single for Vec<u64> {
    const SHAPE: Shape = Shape::Numbers;

    type Seen<'a> = Self;

    fn value(self) -> Value {
        Value::List(self.iter().map(u64::to_string).collect())
    }

    fn parse(value: &Value) -> Option<Self> {
        value
            .as_list()?
            .iter()
            .map(|it| parse_decimal(it))
            .collect()
    }

    fn see(value: Parsed<'_>) -> Option<Self> {
        let items = <Vec<String> as Single>::see(value)?;
        items.iter().map(|it| parse_decimal(it)).collect()
    }
}

impl Single for BTreeMap<String, String> {
    const SHAPE: Shape = Shape::Map;

    type Seen<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

    fn value(self) -> Value {
        Value::Map(self)
    }

    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::Map(map) => Some(map.clone()),
            Value::Text(_) | Value::List(_) => None,
        }
    }

    fn see(value: Parsed<'_>) -> Option<Self::Seen<'_>> {
        match value {
            Parsed::Map(entries) => Some(entries.into_iter().collect()),
            Parsed::Text(_) | Parsed::List(_) => None,
        }
    }
}
