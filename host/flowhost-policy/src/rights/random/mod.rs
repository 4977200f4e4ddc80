//! `random`: where the random numbers of a plugin come from, if it has any.

use super::{ladder::Ladder, part::Part};
use crate::{
    ask::Ask,
    canonical::Lines,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::Asks,
    walk::Walk,
};

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
pub(crate) struct Random;

const SOURCE: Ladder<RandomSource> = Ladder {
    key: "random",
    step: "source",
    path: "random.source",
    example: "\"seeded\"",
    words: &[
        ("denied", RandomSource::Denied),
        ("seeded", RandomSource::Seeded),
        ("os", RandomSource::Os),
    ],
};

impl Part for Random {
    type Granted = RandomSource;
    type Asked = Ask<RandomSource>;

    const CAPABILITY: &'static str = "random";
    const LINES: &'static str = "[random]\nsource = \"seeded\"";
    const KEYS: &'static [&'static str] = &["source"];
    const MAY_BE_EMPTY: bool = false;
    const SOFT: &'static [&'static str] = &[
        "wasi:random/random",
        "wasi:random/insecure",
        "wasi:random/insecure-seed",
    ];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> RandomSource {
        SOURCE.read(reader, fields).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<RandomSource> {
        SOURCE.ask(reader, fields, author)
    }

    fn passed_on(granted: &RandomSource) -> Ask<RandomSource> {
        Ask::Only(*granted)
    }

    fn holds(granted: &RandomSource) -> bool {
        *granted != RandomSource::Denied
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &RandomSource,
        pick: fn(&Asks) -> &Ask<RandomSource>,
    ) -> RandomSource {
        SOURCE.narrow(walk, *granted, pick)
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<RandomSource>, granted: &RandomSource) {
        SOURCE.raises(raised, asked, *granted);
    }

    fn write(lines: &mut Lines, granted: &RandomSource) {
        SOURCE.write(lines, *granted);
    }
}
