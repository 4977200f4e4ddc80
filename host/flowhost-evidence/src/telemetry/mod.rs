//! Telemetry as a view of the ledger: facts become spans, measurements and log lines.
//!
//! A fact comes without its payload, so telemetry can say nothing that the ledger does not say, and
//! can show no prompt and no answer. Time comes with the fact, and whatever queues, exports or serves
//! is elsewhere: nothing here waits, and the same facts give the same spans.

pub mod bounds;
pub mod instruments;
pub mod lines;
pub mod seen;
pub mod span;
pub mod view;
mod words;

mod attempt;
