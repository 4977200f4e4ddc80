//! A bus that outlives the process that drives a run: what it kept of that one must not reach the next, and the next
//! must be able to order again what was open.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{
    Bus, BusError, Envelope, LocalBus, LocalConfig, Pattern, Receipt, Subject, SubscribeOptions,
    Subscription,
};
use flowhost_flow::Exit;
use flowhost_run::{Host, ResumeOptions, Workers};
use tokio::sync::watch;

use super::{STEP, Worker, let_pass, serve, socket_of};
use crate::held::{Gate, options, parts, project, sound, waiting};
use crate::support::Home;
use crate::taken_up::Unchanged;

/// A bus that keeps what nobody has taken yet, whoever comes and goes.
struct Outliving {
    inner: Arc<LocalBus>,
    /// A member of each group beside those who listen, which takes nothing and keeps the queue.
    kept: Mutex<Vec<Box<dyn Subscription>>>,
    ordered: watch::Sender<bool>,
}

impl Outliving {
    fn on(home: &Home) -> Arc<Self> {
        let inner = Arc::new(LocalBus::new(LocalConfig::default()));
        serve(inner.clone(), &socket_of(home), let_pass());
        Arc::new(Self {
            inner,
            kept: Mutex::default(),
            ordered: watch::Sender::new(false),
        })
    }

    fn heard(&self, envelope: &Envelope) {
        if envelope.kind == "step.start" {
            self.ordered.send_replace(true);
        }
    }
}

#[async_trait]
impl Bus for Outliving {
    async fn publish(&self, to: &Subject, envelope: Arc<Envelope>) -> Result<Receipt, BusError> {
        self.heard(&envelope);
        self.inner.publish(to, envelope).await
    }

    async fn try_publish(
        &self,
        to: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        self.heard(&envelope);
        self.inner.try_publish(to, envelope).await
    }

    async fn request(
        &self,
        to: &Subject,
        envelope: Arc<Envelope>,
        timeout: Duration,
    ) -> Result<Arc<Envelope>, BusError> {
        self.inner.request(to, envelope, timeout).await
    }

    async fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let keeps = self.inner.subscribe(pattern.clone(), options.clone());
        let keeps = keeps.await?;
        self.kept.lock().unwrap().push(keeps);
        self.inner.subscribe(pattern, options).await
    }
}

/// A host that drives runs on this bus and performs nothing itself.
fn driver(home: &Home, bus: &Arc<Outliving>) -> Host {
    let mut parts = parts(home);
    parts.workers = Workers::Elsewhere;
    let bus = bus.clone();
    parts.bus = Box::new(move || bus.clone());
    Host::new(parts).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_had_taken_yet_is_made_once_when_its_run_is_taken_up() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, &STEP.replace("EFFECTS", "once"));
    let bus = Outliving::on(&home);
    let run = driver(&home, &bus).start(project(&home), options());
    let run = run.unwrap();
    // No worker is there: the order waits on the bus, and soon a word to stop it, too.
    let mut ordered = bus.ordered.subscribe();
    ordered.wait_for(|ordered| *ordered).await.unwrap();
    run.pause(Exit::Terminated);
    assert!(run.outcome().await.unwrap().outcome.paused.is_some());
    let (kept, options) = (
        Arc::new(Unchanged(project(&home))),
        ResumeOptions {
            allow_private_network: true,
            ..ResumeOptions::default()
        },
    );
    let taken_up = driver(&home, &bus).resume(run.id(), kept, options);
    let _worker = Worker::start(&home, &taken_up);
    gate.reached_by(1).await;
    gate.open();
    sound(&taken_up.outcome().await.unwrap());
    assert_eq!(gate.count(), 1);
}
