//! `clock`: what time a plugin is told, if any.

use super::{ladder::Ladder, part::Part};
use crate::{
    ask::Ask,
    canonical::Lines,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::Asks,
    walk::Walk,
};

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
pub(crate) struct Clock;

const WALL: Ladder<ClockMode> = Ladder {
    key: "clock",
    step: "wall",
    path: "clock.wall",
    example: "\"virtual\"",
    words: &[
        ("denied", ClockMode::Denied),
        ("virtual", ClockMode::Virtual),
        ("real", ClockMode::Real),
    ],
};

impl Part for Clock {
    type Granted = ClockMode;
    type Asked = Ask<ClockMode>;

    const CAPABILITY: &'static str = "clock";
    const LINES: &'static str = "[clock]\nwall = \"virtual\"";
    const KEYS: &'static [&'static str] = &["wall"];
    const MAY_BE_EMPTY: bool = false;
    const SOFT: &'static [&'static str] = &[
        "wasi:clocks/wall-clock",
        "wasi:clocks/monotonic-clock",
        "wasi:clocks/timezone",
    ];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> ClockMode {
        WALL.read(reader, fields).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<ClockMode> {
        WALL.ask(reader, fields, author)
    }

    fn passed_on(granted: &ClockMode) -> Ask<ClockMode> {
        Ask::Only(*granted)
    }

    fn holds(granted: &ClockMode) -> bool {
        *granted != ClockMode::Denied
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &ClockMode,
        pick: fn(&Asks) -> &Ask<ClockMode>,
    ) -> ClockMode {
        WALL.narrow(walk, *granted, pick)
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<ClockMode>, granted: &ClockMode) {
        WALL.raises(raised, asked, *granted);
    }

    fn write(lines: &mut Lines, granted: &ClockMode) {
        WALL.write(lines, *granted);
    }
}
