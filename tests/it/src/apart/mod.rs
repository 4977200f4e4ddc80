//! A run whose calls are performed by other processes: the driver is here, the workers are children, and
//! between them is nothing but a bus over a Unix socket.
//!
//! Workers are killed with a signal that nothing can catch, at the moments that matter: while an effect is
//! under way, and between an effect and its answer.

mod outlived;
mod socket;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use flowhost_bus::{Bus, LocalBus, LocalConfig, Subject};
use flowhost_run::{Host, Run, RunOptions, Work, Workers};
use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::cli::examples::example;
use crate::held::{Gate, host, options, parts, project, sound, waiting};
use crate::support::{Home, stable};
use socket::{Look, Pass, SocketBus, serve};

const SOCKET: &str = "APART_SOCKET";
const FOLDER: &str = "APART_FOLDER";
const RUN: &str = "APART_RUN";

/// A host that drives runs and performs nothing itself; its bus is on a socket in the folder.
fn driver(home: &Home, look: Look) -> Host {
    let path = socket_of(home);
    let mut parts = parts(home);
    parts.workers = Workers::Elsewhere;
    parts.bus = Box::new(move || {
        let bus = Arc::new(LocalBus::new(LocalConfig::default()));
        serve(bus.clone(), &path, look.clone());
        bus as Arc<dyn Bus>
    });
    Host::new(parts).unwrap()
}

fn socket_of(home: &Home) -> PathBuf {
    home.path().join("bus.socket")
}

fn let_pass() -> Look {
    Arc::new(|_: &Subject| Pass::On)
}

/// A process that takes orders of a run; ended when it is dropped.
struct Worker(Child);

impl Worker {
    fn start(home: &Home, run: &Run) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "apart::takes_the_orders_of_a_run", "--ignored"])
            .env(SOCKET, socket_of(home))
            .env(FOLDER, home.path())
            .env(RUN, run.id())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process of its own, started by the tests of this module"]
async fn takes_the_orders_of_a_run() {
    let given = |name| std::env::var(name).unwrap();
    let bus = SocketBus::connect(given(SOCKET).into()).await;
    let home = Home::at(given(FOLDER).into());
    let work = Work {
        tenant: "default".to_owned(),
        run: given(RUN),
        bus: Arc::new(bus),
    };
    host(&home).work(project(&home), work).await.unwrap();
}

fn seeded() -> RunOptions {
    RunOptions {
        seed: Some(7),
        ..options()
    }
}

/// What differs between two runs of the same, whoever performs them: names, times, and what is
/// counted or chained over them.
const OF_ONE_RUN: &[&str] = &[
    "bytes",
    "commit",
    "duration_ms",
    "evidence_bytes",
    "first_token_ms",
    "hash",
    "id",
    "intent",
    "key",
    "prev",
    "seq",
    "subject",
    "time_ms",
    "told_ms",
    "took_us",
    "ts",
];

/// The records of the folder's run as a set of texts.
fn evidence(home: &Home) -> Vec<String> {
    let told = |record: Value| {
        let mut record = record.as_object().unwrap().clone();
        // How much time a guest was told that it had left.
        let answer = record
            .get_mut("said")
            .and_then(|said| said.get_mut("answer"));
        if let Some(answer) = answer.and_then(Value::as_object_mut) {
            answer.remove("deadline_ms");
        }
        let fields = record.into_iter();
        let kept = fields.filter(|(name, _)| !OF_ONE_RUN.contains(&name.as_str()));
        stable(
            &Value::Object(kept.collect::<Map<_, _>>()).to_string(),
            home,
        )
    };
    // Views are files with times in them.
    let records = home.records().into_iter();
    let records = records.filter(|it| it["kind"] != "view.write");
    let mut texts: Vec<_> = records.map(told).collect();
    texts.sort();
    texts
}

/// `docs-audit` with one item at a time, so that calls have the same numbers in every run.
fn audit() -> Home {
    let home = example("docs-audit");
    let plan = home.read("plan.yaml");
    home.file(
        "plan.yaml",
        plan.replace("max_parallel: 4", "max_parallel: 1"),
    );
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_tools_guardrails_and_a_budget_leaves_the_same_evidence_from_another_process()
{
    let (near, far) = (audit(), audit());
    let run = host(&near).start(project(&near), seeded()).unwrap();
    let here = run.outcome().await.unwrap();
    sound(&here);
    let run = driver(&far, let_pass())
        .start(project(&far), seeded())
        .unwrap();
    let _worker = Worker::start(&far, &run);
    let there = run.outcome().await.unwrap();
    sound(&there);
    assert!(here.outcome.end.used.tokens > 0);
    assert_eq!(here.outcome.end.used, there.outcome.end.used);
    assert_eq!(here.outcome.end.outputs, there.outcome.end.outputs);
    let (here, there) = (evidence(&near), evidence(&far));
    let only_here: Vec<_> = here.iter().filter(|it| !there.contains(it)).collect();
    let only_there: Vec<_> = there.iter().filter(|it| !here.contains(it)).collect();
    assert!(
        only_here.is_empty() && only_there.is_empty(),
        "{only_here:#?}\n{only_there:#?}"
    );
    assert_eq!(here.len(), there.len());
}

const STEP: &str = "  only: { uses: waits, with: { url: \"URL\" }, effects: EFFECTS, timeout: 5m }";

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_may_happen_once_is_not_repeated_when_its_worker_was_killed_in_the_middle() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, &STEP.replace("EFFECTS", "once"));
    let run = driver(&home, let_pass())
        .start(project(&home), options())
        .unwrap();
    let first = Worker::start(&home, &run);
    gate.reached_by(1).await;
    first.kill();
    let _second = Worker::start(&home, &run);
    let end = run.outcome().await.unwrap().outcome.end;
    let failure = end.failure.unwrap();
    assert!(
        failure.message.contains("how far it came is not known"),
        "{failure:?}"
    );
    assert_eq!(gate.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_that_may_be_repeated_is_when_its_worker_was_killed_in_the_middle() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, &STEP.replace("EFFECTS", "keyed"));
    let run = driver(&home, let_pass())
        .start(project(&home), options())
        .unwrap();
    let first = Worker::start(&home, &run);
    gate.reached_by(1).await;
    first.kill();
    let _second = Worker::start(&home, &run);
    gate.reached_by(2).await;
    gate.open();
    sound(&run.outcome().await.unwrap());
    let keys = home.records().into_iter();
    let keys = keys.filter(|it| it["kind"] == "tool.call" && it["tool"] == "on-plan");
    let keys: Vec<_> = keys.map(|it| it["key"].clone()).collect();
    assert_eq!(keys.len(), 2, "each attempt has its intent");
    assert!(keys[0].is_string(), "{keys:?}");
    assert_eq!(keys[0], keys[1], "the same work has the same key");
}

/// Loses the first answer to a step, and says so.
fn losing_the_first_answer() -> (Look, watch::Receiver<bool>) {
    let (lost, is_lost) = watch::channel(false);
    let done = AtomicBool::new(false);
    let look = move |subject: &Subject| {
        let answer = subject.as_str().ends_with(".end");
        if answer && !done.swap(true, SeqCst) {
            lost.send_replace(true);
            return Pass::Lost;
        }
        Pass::On
    };
    (Arc::new(look), is_lost)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_result_is_on_record_is_answered_from_there_whatever_its_step_allows() {
    for effects in ["once", "keyed", "idempotent"] {
        let gate = Gate::new().await;
        gate.open();
        let home = waiting(&gate, &STEP.replace("EFFECTS", effects));
        let (look, mut lost) = losing_the_first_answer();
        let run = driver(&home, look)
            .start(project(&home), options())
            .unwrap();
        let first = Worker::start(&home, &run);
        tokio::select! {
            lost = lost.wait_for(|lost| *lost) => drop(lost.unwrap()),
            end = run.outcome() => panic!("the run ended before its first answer: {end:?}"),
        }
        first.kill();
        let _second = Worker::start(&home, &run);
        let finished = run.outcome().await.unwrap();
        sound(&finished);
        assert_eq!(gate.count(), 1, "{effects}");
        let results = home.records().into_iter();
        let results = results.filter(|it| it["kind"] == "tool.result" && it["tool"] == "on-plan");
        assert_eq!(results.count(), 1, "{effects}");
    }
}
