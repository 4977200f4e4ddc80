//! What a run may use, and has used: money, memory, bytes of evidence, calls, and tries. Each says no by itself, so
//! that whoever asks cannot forget to.

pub(crate) mod account;
pub(crate) mod breaker;
pub(crate) mod detail;
pub(crate) mod funds;
pub(crate) mod held;
pub(crate) mod pace;
pub(crate) mod purse;
pub(crate) mod tally;
