//! What trials show: runs that are made to learn something, of guardrails that judge outputs whose answer a person knows, and of
//! variants of one plan beside each other.
//!
//! Pure: bytes of files and what each run came to go in, sheets and tables go out. A run that failed is neither a yes nor a no and is
//! counted apart, because a guardrail that breaks must not look like one that lets nothing through. A reader never learns whose an
//! output is before the scores are in: the sheet has labels, and what they mean stands in a key that is kept elsewhere.

mod guard;
mod records;
mod review;
mod sheet;
#[cfg(test)]
mod tests;

pub use guard::{Judged, Label, Score, score};
pub use records::{Against, Change, Record, Records, Report, VariantRow};
pub use review::{Given, Review, Scores, reviews};
pub use sheet::{Key, Keyed, Outputs, Sheet};

/// What a reader scores, from 1 to 5.
pub const CRITERIA: [&str; 5] = [
    "completeness",
    "correctness",
    "clarity",
    "actionability",
    "overall",
];

/// The beginning of the names of models that answer from a script.
const MOCK: &str = "mock/";

/// Which stage of which run.
type Place = (String, String, String);

/// Where a document with its run belongs.
fn place(value: &serde_json::Value) -> Place {
    let word = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| value.get(name)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    (
        word(&["specId", "spec_id"]),
        word(&["stage"]),
        word(&["runId", "run_id"]),
    )
}

/// The texts of a list.
fn texts(value: Option<&serde_json::Value>) -> Vec<String> {
    let items = value.and_then(serde_json::Value::as_array);
    let texts = items.into_iter().flatten().filter_map(|it| it.as_str());
    texts.map(str::to_owned).collect()
}
