//! The payload file of a segment, read beside its records: each record meets its payload or hears that
//! there is none.
//!
//! Must never hold more than one payload: files are as large as runs are long.

use std::io;
use std::path::Path;

use crate::audit::{io_fault, place};
use crate::disk::Source;
use crate::lines::Lines;
use crate::payloads::{PAYLOAD_LINE_BYTES_MAX, Payload};
use crate::report::{Code, Problem};
use crate::verify::{Accepted, Check, Fault, fault};

/// Reads the payload file of one segment in step with its records.
pub(crate) struct PayloadFeed {
    path: std::path::PathBuf,
    lines: Option<Lines>,
    next: Option<PayloadLine>,
}

/// A line that no record has taken yet.
struct PayloadLine {
    number: u64,
    offset: u64,
    /// Cut off by the end of the file.
    torn: bool,
    payload: Result<Payload, String>,
}

impl PayloadFeed {
    pub(crate) fn open(source: &dyn Source, dir: &Path, number: &str) -> Result<Self, Problem> {
        let path = dir.join(format!("payloads-{number}.jsonl"));
        let lines = match source.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(Lines::new(
                other.map_err(io_fault(&path))?,
                PAYLOAD_LINE_BYTES_MAX,
            )),
        };
        let mut feed = Self {
            path,
            lines,
            next: None,
        };
        feed.advance()?;
        Ok(feed)
    }

    fn advance(&mut self) -> Result<(), Problem> {
        self.next = None;
        let Some(lines) = &mut self.lines else {
            return Ok(());
        };
        if let Some(line) = lines.next().map_err(io_fault(&self.path))? {
            let payload = match line.length_fault(PAYLOAD_LINE_BYTES_MAX) {
                Some(what) => Err(format!("the line is {what}")),
                None => Payload::parse(line.bytes),
            };
            self.next = Some(PayloadLine {
                number: line.number,
                offset: line.offset,
                torn: line.is_torn(PAYLOAD_LINE_BYTES_MAX),
                payload,
            });
        }
        Ok(())
    }

    fn problem(&self, seq: Option<u64>, fault: Fault) -> Problem {
        let mut problem = place(&self.path, fault);
        problem.line = self.next.as_ref().map(|line| line.number);
        problem.offset = self.next.as_ref().map(|line| line.offset);
        problem.seq = seq;
        problem
    }

    /// Hands the record its payload, if that is the next one.
    pub(crate) fn meet(&mut self, check: &mut Check, record: &Accepted<'_>) -> Result<(), Problem> {
        let next = self
            .next
            .as_ref()
            .and_then(|line| line.payload.as_ref().ok());
        let own = next.filter(|payload| payload.seq == record.seq);
        check
            .payload(record, own)
            .map_err(|fault| self.problem(Some(record.seq), fault))?;
        if own.is_some() {
            self.advance()?;
        }
        Ok(())
    }

    /// After the segment's last record nothing may be left, but for what a kill leaves. Payloads
    /// reach the disk before their records do, so at the end of an unfinished ledger there may be
    /// payloads of records that never came, the last of them half written. Returns how many.
    pub(crate) fn finish(&mut self, check: &Check, last: bool) -> Result<u64, Problem> {
        let may_be_torn = last && check.is_unfinished();
        let (mut unrecorded, mut seq_min) = (0, check.size());
        while let Some(line) = &self.next {
            match &line.payload {
                Ok(payload) if may_be_torn && payload.seq >= seq_min => {
                    seq_min = payload.seq.saturating_add(1);
                }
                Err(_) if may_be_torn && line.torn => {}
                Err(what) => return Err(self.problem(None, fault(Code::Payload, what.as_str()))),
                Ok(payload) => {
                    let what = "it is out of order, or no record committed to it";
                    return Err(self.problem(Some(payload.seq), fault(Code::Payload, what)));
                }
            }
            unrecorded += 1;
            self.advance()?;
        }
        Ok(unrecorded)
    }
}
