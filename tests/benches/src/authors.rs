//! What an author waits for: from a saved file to the call that takes it, from nothing to the first green test, and
//! a thousand swaps under steady calls; and how large the tool of a new project is in each language, and what its start and
//! its calls cost. The group `load` has the same without an SDK.
//!
//! A language whose tools or packages are not here is a row that says so, and takes nothing from the others. Packages are
//! taken from this machine: what a registry's network costs is no figure of ours.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use flowhost_run::RunState;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::calls::sibling;
use crate::host::{bytes, guest, repository};
use crate::loads::Measured;
use crate::measure::{Figure, duration};
use crate::report::Row;
use crate::runs::{House, house};

/// Saves of a component that was built before, of which the median counts.
const SAVES: u32 = 9;
/// Swaps that are made while calls go on.
const SWAPS: usize = 1_000;
/// Calls of one run under them.
const CALLS: usize = 1_000;
/// Longer than any build of a small plugin.
const PATIENCE: Duration = Duration::from_secs(600);

/// A language, and what it needs on this machine.
struct Language {
    name: &'static str,
    word: &'static str,
    /// The file of a new tool that is edited.
    source: &'static str,
    /// Saves of which the median counts: fewer where one takes most of a minute.
    saves: u32,
    /// Milliseconds from a save to the next run, and the same in words.
    goal: Option<(f64, &'static str)>,
}

const LANGUAGES: [Language; 3] = [
    Language {
        name: "Rust",
        word: "rust",
        source: "src/lib.rs",
        saves: 9,
        goal: Some((3_000.0, "≤ 3 s")),
    },
    Language {
        name: "TypeScript",
        word: "ts",
        source: "src/index.ts",
        saves: 5,
        goal: Some((5_000.0, "≤ 5 s")),
    },
    Language {
        name: "Python",
        word: "python",
        source: "src/plugin.py",
        saves: 3,
        goal: None,
    },
];

/// All of it; what could not be measured is a row that says why.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Vec<Row> {
    let part = |what: &str, rows| Row::or_missing("authors", what, rows);
    let prebuilt = prebuilt(&folder.join("prebuilt")).map(|row| vec![row]);
    let mut rows = part(
        "a prebuilt component, from the save to its revision",
        prebuilt,
    );
    for language in LANGUAGES {
        let what = format!("{}: all that an author waits for", language.name);
        rows.extend(part(
            &what,
            language.rows(runtime, &folder.join(language.word)),
        ));
    }
    let swaps = swaps(runtime, &folder.join("swaps")).map(|row| vec![row]);
    rows.extend(part("swaps under steady calls", swaps));
    rows
}

/// From a component's new bytes under its name to the revision that the next call takes.
fn prebuilt(folder: &Path) -> Result<Row> {
    let work = Work::new(folder)?;
    let component = bytes(&guest("limit_sleep"))?;
    work.file("limit_sleep.wasm", &component)?;
    work.file(
        "policies/slow.toml",
        b"version = 1\nname = \"slow\"\n[limits]\ndeadline = \"10m\"\n",
    )?;
    work.file(
        "plan.yaml",
        b"flowhost: v1\nkind: workflow\nname: slow\nplugins:\n  it: { kind: tool, source: ./limit_sleep.wasm, \
          profile: slow }\nsteps:\n  only: { uses: it/run, with: {} }\n",
    )?;
    let dev = Dev::start(&work, "plan.yaml")?;
    dev.until("step-started")?;
    let mut samples = Vec::new();
    for save in 0..SAVES {
        // Another section that says nothing: another component.
        let mut changed = component.to_vec();
        changed.extend([0, 2, 1, b'a' + u8::try_from(save)?]);
        let start = Instant::now();
        work.file("limit_sleep.wasm", &changed)?;
        dev.until("swapped")?;
        samples.push(start.elapsed().as_nanos() as f64);
    }
    let figure = Figure::from_samples(samples);
    let what = "a prebuilt component: from the save to the revision that the next call takes";
    Ok(Row::new("authors", what, figure.text(), figure.median_ns)
        .goal("≤ 100 ms", figure.median_ns <= 100.0 * 1e6))
}

impl Language {
    fn rows(&self, runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
        ensure!(
            self.is_here(),
            "its SDK or its packages are not prepared in this checkout: `cargo xtask bench --all` prepares them"
        );
        let mut rows = vec![self.first_test(folder)?, self.saved(folder)?];
        rows.extend(self.costs(runtime, folder)?);
        Ok(rows)
    }

    fn is_here(&self) -> bool {
        let packages = match self.word {
            "ts" => repository().join("sdk-ts/node_modules"),
            "python" => repository().join("target/tools/python"),
            _ => repository().join("target/sdk/rust"),
        };
        let sdk = repository().join("target/sdk").join(self.word);
        sdk.is_dir() && packages.is_dir()
    }

    /// `plugin new`, and the project's own tests, with nothing compiled before.
    fn first_test(&self, folder: &Path) -> Result<Row> {
        let work = Work::new(folder)?;
        let start = Instant::now();
        work.flowhost(&["plugin", "new", "first", "--lang", self.word])?;
        let made = start.elapsed();
        let project = work.folder.join("first");
        self.install(&project)?;
        let (program, arguments) = self.tests(&project);
        let start = Instant::now();
        let mut tests = work.command(&program, &arguments);
        ended_well(tests.current_dir(&project))?;
        let time = made + start.elapsed();
        let what = format!(
            "{}: from `plugin new` to the first green test, packages at hand",
            self.name
        );
        let time = time.as_nanos() as f64;
        Ok(Row::new("authors", what, duration(time), time))
    }

    /// From a saved source to the answer of what was built of it.
    fn saved(&self, folder: &Path) -> Result<Row> {
        let work = Work::new(folder)?;
        work.flowhost(&["plugin", "build", "first"])?;
        let source = format!("first/{}", self.source);
        let text = work.text(&source)?;
        let dev = Dev::start(&work, "first/plan.yaml")?;
        dev.ended_well()?;
        let mut samples = Vec::new();
        for save in 0..self.saves {
            let changed = text.replace("the text is empty", &format!("the text is empty ({save})"));
            ensure!(
                changed != text,
                "`{source}` is another one than is edited here"
            );
            let start = Instant::now();
            work.file(&source, changed.as_bytes())?;
            // A run starts before its component is compiled: it is live once its one call was answered.
            dev.ended_well()?;
            samples.push(start.elapsed().as_nanos() as f64);
        }
        let figure = Figure::from_samples(samples);
        let what = format!(
            "{}: from the save of a small tool's source to the answer of what was built of it",
            self.name
        );
        let row = Row::new("authors", what, figure.text(), figure.median_ns);
        Ok(match self.goal {
            Some((goal_ms, goal)) => row.goal(goal, figure.median_ns <= goal_ms * 1e6),
            None => row,
        })
    }

    /// The size of the new tool's component, its start, and its calls; TypeScript on both of its engines.
    fn costs(&self, runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
        let work = Work::new(folder)?;
        let component = work.folder.join("first/dist/first.wasm");
        let engine = match self.word {
            "ts" => "TypeScript, QuickJS",
            _ => self.name,
        };
        let mut rows = cost(runtime, folder, engine, &component)?;
        if self.word == "ts" {
            // As the page about TypeScript says that a project chooses it.
            let wanted = "{\n  \"flowhost\": { \"engine\": \"spidermonkey\" },";
            let package = work.text("first/package.json")?.replacen('{', wanted, 1);
            work.file("first/package.json", package.as_bytes())?;
            work.flowhost(&["plugin", "build", "first"])?;
            rows.extend(cost(
                runtime,
                folder,
                "TypeScript, SpiderMonkey",
                &component,
            )?);
        }
        Ok(rows)
    }

    /// What the package manager would do, from this machine.
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch project"
    )]
    fn install(&self, project: &Path) -> Result<()> {
        let root = repository().canonicalize()?;
        match self.word {
            "ts" => {
                let (from, to) = (
                    root.join("sdk-ts/node_modules"),
                    project.join("node_modules"),
                );
                std::fs::create_dir_all(to.join("@flowhost"))?;
                for entry in std::fs::read_dir(&from)? {
                    let name = entry?.file_name();
                    symlink(from.join(&name), to.join(&name))?;
                }
                symlink(root.join("sdk-ts"), to.join("@flowhost/sdk"))?;
            }
            "python" => symlink(root.join("target/tools/python"), project.join(".venv"))?,
            // Cargo has what it needs in its own folder.
            _ => {}
        }
        Ok(())
    }

    /// The command that runs a new project's tests.
    fn tests(&self, project: &Path) -> (PathBuf, Vec<&'static str>) {
        match self.word {
            "ts" => (project.join("node_modules/.bin/vitest"), vec!["run"]),
            "python" => (
                project.join(".venv/bin/python"),
                vec!["-m", "unittest", "discover", "-s", "tests"],
            ),
            _ => ("cargo".into(), vec!["test", "--quiet", "--lib"]),
        }
    }
}

/// A folder of the benchmark's own, with an author's tools in reach.
struct Work {
    folder: PathBuf,
    executable: PathBuf,
}

impl Work {
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch folder"
    )]
    fn new(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.canonicalize()?,
            executable: sibling("flowhost")?,
        })
    }

    /// Writes a file whole, as editors and builds do: under another name first.
    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch folder"
    )]
    fn file(&self, relative: &str, contents: &[u8]) -> Result<()> {
        let path = self.folder.join(relative);
        std::fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
        let aside = self.folder.join("aside");
        std::fs::write(&aside, contents)?;
        Ok(std::fs::rename(aside, path)?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the benchmark's own scratch folder"
    )]
    fn text(&self, relative: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join(relative))?)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the program under test, and an author's tools"
    )]
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let root = repository();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env("FLOWHOST_SDK", root.join("target/sdk"))
            .env("FLOWHOST_PLUGINS", root.join("target/plugins"))
            .env("PYTHONPATH", root.join("sdk-py/src"))
            // The second engine of TypeScript is no package of the SDK: the guests of tests brought it.
            .env("NODE_PATH", root.join("target/tools/js/node_modules"))
            .stdin(Stdio::null());
        command
    }

    fn flowhost(&self, arguments: &[&str]) -> Result<()> {
        ended_well(&mut self.command(&self.executable, arguments))
    }
}

fn ended_well(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {said}");
    Ok(())
}

/// A living `flowhost dev`, and what it tells.
struct Dev {
    child: Child,
    told: mpsc::Receiver<Value>,
}

impl Dev {
    fn start(work: &Work, plan: &str) -> Result<Self> {
        let mut command = work.command(&work.executable, &["dev", plan, "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let (say, told) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for told in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if say.send(told).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, told })
    }

    /// Waits for the next fact of this name; what is refused or not built ends the benchmark.
    fn until(&self, event: &str) -> Result<Value> {
        loop {
            let told = self.told.recv_timeout(PATIENCE);
            let told = told.with_context(|| format!("`flowhost dev` tells no `{event}`"))?;
            match told.get("event").and_then(Value::as_str) {
                Some(name) if name == event => return Ok(told),
                Some("refused" | "build-failed") => bail!("`flowhost dev` tells {told}"),
                _ => {}
            }
        }
    }

    /// Waits for the end of the next run, which is a good one.
    fn ended_well(&self) -> Result<()> {
        let told = self.until("run-ended")?;
        let code = told.get("exit_code").and_then(Value::as_u64);
        ensure!(code == Some(0), "a run ended badly: {told}");
        Ok(())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Two builds of a tool take turns while a chain of calls goes on. Every run must end well: a call that failed, or
/// was another build's, would be seen there (the tests look at the records).
fn swaps(runtime: &Runtime, folder: &Path) -> Result<Row> {
    let mut steps = "  s0: { uses: it/run, with: {} }\n".to_owned();
    for step in 1..CALLS {
        let before = step - 1;
        steps += &format!("  s{step}: {{ uses: it/run, with: {{}}, needs: [s{before}] }}\n");
    }
    let plan = format!(
        "flowhost: v1\nkind: workflow\nname: swaps\nbudget: {{ calls: 100000 }}\nplugins:\n  it: {{ kind: tool, source: ./ok_echo.wasm, profile: \
         deny-all }}\nsteps:\n{steps}"
    );
    let first = house(folder, "ok_echo", &plan, "version = 1\nname = \"waits\"\n")?;
    let work = Work::new(folder)?;
    let mut changed = bytes(&guest("ok_echo"))?.to_vec();
    changed.extend([0, 2, 1, b'a']);
    work.file("ok_echo.wasm", &changed)?;
    let second = crate::runs::loaded(folder)?.2;
    let samples = runtime.block_on(swapped(&first, &second))?;
    let whole: f64 = samples.iter().sum();
    let figure = Figure::from_samples(samples);
    let what = format!(
        "one of {SWAPS} swaps under steady calls, none of which failed ({} for all)",
        duration(whole)
    );
    Ok(Row::new("authors", what, figure.text(), figure.median_ns))
}

async fn swapped(house: &House, second: &flowhost_run::Project) -> Result<Vec<f64>> {
    let failed = |failure: flowhost_run::Failure| anyhow!(failure.message);
    let mut samples = Vec::new();
    while samples.len() < SWAPS {
        let run = house.start()?;
        let before = samples.len();
        for project in [second, &house.project].into_iter().cycle() {
            let member = project.members.get("it").context("the plan names it")?;
            let start = Instant::now();
            match run.swap("it", member).await {
                Ok(_) => samples.push(start.elapsed().as_nanos() as f64),
                // Before its first call, and while it is prepared, a run has no plugins yet, and after its last no more.
                Err(failure) if samples.len() == before => {
                    let goes_on = run.state() != RunState::Ended;
                    ensure!(goes_on, "the run takes no swap: {}", failure.message);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(_) => break,
            }
            if samples.len() >= SWAPS {
                break;
            }
        }
        let finished = run.outcome().await.map_err(failed)?;
        let end = finished.outcome.end;
        ensure!(end.exit.code() == 0, "a call failed: {:?}", end.failure);
    }
    Ok(samples)
}

/// What the tool of a new project costs.
fn cost(runtime: &Runtime, folder: &Path, engine: &str, component: &Path) -> Result<Vec<Row>> {
    let size = bytes(component)?.len() as f64;
    let what = format!("{engine}: size of a new tool's component");
    let mut rows = vec![Row::new(
        "authors",
        what,
        format!("{:.2} MB", size / 1e6),
        size,
    )];
    let measured = Measured {
        group: "authors",
        language: engine,
        path: component,
        tool: "count",
        input: r#"{"text":"one two three"}"#,
        goal: None,
    };
    rows.extend(measured.rows(runtime, &folder.join(engine))?);
    Ok(rows)
}
