//! The keys of `consensus:`, in a step and in `defaults`.

use super::{Key, Section, Shape, may, must};
use crate::plan::limits;

pub(super) static CONSENSUS: Section = Section {
    name: "consensus",
    keys: &KEYS,
    more: &[],
    later: &[],
};

static KEYS: [Key; 16] = [
    may(
        "agents",
        Shape::ListOf(&Shape::Name),
        "Plugins of kind agent that answer, each for itself.",
    ),
    may(
        "mode",
        Shape::Choice(&["parallel", "relay"]),
        "relay: each sees the earlier answers; default parallel.",
    ),
    may(
        "rule",
        Shape::Choice(&[
            "arbiter",
            "majority",
            "weighted",
            "unanimous",
            "best_of",
            "issues",
        ]),
        "What makes one output of them; default arbiter.",
    ),
    may(
        "arbiter",
        Shape::Name,
        "The agent that puts the output together, decides conflicts, or judges.",
    ),
    may(
        "weights",
        Shape::MapOf(&Shape::Number {
            min: 0.0,
            max: 100.0,
        }),
        "rule weighted: the weight of each agent.",
    ),
    may(
        "vote",
        Shape::Text,
        "JSON Pointer to what a vote is about; without it the whole answer.",
    ),
    may(
        "min_participation",
        Shape::Count {
            min: 1,
            max: limits::AGENTS_MAX as u64,
        },
        "Fewer answers than this do not make a consensus; default more than half.",
    ),
    may(
        "min_agreement",
        Shape::Number { min: 0.0, max: 1.0 },
        "Least share of points that agree; default 0.9, for votes and issues none.",
    ),
    may(
        "compare",
        Shape::ListOf(&Shape::Section(&POINT)),
        "Points that the host compares itself.",
    ),
    may(
        "on_degraded",
        Shape::ListOf(&Shape::Choice(&["accept", "retry", "arbiter", "halt"])),
        "Tried left to right; default halt.",
    ),
    may(
        "on_conflict",
        Shape::ListOf(&Shape::Choice(&["retry", "arbiter", "halt"])),
        "Tried left to right; default halt. A conflict is never accepted.",
    ),
    may(
        "on_no_consensus",
        Shape::ListOf(&Shape::Choice(&["retry", "halt"])),
        "Tried left to right; default halt.",
    ),
    may(
        "distinct",
        Shape::Bool,
        "Count agents with the same component and config once; default false.",
    ),
    may(
        "early_stop",
        Shape::Bool,
        "Stop asking when the outcome is decided; default false.",
    ),
    may(
        "select",
        Shape::Text,
        "JSON Pointer into `with`, to what says how many agents the work is worth; default all.",
    ),
    may(
        "agent_timeout",
        Shape::Duration,
        "Time of one answer; a late one does not count. Default the step's.",
    ),
];

static POINT: Section = Section {
    name: "point of comparison",
    keys: &[
        must("at", Shape::Text, "JSON Pointer into each answer."),
        must(
            "by",
            Shape::Choice(&["equal", "size", "overlap", "number", "set", "text"]),
            "How it is compared.",
        ),
        may(
            "key",
            Shape::Text,
            "overlap: the member that names an entry of the list.",
        ),
        may(
            "min",
            Shape::Number { min: 0.0, max: 1.0 },
            "overlap, text: least share for every pair; default 0.5, for text 0.8.",
        ),
        may(
            "tolerance",
            // Whole numbers above it are not exact any more, and a distance between them says nothing.
            Shape::Number {
                min: 0.0,
                max: 1e15,
            },
            "number: largest distance; default 0.",
        ),
    ],
    more: &[],
    later: &[],
};
