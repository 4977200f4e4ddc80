//! One binary for all tests of the policy's public surface. Names that start with a catalogue id
//! show what the adversarial catalogue demands.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail the test that calls them"
)]

mod cap;
mod cases;
mod decide;
mod fs;
mod intersection;
mod invalid;
mod limits;
mod manifest;
mod net;
mod netip;
mod process;
mod properties;
mod rights;
mod shipped;
mod suggest;
