//! Feeds a new planner what the old one was fed, runs the guests of the calls that it asks for, and says
//! again what the host said.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_bus::Ulid;
use flowhost_engine::RunScope;
use flowhost_flow::planner::{
    CallEnd, CallId, CallResult, Event, Recorded as Fed, RunEnd, planner_for,
};
use flowhost_flow::{Action, Call, Exit, FailureClass, Planner, RunSetup, Time};
use flowhost_ledger::Kind;

use super::builds::Builds;
use super::messages::{self, Own};
use super::{Difference, Nowhere, Recorded, ReplayOptions, Replayed, Script};
use crate::base::failure::Failure;
use crate::calls::channel::Channel;
use crate::calls::driver::too_large;
use crate::calls::order::Order;
use crate::calls::worker::Worker;
use crate::given::process::Process;
use crate::given::project::{Member, Project};
use crate::given::redaction::{redaction, seals};
use crate::kept::journal::Journal;
use crate::kept::revealed::Revealed;
use crate::meters::account;
use crate::meters::purse::Purse;
use crate::plugins::registry::{Registry, not_of_this_run};
use crate::plugins::wiring::{self, Ready};

pub(super) async fn replay(
    host: &Arc<Process>,
    project: Project,
    recorded: Recorded,
    options: ReplayOptions,
) -> Result<Replayed, Failure> {
    let Recorded {
        entries,
        setup,
        events,
        ends,
        later,
    } = recorded;
    let records = entries.len() as u64;
    let last = entries.last().map(|entry| hex::encode(entry.record.leaf));
    let of = |kind| {
        let all = entries.iter();
        all.filter(move |entry| entry.record.kind() == Some(kind))
    };
    let fed: Vec<u64> = of(Kind::PlannerEvent).map(|it| it.record.seq).collect();
    let end = of(Kind::RunEnd).next().cloned();
    let script = Arc::new(Script::new(entries, options.swapped));
    let steps_only = options.steps_only;
    let mut replay =
        Replay::new(host, &project, &script, setup, (ends, &later), steps_only).await?;
    for (seq, event) in fed.into_iter().zip(events) {
        if !replay.step(seq, event.event, event.at).await {
            break;
        }
    }
    if script.difference().is_none() && !steps_only {
        replay.own_calls().await;
    }
    if script.difference().is_none() {
        script.ended(None);
        replay.compare_end(end);
    }
    let difference = script.difference();
    Ok(Replayed {
        same: difference.is_none(),
        records,
        matched: script.matched(),
        calls: replay.calls,
        taken: replay.taken,
        last: last.unwrap_or_default(),
        difference,
    })
}

struct Replay {
    script: Arc<Script>,
    journal: Journal,
    planner: Box<dyn Planner>,
    worker: Arc<Worker>,
    builds: Builds,
    purse: Arc<Purse>,
    /// Whether nothing of a result is held for later steps.
    on_request: bool,
    /// What the planner has asked for.
    asked: BTreeMap<CallId, Box<Call>>,
    ends: BTreeMap<CallId, CallEnd>,
    steps_only: bool,
    finished: Option<Box<RunEnd>>,
    calls: u64,
    taken: BTreeMap<String, String>,
}

impl Replay {
    /// A replay before its first event: plugins as the run had them, and a worker that reaches nothing.
    async fn new(
        host: &Arc<Process>,
        project: &Project,
        script: &Arc<Script>,
        setup: RunSetup,
        (ends, later): (BTreeMap<CallId, CallEnd>, &[(String, Member)]),
        steps_only: bool,
    ) -> Result<Self, Failure> {
        let revealed = Arc::new(Revealed::default());
        let tenant = host.config.state.tenant();
        let journal = Journal::new(script.clone(), tenant, redaction(project).payloads)
            .keeping_out(revealed.clone())
            .sealing(seals(project));
        let purse = Arc::new(Purse::new(wiring::ceiling(&project.plan)));
        let ready = Ready::for_replay(project, host, purse.clone(), &revealed)?;
        let started_ms = Ulid::from_string(&setup.run_id).map_or(0, |id| id.timestamp_ms());
        let recorder = Arc::new(journal.clone());
        let (account, _) = account::of_run(recorder, 0, account::allowed(&project.plan));
        let (run, seed) = (setup.run_id.as_str(), wiring::seed_of(setup.seed));
        let scope = RunScope {
            memory: Some(script.clone()),
            ..ready.scope(tenant, run, seed, started_ms, account, Arc::default())
        };
        let registry = Arc::new(Registry::default());
        let builds = match steps_only {
            true => Builds::default(),
            false => Builds::install(host, project, later, &scope, script, &registry).await?,
        };
        let machinery = ready.replayed(project, registry);
        let on_request = setup.on_request;
        let planner = planner_for(project.plan.clone(), setup).map_err(Failure::in_plan)?;
        // Nobody speaks on it: a replay asks its worker itself.
        let channel = Channel::of(&scope, 0);
        Ok(Self {
            script: script.clone(),
            journal,
            planner,
            worker: Worker::new(scope, channel, &machinery, Arc::new(Nowhere)),
            builds,
            purse,
            on_request,
            asked: BTreeMap::new(),
            ends,
            steps_only,
            finished: None,
            calls: 0,
            taken: BTreeMap::new(),
        })
    }

    /// Feeds one event; false once the replay differs.
    async fn step(&mut self, seq: u64, fed: Fed, at: Time) -> bool {
        if self.planner.is_finished() {
            if let Fed::HostFailed { .. } = fed {
                // In the turn that ended the run, which ended by the host's word.
                self.script.event(seq);
                self.finished = None;
                return true;
            }
            let what = "the planner has ended the run, and the record goes on";
            self.script
                .note(Difference::new(Some(seq), what, None, None));
            return false;
        }
        self.script.event(seq);
        let event = match fed {
            Fed::Started => Event::Started,
            Fed::TimerFired { timer } => Event::TimerFired { timer },
            Fed::GateAnswered { gate, answer } => Event::GateAnswered { gate, answer },
            Fed::Requested {
                request,
                step,
                input,
            } => Event::Requested {
                request,
                step,
                input,
            },
            Fed::Withdrawn { request } => Event::Withdrawn { request },
            Fed::Closed { stops } => Event::Closed { stops },
            Fed::Cancelled { reason } => Event::Cancelled { reason },
            Fed::HostFailed { failure } => Event::HostFailed { failure },
            Fed::CallFinished { call } => match self.finished(seq, call).await {
                Some(event) => event,
                None => return false,
            },
        };
        for action in self.planner.on(event, at) {
            match action {
                Action::Call(call) => drop(self.asked.insert(call.id, call)),
                Action::Note(note) => {
                    if self.journal.note(&note).is_err() {
                        return false;
                    }
                }
                Action::OpenGate(gate) => {
                    // Until when it is open on the wall's clock is the record's.
                    if self.journal.gate_opened(&gate, 0).is_err() {
                        return false;
                    }
                }
                Action::Finish(end) => self.finished = Some(end),
                Action::Cancel { .. }
                | Action::Reply { .. }
                | Action::SetTimer { .. }
                | Action::ClearTimer { .. }
                | Action::CloseGate { .. } => {}
            }
        }
        self.script.difference().is_none()
    }

    /// The end of a call, after its guest has come to the same.
    async fn finished(&mut self, seq: u64, id: CallId) -> Option<Event> {
        let Some(call) = self.asked.remove(&id) else {
            let what = format!("call {} ended, and the planner has not asked for it", id.0);
            self.script
                .note(Difference::new(Some(seq), &what, None, None));
            return None;
        };
        let Some(CallEnd { result, used }) = self.ends.get(&id).cloned() else {
            let what = format!("call {} ended, and its result is not there", id.0);
            self.script
                .note(Difference::new(Some(seq), &what, None, None));
            return None;
        };
        let result = match self.steps_only {
            true => result,
            false => self.again(seq, &call, result).await?,
        };
        Some(Event::CallFinished {
            call: id,
            result,
            used,
        })
    }

    /// What the call's guest says now, if it is what it said then.
    async fn again(&mut self, seq: u64, call: &Call, told: CallResult) -> Option<CallResult> {
        let id = call.id.0.to_string();
        if let Some(why) = self.not_again(call, &told) {
            self.taken.insert(id, why.to_owned());
            return Some(told);
        }
        self.builds.turn_to(&self.worker.registry, &id);
        let Some(installed) = self.worker.registry.current(&call.plugin) else {
            let what = not_of_this_run(&call.plugin);
            self.script
                .note(Difference::new(Some(seq), &what, None, None));
            return None;
        };
        // What was left of the run's time then is nothing now: the engine gives the guest its own.
        let order = Order::new(call, &installed, Time(0));
        self.calls += 1;
        let result = self.worker.replay(&order).await;
        let result = match self.on_request {
            true => result,
            false => too_large(&self.purse, &call.step_id, &result).unwrap_or(result),
        };
        if self.script.difference().is_some() {
            return None;
        }
        self.script.ended(Some(&id));
        let result = match (result, &told) {
            (CallResult::Failed(failure), CallResult::Failed(told)) => {
                CallResult::Failed(as_told(failure, told))
            }
            (result, _) => result,
        };
        let said = self.journal.kept(&result);
        if said != self.journal.kept(&told) {
            let (expected, got) = (serde_json::to_value(&told), serde_json::to_value(&result));
            let what = format!("call {id} came to something else");
            let (expected, got) = (expected.ok(), got.ok());
            self.script
                .note(Difference::new(Some(seq), &what, expected, got));
            return None;
        }
        Some(result)
    }

    /// Why a call is taken as it ended: its guest never ran, or somebody stopped it.
    fn not_again(&self, call: &Call, told: &CallResult) -> Option<&'static str> {
        let failed = matches!(told, CallResult::Failed(_));
        let id = call.id.0.to_string();
        let guards = call.part.is_guard();
        if self.script.made_elsewhere(&id) {
            return Some("another run made it");
        }
        if self.script.settled_by_word(&id) && !self.script.has_result(&id) {
            return Some("a person said what became of it");
        }
        match (failed, self.script.knows(call.id)) {
            (true, false) if self.script.interrupted(&id) => {
                Some("its process ended before it did, and nobody wanted it any more")
            }
            (true, false) if !guards => Some("it was refused before its guest ran"),
            // It leaves no record of its own, and nobody but the host says of one that it was stopped.
            (true, _) if guards && was_stopped(told) => {
                Some("this guardrail was stopped before it had answered")
            }
            (true, _) if self.script.has_intent(&id) && !self.script.has_result(&id) => {
                Some("it was stopped before its guest had answered")
            }
            // Its answer was on record, and the word to stop it came first to the planner: by a timeout of a step that is
            // as long as what the profile leaves.
            (true, _) if was_stopped(told) && self.script.has_intent(&id) => {
                Some("it was stopped in the moment in which its guest answered")
            }
            _ => None,
        }
    }

    /// The calls that the host made by itself: agents that read messages, and were told of the end.
    async fn own_calls(&mut self) {
        for own in messages::own_calls(self.script.entries()) {
            let call = own.call().to_owned();
            if self.script.has_result(&call) {
                self.calls += 1;
                self.own_call(own).await;
                if self.script.difference().is_none() {
                    self.script.ended(Some(&call));
                }
            } else {
                let why = "it was stopped before its guest had answered".to_owned();
                self.taken.insert(call, why);
            }
            if self.script.difference().is_some() {
                return;
            }
        }
    }

    async fn own_call(&self, own: Own) {
        let call = own.call().to_owned();
        self.builds.turn_to(&self.worker.registry, &call);
        if let Err(why) = messages::again(&self.worker, own).await {
            let what = format!("call {call} cannot be made again: {why}");
            self.script.note(Difference::new(None, &what, None, None));
        }
    }

    /// The end of the run as the planner sees it.
    fn compare_end(&self, recorded: Option<super::Entry>) {
        let Some(entry) = recorded else {
            return; // killed: the record has no end to compare with
        };
        let Some(end) = &self.finished else {
            return; // somebody stopped it while the planner was at work: it ended by the host's word
        };
        let status = end.status.word();
        let code = u64::from(end.exit.code());
        let told = (
            entry.record.text("status"),
            entry.record.number("exit_code"),
        );
        let stopped = [Exit::Interrupted, Exit::Limit].map(|exit| u64::from(exit.code()));
        let after_its_last_step = told.1.is_some_and(|code| stopped.contains(&code));
        if told != (Some(status), Some(code)) && !after_its_last_step {
            let expected = serde_json::json!({ "status": told.0, "exit_code": told.1 });
            let got = serde_json::json!({ "status": status, "exit_code": code });
            let seq = Some(entry.record.seq);
            let what = "the run ends otherwise";
            self.script
                .note(Difference::new(seq, what, Some(expected), Some(got)));
        }
    }
}

/// The failure of a guest, as far as what the driver added to it or left out is the record's: what nobody knew of it the
/// driver said, and a failure that was read back from the call's own record has no cure.
fn as_told(
    mut failure: flowhost_flow::Failure,
    told: &flowhost_flow::Failure,
) -> flowhost_flow::Failure {
    failure.in_doubt = told.in_doubt;
    if told.hint.is_empty() {
        failure.hint.clear();
    }
    failure
}

/// Whether the planner heard of a call that it was stopped, whatever its guest had come to by then.
fn was_stopped(told: &CallResult) -> bool {
    matches!(told, CallResult::Failed(failure) if failure.class == FailureClass::Cancelled)
}
