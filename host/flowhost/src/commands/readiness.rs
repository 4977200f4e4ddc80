//! `flowhost doctor --plan PLAN`: whether a plan could run now, and what follows where somebody is missing.

use flowhost::doctor::Level;
use flowhost::failure::Failure;
use flowhost::host::{host, world};
use flowhost::models::gateway;
use flowhost::output::{counted, neutral, one_line};
use flowhost::project::Project;
use flowhost::readiness::{self, Asking, Probe, Readiness, Stand};
use flowhost_engine::PoolConfig;
use flowhost_flow::Exit;
use flowhost_ledger::timestamp;
use flowhost_run::RunOptions;
use flowhost_run::specs::Spec;
use flowhost_words::PluginKind;
use serde_json::{Value, json};

use crate::cli::{DoctorArgs, KeyArgs, PlanArgs};
use crate::commands::doctor::word;
use crate::commands::tables::plain_rows;
use crate::commands::{Context, run, running};

/// `doctor` has exit codes of its own: 0 ready, 1 with warnings, and this where the plan could not run.
const NOT_READY: Exit = Exit::Conflict;

pub(super) fn perform(
    args: &DoctorArgs,
    plan: &std::path::Path,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let named = PlanArgs {
        plan: plan.to_owned(),
        inputs: args.inputs.clone(),
        policies: args.policies.clone(),
        locked: false,
    };
    // A plan that is refused could not run, whoever is there.
    let not_ready = |failure| Failure {
        exit: NOT_READY,
        ..failure
    };
    let keys = KeyArgs {
        allow_private_network: args.allow_private_network,
        allow_process: args.allow_process,
    };
    let (project, _) = run::looked_at(&named, keys, context).map_err(not_ready)?;
    // Nor could one whose budget does not hold its first call.
    super::estimate::within_budget(&project, context).map_err(not_ready)?;
    let gateway = gateway(&context.ambient, &context.config, &project)?;
    let runtime = running::runtime()?;
    let asking = Asking { models: args.ask };
    let Context {
        ambient, config, ..
    } = &*context;
    let found = runtime.block_on(async {
        let found = readiness::examine(ambient, config, &project, &gateway, asking).await;
        servers(args, &project, context)
            .await
            .map(|servers| found.with(servers))
    });
    runtime.shutdown_background();
    let found = found?;
    let document = document(&project, &found, context.ambient.now_ms());
    let written = keep(&project, &document, context)?;
    if context.output.json {
        context.output.document(&document);
    } else {
        context.output.result(&text(&found));
        if let Some(path) = written {
            let text = format!("written to {path}\n");
            context.output.message(&neutral(&text));
        }
    }
    Ok(match found.status {
        Level::Ok => Exit::Ok,
        Level::Warning => Exit::Internal,
        Level::Error => NOT_READY,
    })
}

/// Asks the MCP servers of the plan what they offer; no tool is called.
async fn servers(
    args: &DoctorArgs,
    project: &Project,
    context: &Context,
) -> Result<Vec<Probe>, Failure> {
    let mut members = project.members.values();
    if !members.any(|member| member.decl.kind == PluginKind::McpAdapter) {
        return Ok(Vec::new());
    }
    let (ambient, config, state) = (&context.ambient, &context.config, &context.state);
    let options = RunOptions {
        allow_private_network: args.allow_private_network,
        allow_process: args.allow_process,
        ..RunOptions::default()
    };
    let host = host(ambient, config, state, PoolConfig::default(), None)?;
    let probes = host
        .introduce(project, &options, None)
        .await?
        .into_iter()
        .map(|it| {
            let said = it.server.map(|server| {
                format!(
                    "{} {}, {}",
                    server.name,
                    server.version,
                    counted(server.tools.len(), "tool")
                )
            });
            readiness::server(&it.plugin, said.map_err(|it| it.why))
        });
    Ok(probes.collect())
}

/// Writes the document into the evidence of the plan's spec, under its lock.
fn keep(project: &Project, document: &Value, context: &Context) -> Result<Option<String>, Failure> {
    let Some(evidence) = &project.plan.evidence else {
        return Ok(None);
    };
    let root = project.dir.join(&evidence.root);
    let unwritten = |why: String| {
        let what = format!(
            "`{}` cannot be written below `{}`",
            readiness::FILE,
            root.display()
        );
        Failure::new(Exit::Internal, what).because(why)
    };
    let world = world(&context.ambient);
    let spec = Spec::of_plan(&world, &project.dir, evidence);
    let spec = spec.map_err(|error| unwritten(error.to_string()))?;
    // Held while it is written: a run or an archiver may be at work in the same folder.
    let _lock = spec.lock()?;
    let path = format!("commands/{}/{}", evidence.spec_id, readiness::FILE);
    let bytes = serde_json::to_vec_pretty(document);
    let mut bytes = bytes.map_err(|error| unwritten(error.to_string()))?;
    bytes.push(b'\n');
    spec.write(&path, &bytes)
        .map_err(|error| unwritten(error.to_string()))?;
    Ok(Some(root.join(path).display().to_string()))
}

fn document(project: &Project, found: &Readiness, now_ms: u64) -> Value {
    let spec = project.plan.evidence.as_ref().map(|it| it.spec_id.as_str());
    json!({
        "schemaVersion": 1,
        "command": "doctor",
        "plan": project.plan.name,
        "specId": spec.unwrap_or_default(),
        "timestamp": timestamp(now_ms.saturating_mul(1_000)),
        "status": found.status,
        "probes": found.probes,
        "steps": found.steps,
    })
}

fn text(found: &Readiness) -> String {
    let mut table = plain_rows();
    for probe in &found.probes {
        let level = match probe.skipped {
            true => "not known",
            false => word(probe.level),
        };
        table.add_row([
            level.to_owned(),
            format!("{} {}", probe.kind, one_line(&probe.name)),
            one_line(&probe.found),
        ]);
    }
    let steps: String = found.steps.iter().map(stand).collect();
    format!("{}\n{}", table.trim_fmt(), neutral(&steps))
}

/// A step and, row by row, what follows from how many answer. The row that holds now is marked `>`; where some were not
/// asked, `?` marks each that may hold.
fn stand(stand: &Stand) -> String {
    let not_known = match stand.not_known.as_slice() {
        [] => String::new(),
        agents => format!("; not known: {}", agents.join(", ")),
    };
    let mut text = format!(
        "\n{} step {}: {} of {} agents{not_known}\n",
        word(stand.level),
        stand.step,
        stand.ready,
        stand.of
    );
    for row in &stand.matrix {
        let may_hold = (stand.ready..=stand.at_most).contains(&row.present);
        let mark = match (may_hold, stand.ready == stand.at_most) {
            (false, _) => " ",
            (true, true) => ">",
            (true, false) => "?",
        };
        let then = match (row.then.as_slice(), row.exit) {
            ([], _) => "goes on".to_owned(),
            (then, 0) => format!("{}: goes on", then.join(", ")),
            (then, exit) => format!("{}: exit {exit}", then.join(", ")),
        };
        text.push_str(&format!(
            "  {mark} {}/{} {}, {then}\n",
            row.present, row.of, row.status
        ));
    }
    text
}
