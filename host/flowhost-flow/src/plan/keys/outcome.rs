//! The keys of what comes out: `output:`, `checks:` and `evidence:`.

use super::{AMOUNT, Section, Shape, may, must};

pub(super) static OUTPUT: Section = Section {
    name: "output",
    keys: &[
        may(
            "schema",
            Shape::Schema,
            "JSON Schema: a path, or the schema itself.",
        ),
        may(
            "tokens",
            Shape::Section(&TOKENS),
            "About how long it is to be.",
        ),
    ],
    more: &[],
    later: &[],
};

static TOKENS: Section = Section {
    name: "range of tokens",
    keys: &[
        may("min", AMOUNT, "Least, by the host's estimate; default 0."),
        may("max", AMOUNT, "Most, by the host's estimate."),
        may(
            "on_fail",
            Shape::Choice(&["halt", "warn"]),
            "Outside of it; default halt.",
        ),
    ],
    more: &[],
    later: &[],
};

pub(super) static CHECK: Section = Section {
    name: "check",
    keys: &[
        must("id", Shape::Name, "Names it in reports."),
        must("that", Shape::Expr, "Must be true; sees `output`."),
        may("on_fail", Shape::Choice(&["halt", "warn"]), "Default halt."),
    ],
    more: &[],
    later: &[],
};

pub(super) static REMEMBER: Section = Section {
    name: "remember",
    keys: &[
        may(
            "importance",
            Shape::Count { min: 1, max: 10 },
            "What it is worth, from 1 to 10; default 8.",
        ),
        may(
            "domain",
            Shape::Name,
            "For whom it is kept; default spec-tracker.",
        ),
        may(
            "tags",
            Shape::ListOf(&Shape::Text),
            "What it is found by, beside spec, stage and agent.",
        ),
    ],
    more: &[],
    later: &[],
};

static DOCUMENT: Section = Section {
    name: "document",
    keys: &[
        must("path", Shape::Text, "A text file below the plan's folder."),
        may("version", Shape::Text, "Its version, as its owners count."),
    ],
    more: &[],
    later: &[],
};

// The largest numbers are bounds of nothing: they tell a number that was meant in bytes (`max_mb: 25000000`) where it
// stands, instead of a limit that is never reached.
pub(super) static EVIDENCE: Section = Section {
    name: "evidence",
    keys: &[
        must(
            "spec_id",
            Shape::Name,
            "Whose evidence it is: names folders and files.",
        ),
        may(
            "root",
            Shape::Text,
            "A folder below the plan's; default evidence.",
        ),
        may(
            "warn_mb",
            Shape::Count {
                min: 1,
                max: 1_000_000,
            },
            "Warn over so many megabytes of a spec; default 15.",
        ),
        may(
            "max_mb",
            Shape::Count {
                min: 1,
                max: 1_000_000,
            },
            "Start no stage over so many; default 25.",
        ),
        may(
            "keep_runs",
            Shape::Count {
                min: 1,
                max: 10_000,
            },
            "Archive the files of all earlier runs but so many, before a run begins.",
        ),
        may(
            "spec",
            Shape::Section(&DOCUMENT),
            "The specification that it is about; its hash is recorded.",
        ),
        may(
            "prd",
            Shape::Section(&DOCUMENT),
            "The product requirements; their hash is recorded.",
        ),
        may(
            "governance",
            Shape::Section(&DOCUMENT),
            "The rules of whoever answers for it; their hash is recorded.",
        ),
        may(
            "require_clean",
            Shape::Bool,
            "Plan, prompts, schemas and documents must be as they were committed; default false.",
        ),
        may(
            "max_failed_checks",
            Shape::Count {
                min: 0,
                max: 1_000_000,
            },
            "Halt the run when more of its checks do not hold, warnings and repeated attempts included; default 3.",
        ),
    ],
    more: &[],
    later: &[],
};
