//! Hostile guests against the whole sandbox. A denial is proved by what the doubles were not handed
//! and by the record with its rule.

pub(crate) mod cap;
mod compat;
mod dos;
mod fs;
mod net;
mod netip;
mod roles;
