//! Plans as values: parse and check them, hash them, and say what to do next.
//!
//! Owns the plan format, its expressions, budgets, retries and the planners. Must never read a file,
//! a clock, the environment or a random source, and never start anything: an event and a time go in,
//! actions come out. That is why a run replays from its events, and why all of it is property-tested.
//!
//! The way through: [`Plan::parse`] → [`Plan::attach_plan`] and [`Plan::attach_schema`] for what the
//! plan refers to → [`Plan::bind_inputs`] → [`hash::plan_hash`] → [`planner::planner_for`] → feed
//! [`planner::Event`]s, perform [`planner::Action`]s.

pub mod budget;
pub mod consensus;
pub mod effort;
pub mod exit;
pub mod expr;
pub mod graph;
mod handed;
pub mod hash;
mod json_text;
pub mod plan;
pub mod planner;
pub mod problem;
pub mod retry;
mod schema_check;
mod schema_cost;
mod schema_plain;
mod schema_unique;
mod schema_work;
pub mod units;

pub use budget::Amounts;
pub use exit::{Exit, Failure, FailureClass, Owner, RunStatus, StepStatus};
pub use json_text::{parse_json_schema, parse_json_text};
pub use plan::{Plan, PluginDecl, plan_reference, plan_schema};
pub use planner::{Action, Call, CallResult, Event, Planner, RunSetup, Time, planner_for};
pub use problem::{Places, Problem};
pub use schema_check::{Compiled, Misfit, OutputSchema};
// A step's path may be no plain word of a shell: whoever prints a command about a step quotes it alike.
pub use flowhost_words::{shell_word, with_keys};
