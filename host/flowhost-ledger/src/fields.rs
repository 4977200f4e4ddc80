//! The fields of one record, by name.
//!
//! Every record has a dozen of them, and a run has thousands of records, made once and read several times. A
//! map's nodes, and a copy of each name, were most of what that cost: so they stand in one list, and a name that
//! is a kind's own is not copied but pointed to.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

use crate::fact::Value;
use crate::known::Known;
use crate::records::Kind;

/// The name of a field: a kind's own, or a copy of one that only the line has.
pub type FieldName = Cow<'static, str>;

/// Room that a record's fields are given at first: almost none has more.
const ROOM: usize = 16;

/// The fields of one record, each name once, in the order of their names' bytes.
///
/// # Examples
///
/// ```
/// use flowhost_ledger::records::Fields;
/// let mut fields = Fields::new();
/// fields.insert("status", "ok".into());
/// fields.insert("class", "failed".into());
/// assert_eq!(fields.keys().collect::<Vec<_>>(), ["class", "status"]);
/// assert_eq!(fields.get("status").and_then(|value| value.as_text()), Some("ok"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// Sorted by name.
    entries: Vec<(FieldName, Value)>,
}

impl Fields {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// The value of the field `name`, if there is one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.find(name)?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// As [`Fields::get`], to change it.
    #[must_use]
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let at = self.find(name)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Whether there is a field `name`.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Adds a field, or replaces it: then the value that it had is given back.
    pub fn insert(&mut self, name: impl Into<FieldName>, value: Value) -> Option<Value> {
        let name = name.into();
        if self.entries.capacity() == 0 {
            self.entries.reserve(ROOM);
        }
        match self.place(&name) {
            Ok(at) => {
                let (_, old) = self.entries.get_mut(at)?;
                Some(std::mem::replace(old, value))
            }
            Err(at) => {
                self.entries.insert(at, (name, value));
                None
            }
        }
    }

    /// Takes a field out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.find(name)?;
        Some(self.entries.remove(at).1)
    }

    /// The fields in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (&**name, value))
    }

    /// As [`Fields::iter`], to change the values.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Value)> {
        self.entries
            .iter_mut()
            .map(|(name, value)| (&**name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where a name stands. Of a dozen names few are as long as another, so that looking at the lengths of all costs
    /// less than comparing the bytes of four: each record that is read is asked for some twenty of them.
    fn find(&self, name: &str) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.position(|(own, _)| own.len() == name.len() && **own == *name)
    }

    /// Where it stands, or where it would stand.
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(own, _)| (**own).cmp(name))
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: Into<FieldName>> FromIterator<(N, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, Value)>>(fields: I) -> Self {
        let fields = fields.into_iter();
        let mut all = Self {
            entries: Vec::with_capacity(fields.size_hint().0),
        };
        for (name, value) in fields {
            let name = name.into();
            let is_next = all.entries.last().is_none_or(|(last, _)| *last < name);
            // A line has them in their order already, so each of them goes to the end.
            match is_next {
                true => all.entries.push((name, value)),
                false => drop(all.insert(name, value)),
            }
        }
        all
    }
}

impl IntoIterator for Fields {
    type Item = (FieldName, Value);
    type IntoIter = std::vec::IntoIter<(FieldName, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// A name as it stands in a line, without a copy where a kind has it.
pub(crate) fn name_of(name: &str) -> FieldName {
    match NAMES.get(name) {
        Some((known, ())) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

/// The names of all kinds' fields.
static NAMES: LazyLock<Known<()>> = LazyLock::new(|| {
    let fields = Kind::ALL.iter().flat_map(|(kind, ..)| kind.fields());
    // Many kinds share some of them.
    let names: BTreeSet<&'static str> = fields.map(|field| field.name).collect();
    Known::of(names.into_iter().map(|name| (name, ())))
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_what_the_line_has_and_no_copy_where_a_kind_has_it() {
        for name in ["", "status", "no kind has this", "é"] {
            assert_eq!(name_of(name), name);
        }
        for (kind, ..) in Kind::ALL {
            for field in kind.fields() {
                assert!(
                    matches!(name_of(field.name), Cow::Borrowed(_)),
                    "{}",
                    field.name
                );
            }
        }
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_would_be(
            steps in proptest::collection::vec(("[a-d]{0,2}|é", 0..3_u8, 0..5_u64), 0..40)
        ) {
            let (mut fields, mut map) = (Fields::new(), BTreeMap::new());
            for (name, what, number) in steps {
                let value = Value::from(number);
                match what {
                    0 => prop_assert_eq!(
                        fields.insert(name.clone(), value.clone()),
                        map.insert(name, value)
                    ),
                    1 => prop_assert_eq!(fields.remove(&name), map.remove(&name)),
                    _ => prop_assert_eq!(fields.get_mut(&name), map.get_mut(&name)),
                }
                prop_assert_eq!(fields.len(), map.len());
            }
            for (left, right) in fields.iter().zip(&map) {
                prop_assert_eq!(left, (right.0.as_str(), right.1));
            }
            prop_assert_eq!(format!("{fields:?}"), format!("{map:?}"));
            prop_assert_eq!(map.clone().into_iter().rev().collect::<Fields>(), fields);
        }
    }
}
