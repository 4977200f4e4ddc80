//! How a run, a step and a call can end. One list each; exit codes follow from it.
//!
//! Owns the words that the report, the ledger and the process exit code share, so that they can never
//! disagree. Must not know how an ending came about: planners decide that.

use serde::{Deserialize, Serialize};

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident;)*) => {
        /// Why the process ends the way it does: one entry per documented exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Exit { $($(#[$doc])* $name,)* }

        impl Exit {
            /// Every exit, in the order of the documentation.
            pub const ALL: &[Exit] = &[$(Exit::$name,)*];

            /// The process exit code.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Exit::$name => $code,)* }
            }

            /// The `status` of the run's report.
            #[must_use]
            pub const fn status(self) -> RunStatus {
                match self { $(Exit::$name => RunStatus::$status,)* }
            }
        }
    };
}

exits! {
    /// Everything ran.
    Ok = 0, Ok;
    /// The plan is invalid, or the host failed.
    Internal = 1, Failed;
    /// Agents contradict each other.
    Conflict = 2, Conflict;
    /// Too few agents took part, or a barrier did not get what it requires.
    Degraded = 3, Degraded;
    /// A guardrail, a check or a person halted the run.
    Guardrail = 4, Halted;
    /// A budget is used up.
    Budget = 5, Limit;
    /// Policy refused.
    Denied = 6, Denied;
    /// A timeout or a limit.
    Limit = 7, Limit;
    /// A plugin failed.
    Plugin = 8, Failed;
    /// The run waits for an approval.
    Waiting = 9, Waiting;
    /// The command line was wrong.
    Usage = 64, Failed;
    /// The terminal of the process is gone; the run can be resumed.
    HungUp = 129, Interrupted;
    /// Someone interrupted the run.
    Interrupted = 130, Cancelled;
    /// The process was told to end; the run can be resumed.
    Terminated = 143, Interrupted;
}

/// The `status` field of a run's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Everything ran.
    Ok,
    /// A plugin or the host failed.
    Failed,
    /// Agents contradict each other.
    Conflict,
    /// Less than required took part.
    Degraded,
    /// A guardrail or a check halted the run.
    Halted,
    /// Policy refused.
    Denied,
    /// A limit, a timeout or a budget.
    Limit,
    /// Waits for a person.
    Waiting,
    /// Its process had to go; it can be resumed.
    Interrupted,
    /// Interrupted.
    Cancelled,
}

/// How a step stands or ended. The words are those of `steps.<id>.status` in expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Waits for what it needs.
    Pending,
    /// At work, between two attempts, or waiting for budget.
    Running,
    /// Done.
    Ok,
    /// Failed, after its last attempt.
    Failed,
    /// Not run: `when` was false, or a `goto` went past it.
    Skipped,
    /// Stopped, or never started, because the run ended first.
    Cancelled,
}

impl StepStatus {
    /// Whether the step will not change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// The word used in reports and expressions.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

macro_rules! classes {
    ($($(#[$doc:meta])* $name:ident $word:literal, $exit:ident, retry: $retry:literal;)*) => {
        /// What kind of failure ended a call or a step; decides retry and exit code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum FailureClass { $($(#[$doc])* $name,)* }

        impl FailureClass {
            /// Every class.
            pub const ALL: &[FailureClass] = &[$(FailureClass::$name,)*];

            /// The word used in `retry_on`, reports and `failure.class`.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(FailureClass::$name => $word,)* }
            }

            /// How the process ends if this failure ends the run.
            #[must_use]
            pub const fn exit(self) -> Exit {
                match self { $(FailureClass::$name => Exit::$exit,)* }
            }

            /// Whether a plan may list the class in `retry_on`: what policy, a budget or a person
            /// refused is never tried again.
            #[must_use]
            pub const fn may_retry(self) -> bool {
                match self { $(FailureClass::$name => $retry,)* }
            }
        }
    };
}

classes! {
    /// The plugin says that another attempt may succeed.
    Transient "transient", Plugin, retry: true;
    /// The step's time is up.
    Timeout "timeout", Limit, retry: true;
    /// A limit of the profile was reached (memory, fuel, output, …).
    Limit "limit", Limit, retry: true;
    /// The plugin refused its input.
    Invalid "invalid", Plugin, retry: true;
    /// The plugin failed or trapped.
    Failed "failed", Plugin, retry: true;
    /// The world is not as the plugin's call needs it.
    Conflict "conflict", Plugin, retry: false;
    /// Agents contradict each other, and nobody decided.
    Contradiction "contradiction", Conflict, retry: false;
    /// Too few agents answered or agree, or nothing came of their answers.
    Consensus "consensus", Degraded, retry: false;
    /// The output does not match its schema.
    Output "output", Plugin, retry: true;
    /// A check with `on_fail: halt` is false.
    Check "check", Guardrail, retry: true;
    /// A guardrail with `on_fail: halt` denied.
    Guardrail "guardrail", Guardrail, retry: false;
    /// A person said no.
    Rejected "rejected", Guardrail, retry: false;
    /// Policy refused.
    Denied "denied", Denied, retry: false;
    /// A budget is used up.
    Budget "budget", Budget, retry: false;
    /// A barrier did not get what it requires.
    Barrier "barrier", Degraded, retry: false;
    /// An expression could not be evaluated on this run's data.
    Expression "expression", Internal, retry: false;
    /// The host itself failed.
    Internal "internal", Internal, retry: false;
    /// The run was interrupted.
    Cancelled "cancelled", Interrupted, retry: false;
}

impl FailureClass {
    /// Whether the failure says "halt" itself, so that nothing in a plan outvotes it: a guardrail or
    /// check with `on_fail: halt`, and a budget.
    #[must_use]
    pub const fn halts(self) -> bool {
        matches!(self, Self::Guardrail | Self::Check | Self::Budget)
    }
}

/// A failure of a call, a step or a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub class: FailureClass,
    /// What happened and why, for the report. Must not hold a secret.
    pub message: String,
    /// What could be done about it; may be empty.
    pub hint: String,
    /// The path of the step that failed; the planner fills it in.
    pub step: String,
}

impl Failure {
    /// A failure of `class`; the planner adds the step.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint: String::new(),
            step: String::new(),
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}
