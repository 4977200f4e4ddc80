//! What it costs that runs survive: host calls with and without a ledger, resuming from many records, and
//! the planner by itself.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use flowhost_caps::clock::{Clock, TimeSource};
use flowhost_engine::Provider;
use flowhost_flow::{
    Action, Amounts, CallResult, Event, Plan, Planner, RunSetup, Time, planner_for,
};
use flowhost_ledger::{Durability, Fact, LedgerError, Recorder};
use flowhost_policy::{ClockMode, Effective, Grants};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::host::{Host, bytes, engine, guest, inspected, ledger, repository};
use crate::measure::{Effort, Figure, Side, duration, in_turns};
use crate::plans::{echoing, median};
use crate::project::Project;
use crate::report::Row;

/// Host calls of the loop.
const CALLS: u32 = 5_000;
/// Steps of the planner's plan.
const STEPS: usize = 10_000;
/// Items of a `foreach` whose runs have about 1,000 and about 100,000 records when they wait at a gate.
const FEW: usize = 160;
const MANY: usize = 16_500;
const ROUNDS: usize = 3;

/// All of it.
///
/// # Errors
/// When a guest or the executable is missing, or a run fails.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let mut rows = recorded(runtime, &folder.join("recorded"))?;
    rows.extend(resumed(&folder.join("resumed"))?);
    rows.extend(reused(&folder.join("reused"))?);
    rows.push(planned()?);
    Ok(rows)
}

/// A recorder that keeps nothing: the host as it would be without a ledger.
#[derive(Default)]
struct Nowhere(AtomicU64);

impl Recorder for Nowhere {
    fn append(&self, _: Fact) -> Result<u64, LedgerError> {
        Ok(self.0.fetch_add(1, Relaxed))
    }

    fn durable(&self, _: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A clock that costs nothing, so that a host call is its record and the way to the host.
struct Still;

impl TimeSource for Still {
    fn now(&self) -> Duration {
        Duration::from_secs(1_795_000_000)
    }
}

/// One call of a guest that reads the clock again and again: each reading is an answer from outside, and so
/// a record. Durable: until its result is on the disk.
fn recorded(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let engine = engine(None, 8, flowhost_caps::all())?;
    let effective = Effective {
        grants: Grants {
            clock: ClockMode::Real,
            named: ["clock"].into(),
            ..Grants::default()
        },
        ..Effective::default()
    };
    let relaxed = ledger(&folder.join("relaxed"), Durability::Relaxed)?;
    let durable = ledger(&folder.join("durable"), Durability::Durable)?;
    let recorders: [Arc<dyn Recorder>; 3] = [
        Arc::new(Nowhere::default()),
        Arc::new(relaxed.clone()),
        Arc::new(durable.clone()),
    ];
    let component = inspected(&guest("limit_clock"))?;
    let input = format!(r#"{{"times":{CALLS}}}"#);
    let mut sides: Vec<Side<'_>> = Vec::new();
    for recorder in recorders {
        let clock: Arc<dyn Provider> = Arc::new(Clock::new(Arc::new(Still)));
        let providers = providers(&clock)?;
        let host = Host::new(
            &engine,
            &component,
            effective.clone(),
            recorder.clone(),
            providers,
        );
        let host = runtime.block_on(host)?;
        let input = input.clone();
        sides.push(Box::new(move |batch| {
            for _ in 0..batch {
                runtime.block_on(async {
                    let seq = host.call(&input).await?;
                    recorder.durable(seq).await?;
                    anyhow::Ok(())
                })?;
            }
            Ok(())
        }));
    }
    let effort = Effort {
        time: Duration::from_secs(3),
        batch: 1,
    };
    let figures = in_turns(effort, &mut sides)?;
    drop(sides);
    relaxed.close_blocking()?;
    durable.close_blocking()?;
    let [without, relaxed, durable] = figures.as_slice() else {
        bail!("three sides give three figures");
    };
    let row = |what: &str, figure: &Figure, goal: &'static str, most: f64| {
        let ratio = figure.median_ns / without.median_ns;
        let what = format!("a call with {CALLS} recorded host calls, {what}");
        Row::new("survive", what, figure.text(), figure.median_ns)
            .against("without a ledger", without.text(), ratio)
            .goal(goal, ratio <= most)
    };
    Ok(vec![
        row("relaxed", relaxed, "≤ 2 ×", 2.0),
        row("durable", durable, "≤ 4 ×", 4.0),
    ])
}

/// What a run brings for every capability of the engine: the clock, and nothing for those that the profile
/// does not grant.
fn providers(clock: &Arc<dyn Provider>) -> Result<Arc<[Arc<dyn Provider>]>> {
    let names: Vec<&str> = flowhost_caps::all().iter().map(|it| it.name()).collect();
    let known = names.contains(&"clock");
    anyhow::ensure!(known, "the list has no `clock`: {names:?}");
    // Only the granted one is opened; the others stand in their places.
    Ok(names.iter().map(|_| clock.clone()).collect())
}

/// Runs that wait at a gate after many records, and are resumed.
fn resumed(folder: &Path) -> Result<Vec<Row>> {
    let project = Project::new(folder)?;
    project.file("echo.wasm", bytes(&guest("ok_echo"))?)?;
    for (name, items) in [("few.yaml", FEW), ("many.yaml", MANY)] {
        project.file(name, echoing("waits", &waiting(items)))?;
    }
    let mut measured = Vec::new();
    for plan in ["few.yaml", "many.yaml"] {
        let mut records = 0;
        let time = median(ROUNDS, || {
            let run = ["run", plan, "--durability", "relaxed", "--json"];
            project.flowhost(&run, 9)?;
            let (listed, _) = project.flowhost(&["runs", "list", "--json"], 0)?;
            let listed: Value = serde_json::from_slice(&listed)?;
            let count = listed.pointer("/0/records").and_then(Value::as_u64);
            records = count.context("a run says how many records it has")?;
            let approve = ["runs", "approve", "latest", "gate", "--by", "bench"];
            project.flowhost(&approve, 0)?;
            let (_, time) = project.flowhost(&["runs", "resume", "latest", "--json"], 0)?;
            Ok(time)
        })?;
        measured.push((records, time));
    }
    let [(few, few_time), (many, many_time)] = measured.as_slice() else {
        bail!("two plans give two figures");
    };
    let rate = (many - few) as f64 / (many_time.median_ns - few_time.median_ns) * 1e9;
    Ok(vec![
        Row::new(
            "survive",
            format!("resuming a run of {few} records to its end, process start to exit"),
            few_time.text(),
            few_time.median_ns,
        ),
        Row::new(
            "survive",
            format!("the same of {many} records; what the others cost is the rate"),
            format!("{:.0} k records/s", rate / 1e3),
            rate,
        )
        .against(
            "the small run",
            duration(few_time.median_ns),
            many_time.median_ns / few_time.median_ns,
        )
        .goal("≥ 200 k records/s", rate >= 200_000.0),
    ])
}

/// The example `docs-audit` after one of its four documents has changed, with what the run before gave and without.
/// The model takes 50 ms for an answer, which is little for a model. The documents are looked at side by side, so that
/// time is the least of what is saved: what is not asked is not paid.
fn reused(folder: &Path) -> Result<Vec<Row>> {
    const AGAIN: usize = 5;
    const CHANGED: &str = "sample/faq.md";
    let project = Project::new(folder)?;
    let example = repository().join("examples/docs-audit");
    for file in [
        "plan.yaml",
        "prompts/audit.md",
        "policies/auditor.toml",
        "policies/folder-reader.toml",
        "policies/report-writer.toml",
        "sample/faq.md",
        "sample/index.md",
        "sample/install.md",
        "sample/limits.md",
        "scripts/audit/auditor.json",
    ] {
        project.file(file, bytes(&example.join(file))?)?;
    }
    let models =
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\nlatency = \"50ms\"\n";
    project.file("flowhost.toml", models)?;
    let whole = ["run", "plan.yaml", "--json"];
    let part = ["run", "plan.yaml", "--json", "--reuse", "latest"];
    // Compiles, which neither of the two is to pay for.
    project.flowhost(&whole, 0)?;
    let mut text = bytes(&example.join(CHANGED))?.to_vec();
    let mut change = || {
        text.push(b'\n');
        project.file(CHANGED, &text)
    };
    let tokens = |report: &[u8]| -> Result<u64> {
        let report: Value = serde_json::from_slice(report)?;
        let tokens = report.pointer("/cost/tokens").and_then(Value::as_u64);
        tokens.context("a run says how many tokens it used")
    };
    let (mut anew, mut again, mut asked) = (Vec::new(), Vec::new(), (0, 0));
    for _ in 0..AGAIN {
        change()?;
        let (report, time) = project.flowhost(&whole, 0)?;
        anew.push(time.as_nanos() as f64);
        asked.0 = tokens(&report)?;
        change()?;
        let (report, time) = project.flowhost(&part, 0)?;
        again.push(time.as_nanos() as f64);
        asked.1 = tokens(&report)?;
        anyhow::ensure!(
            asked.1 < asked.0,
            "the second run took nothing of the first"
        );
    }
    let (anew, again) = (Figure::from_samples(anew), Figure::from_samples(again));
    let what = "`docs-audit` after one of four documents has changed, `--reuse latest`, a model of 50 ms, \
                process start to exit";
    let against = "all of it anew";
    let (all, some) = (asked.0 as f64, asked.1 as f64);
    let ratio = again.median_ns / anew.median_ns;
    Ok(vec![
        Row::new("survive", what, again.text(), again.median_ns).against(
            against,
            anew.text(),
            ratio,
        ),
        Row::new(
            "survive",
            "the same: tokens that the model is paid for",
            format!("{}", asked.1),
            some,
        )
        .against(against, format!("{}", asked.0), some / all),
    ])
}

/// Work for this many items, in as many steps as it takes, and a gate after it.
fn waiting(items: usize) -> String {
    const IN_A_STEP: usize = 8_500;
    let mut steps = String::new();
    let mut needs = Vec::new();
    for (index, start) in (0..items).step_by(IN_A_STEP).enumerate() {
        let end = items.min(start + IN_A_STEP);
        let list: Vec<String> = (start..end).map(|item| item.to_string()).collect();
        let _ = writeln!(
            steps,
            "  all{index}:\n    foreach: {{ items: [{}], as: item, max_parallel: 64 }}\n    uses: echo\n    \
             with: {{ n: \"${{{{ item }}}}\" }}",
            list.join(", ")
        );
        needs.push(format!("all{index}"));
    }
    let needs = needs.join(", ");
    steps + &format!("  gate: {{ needs: [{needs}], wait_for: approval, timeout: 4h }}\n")
}

/// Events of a plan of 10,000 steps that wait for one another, given to the planner alone.
fn planned() -> Result<Row> {
    let mut text = "flowhost: v1\nkind: workflow\nname: t\ntimeout: 2h\nbudget: {calls: 1000000}\n\
        plugins: {t: {kind: tool, source: ./t.wasm, profile: p}}\nsteps:\n  s0: {uses: t}\n"
        .to_owned();
    for step in 1..STEPS {
        let _ = writeln!(text, "  s{step}: {{uses: t, needs: [s{}]}}", step - 1);
    }
    let plan = Plan::parse(&text, "bench.yaml").map_err(|problems| anyhow!("{problems:?}"))?;
    let plan = Arc::new(plan);
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let setup = RunSetup {
            run_id: "01JD00000000000000000000AA".to_owned(),
            plan_hash: "bench".to_owned(),
            seed: 1,
            inputs: Map::new(),
            estimates: BTreeMap::new(),
            components: BTreeMap::new(),
            only: None,
            on_request: false,
        };
        let planner = planner_for(plan.clone(), setup).map_err(|it| anyhow!("{it:?}"))?;
        let start = Instant::now();
        let events = driven(planner)?;
        rates.push(events as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    let rate = rates.get(ROUNDS / 2).copied().context("there are rounds")?;
    Ok(Row::new(
        "survive",
        format!("events of a planner, {STEPS} steps one after the other"),
        format!("{:.0} k events/s", rate / 1e3),
        rate,
    ))
}

/// Answers every call in the order in which it was asked; gives the number of events.
fn driven(mut planner: Box<dyn Planner>) -> Result<u64> {
    let mut events = 1;
    let mut actions = planner.on(Event::Started, Time(0));
    let mut open = VecDeque::new();
    loop {
        for action in actions.drain(..) {
            match action {
                Action::Call(call) => open.push_back(call.id),
                Action::Finish(_) => return Ok(events),
                _ => {}
            }
        }
        let call = open.pop_front().context("a run that waits for nothing")?;
        events += 1;
        let used = Amounts {
            calls: 1,
            ..Amounts::default()
        };
        let result = CallResult::Output(Value::Null);
        actions = planner.on(Event::CallFinished { call, result, used }, Time(events));
    }
}
