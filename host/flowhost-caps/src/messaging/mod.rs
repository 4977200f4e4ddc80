//! `messaging`: a plugin sends messages to other actors of its run, and may wait for one answer.
//!
//! Who sent a message is the host's word: nothing that a guest says about itself is believed
//! (MCP-030). A full mailbox is told to the sender at once, and a request that would wait for
//! somebody who waits for it is refused (DOS-032).

mod envelope;
mod host;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use flowhost_bus::Bus;
use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use wasmtime::component::Linker;

pub use envelope::{MESSAGE, MessagePayload, QueueLimit, REPLY, message_fact};

/// Knows who reads which topic.
pub trait Mailboxes: Send + Sync + 'static {
    /// The plugins of the caller's run whose `messages.subscribe` takes `topic`.
    fn readers(&self, caller: &CallScope, topic: &str) -> Vec<String>;
}

/// The capability.
pub struct Messaging {
    bus: Arc<dyn Bus>,
    mailboxes: Arc<dyn Mailboxes>,
}

impl Messaging {
    /// Over `bus`, to the readers that `mailboxes` knows.
    #[must_use]
    pub fn new(bus: Arc<dyn Bus>, mailboxes: Arc<dyn Mailboxes>) -> Self {
        Self { bus, mailboxes }
    }
}

/// What a store holds.
#[derive(Clone)]
pub(crate) struct MessagingState {
    bus: Arc<dyn Bus>,
    mailboxes: Arc<dyn Mailboxes>,
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "messaging"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted { host::link(linker) } else { Ok(()) }
    }
}

impl Provider for Messaging {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, _scope: &CallScope, _granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        Ok(Box::new(MessagingState {
            bus: Arc::clone(&self.bus),
            mailboxes: Arc::clone(&self.mailboxes),
        }))
    }
}
