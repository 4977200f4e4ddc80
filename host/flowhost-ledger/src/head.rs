//! `head`: where the index of runs ends, which runs have not ended and how many begin with another one's past, beside the
//! index itself, so that the start of a run costs the same whether the index has ten records or a million.
//!
//! Derived, and never evidence: whoever reads it gets an answer only if this host's key made it, for this
//! ledger, and if it fits the files as they are now (lengths, the newest note, the root of the tree).
//! In every other case the index is read from its beginning and the file is made anew. What it cannot
//! see is a byte altered within the old records; that is what `verify` reads them for. Must never
//! make a fault less visible: it is not read by the verifier.

use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::canonical::{self, Parsed};
use crate::chain::Chain;
use crate::checkpoint::{NOTE_BYTES_MAX, Note, parse_decimal};
use crate::disk::{self, Disk};
use crate::fact::Value;
use crate::keys::HostKey;
use crate::layout;
use crate::merkle::Hash;
use crate::records::Kind;

/// Most bytes of the file: 30,000 open runs. With more of them it is not written, and the index is
/// read through at each start, which is then the smaller part of the work.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// Names what the MAC's key is for, so that no other key of this host is ever the same.
const PURPOSE: &str = "flowhost head of an index v1";

/// What the file says.
#[derive(Debug, Clone)]
pub(crate) struct IndexHead {
    pub(crate) chain: Chain,
    /// The last segment's number.
    pub(crate) segment: u32,
    /// Its length in bytes.
    pub(crate) segment_bytes: u64,
    /// The length of `checkpoints.log` in bytes.
    pub(crate) notes_bytes: u64,
    /// The newest note, of exactly these records.
    pub(crate) note: String,
    pub(crate) runs: Runs,
}

/// What the records of the index say of its runs, as far as others have to know it before they begin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs {
    /// Those that started and have not ended, oldest first.
    pub(crate) open: Vec<String>,
    /// How many begin with the past of another one.
    pub(crate) forks: u64,
}

fn mac(key: &HostKey, line: &[u8]) -> String {
    let secret = key.derive(PURPOSE);
    // HMAC takes keys of every length; an empty text fits no MAC, so the other arm refuses.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(&*secret) else {
        return String::new();
    };
    hex::encode(mac.chain_update(line).finalize().into_bytes())
}

impl IndexHead {
    fn fields(&self, origin: &str) -> Vec<(&'static str, Value)> {
        let peaks: Vec<String> = self.chain.peaks().iter().map(hex::encode).collect();
        vec![
            ("forks", self.runs.forks.into()),
            ("note", Value::from(self.note.as_str())),
            ("notes_bytes", self.notes_bytes.into()),
            ("open", self.runs.open.clone().into()),
            ("origin", origin.into()),
            ("peaks", peaks.into()),
            ("prev", hex::encode(self.chain.prev()).into()),
            ("segment", u64::from(self.segment).into()),
            ("segment_bytes", self.segment_bytes.into()),
            ("size", self.chain.size().into()),
        ]
    }

    /// Writes the file; after a loss of power it may be empty or old, and is then not believed.
    pub(crate) fn write(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        origin: &str,
        key: &HostKey,
    ) -> io::Result<()> {
        let mut fields = self.fields(origin);
        let told = canonical::object(fields.clone());
        fields.push(("mac", mac(key, &told).into()));
        let line = canonical::object(fields);
        let path = dir.join(layout::HEAD);
        if line.len() > HEAD_BYTES_MAX {
            return match disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        disk::replace_unsynced(disk, &path, &line, true)
    }

    fn parse(line: &[u8], origin: &str, key: &HostKey) -> Option<Self> {
        let entries = canonical::parse_line(line).ok()?;
        let get = |name: &str| entries.iter().find(|(key, _)| key == name).map(|it| &it.1);
        let text = |name: &str| get(name).and_then(Parsed::text);
        let number = |name: &str| text(name).and_then(parse_decimal);
        let list = |name: &str| match get(name) {
            Some(Parsed::List(items)) => Some(items),
            _ => None,
        };
        let hash = |text: &str| -> Option<Hash> {
            let mut hash = Hash::default();
            hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
        };
        let peaks: Option<Vec<Hash>> = list("peaks")?.iter().map(|peak| hash(peak)).collect();
        let head = Self {
            chain: Chain::from_parts(number("size")?, peaks?, hash(text("prev")?)?)?,
            segment: u32::try_from(number("segment")?).ok()?,
            segment_bytes: number("segment_bytes")?,
            notes_bytes: number("notes_bytes")?,
            note: text("note")?.to_owned(),
            runs: Runs {
                open: list("open")?.iter().map(ToString::to_string).collect(),
                forks: number("forks")?,
            },
        };
        // Both sides are on the same disk: a comparison that leaks its time leaks nothing.
        let told = canonical::object(head.fields(origin));
        (text("mac")? == mac(key, &told)).then_some(head)
    }

    /// The head of the ledger in `dir`, if it can be believed and the files are as it says.
    pub(crate) fn read(
        disk: &dyn Disk,
        dir: &Path,
        origin: &str,
        key: &HostKey,
    ) -> io::Result<Option<Self>> {
        let path = dir.join(layout::HEAD);
        // What cannot be read is not believed, and the index itself is the better witness.
        let Ok(Some(line)) = disk::read_small(disk, &path, HEAD_BYTES_MAX as u64) else {
            return Ok(None);
        };
        match Self::parse(&line, origin, key) {
            Some(head) if head.fits(disk, dir)? => Ok(Some(head)),
            _ => Ok(None),
        }
    }

    fn fits(&self, disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
        let len = |name: &str| match disk.len(&dir.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        };
        let checkpoint = dir.join(layout::CHECKPOINT);
        let checkpoint = disk::read_small(disk, &checkpoint, NOTE_BYTES_MAX as u64);
        let note = Note::parse(self.note.as_bytes());
        let signed = note.is_ok_and(|note| {
            let signed = note.unverified();
            signed.size == self.chain.size() && signed.root == self.chain.root()
        });
        let next = self.segment.checked_add(1).map(layout::segment);
        Ok(signed
            && matches!(checkpoint, Ok(Some(bytes)) if bytes == self.note.as_bytes())
            && len(&layout::segment(self.segment))? == Some(self.segment_bytes)
            && len(layout::CHECKPOINTS)? == Some(self.notes_bytes)
            // A segment behind the one that is named: somebody has gone on without this file.
            && matches!(next, Some(next) if len(&next)?.is_none()))
    }
}

impl Runs {
    /// Takes down what a record of the index says: that a run started, with the past of a `parent` or without, went on
    /// or ended.
    pub(crate) fn enter(&mut self, kind: Option<Kind>, run: Option<&str>, parent: Option<&str>) {
        if kind == Some(Kind::RunStart) && parent.is_some() {
            self.forks = self.forks.saturating_add(1);
        }
        // A record of the index that names no run opens and ends none.
        let Some(run) = run else { return };
        match kind {
            // Nobody resumes a run that the index has open; if somebody did, it would still be one run.
            Some(Kind::RunStart | Kind::RunResume) if !self.open.iter().any(|name| name == run) => {
                self.open.push(run.to_owned());
            }
            // One whose folder is gone never ends; it is removed as it stood.
            Some(Kind::RunEnd | Kind::RunRemove) => self.open.retain(|name| name != run),
            _ => {}
        }
    }
}
