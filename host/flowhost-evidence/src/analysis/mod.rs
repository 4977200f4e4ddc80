//! What many runs' evidence files say together: cost, tokens, latency, quality and disagreement by stage, model, spec, profile
//! or day, two profiles beside each other, and what agents disagreed about.
//!
//! It exists so that a change of a model or a prompt is judged by numbers and not by an opinion. Pure: bytes of files come in, tables go out.
//! Must never mix what mocks answered with what models answered, never put a 0 where a number is not known, and never call a
//! difference one that chance alone explains.

mod compare;
mod disagree;
mod read;
mod report;
mod stats;

pub use compare::{Comparison, Contrast, compare};
pub use disagree::{Disagreements, disagreements};
pub use read::{Evidence, Observation, Reading, Source, Usage};
pub use report::{GroupBy, Metric, Report, Row, report};

#[cfg(test)]
mod tests;
