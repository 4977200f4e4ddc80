//! Streams of `wasi:filesystem`: bounded chunks, one at a time, each write counted before it lands.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::{blocking, error::FileError, root::OpenFile};

/// Most bytes that a stream reads ahead or holds back.
pub(super) const CHUNK: usize = 64 * 1024;

fn failed(error: FileError) -> StreamError {
    match error {
        FileError::Fault(fault) => StreamError::Trap(fault.into()),
        error => StreamError::LastOperationFailed(error.code().into()),
    }
}

/// Reads a file from an offset.
pub(super) struct Reader {
    file: Arc<OpenFile>,
    offset: u64,
    state: Reading,
    /// Counts as a live descriptor.
    _ticket: Arc<()>,
}

enum Reading {
    Idle,
    Ready(Bytes),
    Failed(FileError),
    Ended,
}

impl Reader {
    pub(super) fn new(file: Arc<OpenFile>, offset: u64, ticket: Arc<()>) -> Self {
        Self {
            file,
            offset,
            state: Reading::Idle,
            _ticket: ticket,
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if !matches!(self.state, Reading::Idle) {
            return;
        }
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        self.state = match blocking(move || file.read_at(CHUNK, offset)).await {
            Ok(bytes) if bytes.is_empty() => Reading::Ended,
            Ok(bytes) => Reading::Ready(bytes.into()),
            Err(error) => Reading::Failed(error),
        };
    }
}

#[async_trait::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match std::mem::replace(&mut self.state, Reading::Ended) {
            Reading::Idle => {
                self.state = Reading::Idle;
                Ok(Bytes::new())
            }
            Reading::Ready(mut bytes) => {
                let given = bytes.split_to(size.min(bytes.len()));
                self.offset = self.offset.saturating_add(given.len() as u64);
                self.state = if bytes.is_empty() {
                    Reading::Idle
                } else {
                    Reading::Ready(bytes)
                };
                Ok(given)
            }
            Reading::Failed(error) => Err(failed(error)),
            Reading::Ended => Err(StreamError::Closed),
        }
    }
}

/// Where a writer puts its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// At an offset that moves on.
    At(u64),
    /// At the end, wherever that is.
    End,
}

/// Writes a file, one chunk in flight.
pub(super) struct Writer {
    file: Arc<OpenFile>,
    place: Place,
    state: Writing,
    _ticket: Arc<()>,
}

enum Writing {
    Idle,
    Busy(JoinHandle<Result<(), FileError>>),
    Failed(FileError),
    Closed,
}

impl Writer {
    pub(super) fn new(file: Arc<OpenFile>, place: Place, ticket: Arc<()>) -> Self {
        Self {
            file,
            place,
            state: Writing::Idle,
            _ticket: ticket,
        }
    }

    async fn settle(&mut self) {
        let Writing::Busy(task) = &mut self.state else {
            return;
        };
        self.state = match task.await {
            Ok(Ok(())) => Writing::Idle,
            Ok(Err(error)) => Writing::Failed(error),
            Err(error) => Writing::Failed(FileError::Io(std::io::Error::other(error))),
        };
    }
}

#[async_trait::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        self.settle().await;
    }
}

#[async_trait::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if !matches!(self.state, Writing::Idle) || bytes.len() > CHUNK {
            return Err(StreamError::trap("write without a permit from check-write"));
        }
        let (file, place) = (Arc::clone(&self.file), self.place);
        if let Place::At(offset) = place {
            self.place = Place::At(offset.saturating_add(bytes.len() as u64));
        }
        self.state = Writing::Busy(tokio::task::spawn_blocking(move || match place {
            Place::At(offset) => file.write_at(&bytes, offset),
            Place::End => file.append(&bytes),
        }));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        match self.state {
            Writing::Closed => Err(StreamError::Closed),
            _ => Ok(()),
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match std::mem::replace(&mut self.state, Writing::Closed) {
            Writing::Idle => {
                self.state = Writing::Idle;
                Ok(CHUNK)
            }
            Writing::Busy(task) => {
                self.state = Writing::Busy(task);
                Ok(0)
            }
            Writing::Failed(error) => Err(failed(error)),
            Writing::Closed => Err(StreamError::Closed),
        }
    }

    async fn cancel(&mut self) {
        self.settle().await;
        self.state = Writing::Closed;
    }
}
