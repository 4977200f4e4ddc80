//! What a person says of evidence that is written already: put on record in a run of its own, and then shown as files beside it.
//!
//! The run does nothing but have the words as its input, so that they are signed, ordered and verified as everything else
//! (ADR 0034). Nothing that a stage left is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use flowhost::failure::Failure;
use flowhost::host::world;
use flowhost::project::{self, Given, Request};
use flowhost_flow::Exit;
use flowhost_run::specs::Spec;
use serde_json::{Map, Value};

use super::trials::Trials;
use crate::commands::Context;
use crate::commands::replay::sound;

/// A spec whose lock is held.
pub(super) struct Held {
    spec: Spec,
    _lock: File,
}

/// A file that shows what was said.
pub(super) struct Shown {
    /// Of which spec.
    pub(super) spec: String,
    /// Its path below the evidence root.
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

/// Keeps runs and archivers away from these specs until what this gives is dropped.
pub(super) fn locks(
    evidence: &Path,
    specs: &BTreeSet<&str>,
    context: &Context,
) -> Result<BTreeMap<String, Held>, Failure> {
    let world = world(&context.ambient);
    let hold = |id: &&str| -> Result<(String, Held), Failure> {
        let spec = Spec::open(&world, evidence, id).map_err(|error| {
            let message = format!("the evidence of {id} cannot be opened");
            Failure::new(Exit::Internal, message).because(error.to_string())
        })?;
        let lock = spec.lock()?;
        Ok(((*id).to_owned(), Held { spec, _lock: lock }))
    };
    // In the order of their names, as everybody takes several: two that wait for each other's would wait for ever.
    specs.iter().map(hold).collect()
}

/// Runs a plan that the program brings, with `value` as its one input, and gives the run's id.
pub(super) fn record(
    plan: (&str, &str),
    input: &str,
    value: Value,
    context: &mut Context,
) -> Result<String, Failure> {
    let (name, text) = plan;
    let request = Request {
        plan: PathBuf::from(name),
        text: Some(text.into()),
        given: Given::Values(Map::from_iter([(input.to_owned(), value)])),
        ..Request::default()
    };
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let loaded = project::load(ambient, config, &request, texts);
    let project = sound(loaded, &format!("`{name}`"))?;
    // No seed: a run that only keeps words draws nothing.
    let trials = Trials::new(&project, None, context)?;
    let finished = trials.run(project, context);
    trials.end();
    let finished = finished?;
    let end = finished.outcome.end;
    match end.exit {
        Exit::Ok => Ok(finished.run),
        exit => {
            let why = end.failure.map(|it| it.message).unwrap_or_default();
            Err(Failure::new(exit, "what was said is not on record").because(why))
        }
    }
}

/// Writes the files that show it, all or none: what they say is on record already, and can be said again. Each goes into
/// the folder that its spec was locked in, so that no link which is laid there meanwhile leads it elsewhere.
pub(super) fn written(
    files: &[Shown],
    held: &BTreeMap<String, Held>,
    run: &str,
) -> Result<(), Failure> {
    for (at, file) in files.iter().enumerate() {
        let spec = held.get(&file.spec);
        debug_assert!(spec.is_some(), "the spec of each file was locked");
        let not_locked = || std::io::Error::other("its spec was not locked");
        let written = spec
            .ok_or_else(not_locked)
            .and_then(|it| it.spec.write(&file.path, &file.bytes));
        let Err(error) = written else {
            continue;
        };
        let message = format!("`{}` cannot be written", file.path);
        let mut failure = Failure::new(Exit::Internal, message).because(error.to_string());
        for file in files.iter().take(at) {
            let taken_back = held.get(&file.spec).map(|it| it.spec.remove(&file.path));
            if let Some(Err(error)) = taken_back {
                failure = failure.because(format!("`{}` stays: {error}", file.path));
            }
        }
        return Err(failure.hint(format!(
            "it is on record in run {run}; make room and say it again"
        )));
    }
    Ok(())
}
