//! What a run is given before it begins, and by whom: the resolved plan by its reader, the world by the process.
//! Whoever holds these can run the plan without the files it was read from.

pub mod bundle;

pub(crate) mod folders;
pub(crate) mod keys;
pub(crate) mod options;
pub(crate) mod process;
pub(crate) mod project;
pub(crate) mod redaction;
pub(crate) mod world;
