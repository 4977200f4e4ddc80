//! `config`: may read its own configuration, which the plan has.

use super::flag::Flag;

/// The right `config`.
pub(crate) struct Config;

impl Flag for Config {
    const NAME: &'static str = "config";
    const LINES: &'static str = "config = true";
}
