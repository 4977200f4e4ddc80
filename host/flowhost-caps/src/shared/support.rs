//! What every host function needs and no capability owns: the view of a store, and how a fault
//! becomes the error that ends a call.

use flowhost_engine::{Bytes, CallScope, Fault, HostState, Told};
use flowhost_ledger::LedgerError;
use sha2::{Digest, Sha256};
use wasmtime::component::HasData;

/// The store itself, for traits that are made in this crate.
pub(crate) struct HasStore;

impl HasData for HasStore {
    type Data<'a> = &'a mut HostState;
}

/// The store for traits that another crate makes.
pub(crate) struct HasView;

impl HasData for HasView {
    type Data<'a> = View<'a>;
}

/// See [`HasView`].
pub(crate) struct View<'a>(pub(crate) &'a mut HostState);

/// Ends the call.
pub(crate) fn kill(fault: impl Into<Fault>) -> wasmtime::Error {
    wasmtime::Error::new(fault.into())
}

/// What became of a host function: a value, a typed error for the guest, or the end of the call.
pub(crate) enum Refusal {
    /// The guest reads it and goes on.
    Guest(flowhost_engine::bindings::types::Error),
    /// What was asked to do something did not answer, and may have done it. The guest reads that it may work next time.
    Unanswered(String),
    /// The call ends.
    Fault(Fault),
}

impl Refusal {
    /// Whether it may work next time.
    pub(crate) const fn is_transient(&self) -> bool {
        use flowhost_engine::bindings::types::Error;
        matches!(self, Self::Guest(Error::Transient(_)) | Self::Unanswered(_))
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<flowhost_engine::bindings::types::Error> for Refusal {
    fn from(error: flowhost_engine::bindings::types::Error) -> Self {
        Self::Guest(error)
    }
}

/// What a host function was told outside, as it stands in a record; a fault ends the call without one.
pub(crate) async fn told<T>(
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<Result<T, Told>, Fault> {
    match work.await {
        Ok(value) => Ok(Ok(value)),
        Err(Refusal::Guest(error)) => Ok(Err(error.into())),
        Err(Refusal::Unanswered(why)) => Ok(Err(Told::Unanswered(why))),
        Err(Refusal::Fault(fault)) => Err(fault),
    }
}

/// The same as the guest reads it, whether it was told now or stood in a record.
pub(crate) fn heard<T>(
    scope: &CallScope,
    told: Result<Result<T, Told>, Fault>,
) -> Result<T, Refusal> {
    Ok(told?.map_err(|told| scope.again(told))?)
}

/// The bytes of an answer; one of another form is not what was recorded.
pub(crate) fn bytes(bytes: Bytes) -> Result<Vec<u8>, Refusal> {
    bytes
        .into_vec()
        .ok_or(Refusal::Fault(Fault::Ledger(LedgerError::Differs)))
}

/// A host function's answer in the shape that the generated traits want.
pub(crate) fn settle<T>(
    outcome: Result<T, Refusal>,
) -> wasmtime::Result<Result<T, flowhost_engine::bindings::types::Error>> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Refusal::Guest(error)) => Ok(Err(error)),
        Err(Refusal::Unanswered(why)) => {
            Ok(Err(flowhost_engine::bindings::types::Error::Transient(why)))
        }
        Err(Refusal::Fault(fault)) => Err(kill(fault)),
    }
}

/// Longest part of a path that is made of a name's own bytes; file systems end at 255.
const FILE_NAME_BYTES: usize = 200;

/// `name` as one part of a file's path: bytes outside `[a-z0-9_-]` become `%xx`, so that two names
/// never meet, no part is hidden and none leads upwards. A long one ends with its SHA-256 behind
/// `%%`, which no encoding holds.
pub(crate) fn file_name(name: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02x}");
        }
    }
    if out.len() <= FILE_NAME_BYTES {
        return out;
    }
    // Half of the name for people who look; 64 digits and `%%` behind it stay below the bound.
    let mut short: String = out.chars().take(FILE_NAME_BYTES / 2).collect();
    short.push_str("%%");
    for byte in Sha256::digest(name) {
        let _ = write!(short, "{byte:02x}");
    }
    short
}
