//! Reads a plan.
use crate::plan::Plan;
use crate::problem::Problem;

pub(super) fn parse(_text: &str, _file: &str) -> Result<Plan, Vec<Problem>> {
    Err(Vec::new())
}
