//! The canonical form (RFC 8785) of nearly all plans, written without a tree of them.
//!
//! Members are written as they come, and put in the order of their names when their object ends: for names in ASCII that
//! is the order of their bytes. What needs more of the rules (a number whose notation is a matter of taste, a name beyond
//! ASCII) is left to a library that has all of them. Must write what that would write.

use std::ops::Range;

use serde::Serialize;
use serde::ser::{self, Error as _, Serializer};
use serde_json::Error;

use crate::units::INTEGER_MAX;

/// The canonical form of `value`.
pub(super) fn to_vec(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::default();
    match value.serialize(&mut writer) {
        Ok(()) => Ok(writer.out),
        Err(_) if writer.is_ruled => serde_json_canonicalizer::to_vec(value),
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// Members of the objects that are being written, those of the innermost last.
    members: Vec<Member>,
    /// Their names.
    names: Vec<u8>,
    /// Where the members of an object are put in order.
    spare: Vec<u8>,
    /// Why nothing more is written, if so: the value needs the rules.
    is_ruled: bool,
}

/// Where a member's name stands among the names, and the whole of it in what was written.
struct Member {
    name: Range<usize>,
    text: Range<usize>,
}

impl Writer {
    fn ruled<T>(&mut self) -> Result<T, Error> {
        self.is_ruled = true;
        Err(Error::custom("it needs the rules"))
    }

    /// What has one notation.
    fn plain(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, value)
    }

    fn integer(&mut self, magnitude: u64, value: impl Serialize) -> Result<(), Error> {
        match magnitude > INTEGER_MAX {
            true => self.ruled(),
            false => self.plain(&value),
        }
    }

    fn float(&mut self, value: f64) -> Result<(), Error> {
        match value.is_finite() {
            true => self.ruled(),
            false => self.plain(&()),
        }
    }

    /// Begins an object or a list.
    fn open(&mut self, bracket: u8) -> Compound<'_> {
        self.out.push(bracket);
        Compound {
            start: self.out.len(),
            members: self.members.len(),
            names: self.names.len(),
            member: None,
            is_variant: false,
            writer: self,
        }
    }

    /// Begins an object whose one member is named like a variant.
    fn open_variant(&mut self, variant: &str) -> Result<(), Error> {
        self.out.push(b'{');
        self.plain(variant)?;
        self.out.push(b':');
        Ok(())
    }

    /// Begins an object or a list that is the value of a variant.
    fn open_in_variant(&mut self, variant: &str, bracket: u8) -> Result<Compound<'_>, Error> {
        self.open_variant(variant)?;
        let mut compound = self.open(bracket);
        compound.is_variant = true;
        Ok(compound)
    }

    fn name(&self, member: &Member) -> &[u8] {
        self.names.get(member.name.clone()).unwrap_or_default()
    }

    /// Puts the members that were written from `start` on in the order of their names.
    fn sort(&mut self, start: usize, first: usize) {
        let is_next = |pair: &[Member]| match pair {
            [one, next] => self.name(one) < self.name(next),
            _ => true,
        };
        let own = self.members.get(first..).unwrap_or_default();
        if own.windows(2).all(is_next) {
            return self.members.truncate(first);
        }
        let mut members = self.members.split_off(first);
        members.sort_by(|one, other| self.name(one).cmp(self.name(other)));
        let mut sorted = std::mem::take(&mut self.spare);
        sorted.clear();
        for (place, member) in members.iter().enumerate() {
            let next = members.get(place + 1);
            if next.is_some_and(|next| self.name(next) == self.name(member)) {
                continue; // of two with one name the later counts
            }
            if !sorted.is_empty() {
                sorted.push(b',');
            }
            let text = self.out.get(member.text.clone());
            sorted.extend_from_slice(text.unwrap_or_default());
        }
        self.out.truncate(start);
        self.out.extend_from_slice(&sorted);
        self.spare = sorted;
    }
}

/// An object or a list that is being written.
struct Compound<'w> {
    writer: &'w mut Writer,
    /// Where what is in it begins, and its members and their names.
    start: usize,
    members: usize,
    names: usize,
    /// The name of the member whose value comes next, and where it was written.
    member: Option<(Range<usize>, usize)>,
    /// Whether it stands in an object of its own.
    is_variant: bool,
}

impl Compound<'_> {
    fn next(&mut self) {
        if self.writer.out.len() > self.start {
            self.writer.out.push(b',');
        }
    }

    fn item(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        self.next();
        value.serialize(&mut *self.writer)
    }

    /// The name of the next member, in ASCII and without anything that would be escaped.
    fn named(&mut self, name: &[u8]) -> Result<(), Error> {
        if !name.is_ascii() || name.contains(&b'\\') {
            return self.writer.ruled();
        }
        self.next();
        let (at, from) = (self.writer.out.len(), self.writer.names.len());
        self.writer.names.extend_from_slice(name);
        self.writer.out.push(b'"');
        self.writer.out.extend_from_slice(name);
        self.writer.out.extend_from_slice(b"\":");
        self.member = Some((from..self.writer.names.len(), at));
        Ok(())
    }

    fn value(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
        let Some((name, at)) = self.member.take() else {
            return Err(Error::custom("a value without a name"));
        };
        value.serialize(&mut *self.writer)?;
        let text = at..self.writer.out.len();
        self.writer.members.push(Member { name, text });
        Ok(())
    }

    fn close(self, bracket: u8) {
        self.writer.sort(self.start, self.members);
        self.writer.names.truncate(self.names);
        self.writer.out.push(bracket);
        if self.is_variant {
            self.writer.out.push(b'}');
        }
    }
}

macro_rules! lists {
    ($($way:ident $item:ident)*) => {$(
        impl ser::$way for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close(b']');
                Ok(())
            }
        }
    )*};
}

lists! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! objects {
    ($($way:ident)*) => {$(
        impl ser::$way for Compound<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.named(name.as_bytes())?;
                self.value(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close(b'}');
                Ok(())
            }
        }
    )*};
}

objects! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let text = serde_json::to_vec(key)?;
        // A number or a truth value is named as it is written.
        let name = text.strip_prefix(b"\"");
        let name = name.and_then(|name| name.strip_suffix(b"\""));
        self.named(name.unwrap_or(&text))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.close(b'}');
        Ok(())
    }
}

macro_rules! integers {
    ($($signed:ident $signed_type:ty, $unsigned:ident $unsigned_type:ty;)*) => {$(
        fn $signed(self, value: $signed_type) -> Result<(), Error> {
            self.integer(i64::from(value).unsigned_abs(), value)
        }

        fn $unsigned(self, value: $unsigned_type) -> Result<(), Error> {
            self.integer(u64::from(value), value)
        }
    )*};
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'w>;
    type SerializeTuple = Compound<'w>;
    type SerializeTupleStruct = Compound<'w>;
    type SerializeTupleVariant = Compound<'w>;
    type SerializeMap = Compound<'w>;
    type SerializeStruct = Compound<'w>;
    type SerializeStructVariant = Compound<'w>;

    integers! {
        serialize_i8 i8, serialize_u8 u8;
        serialize_i16 i16, serialize_u16 u16;
        serialize_i32 i32, serialize_u32 u32;
        serialize_i64 i64, serialize_u64 u64;
    }

    fn serialize_i128(self, _: i128) -> Result<(), Error> {
        self.ruled()
    }

    fn serialize_u128(self, _: u128) -> Result<(), Error> {
        self.ruled()
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.float(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.float(value)
    }

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.plain(&value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.plain(&value)
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.plain(value)
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.plain(value)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.plain(&())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.plain(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.open_variant(variant)?;
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'['))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'['))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'['))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.open_in_variant(variant, b'[')
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'{'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'w>, Error> {
        Ok(self.open(b'{'))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'w>, Error> {
        self.open_in_variant(variant, b'{')
    }
}
