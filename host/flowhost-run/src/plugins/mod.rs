//! The plugins of a run as they can be called: which revision, under which rights, and what may pass between two of
//! them. What happens inside of a call is the engine's.

pub(crate) mod content;
pub(crate) mod described;
pub mod drift;
pub(crate) mod guards;
pub(crate) mod guest;
pub(crate) mod installed;
pub(crate) mod logs;
pub(crate) mod registry;
pub(crate) mod router;
pub(crate) mod server;
pub(crate) mod swap;
pub(crate) mod wiring;
