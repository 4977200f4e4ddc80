//! What stands in for the world in tests: plugins, a disk and persons under one seed, and runs without a plugin.

pub(crate) mod free;
pub(crate) mod sim;
pub(crate) mod testing;
