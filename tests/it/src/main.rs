//! The one integration binary: the built executable as a user runs it, and the whole sandbox with
//! real components. Names carry the ids of the adversarial catalogue.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests may fail loudly, and touch files and processes of their own"
)]

mod apart;
mod authority;
mod book;
mod browser;
mod catalogue;
mod cli;
mod collector;
mod counting;
mod held;
mod hosted;
mod hostile;
mod mcp;
mod referrers;
mod registry;
mod support;
mod taken_up;
mod walk;
