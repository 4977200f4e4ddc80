//! `wasi:io` 0.2: wasmtime's own streams and pollables, with every call counted, every length bounded
//! and no word of the host's in an error's text.

use flowhost_engine::{Fault, HostState, neutralise};
use flowhost_ledger::LedgerError;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};

use crate::runtime::RuntimeState;
use crate::shared::support::{HasView, View, kill};

pub(super) const ERROR: &str = "wasi:io/error@0.2.12";
pub(super) const POLL: &str = "wasi:io/poll@0.2.12";
pub(super) const STREAMS: &str = "wasi:io/streams@0.2.12";

/// Most bytes that one read, skip or splice moves; fewer than asked for is what WASI allows.
const MOVE_BYTES: u64 = 64 << 10;

/// Longest text of an error, in characters: a guest reads it, and a person perhaps in a log.
const ERROR_CHARS: usize = 256;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    error::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    poll::add_to_linker::<_, HasView>(linker, |state| View(state))?;
    streams::add_to_linker::<_, HasView>(linker, |state| View(state))
}

impl View<'_> {
    /// The table, for one counted call.
    fn charged(&mut self) -> wasmtime::Result<&mut ResourceTable> {
        self.0.scope().charge_host_call().map_err(kill)?;
        Ok(self.table())
    }

    /// The table, for dropping and converting, which free what they touch.
    fn table(&mut self) -> &mut ResourceTable {
        self.0.parts::<RuntimeState>().table
    }

    /// In a replay: brings what the record says was ready to where it was, in that order.
    async fn await_all(
        &mut self,
        pollables: &[Resource<DynPollable>],
        ready: &[u32],
    ) -> wasmtime::Result<()> {
        for index in ready {
            let Some(pollable) = usize::try_from(*index)
                .ok()
                .and_then(|index| pollables.get(index))
            else {
                return Err(kill(Fault::Ledger(LedgerError::Differs)));
            };
            let same = Resource::new_borrow(pollable.rep());
            poll::HostPollable::block(self.table(), same).await?;
        }
        Ok(())
    }

    fn stream(&mut self) -> StreamResult<&mut ResourceTable> {
        self.charged().map_err(StreamError::Trap)
    }
}

impl error::Host for View<'_> {}

impl error::HostError for View<'_> {
    fn drop(&mut self, error: Resource<streams::Error>) -> wasmtime::Result<()> {
        error::HostError::drop(self.table(), error)
    }

    fn to_debug_string(&mut self, error: Resource<streams::Error>) -> wasmtime::Result<String> {
        let error = self.charged()?.get(&error)?;
        Ok(neutralise(&error.to_string(), ERROR_CHARS))
    }
}

impl poll::Host for View<'_> {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        let allowed = self.0.scope().effective.limits.handles;
        let used = pollables.len() as u64;
        // A guest may name one pollable many times, so that a list is bounded by no table; it is
        // copied and kept for the record.
        if used > allowed {
            return Err(kill(Fault::Limit {
                name: "handles",
                used,
                allowed,
            }));
        }
        if used < 2 {
            return poll::Host::poll(self.charged()?, pollables).await; // what else could be ready
        }
        self.charged()?;
        let scope = self.0.scope().clone();
        // wasmtime's poll still runs in a replay, for the streams' own state: what was ready has to
        // be ready first.
        if let Some(ready) = scope.foreseen::<Vec<u32>>(POLL).map_err(kill)? {
            self.await_all(&pollables, &ready).await?;
        }
        let table = self.table();
        let ask = async {
            poll::Host::poll(table, pollables)
                .await
                .map_err(|error| Fault::Host(format!("poll: {error:#}")))
        };
        let asked = used.to_string();
        scope.outside(POLL, "poll", &asked, ask).await.map_err(kill)
    }
}

impl poll::HostPollable for View<'_> {
    async fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        // Not on record: what it waits for comes in any case, and how long that took is not told.
        poll::HostPollable::block(self.charged()?, pollable).await
    }

    async fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.charged()?;
        let scope = self.0.scope().clone();
        if scope.foreseen::<bool>(POLL).map_err(kill)? == Some(true) {
            let same = Resource::new_borrow(pollable.rep());
            poll::HostPollable::block(self.table(), same).await?;
        }
        let table = self.table();
        let ask = async {
            poll::HostPollable::ready(table, pollable)
                .await
                .map_err(|error| Fault::Host(format!("poll: {error:#}")))
        };
        scope.outside(POLL, "ready", "", ask).await.map_err(kill)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(self.table(), pollable)
    }
}

impl streams::Host for View<'_> {
    fn convert_stream_error(
        &mut self,
        error: StreamError,
    ) -> wasmtime::Result<streams::StreamError> {
        streams::Host::convert_stream_error(self.table(), error)
    }
}

impl streams::HostInputStream for View<'_> {
    async fn drop(&mut self, stream: Resource<DynInputStream>) -> wasmtime::Result<()> {
        streams::HostInputStream::drop(self.table(), stream).await
    }

    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        streams::HostInputStream::read(self.stream()?, stream, len.min(MOVE_BYTES))
    }

    async fn blocking_read(
        &mut self,
        stream: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<Vec<u8>> {
        let len = len.min(MOVE_BYTES);
        streams::HostInputStream::blocking_read(self.stream()?, stream, len).await
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        streams::HostInputStream::skip(self.stream()?, stream, len.min(MOVE_BYTES))
    }

    async fn blocking_skip(
        &mut self,
        stream: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let len = len.min(MOVE_BYTES);
        streams::HostInputStream::blocking_skip(self.stream()?, stream, len).await
    }

    fn subscribe(
        &mut self,
        stream: Resource<DynInputStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        streams::HostInputStream::subscribe(self.charged()?, stream)
    }
}

impl streams::HostOutputStream for View<'_> {
    async fn drop(&mut self, stream: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        streams::HostOutputStream::drop(self.table(), stream).await
    }

    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        streams::HostOutputStream::check_write(self.stream()?, stream)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        streams::HostOutputStream::write(self.stream()?, stream, bytes)
    }

    async fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        let table = self.stream()?;
        streams::HostOutputStream::blocking_write_and_flush(table, stream, bytes).await
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        let table = self.stream()?;
        streams::HostOutputStream::blocking_write_zeroes_and_flush(table, stream, len).await
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        streams::HostOutputStream::write_zeroes(self.stream()?, stream, len)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        streams::HostOutputStream::flush(self.stream()?, stream)
    }

    async fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        streams::HostOutputStream::blocking_flush(self.stream()?, stream).await
    }

    fn subscribe(
        &mut self,
        stream: Resource<DynOutputStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        streams::HostOutputStream::subscribe(self.charged()?, stream)
    }

    fn splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        streams::HostOutputStream::splice(self.stream()?, to, from, len.min(MOVE_BYTES))
    }

    async fn blocking_splice(
        &mut self,
        to: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let len = len.min(MOVE_BYTES);
        streams::HostOutputStream::blocking_splice(self.stream()?, to, from, len).await
    }
}
