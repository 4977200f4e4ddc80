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

// 0 to 9 are ours. 64 is `EX_USAGE` of sysexits.h; from 129 on it is 128 and the number of the signal (HUP, INT,
// TERM), as a shell reports a process that was ended by one.
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

macro_rules! run_statuses {
    ($($(#[$doc:meta])* $name:ident $word:literal;)*) => {
        /// The `status` field of a run's report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum RunStatus { $($(#[$doc])* $name,)* }

        impl RunStatus {
            /// The words of all, in the order of the documentation.
            pub const WORDS: &[&str] = &[$($word,)*];

            /// The word used in reports, records and the index of runs.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(RunStatus::$name => $word,)* }
            }
        }
    };
}

run_statuses! {
    /// Everything ran.
    Ok "ok";
    /// A plugin or the host failed.
    Failed "failed";
    /// Agents contradict each other.
    Conflict "conflict";
    /// Less than required took part.
    Degraded "degraded";
    /// A guardrail or a check halted the run.
    Halted "halted";
    /// Policy refused.
    Denied "denied";
    /// A limit, a timeout or a budget.
    Limit "limit";
    /// Waits for a person.
    Waiting "waiting";
    /// Its process had to go; it can be resumed.
    Interrupted "interrupted";
    /// Interrupted.
    Cancelled "cancelled";
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
    ($($(#[$doc:meta])* $name:ident $word:literal, $exit:ident, $owner:ident, retry: $retry:literal;)*) => {
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

            /// Who has to change something about such a failure, unless it says otherwise where it arises.
            #[must_use]
            pub const fn owner(self) -> Owner {
                match self { $(FailureClass::$name => Owner::$owner,)* }
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
    Transient "transient", Plugin, Guest, retry: true;
    /// The step's time is up.
    Timeout "timeout", Limit, Limit, retry: true;
    /// A limit of the profile was reached (memory, fuel, output, …).
    Limit "limit", Limit, Limit, retry: true;
    /// The plugin refused its input.
    Invalid "invalid", Plugin, Guest, retry: true;
    /// The plugin failed or trapped.
    Failed "failed", Plugin, Guest, retry: true;
    /// The world is not as the plugin's call needs it.
    Conflict "conflict", Plugin, Guest, retry: false;
    /// Agents contradict each other, and nobody decided.
    Contradiction "contradiction", Conflict, Guest, retry: false;
    /// Too few agents answered or agree, or nothing came of their answers.
    Consensus "consensus", Degraded, Guest, retry: false;
    /// The output does not match its schema.
    Output "output", Plugin, Guest, retry: true;
    /// A check with `on_fail: halt` is false.
    Check "check", Guardrail, Guest, retry: true;
    /// A guardrail with `on_fail: halt` denied.
    Guardrail "guardrail", Guardrail, Guest, retry: false;
    /// A person said no.
    Rejected "rejected", Guardrail, Plan, retry: false;
    /// Policy refused.
    Denied "denied", Denied, Policy, retry: false;
    /// A budget is used up.
    Budget "budget", Budget, Limit, retry: false;
    /// A barrier did not get what it requires.
    Barrier "barrier", Degraded, Plan, retry: false;
    /// An expression could not be evaluated on this run's data.
    Expression "expression", Internal, Plan, retry: false;
    /// The host itself failed.
    Internal "internal", Internal, Host, retry: false;
    /// The run was interrupted.
    Cancelled "cancelled", Interrupted, Plan, retry: false;
}

impl FailureClass {
    /// Whether the failure says "halt" itself, so that nothing in a plan outvotes it: a guardrail or
    /// check with `on_fail: halt`, and a budget.
    #[must_use]
    pub const fn halts(self) -> bool {
        matches!(self, Self::Guardrail | Self::Check | Self::Budget)
    }
}

/// Who has to change something after a failure: the same word in log, ledger, report and exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The plugin.
    Guest,
    /// A rule.
    Policy,
    /// A limit.
    Limit,
    /// The host, or what it is connected to.
    Host,
    /// The plan.
    Plan,
}

impl Owner {
    /// Every owner.
    pub const ALL: &[Owner] = &[
        Self::Guest,
        Self::Policy,
        Self::Limit,
        Self::Host,
        Self::Plan,
    ];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Policy => "policy",
            Self::Limit => "limit",
            Self::Host => "host",
            Self::Plan => "plan",
        }
    }

    /// The owner of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|owner| owner.word() == word)
    }
}

/// A failure of a call, a step or a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Failure {
    /// What kind of failure.
    pub class: FailureClass,
    /// Who has to change something, as whoever failed it says.
    pub owner: Owner,
    /// What happened and why, for the report. Must not hold a secret.
    pub message: String,
    /// What could be done about it; may be empty.
    pub hint: String,
    /// The path of the step that failed; the planner fills it in.
    pub step: String,
    /// Whether it is of a call that was at work when its time was up: nobody knows whether it had its effect.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

/// A failure as records have it: older hosts named no owner, which was that of the class.
#[derive(Deserialize)]
struct Written {
    class: FailureClass,
    owner: Option<Owner>,
    message: String,
    hint: String,
    step: String,
    #[serde(default)]
    in_doubt: bool,
}

impl From<Written> for Failure {
    fn from(written: Written) -> Self {
        let Written {
            class,
            owner,
            message,
            hint,
            step,
            in_doubt,
        } = written;
        Self {
            class,
            owner: owner.unwrap_or(class.owner()),
            message,
            hint,
            step,
            in_doubt,
        }
    }
}

/// What is done about a call of which nobody knows whether it had its effect.
const LOOK: &str = "look whether it happened, and take it back by hand if it must not stay";

impl Failure {
    /// A call was stopped while it was at work: nobody knows whether it had its effect.
    #[must_use]
    pub fn in_doubt() -> Self {
        let message = "nobody knows whether it had its effect: it was stopped while it was at work";
        Self::new(FailureClass::Cancelled, message).with_hint(LOOK)
    }

    /// The same of a call that ended by itself, and that had asked for something and got no answer.
    #[must_use]
    pub fn unanswered() -> Self {
        let message = "nobody knows whether it had its effect: what it had asked gave no answer that could be taken";
        Self::new(FailureClass::Cancelled, message).with_hint(LOOK)
    }

    /// Whether it says that of a call. Of no other call that was stopped is there anything to do, and a host of another
    /// version may say it in other words.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt || self.class == FailureClass::Cancelled && !self.hint.is_empty()
    }

    /// The same of a call that was at work when its time was up, and that said nothing itself.
    #[must_use]
    pub const fn left_in_doubt(mut self) -> Self {
        self.in_doubt = true;
        self
    }

    /// The same where nothing that its call may have done lasts.
    #[must_use]
    pub const fn without_doubt(mut self) -> Self {
        self.in_doubt = false;
        self
    }

    /// The same of a step with such a call: what to do about that comes first, because what else it says is for the
    /// next run. `once` where the step must not be done twice.
    #[must_use]
    pub fn with_look(mut self, once: bool) -> Self {
        let so = match once {
            true => ", so that a step which says `effects: once` is not tried again",
            false => "",
        };
        let look = format!("nobody knows whether its call had its effect{so}: {LOOK}");
        self.hint = match self.hint.is_empty() {
            true => look,
            false => format!("{look}; {}", self.hint),
        };
        self
    }

    /// What it says to a person, in one sentence.
    #[must_use]
    pub fn with_cure(&self) -> String {
        format!("{}; {}", self.message, self.hint)
    }

    /// A failure of `class`; the planner adds the step.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            owner: class.owner(),
            message: message.into(),
            hint: String::new(),
            step: String::new(),
            in_doubt: false,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same, with somebody else to change something than its class says.
    #[must_use]
    pub const fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = owner;
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_that_names_no_owner_has_that_of_its_class() {
        let old = json!({ "class": "denied", "message": "no", "hint": "", "step": "a" });
        let failure: Failure = serde_json::from_value(old).unwrap();
        assert_eq!(failure.owner, Owner::Policy);
        let told = failure.owned_by(Owner::Host);
        let again = serde_json::to_value(&told).unwrap();
        assert_eq!(again["owner"], "host");
        assert_eq!(serde_json::from_value::<Failure>(again).unwrap(), told);
    }

    #[test]
    fn a_call_in_doubt_is_told_from_one_that_was_only_stopped() {
        assert!(Failure::in_doubt().is_in_doubt());
        assert!(!Failure::new(FailureClass::Cancelled, "stopped").is_in_doubt());
        let other = Failure::new(FailureClass::Failed, "no").with_hint("try again");
        assert!(!other.is_in_doubt());
        // One whose time was up says so beside what it is, and only then: records of others stay as they are.
        let late = Failure::new(FailureClass::Timeout, "late");
        let written = serde_json::to_value(&late).unwrap();
        assert_eq!(written.get("in_doubt"), None);
        let late = late.left_in_doubt();
        let again = serde_json::from_value::<Failure>(serde_json::to_value(&late).unwrap());
        assert_eq!(again.unwrap(), late);
        assert!(late.is_in_doubt());
    }
}
