//! What goes on beside the driver until its run is over: the worker of this process, or the queues of those elsewhere.

use std::sync::Arc;

use flowhost_bus::Subscription;
use tokio::task::JoinHandle;

use super::bus_failure;
use super::takeup::Takeup;
use crate::base::failure::Failure;
use crate::base::tasks;
use crate::calls::desk::Desk;
use crate::calls::mailbox::{self, Mailboxes};
use crate::calls::worker::{Inbox, Worker};
use crate::given::world::Workers;
use crate::plugins::wiring::Machinery;

pub(super) enum Beside {
    /// The worker of this process.
    Serving(JoinHandle<()>),
    /// The queues that workers elsewhere read from, open from before the first order until after the last
    /// one: an order waits in them while no worker is there.
    Queues {
        _orders: Inbox,
        _mailboxes: Vec<Box<dyn Subscription>>,
        serving: JoinHandle<()>,
    },
}

impl Beside {
    /// Starts it, with what another process of the run had spent and had left unread.
    pub(super) async fn begin(
        workers: Workers,
        desk: &Arc<Desk>,
        machinery: &Machinery,
        inbox: Inbox,
        takeup: Option<&Takeup>,
    ) -> Result<Self, Failure> {
        if let Some(takeup) = takeup {
            takeup.restore(&desk.purse, &machinery.tally, &desk.recording);
        }
        let (bus, scope) = (&*machinery.bus, &desk.scope);
        // Messages of before are sent once there are mailboxes, and before anybody takes an order that may send more.
        match workers {
            Workers::Here => {
                let (channel, recall) = (desk.channel.clone(), desk.recording.clone());
                let worker = Worker::new(scope.clone(), channel, machinery, recall);
                let mailboxes = Mailboxes::open(&worker).await?;
                redeliver(desk, machinery, takeup).await;
                Ok(Self::Serving(tasks::spawn(worker.serve(inbox, mailboxes))))
            }
            Workers::Elsewhere => {
                let questions = desk.open(bus).await.map_err(bus_failure)?;
                let mailboxes = mailbox::hold_open(bus, scope, &machinery.plugins).await?;
                redeliver(desk, machinery, takeup).await;
                Ok(Self::Queues {
                    _mailboxes: mailboxes,
                    _orders: inbox,
                    serving: tasks::spawn(desk.clone().serve(questions)),
                })
            }
        }
    }

    /// The run is over.
    pub(super) fn end(self) {
        drop(self);
    }
}

/// Also where the driver has failed: nobody would end it any more, and it waits for orders.
impl Drop for Beside {
    fn drop(&mut self) {
        match self {
            Self::Serving(task) | Self::Queues { serving: task, .. } => task.abort(),
        }
    }
}

async fn redeliver(desk: &Desk, machinery: &Machinery, takeup: Option<&Takeup>) {
    if let Some(takeup) = takeup {
        let (bus, plugins) = (&*machinery.bus, &machinery.plugins);
        mailbox::redeliver(bus, &desk.scope, plugins, takeup.read(), &takeup.unread).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_goes_on_beside_a_driver_ends_with_it_however_that_ends() {
        let held = Arc::new(());
        let left = Arc::downgrade(&held);
        let task = tasks::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        tokio::task::yield_now().await;
        drop(Beside::Serving(task));
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert!(left.upgrade().is_none());
    }
}
