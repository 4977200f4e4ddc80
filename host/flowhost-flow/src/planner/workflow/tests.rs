//! Workflows driven by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::budget::Amounts;
use crate::exit::{Exit, Failure, FailureClass, StepStatus};
use crate::plan::{Foresight, Plan, Promised};
use crate::planner::harness::{Run, plan};
use crate::planner::{
    CallResult, Event, Note, Part, RunSetup, Time, TimerId, Verdict, planner_for,
};

mod guards;
mod properties;
mod reference;
mod steps;
