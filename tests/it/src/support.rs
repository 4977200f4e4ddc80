//! A user's folder and the built executable: every test starts from an empty folder, writes what a
//! user would write, runs the command a user would run, and looks at what a user would see.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flowhost_ledger::{Payloads, RealDisk};
use serde_json::Value;

/// The key of the tests' own compile cache, `target/it-cache`.
pub(crate) const CACHE_KEY: [u8; 32] = [3; 32];

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

/// The profile folder of this build: `target/debug` or its like.
fn build_folder() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(2).unwrap().to_owned()
}

/// The executable that `cargo build -p flowhost` made, beside this test, or the one that a house task tries in its place.
pub(crate) fn executable() -> PathBuf {
    let named = std::env::var_os("FLOWHOST_UNDER_TEST").map(PathBuf::from);
    let path = named.unwrap_or_else(|| build_folder().join("flowhost"));
    assert!(
        path.is_file(),
        "build it first: cargo build -p flowhost ({})",
        path.display()
    );
    path
}

/// A component below the build's output: `guests/limit_loop.wasm`, `plugins/markdown.wasm`.
pub(crate) fn built(relative: &str) -> PathBuf {
    let path = repository().join("target").join(relative);
    assert!(
        path.is_file(),
        "build it first: cargo xtask build-guests ({})",
        path.display()
    );
    path
}

/// A test guest's component, by name.
pub(crate) fn guest(name: &str) -> PathBuf {
    built(&format!("guests/{name}.wasm"))
}

/// A guest in another language, or none where its toolchain is not installed and nobody demands it.
pub(crate) fn foreign(name: &str) -> Option<PathBuf> {
    let path = repository().join(format!("target/guests/{name}.wasm"));
    if path.is_file() {
        return Some(path);
    }
    assert!(
        std::env::var_os("FLOWHOST_COMPAT_REQUIRED").is_none(),
        "{} is not built: cargo xtask build-guests --all",
        path.display()
    );
    eprintln!(
        "skipped: {} is not built (cargo xtask build-guests --all)",
        path.display()
    );
    None
}

/// Whether a shipped plugin is there that is written in TypeScript, or a word about it where its toolchain is not
/// installed and nobody demands it.
pub(crate) fn script_plugin(name: &str) -> bool {
    let is_there = repository()
        .join(format!("target/plugins/{name}.wasm"))
        .is_file();
    assert!(
        is_there || std::env::var_os("FLOWHOST_COMPAT_REQUIRED").is_none(),
        "the plugin {name} is not built: cargo xtask build-guests"
    );
    if !is_there {
        eprintln!(
            "skipped: the plugin {name} is not built (cargo xtask build-guests, which needs npm)"
        );
    }
    is_there
}

/// Whether this machine confines native processes, as `flowhost doctor` says; a test of one is left out with a word
/// where it does not, because the host starts none there.
pub(crate) fn confines() -> bool {
    let told = Home::new().flowhost(&["doctor", "--json"]).json();
    let checks = told["checks"].as_array().unwrap();
    let found = checks
        .iter()
        .find(|check| check["name"] == "native processes");
    let confined = found.unwrap()["level"] == "ok";
    if !confined {
        eprintln!("skipped: this machine cannot confine a process (flowhost doctor says why)");
    }
    confined
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    shown: String,
}

impl Ran {
    /// The one JSON document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not one JSON document: {error}\n{}", self.all()))
    }

    /// Fails with everything the command said unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    /// Command, exit code and both streams.
    pub(crate) fn all(&self) -> String {
        let mut all = format!("$ {}\n", self.shown);
        for (name, stream) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !stream.is_empty() {
                write!(all, "----- {name}\n{}\n", stream.trim_end()).unwrap();
            }
        }
        write!(all, "----- exit {}", self.code).unwrap();
        all
    }
}

/// A user's project folder with its own state.
pub(crate) struct Home {
    dir: Folder,
}

enum Folder {
    /// Gone with its owner.
    Own(tempfile::TempDir),
    /// Another process's.
    Lent(PathBuf),
}

impl Home {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self {
            dir: Folder::Own(tempfile::tempdir().unwrap()),
        }
    }

    /// A folder that another process of the test has made, and removes.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            dir: Folder::Lent(path),
        }
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        match &self.dir {
            Folder::Own(dir) => dir.path(),
            Folder::Lent(path) => path,
        }
    }

    /// Writes a file, with its folders.
    pub(crate) fn file(&self, relative: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// Reads a file.
    pub(crate) fn read(&self, relative: &str) -> String {
        std::fs::read_to_string(self.path().join(relative)).unwrap()
    }

    /// Lets this folder's runs use what the test binary has compiled before: the plugins with parsers in
    /// them take half a minute otherwise. Only for tests that are not about compiling.
    pub(crate) fn warm(&self) {
        use std::os::unix::fs::{OpenOptionsExt as _, symlink};
        let cache = repository().join("target/it-cache");
        std::fs::create_dir_all(&cache).unwrap();
        let host = self.path().join(".flowhost/host");
        std::fs::create_dir_all(&host).unwrap();
        symlink(cache, self.path().join(".flowhost/cache")).unwrap();
        let mut key = std::fs::OpenOptions::new();
        key.write(true).create_new(true).mode(0o600);
        let mut key = key.open(host.join("cache.key")).unwrap();
        std::io::Write::write_all(&mut key, &CACHE_KEY).unwrap();
        self.vouch();
    }

    /// Marks the state folder as made here, for a test that puts keys into it.
    pub(crate) fn vouch(&self) {
        use std::os::unix::fs::MetadataExt as _;
        let made = self.file(".flowhost/host/made", "");
        let about = std::fs::metadata(made).unwrap();
        let at = format!("{}.{:09}\n", about.ctime(), about.ctime_nsec());
        self.file(".flowhost/host/made.at", at);
    }

    /// Copies a guest's component into the folder.
    pub(crate) fn guest(&self, name: &str) {
        std::fs::copy(guest(name), self.path().join(format!("{name}.wasm"))).unwrap();
    }

    /// The command, with a clean environment and this folder as the current one.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command.args(arguments).current_dir(self.path()).env_clear();
        command
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.path().join("home-of-user"));
        command.env("FLOWHOST_PLUGINS", repository().join("target/plugins"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs `flowhost ARGUMENTS` to its end.
    pub(crate) fn flowhost(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        self.ran(&output, arguments)
    }

    /// What an ended command did.
    pub(crate) fn ran(&self, output: &Output, arguments: &[&str]) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
            shown: format!("flowhost {}", arguments.join(" ")),
        }
    }

    /// A tool guest's one-step plan under the profile text, run; the step is `only`.
    pub(crate) fn run_tool(&self, guest: &str, profile: &str, input: &str) -> Ran {
        self.guest(guest);
        self.file(
            "policies/under-test.toml",
            format!("version = 1\nname = \"under-test\"\n{profile}"),
        );
        self.file(
            "plan.yaml",
            format!(
                "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  guest: {{ kind: tool, \
                 source: ./{guest}.wasm, profile: under-test }}\nsteps:\n  only: {{ uses: guest/run, \
                 with: {input} }}\noutputs: {{ only: \"${{{{ steps.only.output }}}}\" }}\n"
            ),
        );
        self.flowhost(&["run", "plan.yaml", "--json"])
    }

    /// All records of the only run, in order; a payload that is a JSON object stands in `said`.
    pub(crate) fn records(&self) -> Vec<Value> {
        let runs = self.path().join(".flowhost/default/runs");
        let run = std::fs::read_dir(&runs)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        self.records_of(&run)
    }

    /// All records of a run's folder, as [`Home::records`].
    pub(crate) fn records_of(&self, run: &Path) -> Vec<Value> {
        let payloads = Payloads::open(&RealDisk, run).unwrap();
        let said = |record: Value| with_payload(record, &payloads);
        let mut segments: Vec<PathBuf> = std::fs::read_dir(run)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("seg-")
            })
            .collect();
        segments.sort();
        segments
            .iter()
            .flat_map(|path| {
                let text = std::fs::read_to_string(path).unwrap();
                text.lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect::<Vec<Value>>()
            })
            .map(said)
            .collect()
    }
}

fn with_payload(mut record: Value, payloads: &Payloads<'_>) -> Value {
    let seq = record["seq"].as_str().unwrap().parse().unwrap();
    let payload = record["commit"]
        .as_str()
        .and_then(|commit| payloads.get(seq, commit).unwrap());
    let said = payload.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    if let Some(said) = said.filter(Value::is_object) {
        record["said"] = said;
    }
    record
}

/// Filters that make output stable: ids, hashes, times, durations, folders.
pub(crate) fn stable(text: &str, home: &Home) -> String {
    let text = text.replace(&home.path().display().to_string(), "[home]");
    let filters: &[(&str, &str)] = &[
        (r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "[ulid]"),
        (r"sha256:[0-9a-f]{6,64}", "sha256:[hash]"),
        (r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        (r"\b\d+(\.\d+)? ?(ns|µs|ms|s)\b", "[duration]"),
        (r"\(\d+ records\)", "([n] records)"),
    ];
    let mut settings = text;
    for (pattern, name) in filters {
        let pattern = regex_lite::Regex::new(pattern).unwrap();
        settings = pattern.replace_all(&settings, *name).into_owned();
    }
    settings
}
