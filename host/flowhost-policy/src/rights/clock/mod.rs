//! `clock`: what time a plugin is told, if any.

use super::ladder::{Ladder, StepOn};

/// `[clock] wall`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClockMode {
    /// The interface is not linked.
    #[default]
    Denied,
    /// A clock that starts at the run's start and moves only when the host says so.
    Virtual,
    /// The host's clock, each reading recorded.
    Real,
}

/// The right `clock`.
pub(crate) type Clock = StepOn<Wall>;

/// The clocks that a plugin may be told, the less it says of this machine the lower.
pub(crate) struct Wall;

impl Ladder for Wall {
    type Step = ClockMode;

    const NAME: &'static str = "clock";
    const KEY: [&'static str; 1] = ["wall"];
    const PATH: &'static str = "clock.wall";
    const EXAMPLE: &'static str = "\"virtual\"";
    const LINES: &'static str = "[clock]\nwall = \"virtual\"";
    const SOFT: &'static [&'static str] = &[
        "wasi:clocks/wall-clock",
        "wasi:clocks/monotonic-clock",
        "wasi:clocks/timezone",
    ];
    const WORDS: &'static [(&'static str, ClockMode)] = &[
        ("denied", ClockMode::Denied),
        ("virtual", ClockMode::Virtual),
        ("real", ClockMode::Real),
    ];
}
