//! Ids of W3C trace context: one trace a run, one span a step, and what happens below a step.
//!
//! Owns the derivation, so that envelopes, guests, the gateway's requests and exported spans agree
//! without asking each other: it stands with the records, because whoever reads them later has nothing
//! else to derive a span from. Ids are functions of the run alone: a replay has the same ones. They
//! identify and hold no secret.
//!
//! Source of the format: W3C Trace Context, `traceparent`.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// The span of what belongs to no step.
const NO_STEP: &str = "0000000000000001";

/// 32 hexadecimal digits that everything in a run shares.
///
/// # Examples
/// ```
/// let trace = flowhost_ledger::trace::trace_id("01JD0000000000000000000000");
/// assert_eq!(trace.len(), 32);
/// ```
#[must_use]
pub fn trace_id(run: &str) -> String {
    head(&Sha256::digest(run.as_bytes()), 16)
}

/// 16 hexadecimal digits: the beginning of the step's own id.
#[must_use]
pub fn step_span(step: &str) -> &str {
    // A step's id is a hash in hexadecimal; only work outside of any step has a shorter one.
    step.get(..16).unwrap_or(NO_STEP)
}

/// 16 hexadecimal digits for anything else in a run; `parts` tell it from all others.
#[must_use]
pub fn span_id(run: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"flowhost-span/1");
    for part in std::iter::once(&run).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    head(&hash.finalize(), 8)
}

/// The span of one try of a model call: `call` and `attempt` as in its record's `call` and `try`.
#[must_use]
pub fn model_span(run: &str, call: &str, attempt: &str) -> String {
    span_id(run, &["model", call, attempt])
}

/// The header's value; always sampled, because the host records everything.
#[must_use]
pub fn traceparent(trace: &str, span: &str) -> String {
    format!("00-{trace}-{span}-01")
}

fn head(digest: &[u8], bytes: usize) -> String {
    HEXLOWER.encode(digest.get(..bytes).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_are_cut_elsewhere_are_other_spans() {
        assert_ne!(span_id("r", &["ab", "c"]), span_id("r", &["a", "bc"]));
        assert_ne!(model_span("r", "1", "11"), model_span("r", "11", "1"));
        assert_ne!(model_span("r", "1", "1"), model_span("s", "1", "1"));
    }

    #[test]
    fn a_header_has_the_form_that_w3c_asks_for() {
        let step = "4bf92f3577b34da6a3ce929d0e0e4736";
        let header = traceparent(&trace_id("run"), step_span(step));
        assert_eq!(header.len(), 55);
        assert!(header.starts_with("00-") && header.ends_with("-4bf92f3577b34da6-01"));
        assert_eq!(step_span(""), NO_STEP);
    }
}
