//! Replays every target over its corpus and over mutations of it, on stable Rust, in every run of the
//! tests (OPS-010).
//!
//! `FLOWHOST_FUZZ_CASES` is the number of mutations for each target, `FLOWHOST_FUZZ_TARGET` the only
//! target to run, `FLOWHOST_FUZZ_TRACE` a folder in which each input lies while it runs, for the case
//! that the process dies with it. Findings are written to `FLOWHOST_FUZZ_FINDINGS`, or described here.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "the driver of the targets: it reads the corpus and its own settings"
)]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowhost_fuzz::{ENGINE_ONLY, Outcome, TARGETS, Target, mutate};

const CASES: u64 = 2_000;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The names and bytes of a target's seeds, in the order of their names.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(target.name);
    let mut seeds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs one input; what was wrong with it comes back with the way to see it again.
fn attempt(target: &Target, what: &str, input: &[u8]) -> Result<Outcome, String> {
    if let Some(folder) = setting("FLOWHOST_FUZZ_TRACE") {
        std::fs::write(Path::new(&folder).join(target.name), input).unwrap();
    }
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied());
        let shown = input.get(..400).unwrap_or(input).escape_ascii();
        if let Some(folder) = setting("FLOWHOST_FUZZ_FINDINGS") {
            let name = format!("{}-{}", target.name, what.replace(' ', "-"));
            std::fs::write(Path::new(&folder).join(name), input).unwrap();
        }
        format!(
            "{} {what}: {}\n  input: \"{shown}\"",
            target.name,
            text.unwrap_or("?")
        )
    })
}

fn chosen() -> Vec<&'static Target> {
    let only = setting("FLOWHOST_FUZZ_TARGET");
    let chosen = TARGETS
        .iter()
        .filter(|target| only.as_deref().is_none_or(|n| n == target.name));
    chosen.collect()
}

/// Runs `work` for every chosen target, two at a time, and fails with all that it returned.
fn for_each_target(work: impl Fn(&Target) -> Vec<String> + Sync) {
    let targets = chosen();
    assert!(!targets.is_empty(), "no target of that name in this build");
    let (next, findings) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = work(target);
                    findings.lock().unwrap().extend(found);
                }
            });
        }
    });
    let findings = findings.into_inner().unwrap();
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn every_target_has_a_folder_of_seeds_and_every_folder_a_target() {
    let names: BTreeSet<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(names.len(), TARGETS.len(), "two targets of one name");
    let folders = std::fs::read_dir(corpus()).unwrap();
    let folders: BTreeSet<String> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| cfg!(feature = "engine") || !ENGINE_ONLY.contains(&name.as_str()))
        .collect();
    assert_eq!(folders, names);
}

#[test]
fn every_seed_holds_and_both_outcomes_are_among_them() {
    for_each_target(|target| {
        let seeds = seeds(target);
        let run = |(name, bytes): &(String, Vec<u8>)| attempt(target, name, bytes);
        let (outcomes, mut findings): (Vec<_>, Vec<_>) =
            seeds.iter().map(run).partition(Result::is_ok);
        for outcome in [Outcome::Accepted, Outcome::Refused] {
            if !outcomes.contains(&Ok(outcome)) {
                findings.push(Err(format!("{}: no seed is {outcome:?}", target.name)));
            }
        }
        findings.into_iter().filter_map(Result::err).collect()
    });
}

#[test]
fn mutations_of_the_seeds_hold() {
    let cases = setting("FLOWHOST_FUZZ_CASES").map_or(CASES, |text| text.parse().unwrap());
    for_each_target(|target| {
        let seeds: Vec<Vec<u8>> = seeds(target).into_iter().map(|(_, bytes)| bytes).collect();
        let (mut findings, mut accepted, mut slowest) = (Vec::new(), 0, (0, 0));
        for case in 0..cases {
            let input = mutate::mutated(target, &seeds, case);
            let before = std::time::Instant::now();
            match attempt(target, &format!("case {case}"), &input) {
                Ok(outcome) => accepted += u64::from(outcome == Outcome::Accepted),
                Err(finding) => findings.push(finding),
            }
            slowest = slowest.max((before.elapsed().as_millis(), case));
            if findings.len() >= 3 {
                break;
            }
        }
        let (ms, at) = slowest;
        println!(
            "{}: {accepted} of {cases} accepted; slowest {ms} ms, case {at}",
            target.name
        );
        if accepted == 0 && cases >= CASES {
            findings.push(format!("{}: no mutation was accepted", target.name));
        }
        findings
    });
}

#[test]
fn a_number_names_the_same_input_on_every_machine() {
    let target = flowhost_fuzz::target("url").unwrap();
    let seeds = [b"https://a.example/".to_vec()];
    let made: BTreeSet<_> = (0..100)
        .map(|case| mutate::mutated(target, &seeds, case))
        .collect();
    assert!(made.len() > 60, "{} inputs of 100", made.len());
    let again: BTreeSet<_> = (0..100)
        .map(|case| mutate::mutated(target, &seeds, case))
        .collect();
    assert_eq!(made, again);
}
