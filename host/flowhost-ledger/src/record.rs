//! One record as a line: how a fact becomes one, and what a stored line must be to count as one.
//!
//! Printing happens once, when the record is made. After that the stored bytes are the record:
//! reading borrows from them and hashes them, and must never print them again. Pure.

use std::borrow::Cow;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use time::OffsetDateTime;

use crate::canonical::{self, Entries, Malformed, Piece, Raw};
use crate::checkpoint::parse_decimal;
use crate::fact::{Fact, Value};
use crate::fields::{Fields, name_of};
use crate::merkle::Hash;
use crate::records::Kind;

/// The format's name, in every record and in `ledger.json`.
pub const FORMAT: &str = "fhe/1";
/// Most bytes of a line without its LF: 64 KiB, so that a reader needs one small buffer. A longer
/// fact is refused; long texts belong into the payload.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of one payload: 16 MiB, so that a verifier's memory is bounded. A longer one is
/// refused.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most characters of a field's name. Names are the kinds' own and short; a line of a stranger may hold any.
const NAME_CHARS_MAX: usize = 64;
/// Field names that only the ledger itself sets.
pub const RESERVED: [&str; 9] = [
    "actor", "commit", "kind", "prev", "run", "seq", "tenant", "ts", "v",
];
/// `hmac-sha256:` and 64 hexadecimal digits.
const COMMIT_PREFIX: &str = "hmac-sha256:";
const COMMIT_LEN: usize = 12 + 64;
/// `2026-11-21T04:00:00.000000Z`.
const TS_SHAPE: &[u8; 27] = b"dddd-dd-ddTdd:dd:dd.ddddddZ";

/// The random key of one payload's commitment. Whoever loses it can no longer test guesses.
pub(crate) type Salt = [u8; 32];

/// `commit`: an HMAC-SHA-256 over the exact payload bytes, keyed with the salt.
pub(crate) fn commitment(salt: &Salt, payload: &[u8]) -> String {
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(salt) else {
        return String::new();
    };
    let hash = mac.chain_update(payload).finalize().into_bytes();
    let mut text = String::with_capacity(COMMIT_LEN);
    text.push_str(COMMIT_PREFIX);
    HEXLOWER.encode_append(&hash, &mut text);
    text
}

/// Whose records a ledger holds; the same in each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) tenant: String,
    pub(crate) run: String,
}

/// The part of a record that the ledger sets.
pub(crate) struct Head<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) seq: u64,
    pub(crate) ts_us: u64,
    pub(crate) prev: &'a Hash,
    pub(crate) commit: Option<&'a str>,
    /// The commitment to what is sealed beside the payload.
    pub(crate) sealed: Option<&'a str>,
}

/// Why a fact cannot become a record; `None` if it can. Counts with the longest `seq` there is, so
/// that the answer does not depend on when it is asked.
pub(crate) fn refusal(fact: &Fact, owner: &Owner) -> Option<String> {
    let mut len = canonical::escaped_len(&owner.tenant)
        + canonical::escaped_len(&owner.run)
        + canonical::escaped_len(&fact.actor)
        + fact.kind.as_str().len()
        // `prev`, and the longest number.
        + 64
        + 20
        + TS_SHAPE.len()
        + FORMAT.len();
    for name in RESERVED {
        len += name.len() + 6;
    }
    if fact.actor.is_empty() {
        return Some("it names no actor".to_owned());
    }
    for (name, value) in fact.fields.iter() {
        if !name_is_valid(name) {
            return Some(format!(
                "{name:?} cannot be a field name (letters, digits, _ . -)"
            ));
        }
        if name == "sealed" || reserved(name).is_some() {
            return Some(format!("the field {name:?} is the ledger's own"));
        }
        len += name.len() + 4 + canonical::value_len(value);
    }
    if fact.sealed.is_some() {
        len += COMMIT_LEN + r#""sealed":"","#.len();
    }
    if let Some(payload) = &fact.payload {
        len += COMMIT_LEN + r#""bytes":"","#.len() + 20;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Some(format!(
                "its payload has {} bytes, {PAYLOAD_BYTES_MAX} are allowed",
                payload.len()
            ));
        }
    }
    (len > LINE_BYTES_MAX).then(|| {
        format!("its line would have {len} bytes, {LINE_BYTES_MAX} are allowed; use the payload")
    })
}

fn name_is_valid(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Appends the record's line, without LF.
pub(crate) fn push_line(out: &mut Vec<u8>, head: &Head<'_>, fact: &Fact) {
    let (prev, ts) = (HEXLOWER.encode(head.prev), timestamp(head.ts_us));
    push_texts(out, head, &prev, &ts, fact);
}

/// As [`push_line`], with the hash before and the time as texts.
fn push_texts(out: &mut Vec<u8>, head: &Head<'_>, prev: &str, ts: &str, fact: &Fact) {
    let seq = head.seq.to_string();
    let bytes = fact
        .payload
        .as_ref()
        .map(|payload| Value::from(payload.len() as u64));
    // A kind may count something else by that name, and then means what it says.
    let bytes = bytes.filter(|_| !fact.fields.contains_key("bytes"));
    let ours = [
        ("actor", Some(fact.actor.as_str())),
        ("bytes", bytes.as_ref().and_then(Value::as_text)),
        ("commit", head.commit),
        ("kind", Some(fact.kind.as_str())),
        ("prev", Some(prev)),
        ("run", Some(head.owner.run.as_str())),
        ("sealed", head.sealed),
        ("seq", Some(seq.as_str())),
        ("tenant", Some(head.owner.tenant.as_str())),
        ("ts", Some(ts)),
        ("v", Some(FORMAT)),
    ];
    let mut fields = fact.fields.iter().peekable();
    let mut open = b'{';
    let mut key = |out: &mut Vec<u8>, name: &str| {
        out.push(open);
        open = b',';
        canonical::push_text(out, name);
        out.push(b':');
    };
    for (name, text) in ours {
        let Some(text) = text else { continue };
        while let Some((own, value)) = fields.next_if(|(own, _)| *own < name) {
            key(out, own);
            canonical::push_value(out, value);
        }
        key(out, name);
        canonical::push_text(out, text);
    }
    for (own, value) in fields {
        key(out, own);
        canonical::push_value(out, value);
    }
    out.push(b'}');
}

/// RFC 3339 in UTC with six fraction digits, from microseconds since 1970. The form has four digits for
/// the year, so whatever is later is told as the last moment of 9999.
#[must_use]
pub fn timestamp(us: u64) -> String {
    // 9999-12-31T23:59:59.999999Z.
    let us = us.min(253_402_300_799_999_999);
    let second = i64::try_from(us / 1_000_000).unwrap_or(i64::MAX);
    let at = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, time, fraction) = (at.date(), at.time(), us % 1_000_000);
    // By hand: each record has one, and a formatter's seven padded numbers were a tenth of its line.
    let parts = [
        (u64::try_from(date.year()).unwrap_or_default(), 4, '-'),
        (u64::from(u8::from(date.month())), 2, '-'),
        (u64::from(date.day()), 2, 'T'),
        (u64::from(time.hour()), 2, ':'),
        (u64::from(time.minute()), 2, ':'),
        (u64::from(time.second()), 2, '.'),
        (fraction, 6, 'Z'),
    ];
    let mut text = String::with_capacity(TS_SHAPE.len());
    for (number, digits, after) in parts {
        for place in (0..digits).rev() {
            let digit = number / 10_u64.pow(place) % 10;
            text.push(char::from(b'0' + u8::try_from(digit).unwrap_or_default()));
        }
        text.push(after);
    }
    text
}

/// Why a stored line is not the record that belongs there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Not the canonical form.
    #[error("not in canonical form: {0}")]
    Malformed(#[from] Malformed),
    /// A field of the ledger's own is missing or of the wrong shape.
    #[error("the field {0:?} is missing or malformed")]
    Field(&'static str),
    /// The sequence numbers have a gap or a repetition.
    #[error("expected seq {expected}, found {found}")]
    Seq {
        /// The number that belongs here.
        expected: u64,
        /// The number that is here.
        found: u64,
    },
    /// `prev` is not the hash of the record before.
    #[error("prev is not the hash of the record before it")]
    Prev,
    /// The record is another tenant's or run's.
    #[error("it is of another {0} than the ledger")]
    Owner(&'static str),
    /// The line has no end or is over 64 KiB.
    #[error("the line is {0}")]
    Length(&'static str),
}

/// The ledger's own fields of a well-formed record, as they stand in its line.
pub(crate) struct Own<'a> {
    pub(crate) seq: u64,
    pub(crate) ts: Piece<'a>,
    pub(crate) tenant: Piece<'a>,
    pub(crate) run: Piece<'a>,
    pub(crate) actor: Piece<'a>,
    pub(crate) kind: Piece<'a>,
    pub(crate) prev: Piece<'a>,
    pub(crate) commit: Option<Piece<'a>>,
}

impl<'a> Own<'a> {
    /// Reads a line (without LF) that must be a record, and hands the fields of its kind to `each`; says nothing about
    /// its place in a chain. Of a line that is no record, some of its fields were handed over.
    pub(crate) fn split(
        line: &'a str,
        each: &mut impl FnMut(Piece<'a>, Raw<'a>),
    ) -> Result<Self, LineFault> {
        let mut own: [Option<Piece<'a>>; 9] = Default::default();
        let mut odd = None;
        canonical::walk(line, &mut |name, value| {
            // No name of the ledger's own has anything that would be escaped.
            let slot = reserved(name.raw).and_then(|at| own.get_mut(at).map(|slot| (at, slot)));
            match (slot, value) {
                (Some((_, slot)), Raw::Text(text)) => *slot = Some(text),
                (Some((at, _)), _) => {
                    odd.get_or_insert(LineFault::Field(
                        RESERVED.get(at).copied().unwrap_or_default(),
                    ));
                }
                (None, value) => each(name, value),
            }
        })?;
        if let Some(odd) = odd {
            return Err(odd);
        }
        let [actor, commit, kind, prev, run, seq, tenant, ts, v] = own;
        plain(v, "v", |v| v == FORMAT)?;
        let seq = plain(seq, "seq", |_| true)?;
        Ok(Self {
            seq: parse_decimal(seq.raw).ok_or(LineFault::Field("seq"))?,
            ts: plain(ts, "ts", ts_is_valid)?,
            tenant: tenant.ok_or(LineFault::Field("tenant"))?,
            run: run.ok_or(LineFault::Field("run"))?,
            actor: actor.ok_or(LineFault::Field("actor"))?,
            kind: plain(kind, "kind", |kind| !kind.is_empty())?,
            prev: plain(prev, "prev", is_hash)?,
            commit: match commit {
                None => None,
                some => Some(plain(some, "commit", commit_is_valid)?),
            },
        })
    }
}

/// A well-formed record that borrows from its line.
#[derive(Debug, Clone)]
pub(crate) struct View<'a> {
    pub(crate) seq: u64,
    pub(crate) ts: &'a str,
    pub(crate) tenant: Cow<'a, str>,
    pub(crate) run: Cow<'a, str>,
    pub(crate) actor: Cow<'a, str>,
    pub(crate) kind: &'a str,
    pub(crate) prev: &'a str,
    pub(crate) commit: Option<&'a str>,
    pub(crate) fields: Entries<'a>,
}

impl<'a> View<'a> {
    /// Reads a line (without LF) that must be a record; says nothing about its place in a chain.
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, LineFault> {
        let mut fields = Vec::with_capacity(16);
        let own = Own::split(canonical::text_of(line)?, &mut |name, value| {
            fields.push((name.text(), value.parsed()));
        })?;
        Ok(Self {
            seq: own.seq,
            ts: own.ts.raw,
            tenant: own.tenant.text(),
            run: own.run.text(),
            actor: own.actor.text(),
            kind: own.kind.raw,
            prev: own.prev.raw,
            commit: own.commit.map(|commit| commit.raw),
            fields,
        })
    }

    pub(crate) fn field(&self, name: &str) -> Option<&canonical::Parsed<'a>> {
        self.fields
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        Kind::parse(self.kind)
    }
}

/// Where a name stands in [`RESERVED`]. Every line has fifteen names or so, and nine comparisons for each of them
/// were a tenth of what it takes to read one.
fn reserved(name: &str) -> Option<usize> {
    Some(match name {
        "actor" => 0,
        "commit" => 1,
        "kind" => 2,
        "prev" => 3,
        "run" => 4,
        "seq" => 5,
        "tenant" => 6,
        "ts" => 7,
        "v" => 8,
        _ => return None,
    })
}

/// A field whose valid values hold nothing that would be escaped.
fn plain<'a>(
    value: Option<Piece<'a>>,
    name: &'static str,
    valid: impl Fn(&str) -> bool,
) -> Result<Piece<'a>, LineFault> {
    match value {
        Some(piece) if !piece.escaped && valid(piece.raw) => Ok(piece),
        _ => Err(LineFault::Field(name)),
    }
}

pub(crate) fn is_hash(text: &str) -> bool {
    // All of them, and not up to the first that is wrong: hardly ever is one, and then several are looked at at once.
    let digits = text.bytes();
    let odd = digits.filter(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.len() == 64 && odd.count() == 0
}

pub(crate) fn commit_is_valid(text: &str) -> bool {
    text.strip_prefix(COMMIT_PREFIX).is_some_and(is_hash)
}

pub(crate) fn ts_is_valid(text: &str) -> bool {
    text.len() == TS_SHAPE.len()
        && text.bytes().zip(TS_SHAPE).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == *other,
        })
}

/// A record as it was stored, for views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its place in the ledger, from 0.
    pub seq: u64,
    /// When it was appended (RFC 3339, UTC, six fraction digits); order is `seq`, not this.
    pub ts: String,
    /// Whose run it is.
    pub tenant: String,
    /// Which run it is.
    pub run: String,
    /// Who did it.
    pub actor: String,
    /// The word in the `kind` field; see [`StoredRecord::kind`].
    pub kind_text: Cow<'static, str>,
    /// The commitment to the payload, if the record has one.
    pub commit: Option<String>,
    /// The kind's own fields.
    pub fields: Fields,
    /// The hash of the record's line.
    pub leaf: Hash,
    /// The line as stored, without LF.
    pub line: Vec<u8>,
}

impl StoredRecord {
    /// Reads one line (without LF).
    ///
    /// # Errors
    /// [`LineFault`]; the record's place in the chain is not checked here.
    pub fn parse(line: &[u8]) -> Result<Self, LineFault> {
        let view = View::parse(line)?;
        Ok(Self::of(&view, line, crate::merkle::leaf_hash(line)))
    }

    /// What a view borrowed, with the line it borrowed from and that line's hash.
    pub(crate) fn of(view: &View<'_>, line: &[u8], leaf: Hash) -> Self {
        Self {
            seq: view.seq,
            ts: view.ts.to_owned(),
            tenant: view.tenant.to_string(),
            run: view.run.to_string(),
            actor: view.actor.to_string(),
            kind_text: match view.kind() {
                Some(kind) => Cow::Borrowed(kind.as_str()),
                None => Cow::Owned(view.kind.to_owned()),
            },
            commit: view.commit.map(str::to_owned),
            fields: view
                .fields
                .iter()
                .map(|(name, value)| (name_of(name), value.to_value()))
                .collect(),
            leaf,
            line: line.to_vec(),
        }
    }

    /// The line that `fact` has in the place of this record: number, time and the hash before it are this
    /// record's, and so is the commitment, which whoever asks has compared with the payload. Equal lines
    /// are equal records, to the last bit of every hash.
    #[must_use]
    pub fn line_of(&self, fact: &Fact) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.line.len());
        let prev = View::parse(&self.line).map_or_else(|_| String::new(), |it| it.prev.to_owned());
        let owner = Owner {
            tenant: self.tenant.clone(),
            run: self.run.clone(),
        };
        let head = Head {
            owner: &owner,
            seq: self.seq,
            // Not used: time and hash are handed over as the texts that they were.
            ts_us: 0,
            prev: &Hash::default(),
            commit: self.commit.as_deref().filter(|_| fact.payload.is_some()),
            sealed: self.text("sealed").filter(|_| fact.sealed.is_some()),
        };
        push_texts(&mut out, &head, &prev, &self.ts, fact);
        out
    }

    /// The kind, if this version knows it.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::parse(&self.kind_text)
    }

    /// A field that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_text)
    }

    /// A field that is a decimal number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).and_then(parse_decimal)
    }
}

#[cfg(test)]
mod tests;
