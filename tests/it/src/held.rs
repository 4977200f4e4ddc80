//! Runs that this process holds itself, as a server or a worker would: no command, no child of its own
//! but the one that compiles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flowhost::ambient::Ambient;
use flowhost::config::Config;
use flowhost::kept::Kept;
use flowhost::project::{self, Project, Request};
use flowhost::report::problems::Texts;
use flowhost_engine::PoolConfig;
use flowhost_ledger::{Durability, HostKey, verify_dir};
use flowhost_run::{Finished, Host, HostConfig, Run, RunOptions, RunState, State};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::cli::plan;
use crate::support::{Home, executable, repository};

fn ambient(home: &Home) -> Ambient {
    let plugins = repository().join("target/plugins");
    let plugins = plugins.display().to_string();
    let mut variables = BTreeMap::from([("FLOWHOST_PLUGINS".to_owned(), plugins)]);
    let own = home.path().join("op/flowhost.toml");
    if own.is_file() {
        variables.insert("FLOWHOST_CONFIG".to_owned(), own.display().to_string());
    }
    Ambient::with(variables, home.path().to_owned(), Some(executable()))
}

/// The project in a user's folder, as the command reads it.
pub(crate) fn project(home: &Home) -> Project {
    let ambient = ambient(home);
    let config = Config::find(&ambient).unwrap();
    let request = Request {
        plan: "plan.yaml".into(),
        ..Request::default()
    };
    let loaded = project::load(&ambient, &config, &request, &mut Texts::default());
    loaded
        .project
        .unwrap_or_else(|| panic!("{:#?}", loaded.findings))
}

/// What a host for the user's folder is made of.
pub(crate) fn parts(home: &Home) -> HostConfig {
    let ambient = ambient(home);
    let config = Config::find(&ambient).unwrap();
    let state = State::new(home.path().join(".flowhost"), "default");
    flowhost::host::parts(&ambient, &config, &state, PoolConfig::default(), None).unwrap()
}

pub(crate) fn host(home: &Home) -> Host {
    Host::new(parts(home)).unwrap()
}

pub(crate) fn options() -> RunOptions {
    RunOptions {
        durability: Durability::Relaxed,
        allow_private_network: true,
        ..RunOptions::default()
    }
}

/// A server that answers nobody until it is opened.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    asked: watch::Receiver<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, asked) = watch::channel(0);
        let open = watch::Sender::new(false);
        let opened = open.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, count.clone(), opened.subscribe()));
            }
        });
        Self {
            address,
            asked,
            open,
        }
    }

    /// Waits until so many have asked.
    pub(crate) async fn reached_by(&mut self, most: usize) {
        let all = self.asked.wait_for(|asked| *asked >= most);
        let within = tokio::time::timeout(Duration::from_secs(240), all).await;
        assert!(
            within.is_ok_and(|all| all.is_ok()),
            "{} of {most}",
            *self.asked.borrow()
        );
    }

    /// How many have asked so far.
    pub(crate) fn count(&self) -> usize {
        *self.asked.borrow()
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn answer(
    mut stream: TcpStream,
    count: watch::Sender<usize>,
    mut open: watch::Receiver<bool>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut part = [0; 1_024];
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "a request without an end");
        request.extend(part.iter().take(read));
    }
    count.send_modify(|count| *count += 1);
    open.wait_for(|open| *open).await.unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A plan whose steps are an agent that waits at the gate, one after another.
pub(crate) fn waiting(gate: &Gate, steps: &str) -> Home {
    let home = Home::new();
    home.guest("ok_agent_waits");
    let url = format!("http://{}/", gate.address);
    home.file(
        "policies/waits.toml",
        format!(
            "version = 1\nname = \"waits\"\n[limits]\ndeadline = \"5m\"\n[[http]]\nurl = \"{url}\"\n\
             methods = [\"GET\"]\nprivate_network = true\n"
        ),
    );
    let agent = "  waits: { kind: agent, source: ./ok_agent_waits.wasm, profile: waits }\n";
    home.file("plan.yaml", plan(agent, &steps.replace("URL", &url)));
    home
}

#[track_caller]
pub(crate) fn sound(finished: &Finished) {
    let exit = finished.outcome.end.exit;
    assert_eq!(exit.code(), 0, "{:?}", finished.outcome.end);
    let report = verify_dir(&finished.evidence.run_dir, &[]);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}

/// Few enough for the files that a process may have open where nobody raised the limit: each run has a
/// connection with two ends in here, and the files of its ledger. `HELD_RUNS=1000` tries more;
/// `cargo xtask bench --only runs` measures them.
const RUNS: usize = 100;

fn how_many() -> usize {
    std::env::var("HELD_RUNS").map_or(RUNS, |text| text.parse().unwrap())
}

/// Resident memory of this process in KiB.
fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// All of them are inside a guest's call at the same time, each with a ledger and a bus of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_runs_are_at_work_at_once_in_one_process() {
    let mut gate = Gate::new().await;
    let home = waiting(
        &gate,
        "  only: { uses: waits, with: { url: \"URL\" }, timeout: 5m }",
    );
    let (host, project) = (host(&home), project(&home));
    let count = how_many();
    let begun = std::time::Instant::now();
    let mut runs = vec![host.start(project.clone(), options()).unwrap()];
    gate.reached_by(1).await;
    let before = resident_kib();
    let more = (1..count).map(|_| host.start(project.clone(), options()).unwrap());
    runs.extend(more);
    gate.reached_by(count).await;
    eprintln!(
        "{count} runs wait after {:?}, {} KiB each",
        begun.elapsed(),
        resident_kib().saturating_sub(before) / count
    );
    assert_eq!(host.runs().len(), count);
    assert!(runs.iter().all(|run| run.state() == RunState::Running));
    gate.open();
    let ends = futures::future::join_all(runs.iter().map(Run::outcome)).await;
    for end in ends {
        sound(&end.unwrap());
    }
    assert!(host.runs().is_empty(), "nothing is kept of runs that ended");
}

/// The same component with one more section that says nothing: another build.
fn rebuild(home: &Home) {
    let file = home.path().join("ok_agent_waits.wasm");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    std::fs::write(&file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_on_the_build_that_it_began_with_and_the_next_takes_the_new_one() {
    let mut gate = Gate::new().await;
    let home = waiting(
        &gate,
        "  first: { uses: waits, with: { url: \"URL\" } }\n  \
         second: { uses: waits, with: { url: \"URL\" }, needs: [first] }",
    );
    let run = host(&home).start(project(&home), options()).unwrap();
    gate.reached_by(1).await;
    rebuild(&home);
    let after = project(&home);
    let swapped = run.swap("waits", &after.members["waits"]).await.unwrap();
    assert_eq!(swapped.revision, 2);
    gate.open();
    sound(&run.outcome().await.unwrap());
    let records = home.records();
    let reloads: Vec<_> = records.iter().filter(|it| it["kind"] == "reload").collect();
    let [reload] = reloads[..] else {
        panic!("{reloads:#?}");
    };
    let asked = records.iter().filter(|it| it["kind"] == "net.decision");
    let mut builds: Vec<_> = asked
        .map(|it| json!([it["component"], it["revision"]]))
        .collect();
    builds.dedup();
    let (old, new) = (&reload["component_before"], &reload["component"]);
    assert_eq!(builds, [json!([old, "1"]), json!([new, "2"])]);
    assert_ne!(reload["component"], reload["component_before"]);
    // Each call again by the build that it had, wherever the files are now.
    std::fs::remove_file(home.path().join("ok_agent_waits.wasm")).unwrap();
    let replayed = tokio::task::spawn_blocking(move || crate::cli::again::replays(&home)).await;
    // Both, and what the agent does when it is told of the end.
    assert_eq!(replayed.unwrap()["calls"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_asks_whom_the_operator_believes_by_then() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, "  only: { uses: waits, with: { url: \"URL\" } }");
    home.file("op/flowhost.toml", "");
    let run = host(&home).start(project(&home), options()).unwrap();
    gate.reached_by(1).await;
    rebuild(&home);
    let after = project(&home);
    let key = HostKey::from_seed("author.example", [9; 32])
        .unwrap()
        .vkey();
    home.file(
        "op/trust.toml",
        format!("keys = [\"{key}\"]\n[plugins]\nsigned = true\n"),
    );
    let refused = run
        .swap("waits", &after.members["waits"])
        .await
        .unwrap_err();
    assert!(refused.message.contains("has no signature"), "{refused:?}");
    gate.open();
    sound(&run.outcome().await.unwrap());
    assert!(home.records().iter().all(|it| it["kind"] != "reload"));
}

/// Swaps under steady calls. `HELD_SWAPS=1000` tries more.
const SWAPS: usize = 100;
/// Calls of a run while it is swapped: a debug build makes some hundred in a second.
const CALLS: usize = 200;

/// Two builds of a tool take turns while a chain of calls goes on: no call fails, each is one build's from its
/// first record to its last, and a revision is one build.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_swaps_under_steady_calls_fail_no_call_and_mix_no_builds() {
    let wanted = std::env::var("HELD_SWAPS").map_or(SWAPS, |text| text.parse().unwrap());
    let mut steps = "  s0: { uses: ok_echo/run, with: {} }\n".to_owned();
    for step in 1..CALLS {
        let before = step - 1;
        steps += &format!("  s{step}: {{ uses: ok_echo/run, with: {{}}, needs: [s{before}] }}\n");
    }
    let home = crate::cli::home(&["ok_echo"], &steps);
    let host = host(&home);
    let first = project(&home);
    let file = home.path().join("ok_echo.wasm");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend([0, 5, 4, b'n', b'e', b'x', b't']);
    std::fs::write(&file, bytes).unwrap();
    let second = project(&home);
    let mut swapped = 0;
    while swapped < wanted {
        let run = host.start(first.clone(), options()).unwrap();
        let before = swapped;
        for (tried, project) in [&second, &first].into_iter().cycle().enumerate() {
            assert!(tried < 10_000, "the run takes no swap");
            let member = &project.members["ok_echo"];
            if run.state() != RunState::Running && swapped > before {
                break;
            }
            match run.swap("ok_echo", member).await {
                Ok(_) => swapped += 1,
                // Before its first call a run has no plugins yet, and after its last no more.
                Err(_) if swapped > before => break,
                Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
        let finished = run.outcome().await.unwrap();
        sound(&finished);
        one_build_a_call(&home.records_of(&finished.evidence.run_dir));
    }
    eprintln!("{swapped} swaps");
}

/// What the records say of revisions: one component each, and one revision for all of a call.
#[track_caller]
fn one_build_a_call(records: &[serde_json::Value]) {
    let mut builds = BTreeMap::new();
    let mut calls = BTreeMap::new();
    for record in records {
        let text = |field: &str| record[field].as_str().map(ToOwned::to_owned);
        let (Some(revision), Some(component)) = (text("revision"), text("component")) else {
            continue;
        };
        let known = builds.entry(revision.clone()).or_insert(component.clone());
        assert_eq!(*known, component, "revision {revision}: {record:#}");
        if let Some(call) = text("call") {
            let known = calls.entry(call).or_insert(revision.clone());
            assert_eq!(*known, revision, "{record:#}");
        }
    }
    assert!(builds.len() > 1, "no call took a new build");
}

/// Compiled while the last call ends: it is either in its place before the end, and on record, or it is refused because
/// of the end, and begins nothing that nobody would end.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_compiled_when_the_run_has_ended_does_not_enter_it() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, "  only: { uses: waits, with: { url: \"URL\" } }");
    let run = host(&home).start(project(&home), options()).unwrap();
    gate.reached_by(1).await;
    rebuild(&home);
    let after = project(&home);
    let swapping = tokio::spawn({
        let run = run.clone();
        async move { run.swap("waits", &after.members["waits"]).await }
    });
    gate.open();
    sound(&run.outcome().await.unwrap());
    let entered = home.records().iter().any(|it| it["kind"] == "reload");
    match swapping.await.unwrap() {
        Ok(_) => assert!(entered),
        Err(refused) => {
            let because = ["the run has ended meanwhile", "the run is not going on"];
            let cause = refused.causes.first().map_or("", String::as_str);
            assert!(because.contains(&cause), "{refused:?}");
            assert!(!entered);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_would_widen_rights_is_refused_and_the_run_goes_on() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, "  only: { uses: waits, with: { url: \"URL\" } }");
    let run = host(&home).start(project(&home), options()).unwrap();
    gate.reached_by(1).await;
    let profile = home
        .read("policies/waits.toml")
        .replace("deadline = \"5m\"", "deadline = \"6m\"");
    home.file("policies/waits.toml", profile);
    let wider = project(&home);
    let refused = run
        .swap("waits", &wider.members["waits"])
        .await
        .unwrap_err();
    assert_eq!(
        refused.causes,
        ["the new component would have more rights than the old one"]
    );
    gate.open();
    sound(&run.outcome().await.unwrap());
    assert!(home.records().iter().all(|it| it["kind"] != "reload"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_acted_for_its_callers_is_not_swapped_for_one_that_does_not() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, "  only: { uses: waits, with: { url: \"URL\" } }");
    let after = project(&home);
    let mut before = after.clone();
    let member = before.members.get_mut("waits").unwrap();
    member.manifest.acts_for_caller = true;
    let run = host(&home).start(before, options()).unwrap();
    gate.reached_by(1).await;
    let refused = run.swap("waits", &after.members["waits"]).await;
    assert_eq!(
        refused.unwrap_err().causes,
        ["the new component would have more rights than the old one"]
    );
    gate.open();
    sound(&run.outcome().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_open_to_requests_takes_nothing_of_another_and_begins_no_step_by_itself() {
    let home = crate::cli::home(
        &["ok_echo"],
        "  first: { uses: ok_echo/run, with: {}, effects: idempotent }",
    );
    let (host, project) = (host(&home), project(&home));
    let earlier = host.start(project.clone(), options()).unwrap();
    sound(&earlier.outcome().await.unwrap());
    let (ambient, state) = (
        ambient(&home),
        State::new(home.path().join(".flowhost"), "default"),
    );
    let config = Config::find(&ambient).unwrap();
    let kept = Kept::new(&ambient, &config, &state, BTreeMap::new());
    let open = || RunOptions {
        on_request: true,
        ..options()
    };
    let only = RunOptions {
        only: Some("first".to_owned()),
        ..open()
    };
    let reuse = RunOptions {
        reuse: Some(Arc::new(host.earlier(earlier.id(), &kept).unwrap())),
        ..open()
    };
    let runs = [
        host.start(project.clone(), only).unwrap(),
        host.start(project.clone(), reuse).unwrap(),
        host.fork(project, earlier.id(), "first", Arc::new(kept), open())
            .unwrap(),
    ];
    for run in runs {
        // One that began would wait for requests for ever.
        let outcome = tokio::time::timeout(Duration::from_secs(60), run.outcome()).await;
        let refused = outcome.expect("it began").unwrap_err();
        let why = "open to requests takes nothing of another run";
        assert!(refused.message.contains(why), "{refused:?}");
    }
}
