//! The payload file of a segment, read beside its records: each record meets its payload or hears that
//! there is none.
//!
//! What a line holds, and what its bytes commit to, can be said of it alone, and is most of the work: so several threads
//! say it where a file is large, and whoever joins them to the records compares. Must never hold more than a few chunks
//! of a file: files are as large as runs are long. Of payloads that others may name it holds the places.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::audit::{io_fault, place};
use crate::chunks::{Chunk, Chunks, Effort};
use crate::disk::{ReadSeek, Source};
use crate::payloads::{
    Content, PAYLOAD_LINE_BYTES_MAX, Payload, SHARED_BYTES_MAX, SHARED_BYTES_MIN, line_at,
};
use crate::record::{Salt, commitment};
use crate::report::{Code, Problem};
use crate::verify::{Accepted, Check, Fault, fault};

/// Reads the payload file of one segment in step with its records.
pub(crate) struct PayloadFeed<'s> {
    source: &'s dyn Source,
    path: std::path::PathBuf,
    chunks: Option<Chunks<Looked>>,
    looked: Looked,
    /// Where the line behind `next` is: how many lines and bytes are before it.
    lines: u64,
    bytes: u64,
    next: Option<PayloadLine>,
    whole: Wholes,
}

/// Lines that were looked at together, and what is left of them to hand out.
#[derive(Default)]
struct Looked {
    bytes: Vec<u8>,
    lines: std::vec::IntoIter<Line>,
}

/// A line, as far as it can be judged alone.
struct Line {
    /// Its bytes without the LF, and with it.
    len: u64,
    stored: u64,
    /// Cut off by the end of the file.
    torn: bool,
    said: Result<Said, String>,
}

/// Whose payload a line holds.
struct Said {
    seq: u64,
    held: Held,
}

/// What a line has of a payload.
enum Held {
    /// Its bytes: how many, and what they commit to.
    Whole { bytes: u64, commit: String },
    /// The name of the record whose line has them, and the salt of its own.
    Of { of: u64, salt: Salt },
}

impl Chunk for Looked {
    fn lines(&mut self) -> &mut Vec<u8> {
        self.lines = Vec::new().into_iter();
        &mut self.bytes
    }
}

impl Looked {
    /// Ends with the first line that is none of a payload, as whoever takes them does: a chunk of nothing but line ends
    /// would else take hundreds of times its bytes.
    fn look(&mut self) {
        let mut lines = Vec::new();
        for stored in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = Line::of(stored);
            let is_payload = line.said.is_ok();
            lines.push(line);
            if !is_payload {
                break;
            }
        }
        self.lines = lines.into_iter();
    }
}

impl Line {
    fn of(stored: &[u8]) -> Self {
        let line = stored.strip_suffix(b"\n");
        let (line, complete) = (line.unwrap_or(stored), line.is_some());
        let too_long = line.len() > PAYLOAD_LINE_BYTES_MAX;
        let said = match (complete, too_long) {
            (_, true) => Err("the line is too long".to_owned()),
            (false, false) => Err("the line is cut off: it has no line end".to_owned()),
            (true, false) => Payload::parse(line).map(Said::of),
        };
        Self {
            len: line.len() as u64,
            stored: stored.len() as u64,
            torn: !complete && !too_long,
            said,
        }
    }
}

impl Said {
    fn of(payload: Payload) -> Self {
        let Payload {
            seq, salt, content, ..
        } = payload;
        let held = match content {
            Content::Whole(bytes) => Held::Whole {
                bytes: bytes.len() as u64,
                commit: commitment(&salt, &bytes),
            },
            Content::Of(of) => Held::Of { of, salt },
        };
        Self { seq, held }
    }
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

/// A payload that no record has taken yet.
struct Met {
    seq: u64,
    /// What its bytes commit to.
    commit: String,
}

/// A line that no record has taken yet.
struct PayloadLine {
    number: u64,
    offset: u64,
    /// Cut off by the end of the file.
    torn: bool,
    payload: Result<Met, String>,
}

impl<'s> PayloadFeed<'s> {
    /// `effort` says how many threads look at its lines.
    pub(crate) fn open(
        source: &'s dyn Source,
        dir: &Path,
        number: &str,
        effort: Effort,
    ) -> Result<Self, Problem> {
        let path = dir.join(format!("payloads-{number}.jsonl"));
        let chunks = match source.open_read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => {
                let file = other.map_err(io_fault(&path))?;
                let len = source.len(&path).map_err(io_fault(&path))?;
                let bounds = (len, PAYLOAD_LINE_BYTES_MAX);
                Some(Chunks::new(file, bounds, effort, Arc::new(Looked::look)))
            }
        };
        let mut feed = Self {
            source,
            path,
            chunks,
            looked: Looked::default(),
            lines: 0,
            bytes: 0,
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
        let Some(line) = self.line().map_err(io_fault(&self.path))? else {
            return Ok(());
        };
        let offset = self.bytes;
        self.lines += 1;
        self.bytes += line.stored;
        let payload = match line.said {
            Ok(said) => {
                let file = || self.source.open_read(&self.path);
                self.whole
                    .met(said, (offset, line.len), &file)
                    .map_err(io_fault(&self.path))?
            }
            Err(what) => Err(what),
        };
        self.next = Some(PayloadLine {
            number: self.lines,
            offset,
            torn: line.torn,
            payload,
        });
        Ok(())
    }

    /// The next line of the file.
    fn line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.looked.lines.next() {
                return Ok(Some(line));
            }
            let Some(chunks) = &mut self.chunks else {
                return Ok(None);
            };
            match chunks.next(std::mem::take(&mut self.looked))? {
                Some(chunk) => self.looked = chunk,
                None => self.chunks = None,
            }
        }
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
        let commit = own.map(|payload| payload.commit.as_str());
        check
            .payload(record, commit)
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
    /// The payload of a line that stands at `offset` and has `len` bytes, with the bytes of the one that it names; the
    /// inner error says why it has none.
    fn met(
        &mut self,
        Said { seq, held }: Said,
        (offset, len): (u64, u64),
        file: &dyn Fn() -> io::Result<Box<dyn ReadSeek>>,
    ) -> io::Result<Result<Met, String>> {
        let (of, salt) = match held {
            Held::Of { of, salt } => (of, salt),
            Held::Whole { bytes, commit } => {
                if bytes >= SHARED_BYTES_MIN as u64 {
                    self.places.insert(seq, Whole { offset, len, bytes });
                }
                return Ok(Ok(Met { seq, commit }));
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
        let whole = Payload::parse(&whole);
        Ok(whole.map(|whole| Met {
            seq,
            // A file that is another by now has no bytes there, and they commit to nothing.
            commit: whole
                .whole()
                .map_or_else(String::new, |it| commitment(&salt, it)),
        }))
    }
}
