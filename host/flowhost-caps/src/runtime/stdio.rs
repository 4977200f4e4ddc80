//! Standard output and error as log lines: bytes are held until their line ends or is long enough.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::shared::line::{Gate, Level, Stream};

/// Longest line in bytes; a longer one becomes several.
const LINE_BYTES: usize = 4_096;

/// Bytes that one write may bring. The interface has the host say how much it takes next; lines are cut long
/// before that.
const WRITE_BYTES: usize = 64 << 10;

/// Both streams of a call.
pub(super) struct Stdio {
    gate: Gate,
    out: Vec<u8>,
    error: Vec<u8>,
}

impl Stdio {
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            gate,
            out: Vec::new(),
            error: Vec::new(),
        }
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            // Before it is held: a line without an end would grow for as long as a guest writes.
            for piece in part.chunks(LINE_BYTES) {
                self.hold(stream, piece);
            }
        }
    }

    fn hold(&mut self, stream: Stream, piece: &[u8]) {
        let held = self.held(stream);
        held.extend_from_slice(piece);
        if held.ends_with(b"\n") || held.len() >= LINE_BYTES {
            self.end_line(stream);
        }
    }

    fn held(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Stderr => &mut self.error,
            Stream::Stdout | Stream::Log => &mut self.out,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let line = std::mem::take(self.held(stream));
        if line.is_empty() {
            return;
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let level = match stream {
            Stream::Stderr => Level::Warn,
            Stream::Stdout | Stream::Log => Level::Info,
        };
        let text = String::from_utf8_lossy(line);
        self.gate.write(stream, level, &text, &[]);
    }
}

/// What was written last need not have ended its line.
impl Drop for Stdio {
    fn drop(&mut self) {
        self.end_line(Stream::Stdout);
        self.end_line(Stream::Stderr);
    }
}

/// One handle to a stream.
pub(super) struct Out {
    pub(super) stdio: Arc<Mutex<Stdio>>,
    pub(super) stream: Stream,
}

impl Out {
    fn lock(&self) -> MutexGuard<'_, Stdio> {
        self.stdio.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Out {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Out {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lock().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // Always: whatever is over the cap on log lines is counted and dropped, and a guest must
        // not wait for that.
        Ok(WRITE_BYTES)
    }
}
