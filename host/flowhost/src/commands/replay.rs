//! `flowhost runs replay RUN`.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::host::host;
use flowhost::kept::data_key;
use flowhost::project::{self, Given, Loaded, Project, Request};
use flowhost::sources::KeptRun;
use flowhost::state::FindRuns as _;
use flowhost_engine::{Inspected, PoolConfig, ShapeLimits};
use flowhost_evidence::events;
use flowhost_flow::Exit;
use flowhost_ledger::{DataKey, Payloads, RealDisk, StoredRecord, read_run};
use flowhost_run::bundle::{BUNDLE, Bundle};
use flowhost_run::{Difference, Entry, Recorded, ReplayOptions, Replayed};
use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::cli::ReplayArgs;
use crate::commands::Context;
use crate::commands::running::runtime;

/// Bytes of a bundle: a plan, its parts and its profiles, each of which has its own bound.
const BUNDLE_BYTES_MAX: u64 = 1 << 30;

pub(crate) fn perform(args: &ReplayArgs, context: &mut Context) -> Result<Exit, Failure> {
    let run = context.state.resolve_run(&context.ambient, &args.run)?;
    let dir = context.state.run_dir(&run);
    let key = data_key(&context.ambient, &context.state, &dir)?;
    let recorded = recorded(&run, &dir, key.as_ref())?;
    let inputs = recorded.setup.inputs.clone();
    let mut project = match &args.against {
        None => kept(&run, &dir, &inputs, context)?,
        Some(plan) => against(plan, &inputs, context)?,
    };
    for (name, path) in &args.plugins {
        replace(&mut project, name, Path::new(path), context)?;
    }
    let options = ReplayOptions {
        steps_only: args.steps,
        swapped: args.plugins.iter().map(|(name, _)| name.clone()).collect(),
    };
    let (ambient, config, state) = (&context.ambient, &context.config, &context.state);
    let host = host(ambient, config, state, PoolConfig::default(), None)?;
    let runtime = runtime()?;
    let replayed = runtime.block_on(host.replay(project, recorded, options))?;
    report(&run, args, &replayed, context);
    Ok(match replayed.same {
        true => Exit::Ok,
        false => Exit::Internal,
    })
}

fn cannot(run: &str, why: &dyn std::error::Error) -> Failure {
    let what = format!("run {run} cannot be replayed");
    Failure::new(Exit::Internal, what).caused_by(why)
}

/// The run as its folder has it; each payload has been compared with its commitment.
fn recorded(run: &str, dir: &Path, key: Option<&DataKey>) -> Result<Recorded, Failure> {
    let events = events::read_exact(dir, key).map_err(|error| cannot(run, &error))?;
    let payloads = Payloads::open(&RealDisk, dir).map_err(|error| cannot(run, &error))?;
    let mut entries = Vec::new();
    for record in read_run(dir).map_err(|error| cannot(run, &error))? {
        let record = record.map_err(|error| cannot(run, &error))?;
        let payload = payload(&payloads, &record);
        let payload = payload.map_err(|error| cannot(run, &error))?;
        let exact = key.map(|key| payloads.exact(&record, key)).transpose();
        let exact = exact.map_err(|error| cannot(run, &error))?.flatten();
        entries.push(Entry {
            record,
            payload,
            exact,
        });
    }
    Ok(Recorded {
        entries,
        setup: events.setup,
        events: events.events,
        ends: events.ends,
    })
}

fn payload(
    payloads: &Payloads<'_>,
    record: &StoredRecord,
) -> Result<Option<Vec<u8>>, flowhost_ledger::PayloadError> {
    let Some(commit) = &record.commit else {
        return Ok(None);
    };
    payloads.get(record.seq, commit)
}

/// The project that the run was made of.
fn kept(
    run: &str,
    dir: &Path,
    inputs: &Map<String, Value>,
    context: &mut Context,
) -> Result<Project, Failure> {
    let path = dir.join(BUNDLE);
    let bytes = context.ambient.read(&path, BUNDLE_BYTES_MAX)?;
    let bundle = Bundle::read(&bytes).map_err(|why| {
        let what = format!("run {run} cannot be replayed");
        Failure::new(Exit::Internal, what).because(format!("`{}`: {why}", path.display()))
    })?;
    let kept = KeptRun {
        bundle,
        state: context.state.clone(),
    };
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let ambient = match kept.bundle.cwd.as_os_str().is_empty() {
        true => ambient.clone(),
        false => ambient.at(kept.bundle.cwd.clone()),
    };
    let loaded = project::load_kept(&ambient, config, &kept, inputs, texts);
    let project = sound(loaded, &format!("what run {run} was made of"))?;
    for (key, member) in &project.members {
        let rights = kept.bundle.plugins.get(key).map(|it| it.rights.as_str());
        if rights != Some(member.effective.hash.as_str()) {
            let why = format!("the plugin `{key}` has other rights than it had");
            let what = format!("run {run} cannot be replayed");
            return Err(Failure::new(Exit::Internal, what).because(why).hint(
                "this build reads its profile otherwise; replay it with the one that made it",
            ));
        }
    }
    Ok(project)
}

fn against(
    plan: &Path,
    inputs: &Map<String, Value>,
    context: &mut Context,
) -> Result<Project, Failure> {
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let request = Request {
        plan: plan.to_owned(),
        given: Given::Recorded(inputs.clone()),
        ..Request::default()
    };
    let loaded = project::load(ambient, config, &request, texts);
    sound(loaded, &format!("`{}`", plan.display()))
}

fn sound(loaded: Loaded, what: &str) -> Result<Project, Failure> {
    match loaded.project {
        Some(project) if loaded.findings.is_empty() => Ok(project),
        _ => Err(Failure::findings(what, loaded.findings)),
    }
}

/// Puts another component in the place of a plugin's own; its rights stay.
fn replace(
    project: &mut Project,
    name: &str,
    path: &Path,
    context: &Context,
) -> Result<(), Failure> {
    let names: Vec<String> = project.members.keys().map(|it| format!("`{it}`")).collect();
    let member = project.members.get_mut(name).ok_or_else(|| {
        let what = format!("the run has no plugin `{name}`");
        Failure::new(Exit::Internal, what).hint(format!("its plugins: {}", names.join(", ")))
    })?;
    let path = context.ambient.resolve(path);
    let bytes = context.ambient.read(&path, 256 << 20)?;
    member.inspection = Inspected::new(bytes.into(), &ShapeLimits::default()).map_err(|error| {
        let what = format!("`{}` cannot stand in for `{name}`", path.display());
        Failure::new(Exit::Internal, what).caused_by(&error)
    })?;
    member.path = path;
    Ok(())
}

fn report(run: &str, args: &ReplayArgs, replayed: &Replayed, context: &Context) {
    let output = &context.output;
    if output.json {
        let mut document = json!({ "run_id": run, "steps_only": args.steps });
        let said = serde_json::to_value(replayed).unwrap_or_default();
        if let (Value::Object(document), Value::Object(said)) = (&mut document, said) {
            document.extend(said);
            if let Some(difference) = &replayed.difference {
                document.insert("diff".to_owned(), diff(difference).into());
            }
        }
        return output.document(&document);
    }
    output.result(&text(run, args, replayed));
}

fn text(run: &str, args: &ReplayArgs, replayed: &Replayed) -> String {
    use std::fmt::Write as _;
    let (matched, records, calls) = (replayed.matched, replayed.records, replayed.calls);
    let mut text = match &replayed.difference {
        None => format!("run {run} was replayed: the same\n"),
        Some(difference) => {
            let place = match difference.record {
                Some(record) => format!("at record {record}"),
                None => "after its last record".to_owned(),
            };
            let what = &difference.what;
            format!(
                "run {run} was replayed: it differs {place}\n  {what}\n\n{}\n",
                diff(difference)
            )
        }
    };
    let ran = match args.steps {
        true => "no guest ran (--steps)".to_owned(),
        false if calls == 1 => "1 call ran again".to_owned(),
        false => format!("{calls} calls ran again"),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "  {matched} of {records} records said again, byte for byte; the others say what the run was \
         made of and how it was kept; {ran}"
    );
    for (call, why) in &replayed.taken {
        let _ = writeln!(text, "  call {call} is taken as it ended: {why}");
    }
    if replayed.same {
        let _ = writeln!(text, "  last record: {}", replayed.last);
    }
    text
}

/// The two records line by line.
fn diff(difference: &Difference) -> String {
    let lines = |value: &Option<Value>| match value {
        Some(value) => serde_json::to_string_pretty(value).unwrap_or_default() + "\n",
        None => String::new(),
    };
    let (expected, got) = (lines(&difference.expected), lines(&difference.got));
    TextDiff::from_lines(&expected, &got)
        .unified_diff()
        .header("recorded", "replayed")
        .to_string()
}
