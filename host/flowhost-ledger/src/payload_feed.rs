//! The payload file of a segment, read beside its records: each record meets its payload or hears that
//! there is none.
//!
//! Must never hold more than one payload: files are as large as runs are long. Of those that others may name it
//! holds the places.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::audit::{io_fault, place};
use crate::disk::{ReadSeek, Source};
use crate::lines::{Line, Lines};
use crate::payloads::{
    Content, PAYLOAD_LINE_BYTES_MAX, Payload, SHARED_BYTES_MAX, SHARED_BYTES_MIN, line_at,
};
use crate::report::{Code, Problem};
use crate::verify::{Accepted, Check, Fault, fault};

/// Reads the payload file of one segment in step with its records.
pub(crate) struct PayloadFeed<'s> {
    source: &'s dyn Source,
    path: std::path::PathBuf,
    lines: Option<Lines>,
    next: Option<PayloadLine>,
    whole: Wholes,
}

/// The payloads of the file so far that a later line may name.
struct Wholes {
    /// By record. A file has few: each is a KiB of it at least.
    places: BTreeMap<u64, Whole>,
    /// Bytes that may still be read a second time.
    left: u64,
}

/// Where the line of a payload is, and how many bytes it stands for.
struct Whole {
    offset: u64,
    len: u64,
    bytes: u64,
}

/// A line that no record has taken yet.
struct PayloadLine {
    number: u64,
    offset: u64,
    /// Cut off by the end of the file.
    torn: bool,
    payload: Result<Payload, String>,
}

impl<'s> PayloadFeed<'s> {
    pub(crate) fn open(source: &'s dyn Source, dir: &Path, number: &str) -> Result<Self, Problem> {
        let path = dir.join(format!("payloads-{number}.jsonl"));
        let lines = match source.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(Lines::new(
                other.map_err(io_fault(&path))?,
                PAYLOAD_LINE_BYTES_MAX,
            )),
        };
        let mut feed = Self {
            source,
            path,
            lines,
            next: None,
            whole: Wholes {
                places: BTreeMap::new(),
                left: SHARED_BYTES_MAX,
            },
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
            let payload = match payload {
                Ok(payload) => {
                    let file = || self.source.open_read(&self.path);
                    self.whole
                        .fill(payload, &line, &file)
                        .map_err(io_fault(&self.path))?
                }
                Err(what) => Err(what),
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

impl Wholes {
    /// The payload with the bytes of the one that it names; the inner error says why it has none.
    fn fill(
        &mut self,
        mut payload: Payload,
        line: &Line<'_>,
        file: &dyn Fn() -> io::Result<Box<dyn ReadSeek>>,
    ) -> io::Result<Result<Payload, String>> {
        let of = match &payload.content {
            Content::Of(of) => *of,
            Content::Whole(bytes) => {
                if bytes.len() >= SHARED_BYTES_MIN {
                    let place = Whole {
                        offset: line.offset,
                        len: line.bytes.len() as u64,
                        bytes: bytes.len() as u64,
                    };
                    self.places.insert(payload.seq, place);
                }
                return Ok(Ok(payload));
            }
        };
        let Some(place) = self.places.get(&of) else {
            let what = format!("record {of}, which it names, has no such payload before it here");
            return Ok(Err(what));
        };
        let Some(left) = self.left.checked_sub(place.bytes) else {
            return Ok(Err(
                "this file names more bytes twice than may be".to_owned()
            ));
        };
        self.left = left;
        let whole = line_at(file()?.as_mut(), place.offset, place.len)?;
        Ok(Payload::parse(&whole).map(|whole| {
            payload.content = whole.content;
            payload
        }))
    }
}
