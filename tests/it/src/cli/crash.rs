//! The crash campaign: the built executable is killed at random moments while it runs a plan whose
//! effects a server counts, and is resumed until the run has ended.
//!
//! What counts is what the world saw, and not what the records say of it: every effect happened, none
//! that must not happen twice did, and whoever collapses repetitions by their key sees one. The test
//! command kills as often as a test may take; `cargo xtask crash` kills as often as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::counting::Counting;
use crate::support::{Home, Ran};

/// Kills in the test command.
const KILLS: u64 = 25;

/// Runs that go on at once, each in a folder of its own: they wait for the disk most of the time.
const LANES: u64 = 4;

/// Runs in one state folder, before a new one is made: what is listed and swept at each start stays as
/// small as it is for a user of a week.
const RUNS_IN_A_FOLDER: u64 = 40;

/// Longest time for which one process may work: it does in less than a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Steps whose effect must happen once, and what each would hand on.
const ONCE: [&str; 2] = ["pay", "last"];
/// Paths whose repetitions the server may drop by their key.
const KEYED: [&str; 4] = ["ship", "each-1", "each-2", "each-3"];

const STEPS: &str = r#"
  pay: { effects: once, POST:pay }
  ship: { effects: keyed, POST:ship }
  note: { needs: [pay, ship], effects: idempotent, POST:note }
  each:
    needs: [note]
    foreach: { items: "${{ ['1', '2', '3'] }}", as: n, max_parallel: 2 }
    POST:each-${{ n }}
  last: { needs: [each], effects: once, POST:last }
outputs:
  pay: "${{ steps.pay.output.ok.body }}"
  ship: "${{ steps.ship.output.ok.body }}"
  note: "${{ steps.note.output.ok.body }}"
  each: "${{ steps.each.outputs.map(it, it.ok.body) }}"
  last: "${{ steps.last.output.ok.body }}"
"#;

/// What the run hands on when nobody disturbs it.
fn outputs() -> Value {
    json!({ "pay": "pay", "ship": "ship", "note": "note", "each": ["each-1", "each-2", "each-3"],
        "last": "last" })
}

fn folder(server: &Counting) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_http");
    let address = server.address;
    home.file(
        "policies/loopback.toml",
        format!(
            "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{address}/\"\nmethods = \
             [\"POST\"]\nprivate_network = true\n"
        ),
    );
    let mut steps = STEPS.to_owned();
    while let Some(at) = steps.find("POST:") {
        let rest = &steps[at + 5..];
        let end = rest.find(" }\n").filter(|end| !rest[..*end].contains('\n'));
        let end = at + 5 + end.unwrap_or_else(|| rest.find('\n').unwrap());
        let path = steps[at + 5..end].to_owned();
        let with = format!("with: {{ method: POST, url: \"http://{address}/{path}\" }}");
        let call = match steps[..at].ends_with("    ") {
            true => format!("uses: ok_http/run\n    {with}"),
            false => format!("uses: ok_http/run, {with}"),
        };
        steps.replace_range(at..end, &call);
    }
    home.file(
        "plan.yaml",
        super::plan(&super::tool("ok_http", "loopback"), &steps),
    );
    home
}

/// Chance with a seed (xorshift*): which moments are tried can be told again, what they hit cannot.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % end
    }
}

/// When a process is killed.
enum Moment {
    /// So long after it was started.
    At(Duration),
    /// So long after so many requests have come in this run.
    After(usize, Duration),
}

/// What happened in all runs.
#[derive(Default)]
struct Tally {
    runs: u64,
    kills: u64,
    /// Kills before anything of the run was on the disk, or before its first step.
    early: u64,
    settled: u64,
    /// Requests that came again under the key of an earlier one, or idempotent as they are.
    repeated: u64,
}

impl Tally {
    fn add(&mut self, more: &Self) {
        self.runs += more.runs;
        self.kills += more.kills;
        self.early += more.early;
        self.settled += more.settled;
        self.repeated += more.repeated;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills in {} runs ({} before the first step): 0 effects lost, 0 twice under `once` ({} settled by \
             hand), {} requests repeated, each under the key of the first or idempotent",
            self.kills, self.runs, self.early, self.settled, self.repeated
        )
    }
}

struct Lane {
    dice: Dice,
    server: Counting,
    home: Home,
    /// How long a run takes that nobody disturbs.
    whole: Duration,
    /// Runs of the folder that are over.
    over: BTreeSet<String>,
    tally: Tally,
}

enum Ended {
    Killed,
    By(Ran),
}

const RUN: &[&str] = &["run", "plan.yaml", "--allow-private-network", "--json"];
const RESUME: &[&str] = &[
    "runs",
    "resume",
    "latest",
    "--allow-private-network",
    "--json",
];

impl Lane {
    fn new(seed: u64) -> Self {
        let server = Counting::new();
        let home = folder(&server);
        let since = Instant::now();
        let report = home.flowhost(RUN).expect(0).json();
        assert_eq!(report["outputs"], outputs(), "{report:#}");
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            server,
            home,
            whole: since.elapsed(),
            over: BTreeSet::from([report["run_id"].as_str().unwrap().to_owned()]),
            tally: Tally::default(),
        }
    }

    /// One run from its start to its end, with kills in between.
    fn run(&mut self) {
        if self.tally.runs % RUNS_IN_A_FOLDER == RUNS_IN_A_FOLDER - 1 {
            self.home.flowhost(&["verify", ".flowhost"]).expect(0);
            self.home = folder(&self.server);
            self.over.clear();
        }
        self.server.forget();
        self.tally.runs += 1;
        let mut kills = 1 + self.dice.below(3);
        let mut command = RUN;
        loop {
            let moment = (kills > 0).then(|| self.moment());
            match self.go(command, moment) {
                Ended::Killed => {
                    kills -= 1;
                    self.tally.kills += 1;
                    self.server.quiet();
                    match self.status() {
                        Some(status) if status == "ok" => return self.check(),
                        Some(_) => command = RESUME,
                        None => {
                            self.tally.early += 1;
                            self.untouched("nothing of the run is on the disk");
                            command = RUN;
                        }
                    }
                }
                Ended::By(ran) if ran.code == 0 => {
                    assert_eq!(ran.json()["outputs"], outputs(), "{}", ran.all());
                    return self.check();
                }
                Ended::By(ran) if ran.code == 9 => self.settle(&ran),
                Ended::By(ran) if ran.all().contains("killed before its first step") => {
                    self.tally.early += 1;
                    self.untouched("the run does not say what it is made of");
                    let (run, _) = self.newest().unwrap();
                    self.over.insert(run);
                    command = RUN;
                }
                Ended::By(ran) => panic!("{}", ran.all()),
            }
        }
    }

    fn moment(&mut self) -> Moment {
        let whole = u64::try_from(self.whole.as_micros()).unwrap();
        match self.dice.below(2) {
            0 => Moment::At(Duration::from_micros(self.dice.below(whole))),
            _ => {
                let came = usize::try_from(self.dice.below(7)).unwrap();
                Moment::After(came, Duration::from_micros(self.dice.below(20_000)))
            }
        }
    }

    /// Starts a process, and kills it at its moment unless it ends before.
    fn go(&self, arguments: &[&str], moment: Option<Moment>) -> Ended {
        let mut command = self.home.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (child, since) = (command.spawn().unwrap(), Instant::now());
        let mut child = Killed(child);
        let mut at = Duration::MAX;
        loop {
            if child.0.try_wait().unwrap().is_some() {
                break;
            }
            match &moment {
                None => {}
                Some(Moment::At(moment)) => at = *moment,
                Some(Moment::After(came, later)) => {
                    let came = at == Duration::MAX && self.server.came() >= *came;
                    at = if came { since.elapsed() + *later } else { at };
                }
            }
            if since.elapsed() >= at {
                child.0.kill().unwrap();
                child.0.wait().unwrap();
                return Ended::Killed;
            }
            assert!(since.elapsed() < PATIENCE, "{arguments:?} did not end");
            // Far below what lies between two writes, and no burden for what is being killed.
            std::thread::sleep(Duration::from_micros(300));
        }
        let mut output = child.0.wait().map(|status| std::process::Output {
            status,
            stdout: Vec::new(),
            stderr: Vec::new(),
        });
        let output = output.as_mut().unwrap();
        let streams = (child.0.stdout.take(), child.0.stderr.take());
        if let (Some(mut out), Some(mut err)) = streams {
            std::io::Read::read_to_end(&mut out, &mut output.stdout).unwrap();
            std::io::Read::read_to_end(&mut err, &mut output.stderr).unwrap();
        }
        Ended::By(self.home.ran(output, arguments))
    }

    /// The newest run of the folder, and its status.
    fn newest(&self) -> Option<(String, String)> {
        let listed = self.home.flowhost(&["runs", "list", "--json"]);
        let listed = listed.expect(0).json();
        let text = |name: &str| listed[0][name].as_str().map(str::to_owned);
        text("run_id").zip(text("status"))
    }

    /// The status of the run at work; none when it has not come as far as the index.
    fn status(&self) -> Option<String> {
        let (run, status) = self.newest()?;
        (!self.over.contains(&run)).then_some(status)
    }

    #[track_caller]
    fn untouched(&self, why: &str) {
        assert_eq!(self.server.paths(), Vec::<String>::new(), "{why}");
    }

    /// Looks at the server, as a person would, and says what became of the steps that wait for a word.
    fn settle(&mut self, waits: &Ran) {
        let happened = self.server.counts();
        let mut settled = 0;
        for step in ONCE {
            let output = json!({ "ok": { "body": step } }).to_string();
            let said: &[&str] = match happened.contains_key(&format!("/{step}")) {
                true => &["--as", "done", "--output", &output],
                false => &["--as", "retry"],
            };
            let settle = [&["runs", "settle", "latest", step], said].concat();
            let ran = self.home.flowhost(&settle);
            // The step that does not wait is refused.
            settled += u64::from(ran.code == 0);
        }
        assert!(settled > 0, "{}", waits.all());
        self.tally.settled += settled;
    }

    /// What the world saw of a run that has ended.
    fn check(&mut self) {
        let (run, status) = self.newest().unwrap();
        assert_eq!(status, "ok");
        self.over.insert(run);
        let counts: BTreeMap<String, (usize, usize)> = self.server.counts();
        let of = |step: &str| counts.get(&format!("/{step}")).copied().unwrap_or((0, 0));
        for step in ONCE {
            assert_eq!(of(step), (1, 1), "`{step}` is to happen once: {counts:?}");
        }
        for step in KEYED {
            let (times, keys) = of(step);
            assert!(times > 0, "`{step}` was lost: {counts:?}");
            assert_eq!(keys, 1, "`{step}` came under several keys: {counts:?}");
            self.tally.repeated += times as u64 - 1;
        }
        assert!(of("note").0 > 0, "`note` was lost: {counts:?}");
        self.tally.repeated += of("note").0 as u64 - 1;
        let keyless = self.server.hits();
        let keyless = keyless
            .iter()
            .find(|hit| KEYED.contains(&hit.path.trim_start_matches('/')) && hit.key.is_empty());
        assert_eq!(keyless, None);
    }
}

/// A child that does not outlive a failed test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _over = self.0.kill();
        let _over = self.0.wait();
    }
}

fn number(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_is_lost_and_nothing_happens_twice_whenever_the_process_is_killed() {
    let wanted = number("FLOWHOST_CRASH_KILLS", KILLS);
    let seed = number("FLOWHOST_CRASH_SEED", 1);
    let killed = AtomicU64::new(0);
    let killed = &killed;
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let lanes = (0..LANES).map(|lane| {
            scope.spawn(move || {
                let mut lane = Lane::new(seed.wrapping_add(lane));
                while killed.load(Relaxed) < wanted {
                    let before = lane.tally.kills;
                    lane.run();
                    killed.fetch_add(lane.tally.kills - before, Relaxed);
                }
                lane.home.flowhost(&["verify", ".flowhost"]).expect(0);
                lane.tally
            })
        });
        for lane in lanes.collect::<Vec<_>>() {
            tally.add(&lane.join().unwrap());
        }
    });
    assert!(tally.kills >= wanted);
    eprintln!("{tally}");
}
