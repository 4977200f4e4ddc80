//! Payloads: the erasable bytes behind a record's commitment.
//!
//! Each file `payloads-N.jsonl` belongs to the segment of the same number and holds one canonical
//! line for each payload, in the order of `seq`: `{"payload":…,"salt":…,"seq":…}`, and
//! `"encoding":"base64"` in front when the bytes are no UTF-8. Bytes that the file has already stand there
//! once: `{"of":…,"salt":…,"seq":…}` names the record whose line holds them. The commitment of each record
//! is its own all the same, by its own salt. Nothing hashes these lines, so a
//! line can go and every proof stays valid. Erasing must reach the disk: the file is written anew
//! without the line, and the old bytes are overwritten before they are let go.

mod places;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use data_encoding::HEXLOWER;

use crate::canonical::{self, Parsed};
use crate::checkpoint::parse_decimal;
use crate::disk::{Disk, ReadSeek, Source, append_all};
use crate::layout;
use crate::lent::LentRecord;
use crate::lines::Lines;
use crate::record::{PAYLOAD_BYTES_MAX, Salt, StoredRecord, commitment};
use crate::seal::DataKey;
use places::{Place, Places};

pub(crate) use places::walk;
pub(crate) use shared::{SHARED_BYTES_MAX, SHARED_BYTES_MIN, Shared};

/// Most bytes of a payload's line: every byte escaped to six, and the rest of the line.
/// (The same bytes sealed, in base64, take less than two more for each.)
pub(crate) const PAYLOAD_LINE_BYTES_MAX: usize = PAYLOAD_BYTES_MAX * 8 + 512;

/// Appends a payload's line, with LF.
pub(crate) fn push_line(
    out: &mut Vec<u8>,
    seq: u64,
    salt: &Salt,
    payload: &[u8],
    sealed: Option<&str>,
) {
    match std::str::from_utf8(payload) {
        Ok(text) => {
            out.extend_from_slice(br#"{"payload":"#);
            canonical::push_text(out, text);
        }
        Err(_) => {
            out.extend_from_slice(br#"{"encoding":"base64","payload":"#);
            canonical::push_text(out, &BASE64.encode(payload));
        }
    }
    out.extend_from_slice(br#","salt":""#);
    out.extend_from_slice(HEXLOWER.encode(salt).as_bytes());
    out.push(b'"');
    if let Some(sealed) = sealed {
        // Base64: nothing in it is escaped.
        out.extend_from_slice(format!(r#","sealed":"{sealed}""#).as_bytes());
    }
    out.extend_from_slice(format!(r#","seq":"{seq}"}}"#).as_bytes());
    out.push(b'\n');
}

/// Appends the line of a payload whose bytes are those of record `of`, with LF.
pub(crate) fn push_same(out: &mut Vec<u8>, seq: u64, salt: &Salt, of: u64) {
    let salt = HEXLOWER.encode(salt);
    out.extend_from_slice(format!(r#"{{"of":"{of}","salt":"{salt}","seq":"{seq}"}}"#).as_bytes());
    out.push(b'\n');
}

const OLD: &str = "old";

/// Bytes of two files that are compared at once: 64 KiB each.
const COMPARED_BYTES: u64 = 64 * 1024;

/// What a payload line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// The bytes.
    Whole(Vec<u8>),
    /// The name of the record before it whose line in the same file holds them.
    Of(u64),
}

/// A parsed payload line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) seq: u64,
    pub(crate) salt: Salt,
    pub(crate) content: Content,
    /// What it was before it was redacted, encrypted.
    pub(crate) sealed: Option<String>,
}

impl Payload {
    /// Reads a line (without LF).
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let entries = canonical::parse_line(line).map_err(|error| error.to_string())?;
        if let [(key_0, of), (key_1, salt), (key_2, seq)] = entries.as_slice()
            && (key_0.as_ref(), key_1.as_ref(), key_2.as_ref()) == ("of", "salt", "seq")
        {
            return Self::same(of, salt, seq);
        }
        let (encoding, rest) = match entries.split_first() {
            Some(((key, value), rest)) if key == "encoding" => (Some(value), rest),
            _ => (None, entries.as_slice()),
        };
        let (sealed, rest) = match rest {
            [payload, salt, (key, sealed), seq] if key == "sealed" => {
                (Some(sealed), [payload, salt, seq])
            }
            [payload, salt, seq] => (None, [payload, salt, seq]),
            _ => return Err("a payload line has payload, salt and seq".to_owned()),
        };
        let [(key_0, payload), (key_1, salt), (key_2, seq)] = rest;
        let sealed = match sealed {
            None => None,
            Some(sealed) => Some(
                sealed
                    .text()
                    .ok_or("what is sealed is not a string")?
                    .to_owned(),
            ),
        };
        if (key_0.as_ref(), key_1.as_ref(), key_2.as_ref()) != ("payload", "salt", "seq") {
            return Err("a payload line has payload, salt and seq".to_owned());
        }
        let payload = payload.text().ok_or("the payload is not a string")?;
        let bytes = match encoding {
            None => payload.as_bytes().to_vec(),
            Some(Parsed::Text(name)) if name == "base64" => BASE64
                .decode(payload)
                .map_err(|_| "the payload is not base64")?,
            Some(_) => return Err("the encoding is unknown".to_owned()),
        };
        Ok(Self {
            seq: number(seq).ok_or("the seq is not a number")?,
            salt: salt_of(salt)?,
            content: Content::Whole(bytes),
            sealed,
        })
    }

    fn same(of: &Parsed<'_>, salt: &Parsed<'_>, seq: &Parsed<'_>) -> Result<Self, String> {
        let seq = number(seq).ok_or("the seq is not a number")?;
        let of = number(of).filter(|of| *of < seq);
        Ok(Self {
            seq,
            salt: salt_of(salt)?,
            content: Content::Of(of.ok_or("it names no record before it")?),
            sealed: None,
        })
    }

    /// The bytes, if this line holds them.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Of(_) => None,
        }
    }

    /// Whether this is what `commit` was made of. Of a line that only names another, that cannot be said
    /// before the other's bytes stand in it.
    pub(crate) fn matches(&self, commit: &str) -> bool {
        // Both sides are public by now: a comparison that leaks its time leaks nothing.
        self.whole()
            .map(|bytes| commitment(&self.salt, bytes))
            .is_some_and(|made| made == commit)
    }
}

/// Whose payload a line (without LF) holds, and the record that it names for the bytes, if it has none itself.
///
/// # Errors
/// As [`Payload::parse`].
pub(crate) fn glance(line: &[u8]) -> Result<(u64, Option<u64>), String> {
    if let Some(seen) = plain_glance(line) {
        return Ok(seen);
    }
    let payload = Payload::parse(line)?;
    let of = match payload.content {
        Content::Whole(_) => None,
        Content::Of(of) => Some(of),
    };
    Ok((payload.seq, of))
}

/// [`glance`] without a copy of the bytes, which whoever looks for places has no use for. `None` where the parser
/// has to say: every line that this accepts is one that it accepts.
fn plain_glance(line: &[u8]) -> Option<(u64, Option<u64>)> {
    let (mut seq, mut of, mut salt, mut bytes) = (None, None, false, false);
    let sound = canonical::scan_plain(line, &mut |name, text, at| {
        match name {
            // Any string will do, with escapes or without; a list or a map will not.
            "payload" => bytes = line.get(at.checked_sub(1)?) == Some(&b'"'),
            "of" => of = Some(parse_decimal(text?)?),
            "salt" => salt = crate::record::is_hash(text?),
            "sealed" if bytes => {
                text?;
            }
            "seq" => seq = Some(parse_decimal(text?)?),
            _ => return None,
        }
        Some(true)
    });
    let seq = seq.filter(|_| sound == Some(true) && salt && bytes != of.is_some())?;
    match of {
        Some(of) if of >= seq => None,
        of => Some((seq, of)),
    }
}

fn number(value: &Parsed<'_>) -> Option<u64> {
    value.text().and_then(parse_decimal)
}

fn salt_of(value: &Parsed<'_>) -> Result<Salt, String> {
    let salt = value.text().and_then(crate::rows::small_hex);
    salt.ok_or_else(|| "the salt has not 64 digits".to_owned())
}

/// The line at a place of a file.
pub(crate) fn line_at(file: &mut dyn ReadSeek, offset: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut line = Vec::new();
    file.take(len).read_to_end(&mut line)?;
    Ok(line)
}

/// Why a payload cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The disk failed.
    #[error("the payload file cannot be read")]
    Io(#[from] io::Error),
    /// A line of the file is not a payload.
    #[error("{file} line {line} is not a payload: {what}")]
    Malformed {
        /// The file's name.
        file: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The bytes are not those that the record committed to.
    #[error("the payload of record {0} is not what its record committed to")]
    Mismatch(u64),
}

/// What is kept of a record by who wants no more of it than its payload, and that later.
#[derive(Debug, Clone)]
pub struct PayloadOf {
    /// The record's number.
    pub seq: u64,
    /// The commitment, if it has a payload.
    pub commit: Option<String>,
    /// Which run it is, and the commitment to what its payload was before it was redacted, if that was sealed.
    pub sealed: Option<(String, String)>,
}

impl From<&LentRecord<'_>> for PayloadOf {
    fn from(record: &LentRecord<'_>) -> Self {
        let sealed = record.text("sealed");
        Self {
            seq: record.seq,
            commit: record.commit.map(str::to_owned),
            sealed: sealed.map(|sealed| (record.run.to_string(), sealed.into_owned())),
        }
    }
}

/// The payloads of one ledger, found by sequence number.
///
/// Opening reads the files once for where each payload lies; the bytes stay on the disk.
pub struct Payloads<'d> {
    disk: &'d dyn Source,
    dir: PathBuf,
    places: Places,
    /// The file that was read last.
    open: Mutex<Option<OpenFile>>,
}

/// A file that stays open between two payloads: most readers take them in order, and then the next one has
/// been read already.
struct OpenFile {
    file: usize,
    reader: BufReader<Box<dyn ReadSeek>>,
    at: u64,
}

impl OpenFile {
    fn line(&mut self, place: &Place) -> io::Result<Vec<u8>> {
        let by = i128::from(place.offset) - i128::from(self.at);
        let by = i64::try_from(by).map_err(io::Error::other)?;
        // Unlike `seek`, this keeps what was read ahead.
        self.reader.seek_relative(by)?;
        let mut line = Vec::with_capacity(usize::try_from(place.len).unwrap_or_default());
        (&mut self.reader).take(place.len).read_to_end(&mut line)?;
        self.at = place.offset + line.len() as u64;
        Ok(line)
    }
}

/// Bytes that are read ahead of a payload: some hundred small ones.
const READ_AHEAD_BYTES: usize = 64 * 1024;

impl<'d> Payloads<'d> {
    /// Reads where the payloads of the ledger in `dir` are.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn open(disk: &'d dyn Source, dir: &Path) -> Result<Self, PayloadError> {
        Ok(Self {
            places: Places::read(disk, dir)?,
            disk,
            dir: dir.to_owned(),
            open: Mutex::default(),
        })
    }

    /// Those of records up to `last`, for whoever wants no other: the first record says what a run was made with, and what
    /// came later may be gigabytes.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn open_to(disk: &'d dyn Source, dir: &Path, last: u64) -> Result<Self, PayloadError> {
        Ok(Self {
            places: Places::read_to(disk, dir, last)?,
            disk,
            dir: dir.to_owned(),
            open: Mutex::default(),
        })
    }

    /// Those of a ledger that somebody may be writing: none yet, and each [`Payloads::more`] finds those that
    /// have come since.
    #[must_use]
    pub fn growing(disk: &'d dyn Source, dir: &Path) -> Self {
        Self {
            disk,
            dir: dir.to_owned(),
            places: Places::default(),
            open: Mutex::default(),
        }
    }

    /// Reads where the payloads are that have come since the last time. A half-written last line is left for the
    /// next time. Nobody may erase payloads of the ledger in between: its writer holds the lock that an erasure needs.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn more(&mut self) -> Result<(), PayloadError> {
        self.places.more(self.disk, &self.dir)
    }

    /// The payload of record `seq`, checked against its `commit`; `None` if it is not there
    /// (erased, or the record never had one).
    ///
    /// # Errors
    /// [`PayloadError::Mismatch`] when the bytes are others.
    pub fn get(&self, seq: u64, commit: &str) -> Result<Option<Vec<u8>>, PayloadError> {
        let line = self.line(seq, commit)?;
        Ok(line.and_then(|payload| match payload.content {
            Content::Whole(bytes) => Some(bytes),
            Content::Of(_) => None,
        }))
    }

    /// The other records whose payloads are stored as one with that of `seq`: whoever wants its bytes gone
    /// has to erase theirs, too.
    #[must_use]
    pub fn same_as(&self, seq: u64) -> BTreeSet<u64> {
        let whole = |seq: u64, place: &Place| place.of.unwrap_or(seq);
        let Some(place) = self.places.get(seq) else {
            return BTreeSet::new();
        };
        let of = whole(seq, place);
        self.places
            .iter()
            .filter(|(other, place)| *other != seq && whole(*other, place) == of)
            .map(|(other, _)| other)
            .collect()
    }

    /// What the payload of `record` was before it was redacted; `None` where nothing was sealed, where the
    /// payload is gone, or where `key` is not the run's.
    ///
    /// # Errors
    /// [`PayloadError::Mismatch`] when the bytes are others.
    pub fn exact(
        &self,
        record: &StoredRecord,
        key: &DataKey,
    ) -> Result<Option<Vec<u8>>, PayloadError> {
        self.exact_of(&PayloadOf::from(&record.lent()), key)
    }

    /// As [`Payloads::exact`], of a record of which no more was kept.
    ///
    /// # Errors
    /// As [`Payloads::exact`].
    pub fn exact_of(&self, of: &PayloadOf, key: &DataKey) -> Result<Option<Vec<u8>>, PayloadError> {
        let (Some(commit), Some((run, committed))) = (&of.commit, &of.sealed) else {
            return Ok(None);
        };
        let line = self.line(of.seq, commit)?;
        let Some(sealed) = line.and_then(|payload| payload.sealed) else {
            return Ok(None);
        };
        let Some((salt, bytes)) = key.open(run, of.seq, &sealed) else {
            return Ok(None);
        };
        if commitment(&salt, &bytes) != *committed {
            return Err(PayloadError::Mismatch(of.seq));
        }
        Ok(Some(bytes))
    }

    fn line(&self, seq: u64, commit: &str) -> Result<Option<Payload>, PayloadError> {
        let Some(place) = self.places.get(seq) else {
            return Ok(None);
        };
        let mut payload = self.read(seq, place)?;
        if let Content::Of(of) = payload.content {
            let whole = self
                .places
                .get(of)
                .filter(|it| it.file == place.file)
                .ok_or(PayloadError::Mismatch(seq))?;
            payload.content = self.read(of, whole)?.content;
        }
        // A line that names one which only names another matches nothing.
        match payload.matches(commit) {
            true => Ok(Some(payload)),
            false => Err(PayloadError::Mismatch(seq)),
        }
    }

    fn read(&self, seq: u64, place: &Place) -> Result<Payload, PayloadError> {
        let line = self.bytes(place)?;
        Payload::parse(&line)
            .ok()
            .filter(|it| it.seq == seq)
            .ok_or(PayloadError::Mismatch(seq))
    }

    fn bytes(&self, place: &Place) -> io::Result<Vec<u8>> {
        let mut last = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out while it is read: after an error nobody knows where it stands.
        let mut open = match last.take().filter(|open| open.file == place.file) {
            Some(open) => open,
            None => {
                let path = self
                    .places
                    .files
                    .get(place.file)
                    .ok_or(io::ErrorKind::NotFound)?;
                let file = self.disk.open_read(path)?;
                OpenFile {
                    file: place.file,
                    reader: BufReader::with_capacity(READ_AHEAD_BYTES, file),
                    at: 0,
                }
            }
        };
        let line = open.line(place)?;
        *last = Some(open);
        Ok(line)
    }
}

/// The payload files of a ledger, in order.
pub(crate) fn files(disk: &dyn Source, dir: &Path) -> io::Result<Vec<String>> {
    let entries = disk.list(dir)?;
    let names = entries
        .into_iter()
        .filter(|entry| !entry.is_dir)
        .map(|entry| entry.name);
    Ok(names
        .filter(|name| layout::numbered(name, "payloads-").is_some())
        .collect())
}

/// The lines of a file without what is sealed in them: what leaves the host when nobody asks for more. One
/// file is bounded (`payload_file_bytes_max`), so that this is, too.
pub(crate) fn shown(disk: &dyn Source, path: &Path) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut lines = Lines::new(disk.open_read(path)?, PAYLOAD_LINE_BYTES_MAX);
    while let Some(line) = lines.next()? {
        match Payload::parse(line.bytes) {
            Ok(Payload {
                seq,
                salt,
                content: Content::Whole(bytes),
                sealed: Some(_),
            }) => push_line(&mut out, seq, &salt, &bytes, None),
            // As it is: what cannot be read is for whoever verifies it.
            _ => {
                out.extend_from_slice(line.bytes);
                if line.complete {
                    out.push(b'\n');
                }
            }
        }
    }
    Ok(out)
}

/// Removes the payloads of `seqs` from all files; safe to repeat after a crash at any point.
pub(crate) fn erase(disk: &dyn Disk, dir: &Path, seqs: &BTreeSet<u64>) -> io::Result<u64> {
    let mut gone = 0;
    if seqs.is_empty() {
        // Every ledger that is opened comes by here, and hardly any has something to erase.
        return Ok(gone);
    }
    for name in files(disk, dir)? {
        gone += erase_in(disk, dir, &name, seqs)?;
    }
    Ok(gone)
}

fn erase_in(disk: &dyn Disk, dir: &Path, name: &str, seqs: &BTreeSet<u64>) -> io::Result<u64> {
    let path = dir.join(name);
    let found = find(disk, &path, seqs)?;
    if found.is_empty() {
        return Ok(0);
    }
    let fresh = path.with_extension("tmp");
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_without(disk, &path, &found, &fresh).inspect_err(|_| {
        // It holds payloads that a later erasure would not find. What cannot be removed here is by whoever opens
        // the ledger next.
        let _wiped = disk.len(&fresh).and_then(|len| disk.wipe(&fresh, 0, len));
        let _removed = disk.remove(&fresh);
    })?;
    // A second name keeps the old bytes in reach, so that they can be overwritten after the new
    // file has taken the first name in one step. `clean_up` ends what a crash leaves of this.
    let old = path.with_extension(OLD);
    disk.link(&path, &old)?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir)?;
    for line in &found {
        disk.wipe(&old, line.offset, line.len)?;
    }
    disk.remove(&old)?;
    disk.sync_dir(dir)?;
    Ok(found.len() as u64)
}

/// Writes a file anew without the lines that are found; durable on return.
fn write_without(disk: &dyn Disk, path: &Path, found: &[Found], fresh: &Path) -> io::Result<()> {
    let mut out = disk.open_append(fresh, true)?;
    let mut lines = Lines::new(disk.open_read(path)?, PAYLOAD_LINE_BYTES_MAX);
    let mut orphans = Orphans::new(disk.open_read(path)?, found);
    while let Some(line) = lines.next()? {
        // They were found from the front, and a run of a million records may be erased at once.
        let goes = found.binary_search_by_key(&line.offset, |it| it.offset);
        if goes.is_ok() {
            continue;
        }
        match orphans.anew(line.bytes)? {
            Some(anew) => append_all(out.as_mut(), &anew)?,
            None => {
                append_all(out.as_mut(), line.bytes)?;
                append_all(out.as_mut(), if line.complete { b"\n" } else { b"" })?;
            }
        }
    }
    out.sync()
}

/// Removes what an erasure that was cut short left behind. As long as the new file has not taken
/// its place, the old bytes under their second name are the ledger's only ones and must stay; the two names
/// then show the same bytes, and an erasure leaves others.
pub(crate) fn clean_up(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        let is_new = entry.name.ends_with(".tmp");
        if !is_new && !entry.name.ends_with(".old") {
            continue;
        }
        // What was being written is a copy of payloads that stay, and that a later erasure would not find.
        if is_new || !are_equal(disk, &path, &path.with_extension("jsonl"))? {
            disk.wipe(&path, 0, disk.len(&path)?)?;
        }
        disk.remove(&path)?;
        disk.sync_dir(dir)?;
    }
    Ok(())
}

/// Whether two files hold the same bytes.
fn are_equal(disk: &dyn Source, left: &Path, right: &Path) -> io::Result<bool> {
    if disk.len(left)? != disk.len(right)? {
        return Ok(false);
    }
    let (mut left, mut right) = (disk.open_read(left)?, disk.open_read(right)?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    loop {
        ours.clear();
        theirs.clear();
        (&mut left).take(COMPARED_BYTES).read_to_end(&mut ours)?;
        (&mut right).take(COMPARED_BYTES).read_to_end(&mut theirs)?;
        if ours != theirs || ours.is_empty() {
            return Ok(ours == theirs);
        }
    }
}

/// A line that is to go.
struct Found {
    seq: u64,
    offset: u64,
    /// Its LF included.
    len: u64,
}

/// Where the payloads of `seqs` are in one file.
fn find(disk: &dyn Source, path: &Path, seqs: &BTreeSet<u64>) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut lines = Lines::new(disk.open_read(path)?, PAYLOAD_LINE_BYTES_MAX);
    while let Some(line) = lines.next()? {
        let payload = Payload::parse(line.bytes)
            .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        if seqs.contains(&payload.seq) {
            found.push(Found {
                seq: payload.seq,
                offset: line.offset,
                len: line.bytes.len() as u64 + u64::from(line.complete),
            });
        }
    }
    Ok(found)
}

/// Lines that name one which goes, and stay: the first of them takes the bytes, the others name that one.
struct Orphans<'f> {
    file: Box<dyn ReadSeek>,
    /// By the record.
    gone: BTreeMap<u64, &'f Found>,
    /// For each line that goes, the record that has its bytes now.
    heirs: BTreeMap<u64, u64>,
}

impl<'f> Orphans<'f> {
    fn new(file: Box<dyn ReadSeek>, gone: &'f [Found]) -> Self {
        Self {
            file,
            gone: gone.iter().map(|it| (it.seq, it)).collect(),
            heirs: BTreeMap::new(),
        }
    }

    /// How a line is written anew, with LF; none for one that needs no other.
    fn anew(&mut self, line: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let payload = Payload::parse(line).map_err(invalid)?;
        let Content::Of(of) = payload.content else {
            return Ok(None);
        };
        let Some(gone) = self.gone.get(&of).copied() else {
            return Ok(None);
        };
        let mut out = Vec::new();
        if let Some(heir) = self.heirs.get(&of) {
            push_same(&mut out, payload.seq, &payload.salt, *heir);
            return Ok(Some(out));
        }
        let whole = line_at(self.file.as_mut(), gone.offset, gone.len)?;
        let whole = whole.strip_suffix(b"\n").unwrap_or(&whole);
        let whole = Payload::parse(whole).map_err(invalid)?;
        let bytes = whole
            .whole()
            .ok_or_else(|| invalid(format!("record {of} has no bytes to name")))?;
        push_line(&mut out, payload.seq, &payload.salt, bytes, None);
        self.heirs.insert(of, payload.seq);
        Ok(Some(out))
    }
}

#[cfg(test)]
mod tests;
