//! What telemetry costs a run: the plan of 1,000 steps with spans and metrics exported to a collector on
//! loopback, against the same plan without. The collector shares the processors, as one on the same
//! machine does.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;

use crate::host::{bytes, guest};
use crate::loopback::{Answer, Server};
use crate::measure::{Figure, duration};
use crate::plans::{chain, echoing};
use crate::project::{COLLECTOR, Project};
use crate::report::Row;

const STEPS: usize = 1_000;
/// Steps of the run whose metrics are read while it lasts: long enough for many looks.
const ROUTED: usize = 4_000;
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
    let mut rows = vec![
        Row::new("model", what, with.text(), with.median_ns)
            .against("without telemetry", without.text(), ratio)
            .goal("≤ 1.05 ×", ratio <= GOAL),
    ];
    rows.extend(routed(&project)?);
    Ok(rows)
}

/// From a planner's order to its worker's answer, as the run itself exports it.
fn routed(project: &Project) -> Result<Vec<Row>> {
    project.file("routed.yaml", echoing("routed", &chain(ROUTED)))?;
    let page = project.scraped("routed.yaml")?;
    let buckets = Buckets::of(&page, "worker_execution_latency_seconds_bucket");
    let row = |(name, share): (&str, f64)| {
        let seconds = buckets.quantile(share)?;
        let what = format!("from an order to its answer, as `/metrics` has it at the end: {name}");
        Ok(Row::new(
            "model",
            what,
            duration(seconds * 1e9),
            seconds * 1e9,
        ))
    };
    [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)]
        .into_iter()
        .map(row)
        .collect()
}

/// A histogram of the text format of Prometheus: upper bounds with how many are at most that, summed over
/// all labels.
struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    fn of(page: &str, name: &str) -> Self {
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for line in page.lines().filter(|line| line.starts_with(name)) {
            let bound = line
                .split("le=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let count = line
                .rsplit(' ')
                .next()
                .and_then(|it| it.parse::<f64>().ok());
            let (Some(bound), Some(count)) = (bound, count) else {
                continue;
            };
            let bound = bound.parse().unwrap_or(f64::INFINITY);
            match buckets.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((bound, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self(buckets)
    }

    /// As Prometheus' `histogram_quantile`: along a line within the bucket.
    fn quantile(&self, share: f64) -> Result<f64> {
        let all = self.0.last().map_or(0.0, |(_, count)| *count);
        ensure!(all >= 1.0, "the page of metrics has no latency of a worker");
        let rank = share * all;
        let (mut lower, mut before) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                // The last bucket has no upper end: its lower one is what is known.
                let upper = if bound.is_finite() { *bound } else { lower };
                return Ok(lower + (upper - lower) * (rank - before) / (count - before).max(1.0));
            }
            (lower, before) = (*bound, *count);
        }
        Ok(lower)
    }
}
