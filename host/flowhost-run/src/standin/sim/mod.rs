//! The simulation: driver, bus, worker, planner, ledger and disk of a run under one seed.
//!
//! A seed is a test case. It says what the plan is, what happens in it, and what goes wrong: the process
//! is killed, the power goes, the disk fills up or fails to sync, SIGTERM comes, the wall's clock jumps,
//! envelopes are late, overtake each other and come twice, and host calls take long. After every
//! interruption the run is resumed from its ledger alone, until it has ended.
//!
//! There is no scheduler of our own. On a runtime of one thread with its clock paused tokio takes every
//! step in the same order, the ledger is written by whoever waits for it, and chance comes from the seed;
//! so the same seed gives the same records, and a test compares them. What would run in a sandbox is a
//! stand-in behind [`crate::plugins::guest::Guest`]; real components are killed by the crash campaign
//! (`tests/it/src/cli/crash.rs`).
//!
//! `cargo xtask simulate --seed N` repeats one seed, `--seeds N` tries many; `--sessions` those of runs that are open to
//! the requests of a client, which are other plans and other interruptions under the same numbers.
#![expect(
    clippy::disallowed_methods,
    reason = "the number of seeds comes from the environment, and the disk of the ledger's tests loads folders"
)]

mod agents;
mod beside;
mod bus;
mod check;
#[path = "../../../../flowhost-ledger/tests/ledger/sim.rs"]
#[expect(dead_code, reason = "the ledger's own tests use all of it")]
mod disk;
mod guest;
mod person;
#[path = "../../../../flowhost-flow/src/planner/tests/random.rs"]
mod random;
mod relaxed;
mod run;
mod session;
mod world;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowhost_flow::planner::RunEnd;
use tokio::time::Instant;

use disk::Rng;
use random::Mood;
use run::{Ended, Fault, Simulated};

/// Seeds of the test command.
const SEEDS: u64 = 300;

/// Interruptions in a run, before it is let go on to its end.
const FAULTS_MAX: u64 = 5;

/// Processes that a run may need after the last interruption: one for each time that it waits for a word.
const PROCESSES_MAX: u64 = 200;

/// What happened in many seeds.
#[derive(Debug, Default)]
struct Figures {
    seeds: u64,
    processes: u64,
    kills: u64,
    power: u64,
    disk: u64,
    signals: u64,
    words: u64,
    answers: u64,
    effects: u64,
    records: u64,
    /// The run with the most records, and its seed: a campaign is as slow as its plans are large.
    largest: (u64, u64),
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seeds: {} processes; {} kills, {} losses of power, {} broken disks, {} signals; {} words of a \
             person, {} answers to clients, {} effects, {} records; the largest run has {} (seed {})",
            self.seeds,
            self.processes,
            self.kills,
            self.power,
            self.disk,
            self.signals,
            self.words,
            self.answers,
            self.effects,
            self.records,
            self.largest.0,
            self.largest.1
        )
    }
}

impl Figures {
    fn add(&mut self, more: &Self) {
        self.seeds += more.seeds;
        self.processes += more.processes;
        self.kills += more.kills;
        self.power += more.power;
        self.disk += more.disk;
        self.signals += more.signals;
        self.words += more.words;
        self.answers += more.answers;
        self.effects += more.effects;
        self.records += more.records;
        self.largest = self.largest.max(more.largest);
    }
}

/// Lets processes work on a run, with things that go wrong, until it has ended.
fn interrupted(simulated: &Simulated) -> (Figures, RunEnd) {
    let (seed, mood) = (simulated.world.seed, simulated.world.mood);
    let mut chance = Rng::new(seed ^ 0xfa17);
    let mut figures = Figures {
        seeds: 1,
        ..Figures::default()
    };
    let mut faults = chance.below(FAULTS_MAX + 1);
    let end = loop {
        figures.processes += 1;
        assert!(
            figures.processes < PROCESSES_MAX,
            "the run does not come to an end"
        );
        let fault = match faults {
            0 => Fault::None,
            _ => Fault::of(&mut chance, mood),
        };
        let fault = match simulated.on_request {
            true => session::fault(simulated, fault),
            false => fault,
        };
        faults = faults.saturating_sub(1);
        match fault {
            Fault::None => {}
            Fault::Killed(_) => figures.kills += 1,
            Fault::Power(_) => figures.power += 1,
            Fault::Full(_) | Fault::Unsynced(_) => figures.disk += 1,
            Fault::Signal(_) | Fault::Cancel(_) => figures.signals += 1,
        }
        let ended = simulated.process(fault, &mut chance);
        check::acknowledged(&simulated.world, &simulated.dir());
        if simulated.on_request {
            figures.answers = session::left(simulated, &mut chance);
        }
        match ended {
            Ended::Over(end) => break end,
            Ended::Interrupted => {}
            Ended::Waits => figures.words += person::speak(simulated),
        }
    };
    figures.effects = simulated.world.seen().effects.len() as u64;
    figures.records = check::ended(simulated, &end);
    figures.largest = (figures.records, seed);
    (figures, end)
}

/// Half of all seeds are calm.
fn mood_of(seed: u64) -> Mood {
    match seed % 2 {
        0 => Mood::Calm,
        _ => Mood::Wild,
    }
}

/// A seed from its first process to the end of its run. Panics where an invariant does not hold.
fn simulate(seed: u64) -> (Figures, Simulated) {
    let mood = mood_of(seed);
    let simulated = Simulated::new(seed, mood);
    let (figures, end) = interrupted(&simulated);
    if mood == Mood::Calm {
        let other = Simulated::new(seed, mood).undisturbed();
        assert_eq!(
            (end.status, &end.outputs),
            (other.status, &other.outputs),
            "a run that was interrupted hands on what it would have without"
        );
    }
    (figures, simulated)
}

/// The seed that a panic belongs to, said before the panic goes on.
struct Named {
    seed: u64,
    repeat: String,
}

impl Named {
    /// A seed of the simulation itself.
    fn seed(seed: u64) -> Self {
        let repeat = format!("cargo xtask simulate --seed {seed}");
        Self { seed, repeat }
    }

    /// A seed of the sessions.
    fn session(seed: u64) -> Self {
        let repeat = format!("cargo xtask simulate --sessions --seed {seed}");
        Self { seed, repeat }
    }

    /// A seed of another test, which tries few.
    fn of(test: &str, seed: u64) -> Self {
        let repeat = format!("cargo test -p flowhost-run --lib {test}");
        Self { seed, repeat }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, repeat } = self;
            eprintln!("\nseed {seed} fails; repeat it with: {repeat}\n");
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The seeds to try: one, or as many as wanted, from a first; else so many.
fn seeds(many: u64) -> std::ops::Range<u64> {
    match number("FLOWHOST_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("FLOWHOST_SIM_FIRST").unwrap_or(0);
            first..first + number("FLOWHOST_SIM_SEEDS").unwrap_or(many)
        }
    }
}

#[test]
fn whatever_goes_wrong_a_run_loses_nothing_and_does_nothing_twice() {
    if let Some(seed) = number("FLOWHOST_SIM_SEED") {
        let [plan, inner] = random::bodies(seed, mood_of(seed));
        eprintln!("{plan}\n# s.yaml\n{inner}");
    }
    campaign(SEEDS, Named::seed, |seed| simulate(seed).0);
}

/// Tries many seeds, on all processors.
fn campaign(many: u64, named: fn(u64) -> Named, simulate: fn(u64) -> Figures) {
    let seeds = seeds(many);
    let next = AtomicU64::new(seeds.start);
    let lanes = std::thread::available_parallelism().map_or(1, |lanes| lanes.get().min(4));
    let since = Instant::now();
    let mut figures = Figures::default();
    std::thread::scope(|scope| {
        let lane = || {
            let mut figures = Figures::default();
            loop {
                let seed = next.fetch_add(1, Relaxed);
                if seed >= seeds.end {
                    return figures;
                }
                let _named = named(seed);
                figures.add(&simulate(seed));
            }
        };
        let lanes: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        for lane in lanes {
            figures.add(&lane.join().unwrap());
        }
    });
    eprintln!("{figures}; {:.1} s", since.elapsed().as_secs_f64());
}

#[test]
fn the_same_seed_gives_the_same_records() {
    for seed in 0..20 {
        let _named = Named::seed(seed);
        twice(|| simulate(seed).1);
    }
}

/// That two runs leave the same records.
fn twice(run: impl Fn() -> Simulated) {
    let records = || {
        let simulated = run();
        check::lines(&simulated.world.disk, &simulated.dir())
    };
    let (first, second) = (records(), records());
    let differs = first.iter().zip(&second).position(|(one, two)| one != two);
    if let Some(at) = differs {
        panic!("record {at}:\n{}\n{}", first[at], second[at]);
    }
    assert_eq!(first.len(), second.len());
}
