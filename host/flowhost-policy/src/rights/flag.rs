//! Rights that are a yes or a no: `log = true`.

use crate::{
    canonical::Lines,
    read::{Author, Fields, Reader},
    rights::{Asks, part::Part},
    walk::Walk,
};

/// A right that is held or not. Its key is its capability's name.
pub(crate) trait Flag {
    /// The capability, the WIT package and the key.
    const NAME: &'static str;
    /// Profile lines that grant it.
    const LINES: &'static str;
    /// Interfaces beside its own package that a component cannot run without.
    const HARD: &'static [&'static str] = &[];
}

impl<T: Flag> Part for T {
    type Granted = bool;
    type Asked = bool;

    const CAPABILITY: &'static str = T::NAME;
    const LINES: &'static str = T::LINES;
    const MAY_BE_EMPTY: bool = false;
    const HARD: &'static [&'static str] = T::HARD;

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> bool {
        reader.bool(fields, T::NAME).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> bool {
        let absent = author == Author::Plan;
        reader.bool(fields, T::NAME).unwrap_or(absent)
    }

    fn passed_on(granted: &bool) -> bool {
        *granted
    }

    fn holds(granted: &bool) -> bool {
        *granted
    }

    fn narrow(walk: &mut Walk<'_>, granted: &bool, pick: fn(&Asks) -> &bool) -> bool {
        walk.flag(T::NAME, *granted, pick)
    }

    fn write(lines: &mut Lines, granted: &bool) {
        lines.raw(T::NAME, granted);
    }
}
