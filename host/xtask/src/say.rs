//! The one place that prints.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the printer of the house tasks"
)]

use std::fmt::Display;

/// A new step of a task.
pub(crate) fn step(what: impl Display) {
    println!("==> {what}");
}

/// A line below a step.
pub(crate) fn line(what: impl Display) {
    println!("    {what}");
}

/// Something was left out that a person may want to know about.
pub(crate) fn skipped(what: impl Display, why: impl Display, cure: impl Display) {
    println!("SKIPPED {what}\n  because: {why}\n  cure:    {cure}");
}

/// The task failed.
pub(crate) fn failure(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  Caused by: {cause}");
    }
}
