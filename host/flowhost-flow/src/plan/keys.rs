//! Every key of the plan file, once.
//!
//! The walker that reports unknown keys and wrong types, and the JSON Schema that editors read, both
//! follow from these tables. A key is listed here exactly if this build obeys it; keys that belong to
//! later builds are listed as `later`, so that the message can say so instead of guessing a typo.

use crate::plan::limits;

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
}

/// A map with known keys.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) keys: &'static [Key],
    /// Keys of the format that this build does not obey.
    pub(super) later: &'static [&'static str],
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

/// An identifier: a letter or `_`, then letters, digits, `_` or `-`, 64 characters at most.
pub(super) fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && text.len() <= 64
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// The kinds of plans that the format knows and this build does not run.
pub(super) const KINDS_LATER: &[&str] = &["fsm", "behavior_tree"];

pub(super) static PLAN: Section = Section {
    name: "plan",
    keys: &[
        must("flowhost", Shape::Choice(&["v1"]), "Version of the format."),
        must(
            "kind",
            Shape::Choice(&["workflow"]),
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
            "plugins",
            Shape::MapOf(&Shape::Section(&PLUGIN)),
            "Components the plan uses.",
        ),
        may("budget", Shape::Section(&BUDGET), "What the run may use."),
        may(
            "timeout",
            Shape::Duration,
            "Time for the whole run; default 1h.",
        ),
        may("defaults", Shape::Section(&DEFAULTS), "What steps share."),
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
            "outputs",
            Shape::MapOf(&Shape::Template),
            "What the run returns.",
        ),
    ],
    later: &[
        "evidence",
        "states",
        "initial_state",
        "final_states",
        "max_transitions",
        "root",
    ],
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
    later: &[],
};

pub(super) const INPUT_TYPES: [&str; 7] =
    ["string", "number", "bool", "list", "object", "file", "dir"];
pub(super) const PLUGIN_KINDS: [&str; 4] = ["agent", "tool", "guardrail", "mcp_adapter"];

static PLUGIN: Section = Section {
    name: "plugin",
    keys: &[
        must(
            "kind",
            Shape::Choice(&PLUGIN_KINDS),
            "What the component is.",
        ),
        must(
            "source",
            Shape::Text,
            "builtin:NAME, ./path.wasm, https://… or oci://…",
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
            "sha256",
            Shape::Sha256,
            "Pins the component; required for remote sources.",
        ),
        may(
            "narrow",
            Shape::Section(&NARROW),
            "What the plan takes away from the profile.",
        ),
    ],
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
    later: &[],
};

const AMOUNT: Shape = Shape::Count {
    min: 0,
    max: crate::units::INTEGER_MAX,
};

static BUDGET: Section = Section {
    name: "budget",
    keys: &[
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
    ],
    later: &[],
};

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
    ],
    later: &["consensus"],
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
    later: &[],
};

static STEP: Section = Section {
    name: "step",
    keys: &[
        may(
            "needs",
            Shape::ListOf(&Shape::Name),
            "Steps that end first.",
        ),
        may("uses", Shape::Text, "plugin, plugin/function or plan:path."),
        may("with", Shape::Template, "The input."),
        may("when", Shape::Expr, "Skip the step when false."),
        may("foreach", Shape::Section(&FOREACH), "Run once per item."),
        may(
            "barrier",
            Shape::Section(&BARRIER),
            "Wait for enough of what is needed.",
        ),
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
    ],
    later: &[
        "consensus",
        "remember",
        "wait_for",
        "on_timeout",
        "compensate",
        "emit",
        "model",
    ],
};

static HANDLER: Section = Section {
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
    later: &[],
};

static OUTPUT: Section = Section {
    name: "output",
    keys: &[must(
        "schema",
        Shape::Schema,
        "JSON Schema: a path, or the schema itself.",
    )],
    later: &["tokens"],
};

static CHECK: Section = Section {
    name: "check",
    keys: &[
        must("id", Shape::Name, "Names it in reports."),
        must("that", Shape::Expr, "Must be true; sees `output`."),
        may("on_fail", Shape::Choice(&["halt", "warn"]), "Default halt."),
    ],
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
    later: &[],
};
