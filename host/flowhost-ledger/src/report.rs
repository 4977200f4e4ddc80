//! What a verification found, for programs (serde) and for people (`Display`).
//!
//! A report says what was checked, not only that nothing was wrong: a reader must be able to see
//! that a key was merely asserted by the ledger itself, or that a payload was erased.

use std::fmt;

use serde::Serialize;

use crate::checkpoint::VKey;
use crate::layout;

/// The sort of a problem, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Code {
    /// A file cannot be read.
    Io,
    /// A file is missing or too many, or the folder is no ledger.
    Layout,
    /// `ledger.json` is wrong.
    Meta,
    /// A line is not the record that belongs there.
    Record,
    /// A note is malformed or does not fit the records.
    Checkpoint,
    /// A signature by a known key is wrong.
    Signature,
    /// No signature is by a key that was given.
    UnknownKey,
    /// A note or the index vouches for more records than there are.
    Truncated,
    /// Records that no note covers.
    Unsigned,
    /// A payload is missing, superfluous or not what was committed to.
    Payload,
    /// The index of runs and the runs disagree.
    Index,
    /// A view beside the ledger is not the one that a record says was written.
    View,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What sort of thing.
    pub code: Code,
    /// The file or folder, as given to the verifier.
    pub file: String,
    /// The line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Where the line starts, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The record that is, or should be, there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, ", byte {offset}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, ", record {seq}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Why the key that signed is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The caller gave it, or a key that the caller gave handed over to it.
    Given,
    /// Only the ledger's own `ledger.json` names it: whoever rewrote everything would pass, too.
    SelfAsserted,
}

/// How many payloads there are, and why some are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PayloadCounts {
    /// There, and what their records committed to.
    pub checked: u64,
    /// Gone, as an `erasure` record says.
    pub erased: u64,
    /// Gone in a crash, as a `recovery` record says.
    pub lost: u64,
    /// At the end of an unfinished ledger, for records that never came: the host was killed
    /// between writing the two. Nothing vouches for them, and opening the ledger cuts them.
    pub unrecorded: u64,
}

/// How many views that records name are beside the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ViewCounts {
    /// There, and what was written.
    pub checked: u64,
    /// Not there, which is no fault: everything in a view can be read from the records.
    pub missing: u64,
    /// There, and not what was written; or not there, where the run goes on by it.
    pub altered: u64,
    /// Files in the folder that no record names, which is no fault: nobody vouches for them.
    pub unnamed: u64,
}

/// What the index of runs says of a run that was verified alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Indexed {
    /// It ended with so many records, and they are there.
    Ended {
        /// How many.
        records: u64,
    },
    /// It started and has not ended.
    Open,
}

/// What was found in one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// Its folder.
    pub path: String,
    /// Its origin, if it says one.
    pub origin: Option<String>,
    /// How many records are there and sound.
    pub records: u64,
    /// How many of them a believed key signed.
    pub signed: u64,
    /// How many segments were read.
    pub segments: u64,
    /// How many bytes of records were read.
    pub bytes: u64,
    /// How many notes fit the records, `checkpoint` included.
    pub notes: u64,
    /// How many of them no known key signed (older keys); the newest one always is.
    pub notes_by_other_keys: u64,
    /// The root over all records, in hexadecimal.
    pub root: Option<String>,
    /// The key of the newest note.
    pub key: Option<VKey>,
    /// Why that key is believed.
    pub trust: Option<Trust>,
    /// What became of the payloads.
    pub payloads: PayloadCounts,
    /// What became of the views.
    pub views: ViewCounts,
    /// The first files in the folder that no record names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unnamed: Vec<String>,
    /// What the index of runs says, if it was asked about this run alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Indexed>,
    /// Whether there is a `run.end` record.
    pub ended: bool,
    /// Whether it stopped before its end, in order: it can be resumed, unless `ledger.json` is missing.
    pub paused: bool,
    /// Whether `ledger.json` is missing: what is signed does not rest on it, and whoever reads or resumes the run does.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_meta: bool,
    /// Records of kinds that this version does not know.
    pub unknown_kinds: u64,
    /// The first thing that is wrong.
    pub problem: Option<Problem>,
}

impl LedgerReport {
    pub(crate) fn new(path: String) -> Self {
        Self {
            path,
            origin: None,
            records: 0,
            signed: 0,
            segments: 0,
            bytes: 0,
            notes: 0,
            notes_by_other_keys: 0,
            root: None,
            key: None,
            trust: None,
            payloads: PayloadCounts::default(),
            views: ViewCounts::default(),
            unnamed: Vec::new(),
            index: None,
            ended: false,
            paused: false,
            no_meta: false,
            unknown_kinds: 0,
            problem: None,
        }
    }

    /// Whether what is missing at its end is known to be missing: a fault ends the reading, and records
    /// that were cut off are another matter than a run that was killed.
    fn was_read_to_the_end(&self) -> bool {
        let code = self.problem.as_ref().map(|problem| problem.code);
        matches!(code, None | Some(Code::Unsigned))
    }

    /// Whether it is the index of a tenant's runs, which never ends.
    pub(crate) fn is_index(&self) -> bool {
        self.origin
            .as_deref()
            .and_then(layout::owner_of)
            .is_some_and(|owner| owner.run == layout::INDEX)
    }
}

impl fmt::Display for LedgerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (&self.problem, self.trust) {
            (Some(_), _) => "FAILED",
            // It agrees with itself, and that is all: `ok` would be read as verified.
            (None, Some(Trust::SelfAsserted)) => "UNTRUSTED",
            (None, _) => "ok",
        };
        // The ledger of a bundle lies at its root, which has no name.
        let path = match self.path.as_str() {
            "" => "the ledger of the bundle",
            path => path,
        };
        writeln!(f, "{verdict}  {path}")?;
        self.fmt_records(f)?;
        self.fmt_key(f)?;
        self.fmt_beside(f)?;
        self.fmt_notes(f)?;
        match &self.problem {
            Some(problem) => writeln!(f, "  first fault  {problem}"),
            None => Ok(()),
        }
    }
}

/// The parts of what is displayed, in their order.
impl LedgerReport {
    fn fmt_records(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            writeln!(f, "  origin       {origin}")?;
        }
        writeln!(
            f,
            "  records      {} in {}, {} bytes: canonical, chained, in sequence",
            self.records,
            counted(self.segments, "segment"),
            self.bytes
        )?;
        writeln!(
            f,
            "  checkpoints  {} fit; {} signed, {} not",
            self.notes,
            counted(self.signed, "record"),
            self.records - self.signed.min(self.records)
        )?;
        match &self.root {
            Some(root) => writeln!(f, "  root         {root}"),
            None => Ok(()),
        }
    }

    fn fmt_key(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(key) = &self.key else {
            return Ok(());
        };
        if self.trust == Some(Trust::Given) {
            return writeln!(f, "  key          trusted: {key}");
        }
        writeln!(
            f,
            "  key          UNTRUSTED, the ledger itself names it: {key}"
        )?;
        writeln!(
            f,
            "               give --key with what `flowhost keys show --state DIR` prints for the state folder of the run, or --trust FILE"
        )
    }

    /// What lies beside the records.
    fn fmt_beside(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PayloadCounts {
            checked,
            erased,
            lost,
            ..
        } = self.payloads;
        writeln!(
            f,
            "  payloads     {checked} match their records, {erased} erased, {lost} lost in a crash"
        )?;
        match self.index {
            Some(Indexed::Ended { records }) => writeln!(
                f,
                "  index        ended with {}, as the index of runs says",
                counted(records, "record")
            )?,
            Some(Indexed::Open) => {
                writeln!(f, "  index        has not ended, as the index of runs says")?;
            }
            None => {}
        }
        let ViewCounts {
            checked,
            missing,
            altered,
            ..
        } = self.views;
        match checked + missing + altered {
            0 => Ok(()),
            all => writeln!(f, "  views        {checked} of {all} match their records"),
        }
    }

    /// What a reader may wonder about, and is no fault.
    fn fmt_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut note = |what: &str| writeln!(f, "  note         {what}");
        if self.views.missing > 0 {
            let views = counted(self.views.missing, "view");
            note(&format!(
                "{views} not beside the ledger: nothing rests on views"
            ))?;
        }
        if self.views.unnamed > 0 {
            let more = self.views.unnamed - self.unnamed.len() as u64;
            let names: Vec<String> = self.unnamed.iter().map(|it| format!("`{it}`")).collect();
            let names = match more {
                0 => names.join(", "),
                more => format!("{} and {more} more", names.join(", ")),
            };
            note(&format!(
                "no record names {names}, beside the ledger: nobody vouches for that"
            ))?;
        }
        if self.payloads.unrecorded > 0 {
            let payloads = counted(self.payloads.unrecorded, "payload");
            note(&format!(
                "{payloads} for records that never came: the host was killed"
            ))?;
        }
        if !self.ended && !self.is_index() && self.was_read_to_the_end() {
            note(match (self.paused, self.no_meta) {
                (true, false) => "the run stopped before its end, in order, and can be resumed",
                (true, true) => "the run stopped before its end, in order",
                (false, _) => {
                    "the record run.end is missing: the run was killed, or is still at work"
                }
            })?;
        }
        if self.no_meta {
            note(
                "ledger.json is missing: nothing that is signed rests on it, but without it the run is neither shown nor \
                 resumed; bring it back from a backup",
            )?;
        }
        if self.unknown_kinds > 0 {
            let records = counted(self.unknown_kinds, "record");
            note(&format!("{records} of kinds unknown here"))?;
        }
        Ok(())
    }
}

/// What was found in a ledger, a tenant's folder, a state folder or a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing at all is wrong.
    pub ok: bool,
    /// What was verified.
    pub path: String,
    /// Each ledger that was found.
    pub ledgers: Vec<LedgerReport>,
    /// What is wrong with the whole: missing runs, no ledger at all.
    pub problems: Vec<Problem>,
    /// What is not wrong, and still worth knowing: runs without an end, folders that nobody could look into.
    pub notes: Vec<String>,
}

impl Report {
    /// Everything that is wrong, in the order of checking.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.ledgers
            .iter()
            .filter_map(|ledger| ledger.problem.as_ref())
            .chain(&self.problems)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ledger in &self.ledgers {
            write!(f, "{ledger}")?;
        }
        for problem in &self.problems {
            writeln!(f, "FAILED  {problem}")?;
        }
        for note in &self.notes {
            writeln!(f, "note  {note}")?;
        }
        let records: u64 = self.ledgers.iter().map(|ledger| ledger.records).sum();
        let verdict = if self.ok { "verified" } else { "NOT verified" };
        writeln!(
            f,
            "{verdict}: {}, {}",
            counted(self.ledgers.len() as u64, "ledger"),
            counted(records, "record")
        )
    }
}

/// `1 record`, `2 records`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
