//! Every key of the plan file, once.
//!
//! The walker that reports unknown keys and wrong types, and the JSON Schema that editors read, both
//! follow from these tables. A key is listed here exactly if this build obeys it; keys that belong to
//! later builds are listed as `later`, so that the message can say so instead of guessing a typo.

use flowhost_words::PluginKind;

use crate::plan::limits;

mod consensus;
mod machine;
mod nodes;
mod outcome;
mod step;

use consensus::CONSENSUS;
use machine::FSM_PLAN;
pub(super) use nodes::NODE_TYPES;
use outcome::EVIDENCE;
pub(super) use step::STEP;
use step::{HANDLER, WORK_KEYS};

/// What a value must look like.
#[derive(Debug)]
pub(super) enum Shape {
    /// Text that is not empty.
    Text,
    /// An identifier, see [`is_name`].
    Name,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Count { min: u64, max: u64 },
    /// A number.
    Number { min: f64, max: f64 },
    /// Dollars, as a number or text.
    Money,
    /// `64MiB`, at most so many bytes.
    Size { max: u64 },
    /// `30s`.
    Duration,
    /// A CEL expression, with or without `${{ }}` around it.
    Expr,
    /// Any value; its strings may hold `${{ }}`.
    Template,
    /// Any value, fixed before the run.
    Fixed,
    /// 64 hex digits.
    Sha256,
    /// A range of semantic versions.
    Range,
    /// `all`, `any`, a number or `"90%"`.
    Require,
    /// `halt`, `continue` or `goto:<step>`.
    Then,
    /// A path to a JSON Schema, or one written here.
    Schema,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    ListOf(&'static Shape),
    /// A map from names.
    MapOf(&'static Shape),
    /// A map with known keys.
    Section(&'static Section),
    /// A node of a behaviour tree: a map whose `type` says which keys it has.
    Node,
}

/// A map with known keys.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
    /// More keys, after those: one list is often another section's too.
    pub(super) more: &'static [Key],
    /// Keys of the format that this build does not obey.
    pub(super) later: &'static [&'static str],
}

impl Section {
    /// All keys that the section has.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static Key> + Clone + use<> {
        self.keys.iter().chain(self.more)
    }
}

/// A known key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
    pub(super) doc: &'static str,
}

const fn must(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        required: true,
        doc,
    }
}

const fn may(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key {
        name,
        shape,
        required: false,
        doc,
    }
}

/// An identifier: a letter or `_`, then letters, digits, `_` or `-`, 64 characters at most. Names stand beside each other
/// in paths of steps, in subjects and in names of files, of which the system allows 255 bytes.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && text.len() <= 64
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// Whether the key says how work is done, and so means nothing where none is.
pub(super) fn is_work_key(name: &str) -> bool {
    WORK_KEYS.iter().any(|key| key.name == name)
}

/// The kinds of plans, each with its section.
pub(super) static KINDS: [(&str, &Section); 3] = [
    ("workflow", &PLAN),
    ("fsm", &FSM_PLAN),
    ("behavior_tree", &TREE_PLAN),
];

/// The keys of a plan's body, each with the kind that has it.
pub(super) const BODY_KEYS: [(&str, &str); 7] = [
    ("steps", "workflow"),
    ("handlers", "workflow"),
    ("states", "fsm"),
    ("initial_state", "fsm"),
    ("final_states", "fsm"),
    ("max_transitions", "fsm"),
    ("root", "behavior_tree"),
];

const KIND_WORDS: [&str; 3] = ["workflow", "fsm", "behavior_tree"];

static PLAN_KEYS: [Key; 12] = [
    must("flowhost", Shape::Choice(&["v1"]), "Version of the format."),
    must(
        "kind",
        Shape::Choice(&KIND_WORDS),
        "Which planner runs the plan.",
    ),
    must("name", Shape::Name, "Name of the plan."),
    may("description", Shape::Text, "For people; changes nothing."),
    may(
        "labels",
        Shape::MapOf(&Shape::Template),
        "Labels of the run; text, may use inputs.",
    ),
    may(
        "inputs",
        Shape::MapOf(&Shape::Section(&INPUT)),
        "Typed inputs.",
    ),
    may(
        "variants",
        Shape::MapOf(&Shape::MapOf(&Shape::Fixed)),
        "Values for inputs, by the names of variants; the input `variant` chooses one.",
    ),
    may(
        "plugins",
        Shape::MapOf(&Shape::Section(&PLUGIN)),
        "Components the plan uses.",
    ),
    may(
        "budget",
        Shape::Section(&RUN_BUDGET),
        "What the run may use.",
    ),
    may(
        "timeout",
        Shape::Duration,
        "Time for the whole run; default 1h.",
    ),
    may("defaults", Shape::Section(&DEFAULTS), "What steps share."),
    may(
        "outputs",
        Shape::MapOf(&Shape::Template),
        "What the run returns.",
    ),
];

pub(super) static PLAN: Section = Section {
    name: "plan",
    keys: &PLAN_KEYS,
    more: &[
        must(
            "steps",
            Shape::MapOf(&Shape::Section(&STEP)),
            "The steps, by id.",
        ),
        may(
            "handlers",
            Shape::MapOf(&Shape::Section(&HANDLER)),
            "What on_failure may run.",
        ),
        may(
            "evidence",
            Shape::Section(&EVIDENCE),
            "Files that stages leave for people and programs.",
        ),
    ],
    later: &[],
};

static TREE_PLAN: Section = Section {
    name: "behavior tree",
    keys: &PLAN_KEYS,
    more: &[must("root", Shape::Node, "The node that is ticked.")],
    later: &["evidence"],
};

static INPUT: Section = Section {
    name: "input",
    keys: &[
        must("type", Shape::Choice(&INPUT_TYPES), "Type of the value."),
        may("default", Shape::Fixed, "Value when none is given."),
        may(
            "enum",
            Shape::ListOf(&Shape::Fixed),
            "The only values allowed.",
        ),
        may(
            "path",
            Shape::Text,
            "file and dir: where it is, relative to the plan.",
        ),
        may(
            "sha256",
            Shape::Sha256,
            "file: the hash its content must have.",
        ),
        may("description", Shape::Text, "For people; changes nothing."),
    ],
    more: &[],
    later: &[],
};

pub(super) const INPUT_TYPES: [&str; 7] =
    ["string", "number", "bool", "list", "object", "file", "dir"];
static PLUGIN: Section = Section {
    name: "plugin",
    keys: &[
        must(
            "kind",
            Shape::Choice(&PluginKind::WORDS),
            "What the component is.",
        ),
        must(
            "source",
            Shape::Text,
            "builtin:NAME, process:NAME, ./path.wasm, https://… or oci://…",
        ),
        must(
            "profile",
            Shape::Text,
            "Exec profile: a shipped one by name, or a path.",
        ),
        may(
            "config",
            Shape::Template,
            "Handed to the component; `inputs` are in reach.",
        ),
        may(
            "release",
            Shape::Range,
            "Releases that may be in its place: `^1.2`, `>=1.2, <3`.",
        ),
        may(
            "sha256",
            Shape::Sha256,
            "Pins the component; a remote source needs it, or a flowhost.lock that has it.",
        ),
        may(
            "narrow",
            Shape::Section(&NARROW),
            "What the plan takes away from the profile.",
        ),
    ],
    more: &[],
    later: &["model", "models", "prompt"],
};

static NARROW: Section = Section {
    name: "narrow",
    keys: &[
        may(
            "limits",
            Shape::MapOf(&Shape::Fixed),
            "Lower limits, as in a profile.",
        ),
        may(
            "grants",
            Shape::MapOf(&Shape::Fixed),
            "Smaller grants, as in a profile.",
        ),
    ],
    more: &[],
    later: &[],
};

const AMOUNT: Shape = Shape::Count {
    min: 0,
    max: crate::units::INTEGER_MAX,
};

static RUN_BUDGET: Section = Section {
    name: "budget",
    keys: &BUDGET_KEYS,
    more: &[may(
        "evidence",
        Shape::Size {
            max: limits::EVIDENCE_BYTES_MAX,
        },
        "Records and payloads of all plugins together; default 4GiB, which is the most.",
    )],
    later: &[],
};

static BUDGET: Section = Section {
    name: "step budget",
    keys: &BUDGET_KEYS,
    more: &[],
    later: &[],
};

static BUDGET_KEYS: [Key; 6] = [
    may("usd", Shape::Money, "US dollars; default 10."),
    may("tokens", AMOUNT, "Model tokens; default 2000000."),
    may("fuel", AMOUNT, "Units of wasm fuel; default 10^15."),
    may("calls", AMOUNT, "Calls of plugins; default 100000."),
    may(
        "warn_at",
        Shape::ListOf(&Shape::Number { min: 0.0, max: 1.0 }),
        "Shares to warn at.",
    ),
    may(
        "on_exceeded",
        Shape::Choice(&["halt", "warn"]),
        "At the limit; default halt.",
    ),
];

/// Where `defaults.redact` applies.
pub(super) const REDACTIONS: [&str; 2] = ["model", "payloads"];

static DEFAULTS: Section = Section {
    name: "defaults",
    keys: &[
        may(
            "timeout",
            Shape::Duration,
            "Time of an attempt; default 10m.",
        ),
        may(
            "retry",
            Shape::Section(&RETRY),
            "What happens after a failed attempt.",
        ),
        may(
            "guardrails",
            Shape::Section(&GUARDRAILS),
            "Guardrails of every step.",
        ),
        may(
            "redact",
            Shape::ListOf(&Shape::Choice(&REDACTIONS)),
            "Where keys and personal data are taken out: `model` (prompts and answers), `payloads` \
             (ledger, log, report); default both in a plan whose plugins may ask models.",
        ),
        may(
            "sealed",
            Shape::Choice(&["exact", "none"]),
            "Whether what is taken out of payloads is kept encrypted beside them (`exact`, the default): \
             without it (`none`) the run cannot be resumed or replayed.",
        ),
        may(
            "consensus",
            Shape::Section(&CONSENSUS),
            "What steps with `consensus:` share.",
        ),
    ],
    more: &[],
    later: &[],
};

static RETRY: Section = Section {
    name: "retry",
    keys: &[
        may(
            "max_attempts",
            Shape::Count {
                min: 1,
                max: limits::ATTEMPTS_MAX as u64,
            },
            "Attempts in all, the first included; default 1.",
        ),
        may(
            "backoff",
            Shape::Section(&BACKOFF),
            "How long to wait between attempts.",
        ),
        may(
            "retry_on",
            Shape::ListOf(&Shape::Choice(&RETRY_CLASSES)),
            "Which failures; default transient and timeout.",
        ),
    ],
    more: &[],
    later: &[],
};

pub(super) const RETRY_CLASSES: [&str; 7] = [
    "transient",
    "timeout",
    "limit",
    "invalid",
    "failed",
    "output",
    "check",
];

static BACKOFF: Section = Section {
    name: "backoff",
    keys: &[
        may(
            "initial",
            Shape::Duration,
            "Before the second attempt; default 100ms.",
        ),
        may(
            "factor",
            // Below one it would press harder the longer something fails; over a hundred the second wait is `max`.
            Shape::Number {
                min: 1.0,
                max: 100.0,
            },
            "Growth per attempt; default 2.",
        ),
        may("max", Shape::Duration, "At most this long; default 10s."),
        may(
            "jitter",
            Shape::Number { min: 0.0, max: 1.0 },
            "Random share; default 0.5.",
        ),
    ],
    more: &[],
    later: &[],
};

static GUARDRAILS: Section = Section {
    name: "guardrails",
    keys: &[
        may(
            "before",
            Shape::ListOf(&Shape::Section(&GUARD)),
            "They see the input.",
        ),
        may(
            "after",
            Shape::ListOf(&Shape::Section(&GUARD)),
            "They see the output.",
        ),
    ],
    more: &[],
    later: &[],
};

static GUARD: Section = Section {
    name: "guardrail",
    keys: &[
        must("uses", Shape::Name, "A plugin of kind guardrail."),
        may("with", Shape::Template, "Its configuration."),
        may(
            "on_fail",
            Shape::Choice(&["halt", "warn"]),
            "When it denies; default halt.",
        ),
    ],
    more: &[],
    later: &[],
};
