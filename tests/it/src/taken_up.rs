//! What a process leaves beside the ledger of a run that it took up, looked at in the moment in which it is written: a
//! kill can come between any two of these moments.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use flowhost_ledger::{DataKey, Durability};
use flowhost_run::{Failure, Host, Kept, Project, ResumeOptions, World};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::cli::plan;
use crate::held::{Gate, host, options, parts, project, sound, waiting};
use crate::support::Home;

/// What the run was made of, which has not changed.
pub(crate) struct Unchanged(pub(crate) Project);

impl Kept for Unchanged {
    fn project(&self, _: &Path, _: &Map<String, Value>) -> Result<Project, Failure> {
        Ok(self.0.clone())
    }

    fn key(&self, _: &Path) -> Result<Option<DataKey>, Failure> {
        Ok(None)
    }
}

/// This machine, and the names of views that were written.
struct Watched {
    inner: Arc<dyn World>,
    written: Mutex<BTreeSet<String>>,
}

impl World for Watched {
    fn now_ms(&self) -> u64 {
        self.inner.now_ms()
    }

    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.fill(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let ledger = path.with_file_name("seg-00000000.jsonl");
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if ledger.is_file() && name.starts_with("report") {
            assert!(
                !path.exists(),
                "{name}: what an earlier process wrote is still there"
            );
            let hash: String = Sha256::digest(bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let records = std::fs::read_to_string(ledger).unwrap();
            assert!(
                records.contains(&hash),
                "{name}: no record on the disk names what is written now"
            );
            self.written.lock().unwrap().insert(name);
        }
        self.inner.write(path, bytes, durability)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn lock_holder(&self, dir: &Path) -> Option<u32> {
        self.inner.lock_holder(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.inner.is_file(path)
    }

    fn folder(&self, path: &Path) -> io::Result<cap_std::fs::Dir> {
        self.inner.folder(path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_moment_leaves_a_report_of_one_process_beside_the_record_of_another() {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    let steps = "  review: { wait_for: approval, timeout: 4h }\n  \
                 last: { needs: [review], uses: ok_echo, with: {} }";
    home.file(
        "plan.yaml",
        plan(&crate::cli::tool("ok_echo", "deny-all"), steps),
    );
    let waits = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(9)
        .json();
    let run = waits["run_id"].as_str().unwrap();
    home.flowhost(&["runs", "approve", run, "review", "--by", "ann"])
        .expect(0);
    let mut parts = parts(&home);
    let watched = Arc::new(Watched {
        inner: parts.world,
        written: Mutex::default(),
    });
    parts.world = watched.clone();
    let kept = Arc::new(Unchanged(project(&home)));
    let taken_up = Host::new(parts)
        .unwrap()
        .resume(run, kept, ResumeOptions::default());
    sound(&taken_up.outcome().await.unwrap());
    let written = watched.written.lock().unwrap().clone();
    assert_eq!(
        written.into_iter().collect::<Vec<_>>(),
        ["report.html", "report.json"]
    );
    home.flowhost(&["verify", run]).expect(0);
}

/// Whoever asks the run to end asks it by its id: the one that cannot have the ledger must not take its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_on_is_still_found_when_somebody_has_resumed_it_all_the_same() {
    let mut gate = Gate::new().await;
    let home = waiting(&gate, "  only: { uses: waits, with: { url: \"URL\" } }");
    let (host, project) = (host(&home), project(&home));
    let run = host.start(project.clone(), options()).unwrap();
    gate.reached_by(1).await;
    let kept = Arc::new(Unchanged(project));
    let second = host.resume(run.id(), kept, ResumeOptions::default());
    let refused = second.outcome().await.unwrap_err();
    let why = refused.causes.join("; ");
    assert!(why.contains("is at work on it"), "{refused:?}");
    assert!(host.run(run.id()).is_some(), "the first goes on");
    assert_eq!(host.runs().len(), 1);
    gate.open();
    sound(&run.outcome().await.unwrap());
    assert!(host.run(run.id()).is_none());
}
