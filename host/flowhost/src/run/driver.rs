//! The thin part between a pure planner and the world: performs actions, feeds events.
//!
//! Steps leave as envelopes on the bus and come back as envelopes; the planner decides everything
//! else. Must keep no state that a run's events would not rebuild.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowhost_bus::{
    Bus as _, BusError, Draft, Envelope, LocalBus, Pattern, Subject, SubscribeOptions, Subscription,
};
use flowhost_engine::{AgentOutcome, RunScope};
use flowhost_flow::planner::{CallId, Note, RunEnd, StepSummary, TimerId};
use flowhost_flow::{
    Action, Amounts, Call, CallResult, Event, Exit, FailureClass, Plan, Planner, RunSetup,
    RunStatus, Time, planner_for,
};
use flowhost_ledger::{LedgerError, trace};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Surroundings;
use super::journal::{self, Denial, Journal};
use super::mailbox::{Mailboxes, Settled, Traffic};
use super::order::{Answer, Detail, Order};
use super::wiring::Machinery;
use super::worker::{Calls, Worker, envelope_id};
use super::{Observer, registry::Installed};
use crate::clock::RunClock;
use crate::failure::Failure;
use crate::finding::Finding;

/// Orders that may wait or be at work at once; more wait in the driver. Above the most that a plan
/// can have at work ([`flowhost_flow::plan::limits::PARALLEL_MAX`]).
const ORDERS_MAX: usize = 2_048;

/// What a run is driven with.
pub(super) struct Drive {
    pub(super) plan: Arc<Plan>,
    pub(super) setup: RunSetup,
    pub(super) scope: RunScope,
    pub(super) journal: Journal,
    pub(super) registry: Machinery,
}

/// How a step went.
#[derive(Debug, Clone)]
pub struct StepOutcome {
    /// What the planner says.
    pub summary: StepSummary,
    /// What its calls used.
    pub used: Detail,
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the planner says.
    pub end: RunEnd,
    /// Steps and items by path.
    pub steps: BTreeMap<String, StepOutcome>,
    /// Everything that was refused.
    pub denials: Vec<Denial>,
    /// What the person should know that did not end the run.
    pub warnings: Vec<String>,
    /// Milliseconds from start to end.
    pub duration_ms: u64,
}

impl Outcome {
    /// Takes keys and personal data out of everything that a report shows. Denials come from the
    /// journal and hold none.
    pub(super) fn redact(&mut self) {
        let mut outputs = Value::Object(std::mem::take(&mut self.end.outputs));
        flowhost_detect::redact_json(&mut outputs);
        if let Value::Object(outputs) = outputs {
            self.end.outputs = outputs;
        }
        self.warnings.iter_mut().for_each(journal::clean);
        let steps = self.steps.values_mut();
        let failures = steps.filter_map(|step| step.summary.failure.as_mut());
        for failure in failures.chain(&mut self.end.failure) {
            journal::clean(&mut failure.message);
            journal::clean(&mut failure.hint);
        }
    }
}

pub(super) async fn drive(drive: Drive, around: &Surroundings<'_>) -> Result<Outcome, Failure> {
    let clock = RunClock::new(drive.scope.started_ms);
    let timeout_ms = drive.plan.timeout_ms;
    let planner = planner_for(drive.plan, drive.setup).map_err(|problems| {
        let findings = problems.into_iter().map(Finding::from).collect();
        Failure::findings("the plan", findings)
    })?;
    let (run, bus) = (&drive.scope, &drive.registry.bus);
    let deadline = Instant::now() + Duration::from_millis(timeout_ms);
    let orders = listen(bus, run, "step.*.start").await?;
    let answers = listen(bus, run, "step.*.end").await?;
    let worker = Arc::new(Worker {
        scope: drive.scope.clone(),
        bus: drive.registry.bus.clone(),
        journal: drive.journal.clone(),
        registry: drive.registry.plugins.clone(),
        clock,
        trace: trace::trace_id(&drive.scope.run),
        started_agents: Mutex::default(),
        calls: Calls::default(),
        tally: drive.registry.tally.clone(),
        purse: drive.registry.purse.clone(),
    });
    let mailboxes = Mailboxes::open(&worker).await?;
    let serving = tokio::spawn(worker.clone().serve(orders).in_current_span());
    let mut driver = Driver {
        planner,
        worker: worker.clone(),
        clock,
        observer: around.observer.clone(),
        waiting: VecDeque::new(),
        open: HashMap::new(),
        timers: BTreeSet::new(),
        due: HashMap::new(),
        steps: BTreeMap::new(),
        used: HashMap::new(),
        warnings: Vec::new(),
        end: None,
        broken: false,
    };
    let stop = around.stop.clone();
    // A task of the runtime, so that it and the workers hand over on one thread where they can.
    let driving = async move {
        driver.run(answers, &stop).await;
        driver
    };
    let driven = tokio::spawn(driving.in_current_span());
    let mut driver = driven.await.map_err(|error| {
        Failure::new(Exit::Internal, "the driver failed").because(error.to_string())
    })?;
    driver.settle(mailboxes.traffic(), around, deadline).await;
    serving.abort();
    mailboxes.close().await;
    let mut end = driver.end.take().ok_or_else(|| {
        Failure::new(Exit::Internal, "the run ended without a result")
            .hint("this is a bug; report it")
    })?;
    driver.finish_agents(&end).await;
    // What was spent while no step was at work: messages that were read later, and ends of agents.
    let rest = worker.purse.rest();
    end.used.tokens = end.used.tokens.saturating_add(rest.tokens);
    end.used.micro_usd = end.used.micro_usd.saturating_add(rest.micro_usd);
    let refused = worker.purse.rest_refused();
    if refused > 0 {
        let message =
            format!("the budget refused {refused} model calls of agents that read messages");
        driver.warnings.push(message);
    }
    let duration_ms = clock.now().0.saturating_sub(drive.scope.started_ms);
    let (steps, warnings) = (driver.steps, driver.warnings);
    Ok(Outcome {
        end,
        steps,
        denials: drive.journal.denials(),
        warnings,
        duration_ms,
    })
}

/// The subscription failed before anything ran.
pub(super) fn bus_failure(message: &str) -> Failure {
    Failure::new(Exit::Internal, "the bus does not work").because(message)
}

async fn listen(
    bus: &LocalBus,
    run: &RunScope,
    subjects: &str,
) -> Result<Box<dyn Subscription>, Failure> {
    let pattern = Pattern::of(&run.tenant, &run.run, subjects);
    let pattern = pattern.map_err(|error| bus_failure(&error.to_string()))?;
    // One delivery: a worker that dies is answered for, never quietly repeated.
    let (messages_max, deliveries_max) = (ORDERS_MAX, 1);
    let options = SubscribeOptions {
        group: "host".to_owned(),
        messages_max,
        deliveries_max,
    };
    bus.subscribe(pattern, options)
        .await
        .map_err(|error| bus_failure(&error.to_string()))
}

struct Driver {
    planner: Box<dyn Planner>,
    worker: Arc<Worker>,
    clock: RunClock,
    observer: Arc<dyn Observer>,
    /// Calls that the bus had no room for.
    waiting: VecDeque<Box<Call>>,
    open: HashMap<u64, String>,
    timers: BTreeSet<(Time, TimerId)>,
    due: HashMap<TimerId, Time>,
    steps: BTreeMap<String, StepOutcome>,
    used: HashMap<String, Detail>,
    warnings: Vec<String>,
    end: Option<RunEnd>,
    broken: bool,
}

impl Driver {
    async fn run(&mut self, mut answers: Box<dyn Subscription>, stop: &Notify) {
        self.feed(Event::Started).await;
        let mut stopping = false;
        while self.end.is_none() {
            let next = self.timers.first().copied();
            let wake = next.map_or_else(
                || tokio::time::Instant::now() + std::time::Duration::from_secs(3_600),
                |(time, _)| self.clock.at(time),
            );
            tokio::select! {
                biased;
                () = stop.notified(), if !stopping => {
                    stopping = true;
                    self.feed(Event::Cancelled { reason: "interrupted".to_owned() }).await;
                }
                delivery = answers.next() => match delivery {
                    Ok(delivery) => {
                        let envelope = delivery.envelope.clone();
                        let _gone = delivery.ack().await;
                        self.answered(&envelope).await;
                    }
                    Err(error) => self.broken(&error.to_string()).await,
                },
                () = tokio::time::sleep_until(wake) => self.fire().await,
            }
        }
    }

    /// Lets the agents of a run that went well read what was published.
    async fn settle(&mut self, traffic: &Traffic, around: &Surroundings<'_>, deadline: Instant) {
        let went_well = self
            .end
            .as_ref()
            .is_some_and(|end| matches!(end.status, RunStatus::Ok | RunStatus::Degraded));
        if !went_well {
            return;
        }
        match traffic.settle(&around.stop, deadline).await {
            Settled::Quiet => {}
            Settled::Busy => {
                let message =
                    "agents were still sending messages when the run ended; the rest was dropped";
                self.warnings.push(message.to_owned());
            }
            Settled::Stopped => self.ended_by(FailureClass::Cancelled, "interrupted"),
            Settled::Late => {
                let message = "the run's time was up while agents were reading messages";
                self.ended_by(FailureClass::Timeout, message);
            }
        }
    }

    /// What ended the run after its last step.
    fn ended_by(&mut self, class: FailureClass, message: &str) {
        let failure = flowhost_flow::Failure::new(class, message);
        if let Some(end) = &mut self.end {
            end.exit = failure.class.exit();
            end.status = end.exit.status();
            end.outputs.clear();
            end.failure = Some(failure);
        }
    }

    async fn fire(&mut self) {
        // The sleep may end a moment early by this clock's reading; what is due is due.
        let now = self.clock.now().after(1);
        while let Some((time, timer)) = self.timers.first().copied() {
            if time > now || self.end.is_some() {
                return;
            }
            self.timers.pop_first();
            self.due.remove(&timer);
            self.feed(Event::TimerFired { timer }).await;
        }
    }

    async fn answered(&mut self, envelope: &Envelope) {
        let Ok(answer) = Answer::deserialize(&envelope.payload) else {
            return self.broken("a result that is none").await;
        };
        if self.open.remove(&answer.call).is_none() {
            return; // answered before: the bus delivers at least once
        }
        self.used
            .entry(answer.path.clone())
            .or_default()
            .add(&answer.detail);
        let event = Event::CallFinished {
            call: CallId(answer.call),
            result: answer.result,
            used: answer.used,
        };
        self.feed(event).await;
        self.drain().await;
    }

    async fn feed(&mut self, event: Event) {
        let now = self.clock.now();
        let actions = self.planner.on(event, now);
        for action in actions {
            self.perform(action).await;
        }
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Call(call) => {
                self.open.insert(call.id.0, call.path.clone());
                self.waiting.push_back(call);
                Box::pin(self.drain()).await;
            }
            Action::Cancel { call, reason } => {
                tracing::debug!(call = call.0, reason, "stopping a call");
                self.worker.calls.cancel(call.0);
            }
            Action::SetTimer { timer, at } => {
                if let Some(old) = self.due.insert(timer, at) {
                    self.timers.remove(&(old, timer));
                }
                self.timers.insert((at, timer));
            }
            Action::ClearTimer { timer } => {
                if let Some(at) = self.due.remove(&timer) {
                    self.timers.remove(&(at, timer));
                }
            }
            Action::Note(note) => Box::pin(self.note(note)).await,
            Action::Finish(end) => self.end = Some(*end),
        }
    }

    async fn note(&mut self, note: Note) {
        if let Err(error) = self.worker.journal.note(&note) {
            return self.ledger_broken(&error).await;
        }
        self.observer.note(&note);
        match note {
            Note::Warning { path, message, .. } => {
                let place = if path.is_empty() {
                    String::new()
                } else {
                    format!("{path}: ")
                };
                self.warnings.push(format!("{place}{message}"));
            }
            Note::StepEnded(summary) => {
                let used = self.used.remove(&summary.path).unwrap_or_default();
                self.steps
                    .insert(summary.path.clone(), StepOutcome { summary, used });
            }
            _ => {}
        }
    }

    /// Sends what waits, as far as the bus has room.
    async fn drain(&mut self) {
        while let Some(call) = self.waiting.pop_front() {
            match self.send(&call).await {
                Ok(()) => {}
                Err(SendError::Full) => return self.waiting.push_front(call),
                Err(SendError::Ledger(error)) => return self.ledger_broken(&error).await,
                Err(SendError::Cannot(failure)) => {
                    self.open.remove(&call.id.0);
                    let (result, used) = (CallResult::Failed(failure), Amounts::default());
                    Box::pin(self.feed(Event::CallFinished {
                        call: call.id,
                        result,
                        used,
                    }))
                    .await;
                }
            }
        }
    }

    async fn send(&mut self, call: &Call) -> Result<(), SendError> {
        let run = &self.worker.scope;
        let cannot =
            |class, message: String| SendError::Cannot(flowhost_flow::Failure::new(class, message));
        let subject = Subject::of(&run.tenant, &run.run, &["step", &call.step_id, "start"])
            .map_err(|error| cannot(FailureClass::Internal, error.to_string()))?;
        let envelope = self.envelope(call).map_err(|error| {
            cannot(
                FailureClass::Invalid,
                format!("the input cannot travel: {error}"),
            )
        })?;
        let envelope = Arc::new(envelope);
        match self
            .worker
            .bus
            .try_publish(&subject, envelope.clone())
            .await
        {
            Ok(_) => {}
            Err(BusError::Full { .. }) => return Err(SendError::Full),
            Err(error) => return Err(cannot(FailureClass::Internal, error.to_string())),
        }
        self.worker
            .journal
            .message(subject.as_str(), &envelope)
            .map_err(SendError::Ledger)?;
        Ok(())
    }

    fn envelope(&self, call: &Call) -> Result<Envelope, String> {
        let run = &self.worker.scope;
        let payload = serde_json::to_value(Order::from(call)).map_err(|error| error.to_string())?;
        let span = trace::step_span(&call.step_id);
        let draft = Draft {
            id: envelope_id(run, call.id.0, "start"),
            tenant: run.tenant.to_string(),
            run: run.run.to_string(),
            step: call.step_id.clone(),
            actor: format!("{}/host", run.tenant),
            correlation: call.path.clone(),
            causation: String::new(),
            traceparent: trace::traceparent(&self.worker.trace, span),
            kind: "step.start".to_owned(),
            payload,
        };
        draft.seal().map_err(|error| error.to_string())
    }

    async fn ledger_broken(&mut self, error: &LedgerError) {
        self.broken(&error.to_string()).await;
    }

    /// The host cannot go on: the planner is told once, and nothing new is started.
    async fn broken(&mut self, message: &str) {
        if std::mem::replace(&mut self.broken, true) {
            return;
        }
        let failure = flowhost_flow::Failure::new(FailureClass::Internal, message)
            .with_hint("nothing was acknowledged that is not on the disk");
        self.waiting.clear();
        Box::pin(self.feed(Event::HostFailed { failure })).await;
    }

    /// `on-finish` of every agent that was started; its errors change nothing.
    async fn finish_agents(&self, end: &RunEnd) {
        let started: Vec<String> = {
            let agents = self.worker.started_agents.lock();
            let agents = agents.unwrap_or_else(std::sync::PoisonError::into_inner);
            let done = agents.iter().filter(|(_, cell)| cell.initialized());
            done.map(|(key, _)| key.clone()).collect()
        };
        for key in started {
            if let Some(installed) = self.worker.registry.get(&key) {
                self.finish_agent(installed, end).await;
            }
        }
    }

    async fn finish_agent(&self, installed: &Installed, end: &RunEnd) {
        let status = serde_json::to_value(end.status).unwrap_or(Value::Null);
        let outcome = AgentOutcome {
            status: status.as_str().unwrap_or("failed").to_owned(),
            reason: end
                .failure
                .as_ref()
                .map(|it| it.message.clone())
                .unwrap_or_default(),
        };
        let scope = installed.last_scope(&self.worker.scope);
        let report = installed.plugin.agent_on_finish(scope, &outcome).await;
        if let Err(fault) = report.result {
            tracing::warn!(plugin = %installed.key, %fault, "on-finish failed");
        }
    }
}

enum SendError {
    Full,
    Ledger(LedgerError),
    Cannot(flowhost_flow::Failure),
}
