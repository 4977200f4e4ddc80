//! SIGKILL at random moments, again and again: nothing acknowledged is ever lost.
//!
//! `FLOWHOST_CRASH_CYCLES` sets how often (50 without it).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flowhost_ledger::{Kind, Ledger, Payloads, RealDisk, read_run, verify_dir};

use crate::sim::Rng;
use crate::{key, options};

/// After this many cycles a fresh ledger is begun, so that a cycle stays short.
const CYCLES_PER_LEDGER: u64 = 10;

fn cycles() -> u64 {
    std::env::var("FLOWHOST_CRASH_CYCLES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50)
}

/// Examples are built with the tests, beside them.
fn writer() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/crash_writer");
    assert!(
        path.exists(),
        "build it first: cargo build -p flowhost-ledger --example crash_writer"
    );
    path
}

/// Runs the writer for a random time after its first word, kills it, and returns the number of
/// the last record that it was promised.
fn killed(dir: &Path, rng: &mut Rng) -> u64 {
    let seed = rng.next();
    killed_after(dir, seed, Duration::from_micros(rng.below(25_000)))
}

/// [`killed`] after a given time.
pub(crate) fn killed_after(dir: &Path, seed: u64, time: Duration) -> u64 {
    let mut child = Command::new(writer())
        .arg(dir)
        .arg(seed.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut last: u64 = lines
        .next()
        .expect("a first record")
        .unwrap()
        .parse()
        .unwrap();
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    // A number that is cut off was not told to anyone in full.
    let told: Vec<String> = lines.map_while(Result::ok).collect();
    for number in told {
        last = last.max(number.parse().unwrap_or(0));
    }
    last
}

#[test]
fn led_016_nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let mut rng = Rng::new(u64::from(std::process::id()));
    let mut dir = tempfile::tempdir().unwrap();
    let (mut records_checked, mut unrecorded) = (0, 0);
    for cycle in 0..cycles() {
        if cycle % CYCLES_PER_LEDGER == 0 {
            dir = tempfile::tempdir().unwrap();
        }
        let acked = killed(dir.path(), &mut rng);
        let left = verify_dir(dir.path(), &[key(1).vkey()]);
        unrecorded += u64::from(left.ledgers[0].payloads.unrecorded > 0);
        if let Some(problem) = left.all_problems().next() {
            assert!(
                problem.what.contains("the host was killed"),
                "cycle {cycle}: a kill looks like tampering: {left}"
            );
        }
        Ledger::open(&options(dir.path()))
            .unwrap()
            .close_blocking()
            .unwrap();
        let report = verify_dir(dir.path(), &[key(1).vkey()]);
        assert!(report.ok, "cycle {cycle}: {report}");
        let payloads = Payloads::open(&RealDisk, dir.path()).unwrap();
        let erased = report.ledgers[0].payloads.erased;
        let (mut count, mut without) = (0, 0);
        for record in read_run(dir.path()).unwrap() {
            let record = record.unwrap();
            if record.kind() == Some(Kind::Budget) {
                assert_eq!(record.number("used"), Some(record.seq), "cycle {cycle}");
            }
            if let Some(commit) = &record.commit {
                without += u64::from(payloads.get(record.seq, commit).unwrap().is_none());
            }
            count += 1;
        }
        assert_eq!(without, erased, "cycle {cycle}: a payload is gone");
        assert!(
            count > acked,
            "cycle {cycle}: {acked} was acknowledged, {count} are there"
        );
        records_checked += count;
    }
    assert!(
        records_checked > cycles(),
        "the writers wrote next to nothing"
    );
    eprintln!("{unrecorded} kills left payloads without records");
}
