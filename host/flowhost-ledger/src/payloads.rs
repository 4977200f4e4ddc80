//! Payloads: the erasable bytes behind a record's commitment.
//!
//! Each file `payloads-N.jsonl` belongs to the segment of the same number and holds one canonical
//! line for each payload, in the order of `seq`: `{"payload":…,"salt":…,"seq":…}`, and
//! `"encoding":"base64"` in front when the bytes are no UTF-8. Nothing hashes these lines, so a
//! line can go and every proof stays valid. Erasing must reach the disk: the file is written anew
//! without the line, and the old bytes are overwritten before they are let go.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::canonical::{self, Parsed};
use crate::checkpoint::parse_decimal;
use crate::disk::{Disk, Source, append_all};
use crate::layout;
use crate::lines::Lines;
use crate::record::{PAYLOAD_BYTES_MAX, Salt, StoredRecord, commitment};
use crate::seal::DataKey;

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
    out.extend_from_slice(format!(r#","salt":"{}""#, hex::encode(salt)).as_bytes());
    if let Some(sealed) = sealed {
        // Base64: nothing in it is escaped.
        out.extend_from_slice(format!(r#","sealed":"{sealed}""#).as_bytes());
    }
    out.extend_from_slice(format!(r#","seq":"{seq}"}}"#).as_bytes());
    out.push(b'\n');
}

const OLD: &str = "old";

/// A parsed payload line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    pub(crate) seq: u64,
    pub(crate) salt: Salt,
    pub(crate) bytes: Vec<u8>,
    /// What it was before it was redacted, encrypted.
    pub(crate) sealed: Option<String>,
}

impl Payload {
    /// Reads a line (without LF).
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let entries = canonical::parse_line(line).map_err(|error| error.to_string())?;
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
        let text = |value: &Parsed<'_>| value.text().map(str::to_owned);
        let payload = text(payload).ok_or("the payload is not a string")?;
        let bytes = match encoding {
            None => payload.into_bytes(),
            Some(Parsed::Text(name)) if name == "base64" => BASE64
                .decode(payload)
                .map_err(|_| "the payload is not base64")?,
            Some(_) => return Err("the encoding is unknown".to_owned()),
        };
        let salt = text(salt).filter(|salt| crate::record::is_hash(salt));
        let mut bits = [0_u8; 32];
        hex::decode_to_slice(salt.ok_or("the salt has not 64 digits")?, &mut bits)
            .map_err(|_| "the salt has not 64 digits")?;
        let seq = text(seq)
            .and_then(|seq| parse_decimal(&seq))
            .ok_or("the seq is not a number")?;
        Ok(Self {
            seq,
            salt: bits,
            bytes,
            sealed,
        })
    }

    /// Whether this is what `commit` was made of.
    pub(crate) fn matches(&self, commit: &str) -> bool {
        // Both sides are public by now: a comparison that leaks its time leaks nothing.
        commitment(&self.salt, &self.bytes) == commit
    }
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

/// The payloads of one ledger, found by sequence number.
///
/// Opening reads the files once for where each payload lies; the bytes stay on the disk.
pub struct Payloads<'d> {
    disk: &'d dyn Source,
    places: BTreeMap<u64, Place>,
}

struct Place {
    path: PathBuf,
    offset: u64,
    len: u64,
}

impl<'d> Payloads<'d> {
    /// Reads where the payloads of the ledger in `dir` are.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn open(disk: &'d dyn Source, dir: &Path) -> Result<Self, PayloadError> {
        let mut places = BTreeMap::new();
        for name in files(disk, dir)? {
            let path = dir.join(&name);
            let mut lines = Lines::new(disk.open_read(&path)?, PAYLOAD_LINE_BYTES_MAX);
            while let Some(line) = lines.next()? {
                let payload =
                    Payload::parse(line.bytes).map_err(|what| PayloadError::Malformed {
                        file: name.clone(),
                        line: line.number,
                        what,
                    })?;
                let len = line.bytes.len() as u64;
                places.insert(
                    payload.seq,
                    Place {
                        path: path.clone(),
                        offset: line.offset,
                        len,
                    },
                );
            }
        }
        Ok(Self { disk, places })
    }

    /// The payload of record `seq`, checked against its `commit`; `None` if it is not there
    /// (erased, or the record never had one).
    ///
    /// # Errors
    /// [`PayloadError::Mismatch`] when the bytes are others.
    pub fn get(&self, seq: u64, commit: &str) -> Result<Option<Vec<u8>>, PayloadError> {
        Ok(self.line(seq, commit)?.map(|payload| payload.bytes))
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
        let (Some(commit), Some(committed)) = (&record.commit, record.text("sealed")) else {
            return Ok(None);
        };
        let line = self.line(record.seq, commit)?;
        let Some(sealed) = line.and_then(|payload| payload.sealed) else {
            return Ok(None);
        };
        let Some((salt, bytes)) = key.open(&record.run, record.seq, &sealed) else {
            return Ok(None);
        };
        if commitment(&salt, &bytes) != committed {
            return Err(PayloadError::Mismatch(record.seq));
        }
        Ok(Some(bytes))
    }

    fn line(&self, seq: u64, commit: &str) -> Result<Option<Payload>, PayloadError> {
        let Some(place) = self.places.get(&seq) else {
            return Ok(None);
        };
        let mut file = self.disk.open_read(&place.path)?;
        file.seek(SeekFrom::Start(place.offset))?;
        let mut line = Vec::new();
        file.take(place.len).read_to_end(&mut line)?;
        let payload = Payload::parse(&line).map_err(|_| PayloadError::Mismatch(seq))?;
        if payload.seq != seq || !payload.matches(commit) {
            return Err(PayloadError::Mismatch(seq));
        }
        Ok(Some(payload))
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
            Ok(it) if it.sealed.is_some() => push_line(&mut out, it.seq, &it.salt, &it.bytes, None),
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
    let mut out = disk.open_append(&fresh, true)?;
    let mut lines = Lines::new(disk.open_read(&path)?, PAYLOAD_LINE_BYTES_MAX);
    while let Some(line) = lines.next()? {
        if !found.iter().any(|(offset, _)| *offset == line.offset) {
            append_all(out.as_mut(), line.bytes)?;
            append_all(out.as_mut(), if line.complete { b"\n" } else { b"" })?;
        }
    }
    out.sync()?;
    drop(lines);
    // A second name keeps the old bytes in reach, so that they can be overwritten after the new
    // file has taken the first name in one step. `clean_up` ends what a crash leaves of this.
    let old = path.with_extension(OLD);
    disk.link(&path, &old)?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(dir)?;
    for (offset, len) in &found {
        disk.wipe(&old, *offset, *len)?;
    }
    disk.remove(&old)?;
    disk.sync_dir(dir)?;
    Ok(found.len() as u64)
}

/// Removes what an erasure that was cut short left behind. As long as the new file has not taken
/// its place, the old bytes under their second name are the ledger's only ones and must stay; an
/// erasure always makes the file shorter, so equal lengths say that it had not.
pub(crate) fn clean_up(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        let len = disk.len(&path)?;
        if entry.name.ends_with(".old") && disk.len(&path.with_extension("jsonl"))? != len {
            disk.wipe(&path, 0, len)?;
        }
        if entry.name.ends_with(".old") || entry.name.ends_with(".tmp") {
            disk.remove(&path)?;
            disk.sync_dir(dir)?;
        }
    }
    Ok(())
}

/// Where the payloads of `seqs` are in one file: offset and length with LF.
fn find(disk: &dyn Source, path: &Path, seqs: &BTreeSet<u64>) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut lines = Lines::new(disk.open_read(path)?, PAYLOAD_LINE_BYTES_MAX);
    while let Some(line) = lines.next()? {
        let payload = Payload::parse(line.bytes)
            .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        if seqs.contains(&payload.seq) {
            found.push((
                line.offset,
                line.bytes.len() as u64 + u64::from(line.complete),
            ));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "payloads_tests.rs"]
mod tests;
