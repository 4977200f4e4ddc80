//! One binary for all tests of the policy's public surface. Names that start with a catalogue id
//! show what the adversarial catalogue demands.

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
mod properties;
mod shipped;
mod suggest;
