//! Views of the ledger: what people and programs read about runs. Everything here is read from
//! records; nothing here is a second writer of truth.

pub mod runs;
pub mod story;
