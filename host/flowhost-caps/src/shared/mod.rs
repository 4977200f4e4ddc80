//! What several capabilities act on, so that none of them has to know another: values of secrets and how
//! they are taken out, lines that people read, amounts of money, and the view of a store.
//!
//! A capability is a folder beside this one and refers to this one alone; `cargo xtask tidy` looks. Must
//! never know a capability, an interface or a right.

pub(crate) mod line;
pub(crate) mod money;
pub(crate) mod redact;
pub(crate) mod secret;
pub(crate) mod support;
