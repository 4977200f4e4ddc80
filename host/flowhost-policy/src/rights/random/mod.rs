//! `random`: where the random numbers of a plugin come from, if it has any.

use super::ladder::{Ladder, StepOn};

/// `[random] source`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RandomSource {
    /// The interface is not linked.
    #[default]
    Denied,
    /// A stream derived from the run's seed and the step's id.
    Seeded,
    /// The operating system, each draw recorded.
    Os,
}

/// The right `random`.
pub(crate) type Random = StepOn<Source>;

/// The sources of random numbers, the more a run repeats itself with one the lower.
pub(crate) struct Source;

impl Ladder for Source {
    type Step = RandomSource;

    const NAME: &'static str = "random";
    const KEY: [&'static str; 1] = ["source"];
    const PATH: &'static str = "random.source";
    const EXAMPLE: &'static str = "\"seeded\"";
    const LINES: &'static str = "[random]\nsource = \"seeded\"";
    const SOFT: &'static [&'static str] = &[
        "wasi:random/random",
        "wasi:random/insecure",
        "wasi:random/insecure-seed",
    ];
    const WORDS: &'static [(&'static str, RandomSource)] = &[
        ("denied", RandomSource::Denied),
        ("seeded", RandomSource::Seeded),
        ("os", RandomSource::Os),
    ];
}
