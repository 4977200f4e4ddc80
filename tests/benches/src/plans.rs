//! The whole step path, through the built executable: planner, bus, worker, guest, ledger, views.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bare::Bare;
use crate::calls::sibling;
use crate::host::{bytes, guest};
use crate::measure::{Effort, Figure, Side, duration, in_turns};
use crate::project::Project;
use crate::report::Row;

const STEPS: usize = 1_000;
const ROUNDS: usize = 5;

/// Start to exit of one step, and what a step costs in plans of 1,000.
///
/// # Errors
/// When the executable is missing or a run fails.
pub(crate) fn rows(folder: &Path) -> Result<Vec<Row>> {
    let project = Project::new(&folder.join("plans"))?;
    project.file("echo.wasm", bytes(&guest("ok_echo"))?)?;
    project.file("one.yaml", echoing("one", &chain(1)))?;
    project.file("chained.yaml", echoing("chained", &chain(STEPS)))?;
    project.file("fanned.yaml", echoing("fanned", &fan(STEPS)))?;
    let run = |plan: &str, durability: &str| project.run(plan, durability, &[]);
    run("one.yaml", "relaxed")?;
    let child = median(20, || child_start(&sibling("stdio-tool")?))?;
    let single = median(20, || run("one.yaml", "relaxed"))?;
    let chained_time = median(ROUNDS, || run("chained.yaml", "relaxed"))?;
    let fanned_time = median(ROUNDS, || run("fanned.yaml", "relaxed"))?;
    let durable = median(ROUNDS, || run("fanned.yaml", "durable"))?;
    // What bare wasmtime needs for the guest of a step: no host can be faster than that.
    let bare = Bare::new(&guest("ok_echo"))?;
    let mut guests: Vec<Side<'_>> = vec![Box::new(|batch| {
        (0..batch).try_for_each(|_| bare.call(&r#"{"n":1}"#.to_owned()).map(drop))
    })];
    let own_ns = match in_turns(Effort::SHORT, &mut guests)?.as_slice() {
        [own] => own.median_ns,
        _ => 0.0,
    };
    let per_step = |figure: &Figure| (figure.median_ns - single.median_ns) / (STEPS - 1) as f64;
    let step = |what: &str, ns: f64| Row::new("plan", what, format!("{} a step", duration(ns)), ns);
    let chained_ns = per_step(&chained_time);
    let durable_rate = 1e9 / per_step(&durable);
    Ok(vec![
        Row::new(
            "plan",
            "one step, process start to exit, cached",
            single.text(),
            single.median_ns,
        )
        .against(
            "start of an empty child process",
            child.text(),
            single.median_ns / child.median_ns,
        )
        .goal("≤ 15 ms", single.median_ns <= 15e6),
        step("1,000 steps one after the other, relaxed", chained_ns),
        step(
            "the same, beyond what bare wasmtime needs for the guest",
            chained_ns - own_ns,
        )
        .goal("≤ 60 µs a step", chained_ns - own_ns <= 60_000.0),
        step(
            "1,000 steps in parallel, 64 in flight, relaxed",
            per_step(&fanned_time),
        ),
        Row::new(
            "plan",
            "1,000 steps in parallel, 64 in flight, durable",
            format!("{durable_rate:.0} steps/s"),
            durable_rate,
        )
        .goal("≥ 10 k steps/s", durable_rate >= 10_000.0),
    ])
}

/// A plan of `steps` over a tool that gives back what it is given.
#[must_use]
pub(crate) fn echoing(name: &str, steps: &str) -> String {
    format!(
        "flowhost: v1\nkind: workflow\nname: {name}\nplugins:\n  echo: {{ kind: tool, source: \
         ./echo.wasm, profile: deny-all }}\nsteps:\n{steps}"
    )
}

/// Steps that wait for one another.
#[must_use]
pub(crate) fn chain(steps: usize) -> String {
    let step = |index: usize| match index {
        0 => "  s0: { uses: echo, with: { n: 0 } }\n".to_owned(),
        n => format!(
            "  s{n}: {{ needs: [s{}], uses: echo, with: {{ n: {n} }} }}\n",
            n - 1
        ),
    };
    (0..steps).map(step).collect()
}

fn fan(items: usize) -> String {
    let items: Vec<String> = (0..items).map(|item| item.to_string()).collect();
    format!(
        "  all:\n    foreach: {{ items: [{}], as: item, max_parallel: 64 }}\n    uses: echo\n    with: {{ n: \
         \"${{{{ item }}}}\" }}\n",
        items.join(", ")
    )
}

#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark's own peer, built beside this one"
)]
fn child_start(program: &Path) -> Result<Duration> {
    let start = Instant::now();
    let status = Command::new(program)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "{} failed", program.display());
    Ok(start.elapsed())
}

/// Durations of `rounds` runs.
///
/// # Errors
/// The first error of a run.
pub(crate) fn median(rounds: usize, mut run: impl FnMut() -> Result<Duration>) -> Result<Figure> {
    let samples = (0..rounds)
        .map(|_| Ok(run()?.as_nanos() as f64))
        .collect::<Result<_>>()?;
    Ok(Figure::from_samples(samples))
}
