//! The demo: the example that does real work, offline, on this repository's own documents, and the
//! check of what it left behind.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::folders::Folders;
use crate::{built, guests, lanes, process, say};

/// What to check.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// The folder of Markdown to check; without it this repository's `docs/`.
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
}

/// The plugins of `examples/docs-check`: the first answer waits for no other.
const FIRST: [&str; 3] = ["files", "markdown", "redact"];

/// Builds, runs and verifies.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    say::line(format_args!(
        "builds the host and three plugins, checks a folder of Markdown offline and verifies what was recorded, then \
         builds the other plugins for a second example; the first build takes minutes, later ones seconds"
    ));
    guests::prepare(folders)?;
    lanes::both(
        |_| built::host(folders),
        |_| guests::only_plugins(folders, &FIRST),
    )?;
    let host = folders.host();
    let docs = options
        .folder
        .clone()
        .unwrap_or_else(|| folders.root.join("docs"));
    let docs = docs
        .canonicalize()
        .with_context(|| format!("cannot find {}", docs.display()))?;
    // A state of its own, so that the demo leaves nothing in the documents of anyone; whose key it is
    // stands there, too.
    let state = folders.target.join("demo");
    let state = state.to_string_lossy();
    let ran = run_example(folders, &host, &docs, &state)?;
    let verify = ["verify", text(&ran, "/run_id")?, "--state", &state];
    say::step(format_args!("flowhost {}", verify.join(" ")));
    process::run(&mut process::program(&host, &folders.root, &verify))?;
    tell(&ran, &format!("{} {}", host.display(), verify.join(" ")));
    guests::all_plugins(folders)?;
    run_consensus(folders, &host, &state)
}

/// Three agents and an arbiter, with scripted answers; they must agree.
fn run_consensus(folders: &Folders, host: &Path, state: &str) -> Result<()> {
    let example = folders.root.join("examples/spec-kit-900");
    let arguments = ["run", "plan.yaml", "--json", "--state", state];
    say::step(format_args!(
        "flowhost {}, in {}",
        arguments.join(" "),
        example.display()
    ));
    let plugins = folders.plugins_out();
    let out = process::output(
        process::program(host, &example, &arguments).env("FLOWHOST_PLUGINS", plugins),
    )?;
    let ran: serde_json::Value = serde_json::from_str(&out)
        .context("`flowhost run --json` did not print one JSON document")?;
    let agreed = ran.pointer("/outputs/consensus_ok") == Some(&serde_json::Value::Bool(true));
    let conflicts = ran.pointer("/outputs/conflicts").map(ToString::to_string);
    anyhow::ensure!(
        agreed && conflicts.as_deref() == Some("[]"),
        "the agents of examples/spec-kit-900 do not agree: {out}"
    );
    say::line("consensus_ok: true, conflicts: []");
    left(host, &example, text(&ran, "/run_id")?)
}

/// The stages of the example.
const STAGES: [&str; 6] = ["plan", "tasks", "implement", "validate", "audit", "unlock"];
/// Files that each of them leaves: answer, use and prompt of three agents and the arbiter, synthesis, verdict, telemetry of both
/// schemas, and the lifecycle.
const FILES_OF_A_STAGE: u64 = 4 * 3 + 5;

/// That every file of every stage is there and is what its schema says, by the host's own commands.
fn left(host: &Path, example: &Path, run: &str) -> Result<()> {
    let read = |arguments: &[&str]| -> Result<serde_json::Value> {
        say::step(format_args!("flowhost {}", arguments.join(" ")));
        let out = process::output(&mut process::program(host, example, arguments))?;
        serde_json::from_str(&out).context("the command did not print one JSON document")
    };
    let listed = read(&["evidence", "ls", "SPEC-KIT-900", "--json"])?;
    let runs = listed
        .pointer("/runs")
        .and_then(serde_json::Value::as_array);
    let own = runs
        .into_iter()
        .flatten()
        .find(|it| text(it, "/run_id").is_ok_and(|it| it == run));
    let own =
        own.with_context(|| format!("`evidence ls` does not list the run {run}: {listed}"))?;
    for stage in STAGES {
        let ended = text(own, &format!("/stages/{stage}"))?;
        anyhow::ensure!(ended == "completed", "the stage {stage} ended as {ended}");
    }
    let files = own.pointer("/files").and_then(serde_json::Value::as_u64);
    let wanted = FILES_OF_A_STAGE * STAGES.len() as u64;
    anyhow::ensure!(
        files == Some(wanted),
        "{wanted} files of six stages were to be left: {own}"
    );
    let judged = read(&["telemetry", "validate", "evidence", "--json"])?;
    let count = |pointer: &str| judged.pointer(pointer).and_then(serde_json::Value::as_u64);
    anyhow::ensure!(
        count("/invalid") == Some(0) && count("/valid").is_some_and(|it| it > 0),
        "the evidence of examples/spec-kit-900 is not what its schemas say: {judged}"
    );
    say::line(format_args!("{wanted} files of six stages, all valid"));
    Ok(())
}

fn run_example(
    folders: &Folders,
    host: &Path,
    docs: &Path,
    state: &str,
) -> Result<serde_json::Value> {
    let example = folders.root.join("examples/docs-check");
    let input = format!("folder={}", docs.display());
    let arguments = [
        "run",
        "plan.yaml",
        "--json",
        "--state",
        state,
        "--input",
        &input,
    ];
    say::step(format_args!("flowhost {}", arguments.join(" ")));
    let plugins = folders.plugins_out();
    let out = process::output(
        process::program(host, &example, &arguments).env("FLOWHOST_PLUGINS", plugins),
    )?;
    serde_json::from_str(&out).context("`flowhost run --json` did not print one JSON document")
}

fn text<'a>(ran: &'a serde_json::Value, pointer: &str) -> Result<&'a str> {
    ran.pointer(pointer)
        .and_then(serde_json::Value::as_str)
        .with_context(|| format!("the run's document has no text at {pointer}"))
}

fn tell(ran: &serde_json::Value, check: &str) {
    say::step("the answer");
    for (label, pointer) in [
        ("status", "/status"),
        ("run", "/run_id"),
        ("report", "/evidence/report_html"),
        ("evidence", "/evidence/run_dir"),
    ] {
        if let Ok(value) = text(ran, pointer) {
            say::line(format_args!("{label:9} {value}"));
        }
    }
    if let Some(outputs) = ran.get("outputs") {
        say::line(format_args!("outputs   {outputs}"));
    }
    say::line(format_args!("check it: {check}"));
}
