//! The driver's part in a run that goes on, or stops before its end: what was open is opened again, and
//! what is open is let go of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::Subscription;
use flowhost_flow::planner::{CallId, Note, RunEnd};
use flowhost_flow::{Amounts, Call, CallResult, Event, Exit, FailureClass, Time};
use flowhost_words::shell_word;
use tokio::time::Instant;

use super::doubt::{doubted, weighed};
use crate::calls::desk::Recording;
use crate::calls::driver::{Driver, Paused};
use crate::calls::order::{Answered, Stands};
use crate::earlier::resume::past::{Known, Reached, Settled, Unread};
use crate::earlier::resume::{Fate, Resumed};
use crate::kept::journal::emitted_id;
use crate::meters::detail::Detail;
use crate::meters::purse::{Before, Purse};
use crate::meters::tally::{Routed, Tally};

/// What calls that were stopped get to be accounted for, once nobody waits for their answer: what they
/// leave is a record or two.
const ACCOUNTED: Duration = Duration::from_secs(1);

/// What another process had open.
pub(super) struct Takeup {
    /// The planner's time from which the run goes on; none when it was never fed anything.
    pub(super) at: Option<Time>,
    pub(super) unread: Vec<Unread>,
    resumed: Resumed,
}

impl Takeup {
    pub(super) fn of(mut resumed: Resumed) -> Self {
        let unread = std::mem::take(&mut resumed.past.unread);
        let at = resumed.rebuilt.at;
        Self {
            at,
            unread,
            resumed,
        }
    }

    /// Gives back what the run had spent, counted and started.
    pub(super) fn restore(&self, purse: &Purse, tally: &Tally, recording: &Recording) {
        let Resumed { past, fed, rebuilt } = &self.resumed;
        let open = past.calls.iter();
        let by_call = open.map(|(call, made)| (call.to_string(), made.spent));
        purse.restore(Before {
            by_plugin: past.spent.clone().into_iter().collect(),
            by_call: by_call.collect(),
            rest: past.rest,
        });
        for (call, made) in &past.calls {
            tally.restore(&call.to_string(), made.routed);
        }
        // Of a run that is open to requests nothing is held for later steps.
        let held = rebuilt.outputs.iter().filter(|_| !fed.setup.on_request);
        for (step, call) in held {
            if let Some(CallResult::Output(output)) = fed.ends.get(call).map(|end| &end.result) {
                // It was within the bound when it was handed on; what is over it now only says so later.
                let _kept = purse.outputs().keep(step, output);
            }
        }
        recording.knows(past.started.iter().cloned());
        recording.agents_heard(past.read.clone(), past.finished.iter().cloned());
    }

    /// How often each agent has read each message.
    pub(super) fn read(&self) -> &HashMap<(String, String), u32> {
        &self.resumed.past.read
    }
}

/// What another process made of a call that is to be made again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// What it called in turn.
    pub(super) routed: Routed,
    /// Whether it may have had an effect that outlasts it.
    pub(super) doubtful: bool,
}

/// How a call ended whose end no record of its own holds.
fn unrecorded(result: CallResult) -> Known {
    Known {
        result,
        stands: Stands::Nowhere,
        detail: Detail::default(),
    }
}

impl Driver {
    /// Opens again what was open: calls by what is known of each, timers as they were set.
    pub(super) async fn take_up(&mut self, takeup: Takeup) {
        let Takeup {
            mut resumed, at, ..
        } = takeup;
        let paths = std::mem::take(&mut resumed.rebuilt.paths);
        self.used.reserve(paths.len());
        self.steps.reserve(paths.len());
        for (call, path) in paths {
            if let Some(end) = resumed.fed.ends.get(&call) {
                self.spent.add(&end.used);
                let used = self.used.entry(path).or_default();
                used.fuel = used.fuel.saturating_add(end.used.fuel);
            }
        }
        self.reused = std::mem::take(&mut resumed.past.reused);
        self.before = resumed.past.before;
        let mut emitted = Vec::new();
        for note in std::mem::take(&mut resumed.rebuilt.notes) {
            if let Note::Emitted { step_id, .. } = &note
                && !resumed.past.sent.contains(&emitted_id(step_id).to_string())
            {
                emitted.push(note.clone());
            }
            self.remember(note);
        }
        for (timer, at) in &resumed.rebuilt.timers {
            self.due.insert(*timer, *at);
            self.timers.insert((*at, *timer));
        }
        if let Some(end) = resumed.rebuilt.end.take() {
            self.end = Some(end);
            return;
        }
        if self.asked.is_some() {
            return self.unasked(at, &resumed).await;
        }
        // Whoever wants the run to end does not wait for the person that it waits for.
        let stops = self.run.is_asked_to_stop();
        let doubtful = resumed.doubtful();
        if !doubtful.is_empty() && !stops {
            return self.waits_for_word(&doubtful);
        }
        self.held = stops;
        if at.is_none() {
            return self.feed(Event::Started).await;
        }
        for note in emitted {
            self.emit(&note).await;
        }
        let open: Vec<Box<Call>> = resumed.rebuilt.open.values().cloned().collect();
        // All of them, and all gates, before the planner hears what became of some: what it says then may stop others.
        let ended = open.into_iter();
        let ended = ended.filter_map(|call| self.take_up_call(call, &resumed));
        let ended: Vec<(Box<Call>, Known)> = ended.collect();
        if !stops {
            self.take_up_gates(&resumed);
        }
        self.held = true;
        for (call, known) in ended {
            if self.end.is_some() {
                return;
            }
            self.knew(&call, known, &resumed).await;
        }
        // A planner whose run is to stop hears of that next.
        self.held = stops;
        self.drain().await;
    }

    /// Whoever asked is gone with the process that was asked: nobody waits for what was at work, so nothing of it is
    /// made again, and the run comes to its end.
    async fn unasked(&mut self, at: Option<Time>, resumed: &Resumed) {
        if at.is_none() {
            self.feed(Event::Started).await;
        }
        let stops = Some("the process that was asked is gone".to_owned());
        self.feed(Event::Closed { stops }).await;
        let open: Vec<Box<Call>> = resumed.rebuilt.open.values().cloned().collect();
        for call in open {
            if self.end.is_some() {
                return;
            }
            let made = resumed.past.calls.get(&call.id.0);
            match made.and_then(|made| made.result.clone()) {
                Some(known) => self.knew(&call, known, resumed).await,
                None if self.is_doubtful(&call, resumed) => {
                    let ended = CallResult::Failed(flowhost_flow::Failure::in_doubt());
                    self.knew(&call, unrecorded(ended), resumed).await;
                }
                None => {
                    let why = "the process that performed it is gone, and what it came to is not on record";
                    let failure = flowhost_flow::Failure::new(FailureClass::Cancelled, why);
                    let ended = CallResult::Failed(failure);
                    self.knew(&call, unrecorded(ended), resumed).await;
                }
            }
        }
    }

    /// A call that was open is made, or made again; or it has ended, which the planner is to be told.
    fn take_up_call(&mut self, call: Box<Call>, resumed: &Resumed) -> Option<(Box<Call>, Known)> {
        self.open.insert(call.id.0, None);
        let failed =
            |class, why: String| CallResult::Failed(flowhost_flow::Failure::new(class, why));
        let doubtful = self.is_doubtful(&call, resumed);
        let ended = match resumed.fate(&call) {
            Fate::Make | Fate::Doubtful if doubtful && self.run.is_asked_to_stop() => {
                let used = self.accounted(&call, &mut Detail::default(), resumed);
                self.set_aside(&call, used);
                return None;
            }
            Fate::Make | Fate::Doubtful | Fate::Settled(Settled::Retry) => {
                let made = resumed.past.calls.get(&call.id.0);
                if let Some(made) = made.filter(|made| made.begun) {
                    let routed = made.routed;
                    self.begun.insert(call.id.0, Begun { routed, doubtful });
                }
                self.waiting.push_back(call);
                return None;
            }
            Fate::Known(known) => known.clone(),
            Fate::Stopped if doubtful => {
                unrecorded(CallResult::Failed(flowhost_flow::Failure::in_doubt()))
            }
            Fate::Stopped => {
                let why = "the process that performed it is gone".to_owned();
                unrecorded(failed(FailureClass::Cancelled, why))
            }
            Fate::Settled(Settled::Done(output)) => unrecorded(CallResult::Output(output)),
            Fate::Settled(Settled::Failed(why)) => unrecorded(failed(FailureClass::Failed, why)),
        };
        Some((call, ended))
    }

    /// Gates stay open until their time is up, whoever waits at them; what was said meanwhile is heard.
    fn take_up_gates(&mut self, resumed: &Resumed) {
        for gate in resumed.rebuilt.gates.values() {
            match resumed.past.gates.get(&gate.id.0).cloned() {
                // A kill came between the planner's word and the record.
                None => self.open_gate(gate.clone()),
                Some(Reached {
                    answer: None,
                    until_ms,
                }) => {
                    self.gates.insert(gate.id, (gate.clone(), until_ms));
                }
                Some(Reached {
                    answer: Some((answer, _)),
                    ..
                }) => {
                    let gate = gate.id;
                    self.arisen.push_back(Event::GateAnswered { gate, answer });
                }
            }
        }
    }

    /// Tells the planner how a call ended that another process made.
    async fn knew(&mut self, call: &Call, known: Known, resumed: &Resumed) {
        let mut detail = known.detail;
        let used = self.accounted(call, &mut detail, resumed);
        self.open.remove(&call.id.0);
        self.recording.heard(call.id.0);
        let (result, stands) = self.kept(&call.step_id, known.result, known.stands);
        let lasts = self.may_have_lasted(call);
        let (result, stands) = match lasts {
            true => doubted(result, stands),
            false => (weighed(result, lasts), stands),
        };
        let answered = Answered {
            stands,
            told_ms: detail.told_ms,
            plugin: Some(call.plugin.clone()),
            took_us: None,
        };
        let call = call.id;
        let event = Event::CallFinished { call, result, used };
        self.feed_recorded(event, answered).await;
    }

    /// What a call of another process used, with `detail` of its own result, to which what it called is added.
    fn accounted(&mut self, call: &Call, detail: &mut Detail, resumed: &Resumed) -> Amounts {
        let made = resumed.past.calls.get(&call.id.0);
        let (routed, spent) = made
            .map(|made| (made.routed, made.spent))
            .unwrap_or_default();
        detail.add(&routed.detail);
        let used = Amounts {
            calls: routed.calls.saturating_add(1),
            fuel: detail.fuel,
            tokens: spent.tokens,
            micro_usd: spent.micro_usd,
        };
        self.used.entry(call.path.clone()).or_default().add(detail);
        self.spent.add(&used);
        used
    }

    /// Calls that are out.
    pub(super) fn at_work(&self) -> usize {
        self.open.values().flatten().count()
    }

    /// Cancels the run once what was at work has come to its end, or its grace is over: from then on calls
    /// begin again, for what the plan does after a cancellation.
    pub(super) fn wound_down(&mut self) {
        let over = |(_, until): &mut (Arc<str>, Instant)| Instant::now() >= *until;
        let none_at_work = self.at_work() == 0;
        if let Some((reason, _)) = self.winding.take_if(|it| none_at_work || over(it)) {
            self.run.cancel(&reason);
        }
    }

    /// The process has to go; the run has not ended.
    pub(super) fn interrupted(&mut self, exit: Exit) {
        let message = match exit {
            Exit::HungUp => "its terminal was closed (SIGHUP), and nothing more was begun",
            _ => "its process was told to end (SIGTERM), and nothing more was begun",
        };
        let hint = format!("`{}` goes on with it", self.run.resume_command());
        self.pause(exit, message, hint, Vec::new());
    }

    /// Calls may have had an effect that must not happen twice: a person has to look.
    fn waits_for_word(&mut self, doubtful: &[&Call]) {
        let paths: Vec<String> = doubtful.iter().map(|call| call.path.clone()).collect();
        let named: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
        let message = format!(
            "nobody knows whether {} had its effect before its process was gone, and it says `effects: once`",
            named.join(", ")
        );
        let (run, first) = (&self.scope.run, paths.first().cloned().unwrap_or_default());
        let first = shell_word(&first);
        let hint = format!(
            "look whether it happened, then `flowhost runs settle {run} {first} --as done` (or `failed`, or `retry`) \
             and `{}`",
            self.run.resume_command()
        );
        self.pause(Exit::Waiting, &message, hint, paths);
    }

    pub(super) fn pause(&mut self, exit: Exit, message: &str, hint: String, steps: Vec<String>) {
        let step = steps.first().cloned().unwrap_or_default();
        let mut failure = flowhost_flow::Failure::new(FailureClass::Cancelled, message);
        failure = failure.with_hint(hint);
        failure.step = step;
        self.end = Some(RunEnd {
            exit,
            status: exit.status(),
            outputs: serde_json::Map::new(),
            failure: Some(failure),
            used: self.spent,
        });
        self.paused = Some(Paused { steps });
    }

    /// Stops what is still at work, and waits a moment until it is accounted for. Nobody hears the answers:
    /// the calls stay open, and what becomes of each is decided when the run is resumed.
    pub(super) async fn abandon(&mut self, mut answers: Box<dyn Subscription>) {
        let out: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, out)| out.is_some())
            .map(|(call, _)| *call)
            .collect();
        for call in &out {
            let told = self
                .publish_cancel(CallId(*call), "its process has to go".to_owned())
                .await;
            if let Err(message) = told {
                tracing::warn!(call, message, "a call cannot be told to stop");
            }
        }
        let over = Instant::now() + ACCOUNTED;
        // One answer for each: a call that is stopped answers too, and what it has recorded is then complete.
        for _ in &out {
            let answer = tokio::time::timeout_at(over, answers.next()).await;
            match answer {
                Ok(Ok(delivery)) => drop(delivery.ack().await),
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}
