//! Reads lines with their place, and never more than a bounded piece of one into memory.

use std::io::{self, BufRead as _, BufReader, Read as _};

use crate::disk::ReadSeek;

/// A piece of a file that ends with LF, with the file, or where the bound was reached.
pub(crate) struct Lines {
    reader: BufReader<Box<dyn ReadSeek>>,
    max: usize,
    buffer: Vec<u8>,
    /// Offset of the next unread byte.
    next: u64,
    /// How many lines were handed out.
    number: u64,
}

/// One line.
pub(crate) struct Line<'a> {
    /// Its bytes without the LF.
    pub(crate) bytes: &'a [u8],
    /// Whether it ended with LF; if not, it is the file's last or over the bound.
    pub(crate) complete: bool,
    /// Where it starts in the file, in bytes.
    pub(crate) offset: u64,
    /// Its number in the file, from 1.
    pub(crate) number: u64,
}

impl Line<'_> {
    /// What is wrong with its length, in the words of a fault.
    pub(crate) fn length_fault(&self, max: usize) -> Option<&'static str> {
        match (self.complete, self.bytes.len() > max) {
            (_, true) => Some("too long"),
            (false, _) => Some("cut off: it has no line end"),
            _ => None,
        }
    }

    /// Whether the file's end cuts it off, as a kill while writing leaves it.
    pub(crate) const fn is_torn(&self, max: usize) -> bool {
        !self.complete && self.bytes.len() <= max
    }
}

impl Lines {
    /// `max` is the longest acceptable line, in bytes without LF.
    pub(crate) fn new(reader: Box<dyn ReadSeek>, max: usize) -> Self {
        let reader = BufReader::with_capacity(256 * 1024, reader);
        Self {
            reader,
            max,
            buffer: Vec::new(),
            next: 0,
            number: 0,
        }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        // One for the LF, and one by which a line is seen to be too long.
        let bound = self.max as u64 + 2;
        let len = (&mut self.reader)
            .take(bound)
            .read_until(b'\n', &mut self.buffer)?;
        if len == 0 {
            return Ok(None);
        }
        let offset = self.next;
        self.next += len as u64;
        self.number += 1;
        let bytes = self.buffer.strip_suffix(b"\n");
        let complete = bytes.is_some();
        let bytes = bytes.unwrap_or(&self.buffer);
        Ok(Some(Line {
            bytes,
            complete,
            offset,
            number: self.number,
        }))
    }
}
