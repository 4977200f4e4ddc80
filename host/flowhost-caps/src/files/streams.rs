//! Streams of `wasi:filesystem`: bounded chunks, one at a time, each write counted before it lands.

use std::sync::Arc;

use bytes::Bytes;
use flowhost_engine::{Bytes as Kept, CallScope};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::JoinHandle;
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::{Operation, blocking, error::FileError, hash, live, root::OpenFile, wasi::INTERFACE};

/// Most bytes that a stream reads ahead or holds back. A stream's buffer is the host's memory and not the
/// guest's, and there may be `OPEN_MAX` of them; larger pieces are no faster.
pub(super) const CHUNK: usize = 64 * 1024;

fn failed(error: FileError) -> StreamError {
    match error {
        FileError::Fault(fault) => StreamError::Trap(fault.into()),
        error => StreamError::LastOperationFailed(error.code().into()),
    }
}

/// What a stream works on.
pub(super) struct Stream {
    pub(super) scope: CallScope,
    /// The guest path that the file was opened by.
    pub(super) path: Arc<str>,
    /// None in a replay, whose pieces come from the record.
    pub(super) file: Option<Arc<OpenFile>>,
    /// Counts as a live descriptor.
    pub(super) _ticket: Arc<()>,
}

impl Stream {
    /// What came of one piece is recorded before the guest hears of it.
    async fn piece<T: Serialize + DeserializeOwned>(
        &self,
        name: &'static str,
        asked: &str,
        work: impl Future<Output = Result<T, FileError>>,
    ) -> Result<T, FileError> {
        let operation = Operation {
            scope: &self.scope,
            interface: INTERFACE,
            name,
        };
        operation.done(&self.path, asked, work).await
    }
}

/// Reads a file from an offset.
pub(super) struct Reader {
    stream: Stream,
    offset: u64,
    state: Reading,
}

enum Reading {
    Idle,
    Ready(Bytes),
    Failed(FileError),
    Ended,
}

impl Reader {
    pub(super) const fn new(stream: Stream, offset: u64) -> Self {
        Self {
            stream,
            offset,
            state: Reading::Idle,
        }
    }

    async fn next(&self) -> Result<Bytes, FileError> {
        let (file, offset) = (self.stream.file.clone(), self.offset);
        let read = blocking(move || Ok(Kept::from(live(file)?.read_at(CHUNK, offset)?)));
        let asked = offset.to_string();
        let read = self.stream.piece("read", &asked, read).await?;
        let missed = || FileError::Fault(self.stream.scope.missed(INTERFACE, &asked));
        Ok(read.into_vec().ok_or_else(missed)?.into())
    }
}

#[async_trait::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if !matches!(self.state, Reading::Idle) {
            return;
        }
        self.state = match self.next().await {
            Ok(bytes) if bytes.is_empty() => Reading::Ended,
            Ok(bytes) => Reading::Ready(bytes),
            Err(error) => Reading::Failed(error),
        };
    }
}

#[async_trait::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        // Taken out, so that an error is told once and the stream is closed behind it, as WASI
        // wants.
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
    stream: Stream,
    place: Place,
    state: Writing,
}

enum Writing {
    Idle,
    /// The work, which a replay has none of, and what was asked for.
    Busy(Option<JoinHandle<Result<(), FileError>>>, String),
    Failed(FileError),
    Closed,
}

impl Writer {
    pub(super) const fn new(stream: Stream, place: Place) -> Self {
        Self {
            stream,
            place,
            state: Writing::Idle,
        }
    }

    async fn settle(&mut self) {
        // A guest may wait for a stream that is not writing: it is ready as it is.
        let Writing::Busy(task, asked) = &mut self.state else {
            return;
        };
        let work = async {
            live(task.as_mut())?
                .await
                .unwrap_or_else(|error| Err(FileError::Io(std::io::Error::other(error))))
        };
        let done = self.stream.piece("write", asked, work).await;
        self.state = match done {
            Ok(()) => Writing::Idle,
            Err(error) => Writing::Failed(error),
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
        // `check-write` gave no such permit, and WASI lets a host end the guest for it.
        if !matches!(self.state, Writing::Idle) || bytes.len() > CHUNK {
            return Err(StreamError::trap("write without a permit from check-write"));
        }
        let place = self.place;
        let asked = match place {
            Place::At(offset) => {
                self.place = Place::At(offset.saturating_add(bytes.len() as u64));
                format!("{offset} {}", hash(&bytes))
            }
            Place::End => format!("end {}", hash(&bytes)),
        };
        let work = self.stream.file.clone().map(|file| {
            // Begun at once and awaited in `settle`: a guest that never waits has written all the
            // same.
            tokio::task::spawn_blocking(move || match place {
                Place::At(offset) => file.write_at(&bytes, offset),
                Place::End => file.append(&bytes),
            })
        });
        self.state = Writing::Busy(work, asked);
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
            busy @ Writing::Busy(..) => {
                self.state = busy;
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
