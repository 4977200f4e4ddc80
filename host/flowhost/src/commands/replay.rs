//! `flowhost runs replay RUN`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flowhost::failure::Failure;
use flowhost::host::host;
use flowhost::kept::{BRING_BACK, BUNDLE_BYTES_MAX, data_key, of_kind, stand_in};
use flowhost::project::{self, Given, Loaded, Project, Request};
use flowhost::sources::KeptRun;
use flowhost::state::FindRuns as _;
use flowhost_engine::{Inspected, PoolConfig};
use flowhost_flow::Exit;
use flowhost_ledger::records::Record;
use flowhost_ledger::{DataKey, Payloads, RealDisk, StoredRecord, signed_size};
use flowhost_run::bundle::{BUNDLE, Bundle, component_path, vouch};
use flowhost_run::{Difference, Entry, Fed, Member, Recorded, ReplayOptions, Replayed};
use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::cli::ReplayArgs;
use crate::commands::Context;
use crate::commands::running::runtime;
use crate::commands::runs_show::cut_short;

pub(crate) fn perform(args: &ReplayArgs, context: &mut Context) -> Result<Exit, Failure> {
    let run = context.state.resolve_run(&context.ambient, &args.run)?;
    let dir = context.state.run_dir(&run);
    let key = data_key(&context.ambient, &context.state, &dir)?;
    let signed = signed_size(&RealDisk, &dir);
    let mut recorded = recorded(&run, &dir, key.as_ref())?;
    if let Some(cut) = cut_short(signed, recorded.entries.len()) {
        // What is left may be the same, and says nothing of the run that was.
        let failure = Failure::new(Exit::Internal, format!("run {run} cannot be replayed"));
        return Err(failure
            .because(cut)
            .hint(format!("`flowhost verify {run}` says more")));
    }
    let inputs = recorded.setup.inputs.clone();
    let stand_ins = stand_ins(&args.plugins, context)?;
    let mut project = match &args.against {
        None => kept(&run, &dir, &inputs, stand_ins.clone(), context)?,
        Some(plan) => against(plan, &inputs, context)?,
    };
    // Before the stand-ins take their places: a later build takes the rights of the plugin as the run had it.
    recorded.later = later(&run, &recorded.entries, &project, &stand_ins, context)?;
    for (name, (path, component)) in stand_ins {
        let member = replaced(&project, &name, &path, component)?;
        project.members.insert(name, member);
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
        // A script that replays runs stops at one that differs.
        false => Exit::Internal,
    })
}

fn cannot(run: &str, why: &dyn std::error::Error) -> Failure {
    let what = format!("run {run} cannot be replayed");
    Failure::new(Exit::Internal, what).caused_by(why)
}

/// The run as its folder has it; each payload has been compared with its commitment.
fn recorded(run: &str, dir: &Path, key: Option<&DataKey>) -> Result<Recorded, Failure> {
    let mut entries = Vec::new();
    let fed = Fed::read_beside(dir, key, &mut |record, payloads| {
        let exact = key.map(|key| payloads.exact(record, key)).transpose()?;
        entries.push(Entry {
            record: record.clone(),
            payload: payload(payloads, record)?,
            exact: exact.flatten(),
        });
        Ok(())
    });
    let fed = fed.map_err(|error| cannot(run, &error))?;
    Ok(Recorded {
        entries,
        setup: fed.setup,
        events: fed.events,
        ends: fed.ends,
        later: Vec::new(),
    })
}

type StandIns = BTreeMap<String, (PathBuf, Inspected)>;

/// The components that a person wants in the place of a plugin's: each for every build that the run had of it,
/// also where those are gone.
fn stand_ins(named: &[(String, String)], context: &Context) -> Result<StandIns, Failure> {
    let mut stand_ins = BTreeMap::new();
    for (name, path) in named {
        let path = context.ambient.resolve(Path::new(path));
        let component = component(name, &path, context)?;
        stand_ins.insert(name.clone(), (path, component));
    }
    Ok(stand_ins)
}

/// The builds of plugins that took the place of others while the run went on, or when it went on again.
fn later(
    run: &str,
    entries: &[Entry],
    project: &Project,
    stand_ins: &StandIns,
    context: &Context,
) -> Result<Vec<(String, Member)>, Failure> {
    let mut builds = BTreeSet::new();
    for entry in entries {
        match entry.record.read() {
            Ok(Some(Record::Reload(reload))) => {
                builds.insert((reload.plugin, reload.component));
            }
            Ok(Some(Record::RunResume(resume))) => {
                builds.extend(resume.replaced.unwrap_or_default());
            }
            _ => {}
        }
    }
    let mut later = Vec::new();
    builds.retain(|(key, _)| !stand_ins.contains_key(key));
    for (key, digest) in builds {
        let path = component_path(&context.state, &digest);
        let component = component(&key, &path, context).map_err(|failure| {
            let what = format!("run {run} cannot be replayed");
            let why = format!("the build {digest} of its plugin `{key}` is not kept");
            let refused = Failure::new(Exit::Internal, what).because(why);
            let causes = failure.causes.into_iter();
            causes.fold(refused, |all, cause| all.because(cause))
        })?;
        let member = replaced(project, &key, &path, component)?;
        later.push((key, member));
    }
    Ok(later)
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
    stand_ins: StandIns,
    context: &mut Context,
) -> Result<Project, Failure> {
    let path = dir.join(BUNDLE);
    let refused = |why: String| {
        let what = format!("run {run} cannot be replayed");
        Failure::new(Exit::Internal, what).because(why)
    };
    let bytes = context
        .ambient
        .read(&path, BUNDLE_BYTES_MAX)
        .map_err(|error| cannot(run, &error).hint(BRING_BACK))?;
    vouch(dir, &bytes).map_err(|why| refused(why).hint(BRING_BACK))?;
    let bundle =
        Bundle::read(&bytes).map_err(|why| refused(format!("`{}`: {why}", path.display())))?;
    // A component that is still there says what the plugin's rights were, whatever stands in for it later.
    let is_gone = |key: &String| {
        let plugin = bundle.plugins.get(key);
        let path = plugin.map(|it| component_path(&context.state, &it.component));
        path.is_some_and(|path| !context.ambient.is_file(&path))
    };
    let gone = stand_ins.into_iter().filter(|(key, _)| is_gone(key));
    let gone: StandIns = gone.collect();
    let kept = KeptRun {
        bundle,
        state: context.state.clone(),
        stand_ins: gone,
    };
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    // Paths of a run mean what they meant where it was started. An old one did not keep where that was.
    let ambient = match kept.bundle.cwd.as_os_str().is_empty() {
        true => ambient.clone(),
        false => ambient.at(kept.bundle.cwd.clone()),
    };
    let loaded = project::load_kept(&ambient, config, &kept, inputs, texts);
    let project = sound(loaded, &format!("what run {run} was made of"))?;
    for (key, member) in &project.members {
        let rights = kept.bundle.plugins.get(key).map(|it| it.rights.as_str());
        // A replay under other rights would differ for that alone, and say something of the plugin.
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
        // The run's own, so that what differs is the plan's.
        given: Given::Recorded(inputs.clone()),
        ..Request::default()
    };
    let loaded = project::load(ambient, config, &request, texts);
    sound(loaded, &format!("`{}`", plan.display()))
}

/// The project of a plan in which nothing is wrong; `what` names the plan in the refusal.
///
/// # Errors
/// With all that is wrong with it.
pub(super) fn sound(loaded: Loaded, what: &str) -> Result<Project, Failure> {
    match loaded.project {
        Some(project) if loaded.findings.is_empty() => Ok(project),
        _ => Err(Failure::findings(what, loaded.findings)),
    }
}

/// The component in a file, for the plugin of this name.
pub(super) fn component(name: &str, path: &Path, context: &Context) -> Result<Inspected, Failure> {
    stand_in(&context.ambient, name, path).map(|(_, component)| component)
}

/// The plugin with another component of its kind in the place of its own; its rights stay.
pub(super) fn replaced(
    project: &Project,
    name: &str,
    path: &Path,
    inspection: Inspected,
) -> Result<Member, Failure> {
    let member = project.members.get(name).ok_or_else(|| {
        let names: Vec<String> = project.members.keys().map(|it| format!("`{it}`")).collect();
        let what = format!("the run has no plugin `{name}`");
        Failure::new(Exit::Internal, what).hint(format!("its plugins: {}", names.join(", ")))
    })?;
    of_kind(name, path, member.decl.kind, inspection.role)?;
    Ok(Member {
        inspection,
        // The one of the component that it stands in for says nothing of it.
        signature: None,
        path: path.to_owned(),
        ..member.clone()
    })
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
    let _infallible = writeln!(
        text,
        "  {matched} of {records} records said again, byte for byte; the others say what the run was \
         made of and how it was kept; {ran}"
    );
    for (call, why) in &replayed.taken {
        let _infallible = writeln!(text, "  call {call} is taken as it ended: {why}");
    }
    if replayed.same {
        let _infallible = writeln!(text, "  last record: {}", replayed.last);
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
