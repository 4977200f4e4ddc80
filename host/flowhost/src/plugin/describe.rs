//! Asks a component of a tool which tools it has, as a host does with one that has no manifest: in the
//! sandbox, with doubles where the world would be.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_engine::{CacheConfig, Compiler, Inspection};
use flowhost_flow::Exit;
use flowhost_policy::{ToolDescriptor, descriptor_faults};
use flowhost_run::offers::{Answer, Question};

use super::trial::{self, Terms, Trial, World};
use crate::failure::Failure;

/// The tools that a component says it has.
///
/// # Errors
/// When it cannot be loaded, traps, or says what no manifest may say.
pub(super) fn tools(
    component: &[u8],
    inspection: &Inspection,
    compiler: Compiler,
) -> Result<Vec<ToolDescriptor>, Failure> {
    // Kept nowhere: the next build makes another.
    let trial = Trial::compiled(component.into(), compiler, None)?;
    with_all(&trial, inspection, &BTreeMap::new())
}

/// Fuel for the question to a component that nobody vouches for, and milliseconds: what many descriptors need, and a
/// person waits for.
const PATIENCE: [(&str, u64); 2] = [("fuel", 1_000_000_000), ("deadline", 5_000)];

/// The same of a component that nobody vouches for: it has little time.
///
/// # Errors
/// As [`tools`].
pub(crate) fn by_itself(
    component: &Arc<[u8]>,
    inspection: &Inspection,
    compiler: Compiler,
    cache: Option<CacheConfig>,
) -> Result<Vec<ToolDescriptor>, Failure> {
    let trial = Trial::compiled(component.clone(), compiler, cache)?;
    with_all(&trial, inspection, &BTreeMap::from(PATIENCE))
}

/// Asks plugins of a plan that have no manifest, as a run does before its first record. Two in a row that have the same
/// component have it compiled once.
pub(crate) struct Asker {
    compiler: Compiler,
    cache: Option<CacheConfig>,
    /// The component that was asked last, by its digest.
    last: Option<(Arc<str>, Result<Trial, Answer>)>,
}

impl Asker {
    pub(crate) fn new(compiler: Compiler, cache: Option<CacheConfig>) -> Self {
        Self {
            compiler,
            cache,
            last: None,
        }
    }

    /// Asks one.
    ///
    /// # Errors
    /// When nobody can be asked: what is wrong with the component is in the answer.
    pub(crate) fn ask(&mut self, question: &Question) -> Result<Answer, Failure> {
        let member = question.member();
        let digest = &member.inspection.digest;
        let last = self.last.take().filter(|(of, _)| of == digest);
        let (_, trial) = match last {
            Some(same) => self.last.insert(same),
            None => {
                let component = member.inspection.bytes().clone();
                let loaded = Trial::loaded(component, self.compiler.clone(), self.cache.clone())?;
                let loaded = loaded.map_err(|error| Question::unloaded(&error));
                self.last.insert((digest.clone(), loaded))
            }
        };
        let trial = match trial {
            Ok(trial) => trial,
            Err(answer) => return Ok(answer.clone()),
        };
        let folder = trial::folder(World::Kind)?;
        let terms = Terms {
            rights: Arc::new(member.effective.clone()),
            world: World::Kind,
            folder: &folder,
            config: &member.config,
        };
        Ok(match trial.described(&terms)? {
            Ok(report) => question.heard(report),
            Err(error) => Question::unloaded(&error),
        })
    }
}

/// Asks with everything granted that it imports, within these limits.
fn with_all(
    trial: &Trial,
    inspection: &Inspection,
    limits: &BTreeMap<&'static str, u64>,
) -> Result<Vec<ToolDescriptor>, Failure> {
    let folder = trial::folder(World::Kind)?;
    let rights = trial::rights_of(inspection);
    let lines: Vec<&str> = rights.iter().map(|right| right.lines).collect();
    let terms = Terms {
        rights: trial::granted(inspection, &lines, limits)?.into(),
        world: World::Kind,
        folder: &folder,
        config: "{}",
    };
    told(trial, &terms)
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
