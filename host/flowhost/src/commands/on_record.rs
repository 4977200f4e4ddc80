//! What a person says of evidence that is written already: put on record in a run of its own, and then shown as files beside it.
//!
//! The run does nothing but have the words as its input, so that they are signed, ordered and verified as everything else
//! (ADR 0034). Nothing that a stage left is changed.

use std::collections::BTreeSet;
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

/// Keeps runs and archivers away from these specs until what this gives is dropped.
pub(super) fn locks(
    evidence: &Path,
    specs: &BTreeSet<&str>,
    context: &Context,
) -> Result<Vec<File>, Failure> {
    let world = world(&context.ambient);
    let lock = |id: &&str| {
        let spec = Spec::open(&world, evidence, id).map_err(|error| {
            let message = format!("the evidence of {id} cannot be opened");
            Failure::new(Exit::Internal, message).because(error.to_string())
        })?;
        spec.lock()
    };
    specs.iter().map(lock).collect()
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

/// Writes the files that show it, all or none: what they say is on record already, and can be said again.
pub(super) fn written(
    files: &[(PathBuf, Vec<u8>)],
    run: &str,
    context: &Context,
) -> Result<(), Failure> {
    for (at, (path, bytes)) in files.iter().enumerate() {
        let Err(error) = context.ambient.write(path, bytes) else {
            continue;
        };
        let mut failure = Failure::from(error);
        for (path, _) in files.iter().take(at) {
            if let Err(error) = context.ambient.remove(path) {
                failure = failure.because(error.to_string());
            }
        }
        return Err(failure.hint(format!(
            "it is on record in run {run}; make room and say it again"
        )));
    }
    Ok(())
}
