//! What trials show: runs that are made to learn something, of guardrails that judge outputs whose answer a person knows, and of
//! variants of one plan beside each other.
//!
//! Pure: what each run came to goes in, tables go out. A run that failed is neither a yes nor a no and is counted apart, because a
//! guardrail that breaks must not look like one that lets nothing through.

mod guard;

pub use guard::{Judged, Label, Score, score};
