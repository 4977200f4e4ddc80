//! The seam between the pure planners and the driver that performs what they ask.
//!
//! Owns the events that go in, the actions that come out and the promise between them: same plan, same
//! setup, same events and times, same actions. Must never perform anything. A planner keeps no hidden
//! state, so that a run can be rebuilt by feeding its recorded events to a new planner.
//!
//! The driver's side of the promise:
//! - Feed [`Event::Started`] once, first.
//! - Perform the actions of one answer in their order.
//! - Answer each [`Action::Call`] with exactly one [`Event::CallFinished`], also after
//!   [`Action::Cancel`] (with [`CallResult::Failed`]; what the call used is still reported).
//! - Fire timers at or after their time with [`Event::TimerFired`]; a late or unknown one is ignored.
//! - Times never go backwards (an earlier one is read as the latest seen).
//! - After [`Action::Finish`] nothing more will be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_words::PluginKind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::budget::{Amounts, Ceiling};
use crate::consensus::Verdict as Consensus;
use crate::exit::{Exit, Failure, RunStatus, StepStatus};
use crate::plan::{Effects, Plan, Wants, shared_one};
use crate::problem::Problem;

mod arena;
mod core;
pub mod fork;
mod fsm;
#[cfg(test)]
mod harness;
pub mod record;
mod requests;
mod run;
mod scope;
#[cfg(test)]
mod tests;
mod tree;
mod unit;
mod workflow;

pub use record::{CallEnd, CallEnds, EventRecord, Recorded, ReplayError, Replayer, replay};

/// Milliseconds since the Unix epoch (or since any fixed start: planners only compare and add).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Time(pub u64);

impl Time {
    /// The time `ms` milliseconds later.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a planner needs besides the plan. All of it is in the run's first record, so that a replay can
/// hand in the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunSetup {
    /// The run's ULID.
    pub run_id: String,
    /// [`crate::hash::plan_hash`] of the resolved plan.
    pub plan_hash: String,
    /// All randomness of the run comes from this.
    pub seed: u64,
    /// What [`Plan::bind_inputs`] returned.
    pub inputs: Map<String, Value>,
    /// SHA-256 of each plugin's component, by plugin key: what tells a consensus with `distinct: true`
    /// that two agents are the same. A plugin that is not listed is like no other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, String>,
    /// The only step of a workflow that is wanted: it runs with what it needs, and every other step of the
    /// outermost plan is skipped. `None` runs all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Whether the run is open to requests: then no step of a workflow begins by itself, and each is done as often as
    /// somebody asks for it ([`Event::Requested`]), until nobody can any more ([`Event::Closed`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_request: bool,
    /// What one call of a plugin can use at most, by plugin key ([`Plan::all_plugins`]): reserved
    /// before the call and returned after it. Hand in the limits of the effective profile. A plugin
    /// that is not listed, and a currency that is 0, reserves nothing but the call itself: then the
    /// budget can only stop what comes after an overdraft, not the overdraft.
    pub estimates: BTreeMap<String, Amounts>,
}

/// Names a call within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallId(pub u64);

/// Names a gate within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GateId(pub u64);

/// Names a request within its run, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u64);

impl RequestId {
    /// Where the work of a request for `step` stands: it is to its step what an item is to a `foreach`.
    ///
    /// # Examples
    /// ```
    /// use flowhost_flow::planner::RequestId;
    ///
    /// assert_eq!(RequestId(3).path_of("say"), "say[3]");
    /// ```
    #[must_use]
    pub fn path_of(self, step: &str) -> String {
        format!("{step}[{}]", self.0)
    }

    fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// A gate that was reached: nothing is performed, and somebody outside has to speak.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenGate {
    /// Names it in the answer.
    pub id: GateId,
    /// Deterministic id of its step.
    pub step_id: String,
    /// The step's path: what people call it by.
    pub path: String,
    /// What opens it.
    pub wants: Wants,
    /// Milliseconds that it stays open, on the wall's clock.
    pub timeout_ms: u64,
}

/// What somebody outside said, or that nobody did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateAnswer {
    /// A person's word.
    Approval {
        /// Yes or no.
        approved: bool,
        /// Who said so.
        by: String,
        /// What they said besides.
        note: String,
    },
    /// Another program's payload.
    Signal {
        /// What it says.
        payload: Value,
    },
    /// Its time is up.
    TimedOut,
}

/// Names a timer within its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerId(pub u64);

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    Started,
    /// A call ended, in whatever way.
    CallFinished {
        /// Which call.
        call: CallId,
        /// How it ended.
        result: CallResult,
        /// What it used, also when it failed.
        used: Amounts,
    },
    /// A timer's time has come.
    TimerFired {
        /// Which timer.
        timer: TimerId,
    },
    /// Somebody spoke to a gate, or its time is up.
    GateAnswered {
        /// Which gate.
        gate: GateId,
        /// What was said.
        answer: GateAnswer,
    },
    /// Somebody asks for a step of a run that is open to requests.
    Requested {
        /// Names the request in the reply.
        request: RequestId,
        /// The step's id.
        step: String,
        /// What it is given in the place of its `with`.
        input: Value,
    },
    /// Whoever asked does not want it any more. It is replied to all the same, once it has stopped.
    Withdrawn {
        /// Which request.
        request: RequestId,
    },
    /// Nobody asks for anything any more: the run ends with what is at work.
    Closed {
        /// Why what is at work is stopped; without it, it comes to its end.
        stops: Option<String>,
    },
    /// Someone wants the run to stop.
    Cancelled {
        /// Who or what, for the report.
        reason: String,
    },
    /// The host cannot go on (ledger poisoned, bus gone).
    HostFailed {
        /// Why the host cannot go on.
        failure: Failure,
    },
}

/// How a call ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallResult {
    /// An agent's or tool's answer ([`Part::Work`], [`Part::Seat`] and [`Part::Handler`]).
    Output(Value),
    /// A guardrail's answer ([`Part::Before`] and [`Part::After`]).
    Verdict(Verdict),
    /// The call failed.
    Failed(Failure),
}

/// What a guardrail says about its subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing to object to.
    Pass {
        /// What it noticed all the same.
        findings: Vec<Value>,
    },
    /// Use this subject instead.
    Rewrite {
        /// The new subject.
        subject: Value,
        /// What was found and changed.
        findings: Vec<Value>,
    },
    /// This must not go on.
    Deny {
        /// Why.
        reason: String,
        /// What was found.
        findings: Vec<Value>,
    },
}

/// Which part of a step a call performs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The nth guardrail before the work; its subject is the step's input.
    Before(u32),
    /// The work itself.
    Work,
    /// The nth of several calls that do the work together, counted by the work.
    Seat(u32),
    /// The nth guardrail after the work; its subject is the step's output.
    After(u32),
    /// The work of an `on_failure` handler.
    Handler,
    /// What takes the effect of a step back.
    Compensation,
}

impl Part {
    /// Whether a guardrail is asked.
    #[must_use]
    pub const fn is_guard(self) -> bool {
        matches!(self, Self::Before(_) | Self::After(_))
    }

    /// A word that tells the parts of a step apart: `before-0`, `work`, `seat-0`, `after-0`, `handler`.
    #[must_use]
    pub fn word(self) -> String {
        match self {
            Self::Before(index) => format!("before-{index}"),
            Self::Work => "work".to_owned(),
            Self::Seat(index) => format!("seat-{index}"),
            Self::After(index) => format!("after-{index}"),
            Self::Handler => "handler".to_owned(),
            Self::Compensation => "compensation".to_owned(),
        }
    }
}

/// One call of a plugin's export, complete: nothing else is needed to perform it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Names the call in the answer.
    pub id: CallId,
    /// Deterministic id of the step (of the item, in a `foreach`) from plan hash and path.
    pub step_id: String,
    /// Where the step is: `report`, `scan[3]`, `package/zip`; handlers: `validate!report-failure`; the
    /// second visit of a state or node: `search#2`.
    pub path: String,
    /// The step's `stage`, if it has one.
    pub stage: Option<String>,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Which part of the step this is.
    pub part: Part,
    /// Plugin key, as in [`Plan::all_plugins`].
    pub plugin: String,
    /// What the plugin is.
    pub kind: PluginKind,
    /// The function of a tool with several (`uses: plugin/function`).
    pub function: Option<String>,
    /// The input of the work, or the subject of a guardrail.
    pub input: Arc<Value>,
    /// The guardrail's `with`, rendered; `null` for work.
    pub config: Value,
    /// What an agent is asked, for work with a prompt.
    pub prompt: Option<Arc<str>>,
    /// The prompt's version, for the evidence.
    pub prompt_version: Option<String>,
    /// JSON Schema that the output of the work will be checked against.
    pub schema: Option<Arc<Value>>,
    /// When the planner will cancel the call.
    pub deadline: Time,
    /// Seed of this call, 64 hex digits: from run seed, step id, attempt and part.
    pub seed: String,
    /// What the call may use; already reserved. The driver lowers the profile's limits to it in the
    /// currencies that its estimate names; a currency without an estimate is not limited by it.
    pub allowance: Amounts,
    /// Whose tokens and whose money the call may spend, in this order.
    pub ceilings: [Ceiling; 2],
    /// What a crash may repeat; a guardrail has no effects and is always idempotent.
    pub effects: Effects,
    /// Same for every attempt of the same work: what a keyed effect is deduplicated by.
    pub idempotency_key: String,
}

impl Call {
    /// Milliseconds that are left for the call at `now`, for an order that travels to another clock.
    #[must_use]
    pub const fn remaining_ms(&self, now: Time) -> u64 {
        self.deadline.since(now)
    }
}

/// What the driver is to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Perform this call.
    Call(Box<Call>),
    /// Stop this call; its [`Event::CallFinished`] is still awaited for a short grace.
    Cancel {
        /// Which call.
        call: CallId,
        /// Why, for the record.
        reason: String,
    },
    /// Fire [`Event::TimerFired`] at or after `at`.
    SetTimer {
        /// Names the timer in the event.
        timer: TimerId,
        /// When.
        at: Time,
    },
    /// The timer is not needed any more (firing it does no harm).
    ClearTimer {
        /// Which timer.
        timer: TimerId,
    },
    /// Somebody outside has to speak: [`Event::GateAnswered`]. Its time runs on the wall's clock, also
    /// while no process does.
    OpenGate(Box<OpenGate>),
    /// The gate is not needed any more; an answer to it means nothing.
    CloseGate {
        /// Which gate.
        gate: GateId,
    },
    /// A request is done with: each has exactly one reply.
    Reply {
        /// Which request.
        request: RequestId,
        /// Where its work stood ([`RequestId::path_of`]).
        path: String,
        /// What its step gives, or why not.
        result: Result<Value, Failure>,
    },
    /// Record this; nothing to perform.
    Note(Note),
    /// The run is over. Always the last action of all.
    Finish(Box<RunEnd>),
}

/// A fact about the run that only the planner knows; the driver writes it to the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// An attempt begins (its guardrails come before its work).
    StepStarted {
        /// Deterministic id.
        step_id: String,
        /// Path of the step or item.
        path: String,
        /// The step's stage.
        stage: Option<String>,
        /// 1 for the first attempt.
        attempt: u32,
    },
    /// A `foreach` knows its items.
    Expanded {
        /// Path of the step.
        path: String,
        /// Number of items.
        items: usize,
    },
    /// An attempt failed and another follows.
    Retrying {
        /// Deterministic id.
        step_id: String,
        /// Path of the step or item.
        path: String,
        /// The attempt that failed.
        attempt: u32,
        /// Why it failed.
        failure: Failure,
        /// When the next one begins.
        at: Time,
    },
    /// A step, or an item of a `foreach`, has ended. Skipped steps too.
    StepEnded(StepSummary),
    /// A guardrail answered.
    Guardrail {
        /// Deterministic id of the guarded step.
        step_id: String,
        /// Path of the step or item.
        path: String,
        /// Plugin key of the guardrail.
        plugin: String,
        /// Before or after.
        part: Part,
        /// `pass`, `rewrite` or `deny`.
        verdict: &'static str,
        /// What it found.
        findings: Vec<Value>,
        /// True when it denied and the plan says `on_fail: warn`.
        warned: bool,
    },
    /// A check was evaluated.
    Check {
        /// Deterministic id of the step.
        step_id: String,
        /// Path of the step or item.
        path: String,
        /// The check's id.
        id: String,
        /// Whether it holds.
        holds: bool,
    },
    /// Something the user should know that does not end the run.
    Warning {
        /// Path of the step, empty for the run.
        path: String,
        /// What it is about: `guardrail`, `check`, `budget`, `barrier`, `gate`, `continued`, `consensus`,
        /// `handler` or `compensation` (one that failed), `call` (one that was given up, or was stopped at
        /// work, so that nobody knows whether it had its effect).
        about: &'static str,
        /// What happened.
        message: String,
    },
    /// A consensus step came to a verdict: each round has one.
    Consensus {
        /// Deterministic id.
        step_id: String,
        /// Path of the step.
        path: String,
        /// The attempt that it belongs to.
        attempt: u32,
        /// What it came to.
        #[serde(serialize_with = "shared_one")]
        verdict: Arc<Consensus>,
    },
    /// A step sends a message.
    Emitted {
        /// Deterministic id of the step.
        step_id: String,
        /// Path of the step.
        path: String,
        /// The topic.
        subject: String,
        /// What it says.
        payload: Value,
    },
    /// A compensation begins.
    CompensationStarted {
        /// Path of the step whose effect is taken back.
        path: String,
    },
    /// A handler of `on_failure` begins.
    HandlerStarted {
        /// Path of the failed step.
        path: String,
        /// Name of the handler.
        handler: String,
    },
}

/// How a step, or an item of a `foreach`, ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepSummary {
    /// Deterministic id.
    pub step_id: String,
    /// Path of the step or item.
    pub path: String,
    /// The step's stage.
    pub stage: Option<String>,
    /// How it ended.
    pub status: StepStatus,
    /// Attempts begun; 0 when it never ran.
    pub attempts: u32,
    /// Milliseconds from its first start to its end.
    pub duration_ms: u64,
    /// What all its calls used.
    pub used: Amounts,
    /// Why it failed, or was skipped (`hint` empty then).
    pub failure: Option<Failure>,
}

/// How the run ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunEnd {
    /// Decides the exit code.
    pub exit: Exit,
    /// The report's status word.
    pub status: RunStatus,
    /// The plan's `outputs`, rendered; empty unless the run is ok.
    pub outputs: Map<String, Value>,
    /// What ended the run, unless it is ok.
    pub failure: Option<Failure>,
    /// What all calls used.
    pub used: Amounts,
}

/// A planner: a state machine without I/O.
pub trait Planner: Send {
    /// Takes what happened and when, and says what to do.
    fn on(&mut self, event: Event, now: Time) -> Vec<Action>;

    /// Whether [`Action::Finish`] has been given.
    fn is_finished(&self) -> bool;

    /// Calls that were asked for and not yet answered.
    fn open_calls(&self) -> Vec<CallId>;

    /// Whether nothing goes on until somebody outside speaks to a gate: no call is out and no time is
    /// waited for that would change anything.
    fn rests(&self) -> bool;

    /// How many calls were asked for so far: they are numbered from 1 to this.
    fn calls_asked(&self) -> u64;
}

/// The planner for the plan, of whatever kind.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use flowhost_flow::{Action, Amounts, CallResult, Event, Exit, Plan, RunSetup, Time, planner_for};
/// use serde_json::json;
///
/// let text = "flowhost: v1\nkind: workflow\nname: hello\n\
///             plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
///             steps: { greet: { uses: say } }\noutputs: { said: '${{ steps.greet.output }}' }\n";
/// let setup = RunSetup {
///     run_id: "01JD00000000000000000000AA".to_owned(),
///     plan_hash: "…".to_owned(),
///     seed: 1,
///     inputs: Default::default(),
///     estimates: Default::default(),
///     components: Default::default(),
///     only: None,
///     on_request: false,
/// };
/// let plan = Plan::parse(text, "plan.yaml").unwrap();
/// let mut planner = planner_for(Arc::new(plan), setup).unwrap();
/// let call = planner.on(Event::Started, Time(0)).into_iter().find_map(|action| match action {
///     Action::Call(call) => Some(call.id),
///     _ => None,
/// });
/// let result = CallResult::Output(json!("hello"));
/// let used = Amounts { calls: 1, ..Amounts::default() };
/// let actions =
///     planner.on(Event::CallFinished { call: call.unwrap(), result, used }, Time(5));
/// let Some(Action::Finish(end)) = actions.last() else { panic!() };
/// assert_eq!((end.exit, &end.outputs["said"]), (Exit::Ok, &json!("hello")));
/// ```
///
/// # Errors
/// What the plan refers to and nobody attached (sub-plans, schemas), each with its place.
pub fn planner_for(plan: Arc<Plan>, setup: RunSetup) -> Result<Box<dyn Planner>, Vec<Problem>> {
    plan.check_attached()?;
    Ok(Box::new(run::Run::new(&plan, setup)))
}
