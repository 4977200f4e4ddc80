//! The one byte form a record may have: RFC 8785 over strings only.
//!
//! A stored line is an object whose keys are sorted (by UTF-16 code units, as RFC 8785 says) and
//! whose values are strings, arrays of strings or objects of strings. The parser accepts a line
//! only if it is byte for byte what the printer would have written, so that duplicate keys,
//! spacing, other escapes, CRLF and a byte order mark are all refused without ever printing the
//! line again. It must never compute a hash and never guess.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::fact::Value;

/// Why a line is not in canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset} of the line")]
pub struct Malformed {
    /// Where in the line, in bytes from its start.
    pub offset: usize,
    /// What was found or missing.
    pub what: &'static str,
}

/// The entries of an object of strings, in the line's order.
pub type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// A parsed value that borrows from its line wherever no escape had to be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// An array of strings.
    List(Vec<Cow<'a, str>>),
    /// An object of strings, in the line's order.
    Map(Pairs<'a>),
}

impl Parsed<'_> {
    /// The string, if this is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The value without its tie to the line.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.to_string()),
            Self::List(items) => Value::List(items.iter().map(ToString::to_string).collect()),
            Self::Map(entries) => Value::Map(
                entries
                    .iter()
                    .map(|(key, text)| (key.to_string(), text.to_string()))
                    .collect(),
            ),
        }
    }
}

/// The entries of one line in the line's (sorted) order.
pub type Entries<'a> = Vec<(Cow<'a, str>, Parsed<'a>)>;

/// Compares two keys as RFC 8785 does: by UTF-16 code units.
#[must_use]
pub(crate) fn compare_keys(left: &str, right: &str) -> Ordering {
    if left.is_ascii() || right.is_ascii() {
        // ASCII is below everything else in both orders, so bytes decide the same way.
        return left.as_bytes().cmp(right.as_bytes());
    }
    left.encode_utf16().cmp(right.encode_utf16())
}

/// The two-character escape of a byte, where RFC 8785 has one.
const fn short_escape(byte: u8) -> Option<u8> {
    match byte {
        b'"' => Some(b'"'),
        b'\\' => Some(b'\\'),
        0x08 => Some(b'b'),
        0x09 => Some(b't'),
        0x0a => Some(b'n'),
        0x0c => Some(b'f'),
        0x0d => Some(b'r'),
        _ => None,
    }
}

const fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// How many bytes of `bytes` stand for themselves, from the first on. Eight at a time: this is most of
/// the work on a line.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest byte that is `value` has its high bit set; higher ones may have it for nothing, so only
    // the lowest counts (the borrow of a true hit runs upwards).
    let hit = |word: u64, value: u8| {
        let zeroed = word ^ (ONES * u64::from(value));
        zeroed.wrapping_sub(ONES) & !zeroed & HIGHS
    };
    let mut len = 0;
    for word in bytes.chunks_exact(8) {
        let Ok(word) = word.try_into() else { break };
        let word = u64::from_le_bytes(word);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let special = control | hit(word, b'"') | hit(word, b'\\');
        if special != 0 {
            return len + (special.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    let rest_len = rest.iter().position(|byte| needs_escape(*byte));
    len + rest_len.unwrap_or(rest.len())
}

/// How many bytes `text` takes between its quotes, in the records and in any JSON that escapes what it has to.
///
/// # Examples
///
/// ```
/// assert_eq!(flowhost_ledger::canonical::escaped_len("a\n\u{1}"), 1 + 2 + 6);
/// ```
#[must_use]
pub fn escaped_len(text: &str) -> usize {
    let mut len = text.len();
    let mut rest = text.as_bytes();
    // What stands for itself is stepped over eight bytes at a time; only escapes are longer than their byte.
    while let Some((byte, tail)) = rest.get(plain_len(rest)..).and_then(<[u8]>::split_first) {
        // Two bytes or six in the place of one.
        len += if short_escape(*byte).is_some() { 1 } else { 5 };
        rest = tail;
    }
    len
}

/// How many bytes `value` takes, quotes and brackets included.
pub(crate) fn value_len(value: &Value) -> usize {
    let quoted = |text: &str| escaped_len(text) + 2;
    match value {
        Value::Text(text) => quoted(text),
        Value::List(items) => {
            2 + items.iter().map(|item| quoted(item) + 1).sum::<usize>()
                - usize::from(!items.is_empty())
        }
        Value::Map(entries) => {
            2 + entries
                .iter()
                .map(|(key, text)| quoted(key) + quoted(text) + 2)
                .sum::<usize>()
                - usize::from(!entries.is_empty())
        }
    }
}

/// Appends `text` as a canonical JSON string.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest
            .split_at_checked(plain_len(rest))
            .unwrap_or((rest, <&[u8]>::default()));
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else {
            break;
        };
        push_escape(out, *byte);
        rest = tail;
    }
    out.push(b'"');
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    if let Some(letter) = short_escape(byte) {
        out.extend_from_slice(&[b'\\', letter]);
        return;
    }
    let digit = |nibble: u8| {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        }
    };
    out.extend_from_slice(b"\\u00");
    out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
}

/// Appends `value` in canonical form.
pub(crate) fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Text(text) => push_text(out, text),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                push_text(out, item);
            }
            out.push(b']');
        }
        Value::Map(entries) => push_map(out, entries),
    }
}

fn push_map(out: &mut Vec<u8>, entries: &BTreeMap<String, String>) {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|left, right| compare_keys(left.0, right.0));
    out.push(b'{');
    for (at, (key, text)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(out, key);
        out.push(b':');
        push_text(out, text);
    }
    out.push(b'}');
}

/// Prints an object of the format: keys sorted, nothing between tokens, no line feed.
///
/// # Examples
///
/// ```
/// use flowhost_ledger::canonical;
/// let line = canonical::object([("b", "2".into()), ("a", "line\nfeed".into())]);
/// assert_eq!(line, br#"{"a":"line\nfeed","b":"2"}"#);
/// assert!(canonical::parse_line(&line).is_ok());
/// ```
pub fn object<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Vec<u8> {
    let mut sorted: Vec<_> = entries.into_iter().collect();
    sorted.sort_by(|left, right| compare_keys(left.0, right.0));
    let mut out = vec![b'{'];
    for (at, (key, value)) in sorted.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        push_text(&mut out, key);
        out.push(b':');
        push_value(&mut out, value);
    }
    out.push(b'}');
    out
}

/// Parses a line (without its LF) that must already be in canonical form.
///
/// # Errors
/// [`Malformed`] with the first byte that the canonical form would not have.
pub fn parse_line(line: &[u8]) -> Result<Entries<'_>, Malformed> {
    let mut entries: Entries<'_> = Vec::with_capacity(16);
    walk(text_of(line)?, &mut |name, value| {
        entries.push((name.text(), value.parsed()));
    })?;
    Ok(entries)
}

/// The line as text, which every line in canonical form is.
pub(crate) fn text_of(line: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(line).map_err(|error| Malformed {
        offset: error.valid_up_to(),
        what: "not UTF-8",
    })
}

/// A string as it stands in its line, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) raw: &'a str,
    /// Where it starts in the line.
    pub(crate) at: usize,
    /// Whether it says something else than its bytes.
    pub(crate) escaped: bool,
}

impl<'a> Piece<'a> {
    /// What it says.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self.escaped {
            true => Cow::Owned(unescaped(self.raw)),
            false => Cow::Borrowed(self.raw),
        }
    }
}

/// A value as it stands in its line; a list and a map have their brackets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Raw<'a> {
    Text(Piece<'a>),
    List(Piece<'a>),
    Map(Piece<'a>),
}

impl<'a> Raw<'a> {
    pub(crate) fn parsed(self) -> Parsed<'a> {
        match self {
            Self::Text(piece) => Parsed::Text(piece.text()),
            Self::List(piece) => {
                let (mut items, mut cursor) = (Vec::new(), Cursor::new(piece.raw));
                let whole = cursor.list(&mut |item| items.push(item.text()));
                debug_assert!(whole.is_ok(), "it was gone through when it was found");
                Parsed::List(items)
            }
            Self::Map(piece) => {
                let (mut entries, mut cursor) = (Vec::new(), Cursor::new(piece.raw));
                let whole = cursor.map(&mut |name, text| entries.push((name, text.text())));
                debug_assert!(whole.is_ok(), "it was gone through when it was found");
                Parsed::Map(entries)
            }
        }
    }
}

/// What a string says whose escapes were found to be canonical.
fn unescaped(raw: &str) -> String {
    let (mut cursor, mut text) = (Cursor::new(raw), String::with_capacity(raw.len()));
    loop {
        text.push_str(cursor.plain());
        if cursor.peek().is_none() {
            return text;
        }
        let Ok(escape) = cursor.escape() else {
            debug_assert!(false, "its escapes were looked at when it was found");
            return text;
        };
        text.push(escape);
    }
}

/// Goes through a line (without its LF) that must already be in canonical form, and keeps nothing of it: hands each of
/// its entries to `each`, in the line's order. Of a line that is not canonical, those before the fault were handed over.
///
/// # Errors
/// As [`parse_line`].
pub(crate) fn walk<'a>(
    text: &'a str,
    each: &mut impl FnMut(Piece<'a>, Raw<'a>),
) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(text);
    cursor.expect(b'{', "an object must start with {")?;
    if !cursor.take(b'}') {
        let mut last: Option<Cow<'a, str>> = None;
        loop {
            let start = cursor.at;
            let name = cursor.piece()?;
            let key = name.text();
            if let Some(last) = &last {
                in_order(last, &key, start)?;
            }
            last = Some(key);
            cursor.expect(b':', "a key must be followed by :")?;
            each(name, cursor.value()?);
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b'}', "an object must end with }")?;
    }
    match cursor.at < text.len() {
        true => Err(cursor.fault("bytes after the object")),
        false => Ok(()),
    }
}

/// Looks at a line without keeping anything of it: calls `each` with a name, its value if that is a
/// string that holds no escape, and where that string starts in the line. Ends with `None` where the line
/// is not canonical, where a name is not plain ASCII, and where `each` says so; with false as soon as
/// `each` says that. Every line that it accepts is one that [`parse_line`] accepts.
pub(crate) fn scan_plain<'a>(
    line: &'a [u8],
    each: &mut dyn FnMut(&'a str, Option<&'a str>, usize) -> Option<bool>,
) -> Option<bool> {
    let text = std::str::from_utf8(line).ok()?;
    let mut cursor = Cursor::new(text);
    cursor.expect(b'{', "").ok()?;
    let mut last = "";
    loop {
        let name = cursor.plain_name(last)?;
        last = name;
        cursor.expect(b':', "").ok()?;
        let start = cursor.at + 1;
        let value = match cursor.peek()? {
            b'"' => cursor.skip_string()?,
            b'[' => cursor.skip_list()?,
            b'{' => cursor.skip_map()?,
            _ => return None,
        };
        if !each(name, value, start)? {
            return Some(false);
        }
        if !cursor.take(b',') {
            break;
        }
    }
    cursor.expect(b'}', "").ok()?;
    (cursor.at == text.len()).then_some(true)
}

fn in_order(last: &str, key: &str, offset: usize) -> Result<(), Malformed> {
    match compare_keys(last, key) {
        Ordering::Less => Ok(()),
        Ordering::Equal => Err(Malformed {
            offset,
            what: "a duplicate key",
        }),
        Ordering::Greater => Err(Malformed {
            offset,
            what: "keys out of order",
        }),
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    const fn fault(&self, what: &'static str) -> Malformed {
        Malformed {
            offset: self.at,
            what,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.take(byte) {
            Ok(())
        } else {
            Err(self.fault(what))
        }
    }

    fn value(&mut self) -> Result<Raw<'a>, Malformed> {
        let at = self.at;
        match self.peek() {
            Some(b'"') => return self.piece().map(Raw::Text),
            Some(b'[') => self.list(&mut |_| ())?,
            Some(b'{') => self.map(&mut |_, _| ())?,
            _ => {
                return Err(
                    self.fault("a value must be a string, or an array or object of strings")
                );
            }
        }
        let piece = Piece {
            raw: self.text.get(at..self.at).unwrap_or_default(),
            at,
            escaped: false,
        };
        Ok(match piece.raw.starts_with('[') {
            true => Raw::List(piece),
            false => Raw::Map(piece),
        })
    }

    /// A name without escapes and beyond ASCII, which sorts behind `last` by its bytes (and so by
    /// UTF-16 code units, too).
    fn plain_name(&mut self, last: &str) -> Option<&'a str> {
        let name = self.skip_string()??;
        // No record's field is nameless, so "" stands for the place before the first.
        (name.is_ascii() && last < name).then_some(name)
    }

    /// Steps over a string; what it holds, if it needs no escape.
    #[expect(
        clippy::option_option,
        reason = "not canonical, escaped, and plain are three answers"
    )]
    fn skip_string(&mut self) -> Option<Option<&'a str>> {
        self.expect(b'"', "").ok()?;
        let plain = self.plain();
        if self.take(b'"') {
            return Some(Some(plain));
        }
        while !self.take(b'"') {
            // What stops a plain part is an escape or a raw control character.
            (self.peek()? == b'\\').then_some(())?;
            self.escape().ok()?;
            self.plain();
        }
        Some(None)
    }

    #[expect(
        clippy::option_option,
        reason = "as `skip_string`, of which it is a case"
    )]
    fn skip_list(&mut self) -> Option<Option<&'a str>> {
        self.at += 1;
        if self.take(b']') {
            return Some(None);
        }
        loop {
            self.skip_string()?;
            if !self.take(b',') {
                break;
            }
        }
        self.take(b']').then_some(None)
    }

    #[expect(
        clippy::option_option,
        reason = "as `skip_string`, of which it is a case"
    )]
    fn skip_map(&mut self) -> Option<Option<&'a str>> {
        self.at += 1;
        if self.take(b'}') {
            return Some(None);
        }
        let mut last = None;
        loop {
            let name = self.skip_string()?.filter(|name| name.is_ascii())?;
            if last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
            self.expect(b':', "").ok()?;
            self.skip_string()?;
            if !self.take(b',') {
                break;
            }
        }
        self.take(b'}').then_some(None)
    }

    fn list(&mut self, each: &mut dyn FnMut(Piece<'a>)) -> Result<(), Malformed> {
        self.at += 1;
        if self.take(b']') {
            return Ok(());
        }
        loop {
            each(self.piece()?);
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b']', "an array must end with ]")
    }

    fn map(&mut self, each: &mut dyn FnMut(Cow<'a, str>, Piece<'a>)) -> Result<(), Malformed> {
        self.at += 1;
        if self.take(b'}') {
            return Ok(());
        }
        let mut last: Option<Cow<'a, str>> = None;
        loop {
            let start = self.at;
            let key = self.piece()?.text();
            if let Some(last) = &last {
                in_order(last, &key, start)?;
            }
            last = Some(key.clone());
            self.expect(b':', "a key must be followed by :")?;
            each(key, self.piece()?);
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b'}', "an object must end with }")
    }

    fn piece(&mut self) -> Result<Piece<'a>, Malformed> {
        self.expect(b'"', "a string must start with a quote")?;
        let (at, mut escaped) = (self.at, false);
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    let raw = self.text.get(at..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(Piece { raw, at, escaped });
                }
                Some(b'\\') => {
                    self.escape()?;
                    escaped = true;
                }
                Some(_) => return Err(self.fault("a raw control character")),
                None => return Err(self.fault("a string without its end")),
            }
        }
    }

    /// Everything up to the next byte that cannot stand for itself.
    fn plain(&mut self) -> &'a str {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let len = plain_len(rest);
        let plain = self.text.get(self.at..self.at + len).unwrap_or_default();
        self.at += len;
        plain
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let (byte, len) = match *rest {
            [_, b'"', ..] => (b'"', 2),
            [_, b'\\', ..] => (b'\\', 2),
            [_, b'b', ..] => (0x08, 2),
            [_, b't', ..] => (0x09, 2),
            [_, b'n', ..] => (0x0a, 2),
            [_, b'f', ..] => (0x0c, 2),
            [_, b'r', ..] => (0x0d, 2),
            [_, b'u', b'0', b'0', high @ b'0'..=b'1', low, ..] => (self.control(high, low)?, 6),
            _ => return Err(self.fault("an escape that the canonical form does not have")),
        };
        self.at += len;
        Ok(char::from(byte))
    }

    fn control(&self, high: u8, low: u8) -> Result<u8, Malformed> {
        let low = match low {
            b'0'..=b'9' => low - b'0',
            b'a'..=b'f' => low - b'a' + 10,
            _ => return Err(self.fault("an escape that the canonical form does not have")),
        };
        let byte = (high - b'0') * 16 + low;
        if short_escape(byte).is_some() {
            return Err(self.fault("a long escape where a short one exists"));
        }
        Ok(byte)
    }
}

#[cfg(test)]
mod tests;
