//! `flowhost evidence ls|stats|archive|prune`: what runs left of a spec, and what becomes of it.

use std::path::{Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::host::world;
use flowhost::output::{counted, neutral, one_line};
use flowhost_evidence::text::bytes;
use flowhost_flow::Exit;
use flowhost_run::specs::{Put, Spec, SpecRun, Survey};
use serde_json::{Value, json};

use crate::cli::SpecArgs;
use crate::commands::Context;
use crate::commands::tables::plain_table;

/// What becomes of files that are in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// They stay.
    Leave,
    /// They go.
    Remove,
}

pub(super) fn list(spec: &str, evidence: &Path, context: &Context) -> Result<Exit, Failure> {
    let (_, survey) = surveyed(spec, evidence, context)?;
    if context.output.json {
        let runs: Vec<Value> = survey.runs.iter().map(run_document).collect();
        let archives: Vec<Value> = survey
            .archives
            .iter()
            .map(|(path, bytes)| json!({ "path": path, "bytes": bytes }))
            .collect();
        context.output.document(&json!({
            "spec": spec, "runs": runs, "archives": archives, "bytes": survey.footprint(),
        }));
        return Ok(Exit::Ok);
    }
    if !survey.runs.is_empty() {
        context.output.result(&runs_table(&survey.runs));
    }
    for (path, size) in &survey.archives {
        let text = format!("archive {path} ({})\n", bytes(*size));
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

pub(super) fn stats(evidence: &Path, context: &Context) -> Result<Exit, Failure> {
    let root = root(evidence, context)?;
    let unread = |error: std::io::Error| unread(&root, &error);
    let world = world(&context.ambient);
    let mut all = Vec::new();
    for id in Spec::ids(&world, &root).map_err(unread)? {
        let survey = Spec::open(&world, &root, &id).and_then(|spec| spec.survey());
        all.push((id, survey.map_err(unread)?));
    }
    if context.output.json {
        let specs: Vec<Value> = all
            .iter()
            .map(|(id, survey)| stats_of(id, survey))
            .collect();
        context.output.document(&json!({ "specs": specs }));
        return Ok(Exit::Ok);
    }
    if all.is_empty() {
        // To standard error: a script that counts lines of the table finds none.
        context.output.message("no spec has files there\n");
        return Ok(Exit::Ok);
    }
    let mut table = plain_table(&["spec", "runs", "files", "size", "archives", "archived"]);
    for (id, survey) in &all {
        table.add_row([
            one_line(id),
            survey.runs.len().to_string(),
            files_of(survey).to_string(),
            bytes(survey.footprint()),
            survey.archives.len().to_string(),
            bytes(survey.archives.values().sum()),
        ]);
    }
    context.output.result(&format!("{}\n", table.trim_fmt()));
    Ok(Exit::Ok)
}

fn stats_of(id: &str, survey: &Survey) -> Value {
    let archived: u64 = survey.archives.values().sum();
    json!({
        "spec": id, "runs": survey.runs.len(), "files": files_of(survey),
        "bytes": survey.footprint(), "archives": survey.archives.len(), "archived_bytes": archived,
    })
}

fn files_of(survey: &Survey) -> usize {
    let of_runs: usize = survey.runs.iter().map(|run| run.files.len()).sum();
    of_runs + survey.others.len()
}

/// `archive` and `prune`.
pub(super) fn put_away(args: &SpecArgs, then: Then, context: &Context) -> Result<Exit, Failure> {
    let (spec, survey) = surveyed(&args.spec, &args.evidence, context)?;
    // No lock to look: a run may be writing there, and a look changes nothing.
    if !args.yes {
        return Ok(shown(survey.beyond(args.keep), then, context));
    }
    let _lock = spec.lock()?;
    // A run may have ended between the look and the lock.
    let survey = spec
        .survey()
        .map_err(|error| unread(&args.evidence, &error))?;
    let mut done = Vec::new();
    let mut failed = None;
    for run in survey.beyond(args.keep) {
        let put = match then {
            Then::Leave => spec.archive(run),
            Then::Remove => spec.prune(run),
        };
        match put {
            Ok(put) => done.push(put),
            Err(failure) => {
                failed = Some(failure.because(match done.len() {
                    0 => "nothing was archived before it".to_owned(),
                    n => format!("{} before it", counted(n, "run") + " went well"),
                }));
                break;
            }
        }
    }
    if !context.output.json {
        for put in &done {
            context.output.result(&neutral(&line(put, then)));
        }
        if done.is_empty() && failed.is_none() {
            context
                .output
                .message("no run is older than those that stay\n");
        }
    }
    // After what went well has been told: those files are gone, whatever follows.
    if let Some(failure) = failed {
        return Err(failure);
    }
    if context.output.json {
        let removed = then == Then::Remove;
        context.output.document(
            &json!({ "dry_run": false, "spec": args.spec, "removed": removed, "archived": done }),
        );
    }
    Ok(Exit::Ok)
}

fn line(put: &Put, then: Then) -> String {
    let what = match then {
        Then::Leave => "archived",
        Then::Remove => "archived and removed",
    };
    format!(
        "{what} {} of run {}: {} ({}, SHA-256 {})\n",
        counted(put.files, "file"),
        put.run_id,
        put.path,
        bytes(put.bytes),
        put.sha256
    )
}

/// What would be put away.
fn shown(old: &[SpecRun], then: Then, context: &Context) -> Exit {
    if context.output.json {
        let runs: Vec<Value> = old.iter().map(run_document).collect();
        context
            .output
            .document(&json!({ "dry_run": true, "runs": runs }));
    } else if old.is_empty() {
        context
            .output
            .message("no run is older than those that stay\n");
    } else {
        context.output.result(&runs_table(old));
        let what = match then {
            Then::Leave => "archived",
            Then::Remove => "archived and removed",
        };
        let text = format!(
            "the files of {} would be {what}; `--yes` does it\n",
            counted(old.len(), "run")
        );
        context.output.message(&text);
    }
    Exit::Ok
}

fn run_document(run: &SpecRun) -> Value {
    json!({
        "run_id": run.run_id, "began": run.began, "stages": run.stages,
        "files": run.files.len(), "bytes": run.bytes(),
    })
}

fn runs_table(runs: &[SpecRun]) -> String {
    let mut table = plain_table(&["run", "began", "files", "size", "stages"]);
    for run in runs {
        let stages: Vec<String> = run
            .stages
            .iter()
            .map(|(stage, ended)| format!("{stage} {ended}"))
            .collect();
        table.add_row([
            one_line(&run.run_id),
            one_line(&run.began),
            run.files.len().to_string(),
            bytes(run.bytes()),
            one_line(&stages.join(", ")),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// The spec with what is there of it; something is.
fn surveyed(spec: &str, evidence: &Path, context: &Context) -> Result<(Spec, Survey), Failure> {
    let root = known(spec, evidence, context)?;
    let unread = |error: std::io::Error| unread(&root, &error);
    let folder = Spec::open(&world(&context.ambient), &root, spec).map_err(unread)?;
    let survey = folder.survey().map_err(unread)?;
    Ok((folder, survey))
}

/// The evidence folder, in which there are files of the spec. A name with a `/` would lead elsewhere; no spec has one,
/// and whoever typed it reads which there are.
pub(super) fn known(spec: &str, evidence: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let root = root(evidence, context)?;
    let ids = Spec::ids(&world(&context.ambient), &root);
    let ids = ids.map_err(|error| unread(&root, &error))?;
    if ids.contains(spec) {
        return Ok(root);
    }
    let message = format!("`{}` has no evidence of `{spec}`", evidence.display());
    let names: Vec<String> = ids.iter().map(|it| format!("`{it}`")).collect();
    Err(
        Failure::new(Exit::Internal, message).hint(match names.is_empty() {
            true => "name the evidence folder of a plan with `--evidence`".to_owned(),
            false => format!("it has that of {}", names.join(", ")),
        }),
    )
}

/// The evidence folder, which must be there: nothing is made by looking.
///
/// # Errors
/// When it is not.
pub(super) fn root(evidence: &Path, context: &Context) -> Result<PathBuf, Failure> {
    let root = no_link(&context.ambient, evidence)?;
    match context.ambient.is_dir(&root) {
        true => Ok(root),
        false => Err(Failure::new(
            Exit::Internal,
            format!("the folder `{}` does not exist", evidence.display()),
        )
        .hint("name the evidence folder of a plan with `--evidence`")),
    }
}

/// The path of an evidence folder, which is no link: git carries links, and one in the place of `evidence` would have
/// these commands read, archive and remove what lies elsewhere.
///
/// # Errors
/// When it is one.
pub(super) fn no_link(ambient: &Ambient, evidence: &Path) -> Result<PathBuf, Failure> {
    // Without a `/` at its end, by which the system would follow the link.
    let root: PathBuf = ambient.resolve(evidence).components().collect();
    match ambient.is_link(&root) {
        false => Ok(root),
        true => Err(Failure::new(
            Exit::Internal,
            format!(
                "`{}` is a symbolic link, which is not followed",
                evidence.display()
            ),
        )
        .hint("name the folder that it leads to with `--evidence`")),
    }
}

fn unread(root: &Path, error: &std::io::Error) -> Failure {
    let what = format!("the evidence in `{}` cannot be read", root.display());
    Failure::new(Exit::Internal, what).because(error.to_string())
}
