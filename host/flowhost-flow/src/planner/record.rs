//! Events as records, and planners fed from them.
//!
//! # What a run writes
//!
//! [`EventRecord::of`] turns an event and the time at which the planner is fed into what is written
//! *before* the planner sees it, in the order in which it sees them. Its JSON is an object of strings
//! and whole numbers (an `answer` is an object of its own, an `input` any value):
//!
//! | `event` | besides `event` and `at` (milliseconds) |
//! |---|---|
//! | `started` | |
//! | `call_finished` | `call`: the number of the call |
//! | `timer_fired` | `timer`: the number of the timer |
//! | `gate_answered` | `gate`: the number of the gate; `answer` |
//! | `requested` | `request`: the number of the request; `step`; `input` |
//! | `withdrawn` | `request`: the number of the request |
//! | `closed` | `stops`: why what is at work is stopped, where it is |
//! | `cancelled` | `reason` |
//! | `host_failed` | `failure`: `class`, `message`, `hint`, `step` |
//!
//! A result is not in it: it stands in the call's own record, from which [`CallEnds::end`] takes it
//! with what the call used. `at` must be the very time that [`Planner::on`](super::Planner::on) is given.
//!
//! # What reads it
//!
//! [`Replayer`] feeds a new planner and gives back the same actions. A resumed run goes on with
//! [`Replayer::into_planner`]; [`replay`] does all of it at once. Same plan, setup, events and ends:
//! same actions, in the same order. Must never look anything up by itself.
//!
//! # Examples
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//!
//! use flowhost_flow::planner::{CallEnd, CallId, EventRecord, replay};
//! use flowhost_flow::{Action, Amounts, CallResult, Plan, RunSetup};
//! use serde_json::json;
//!
//! let text = "flowhost: v1\nkind: workflow\nname: hello\n\
//!             plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
//!             steps: { greet: { uses: say } }\n";
//! let setup = RunSetup {
//!     run_id: "01JD00000000000000000000AA".to_owned(),
//!     plan_hash: "…".to_owned(),
//!     seed: 1,
//!     inputs: Default::default(),
//!     estimates: Default::default(),
//!     components: Default::default(),
//!     only: None,
//!     on_request: false,
//! };
//! let records: Vec<EventRecord> = [
//!     json!({ "event": "started", "at": 0 }),
//!     json!({ "event": "call_finished", "at": 5, "call": 1 }),
//! ]
//! .into_iter()
//! .map(|record| serde_json::from_value(record).unwrap())
//! .collect();
//! let end = CallEnd { result: CallResult::Output(json!("hello")), used: Amounts::default() };
//! let ends = BTreeMap::from([(CallId(1), end)]);
//! let plan = Arc::new(Plan::parse(text, "plan.yaml").unwrap());
//! let answers = replay(plan, setup, &records, &ends).unwrap();
//! assert!(matches!(answers.last().unwrap().actions.last(), Some(Action::Finish(_))));
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::budget::Amounts;
use crate::exit::Failure;
use crate::plan::{Body, Plan};
use crate::planner::{
    Action, CallId, CallResult, Event, GateAnswer, GateId, Planner, RequestId, RunSetup, Time,
    TimerId, planner_for,
};
use crate::problem::Problem;

/// An event as it is recorded, with the time at which the planner is fed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// When.
    pub at: Time,
    /// What.
    #[serde(flatten)]
    pub event: Recorded,
}

/// An event without what stands in records of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Recorded {
    /// The run begins.
    Started,
    /// A call ended; how, and what it used, stands in the call's own record.
    CallFinished {
        /// Which call.
        call: CallId,
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
    /// Somebody asked for a step.
    Requested {
        /// Which request.
        request: RequestId,
        /// The step's id.
        step: String,
        /// What it is given.
        input: Value,
    },
    /// Whoever asked does not want it any more.
    Withdrawn {
        /// Which request.
        request: RequestId,
    },
    /// Nobody asks for anything any more.
    Closed {
        /// Why what is at work is stopped, where it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stops: Option<String>,
    },
    /// Someone wants the run to stop.
    Cancelled {
        /// Who or what.
        reason: String,
    },
    /// The host cannot go on.
    HostFailed {
        /// Why.
        failure: Failure,
    },
}

impl EventRecord {
    /// What is recorded of an event that the planner is fed at `now`.
    #[must_use]
    pub fn of(event: &Event, now: Time) -> Self {
        let event = match event {
            Event::Started => Recorded::Started,
            Event::CallFinished { call, .. } => Recorded::CallFinished { call: *call },
            Event::TimerFired { timer } => Recorded::TimerFired { timer: *timer },
            Event::GateAnswered { gate, answer } => Recorded::GateAnswered {
                gate: *gate,
                answer: answer.clone(),
            },
            Event::Requested {
                request,
                step,
                input,
            } => Recorded::Requested {
                request: *request,
                step: step.clone(),
                input: input.clone(),
            },
            Event::Withdrawn { request } => Recorded::Withdrawn { request: *request },
            Event::Closed { stops } => Recorded::Closed {
                stops: stops.clone(),
            },
            Event::Cancelled { reason } => Recorded::Cancelled {
                reason: reason.clone(),
            },
            Event::HostFailed { failure } => Recorded::HostFailed {
                failure: failure.clone(),
            },
        };
        Self { at: now, event }
    }

    /// The event again, with the end of its call if it is one of a call.
    ///
    /// # Errors
    /// [`ReplayError::NoEnd`]: the record of the call is not there.
    pub fn event(&self, ends: &dyn CallEnds) -> Result<Event, ReplayError> {
        Ok(match &self.event {
            Recorded::Started => Event::Started,
            Recorded::CallFinished { call } => {
                let CallEnd { result, used } =
                    ends.end(*call).ok_or(ReplayError::NoEnd { call: call.0 })?;
                Event::CallFinished {
                    call: *call,
                    result,
                    used,
                }
            }
            Recorded::TimerFired { timer } => Event::TimerFired { timer: *timer },
            Recorded::GateAnswered { gate, answer } => Event::GateAnswered {
                gate: *gate,
                answer: answer.clone(),
            },
            Recorded::Requested {
                request,
                step,
                input,
            } => Event::Requested {
                request: *request,
                step: step.clone(),
                input: input.clone(),
            },
            Recorded::Withdrawn { request } => Event::Withdrawn { request: *request },
            Recorded::Closed { stops } => Event::Closed {
                stops: stops.clone(),
            },
            Recorded::Cancelled { reason } => Event::Cancelled {
                reason: reason.clone(),
            },
            Recorded::HostFailed { failure } => Event::HostFailed {
                failure: failure.clone(),
            },
        })
    }
}

/// How a call ended and what it used: the part of an event that stands in the call's own record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallEnd {
    /// How it ended.
    pub result: CallResult,
    /// What it used.
    pub used: Amounts,
}

/// Where the ends of calls are read from.
pub trait CallEnds {
    /// The end of a call, if it was recorded.
    fn end(&self, call: CallId) -> Option<CallEnd>;
}

impl CallEnds for BTreeMap<CallId, CallEnd> {
    fn end(&self, call: CallId) -> Option<CallEnd> {
        self.get(&call).cloned()
    }
}

/// Why records cannot be fed to a planner.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The plan refers to what nobody attached.
    #[error("the plan is not complete: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Plan(Vec<Problem>),
    /// An event names a call whose end is not recorded.
    #[error("call {call} ended, but the record of its result is not there")]
    NoEnd {
        /// The call.
        call: u64,
    },
    /// An event names a call that the planner did not ask for: the records are of another plan, of
    /// another setup, or not in their order.
    #[error("call {call} ended, but this plan has not asked for it at this point")]
    Unasked {
        /// The call.
        call: u64,
    },
    /// An event belongs to a run that is open to requests, and this one is not.
    #[error("an event of the kind `{event}` is here, and the run is not open to requests")]
    NotOpen {
        /// The kind of the event.
        event: &'static str,
    },
    /// An event comes after the end of the run.
    #[error("an event of the kind `{event}` comes after the end of the run")]
    AfterEnd {
        /// The kind of the event.
        event: &'static str,
    },
}

/// What a planner answered to one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// When it was fed.
    pub at: Time,
    /// Its actions, in their order.
    pub actions: Vec<Action>,
}

/// Feeds a new planner from records.
pub struct Replayer {
    planner: Box<dyn Planner>,
    /// Whether somebody may ask for steps, once the run has begun.
    on_request: bool,
    begun: bool,
}

impl Replayer {
    /// A replayer before its first record. `setup` is the one that the run began with.
    ///
    /// # Errors
    /// [`ReplayError::Plan`].
    pub fn new(plan: Arc<Plan>, setup: RunSetup) -> Result<Self, ReplayError> {
        let on_request = setup.on_request && matches!(plan.body, Body::Workflow { .. });
        let planner = planner_for(plan, setup).map_err(ReplayError::Plan)?;
        Ok(Self {
            planner,
            on_request,
            begun: false,
        })
    }

    /// Feeds one record and gives back what the planner wants done, which the run has done already. A host may fail in the
    /// very turn that ends the run, when it writes the evidence of the last stage, say: the planner does not hear of that.
    ///
    /// # Errors
    /// The record does not follow from those before it; the planner has not seen it.
    pub fn feed(
        &mut self,
        record: &EventRecord,
        ends: &dyn CallEnds,
    ) -> Result<Vec<Action>, ReplayError> {
        let event = record.event.word();
        if self.planner.is_finished() {
            return match record.event {
                Recorded::HostFailed { .. } => Ok(Vec::new()),
                _ => Err(ReplayError::AfterEnd { event }),
            };
        }
        if record.event.is_of_requests() && !(self.on_request && self.begun) {
            return Err(ReplayError::NotOpen { event });
        }
        if let Recorded::CallFinished { call } = record.event
            && !(1..=self.planner.calls_asked()).contains(&call.0)
        {
            return Err(ReplayError::Unasked { call: call.0 });
        }
        self.begun |= matches!(record.event, Recorded::Started);
        Ok(self.planner.on(record.event(ends)?, record.at))
    }

    /// The planner as it stands, for a run that goes on.
    #[must_use]
    pub fn into_planner(self) -> Box<dyn Planner> {
        self.planner
    }
}

impl Recorded {
    /// Whether only a run has it that is open to requests.
    const fn is_of_requests(&self) -> bool {
        matches!(
            self,
            Self::Requested { .. } | Self::Withdrawn { .. } | Self::Closed { .. }
        )
    }

    /// The word in the record.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::CallFinished { .. } => "call_finished",
            Self::TimerFired { .. } => "timer_fired",
            Self::GateAnswered { .. } => "gate_answered",
            Self::Requested { .. } => "requested",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Closed { .. } => "closed",
            Self::Cancelled { .. } => "cancelled",
            Self::HostFailed { .. } => "host_failed",
        }
    }
}

/// Feeds all records to a new planner.
///
/// # Errors
/// The first record that does not follow from those before it.
pub fn replay<'r>(
    plan: Arc<Plan>,
    setup: RunSetup,
    records: impl IntoIterator<Item = &'r EventRecord>,
    ends: &dyn CallEnds,
) -> Result<Vec<Answered>, ReplayError> {
    let mut replayer = Replayer::new(plan, setup)?;
    let mut answers = Vec::new();
    for record in records {
        let actions = replayer.feed(record, ends)?;
        answers.push(Answered {
            at: record.at,
            actions,
        });
    }
    Ok(answers)
}
