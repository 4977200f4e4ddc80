//! The whole step path, through the built executable: planner, bus, worker, guest, ledger, views.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::calls::sibling;
use crate::host::guest;
use crate::measure::{Figure, duration};
use crate::report::Row;

const STEPS: usize = 1_000;
const ROUNDS: usize = 5;

/// Start to exit of one step, and what a step costs in plans of 1,000.
///
/// # Errors
/// When the executable is missing or a run fails.
pub(crate) fn rows(folder: &Path) -> Result<Vec<Row>> {
    let project = Project::new(folder)?;
    let one = project.plan("one", &chain(1))?;
    let chained = project.plan("chained", &chain(STEPS))?;
    let fanned = project.plan("fanned", &fan(STEPS))?;
    project.run(&one, "relaxed")?;
    let child = median(20, || child_start(&sibling("stdio-tool")?))?;
    let single = median(20, || project.run(&one, "relaxed"))?;
    let chained_time = median(ROUNDS, || project.run(&chained, "relaxed"))?;
    let fanned_time = median(ROUNDS, || project.run(&fanned, "relaxed"))?;
    let durable = median(ROUNDS, || project.run(&fanned, "durable"))?;
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
        .goal("≤ 30 ms", single.median_ns <= 30e6),
        step("1,000 steps one after the other, relaxed", chained_ns)
            .goal("≤ 60 µs a step", chained_ns <= 60_000.0),
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

struct Project {
    folder: PathBuf,
    executable: PathBuf,
}

impl Project {
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch folder"
    )]
    fn new(folder: &Path) -> Result<Self> {
        let folder = folder.join("plans");
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(guest("ok_echo"), folder.join("echo.wasm"))?;
        Ok(Self {
            folder,
            executable: sibling("flowhost")?,
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch folder"
    )]
    fn plan(&self, name: &str, steps: &str) -> Result<String> {
        let file = format!("{name}.yaml");
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: {name}\nplugins:\n  echo: {{ kind: tool, source: \
             ./echo.wasm, profile: deny-all }}\nsteps:\n{steps}"
        );
        std::fs::write(self.folder.join(&file), text)?;
        Ok(file)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, built beside this one"
    )]
    fn run(&self, plan: &str, durability: &str) -> Result<Duration> {
        let start = Instant::now();
        let output = Command::new(&self.executable)
            .args(["run", plan, "--durability", durability, "--json"])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .output()?;
        let time = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "flowhost run {plan}: {said}");
        Ok(time)
    }
}

fn chain(steps: usize) -> String {
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

fn median(rounds: usize, mut run: impl FnMut() -> Result<Duration>) -> Result<Figure> {
    let samples = (0..rounds)
        .map(|_| Ok(run()?.as_nanos() as f64))
        .collect::<Result<_>>()?;
    Ok(Figure::from_samples(samples))
}
