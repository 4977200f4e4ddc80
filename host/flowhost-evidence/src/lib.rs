//! Views of the ledger: what people and programs read about runs.
//!
//! Everything here is read from records and their payloads; nothing here is a second writer of
//! truth. It knows no runtime, clock, socket, command line or terminal, so that any process can show
//! a run that another process made. Files are read by `flowhost-ledger` alone, whose reader checks
//! the chain on the way.

pub mod analysis;
pub mod filter;
pub mod html;
pub mod links;
pub mod packet;
pub mod places;
pub mod runs;
pub mod stage;
pub mod story;
pub mod telemetry;
pub mod text;
mod told;
pub mod trials;

use flowhost_ledger::{PayloadError, ReadError};

/// Why a view cannot be made: the ledger is damaged or not there. `flowhost verify` names the exact
/// place.
#[derive(Debug, thiserror::Error)]
#[error("the ledger cannot be read")]
pub enum Unreadable {
    /// Its records cannot be read, or their chain is broken.
    Records(#[from] ReadError),
    /// Its payload files cannot be read.
    Payloads(#[from] PayloadError),
}
