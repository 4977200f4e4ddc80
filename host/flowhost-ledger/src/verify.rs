//! The judgement over one ledger, as a pure state machine: records, notes and payloads go in, in
//! the ledger's order, and the first thing that is wrong comes out.
//!
//! It never prints a line again to hash it, never believes a key that nobody vouched for, and
//! holds a bounded amount whatever it is fed: peaks of the tree, the keys, and the numbers of
//! records without payload.

use std::collections::{BTreeMap, BTreeSet};

use crate::canonical::Parsed;
use crate::chain::Chain;
use crate::checkpoint::{Note, NoteError, VKey};
use crate::merkle::Hash;
use crate::record::{LineFault, Owner, View};
use crate::records::Kind;
use crate::report::{Code, LedgerReport, Trust};
use crate::rows::Row;
use crate::scan::{erased_by, parse_ranges};

/// Most keys that one ledger may bring in by `key.rotate`: more is an attack on the verifier.
const ROTATIONS_MAX: usize = 1024;

/// A verdict without its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) code: Code,
    pub(crate) what: String,
    /// The record that it is about, where that is not the one at hand.
    pub(crate) seq: Option<u64>,
    /// The line does not follow from the one before: either of the two was altered.
    pub(crate) broken_link: bool,
}

impl Fault {
    /// The fault is that of this record.
    const fn of(mut self, seq: u64) -> Self {
        self.seq = Some(seq);
        self
    }
}

pub(crate) fn fault(code: Code, what: impl Into<String>) -> Fault {
    Fault {
        code,
        what: what.into(),
        seq: None,
        broken_link: false,
    }
}

impl From<LineFault> for Fault {
    fn from(error: LineFault) -> Self {
        let mut fault = fault(Code::Record, error.to_string());
        fault.broken_link = matches!(error, LineFault::Prev);
        fault
    }
}

/// What somebody outside the ledger remembers of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// Who remembers, in words for a message.
    pub(crate) source: String,
}

/// What the walker needs to know of a record that was accepted.
#[derive(Debug)]
pub(crate) struct Accepted<'a> {
    pub(crate) seq: u64,
    pub(crate) commit: Option<&'a str>,
}

/// One bit for each record: whether it committed to a payload.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn push(&mut self, at: u64, bit: bool) {
        if at.is_multiple_of(64) {
            self.0.push(0);
        }
        if let Some(word) = self.0.last_mut() {
            *word |= u64::from(bit) << (at % 64);
        }
    }

    fn get(&self, at: u64) -> bool {
        usize::try_from(at / 64)
            .ok()
            .and_then(|word| self.0.get(word))
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

/// The state machine.
pub(crate) struct Check {
    chain: Chain,
    owner: Owner,
    origin: String,
    keys: Vec<VKey>,
    /// Keys that the ledger itself names, retired ones included: an older note that none of the
    /// known keys made must be by one of these, or its signature is not one at all.
    named: Vec<VKey>,
    trust: Trust,
    /// Keys of `key.rotate` records that no believed note covers yet.
    arriving: Vec<VKey>,
    signed: u64,
    /// How many records the newest note of any key fits.
    fitted: u64,
    key: Option<VKey>,
    notes: u64,
    notes_by_other_keys: u64,
    missing: BTreeSet<u64>,
    erased: BTreeSet<u64>,
    lost: BTreeMap<u64, u64>,
    committed: Bits,
    payloads_checked: u64,
    ended: bool,
    paused: bool,
    unknown_kinds: u64,
}

impl Check {
    pub(crate) fn new(
        origin: &str,
        owner: Owner,
        keys: Vec<VKey>,
        named: Vec<VKey>,
        trust: Trust,
    ) -> Self {
        Self {
            chain: Chain::default(),
            owner,
            origin: origin.to_owned(),
            keys,
            named,
            trust,
            arriving: Vec::new(),
            signed: 0,
            fitted: 0,
            key: None,
            notes: 0,
            notes_by_other_keys: 0,
            missing: BTreeSet::new(),
            erased: BTreeSet::new(),
            lost: BTreeMap::new(),
            committed: Bits::default(),
            payloads_checked: 0,
            ended: false,
            paused: false,
            unknown_kinds: 0,
        }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.chain.size()
    }

    pub(crate) const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Whether a host that was killed may have left the ledger as it is so far: the run has no
    /// end, or its last records are unsigned.
    pub(crate) const fn is_unfinished(&self) -> bool {
        !self.ended || self.signed < self.size()
    }

    /// Takes the next stored line.
    pub(crate) fn row<'a>(
        &mut self,
        row: &Row<'a>,
        look: &mut dyn FnMut(&View<'_>),
    ) -> Result<Accepted<'a>, Fault> {
        match row.plain {
            Some(plain) if self.chain.take(plain) => {
                let commit = row.commit();
                self.committed.push(plain.seq, commit.is_some());
                Ok(Accepted {
                    seq: plain.seq,
                    commit,
                })
            }
            // Whatever is wrong with it, the parser has the words.
            _ => self.record(row.bytes, look),
        }
    }

    /// Takes a line (without LF) of which nothing is known.
    fn record<'a>(
        &mut self,
        line: &'a [u8],
        look: &mut dyn FnMut(&View<'_>),
    ) -> Result<Accepted<'a>, Fault> {
        let view = self.chain.check(line, &self.owner)?;
        match view.kind() {
            Some(Kind::Erasure) => self.erased.extend(erased_by(&view)),
            Some(Kind::Recovery) => {
                let lost = view.field("payloads_lost").map(Parsed::to_value);
                let list = lost
                    .as_ref()
                    .and_then(|value| value.as_list())
                    .unwrap_or_default();
                self.lost.extend(parse_ranges(list));
            }
            Some(Kind::KeyRotate) => {
                let text = view.field("new").and_then(Parsed::text).unwrap_or_default();
                let key = VKey::parse(text)
                    .ok()
                    .filter(|key| key.name() == self.origin)
                    .ok_or_else(|| fault(Code::Record, "it brings in no key of this ledger"))?;
                self.named.push(key.clone());
                self.arriving.push(key);
            }
            Some(Kind::RunEnd) => self.ended = true,
            Some(Kind::RunPause) => self.paused = true,
            Some(Kind::RunResume) => self.paused = false,
            Some(_) => {}
            None => self.unknown_kinds += 1,
        }
        if self.arriving.len() + self.keys.len() > ROTATIONS_MAX {
            return Err(fault(Code::Record, "the ledger brings in too many keys"));
        }
        self.committed.push(view.seq, view.commit.is_some());
        look(&view);
        Ok(Accepted {
            seq: view.seq,
            commit: view.commit,
        })
    }

    /// Takes a note of the size that the ledger has just now. `newest` must be by a known key;
    /// an older one may be by a key that has been retired, which the ledger then names.
    pub(crate) fn note(&mut self, note: &Note, newest: bool) -> Result<(), Fault> {
        let checkpoint = note.unverified();
        if checkpoint.origin != self.origin {
            return Err(fault(Code::Checkpoint, "it is of another ledger"));
        }
        let fits = checkpoint.root == self.chain.root();
        let verified = note.verify(&self.keys);
        // A note that its own signature contradicts says nothing about the records.
        if !fits && !matches!(verified, Err(NoteError::BadSignature(_))) {
            return Err(self.altered(checkpoint.size, verified.is_ok()));
        }
        match verified {
            Ok((_, signers)) => {
                // The newest: a note of a rotation is signed by the old key first.
                self.key = signers.last().map(|key| (*key).clone());
                self.signed = self.chain.size();
                // Only with a note by a key that is believed already: whoever can write records
                // could else bring in one of its own.
                self.keys.append(&mut self.arriving);
            }
            Err(NoteError::UnknownKey) if !newest && note.verify(&self.named).is_ok() => {
                self.notes_by_other_keys += 1;
            }
            Err(error @ NoteError::UnknownKey) => {
                return Err(fault(Code::UnknownKey, error.to_string()));
            }
            Err(error) => return Err(fault(Code::Signature, error.to_string())),
        }
        self.notes += 1;
        self.fitted = self.size();
        Ok(())
    }

    /// Records whose hashes were made to fit each other again, and not this note.
    fn altered(&self, size: u64, believed: bool) -> Fault {
        let last = size.saturating_sub(1);
        let records = match last <= self.fitted {
            true => format!("record {last} was altered"),
            false => format!("one of the records {} to {last} was altered", self.fitted),
        };
        let note = if believed { "" } else { ", or this note was" };
        let what =
            format!("its root is not that of the first {size} records: {records} after it{note}");
        fault(Code::Checkpoint, what).of(self.fitted)
    }

    /// Whether a note fits the records so far, all of them.
    pub(crate) const fn is_fitted(&self) -> bool {
        self.fitted == self.size()
    }

    /// Compares with what somebody else remembers of the ledger's present size.
    pub(crate) fn floor(&self, floor: &Floor) -> Result<(), Fault> {
        if floor.root == self.chain.root() {
            return Ok(());
        }
        let what = format!(
            "{} has another root for the first {} records",
            floor.source, floor.size
        );
        Err(fault(Code::Checkpoint, what))
    }

    /// Takes what the payload of the record just accepted commits to, or hears that there is none.
    pub(crate) fn payload(
        &mut self,
        record: &Accepted<'_>,
        payload: Option<&str>,
    ) -> Result<(), Fault> {
        match (record.commit, payload) {
            // Both sides are public by now: a comparison that leaks its time leaks nothing.
            (Some(commit), Some(made)) if made == commit => self.payloads_checked += 1,
            (Some(_), Some(_)) => {
                return Err(fault(
                    Code::Payload,
                    "it is not what its record committed to",
                ));
            }
            (Some(_), None) => {
                self.missing.insert(record.seq);
            }
            (None, Some(_)) => {
                return Err(fault(Code::Payload, "its record committed to no payload"));
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Hears that the ledger ended, and writes down what was found. `live`: a writer may still be
    /// at work, so that records which no note covers are not wrong.
    pub(crate) fn finish(&self, live: bool, report: &mut LedgerReport) -> Result<(), Fault> {
        self.describe(report);
        if self.signed < self.size() && !live {
            let what = format!(
                "not signed: {} after the last checkpoint; the host was killed before it could \
                 sign, or is still at work; `flowhost` signs when it opens the ledger again",
                crate::report::counted(self.size() - self.signed, "record")
            );
            return Err(fault(Code::Unsigned, what));
        }
        if let Some(seq) = self.missing.iter().find(|seq| !self.is_explained(**seq)) {
            let what =
                format!("the payload of record {seq} is missing, and no record says that it went");
            return Err(fault(Code::Payload, what).of(*seq));
        }
        // While a writer erases, the record comes first.
        let still_there =
            |seq: &&u64| self.committed.get(**seq) && !self.missing.contains(*seq) && !live;
        if let Some(seq) = self.erased.iter().find(still_there) {
            let what = format!("the payload of record {seq} was erased, and is there");
            return Err(fault(Code::Payload, what).of(*seq));
        }
        Ok(())
    }

    fn is_lost(&self, seq: u64) -> bool {
        self.lost
            .range(..=seq)
            .next_back()
            .is_some_and(|(_, end)| seq <= *end)
    }

    fn is_explained(&self, seq: u64) -> bool {
        self.erased.contains(&seq) || self.is_lost(seq)
    }

    /// Writes down what is known so far; also after a fault.
    pub(crate) fn describe(&self, report: &mut LedgerReport) {
        report.records = self.size();
        report.signed = self.signed;
        report.notes = self.notes;
        report.notes_by_other_keys = self.notes_by_other_keys;
        report.root = Some(hex::encode(self.chain.root()));
        report.key = self.key.clone();
        report.trust = self.key.as_ref().map(|_| self.trust);
        report.payloads.checked = self.payloads_checked;
        report.payloads.erased = self
            .missing
            .iter()
            .filter(|seq| self.erased.contains(*seq))
            .count() as u64;
        report.payloads.lost = self
            .missing
            .iter()
            .filter(|seq| !self.erased.contains(*seq) && self.is_lost(**seq))
            .count() as u64;
        report.ended = self.ended;
        report.paused = self.paused;
        report.unknown_kinds = self.unknown_kinds;
    }
}
