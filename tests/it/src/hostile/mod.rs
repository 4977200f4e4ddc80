//! Hostile guests against the whole sandbox. A denial is proved by what the doubles were not handed
//! and by the record with its rule.

mod cap;
mod dos;
mod fs;
mod net;
mod netip;
