//! What telemetry costs a run: the plan of 1,000 steps with spans and metrics exported to a collector on
//! loopback, against the same plan without. The collector shares the processors, as one on the same
//! machine does.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;

use crate::host::{bytes, guest};
use crate::loopback::{Answer, Server};
use crate::measure::Figure;
use crate::plans::{chain, echoing};
use crate::project::{COLLECTOR, Project};
use crate::report::Row;

const STEPS: usize = 1_000;
const ROUNDS: u32 = 11;
const GOAL: f64 = 1.05;

/// On against off.
///
/// # Errors
/// When the executable is missing, a run fails, or nothing reached the collector.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let collector = Server::start(
        runtime,
        "/v1/traces",
        Answer {
            content: "application/x-protobuf",
            pieces: Arc::from([]),
        },
    )?;
    let address = collector.address();
    let on = [(COLLECTOR, address.as_str())];
    let project = Project::new(&folder.join("telemetry"))?;
    project.file("echo.wasm", bytes(&guest("ok_echo"))?)?;
    project.file("plan.yaml", echoing("telemetry", &chain(STEPS)))?;
    let run = |variables: &[(&str, &str)]| {
        let time = project.run("plan.yaml", "relaxed", variables)?;
        anyhow::Ok(time.as_nanos() as f64)
    };
    run(&[])?;
    ensure!(collector.asked() == 0, "telemetry was on unasked");
    let mut without = Vec::new();
    let mut with = Vec::new();
    for round in 0..ROUNDS {
        // Neither side always goes first: what the disk still owes the one is paid by the other.
        if round % 2 == 0 {
            without.push(run(&[])?);
            with.push(run(&on)?);
        } else {
            with.push(run(&on)?);
            without.push(run(&[])?);
        }
    }
    ensure!(
        collector.asked() >= u64::from(ROUNDS),
        "the collector got no spans"
    );
    let ratios = with
        .iter()
        .zip(&without)
        .map(|(with, without)| with / without);
    let ratio = Figure::from_samples(ratios.collect()).median_ns;
    let (with, without) = (Figure::from_samples(with), Figure::from_samples(without));
    let what = "1,000 steps one after the other, relaxed, telemetry exported, start to exit";
    Ok(vec![
        Row::new("model", what, with.text(), with.median_ns)
            .against("without telemetry", without.text(), ratio)
            .goal("≤ 1.05 ×", ratio <= GOAL),
    ])
}
