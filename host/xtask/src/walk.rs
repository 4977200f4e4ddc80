//! The way of an author and of the stranger who gets the plugin, with nothing but the release archive: each kind of plugin
//! in each language is made, tested, built, tried, run, changed while a plan goes on, signed and packed in a folder of its
//! own, and added to a plan in another one, by another person with another key. What stops a person stops this, and
//! the times are what a person waits for.
//!
//! Not a test of the test command, because it compiles what an author compiles, some ten minutes in all.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::folders::Folders;
use crate::{process, say};

/// What is walked.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// The release archive [default: the one that `cargo xtask dist` made]
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    /// Only one language: rust, ts or python
    #[arg(long)]
    lang: Option<String>,
    /// Only one kind: tool, agent, guardrail or mcp-adapter
    #[arg(long)]
    kind: Option<String>,
}

/// A language, and where a new project has its source.
struct Language {
    word: &'static str,
    source: &'static str,
}

const LANGUAGES: [Language; 3] = [
    Language {
        word: "rust",
        source: "src/lib.rs",
    },
    Language {
        word: "ts",
        source: "src/index.ts",
    },
    Language {
        word: "python",
        source: "src/plugin.py",
    },
];

/// A kind, and words that its source has in every language and no answer of its first plan: they are changed, so that another
/// component comes of it and the same answer of the plan.
struct Kind {
    word: &'static str,
    changed: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind {
        word: "tool",
        changed: "the text is empty",
    },
    Kind {
        word: "agent",
        changed: "the question is empty",
    },
    Kind {
        word: "guardrail",
        changed: "are the most",
    },
    Kind {
        word: "mcp-adapter",
        changed: "the server does not answer",
    },
];

/// What is timed, in the order of the walk.
const STATIONS: [&str; 9] = [
    "new", "packages", "tests", "build", "kit", "run", "live", "hand on", "add, run",
];

/// Longest wait for a build and the run after it.
const PATIENCE: Duration = Duration::from_secs(300);

/// Walks.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let root = folders.target.join("walk");
    if root.exists() {
        std::fs::remove_dir_all(&root)
            .with_context(|| format!("cannot clear {}", root.display()))?;
    }
    let release = unpacked(folders, options, &root)?;
    let mut rows = Vec::new();
    for language in &LANGUAGES {
        for kind in &KINDS {
            let wanted = |only: &Option<String>, word| only.as_deref().is_none_or(|it| it == word);
            if !wanted(&options.lang, language.word) || !wanted(&options.kind, kind.word) {
                continue;
            }
            say::step(format_args!("{}, {}", language.word, kind.word));
            let times = Walk::new(&root, &release, language, kind)?.whole()?;
            let times: Vec<String> = times.iter().map(|it| seconds(*it)).collect();
            rows.push(format!(
                "| {} | {} | {} |",
                language.word,
                kind.word,
                times.join(" | ")
            ));
        }
    }
    ensure!(!rows.is_empty(), "no such language or kind");
    say::step("seconds of each station");
    say::line(format_args!("| | | {} |", STATIONS.join(" | ")));
    say::line(format_args!("|---|---|{}", "---|".repeat(STATIONS.len())));
    for row in rows {
        say::line(row);
    }
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

/// Unpacks the archive as a person does, and gives back its folder.
fn unpacked(folders: &Folders, options: &Options, root: &Path) -> Result<PathBuf> {
    let archive = match &options.archive {
        Some(named) => std::path::absolute(named)?,
        None => made(&folders.root.join("dist"))?,
    };
    let to = root.join("release");
    std::fs::create_dir_all(&to).with_context(|| format!("cannot make {}", to.display()))?;
    let from = archive.to_string_lossy();
    process::run(&mut process::program("tar", &to, &["-xzf", &from]))?;
    let inside = crate::folders::names(&to, |path| Some(path.display().to_string()))?;
    let [folder] = inside.as_slice() else {
        bail!("{} holds {} folders and not one", from, inside.len());
    };
    Ok(folder.into())
}

/// The archive in `dist/`.
fn made(dist: &Path) -> Result<PathBuf> {
    let archives = match dist.is_dir() {
        true => crate::folders::names(dist, |path| {
            let name = path.display().to_string();
            name.ends_with(".tar.gz").then_some(name)
        })?,
        false => Vec::new(),
    };
    match archives.as_slice() {
        [one] => Ok(one.into()),
        [] => bail!(
            "no archive in {}: run `cargo xtask dist` first",
            dist.display()
        ),
        _ => bail!(
            "several archives in {}: name one with --archive",
            dist.display()
        ),
    }
}

/// One plugin's way.
struct Walk<'a> {
    /// The unpacked release.
    release: &'a Path,
    /// Where the author works.
    author: PathBuf,
    /// The project.
    project: PathBuf,
    /// Where the stranger works.
    stranger: PathBuf,
    language: &'a Language,
    kind: &'a Kind,
    name: String,
}

impl<'a> Walk<'a> {
    fn new(root: &Path, release: &'a Path, language: &'a Language, kind: &'a Kind) -> Result<Self> {
        let name = format!("my-{}", kind.word);
        let of = |who: &str| {
            root.join(format!("{}-{}", language.word, kind.word))
                .join(who)
        };
        let (author, stranger) = (of("author"), of("stranger"));
        for folder in [&author, &stranger] {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self {
            release,
            project: author.join(&name),
            author,
            stranger,
            language,
            kind,
            name,
        })
    }

    /// Every station, and how long each took.
    fn whole(&self) -> Result<Vec<Duration>> {
        let stations: [fn(&Self) -> Result<Duration>; 9] = [
            Self::make,
            Self::packages,
            Self::tests,
            Self::build,
            Self::kit,
            Self::first_run,
            Self::live,
            Self::hand_on,
            Self::take,
        ];
        let mut times = Vec::new();
        for (name, station) in STATIONS.iter().zip(stations) {
            let took = station(self)
                .with_context(|| format!("{}, {}: {name}", self.language.word, self.kind.word))?;
            say::line(format_args!("{name}: {} s", seconds(took)));
            times.push(took);
        }
        Ok(times)
    }

    fn make(&self) -> Result<Duration> {
        let (kind, lang) = (self.kind.word, self.language.word);
        let arguments = ["plugin", "new", &self.name, "--kind", kind, "--lang", lang];
        self.timed(&mut self.flowhost(&self.author, &arguments))
    }

    /// What the language's pages say.
    fn packages(&self) -> Result<Duration> {
        let start = Instant::now();
        let mut commands: Vec<(PathBuf, Vec<&str>)> = Vec::new();
        let wheel = "sdk/flowhost-0.1.0-py3-none-any.whl";
        match self.language.word {
            "ts" => commands.push(("npm".into(), vec!["install", "--no-audit", "--no-fund"])),
            "python" => {
                commands.push(("python3".into(), vec!["-m", "venv", ".venv"]));
                let pip = self.project.join(".venv/bin/pip");
                commands.push((pip, vec!["install", "--quiet", wheel]));
            }
            // Cargo fetches with the first build.
            _ => {}
        }
        for (program, arguments) in commands {
            process::output(&mut self.command(&program, &self.project, &arguments))?;
        }
        Ok(start.elapsed())
    }

    fn tests(&self) -> Result<Duration> {
        let (program, arguments): (PathBuf, &[&str]) = match self.language.word {
            "ts" => ("npm".into(), &["test"]),
            "python" => (
                self.project.join(".venv/bin/python"),
                &["-m", "unittest", "discover", "-s", "tests"],
            ),
            _ => ("cargo".into(), &["test", "--quiet"]),
        };
        self.timed(&mut self.command(&program, &self.project, arguments))
    }

    fn build(&self) -> Result<Duration> {
        self.timed(&mut self.flowhost(&self.project, &["plugin", "build"]))
    }

    fn kit(&self) -> Result<Duration> {
        let component = self.component();
        self.timed(&mut self.flowhost(&self.project, &["plugin", "test", &component]))
    }

    fn first_run(&self) -> Result<Duration> {
        self.timed(&mut self.flowhost(&self.project, &self.plan_run()))
    }

    /// From a saved source to the end of the run that has what was built of it.
    fn live(&self) -> Result<Duration> {
        let mut arguments = self.plan_run();
        if let Some(first) = arguments.first_mut() {
            *first = "dev";
        }
        arguments.push("--json");
        let dev = Dev::start(&mut self.flowhost(&self.project, &arguments))?;
        dev.run_ended()?;
        let source = self.project.join(self.language.source);
        let text = read(&source)?;
        let changed = text.replace(self.kind.changed, &format!("{}, really", self.kind.changed));
        ensure!(changed != text, "{} is another one", source.display());
        let start = Instant::now();
        write(&source, &changed)?;
        dev.run_ended()?;
        Ok(start.elapsed())
    }

    fn hand_on(&self) -> Result<Duration> {
        let (component, pack) = (self.component(), self.pack());
        let start = Instant::now();
        for arguments in [
            vec!["plugin", "sign", &component],
            vec!["plugin", "pack"],
            vec!["plugin", "inspect", &component],
        ] {
            process::output(&mut self.flowhost(&self.project, &arguments))?;
        }
        let key = process::output(&mut self.flowhost(&self.project, &["keys", "show"]))?;
        let key = key.trim();
        // The stranger has the file and, by another way, the key.
        let had = self.stranger.join(format!("{}.fhp", self.name));
        std::fs::copy(self.project.join(&pack), &had).context("cannot hand the pack on")?;
        let had = had.to_string_lossy();
        let verify = ["plugin", "verify", &had, "--key", key];
        process::output(&mut self.flowhost(&self.stranger, &verify))?;
        Ok(start.elapsed())
    }

    /// The stranger's part: a plan that does not know the plugin yet, the plugin added, what it asks for judged, and a run.
    fn take(&self) -> Result<Duration> {
        let plan = read(&self.project.join("plan.yaml"))?;
        let line = format!("  {}: {{", self.name);
        let without: Vec<&str> = plan.lines().filter(|it| !it.starts_with(&line)).collect();
        let mut without = without.join("\n") + "\n";
        // A list of plugins with nothing in it is none.
        without = without
            .replace("plugins:\nsteps:", "steps:")
            .replace("plugins:\nbudget:", "budget:");
        write(&self.stranger.join("plan.yaml"), &without)?;
        let start = Instant::now();
        let pack = format!("{}.fhp", self.name);
        let add = ["plugin", "add", &pack, "--plan", "plan.yaml", "--yes"];
        process::output(&mut self.flowhost(&self.stranger, &add))?;
        self.judge()?;
        process::output(&mut self.flowhost(&self.stranger, &["plugin", "lock", "plan.yaml"]))?;
        let mut arguments = self.plan_run();
        arguments.push("--locked");
        process::output(&mut self.flowhost(&self.stranger, &arguments))?;
        process::output(&mut self.flowhost(&self.stranger, &["verify", "latest"]))?;
        Ok(start.elapsed())
    }

    /// Grants what was asked for. An adapter's server is the stranger's own: the one that the author tried it with.
    fn judge(&self) -> Result<()> {
        let written = self.stranger.join(format!("policies/{}.toml", self.name));
        if self.kind.word == "mcp-adapter" {
            let own = format!("{}-profile", self.name);
            let tried = read(&self.project.join(format!("policies/{own}.toml")))?;
            write(&written, &tried.replace(&own, &self.name))?;
            let server = self.stranger.join("server");
            std::fs::create_dir_all(&server).context("cannot make the server's folder")?;
            let program = "server/server.sh";
            std::fs::copy(self.project.join(program), self.stranger.join(program))
                .context("cannot copy the server")?;
            return Ok(());
        }
        if !written.exists() {
            // It asks for nothing, and `deny-all` is enough for it.
            return Ok(());
        }
        let asked = read(&written)?;
        // Comments that explain begin the file; what is asked for begins with its table.
        let (told, rights) = match asked.find("# [") {
            Some(at) => asked.split_at(at),
            None => (asked.as_str(), ""),
        };
        let granted: Vec<&str> = rights
            .lines()
            .map(|line| line.strip_prefix("# ").unwrap_or(line))
            .collect();
        write(&written, &format!("{told}{}\n", granted.join("\n")))
    }

    /// What runs the plan; an adapter's starts a process, which takes a second key.
    fn plan_run(&self) -> Vec<&'static str> {
        match self.kind.word {
            "mcp-adapter" => vec!["run", "plan.yaml", "--allow-process"],
            _ => vec!["run", "plan.yaml"],
        }
    }

    fn component(&self) -> String {
        format!("dist/{}.wasm", self.name)
    }

    fn pack(&self) -> String {
        format!("dist/{}.fhp", self.name)
    }

    fn flowhost(&self, folder: &Path, arguments: &[&str]) -> Command {
        self.command(&self.release.join("flowhost"), folder, arguments)
    }

    /// A program as this person starts it: author and stranger have a configuration of their own, so that neither has the
    /// other's key, and nothing of this repository is in reach.
    fn command(&self, program: &Path, folder: &Path, arguments: &[&str]) -> Command {
        let who = match folder.starts_with(&self.stranger) {
            true => &self.stranger,
            false => &self.author,
        };
        let mut command = process::program(program, folder, arguments);
        let variables = std::env::vars_os().map(|(name, _)| name);
        for name in variables.filter(|name| name.to_string_lossy().starts_with("FLOWHOST_")) {
            command.env_remove(name);
        }
        command
            .env("XDG_CONFIG_HOME", who.join("config"))
            // Cargo sets these for whatever it starts, and so for this task: an author's shell has none of them.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTUP_TOOLCHAIN")
            .stdin(Stdio::null());
        command
    }

    fn timed(&self, command: &mut Command) -> Result<Duration> {
        let start = Instant::now();
        process::output(command)?;
        Ok(start.elapsed())
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// A living `flowhost dev`, and what it tells.
struct Dev {
    child: Child,
    told: mpsc::Receiver<Value>,
}

impl Dev {
    fn start(command: &mut Command) -> Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command
            .spawn()
            .context("`flowhost dev` cannot be started")?;
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

    /// Waits for the end of the next run, which is a good one.
    fn run_ended(&self) -> Result<()> {
        loop {
            let told: Value = self
                .told
                .recv_timeout(PATIENCE)
                .context("`flowhost dev` does not tell of a run's end")?;
            match told.get("event").and_then(Value::as_str) {
                Some("run-ended") => {
                    let code = told.get("exit_code").and_then(Value::as_u64);
                    ensure!(code == Some(0), "a run ended badly: {told}");
                    return Ok(());
                }
                Some("refused" | "build-failed") => bail!("`flowhost dev` tells {told}"),
                _ => {}
            }
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It ends by a key or a signal; both are tested elsewhere, and here nothing is open any more.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}
