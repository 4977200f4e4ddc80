//! `log`: may write lines, and say how far it is. Both are words for people, so one right and one cap hold both.

use super::flag::Flag;

/// The right `log`.
pub(crate) struct Log;

impl Flag for Log {
    const NAME: &'static str = "log";
    const LINES: &'static str = "log = true";
    const HARD: &'static [&'static str] = &["flowhost:progress/progress"];
}
