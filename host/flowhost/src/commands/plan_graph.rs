//! `flowhost plan graph PLAN|RUN`, and the difference of two.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost::report::problems::unreadable_of;
use flowhost::state::{FindRuns as _, is_its_own};
use flowhost_evidence::html::plan as drawing;
use flowhost_evidence::runs;
use flowhost_evidence::story::{BUNDLE, BUNDLE_BYTES_MAX, plan_of};
use flowhost_flow::graph::{Difference, Graph};
use flowhost_flow::plan::limits::PLAN_BYTES_MAX;
use flowhost_flow::{Exit, Plan};
use flowhost_ledger::RealDisk;
use flowhost_run::Finding;
use flowhost_run::bundle::vouch;
use serde_json::Value;

use crate::cli::{GraphArgs, GraphFormat};
use crate::commands::Context;
use crate::commands::runs_show::warn_of_cut;

pub(crate) fn perform(args: &GraphArgs, context: &mut Context) -> Result<Exit, Failure> {
    let (graph, is_run) = graph(&args.of, context)?;
    if let Some(other) = &args.other {
        let (other, other_is_run) = self::graph(other, context)?;
        // A plan has not ended in any way, so that of a run only its plan can be held against one.
        return Ok(match is_run && other_is_run {
            true => differ(&graph, &other, context),
            false => differ(&graph.without_ends(), &other.without_ends(), context),
        });
    }
    let output = context.output;
    if output.json || args.format == GraphFormat::Json {
        output.document(&graph);
        return Ok(Exit::Ok);
    }
    let text = match args.format {
        GraphFormat::Svg => format!("{}\n", drawing::svg(&graph)),
        GraphFormat::Dot => neutral(&graph.dot()),
        GraphFormat::Mermaid => neutral(&graph.mermaid()),
        GraphFormat::Text | GraphFormat::Json => neutral(&graph.outline()),
    };
    output.result(&text);
    Ok(Exit::Ok)
}

fn differ(before: &Graph, after: &Graph, context: &Context) -> Exit {
    let difference = Difference::between(before, after);
    if context.output.json {
        context.output.document(&difference);
    } else if difference.is_empty() {
        context.output.message("the graphs are the same\n");
    } else {
        context.output.result(&neutral(&difference.outline()));
    }
    Exit::Ok
}

/// The graph of a plan's file; of what is no file, of the run of that name, with how each step ended. And whether it is
/// one of a run.
fn graph(of: &str, context: &mut Context) -> Result<(Graph, bool), Failure> {
    let path = context.ambient.resolve(Path::new(of));
    if context.ambient.is_file(&path) {
        let text = context
            .ambient
            // One byte more than the parser takes, so that it is the parser who says what is too large.
            .read_text(&path, PLAN_BYTES_MAX as u64 + 1)?;
        context.texts.add(of, text.as_str());
        return Ok((plan(&text, of)?, false));
    }
    let run = context
        .state
        .resolve_run(&context.ambient, of)
        .map_err(|failure| {
            failure.hint(format!(
                "`{of}` is not a file either: name a plan's file, or a run"
            ))
        })?;
    is_its_own(&context.state, &run)?;
    let dir = context.state.run_dir(&run);
    let (file, text) = kept_plan(&run, context)?;
    let graph = plan(&text, &file)?;
    warn_of_cut(&run, &RealDisk, &dir, context);
    let records = runs::show(&dir).map_err(unreadable_of(&run))?;
    let steps = runs::steps(&records);
    let ends = steps.iter().map(|step| {
        (
            step.path.as_str(),
            step.status.as_str(),
            step.duration_ms.unwrap_or(0),
        )
    });
    Ok((graph.with_ends(ends), true))
}

/// The plan that a run kept beside its ledger, which must be the one that its records name: its file's name and its text.
pub(super) fn kept_plan(run: &str, context: &Context) -> Result<(String, String), Failure> {
    let dir = context.state.run_dir(run);
    let text = context
        .ambient
        .read_text(&dir.join(BUNDLE), BUNDLE_BYTES_MAX);
    let text = text.map_err(|error| {
        Failure::new(Exit::Internal, format!("the plan of run {run} cannot be read"))
            .caused_by(&error)
            .hint(format!(
                "runs before `bundle.json` did not keep their plan; `flowhost runs show {run}` has their steps"
            ))
    })?;
    // Before it is read: another plan is no answer to what this run was to do.
    vouch(&dir, text.as_bytes()).map_err(|why| {
        Failure::new(
            Exit::Internal,
            format!("the plan of run {run} is not there any more"),
        )
        .because(why)
        .hint(format!(
            "bring the file back from a backup; `flowhost runs show {run}` has the run's steps"
        ))
    })?;
    // What is no JSON holds no plan, which is told below.
    let bundle: Value = serde_json::from_str(&text).unwrap_or_default();
    let (file, text) = plan_of(&bundle).ok_or_else(|| {
        Failure::new(
            Exit::Internal,
            format!("`{BUNDLE}` of run {run} does not hold its plan"),
        )
        .hint(format!(
            "`flowhost verify {run}` says whether it is the file that the run wrote"
        ))
    })?;
    Ok((file.to_owned(), text.to_owned()))
}

fn plan(text: &str, file: &str) -> Result<Graph, Failure> {
    // A graph needs the plan's own text alone: what is wrong with other files is `validate`'s to tell.
    let plan = Plan::parse(text, file).map_err(|problems| {
        let findings = problems.into_iter().map(Finding::from).collect();
        Failure::findings(&format!("`{file}`"), findings)
    })?;
    Ok(Graph::of(&plan))
}
