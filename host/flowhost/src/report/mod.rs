//! What people and programs read: text for a terminal, JSON for programs.
//!
//! Owns wording and layout. Must never decide anything: it shows what it is handed.

pub mod page;
pub mod problems;
pub mod progress;
pub mod run;
