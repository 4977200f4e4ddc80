//! The keys of a state machine.

use crate::plan::keys::step::{EMIT, WAIT_FOR, WORK_KEYS};
use crate::plan::keys::{PLAN_KEYS, Section, Shape, may, must};
use crate::plan::limits;

pub(super) static FSM_PLAN: Section = Section {
    name: "fsm plan",
    keys: &PLAN_KEYS,
    more: &[
        must("initial_state", Shape::Name, "The state it begins in."),
        must(
            "final_states",
            Shape::ListOf(&Shape::Name),
            "The states it ends in, when their work is done.",
        ),
        may(
            "max_transitions",
            Shape::Count {
                min: 1,
                max: limits::TRANSITIONS_MAX as u64,
            },
            "Transitions at most; default 50.",
        ),
        must(
            "states",
            Shape::MapOf(&Shape::Section(&STATE)),
            "The states, by id.",
        ),
    ],
    later: &["evidence"],
};

static STATE: Section = Section {
    name: "state",
    keys: &[
        may(
            "uses",
            Shape::Text,
            "plugin, plugin/function or plan:path; a state without it only decides.",
        ),
        may(
            "transitions",
            Shape::ListOf(&Shape::Section(&TRANSITION)),
            "Ways out after success: the first whose condition is true is taken.",
        ),
        may(
            "on_success",
            Shape::Name,
            "The next state, when no transition is taken.",
        ),
        may(
            "on_error",
            Shape::Name,
            "The next state when it has failed.",
        ),
        WAIT_FOR,
        may(
            "on_timeout",
            Shape::Name,
            "The next state when a gate's time is up; without it that is a failure.",
        ),
        EMIT,
    ],
    more: &WORK_KEYS,
    later: &["consensus", "remember", "compensate", "model"],
};

static TRANSITION: Section = Section {
    name: "transition",
    keys: &[
        must(
            "when",
            Shape::Expr,
            "Sees `output` besides the other names.",
        ),
        must("to", Shape::Name, "The next state."),
    ],
    more: &[],
    later: &[],
};
