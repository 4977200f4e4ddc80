//! What many runs' evidence files say together: cost, tokens, latency, quality and disagreement by stage, model, spec, profile
//! or day, two sides beside each other, what agents disagreed about, how far outputs drift, how much there is of it all, and
//! what a person should look at.
//!
//! It exists so that a change of a model or a prompt is judged by numbers and not by an opinion. Pure: bytes of files come in, tables go out.
//! Must never mix what mocks answered with what models answered, never put a 0 where a number is not known, and never call a
//! difference one that chance alone explains.

mod adoption;
pub mod alerts;
mod compare;
mod disagree;
mod drift;
mod moments;
mod overview;
mod parted;
mod read;
mod report;
mod stats;

pub use adoption::{Adoption, TARGET, WEEKS, Week, adoption};
pub use compare::{Comparison, Contrast, Only, Side, compare};
pub use disagree::{Disagreements, disagreements};
pub use drift::{Drift, Section, StageDrift, drift};
pub use moments::moment;
pub use overview::{CostDay, ModelSet, ModelUse, Overview, Recommendation, StageHealth, overview};
pub(crate) use read::cost_of_stage;
pub use read::{Evidence, Method, Observation, Reading, Source, Usage};
pub use report::{GroupBy, Metric, Report, Row, report};
pub(crate) use stats::{chance, mean, median, p95, share};

#[cfg(test)]
mod tests;
