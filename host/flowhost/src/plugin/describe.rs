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
    let folder = trial::folder(World::Kind)?;
    let rights = trial::rights_of(inspection);
    let lines: Vec<&str> = rights.iter().map(|right| right.lines).collect();
    let terms = Terms {
        rights: trial::granted(inspection, &lines, &BTreeMap::new())?.into(),
        world: World::Kind,
        folder: &folder,
        config: "{}",
    };
    told(&Trial::new(component)?, &terms)
}

/// The same of a component that is on trial already.
pub(super) fn told(trial: &Trial, terms: &Terms<'_>) -> Result<Vec<ToolDescriptor>, Failure> {
    let failed = || {
        let message = "the component does not say which tools it has";
        Failure::new(Exit::Plugin, message)
    };
    let described = trial.describe(terms)?;
    let tools: Result<Vec<_>, String> = described.iter().map(flowhost_run::declared).collect();
    let tools = tools.map_err(|what| failed().because(what))?;
    match descriptor_faults(&tools).as_slice() {
        [] => Ok(tools),
        faults => {
            let faults = faults.iter();
            Err(faults.fold(failed(), |said, fault| said.because(fault)))
        }
    }
}
