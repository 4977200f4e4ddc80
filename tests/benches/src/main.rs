//! Runs all benchmarks and prints one JSON document; `cargo xtask bench` starts it and writes the page.
//!
//! `flowhost-bench [--node PATH] [--commit TEXT] [--markdown FILE] [--only GROUP]`. Nothing here asserts a time: a
//! figure that misses its goal is a `no` in the table. What could not be measured is a row that says why, and the
//! program fails when it has written all others.

mod agents;
// The executable's own (docs/adr/0008), as its file stands: what is measured in this process is what a user has.
#[path = "../../../host/flowhost/src/allocator.rs"]
mod allocator;
mod authors;
mod bare;
mod calls;
mod host;
mod loads;
mod loopback;
mod mcp;
mod measure;
mod memory;
mod models;
mod peers;
mod plans;
mod project;
mod report;
mod runs;
mod stages;
mod substrate;
mod survive;
mod telemetry;
mod world;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// Both sides of a comparison have it.
#[global_allocator]
static ALLOCATOR: allocator::Mimalloc = allocator::Mimalloc;

#[derive(Default)]
struct Options {
    node: Option<PathBuf>,
    commit: String,
    markdown: Option<PathBuf>,
    only: Option<String>,
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--node" => options.node = Some(value.into()),
            "--commit" => options.commit = value,
            "--markdown" => options.markdown = Some(value.into()),
            "--only" => options.only = Some(value),
            other => bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark writes its own page"
)]
fn main() -> Result<()> {
    let options = options()?;
    let scratch = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let wanted = |group: &str| options.only.as_deref().is_none_or(|only| only == group);
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    // A group that fails takes nothing from the others, which took minutes.
    let mut take = |measured: Result<Vec<report::Row>>| match measured {
        Ok(measured) => rows.extend(measured),
        Err(failure) => failures.push(format!("{failure:#}")),
    };
    if wanted("call") {
        take(calls::rows(
            &runtime,
            scratch.path(),
            options.node.as_deref(),
        ));
    }
    if wanted("load") {
        take(loads::rows(&runtime, scratch.path()));
    }
    if wanted("memory") {
        take(memory::rows(&runtime));
    }
    if wanted("runs") {
        take(runs::rows(&runtime, scratch.path()));
    }
    if wanted("substrate") {
        take(substrate::rows(&runtime, scratch.path()));
    }
    if wanted("plan") {
        take(plans::rows(scratch.path()));
    }
    if wanted("survive") {
        take(survive::rows(&runtime, scratch.path()));
    }
    if wanted("model") {
        take(models::rows(&runtime, scratch.path()));
        take(agents::rows(scratch.path()));
        take(telemetry::rows(&runtime, scratch.path()));
    }
    if wanted("authors") {
        take(Ok(authors::rows(&runtime, &scratch.path().join("authors"))));
    }
    if wanted("mcp") {
        take(mcp::rows(&runtime, scratch.path(), options.node.as_deref()));
    }
    if wanted("consensus") {
        take(stages::rows(scratch.path()));
    }
    for row in rows.iter().filter(|row| !row.not_measured.is_empty()) {
        failures.push(format!("{}: {}: {}", row.group, row.what, row.not_measured));
    }
    let run = report::Run {
        machine: machine(),
        commit: options.commit,
        rows,
    };
    if let Some(path) = options.markdown {
        std::fs::write(path, run.markdown())?;
    }
    let mut output = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut output, &run)?;
    writeln!(output)?;
    ensure!(
        failures.is_empty(),
        "not measured:\n{}",
        failures.join("\n")
    );
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark names the machine it ran on"
)]
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = kernel.split('-').next().unwrap_or_default().trim();
    format!(
        "{}, {cores} cores, Linux {release}",
        model.unwrap_or("unknown processor")
    )
}
