//! Records that are read and not kept: what they say is borrowed from the bytes in which it was read.
//!
//! A run that is taken up has any number of records, and each of them is heard by several and kept by nobody. A copy of
//! each of its texts, made on one thread and let go on another, cost more than all that is done with it. So the lines that
//! were read together stay in one piece, which those who hear them share; what is known of a line is where its texts
//! stand. Only a text with an escape in it is made anew, when somebody asks for it. Must never say anything else of a line
//! than [`crate::record::View`], by whose rules it is read.

use std::borrow::Cow;

use crate::canonical::{Parsed, Piece, Raw, text_of};
use crate::chain::Claim;
use crate::checkpoint::parse_decimal;
use crate::fact::Value;
use crate::fields::{Fields, name_of};
use crate::merkle::{Hash, leaf_hash};
use crate::record::{LINE_BYTES_MAX, LineFault, Own, Owner, StoredRecord};
use crate::records::{FieldError, Kind, lent};

/// Bytes of a line for each of its kind's fields, most of them those of the ledger's own: room is made for so many.
const BYTES_A_FIELD: usize = 64;

/// A record that borrows what it says.
#[derive(Debug, Clone)]
pub struct LentRecord<'a> {
    /// Its place in the ledger, from 0.
    pub seq: u64,
    /// When it was appended, as [`StoredRecord::ts`].
    pub ts: &'a str,
    /// Whose run it is.
    pub tenant: Cow<'a, str>,
    /// Which run it is.
    pub run: Cow<'a, str>,
    /// Who did it.
    pub actor: Cow<'a, str>,
    /// The kind, if this version knows it.
    pub kind: Option<Kind>,
    /// The word in the `kind` field.
    pub kind_text: &'a str,
    /// The commitment to the payload, if the record has one.
    pub commit: Option<&'a str>,
    /// The kind's own fields.
    pub fields: LentFields<'a>,
    /// The hash of the record's line.
    pub leaf: Hash,
    /// The line as stored, without LF.
    pub line: &'a [u8],
}

impl<'a> LentRecord<'a> {
    /// A field that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        match self.fields.get(name)? {
            Parsed::Text(text) => Some(text),
            Parsed::List(_) | Parsed::Map(_) => None,
        }
    }

    /// A field that is a decimal number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(|text| parse_decimal(&text))
    }

    /// What the record says, as [`StoredRecord::read`].
    ///
    /// # Errors
    /// As [`StoredRecord::read`].
    pub fn read(&self) -> Result<Option<lent::Record<'a>>, FieldError> {
        self.kind
            .map(|kind| lent::Record::of(kind, self.fields))
            .transpose()
    }

    /// The same, for who keeps it.
    #[must_use]
    pub fn to_stored(&self) -> StoredRecord {
        StoredRecord {
            seq: self.seq,
            ts: self.ts.to_owned(),
            tenant: self.tenant.to_string(),
            run: self.run.to_string(),
            actor: self.actor.to_string(),
            kind_text: match self.kind {
                Some(kind) => Cow::Borrowed(kind.as_str()),
                None => Cow::Owned(self.kind_text.to_owned()),
            },
            commit: self.commit.map(str::to_owned),
            fields: self.fields.to_fields(),
            leaf: self.leaf,
            line: self.line.to_vec(),
        }
    }
}

impl StoredRecord {
    /// The record, for who does not keep it.
    #[must_use]
    pub fn lent(&self) -> LentRecord<'_> {
        LentRecord {
            seq: self.seq,
            ts: &self.ts,
            tenant: Cow::Borrowed(&self.tenant),
            run: Cow::Borrowed(&self.run),
            actor: Cow::Borrowed(&self.actor),
            kind: self.kind(),
            kind_text: &self.kind_text,
            commit: self.commit.as_deref(),
            fields: LentFields(Place::Kept(&self.fields)),
            leaf: self.leaf,
            line: &self.line,
        }
    }
}

/// The fields of one record, by name, wherever they stand.
#[derive(Debug, Clone, Copy)]
pub struct LentFields<'a>(Place<'a>);

#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    /// With a record that somebody keeps.
    Kept(&'a Fields),
    /// In lines that were read together.
    Read { text: &'a str, fields: &'a [Field] },
}

impl<'a> From<&'a Fields> for LentFields<'a> {
    fn from(fields: &'a Fields) -> Self {
        Self(Place::Kept(fields))
    }
}

impl<'a> LentFields<'a> {
    /// The value of the field `name`, if there is one.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Parsed<'a>> {
        match self.0 {
            Place::Kept(fields) => fields.get(name).map(lend),
            Place::Read { text, fields } => {
                let field = fields.iter().find(|field| field.is_named(name, text))?;
                Some(field.value(text).parsed())
            }
        }
    }

    fn to_fields(self) -> Fields {
        match self.0 {
            Place::Kept(fields) => fields.clone(),
            Place::Read { text, fields } => {
                let all = fields.iter().map(|field| {
                    let name = field.name.piece(text).text();
                    (name_of(&name), field.value(text).parsed().to_value())
                });
                all.collect()
            }
        }
    }
}

fn lend(value: &Value) -> Parsed<'_> {
    match value {
        Value::Text(text) => Parsed::Text(Cow::Borrowed(text)),
        Value::List(items) => {
            let items = items.iter();
            Parsed::List(items.map(|item| Cow::Borrowed(item.as_str())).collect())
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            let lent = entries
                .map(|(name, text)| (Cow::Borrowed(name.as_str()), Cow::Borrowed(text.as_str())));
            Parsed::Map(lent.collect())
        }
    }
}

/// Where a string stands in the text of a batch. As small as it can be: there are some twenty of them for each line.
#[derive(Debug, Clone, Copy)]
struct Spot {
    at: u32,
    len: u32,
    escaped: bool,
}

impl Spot {
    /// Where a piece of the line is that begins at `line`.
    fn of(piece: Piece<'_>, line: usize) -> Self {
        Self {
            at: small(line + piece.at),
            len: small(piece.raw.len()),
            escaped: piece.escaped,
        }
    }

    fn piece(self, text: &str) -> Piece<'_> {
        let at = self.at as usize;
        let raw = text.get(at..at + self.len as usize);
        debug_assert!(raw.is_some(), "it was found in this text");
        Piece {
            raw: raw.unwrap_or_default(),
            at,
            escaped: self.escaped,
        }
    }
}

/// A place in the text of a batch, which has a few hundred KiB: lines of a bounded length that were read at once.
fn small(at: usize) -> u32 {
    debug_assert!(u32::try_from(at).is_ok(), "a batch is small");
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// A field of a kind.
#[derive(Debug, Clone, Copy)]
struct Field {
    name: Spot,
    shape: Shape,
    value: Spot,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    List,
    Map,
}

impl Field {
    fn of(name: Piece<'_>, value: Raw<'_>, line: usize) -> Self {
        let (shape, value) = match value {
            Raw::Text(piece) => (Shape::Text, piece),
            Raw::List(piece) => (Shape::List, piece),
            Raw::Map(piece) => (Shape::Map, piece),
        };
        Self {
            name: Spot::of(name, line),
            shape,
            value: Spot::of(value, line),
        }
    }

    /// Whether it has this name. Of a dozen names few are as long as another, so that their lengths come first.
    fn is_named(self, name: &str, text: &str) -> bool {
        match self.name.escaped {
            false => self.name.len as usize == name.len() && self.name.piece(text).raw == name,
            true => self.name.piece(text).text() == name,
        }
    }

    fn value(self, text: &str) -> Raw<'_> {
        let piece = self.value.piece(text);
        match self.shape {
            Shape::Text => Raw::Text(piece),
            Shape::List => Raw::List(piece),
            Shape::Map => Raw::Map(piece),
        }
    }
}

/// Where the record of one line stands.
#[derive(Debug, Clone)]
struct Line {
    seq: u64,
    kind: Option<Kind>,
    leaf: Hash,
    /// The whole line, without its LF.
    whole: Spot,
    ts: Spot,
    tenant: Spot,
    run: Spot,
    actor: Spot,
    kind_text: Spot,
    commit: Option<Spot>,
    /// Its first field among those of all, and the one behind its last.
    fields: (usize, usize),
}

/// Records whose lines were read together, for all who hear them.
#[derive(Debug, Default)]
pub struct LentBatch {
    text: String,
    lines: Vec<Line>,
    fields: Vec<Field>,
}

impl LentBatch {
    /// The records, in their order.
    pub fn records(&self) -> impl Iterator<Item = LentRecord<'_>> {
        self.lines.iter().map(|line| self.record_of(line))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The record at this place of the batch.
    pub(crate) fn record(&self, at: usize) -> Option<LentRecord<'_>> {
        self.lines.get(at).map(|line| self.record_of(line))
    }

    /// Their lines, without their LF.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .map(|line| line.whole.piece(&self.text).raw.as_bytes())
    }

    /// Lets go of those from this place on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.lines.truncate(len);
    }

    fn record_of(&self, line: &Line) -> LentRecord<'_> {
        let text = self.text.as_str();
        let (first, behind) = line.fields;
        LentRecord {
            seq: line.seq,
            ts: line.ts.piece(text).raw,
            tenant: line.tenant.piece(text).text(),
            run: line.run.piece(text).text(),
            actor: line.actor.piece(text).text(),
            kind: line.kind,
            kind_text: line.kind_text.piece(text).raw,
            commit: line.commit.map(|commit| commit.piece(text).raw),
            fields: LentFields(Place::Read {
                text,
                fields: self.fields.get(first..behind).unwrap_or_default(),
            }),
            leaf: line.leaf,
            line: line.whole.piece(text).raw.as_bytes(),
        }
    }
}

/// What ends a batch before its lines do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Fault(LineFault),
    /// The file's end cuts the line off, or the bound of a line; why it is no line.
    Torn(&'static str),
}

/// Lines that were read together, as far as each can be judged alone.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) batch: LentBatch,
    /// What each of the records says of its place.
    pub(crate) claims: Vec<Claim>,
    /// What is wrong with the line behind them. What comes behind that is not looked at, because a chunk of nothing but
    /// line ends would else take hundreds of times its bytes.
    pub(crate) end: Option<End>,
}

impl Lines {
    pub(crate) fn read(bytes: Vec<u8>, owner: &Owner) -> Self {
        let (text, odd) = texts(bytes);
        let (mut lines, mut start) = (Self::default(), 0);
        lines.batch.fields.reserve(text.len() / BYTES_A_FIELD);
        while start < text.len() && lines.end.is_none() {
            let rest = text.as_bytes().get(start..).unwrap_or_default();
            let len = memchr::memchr(b'\n', rest);
            let stored = len.map_or(rest.len(), |len| len + 1);
            let line = text.get(start..start + len.unwrap_or(stored));
            let read = length(stored, len.is_some())
                .and_then(|()| lines.take(line.unwrap_or_default(), start, owner));
            lines.end = read.err();
            start += stored;
        }
        lines.end = lines.end.take().or(odd);
        lines.batch.text = text;
        lines
    }

    fn take(&mut self, line: &str, start: usize, owner: &Owner) -> Result<(), End> {
        let fields = &mut self.batch.fields;
        let first = fields.len();
        let own = Own::split(line, &mut |name, value| {
            fields.push(Field::of(name, value, start));
        });
        let own = own.map_err(End::Fault)?;
        let leaf = leaf_hash(line.as_bytes());
        let (tenant, run) = (own.tenant.text(), own.run.text());
        let claim = Claim::new(own.seq, [&tenant, &run], own.prev.raw, owner, leaf);
        self.claims.push(claim);
        let spot = |piece| Spot::of(piece, start);
        self.batch.lines.push(Line {
            seq: own.seq,
            kind: Kind::parse(own.kind.raw),
            leaf,
            whole: Spot {
                at: small(start),
                len: small(line.len()),
                escaped: false,
            },
            ts: spot(own.ts),
            tenant: spot(own.tenant),
            run: spot(own.run),
            actor: spot(own.actor),
            kind_text: spot(own.kind),
            commit: own.commit.map(spot),
            fields: (first, self.batch.fields.len()),
        });
        Ok(())
    }
}

/// What is wrong with a line of so many bytes, its LF included where it is complete.
fn length(stored: usize, complete: bool) -> Result<(), End> {
    match (complete, stored > LINE_BYTES_MAX + usize::from(complete)) {
        (true, true) => Err(End::Fault(LineFault::Length("too long"))),
        (false, true) => Err(End::Torn("too long")),
        (false, false) => Err(End::Torn("cut off: it has no line end")),
        (true, false) => Ok(()),
    }
}

/// The lines that are text, and what is wrong with the first that is none.
fn texts(bytes: Vec<u8>) -> (String, Option<End>) {
    let error = match String::from_utf8(bytes) {
        Ok(text) => return (text, None),
        Err(error) => error,
    };
    let sound = error.utf8_error().valid_up_to();
    let mut bytes = error.into_bytes();
    let lf = memchr::memrchr(b'\n', bytes.get(..sound).unwrap_or_default());
    let odd = bytes.split_off(lf.map_or(0, |lf| lf + 1));
    let lf = memchr::memchr(b'\n', &odd);
    let stored = lf.map_or(odd.len(), |lf| lf + 1);
    let line = odd.get(..lf.unwrap_or(stored)).unwrap_or_default();
    let fault = length(stored, lf.is_some()).and_then(|()| match text_of(line) {
        Ok(_) => Ok(()),
        Err(fault) => Err(End::Fault(fault.into())),
    });
    // The lines before it were found to be text.
    (String::from_utf8(bytes).unwrap_or_default(), fault.err())
}

#[cfg(test)]
mod tests;
