//! A whole ledger as a stranger hands it over: a folder, a file of witnessed notes, a bundle.
//!
//! The folder is the published vector with one file in the place of its own, so that a verifier that
//! believes the vector's key can be asked the only question that counts: is anything accepted that
//! was not signed?

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write as _};
use std::path::Path;

use flowhost_ledger::{
    Entry, Note, ReadSeek, Report, Source, VerifyOptions, read_run_in, read_witness, verify_in,
    verify_path,
};

use super::{head_and_rest, ledger, text};
use crate::{Outcome, Target};

const SEGMENT: &str = "seg-00000000.jsonl";
const PAYLOADS: &str = "payloads-00000000.jsonl";

const WORDS: &[&str] = &[
    "checkpoint\n",
    "checkpoints.log\n",
    "ledger.json\n",
    "runs.index\n",
    "seg-00000000.jsonl\n",
    "seg-00000001.jsonl\n",
    "seg-4294967296.jsonl\n",
    "payloads-00000000.jsonl\n",
    "\"payload\":\"\"",
    "{\"of\":\"1\",\"salt\":\"",
    "\"salt\":\"",
    "\"seq\":\"2\"",
    "\n\n",
    "\u{2014} ",
    "{}",
    "ustar\0",
    "ustar  \0",
    "../",
    "/",
    "0000000",
    "7777777",
    "././@LongLink",
    "path=a",
    "\0\0\0\0\0\0\0\0",
];

pub(crate) const FOLDER: Target = Target {
    name: "folder",
    run: folder,
    words: WORDS,
};

pub(crate) const WITNESS: Target = Target {
    name: "witness",
    run: witness,
    words: WORDS,
};

pub(crate) const BUNDLE: Target = Target {
    name: "bundle",
    run: bundle,
    words: WORDS,
};

/// Files in memory, all in one folder.
#[derive(Debug)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Memory {
    fn vector() -> Self {
        let payloads = include_bytes!("../../../vectors/fhe1-sample/payloads-00000000.jsonl");
        let files: [(&str, &[u8]); 3] = [
            (SEGMENT, ledger::SEGMENT),
            (PAYLOADS, payloads),
            ("checkpoint", ledger::NOTE_BYTES),
        ];
        Self(
            files
                .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
                .into(),
        )
    }

    fn file(&self, path: &Path) -> io::Result<&Vec<u8>> {
        let name = path.to_str().and_then(|name| self.0.get(name));
        name.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Source for Memory {
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        if dir != Path::new("") {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = self.0.keys().cloned();
        Ok(names
            .map(|name| Entry {
                name,
                is_dir: false,
            })
            .collect())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Cursor::new(self.file(path)?.clone())))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.file(path).map(|bytes| bytes.len() as u64)
    }
}

fn options() -> VerifyOptions {
    VerifyOptions {
        trusted: ledger::trusted(),
        ..VerifyOptions::default()
    }
}

/// The first line names the file that the rest replaces.
fn folder(bytes: &[u8]) -> Outcome {
    let (name, rest) = head_and_rest(bytes);
    let name = text(name).into_owned();
    if name.contains('/') {
        return Outcome::Refused;
    }
    let mut files = Memory::vector();
    files.0.insert(name.clone(), rest.to_vec());
    let report = verify_in(&files, Path::new(""), &options());
    is_signed(&report);
    if report.ok && name == SEGMENT {
        assert_eq!(rest, ledger::SEGMENT, "a changed segment is accepted");
    }
    let segment = name.starts_with("seg-") && name.ends_with(".jsonl");
    if report.ok && segment && name != SEGMENT {
        assert!(
            rest.is_empty(),
            "records that nobody signed are accepted: {name}"
        );
    }
    let live = VerifyOptions {
        live: true,
        ..options()
    };
    let live = verify_in(&files, Path::new(""), &live);
    assert!(live.ok || !report.ok, "{live:?}");
    if let Ok(records) = read_run_in(&files, Path::new("")) {
        let read = records.filter(Result::is_ok).count() as u64;
        assert!(!report.ok || read == 3, "{read} records are read");
    }
    Outcome::of(&if report.ok { Ok(()) } else { Err(()) })
}

/// A verdict has its reasons, and belief its signatures.
fn is_signed(report: &Report) {
    assert_eq!(report.ok, report.all_problems().count() == 0, "{report:?}");
    for found in &report.ledgers {
        assert!(found.signed <= found.records, "{found:?}");
        assert!(!report.ok || found.signed == found.records, "{found:?}");
    }
}

/// What a `--witness` file holds against the vector: its own notes only.
fn witness(bytes: &[u8]) -> Outcome {
    let mut files = Memory::vector();
    files.0.insert("witness".to_owned(), bytes.to_vec());
    let read = read_witness(&files, Path::new("witness"));
    files.0.remove("witness");
    if let Ok(notes) = &read {
        assert!(!notes.is_empty());
        let sizes: Vec<u64> = notes.iter().map(|note| note.unverified().size).collect();
        let original = Note::parse(ledger::NOTE_BYTES).ok();
        let witnessed = VerifyOptions {
            witnessed: notes.clone(),
            ..options()
        };
        let report = verify_in(&files, Path::new(""), &witnessed);
        is_signed(&report);
        if notes.iter().all(|note| Some(note) == original.as_ref()) {
            assert!(
                report.ok,
                "the ledger's own note contradicts it: {report:?}"
            );
        }
        assert_eq!(sizes.len(), notes.len());
    }
    Outcome::of(&read)
}

/// The input is an archive. The disk is real here, because a bundle is opened by its path.
fn bundle(bytes: &[u8]) -> Outcome {
    let file = tempfile::NamedTempFile::new();
    let written = file.and_then(|mut file| file.write_all(bytes).map(|()| file));
    let Ok(file) = written else {
        return Outcome::Refused;
    };
    let report = verify_path(file.path(), &options());
    is_signed(&report);
    if report.ok {
        let signed: u64 = report.ledgers.iter().map(|ledger| ledger.signed).sum();
        assert_eq!(signed, 3 * report.ledgers.len() as u64, "{report:?}");
    }
    Outcome::of(&if report.ok { Ok(()) } else { Err(()) })
}
