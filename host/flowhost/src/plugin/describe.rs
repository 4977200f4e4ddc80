//! Asks a component of a tool which tools it has, as a host does with one that has no manifest: in the
//! sandbox, with doubles where the world would be.

use std::collections::BTreeMap;

use flowhost_engine::Inspection;
use flowhost_flow::Exit;
use flowhost_policy::{ToolDescriptor, descriptor_faults};

use super::trial::{self, Terms, Trial, World};
use crate::failure::Failure;

/// The tools that a component says it has.
///
/// # Errors
/// When it cannot be loaded, traps, or says what no manifest may say.
pub fn tools(component: &[u8], inspection: &Inspection) -> Result<Vec<ToolDescriptor>, Failure> {
    let failed = || {
        Failure::new(
            Exit::Plugin,
            "the component does not say which tools it has",
        )
    };
    let trial = Trial::new(component)?;
    let described = trial.describe(inspection)?;
    let tools: Result<Vec<_>, String> = described.iter().map(flowhost_run::declared).collect();
    let tools = tools.map_err(|what| failed().because(what))?;
    match descriptor_faults(&tools).as_slice() {
        [] => Ok(tools),
        faults => {
            let said = faults
                .iter()
                .fold(failed(), |said, fault| said.because(fault));
            Err(said)
        }
    }
}
