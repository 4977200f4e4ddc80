//! What may be said of work: a workflow's steps and handlers, and what they share with states and actions.

use super::consensus::CONSENSUS;
use super::outcome::{CHECK, OUTPUT, REMEMBER};
use super::{BUDGET, GUARDRAILS, Key, RETRY, Section, Shape, may, must};
use crate::plan::limits;

/// What everything that works has: steps, states, actions.
pub(super) static WORK_KEYS: [Key; 11] = [
    may("with", Shape::Template, "The input."),
    may("timeout", Shape::Duration, "Time of an attempt."),
    may(
        "retry",
        Shape::Section(&RETRY),
        "What happens after a failed attempt.",
    ),
    may(
        "guardrails",
        Shape::Section(&GUARDRAILS),
        "Instead of the default ones.",
    ),
    may(
        "output",
        Shape::Section(&OUTPUT),
        "What the output must look like.",
    ),
    may(
        "checks",
        Shape::ListOf(&Shape::Section(&CHECK)),
        "Conditions on the output.",
    ),
    may("stage", Shape::Name, "Stage, for evidence."),
    may(
        "prompt",
        Shape::Text,
        "What an agent is asked: a file beside the plan, UTF-8.",
    ),
    may(
        "prompt_version",
        Shape::Text,
        "Names the prompt's version in the evidence.",
    ),
    may(
        "budget",
        Shape::Section(&BUDGET),
        "A budget out of the run's.",
    ),
    may(
        "effects",
        Shape::Choice(&["idempotent", "keyed", "once"]),
        "What a crash may repeat; default keyed.",
    ),
];

/// What waits for somebody outside, or tells somebody: a step, a state or an action that uses nothing.
pub(super) const WAIT_FOR: Key = may(
    "wait_for",
    Shape::Choice(&["approval", "signal"]),
    "Instead of `uses`: wait for a person's word or for a payload; `timeout` says how long, also while no process \
     runs.",
);
pub(super) const EMIT: Key = may(
    "emit",
    Shape::Section(&EMITTED),
    "Instead of `uses`: send a message.",
);

static EMITTED: Section = Section {
    name: "emit",
    keys: &[
        must(
            "subject",
            Shape::Text,
            "The topic: words with dots between.",
        ),
        may("payload", Shape::Template, "What it says; default null."),
    ],
    more: &[],
    later: &[],
};

static COMPENSATE: Section = Section {
    name: "compensation",
    keys: &[
        must("uses", Shape::Text, "plugin or plugin/function."),
        may(
            "with",
            Shape::Template,
            "The input; `output` of the step and `failure` of the run are in reach.",
        ),
        may("timeout", Shape::Duration, "Time of an attempt."),
        may(
            "retry",
            Shape::Section(&RETRY),
            "What happens after a failed attempt.",
        ),
        may(
            "effects",
            Shape::Choice(&["idempotent", "keyed", "once"]),
            "What a crash may repeat; default keyed.",
        ),
    ],
    more: &[],
    later: &["guardrails"],
};

pub(in crate::plan) static STEP: Section = Section {
    name: "step",
    keys: &[
        may(
            "needs",
            Shape::ListOf(&Shape::Name),
            "Steps that end first.",
        ),
        may("uses", Shape::Text, "plugin, plugin/function or plan:path."),
        may(
            "consensus",
            Shape::Section(&CONSENSUS),
            "Ask several agents and make one output of their answers.",
        ),
        may("when", Shape::Expr, "Skip the step when false."),
        may("foreach", Shape::Section(&FOREACH), "Run once per item."),
        may(
            "barrier",
            Shape::Section(&BARRIER),
            "Wait for enough of what is needed.",
        ),
        may(
            "on_failure",
            Shape::Section(&ON_FAILURE),
            "When it has failed for good.",
        ),
        may(
            "continue_on_error",
            Shape::Bool,
            "Go on when it fails; default false.",
        ),
        WAIT_FOR,
        may(
            "remember",
            Shape::Section(&REMEMBER),
            "Keep what each agent said of the stage beyond the run.",
        ),
        may(
            "on_timeout",
            Shape::Choice(&["halt", "continue"]),
            "What a gate does when its time is up; default halt.",
        ),
        EMIT,
        may(
            "compensate",
            Shape::Section(&COMPENSATE),
            "Takes back what the step did when the run fails after it.",
        ),
    ],
    more: &WORK_KEYS,
    later: &["model"],
};

pub(super) static HANDLER: Section = Section {
    name: "handler",
    keys: &[
        must("uses", Shape::Text, "plugin or plugin/function."),
        may("with", Shape::Template, "The input; `failure` is in reach."),
        may("timeout", Shape::Duration, "Time of an attempt."),
        may(
            "retry",
            Shape::Section(&RETRY),
            "What happens after a failed attempt.",
        ),
        may(
            "guardrails",
            Shape::Section(&GUARDRAILS),
            "Instead of the default ones.",
        ),
    ],
    more: &[],
    later: &["prompt", "consensus", "emit"],
};

static FOREACH: Section = Section {
    name: "foreach",
    keys: &[
        must(
            "items",
            Shape::Template,
            "A list, or an expression that gives one.",
        ),
        may("as", Shape::Name, "Another name for `item`."),
        may(
            "max_parallel",
            Shape::Count {
                min: 1,
                max: limits::PARALLEL_MAX as u64,
            },
            "Items at work at once; default 4.",
        ),
        may(
            "fail_fast",
            Shape::Bool,
            "Stop at the first failed item; default true.",
        ),
    ],
    more: &[],
    later: &[],
};

static BARRIER: Section = Section {
    name: "barrier",
    keys: &[
        may(
            "require",
            Shape::Require,
            "all, any, a number or \"90%\"; default all.",
        ),
        may(
            "timeout",
            Shape::Duration,
            "From the start of the first need.",
        ),
        may(
            "on_timeout",
            Shape::Choice(&["halt", "continue"]),
            "Default halt.",
        ),
    ],
    more: &[],
    later: &[],
};

static ON_FAILURE: Section = Section {
    name: "on_failure",
    keys: &[
        may("run", Shape::Name, "A handler."),
        may(
            "then",
            Shape::Then,
            "halt, continue or goto:<step>; default halt.",
        ),
    ],
    more: &[],
    later: &[],
};
