//! `budget`: may ask what is left of its tokens, dollars and time.

use super::flag::Flag;

/// The right `budget`.
pub(crate) struct Budget;

impl Flag for Budget {
    const NAME: &'static str = "budget";
    const LINES: &'static str = "budget = true";
}
