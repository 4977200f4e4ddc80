//! What every other room stands on: how failures and findings look, where files stand, and the two things that a
//! simulation takes hold of (tasks, time). Must know nothing of a plan at work.

pub mod failure;
pub mod finding;
pub mod nofollow;

pub(crate) mod clock;
pub(crate) mod lines;
pub(crate) mod state;
pub(crate) mod tasks;
