//! What stays of a run that was pruned: its whole folder in one compressed file, from which it can still be
//! verified.
//!
//! The same folder gives the same bytes: entries are sorted and carry no time, and one thread compresses at
//! one level. What is sealed goes with it, and so does its wrapped key: an archive is the run, kept by the
//! host that made it, and not an export for others.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::bundle::{Bundle, UNPACKED_BYTES_MAX, append, check_entries};
use crate::disk::Source;
use crate::layout;

/// Records are repetitive text: higher levels take several times as long for a few per cent.
const LEVEL: i32 = 9;

/// What an archive is, as the index of runs has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// Where the archives of a tenant's removed runs are, below the state folder.
#[must_use]
pub fn archives_dir(state: &Path, tenant: &str) -> PathBuf {
    state.join(tenant).join(layout::ARCHIVES)
}

/// Where the archive of a removed run is, below the state folder.
#[must_use]
pub fn archive_path(state: &Path, tenant: &str, run: &str) -> PathBuf {
    archives_dir(state, tenant).join(layout::archive(run))
}

/// Writes the folder of a run as an archive.
///
/// # Errors
/// Whatever the disk or `out` says.
pub(crate) fn write(source: &dyn Source, dir: &Path, out: &mut dyn Write) -> io::Result<Archived> {
    compressed(out, |packed| Bundle::write(source, dir, true, &[], packed))
}

/// Writes files as an archive, sorted by their names in it; `read` gives the bytes of each. The same files give the
/// same archive.
///
/// # Errors
/// Whatever `read` or `out` says.
pub fn pack(
    names: &BTreeSet<String>,
    read: impl Fn(&str) -> io::Result<Vec<u8>>,
    out: &mut dyn Write,
) -> io::Result<Archived> {
    compressed(out, |packed| {
        let mut archive = tar::Builder::new(packed);
        for name in names {
            let bytes = read(name)?;
            let (path, mut rest) = (Path::new(name), bytes.as_slice());
            append(&mut archive, path, bytes.len() as u64, &mut rest)?;
        }
        archive.into_inner().map(drop)
    })
}

/// SHA-256 of each file of an archive that [`pack`] wrote, in hexadecimal, by its name.
///
/// # Errors
/// When it is no such archive.
pub fn packed(archive: &[u8]) -> io::Result<BTreeMap<String, String>> {
    let unpacked = || -> io::Result<_> {
        let unpacked = zstd::stream::read::Decoder::new(archive)?;
        Ok(tar::Archive::new(unpacked.take(UNPACKED_BYTES_MAX)))
    };
    check_entries(unpacked()?.entries()?, not_whole)?;
    let mut tar = unpacked()?;
    let mut files = BTreeMap::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        files.insert(name, measure(&mut entry)?.sha256);
    }
    Ok(files)
}

/// The files of an archive that [`pack`] wrote whose names are `wanted`, by their names. No more than `left` is unpacked,
/// whatever an archive of a stranger says of itself, and what was is taken from it: many archives can share it.
///
/// # Errors
/// When it is no such archive, or holds more.
pub fn unpacked(
    archive: &[u8],
    wanted: &dyn Fn(&str) -> bool,
    left: &mut u64,
) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let bytes_max = *left;
    let unpack = || -> io::Result<_> {
        let unpacked = zstd::stream::read::Decoder::new(archive)?;
        Ok(tar::Archive::new(Limited {
            from: unpacked,
            left: bytes_max,
        }))
    };
    let mut looked = unpack()?;
    let checked = looked
        .entries()
        .and_then(|entries| check_entries(entries, not_whole));
    *left = looked.into_inner().left;
    checked?;
    let mut tar = unpack()?;
    let mut files = BTreeMap::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        if wanted(&name) {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

/// An archive of files is no bundle, and nobody is to look for the command that writes those.
fn not_whole(error: &io::Error) -> io::Error {
    let what = format!("it is not whole, or was altered: {error}");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Reads so many bytes, and fails at the next one: an archive that is cut there would pass for a shorter one.
struct Limited<R> {
    from: R,
    left: u64,
}

impl<R: io::Read> io::Read for Limited<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(bytes)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                return Err(io::Error::other("more is packed in it than is read"));
            }
        }
        Ok(read)
    }
}

/// Compresses what `write` writes, and says what came of it.
fn compressed(
    out: &mut dyn Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<Archived> {
    let mut counted = Counted {
        out,
        hash: Sha256::new(),
        bytes: 0,
    };
    let mut packed = zstd::stream::write::Encoder::new(&mut counted, LEVEL)?;
    write(&mut packed)?;
    packed.finish()?;
    // Zstd's last frame is written by `finish`, and may stand in a buffer of the taker's.
    counted.out.flush()?;
    Ok(Archived {
        sha256: hex::encode(counted.hash.finalize()),
        bytes: counted.bytes,
    })
}

/// What the file in `reader` would be called in the index of runs.
pub(crate) fn measure(reader: &mut dyn io::Read) -> io::Result<Archived> {
    let mut counted = Counted {
        out: &mut io::sink(),
        hash: Sha256::new(),
        bytes: 0,
    };
    io::copy(reader, &mut counted)?;
    Ok(Archived {
        sha256: hex::encode(counted.hash.finalize()),
        bytes: counted.bytes,
    })
}

/// Hashes and counts what goes through.
struct Counted<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.out.write(bytes)?;
        self.hash.update(bytes.get(..len).unwrap_or_default());
        self.bytes += len as u64;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes what others find")]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn packed_files_come_in_the_order_of_their_names_and_are_what_they_were() {
        let names: BTreeSet<String> = ["b/two", "a/one"].map(str::to_owned).into();
        let mut bytes = Vec::new();
        let read = |name: &str| Ok(name.repeat(3).into_bytes());
        let archived = pack(&names, read, &mut bytes).unwrap();
        assert_eq!(archived, measure(&mut bytes.as_slice()).unwrap());
        let files = packed(&bytes).unwrap();
        let of = |text: &str| hex::encode(Sha256::digest(text));
        let wanted = [
            ("a/one", of("a/onea/onea/one")),
            ("b/two", of("b/twob/twob/two")),
        ];
        assert_eq!(
            files,
            wanted.map(|(name, hash)| (name.to_owned(), hash)).into()
        );
        let mut again = Vec::new();
        pack(&names, read, &mut again).unwrap();
        assert_eq!(again, bytes);
        assert!(packed(&bytes[..bytes.len() / 2]).is_err());
        let wanted = |name: &str| name.starts_with("a/");
        let mut left = 1 << 20;
        let files = unpacked(&bytes, &wanted, &mut left).unwrap();
        let one = ("a/one".to_owned(), b"a/onea/onea/one".to_vec());
        assert_eq!(files, [one].into());
        // Two headers and two files, each filled up to 512 bytes, at least.
        assert!(left <= (1 << 20) - 4 * 512, "{left} bytes are left");
        let mut left = 1 << 10;
        let much = unpacked(&bytes, &wanted, &mut left).unwrap_err();
        assert!(much.to_string().contains("more is packed"), "{much}");
        assert_eq!(left, 0);
        assert!(unpacked(&bytes[..bytes.len() / 2], &wanted, &mut (1 << 20)).is_err());
    }

    #[test]
    fn the_same_folder_gives_the_same_bytes_whenever_and_in_whatever_order_it_was_written() {
        let made = |names: [&str; 3]| {
            let dir = tempfile::tempdir().unwrap();
            for name in names {
                std::fs::write(dir.path().join(name), name.repeat(100)).unwrap();
            }
            let mut bytes = Vec::new();
            let archived = write(&RealDisk, dir.path(), &mut bytes).unwrap();
            assert_eq!(archived, measure(&mut bytes.as_slice()).unwrap());
            bytes
        };
        assert_eq!(made(["a", "b", "c"]), made(["c", "a", "b"]));
        assert_ne!(made(["a", "b", "c"]), made(["a", "b", "d"]));
    }
}
