//! Runs that are going on at once in one process, each with a live agent that waits on http, and what the
//! start of a run costs beside many that were before it.
//!
//! The host is the one of the command, started here without it: what a server of flowhost's would hold.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use flowhost::ambient::Ambient;
use flowhost::config::Config;
use flowhost::project::{self, Request};
use flowhost::report::problems::Texts;
use flowhost_engine::PoolConfig;
use flowhost_ledger::records::RunStart;
use flowhost_ledger::{
    Durability, Fact, HostKey, Kind, LedgerOptions, Recorder as _, RunIndex, run_dir,
};
use flowhost_run::{Host, Project, Run, RunOptions, State};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::calls::sibling;
use crate::host::guest;
use crate::measure::duration;
use crate::memory::private_bytes;
use crate::project::Project as Folder;
use crate::report::Row;

/// An agent whose work is one request.
const AGENT: &str = "ok_agent_waits";
const RUNS: u32 = 1_000;
/// Runs in the state folder beside which one is started.
const BEFORE: u32 = 10_000;
/// Starts of which the median counts.
const ROUNDS: usize = 15;

/// Memory of many runs, and the cost of one start.
///
/// # Errors
/// When the guest is missing, or a run fails.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    raise_the_limit_of_files();
    let gate = Gate::start(runtime)?;
    let mut rows = at_once(runtime, &folder.join("at-once"), &gate)?;
    rows.extend(starts(runtime, &folder.join("starts"))?);
    Ok(rows)
}

/// Every run has a connection with two ends in here and the files of its ledger open: more than the
/// thousand files that most systems allow a process until it asks.
fn raise_the_limit_of_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it cannot be raised, a run says which file it could not open.
    let _as_it_is = setrlimit(Resource::Nofile, limit);
}

/// A server that answers nobody until it is opened.
struct Gate {
    address: SocketAddr,
    asked: watch::Receiver<u32>,
    open: watch::Sender<bool>,
}

impl Gate {
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own server on loopback"
    )]
    fn start(runtime: &Runtime) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (count, asked) = watch::channel(0);
        let open = watch::Sender::new(false);
        let opened = open.clone();
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (count, mut open) = (count.clone(), opened.subscribe());
                tokio::spawn(async move {
                    let mut part = [0; 1_024];
                    let _request = stream.read(&mut part).await;
                    count.send_modify(|count| *count += 1);
                    drop(open.wait_for(|open| *open).await);
                    let answer =
                        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
                    let _gone = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Ok(Self {
            address,
            asked,
            open,
        })
    }
}

/// A host with a project.
pub(crate) struct House {
    host: Host,
    /// What its runs are made of.
    pub(crate) project: Project,
    state: PathBuf,
    key: Arc<HostKey>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark reads the guest that it runs"
)]
pub(crate) fn house(folder: &Path, of: &str, plan: &str, profile: &str) -> Result<House> {
    let files = Folder::new(folder)?;
    files.file(&format!("{of}.wasm"), std::fs::read(guest(of))?)?;
    files.file("plan.yaml", plan)?;
    files.file("policies/waits.toml", profile)?;
    let (ambient, config, project) = loaded(folder)?;
    let path = folder.join(".flowhost");
    let state = State::new(path.clone(), "default");
    let pool = PoolConfig {
        slots: RUNS + 24,
        ..PoolConfig::default()
    };
    let failed = |failure: flowhost_run::Failure| anyhow!(failure.message);
    let parts = flowhost::host::parts(&ambient, &config, &state, pool, None).map_err(failed)?;
    let key = parts.key.clone();
    let host = Host::new(parts).map_err(failed)?;
    Ok(House {
        host,
        project,
        state: path,
        key,
    })
}

/// The plan of a folder with all that it names, as it is there now.
pub(crate) fn loaded(folder: &Path) -> Result<(Ambient, Config, Project)> {
    let ambient = Ambient::with(
        BTreeMap::new(),
        folder.to_owned(),
        Some(sibling("flowhost")?),
    );
    let config = Config::find(&ambient).map_err(|found| anyhow!("{found:?}"))?;
    let request = Request {
        plan: "plan.yaml".into(),
        ..Request::default()
    };
    let loaded = project::load(&ambient, &config, &request, &mut Texts::default());
    let project = loaded.project.context("the benchmark's plan is sound")?;
    Ok((ambient, config, project))
}

impl House {
    pub(crate) fn start(&self) -> Result<Run> {
        let options = RunOptions {
            durability: Durability::Relaxed,
            allow_private_network: true,
            ..RunOptions::default()
        };
        let run = self.host.start(self.project.clone(), options);
        run.map_err(|failure| anyhow!(failure.message))
    }
}

async fn ended_well(run: &Run) -> Result<()> {
    let finished = run
        .outcome()
        .await
        .map_err(|failure| anyhow!(failure.message))?;
    let end = finished.outcome.end;
    ensure!(end.exit.code() == 0, "a run failed: {:?}", end.failure);
    Ok(())
}

fn waiting_plan(url: &str) -> String {
    format!(
        "flowhost: v1\nkind: workflow\nname: waits\ntimeout: 30m\nplugins:\n  waits: {{ kind: agent, source: \
         ./{AGENT}.wasm, profile: waits }}\nsteps:\n  only: {{ uses: waits, with: {{ url: \"{url}\" }}, timeout: \
         20m }}\n"
    )
}

fn waiting_profile(url: &str) -> String {
    format!(
        "version = 1\nname = \"waits\"\n[limits]\ndeadline = \"5m\"\n[[http]]\nurl = \"{url}\"\n\
         methods = [\"GET\"]\nprivate_network = true\n"
    )
}

fn at_once(runtime: &Runtime, folder: &Path, gate: &Gate) -> Result<Vec<Row>> {
    let url = format!("http://{}/", gate.address);
    let house = house(folder, AGENT, &waiting_plan(&url), &waiting_profile(&url))?;
    let mut asked = gate.asked.clone();
    let (bytes, alive_ns, all_ns) = runtime.block_on(async {
        let start = Instant::now();
        // One that has come to the gate, with all that a first run makes: engine, cache, connections.
        let mut runs = vec![house.start()?];
        asked.wait_for(|asked| *asked >= 1).await?;
        let before = private_bytes()?;
        for _ in 1..RUNS {
            runs.push(house.start()?);
        }
        asked.wait_for(|asked| *asked >= RUNS).await?;
        let alive = start.elapsed();
        let bytes = private_bytes()?.saturating_sub(before) / u64::from(RUNS - 1);
        gate.open.send_replace(true);
        for run in &runs {
            ended_well(run).await?;
        }
        let all = start.elapsed();
        anyhow::Ok((bytes, alive.as_nanos() as f64, all.as_nanos() as f64))
    })?;
    let value = bytes as f64;
    Ok(vec![
        Row::new(
            "runs",
            "memory per run, 1,000 runs at once in one process, each with an agent that waits on http",
            format!("{:.0} KiB", value / 1024.0),
            value,
        ),
        Row::new(
            "runs",
            "the same: from the first start until all 1,000 agents wait",
            duration(alive_ns),
            alive_ns,
        ),
        Row::new(
            "runs",
            "the same: from the first start until all 1,000 runs are signed",
            duration(all_ns),
            all_ns,
        ),
    ])
}

/// One step that does nothing, from its start to its seal, beside no other run and beside many.
fn starts(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let plan = "flowhost: v1\nkind: workflow\nname: once\nplugins:\n  echo: { kind: tool, source: \
                ./ok_echo.wasm, profile: deny-all }\nsteps:\n  only: { uses: echo/run, with: {} }\n";
    let unused = waiting_profile("http://127.0.0.1:9/");
    let house = house(folder, "ok_echo", plan, &unused)?;
    let median = || -> Result<f64> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            runtime.block_on(async { ended_well(&house.start()?).await })?;
            times.push(start.elapsed().as_nanos() as f64);
        }
        times.sort_by(f64::total_cmp);
        times.get(ROUNDS / 2).copied().context("there are rounds")
    };
    let _compiled = median()?;
    let few = median()?;
    fill(&house)?;
    let many = median()?;
    let files = Folder::new(folder)?;
    let mut listed = Vec::new();
    for _ in 0..ROUNDS {
        listed.push(files.flowhost(&["runs", "list"], 0)?.1.as_nanos() as f64);
    }
    listed.sort_by(f64::total_cmp);
    let listed = listed
        .get(ROUNDS / 2)
        .copied()
        .context("there are rounds")?;
    Ok(vec![
        Row::new(
            "runs",
            "`flowhost runs list` of 10,000 runs, process start to exit",
            duration(listed),
            listed,
        )
        .goal("< 200 ms", listed < 200e6),
        Row::new(
            "runs",
            "one step from its start to its seal, beside 10,000 runs in the state folder",
            duration(many),
            many,
        )
        .against("beside a few runs", duration(few), many / few),
    ])
}

/// Runs that have ended, each with a ledger of its own.
fn fill(house: &House) -> Result<()> {
    const THREADS: u32 = 16;
    let index = RunIndex::new(&house.state, "default", house.key.clone());
    let made = std::thread::scope(|threads| {
        let makers = (0..THREADS).map(|maker| {
            let index = &index;
            threads.spawn(move || -> Result<()> {
                for number in (maker..BEFORE).step_by(THREADS as usize) {
                    let run = format!("bench-{number}");
                    let dir = run_dir(&house.state, "default", &run);
                    let mut options = LedgerOptions::new(&dir, "default", &run, house.key.clone());
                    options.durability = Durability::Relaxed;
                    let start = RunStart {
                        plan: Some("once".to_owned()),
                        ..RunStart::default()
                    };
                    let ledger = index.begin(&options, start)?;
                    ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
                    index.ended(&run, "ok", &ledger.close_blocking()?)?;
                }
                Ok(())
            })
        });
        let makers: Vec<_> = makers.collect();
        makers
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect::<Vec<_>>()
    });
    for maker in made {
        maker.map_err(|_panic| anyhow!("a thread failed"))??;
    }
    Ok(())
}
