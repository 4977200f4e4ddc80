//! `flowhost dev`: a plan that runs while its author changes it.
//!
//! Files are watched; a changed plugin is built, checked and put into the living run, where calls at work
//! end on the build that they began with; a changed plan is run again. What is wrong is told, and what was
//! good before stays. Rights never grow without a yes, and then with a new run, because a run's rights are
//! fixed when it begins.
//!
//! Owns the order of these things. How they look is the face's ([`Face`]), what a change means is
//! [`change`]'s, and swapping is the run's own.

mod ahead;
mod build;
mod change;
mod session;
mod told;
mod view;
mod watch;

pub mod lines;
pub mod screen;

pub use session::{Faces, Options, session};
pub use told::{Told, Why};

/// Shows what happens.
pub trait Face: Send {
    /// Takes the next fact.
    fn tell(&mut self, told: &Told);

    /// Time has passed, or the terminal has another size.
    fn refresh(&mut self) {}

    /// A key was pressed, and is obeyed next.
    fn pressed(&mut self, key: Key) {
        let _nothing_to_show = key;
    }

    /// The step that the person has chosen; only a screen lets them.
    fn chosen(&self) -> Option<String> {
        None
    }
}

/// What a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Run the plan again.
    Again,
    /// Run the chosen step alone.
    Only,
    /// Choose the step before.
    Up,
    /// Choose the step after.
    Down,
    /// The plugin that changed last goes back to the build that it had before.
    Back,
    /// Open the report of the last run.
    Open,
    /// Yes to wider rights.
    Yes,
    /// No to wider rights.
    No,
    /// Look again: the terminal has another size.
    Refresh,
    /// End.
    Quit,
}
