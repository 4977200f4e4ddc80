//! A bus that outlives the process that drives a run: what it kept of that one must not reach the next, and the next
//! must be able to order again what was open.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{
    Bus, BusError, Envelope, LocalBus, LocalConfig, Pattern, Receipt, Subject, SubscribeOptions,
    Subscription,
};
use flowhost_flow::Exit;
use flowhost_run::{Host, ResumeOptions, Run, Spoken, Word, Workers};
use tokio::sync::watch;

use super::{STEP, Worker, let_pass, serve, socket_of};
use crate::cli::plan;
use crate::held::{Gate, options, parts, project, sound, waiting};
use crate::support::Home;
use crate::taken_up::Unchanged;

/// A bus that keeps what nobody has taken yet, whoever comes and goes.
struct Outliving {
    inner: Arc<LocalBus>,
    /// A member of each group beside those who listen, which takes nothing and keeps the queue.
    kept: Mutex<Vec<Box<dyn Subscription>>>,
    /// The kinds of what was sent so far.
    sent: watch::Sender<BTreeSet<String>>,
}

impl Outliving {
    fn on(home: &Home) -> Arc<Self> {
        let inner = Arc::new(LocalBus::new(LocalConfig::default()));
        serve(inner.clone(), &socket_of(home), let_pass());
        Arc::new(Self {
            inner,
            kept: Mutex::default(),
            sent: watch::Sender::default(),
        })
    }

    fn heard(&self, envelope: &Envelope) {
        self.sent
            .send_modify(|kinds| _ = kinds.insert(envelope.kind.clone()));
    }

    /// Waits until something of this kind was sent.
    async fn carries(&self, kind: &str) {
        let mut sent = self.sent.subscribe();
        let seen = |kinds: &BTreeSet<String>| kinds.iter().any(|it| it.starts_with(kind));
        let seen = sent.wait_for(seen);
        tokio::time::timeout(Duration::from_secs(120), seen)
            .await
            .unwrap()
            .unwrap();
    }

    /// Forgets every queue that nobody reads, and no id of what was in it.
    fn loses_its_queues(&self) {
        self.kept.lock().unwrap().clear();
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

/// Another process goes on with the run.
fn taken_up(home: &Home, bus: &Arc<Outliving>, run: &Run) -> Run {
    let options = ResumeOptions {
        allow_private_network: true,
        ..ResumeOptions::default()
    };
    let kept = Arc::new(Unchanged(project(home)));
    driver(home, bus).resume(run.id(), kept, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_had_taken_yet_is_made_once_when_its_run_is_taken_up() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, &STEP.replace("EFFECTS", "once"));
    let bus = Outliving::on(&home);
    let run = driver(&home, &bus).start(project(&home), options());
    let run = run.unwrap();
    // No worker is there: the order waits on the bus, and soon a word to stop it, too.
    bus.carries("step.start").await;
    run.pause(Exit::Terminated);
    assert!(run.outcome().await.unwrap().outcome.paused.is_some());
    let taken_up = taken_up(&home, &bus, &run);
    let _worker = Worker::start(&home, &taken_up);
    gate.reached_by(1).await;
    gate.open();
    sound(&taken_up.outcome().await.unwrap());
    assert_eq!(gate.count(), 1);
}

/// An agent that reads what the plan sends, and a gate; what else the plan does is in its steps.
fn reading(steps: &str) -> Home {
    let home = Home::new();
    home.guest("ok_agent_relay");
    let profile = "version = 1\nname = \"ann\"\n[messages]\nsubscribe = [\"agents.self.in\"]\n";
    home.file("policies/ann.toml", profile);
    let agent = "  ann: { kind: agent, source: ./ok_agent_relay.wasm, profile: ann }\n";
    home.file("plan.yaml", plan(agent, steps));
    home
}

const GREET: &str = "emit: { subject: agents.ann.in, payload: { route: [], text: hello } }";

/// Goes through the gate with the run, which waits there.
async fn let_through(home: &Home, bus: &Arc<Outliving>, run: &Run) -> Run {
    let waits = run.outcome().await.unwrap().outcome;
    assert_eq!(waits.end.exit, Exit::Waiting, "{:?}", waits.end);
    let yes = Spoken {
        gate: "gate".to_owned(),
        word: Word::Approve(String::new()),
        by: "bob".to_owned(),
    };
    let kept = Unchanged(project(home));
    driver(home, bus).speak(run.id(), &kept, &yes).unwrap();
    taken_up(home, bus, run)
}

/// How often the agent read a message.
fn reads(home: &Home) -> usize {
    let records = home.records().into_iter();
    let reads = records.filter(|it| it["kind"] == "tool.call" && it["tool"] == "on-message");
    reads.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_whose_id_the_bus_remembers_is_read_when_its_run_is_taken_up() {
    let home = reading(&format!(
        "  greet: {{ {GREET} }}\n  gate: {{ needs: [greet], wait_for: approval, timeout: 1h }}"
    ));
    let bus = Outliving::on(&home);
    let run = driver(&home, &bus).start(project(&home), options());
    let run = run.unwrap();
    // No worker is there: the message lies in the agent's mailbox, and is lost with it.
    bus.carries("message").await;
    run.outcome().await.unwrap();
    bus.loses_its_queues();
    let taken_up = let_through(&home, &bus, &run).await;
    let _worker = Worker::start(&home, &taken_up);
    sound(&taken_up.outcome().await.unwrap());
    assert_eq!(reads(&home), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_outlived_its_driver_takes_no_message_of_the_next() {
    let home = reading(&format!(
        "  first: {{ uses: ann, with: {{}} }}\n  gate: {{ needs: [first], wait_for: approval, timeout: 1h }}\n  \
         greet: {{ needs: [gate], {GREET} }}"
    ));
    let bus = Outliving::on(&home);
    let run = driver(&home, &bus).start(project(&home), options());
    let run = run.unwrap();
    // It has done the first step, so that it listens; and it lives on.
    let _outlived = Worker::start(&home, &run);
    let taken_up = let_through(&home, &bus, &run).await;
    bus.carries("message").await;
    let _worker = Worker::start(&home, &taken_up);
    sound(&taken_up.outcome().await.unwrap());
    assert_eq!(reads(&home), 1);
}
