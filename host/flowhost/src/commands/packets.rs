//! `flowhost evidence kit|audit|baseline|security`: packets of a spec for those who go on with it and those who sign for it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, ErrorKind, Write as _};
use std::path::Path;

use flowhost::failure::Failure;
use flowhost::host::world;
use flowhost::kept::Kept;
use flowhost::output::{counted, neutral};
use flowhost_evidence::packet::{Files, Item, Proof, Reconciled, Says, Spec as Told, finding};
use flowhost_evidence::text::bytes;
use flowhost_flow::Exit;
use flowhost_ledger::{pack, timestamp};
use flowhost_run::specs::Spec;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::ledgers::{Ledgers, Wrote};
use super::on_record;
use super::spec_files::{Gathered, gather, newest_runs, put_away, stages};
use super::spec_runs::SpecRuns;
use super::tables::plain_table;
use super::telemetry::FILE_BYTES_MAX;
use crate::cli::{BaselineArgs, PacketArgs, SaysArg, SecurityArgs};
use crate::commands::Context;

/// The plan of a run that records a security review.
const SECURITY: &str = include_str!("security.yaml");
/// The input of that plan.
const REVIEW: &str = "review";
/// Milliseconds by which the clock of another machine may be ahead of this one's: ten minutes, more than two clocks are
/// apart that anybody minds. A word of the day after tomorrow would outrank all that is said until then.
const AHEAD_MS_MAX: u64 = 600_000;
/// Bytes of a baseline that is compared: far more than `evidence.max_mb` lets a spec have.
const ARCHIVE_BYTES_MAX: u64 = 1 << 30;

pub(super) fn kit(args: &PacketArgs, context: &Context) -> Result<Exit, Failure> {
    let gathered = gathered(&args.spec, &args.evidence, context)?;
    let spec = told(&args.spec, &gathered, &args.evidence, context)?;
    let sha256 = write(&args.out, &spec.kit(), context)?;
    if context.output.json {
        let document = json!({
            "spec": args.spec, "file": args.out.display().to_string(), "sha256": sha256,
            "stages": spec.stages.len(), "invalid_files": spec.invalid.len(),
            "stages_unverified": spec.unverified().len(),
        });
        context.output.document(&document);
    } else {
        let text = format!("{}: SHA-256 {sha256}\n", args.out.display());
        context.output.result(&neutral(&text));
        if let Some(note) = of_unverified(&spec) {
            context.output.message(&format!("note: {note}\n"));
        }
        note_invalid(&spec, context);
    }
    Ok(Exit::Ok)
}

/// What is said of stages that nobody here can vouch for; none where there are none.
fn of_unverified(spec: &Told<'_>) -> Option<String> {
    let unverified = spec.unverified().len();
    (unverified > 0).then(|| {
        format!(
            "{} whose run is not in this state folder, or has not ended: nobody vouches for its files",
            counted(unverified, "stage")
        )
    })
}

pub(super) fn audit(args: &PacketArgs, context: &Context) -> Result<Exit, Failure> {
    let gathered = gathered(&args.spec, &args.evidence, context)?;
    let spec = told(&args.spec, &gathered, &args.evidence, context)?;
    let audit = spec.audit();
    let sha256 = write(&args.out, &audit.files, context)?;
    let open = spec.security.iter().filter(|it| it.says == Says::Open);
    let open = open.count();
    let (left, unverified) = (spec.open_issues(), of_unverified(&spec));
    let newest = spec.newest.as_ref();
    if context.output.json {
        let newest = newest.map(|it| json!({ "run_id": it.run_id, "status": it.status }));
        let document = json!({
            "spec": args.spec, "file": args.out.display().to_string(), "sha256": sha256,
            "stages_not_ok": audit.not_ok, "open_conflicts": audit.open_conflicts,
            "costs_reconciled": audit.reconciled.word(), "security_reviews_open": open,
            "invalid_files": spec.invalid.len(), "stages_unverified": spec.unverified().len(),
            "newest_run": newest, "stages_of_older_runs": spec.older(), "open_issues": left,
        });
        context.output.document(&document);
        // Ok also where stages are open: an audit says how things stand, and was made.
        return Ok(Exit::Ok);
    }
    let text = format!("{}: SHA-256 {sha256}\n", args.out.display());
    context.output.result(&neutral(&text));
    let ended = match newest {
        Some(it) => format!("the newest run, {}: {}", it.run_id, it.status),
        None => "how the newest run ended is unknown: it is not in this state folder".to_owned(),
    };
    for (is_so, note) in [
        (newest.is_none() || spec.ended_badly(), ended),
        (audit.not_ok > 0, counted(audit.not_ok, "stage") + " not ok"),
        (
            audit.open_conflicts > 0,
            counted(audit.open_conflicts, "open conflict"),
        ),
        (left > 0, counted(left, "issue") + " left to a person"),
        (open > 0, counted(open, "open security review")),
        (unverified.is_some(), unverified.unwrap_or_default()),
        (
            audit.reconciled != Reconciled::Yes,
            format!("costs reconciled: {}", audit.reconciled.word()),
        ),
    ] {
        if is_so {
            context.output.message(&neutral(&format!("note: {note}\n")));
        }
    }
    note_invalid(&spec, context);
    Ok(Exit::Ok)
}

/// Names the files that are not what their form says: what they would have told is not in the packet.
fn note_invalid(spec: &Told<'_>, context: &Context) {
    for (path, what) in &spec.invalid {
        let note = format!("note: `{path}`: {what}\n");
        context.output.message(&neutral(&note));
    }
}

/// A run's files in an archive that no `prune` makes or takes away.
pub(super) fn baseline(args: &BaselineArgs, context: &Context) -> Result<Exit, Failure> {
    let root = super::specs::known(&args.spec, &args.evidence, context)?;
    let unread = |error: std::io::Error| unread(&args.spec, &args.evidence, &error);
    let spec = Spec::open(&world(&context.ambient), &root, &args.spec).map_err(unread)?;
    // Against a run that ends meanwhile: a baseline is of one moment.
    let _lock = spec.lock()?;
    let run = chosen(&spec, args, context)?;
    let name = spec.baseline(&args.name);
    let mut names = run.names;
    let stages = stages(names.iter());
    // What the spec cost until then belongs to a baseline as well.
    names.extend(spec.costs().map_err(unread)?);
    let read = |name: &str| match run.put_away.get(name) {
        Some(bytes) => Ok(bytes.clone()),
        None => spec.read(name, FILE_BYTES_MAX),
    };
    let mut packed = Vec::new();
    let made = pack(&names, read, &mut packed).map_err(unread)?;
    // The same files give the same bytes: to keep a baseline twice changes nothing, and another one is never written
    // over.
    match spec.read(&name, ARCHIVE_BYTES_MAX) {
        Ok(there) if there != packed => {
            let message = format!("`{name}` is there, and is another baseline");
            return Err(Failure::new(Exit::Internal, message).hint("choose another `--name`"));
        }
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(unread(error)),
        _ => {}
    }
    let unwritten = |error: std::io::Error| {
        let message = format!("the baseline `{name}` cannot be written");
        Failure::new(Exit::Internal, message).because(error.to_string())
    };
    // Before it is written: afterwards it would be an archive of the spec like the others.
    let newest = newest_runs(&gather(&spec, &args.spec).map_err(unread)?.files);
    spec.write(&name, &packed).map_err(unwritten)?;
    let file = name.trim_start_matches("archive/");
    let line = format!("{}  {file}\n", made.sha256);
    let beside = spec.write(&format!("{name}.sha256"), line.as_bytes());
    beside.map_err(unwritten)?;
    let others: BTreeMap<&String, &String> = newest
        .iter()
        .filter(|(stage, _)| !stages.contains(*stage))
        .collect();
    if context.output.json {
        context.output.document(&json!({
            "spec": args.spec, "run_id": run.run_id, "path": name, "sha256": made.sha256,
            "bytes": made.bytes, "files": names.len(), "stages": stages, "stages_of_other_runs": others,
        }));
        return Ok(Exit::Ok);
    }
    let stages: Vec<String> = stages.into_iter().collect();
    let text = format!(
        "{} of run {} ({}) in {} ({}, SHA-256 {})\n",
        counted(names.len(), "file"),
        run.run_id,
        match stages.is_empty() {
            true => "no stage".to_owned(),
            false => stages.join(", "),
        },
        args.evidence.join(&name).display(),
        bytes(made.bytes),
        made.sha256
    );
    context.output.result(&neutral(&text));
    if !others.is_empty() {
        let of = |(stage, run): (&&String, &&String)| format!("{stage} (run {run})");
        let others: Vec<String> = others.iter().map(of).collect();
        let note = format!(
            "note: it has nothing of {}, which other runs left; `--run` keeps the files of one of them\n",
            others.join(", ")
        );
        context.output.message(&neutral(&note));
    }
    Ok(Exit::Ok)
}

/// The run whose files are kept.
struct Chosen {
    run_id: String,
    names: BTreeSet<String>,
    /// Its files, where they are in an archive.
    put_away: Files,
}

fn chosen(spec: &Spec, args: &BaselineArgs, context: &Context) -> Result<Chosen, Failure> {
    let unread = |error: std::io::Error| unread(&args.spec, &args.evidence, &error);
    let mut runs = spec.survey().map_err(unread)?.runs;
    let there = match &args.run {
        Some(wanted) => runs.into_iter().find(|it| it.run_id == *wanted),
        None => runs.pop(),
    };
    if let Some(run) = there {
        return Ok(Chosen {
            run_id: run.run_id,
            names: run.files.into_keys().collect(),
            put_away: Files::new(),
        });
    }
    let tell = |text: &str| context.output.message(&neutral(text));
    let found = put_away(spec, &args.spec, args.run.as_deref(), &tell).map_err(unread)?;
    let run = found.ok_or_else(|| {
        let message = match &args.run {
            Some(wanted) => format!("the run `{wanted}` left no files of {}", args.spec),
            None => format!("no run left files of {}", args.spec),
        };
        let hint = format!("`flowhost evidence ls {}` lists them", args.spec);
        Failure::new(Exit::Internal, message).hint(hint)
    })?;
    Ok(Chosen {
        run_id: run.run_id,
        names: run.files.keys().cloned().collect(),
        put_away: run.files,
    })
}

pub(super) fn security(args: &SecurityArgs, context: &mut Context) -> Result<Exit, Failure> {
    let before = gathered(&args.spec, &args.evidence, context)?;
    let spec = told(&args.spec, &before, &args.evidence, context)?;
    let (Some(task), Some(says), Some(by)) = (&args.task, args.says, &args.by) else {
        list(&spec, context);
        return Ok(Exit::Ok);
    };
    let items = spec.security;
    let item = items.iter().find(|it| it.task == *task).ok_or_else(|| {
        let names: Vec<&str> = items.iter().map(|it| it.task.as_str()).collect();
        let message = format!("`{task}` is not flagged for a security review");
        Failure::new(Exit::Internal, message).hint(match names.as_slice() {
            [] => "the newest output of the stage `tasks` flags none".to_owned(),
            names => format!("flagged are {}", names.join(", ")),
        })
    })?;
    let now = timestamp(context.ambient.now_ms().saturating_mul(1_000));
    let found = finding(&args.spec, item, word(says), by, &args.note, &now);
    let evidence = context.ambient.resolve(&args.evidence);
    let specs = BTreeSet::from([args.spec.as_str()]);
    let locks = on_record::locks(&evidence, &specs, context)?;
    let plan = ("security.yaml", SECURITY);
    let run = on_record::record(plan, REVIEW, found.document.clone(), context)?;
    let file = on_record::Shown {
        spec: args.spec.clone(),
        path: found.path.clone(),
        bytes: found.file(&run),
    };
    on_record::written(&[file], &locks, &run)?;
    // Before anything is printed: a reader that is slow must not hold up the next command.
    drop(locks);
    let path = args.evidence.join(&found.path).display().to_string();
    if context.output.json {
        let document = json!({
            "run_id": run, "task": task, "status": word(says), "by": by, "file": path,
        });
        context.output.document(&document);
    } else {
        let text = format!(
            "{task}: {}, on record as run {run}\n{path}\n",
            word(says).word()
        );
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

const fn word(says: SaysArg) -> Says {
    match says {
        SaysArg::Open => Says::Open,
        SaysArg::Passed => Says::Passed,
        SaysArg::Accepted => Says::Accepted,
        SaysArg::Failed => Says::Failed,
    }
}

fn list(spec: &Told<'_>, context: &Context) {
    let items: &[Item] = &spec.security;
    if context.output.json {
        let document = json!({ "tasks": items, "invalid_files": spec.invalid.len() });
        return context.output.document(&document);
    }
    note_invalid(spec, context);
    if items.is_empty() {
        return context.output.message(
            "the newest output of the stage `tasks` flags no task for a security review\n",
        );
    }
    let mut table = plain_table(&["task", "status", "by", "when", "title", "note"]);
    for item in items {
        table.add_row([
            item.task.clone(),
            item.shown(),
            item.by.clone(),
            item.recorded_at.clone(),
            item.title.clone(),
            item.note.clone(),
        ]);
    }
    let text = format!("{}\n", table.trim_fmt());
    context.output.result(&neutral(&text));
}

/// The spec's files by their paths below the evidence root, those in archives too.
fn gathered(spec: &str, evidence: &Path, context: &Context) -> Result<Gathered, Failure> {
    let root = super::specs::known(spec, evidence, context)?;
    let folder = Spec::open(&world(&context.ambient), &root, spec);
    let files = folder.and_then(|folder| gather(&folder, spec));
    files.map_err(|error| unread(spec, evidence, &error))
}

fn unread(spec: &str, evidence: &Path, error: &std::io::Error) -> Failure {
    let folder = evidence.display();
    let message = format!("the evidence of {spec} in `{folder}` cannot be read");
    Failure::new(Exit::Internal, message).because(error.to_string())
}

/// The spec, of which a stage must have run: a packet of nothing would look as if all were well.
fn told<'f>(
    spec: &str,
    gathered: &'f Gathered,
    evidence: &Path,
    context: &Context,
) -> Result<Told<'f>, Failure> {
    let files = &gathered.files;
    // Every file of a run is held against the same records: they are read and verified once.
    let ledgers = Ledgers::new(context);
    let wrote =
        |run: &str, path: &str, sha256: &str| has_written(run, ledgers.wrote(run, path, sha256));
    let runs = SpecRuns::find(spec, evidence, gathered, context).unwrap_or_else(|failure| {
        let note = format!("note: how runs ended is not known: {}\n", failure.message);
        context.output.message(&neutral(&note));
        SpecRuns::unknown(gathered)
    });
    let mut told = Told::read(
        spec,
        files,
        &runs.recorded(spec, gathered, context),
        &|run, said| on_record_of(run, said, &ledgers, context),
        &wrote,
    );
    let unreadable = gathered.left_out.iter().map(|(name, why)| {
        let what = format!("it is an archive that cannot be read: {why}");
        (name.clone(), what)
    });
    told.invalid.extend(unreadable);
    told.newest = runs.newest(&told);
    match told.stages.is_empty() {
        false => Ok(told),
        true => {
            let message = format!("no stage of {spec} has left telemetry that is valid");
            let hint = format!("flowhost telemetry validate {}", evidence.display());
            let failure = Failure::new(Exit::Internal, message).hint(hint);
            let left_out = gathered.left_out.iter();
            Err(left_out.fold(failure, |failure, (name, why)| {
                failure.because(format!("`{name}`: {why}"))
            }))
        }
    }
}

/// Whether a file is the run's, by what the run has on record of it.
fn has_written(run: &str, wrote: Wrote) -> Proof {
    match wrote {
        Wrote::Away | Wrote::Going => Proof::Unverified,
        Wrote::Broken(why) => Proof::Refused(format!("the run {run}: {why}")),
        Wrote::This => Proof::Recorded,
        Wrote::Another => Proof::Refused(format!(
            "it is not what the run {run} wrote: it was changed"
        )),
        Wrote::Nothing => Proof::Refused(format!("the run {run} has no such file on record")),
    }
}

/// Whether the run has on record what a reviewer, or a reader of outputs, is said to have said.
fn on_record_of(run: &str, said: &Value, ledgers: &Ledgers<'_>, context: &Context) -> Proof {
    let at = said.get("recorded_at").and_then(Value::as_str);
    let by_now = context.ambient.now_ms().saturating_add(AHEAD_MS_MAX);
    let to_come = timestamp(by_now.saturating_mul(1_000));
    // Times are of one form, so that their texts sort as they do.
    if at.is_none_or(|at| at > to_come.as_str()) {
        return Proof::Refused("its time is still to come".to_owned());
    }
    let dir = context.state.run_dir(run);
    if !context.ambient.is_dir(&dir) {
        return Proof::Unverified;
    }
    let kept = Kept::new(
        &context.ambient,
        &context.config,
        &context.state,
        BTreeMap::new(),
    );
    match kept.setup(&dir) {
        // Inputs are read from the ledger as it lies there: whether a key of this host signed it, its verifier says.
        Ok(setup) if setup.inputs.get(REVIEW).is_some_and(|it| has(it, said)) => {
            // The costly question last, and only of a run that says what it should.
            match ledgers.wrong_with(run) {
                Ok(None) => Proof::Recorded,
                Ok(Some(why)) => Proof::Refused(format!("the run {run} does not verify: {why}")),
                Err(_) => Proof::Unverified,
            }
        }
        Ok(_) => Proof::Refused(format!("the run {run} has something else on record")),
        // Erased or damaged: it says neither yes nor no.
        Err(_) => Proof::Unverified,
    }
}

/// Whether what a run has on record is these words; a reader of outputs says them of a sheet of outputs at once.
fn has(recorded: &Value, said: &Value) -> bool {
    let readings = recorded.get("readings").and_then(Value::as_array);
    recorded == said || readings.is_some_and(|it| it.contains(said))
}

/// Writes the ZIP file, and gives its hash.
fn write(out: &Path, files: &Files, context: &Context) -> Result<String, Failure> {
    let zipped = zipped(files).map_err(|error| {
        Failure::new(Exit::Internal, "the packet cannot be made").because(error.to_string())
    })?;
    context.ambient.write(out, &zipped)?;
    Ok(hex::encode(Sha256::digest(&zipped)))
}

/// The files in the order of their names, stored, with no time of making: the same files give the same bytes.
fn zipped(files: &Files) -> zip::result::ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        // Compressors of other versions give other bytes.
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name.as_str(), options)?;
        writer.write_all(bytes)?;
    }
    writer.finish().map(Cursor::into_inner)
}
