//! The keys of a behaviour tree's nodes, by type.

use crate::plan::keys::step::{EMIT, WAIT_FOR, WORK_KEYS};
use crate::plan::keys::{Key, Section, Shape, may, must};
use crate::plan::limits;

/// The types of nodes, each with its section.
pub(in crate::plan) static NODE_TYPES: [(&str, &Section); 12] = [
    ("sequence", &SEQUENCE),
    ("selector", &SELECTOR),
    ("parallel", &PARALLEL),
    ("condition", &CONDITION),
    ("action", &ACTION),
    ("retry", &RETRY_NODE),
    ("repeat", &REPEAT_NODE),
    ("timeout", &TIMEOUT_NODE),
    ("cooldown", &COOLDOWN_NODE),
    ("invert", &INVERT_NODE),
    ("force_success", &FORCE_SUCCESS_NODE),
    ("force_failure", &FORCE_FAILURE_NODE),
];

/// A section's `type` was read before the section was chosen: here it is only listed.
const TYPE: Key = must("type", Shape::Text, "The type of the node.");
const MEMORY: Key = may(
    "memory",
    Shape::Bool,
    "Go on where it was instead of beginning again at each tick; default true.",
);
const CHILD: Key = must("child", Shape::Node, "The decorated node.");
const CHILDREN: Key = must(
    "children",
    Shape::ListOf(&Shape::Node),
    "The nodes that it ticks, in this order.",
);
const REPEATS: Shape = Shape::Count {
    min: 1,
    max: limits::REPEATS_MAX as u64,
};

static COMPOSITE_KEYS: [Key; 3] = [TYPE, MEMORY, CHILDREN];
static DECORATOR_KEYS: [Key; 2] = [TYPE, CHILD];

const fn decorator(name: &'static str, keys: &'static [Key]) -> Section {
    Section {
        name,
        keys: &DECORATOR_KEYS,
        more: keys,
        later: &[],
    }
}

static SEQUENCE: Section = Section {
    name: "sequence node",
    keys: &COMPOSITE_KEYS,
    more: &[],
    later: &[],
};

static SELECTOR: Section = Section {
    name: "selector node",
    keys: &COMPOSITE_KEYS,
    more: &[],
    later: &[],
};

const THRESHOLD: Shape = Shape::Count {
    min: 1,
    max: limits::STEPS_MAX as u64,
};

static PARALLEL: Section = Section {
    name: "parallel node",
    keys: &COMPOSITE_KEYS,
    more: &[
        may(
            "success_count",
            THRESHOLD,
            "Children that must succeed; default all.",
        ),
        may(
            "failure_count",
            THRESHOLD,
            "Children whose failure is its own; default: when success is out of reach.",
        ),
    ],
    later: &[],
};

static CONDITION: Section = Section {
    name: "condition node",
    keys: &[
        TYPE,
        must("check", Shape::Expr, "True is success, false is failure."),
    ],
    more: &[],
    later: &[],
};

static ACTION: Section = Section {
    name: "action node",
    keys: &[
        TYPE,
        may(
            "id",
            Shape::Name,
            "Names it in `nodes.<id>` and in reports.",
        ),
        may("uses", Shape::Text, "plugin, plugin/function or plan:path."),
        WAIT_FOR,
        may(
            "on_timeout",
            Shape::Choice(&["halt", "continue"]),
            "What a gate does when its time is up: fail, or succeed; default halt.",
        ),
        EMIT,
    ],
    more: &WORK_KEYS,
    later: &["consensus", "remember", "compensate", "model"],
};

static RETRY_NODE: Section = decorator(
    "retry node",
    &[must(
        "max_attempts",
        REPEATS,
        "Attempts in all, the first included.",
    )],
);
static REPEAT_NODE: Section = decorator(
    "repeat node",
    &[must("times", REPEATS, "Successes that are wanted.")],
);
static TIMEOUT_NODE: Section = decorator(
    "timeout node",
    &[must(
        "timeout",
        Shape::Duration,
        "Fails what runs longer, and stops it.",
    )],
);
static COOLDOWN_NODE: Section = decorator(
    "cooldown node",
    &[must(
        "cooldown",
        Shape::Duration,
        "Fails at once for so long after its last end.",
    )],
);
static INVERT_NODE: Section = decorator("invert node", &[]);
static FORCE_SUCCESS_NODE: Section = decorator("force_success node", &[]);
static FORCE_FAILURE_NODE: Section = decorator("force_failure node", &[]);
