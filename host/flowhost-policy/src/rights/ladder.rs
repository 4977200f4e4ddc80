//! Rights that are a step on a ladder, from denied upwards: `[clock] wall = "virtual"`.
//!
//! The lowest step that any document names wins.

use std::marker::PhantomData;

use crate::{
    ask::Ask,
    canonical::Lines,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::{Asks, part::Part},
    walk::Walk,
};

/// A ladder: its table, the key in it and the words of its steps.
pub(crate) trait Ladder {
    /// A step; the default is the lowest and grants nothing.
    type Step: Copy + Ord + Default + 'static;

    /// The capability, the WIT package and the key, which is the table.
    const NAME: &'static str;
    /// The table's one key, as a list.
    const KEY: [&'static str; 1];
    /// The step as a path of a profile: `clock.wall`.
    const PATH: &'static str;
    /// A step for messages, as it is written.
    const EXAMPLE: &'static str;
    /// Profile lines that grant the first step.
    const LINES: &'static str;
    /// Interfaces that are linked empty without the right.
    const SOFT: &'static [&'static str];
    /// The words of the steps, the lowest first.
    const WORDS: &'static [(&'static str, Self::Step)];
}

/// The right that is a step on the ladder `L`.
pub(crate) struct StepOn<L>(PhantomData<L>);

impl<L: Ladder> StepOn<L> {
    fn word(step: L::Step) -> &'static str {
        let found = L::WORDS.iter().find(|(_, value)| *value == step);
        debug_assert!(found.is_some(), "every step of a ladder has its word");
        found.map_or("denied", |(word, _)| word)
    }

    fn table(reader: &mut Reader, fields: &Fields<'_>) -> Option<L::Step> {
        let [key] = L::KEY;
        let node = fields.get(L::NAME)?;
        let inner = reader.fields(node, &fields.path_of(L::NAME), &L::KEY)?;
        reader.required(&inner, key, L::EXAMPLE);
        reader.word(&inner, key, L::WORDS)
    }
}

impl<L: Ladder + 'static> Part for StepOn<L> {
    type Granted = L::Step;
    type Asked = Ask<L::Step>;

    const CAPABILITY: &'static str = L::NAME;
    const LINES: &'static str = L::LINES;
    const KEYS: &'static [&'static str] = &L::KEY;
    const MAY_BE_EMPTY: bool = false;
    const SOFT: &'static [&'static str] = L::SOFT;

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> L::Step {
        Self::table(reader, fields).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<L::Step> {
        match reader.short(fields, L::NAME, author) {
            Some(ask) => ask,
            None => Self::table(reader, fields).map_or(Ask::None, Ask::Only),
        }
    }

    fn passed_on(granted: &L::Step) -> Ask<L::Step> {
        Ask::Only(*granted)
    }

    fn holds(granted: &L::Step) -> bool {
        *granted > L::Step::default()
    }

    fn narrow(walk: &mut Walk<'_>, granted: &L::Step, pick: fn(&Asks) -> &Ask<L::Step>) -> L::Step {
        walk.mode(L::PATH, *granted, pick, Self::word)
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<L::Step>, granted: &L::Step) {
        if let Ask::Only(wanted) = asked
            && wanted > granted
        {
            let what = format!("{} = {}", L::PATH, Self::word(*wanted));
            raised.report(&what, Self::word(*granted), L::PATH);
        }
    }

    fn write(lines: &mut Lines, granted: &L::Step) {
        lines.text(L::PATH, Self::word(*granted));
    }
}
