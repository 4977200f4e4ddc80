//! How many threads verify, and how much each is given, changes nothing of a report.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::chain::Links;
use crate::disk::{Entry, ReadSeek};
use crate::fact::Fact;
use crate::keys::HostKey;
use crate::lines::Lines;
use crate::options::{Durability, LedgerOptions, Writing};
use crate::reader::read_run_with;
use crate::recorder::Recorder as _;
use crate::records::Kind;
use crate::writer::Ledger;

/// The files of one ledger in memory, where they can be altered.
#[derive(Debug, Clone)]
struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Source for Memory {
    fn list(&self, _dir: &Path) -> io::Result<Vec<Entry>> {
        let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
        let names = self.0.keys().filter_map(name);
        let is_dir = false;
        Ok(names.map(|name| Entry { name, is_dir }).collect())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        let bytes = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes.clone())))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let bytes = self.0.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.len() as u64)
    }
}

fn key() -> Arc<HostKey> {
    Arc::new(HostKey::from_seed("host.example", [1; 32]).unwrap())
}

/// Kinds that only have to be hashed, and kinds that a verifier reads.
const KINDS: [Kind; 8] = [
    Kind::HostCall,
    Kind::HostCall,
    Kind::HostCall,
    Kind::Budget,
    Kind::RunPause,
    Kind::RunResume,
    Kind::Erasure,
    Kind::RunEnd,
];

/// A ledger of such records, each with a payload of its length where it is not 0.
fn ledger(records: &[(usize, usize)], segment_bytes_max: u64) -> Memory {
    let dir = tempfile::tempdir().unwrap();
    let mut options = LedgerOptions::new(dir.path(), "t", "r", key());
    options.durability = Durability::Relaxed;
    options.writing = Writing::Caller;
    options.segment_bytes_max = segment_bytes_max;
    let ledger = Ledger::open(&options).unwrap();
    for (kind, payload) in records {
        let mut fact = Fact::new(KINDS[kind % KINDS.len()], "t/agent").with("text", "é\n");
        if *payload > 0 {
            fact = fact.payload(vec![b'x'; *payload]);
        }
        ledger.append(fact).unwrap();
    }
    ledger.close_blocking().unwrap();
    let mut files = BTreeMap::new();
    for entry in RealDisk.list(dir.path()).unwrap() {
        let mut bytes = Vec::new();
        let mut file = RealDisk.open_read(&dir.path().join(&entry.name)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(Path::new("/r").join(entry.name), bytes);
    }
    Memory(files)
}

/// What somebody does to a file.
#[derive(Debug, Clone)]
enum Harm {
    Byte(Index, u8),
    Zeros(Index),
    Cut(Index),
    Gone,
    LineGone(Index),
    LineTwice(Index),
    LinesSwapped(Index),
    LongLine(Index, usize),
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Harm::Byte(at, byte)),
        any::<Index>().prop_map(Harm::Zeros),
        any::<Index>().prop_map(Harm::Cut),
        Just(Harm::Gone),
        any::<Index>().prop_map(Harm::LineGone),
        any::<Index>().prop_map(Harm::LineTwice),
        any::<Index>().prop_map(Harm::LinesSwapped),
        (any::<Index>(), 60_000..140_000_usize).prop_map(|(at, len)| Harm::LongLine(at, len)),
    ]
}

fn harm(memory: &mut Memory, file: &Index, harm: &Harm) {
    let path = file
        .get(&memory.0.keys().cloned().collect::<Vec<_>>())
        .clone();
    let bytes = memory.0.get_mut(&path).unwrap();
    if bytes.is_empty() {
        return;
    }
    let len = bytes.len();
    let mut lines: Vec<Vec<u8>> = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let count = lines.len();
    match harm {
        Harm::Byte(at, byte) => bytes[at.index(len)] = *byte,
        Harm::Zeros(at) => {
            let at = at.index(len);
            bytes[at..len.min(at + 100)].fill(0);
        }
        Harm::Cut(at) => bytes.truncate(at.index(len)),
        Harm::Gone => drop(memory.0.remove(&path)),
        Harm::LineGone(at) => {
            lines.remove(at.index(count));
            *bytes = lines.concat();
        }
        Harm::LineTwice(at) => {
            let at = at.index(count);
            lines.insert(at, lines[at].clone());
            *bytes = lines.concat();
        }
        Harm::LinesSwapped(at) => {
            let at = at.index(count);
            lines.swap(at, (at + 1) % count);
            *bytes = lines.concat();
        }
        Harm::LongLine(at, len) => {
            let mut line = vec![b'x'; *len];
            line.push(b'\n');
            lines.insert(at.index(count + 1), line);
            *bytes = lines.concat();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn one_two_and_seven_threads_and_the_parser_alone_find_the_same(
        records in proptest::collection::vec((0..KINDS.len(), prop_oneof![Just(0_usize), 1..40_usize]), 0..120),
        segment_bytes_max in prop_oneof![2_000..20_000_u64, Just(1 << 20)],
        harms in proptest::collection::vec((any::<Index>(), any_harm()), 0..3),
        chunk_bytes in 200..3_000_usize,
        live in any::<bool>(),
    ) {
        let mut memory = ledger(&records, segment_bytes_max);
        for (file, kind) in &harms {
            if !memory.0.is_empty() {
                harm(&mut memory, file, kind);
            }
        }
        let options = VerifyOptions {
            trusted: vec![key().vkey()],
            live,
            ..VerifyOptions::default()
        };
        let report = |threads, chunk_bytes, looks| {
            let effort = Effort { threads, chunk_bytes, looks };
            verify_with(&memory, Path::new("/r"), &options, effort)
        };
        let expected = report(1, 1 << 20, false);
        for threads in [1, 2, 7] {
            prop_assert_eq!(&report(threads, chunk_bytes, true), &expected, "{} threads", threads);
        }
    }
}

/// The lines of a ledger and what ends them, read one by one: what several threads have to find as well.
fn one_by_one(memory: &Memory, owner: &crate::record::Owner) -> (Vec<Vec<u8>>, Option<String>) {
    let names = scan::segment_files(memory, Path::new("/r")).unwrap();
    let (mut links, mut read) = (Links::default(), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let file = memory.open_read(&Path::new("/r").join(name)).unwrap();
        // A line that is longer is read whole, so that it is seen whether it ends.
        let mut lines = Lines::new(file, 1 << 20);
        while let Some(line) = lines.next().unwrap() {
            if !line.complete && at + 1 == names.len() {
                return (read, None);
            }
            let fault = match line.length_fault(LINE_BYTES_MAX) {
                Some(what) => Some(crate::record::LineFault::Length(what)),
                None => links.check(line.bytes, owner).err(),
            };
            if let Some(fault) = fault {
                return (read, Some(format!("line {}: {fault}", line.number)));
            }
            read.push(line.bytes.to_vec());
        }
    }
    (read, None)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn one_two_and_seven_threads_read_what_is_read_one_by_one(
        records in proptest::collection::vec((0..KINDS.len(), prop_oneof![Just(0_usize), 1..40_usize]), 0..120),
        segment_bytes_max in prop_oneof![2_000..20_000_u64, Just(1 << 20)],
        harms in proptest::collection::vec((any::<Index>(), any_harm()), 0..3),
        chunk_bytes in prop_oneof![200..3_000_usize, Just(100_000)],
    ) {
        let mut memory = ledger(&records, segment_bytes_max);
        for (file, kind) in &harms {
            if !memory.0.is_empty() {
                harm(&mut memory, file, kind);
            }
        }
        for threads in [1, 2, 7] {
            let effort = Effort { threads, chunk_bytes, looks: true };
            // Where the folder is no ledger any more, nobody reads anything.
            let Ok(mut records) = read_run_with(&memory, Path::new("/r"), effort) else {
                break;
            };
            let expected = one_by_one(&memory, records.owner());
            let (mut read, mut fault) = (Vec::new(), None);
            for record in &mut records {
                match record {
                    Ok(record) => read.push(record.line),
                    Err(crate::reader::ReadError::Record { line, fault: what, .. }) => {
                        fault = Some(format!("line {line}: {what}"));
                    }
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                }
            }
            prop_assert_eq!(&(read, fault), &expected, "{} threads", threads);
        }
    }
}
