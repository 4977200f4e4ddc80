//! A ledger in one file: a tar archive whose root is the ledger's folder, compressed with zstd where it is
//! what stays of a pruned run.
//!
//! Reading unpacks nothing: entries are read in place, of a compressed one in a copy that has no name
//! and is gone with the process. An archive is hostile input, so links,
//! devices, absolute paths, `..`, repeated names, endless entry lists and endless contents are refused.
#![expect(
    clippy::disallowed_methods,
    reason = "opens the bundle that a verifier was given"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Entry, ReadSeek, RealDisk, Source};
use crate::seal::SEALED_KEY;
use crate::{layout, payloads};

/// Most entries of a bundle; a ledger of 3 TB has as many segments.
const ENTRIES_MAX: usize = 100_000;

/// Most bytes of what a compressed bundle holds: four times what plugins may make a run record, so that no
/// small file fills the disk of whoever verifies it.
pub(crate) const UNPACKED_BYTES_MAX: u64 = 16 << 30;

/// Most bytes of a name that is too long for its entry's header: the longest path that Linux takes.
const NAME_BYTES_MAX: u64 = 4 << 10;

/// What a zstd frame begins with (RFC 8878, 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A bundle that is open for reading.
#[derive(Debug)]
pub struct Bundle {
    file: Arc<File>,
    /// Where each file's bytes are: offset and length.
    files: BTreeMap<PathBuf, (u64, u64)>,
}

fn refuse(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

impl Bundle {
    /// Reads the list of entries of the archive at `path`.
    ///
    /// # Errors
    /// `InvalidData` for what is no bundle.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Refuses links, pipes and devices; the bytes are read by place, which its reader cannot do.
        let reader = RealDisk.open_read(path)?;
        let file = File::open(path)?;
        let mut start = [0_u8; ZSTD.len()];
        let len = file.read_at(&mut start, 0)?;
        match len == start.len() && start == ZSTD {
            true => Self::unpack(reader),
            false => Self::of(file),
        }
    }

    /// Reads a compressed archive.
    ///
    /// # Errors
    /// `InvalidData` for what is no bundle, or not compressed.
    pub(crate) fn unpack(packed: Box<dyn ReadSeek>) -> io::Result<Self> {
        let mut unpacked = tempfile::tempfile()?;
        let packed = zstd::stream::read::Decoder::new(packed)?;
        let len = io::copy(&mut packed.take(UNPACKED_BYTES_MAX + 1), &mut unpacked)
            .map_err(|error| refuse(format!("it is not whole, or was altered: {error}")))?;
        if len > UNPACKED_BYTES_MAX {
            return Err(refuse("it unpacks to more than 16 GiB"));
        }
        unpacked.rewind()?;
        Self::of(unpacked)
    }

    fn of(mut file: File) -> io::Result<Self> {
        check_entries(tar::Archive::new(&file).entries_with_seek()?, not_a_bundle)?;
        file.rewind()?;
        let mut archive = tar::Archive::new(&file);
        let mut files = BTreeMap::new();
        for (count, entry) in archive.entries_with_seek()?.enumerate() {
            let entry = entry.map_err(|error| not_a_bundle(&error))?;
            if count >= ENTRIES_MAX {
                return Err(refuse("the bundle has too many entries"));
            }
            let kind = entry.header().entry_type();
            if kind.is_dir() {
                continue;
            }
            let name = plain_path(&entry.path()?)?;
            if !kind.is_file() {
                return Err(refuse(format!("{} is not a regular file", name.display())));
            }
            let place = (entry.raw_file_position(), entry.size());
            if files.insert(name.clone(), place).is_some() {
                return Err(refuse(format!("{} is in the bundle twice", name.display())));
            }
        }
        if files.is_empty() {
            return Err(refuse("it is neither a folder nor a bundle"));
        }
        Ok(Self {
            file: Arc::new(file),
            files,
        })
    }

    /// Writes the files of the ledger in `dir` and the `extra` ones (name in the bundle, bytes) as
    /// a bundle. The same input gives the same bytes. What an erasure that was cut short left behind
    /// (`.old`, `.tmp`) stays here: it may hold what was to be erased. What is sealed beside redacted
    /// payloads stays here too, and so does its key, unless `sealed`.
    ///
    /// # Errors
    /// Whatever the disk or `out` says.
    pub fn write(
        source: &dyn Source,
        dir: &Path,
        sealed: bool,
        extra: &[(&str, &[u8])],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        let left = |name: &str| {
            let key = name == SEALED_KEY && !sealed;
            key || name.ends_with(".old") || name.ends_with(".tmp")
        };
        let entries = source.list(dir)?;
        for entry in entries.iter().filter(|it| !it.is_dir && !left(&it.name)) {
            let path = dir.join(&entry.name);
            if !sealed && layout::numbered(&entry.name, "payloads-").is_some() {
                let shown = payloads::shown(source, &path)?;
                let mut bytes: &[u8] = &shown;
                let name = Path::new(&entry.name);
                append(&mut archive, name, shown.len() as u64, &mut bytes)?;
                continue;
            }
            let len = source.len(&path)?;
            let file = source.open_read(&path)?;
            append(
                &mut archive,
                Path::new(&entry.name),
                len,
                &mut file.take(len),
            )?;
        }
        for (name, bytes) in extra {
            let mut reader: &[u8] = bytes;
            append(
                &mut archive,
                &plain_path(Path::new(name))?,
                bytes.len() as u64,
                &mut reader,
            )?;
        }
        archive.finish()
    }
}

/// The reader of archives speaks of blocks, and whoever gave it some other file wants to know what was wanted.
fn not_a_bundle(error: &io::Error) -> io::Error {
    refuse(format!(
        "it is not a bundle of evidence, which `flowhost evidence export` writes ({error})"
    ))
}

/// That no entry makes its reader hold more than a name: tar reads what an entry says of the next one (`L`, `K`, `x`,
/// `g`) into memory, whatever its size. Of those, only names are let through. `x` and sparse files also change where the
/// next entry begins, and then this would look at other entries than who reads the archive after it.
/// `not_one` says of what cannot be read which kind of file was wanted.
pub(crate) fn check_entries<R: Read>(
    entries: tar::Entries<'_, R>,
    not_one: fn(&io::Error) -> io::Error,
) -> io::Result<()> {
    for (count, entry) in entries.raw(true).enumerate() {
        let entry = entry.map_err(|error| not_one(&error))?;
        if count >= ENTRIES_MAX {
            return Err(refuse("the bundle has too many entries"));
        }
        let kind = entry.header().entry_type();
        let is_name = kind.is_gnu_longname() || kind.is_gnu_longlink();
        if is_name && entry.size() > NAME_BYTES_MAX {
            return Err(refuse("a name in it has more than 4 KiB"));
        }
        if kind.is_pax_local_extensions() || kind.is_pax_global_extensions() {
            return Err(refuse(
                "it has extended headers (pax), which no bundle needs; pack its files with `tar --format=gnu`",
            ));
        }
        if kind.is_gnu_sparse() {
            return Err(refuse("a file in it is sparse, and not a regular file"));
        }
    }
    Ok(())
}

pub(crate) fn append(
    archive: &mut tar::Builder<&mut dyn Write>,
    name: &Path,
    len: u64,
    bytes: &mut dyn Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(len);
    // No time and no owner: the same files have to give the same bytes.
    header.set_mode(0o600);
    archive.append_data(&mut header, name, bytes)
}

/// A relative path of plain names.
fn plain_path(path: &Path) -> io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => return Err(refuse(format!("{} leaves the bundle", path.display()))),
        }
    }
    Ok(plain)
}

impl Source for Bundle {
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = BTreeMap::new();
        for rest in self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok())
        {
            let mut parts = rest.components();
            let Some(name) = parts.next().and_then(|part| part.as_os_str().to_str()) else {
                continue;
            };
            let is_dir = parts.next().is_some();
            *entries.entry(name.to_owned()).or_insert(is_dir) |= is_dir;
        }
        if entries.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(entries
            .into_iter()
            .map(|(name, is_dir)| Entry { name, is_dir })
            .collect())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        let (start, len) = *self
            .files
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Box::new(Section {
            file: self.file.clone(),
            start,
            len,
            at: 0,
        }))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let place = self
            .files
            .get(path)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(place.1)
    }
}

/// One entry's bytes.
struct Section {
    /// Shared by all sections, so it is read by place and never moved in.
    file: Arc<File>,
    start: u64,
    len: u64,
    at: u64,
}

impl Read for Section {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.at);
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let place = self
            .start
            .checked_add(self.at)
            .ok_or_else(|| refuse("a read too far"))?;
        let wanted = buffer.get_mut(..most).unwrap_or_default();
        let read = self.file.read_at(wanted, place)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Section {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| refuse("a seek before the start"))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A compressed archive of an entry of this kind, and a file behind it.
    fn packed(kind: tar::EntryType, len: u64) -> Vec<u8> {
        let packed = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        let mut archive = tar::Builder::new(packed);
        for (kind, len) in [(kind, len), (tar::EntryType::Regular, 5)] {
            let mut header = tar::Header::new_gnu();
            header.set_path("x").unwrap();
            header.set_entry_type(kind);
            header.set_size(len);
            header.set_cksum();
            archive.append(&header, io::repeat(b'a').take(len)).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn no_entry_makes_a_reader_hold_more_than_a_name() {
        use tar::EntryType as Kind;

        // As large as these are let through by a reader that believes them, and slow to make larger.
        let large = 32 << 20;
        for (kind, len, wanted) in [
            (Kind::GNULongName, large, "more than 4 KiB"),
            (Kind::GNULongLink, large, "more than 4 KiB"),
            (Kind::XHeader, large, "extended headers"),
            (Kind::XHeader, 10, "extended headers"),
            (Kind::XGlobalHeader, large, "extended headers"),
            (Kind::GNUSparse, 10, "sparse"),
        ] {
            let bytes = packed(kind, len);
            let opened = Bundle::unpack(Box::new(io::Cursor::new(bytes.clone())));
            let said = opened.unwrap_err().to_string();
            assert!(said.contains(wanted), "{kind:?}: {said}");
            let other = crate::archive::packed(&bytes).unwrap_err();
            assert_eq!(other.to_string(), said);
        }
    }

    #[test]
    fn a_long_name_is_read_whole() {
        let name = "n".repeat(300);
        let mut bytes = Vec::new();
        let names = std::collections::BTreeSet::from([name.clone()]);
        let made = crate::archive::pack(&names, |_| Ok(b"bytes".to_vec()), &mut bytes);
        made.unwrap();
        let bundle = Bundle::unpack(Box::new(io::Cursor::new(bytes.clone()))).unwrap();
        assert_eq!(bundle.len(Path::new(&name)).unwrap(), 5);
        assert!(crate::archive::packed(&bytes).unwrap().contains_key(&name));
    }
}
