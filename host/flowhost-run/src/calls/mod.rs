//! How a call is made: the driver orders it, an envelope carries it, a worker performs it, and the desk answers what
//! the worker must ask of the driver's process. The two sides share no memory, so that they may be two processes.

pub(crate) mod afresh;
pub(crate) mod channel;
pub(crate) mod desk;
pub(crate) mod driver;
pub(crate) mod mailbox;
pub(crate) mod order;
pub(crate) mod worker;
