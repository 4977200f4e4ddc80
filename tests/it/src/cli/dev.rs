//! `flowhost dev` as an editor drives it: files change under a living process, and it says what follows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::interrupted::{ended, signal};
use crate::support::{Home, executable};

/// A living `flowhost dev`, and what it says.
struct Dev {
    child: Option<Child>,
    told: mpsc::Receiver<Value>,
}

impl Dev {
    fn start(home: &Home) -> Self {
        Self::with(home, &["dev", "plan.yaml", "--json"])
    }

    fn with(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (say, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if say.send(value).is_err() {
                    return;
                }
            }
        });
        let child = Some(child);
        Self { child, told }
    }

    /// Waits for the next fact of this name, and gives it with the names of those before it.
    #[track_caller]
    fn until(&self, event: &str) -> (Value, Vec<String>) {
        let mut before = Vec::new();
        loop {
            let told = self.told.recv_timeout(Duration::from_secs(120));
            let told = told.unwrap_or_else(|_| panic!("no `{event}` after {before:#?}"));
            if told["event"] == event {
                return (told, before);
            }
            before.push(told.to_string());
        }
    }

    fn end(mut self) -> Option<i32> {
        let child = self.child.take().unwrap();
        signal(&child, "INT");
        ended(child).code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

/// A plan of one quick step.
fn quick() -> Home {
    let home = Home::new();
    home.guest("ok_add");
    home.file(
        "plan.yaml",
        super::plan(
            &super::tool("ok_add", "deny-all"),
            "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }\noutputs: { sum: \"${{ steps.only.output }}\" }",
        ),
    );
    home
}

/// The same component with one more section that says nothing: another build.
fn rebuild(home: &Home, guest: &str, name: u8) {
    let file = home.path().join(format!("{guest}.wasm"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend([0, 2, 1, name]);
    // As builds do: whole, under another name first.
    let fresh = home.path().join("fresh.wasm");
    std::fs::write(&fresh, bytes).unwrap();
    std::fs::rename(fresh, file).unwrap();
}

#[test]
fn a_changed_plan_is_run_again_and_a_broken_one_keeps_the_last_good() {
    let home = quick();
    let dev = Dev::start(&home);
    let (started, _) = dev.until("run-started");
    assert_eq!(started["steps"], serde_json::json!(["only"]));
    let (first, _) = dev.until("run-ended");
    assert_eq!(first["exit_code"], 0, "{first}");
    let good = home.read("plan.yaml");
    home.file("plan.yaml", good.replace("uses:", "usess:"));
    let (refused, _) = dev.until("refused");
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.contains("usess") && message.contains("plan.yaml"),
        "{message}"
    );
    // Put right without a change, it is told that it is: the refusal would be the last word otherwise.
    home.file("plan.yaml", &good);
    let (said, _) = dev.until("said");
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("as it was before"), "{message}");
    home.file("plan.yaml", good.replace("a: 1", "a: 2"));
    let (second, _) = dev.until("run-ended");
    assert_eq!(second["exit_code"], 0, "{second}");
    assert_ne!(first["outputs"], second["outputs"], "a change is seen");
    assert_ne!(first["run"], second["run"]);
    assert_eq!(dev.end(), Some(130));
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn a_new_build_goes_into_the_living_run_and_begins_another_when_none_lives() {
    let home = super::interrupted::sleeping();
    let dev = Dev::start(&home);
    dev.until("step-started");
    rebuild(&home, "limit_sleep", b'a');
    let (swapped, before) = dev.until("swapped");
    assert_eq!(swapped["revision"], 2, "{before:#?}");
    assert!(
        before.iter().all(|it| !it.contains("run-started")),
        "{before:#?}"
    );
    rebuild(&home, "limit_sleep", b'b');
    assert_eq!(dev.until("swapped").0["revision"], 3);
    assert_eq!(dev.end(), Some(130));
    let records = home.records();
    let reloads = records.iter().filter(|it| it["kind"] == "reload");
    assert_eq!(reloads.count(), 2);
    home.flowhost(&["verify", "latest"]).expect(0);

    let home = quick();
    let dev = Dev::start(&home);
    dev.until("run-ended");
    rebuild(&home, "ok_add", b'a');
    let (again, _) = dev.until("run-started");
    assert_eq!(again["why"], "change");
    assert_eq!(dev.until("run-ended").0["exit_code"], 0);
}

#[test]
fn a_build_that_is_looked_at_while_the_run_ends_is_taken_by_the_next_one() {
    let large = crate::support::repository().join("target/guests/compat_js_spidermonkey.wasm");
    if !large.is_file() {
        eprintln!(
            "SKIPPED: {} takes long enough to compile; build it",
            large.display()
        );
        return;
    }
    let home = Home::new();
    home.guest("limit_sleep");
    // Room for either of them.
    home.file(
        "policies/slow.toml",
        "version = 1\nname = \"slow\"\n[limits]\ndeadline = \"60s\"\nmemory = \"128MiB\"\nfuel = 20_000_000_000\n",
    );
    let plugins = super::tool("limit_sleep", "slow");
    let steps = "  only: { uses: limit_sleep/run, with: {}, timeout: 500ms }";
    home.file("plan.yaml", super::plan(&plugins, steps));
    let dev = Dev::start(&home);
    dev.until("step-started");
    // It is asked for its tools, and compiled for that, before it is put anywhere; the run ends meanwhile.
    let fresh = home.path().join("fresh.wasm");
    std::fs::copy(large, &fresh).unwrap();
    std::fs::rename(fresh, home.path().join("limit_sleep.wasm")).unwrap();
    let (_, before) = dev.until("run-ended");
    let swapped = before.iter().any(|it| it.contains("\"swapped\""));
    assert!(!swapped, "it compiles too fast for this: {before:#?}");
    let (again, before) = dev.until("run-started");
    assert_eq!(again["why"], "change", "{before:#?}");
    let refused = before.iter().any(|it| it.contains("\"refused\""));
    assert!(!refused, "{before:#?}");
}

#[test]
fn wider_rights_wait_and_narrower_ones_do_not() {
    let home = super::interrupted::sleeping();
    let profile = home.read("policies/slow.toml");
    let dev = Dev::start(&home);
    dev.until("step-started");
    home.file("policies/slow.toml", profile.replace("60s", "61s"));
    let (wider, before) = dev.until("wider");
    assert_eq!(wider["plugin"], "limit_sleep", "{before:#?}");
    home.file("policies/slow.toml", profile.replace("60s", "59s"));
    let (swapped, before) = dev.until("swapped");
    assert_eq!(swapped["plugin"], "limit_sleep", "{before:#?}");
    assert_eq!(dev.end(), Some(130));
}

#[test]
fn with_a_lock_another_build_is_refused_and_the_locked_one_is_taken_again() {
    let home = quick();
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    let locked = std::fs::read(home.path().join("ok_add.wasm")).unwrap();
    let dev = Dev::with(&home, &["dev", "plan.yaml", "--json", "--locked"]);
    assert_eq!(dev.until("run-ended").0["exit_code"], 0);
    rebuild(&home, "ok_add", b'a');
    let (refused, before) = dev.until("refused");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("flowhost plugin update"), "{message}");
    let again = |it: &String| it.contains("run-started");
    assert!(!before.iter().any(again), "{before:#?}");
    home.file("ok_add.wasm", locked);
    let (said, _) = dev.until("said");
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("as it was before"), "{message}");
}

#[test]
fn the_exit_code_says_which_signal_ended_it() {
    let home = quick();
    for (kind, code) in [("TERM", 143), ("INT", 130)] {
        let mut dev = Dev::start(&home);
        dev.until("run-ended");
        let child = dev.child.take().unwrap();
        signal(&child, kind);
        assert_eq!(ended(child).code(), Some(code), "{kind}");
    }
}

#[test]
fn a_plan_that_is_not_there_ends_and_one_that_is_wrong_waits() {
    let home = Home::new();
    let ran = home.flowhost(&["dev", "plan.yaml"]).expect(1);
    assert!(
        ran.stderr.contains("the file does not exist"),
        "{}",
        ran.stderr
    );
    home.file("plan.yaml", "flowhost: v1\n");
    let dev = Dev::start(&home);
    dev.until("refused");
    home.guest("ok_add");
    let plugins = super::tool("ok_add", "deny-all");
    let steps = "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }";
    home.file("plan.yaml", super::plan(&plugins, steps));
    assert_eq!(dev.until("run-ended").0["exit_code"], 0);
}

#[test]
fn what_validate_refuses_is_refused_in_the_same_words_and_what_was_good_stays() {
    let home = quick();
    let dev = Dev::start(&home);
    assert_eq!(dev.until("run-ended").0["exit_code"], 0);
    let good = home.read("plan.yaml");
    let config = "profile: deny-all, config: { deep: true } }";
    let both = good.replace("profile: deny-all }", config);
    let both = both.replace("ok_add/run", "ok_add/rum");
    home.file("plan.yaml", &both);
    let (refused, before) = dev.until("refused");
    let message = refused["message"].as_str().unwrap();
    let valid = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    for part in ["this plugin reads none", "did you mean `ok_add/run`?"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert_eq!(message.trim(), valid.stderr.trim());
    assert!(
        before.iter().all(|it| !it.contains("run-started")),
        "{before:#?}"
    );
    // What its run alone can ask, whose components are compiled by then.
    home.file("plan.yaml", good.replace("ok_add/run", "ok_add/rum"));
    let (refused, _) = dev.until("refused");
    let message = refused["message"].as_str().unwrap();
    let valid = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(message.contains("did you mean `ok_add/run`?"), "{message}");
    assert_eq!(message.trim(), valid.stderr.trim());
    home.file("plan.yaml", good.replace("a: 1", "a: 2"));
    let (ended, before) = dev.until("run-ended");
    assert_eq!(ended["exit_code"], 0, "{ended} {before:#?}");
}

#[test]
fn run_watch_says_the_same_in_lines() {
    let home = quick();
    let dev = Dev::with(&home, &["run", "plan.yaml", "--watch"]);
    let line = |part: &str| loop {
        let told = dev.told.recv_timeout(Duration::from_secs(120)).unwrap();
        let text = told.as_str().unwrap().to_owned();
        if text.contains(part) {
            return text;
        }
    };
    assert_eq!(line("watching"), "watching plan.yaml and 1 plugin");
    line("only ok in");
    line("; report ");
}

/// A terminal of its own with `flowhost dev` on it.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn open(home: &Home) -> Self {
        // `script` makes a terminal of no size where its own input is none.
        let line = format!(
            "stty rows 30 cols 120; exec '{}' dev plan.yaml",
            executable().display()
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        script.current_dir(home.path()).env_clear();
        script
            .env("PATH", "/usr/bin:/bin")
            .env("TERM", "xterm-256color");
        script.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = shown.clone();
        std::thread::spawn(move || {
            let mut part = [0; 4_096];
            while let Ok(read @ 1..) = output.read(&mut part) {
                seen.lock().unwrap().extend(part.iter().take(read));
            }
        });
        Self { child, keys, shown }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn until(&self, part: &str) {
        let since = Instant::now();
        while !self.text().contains(part) {
            assert!(
                since.elapsed() < Duration::from_secs(120),
                "no {part:?} in {:?}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn key(&mut self, key: u8) {
        self.keys.write_all(&[key]).unwrap();
    }

    /// Types `q`: the terminal is given back as it was, and the process ends well.
    #[track_caller]
    fn quit(mut self) {
        self.key(b'q');
        self.until("\u{1b}[?1049l");
        let Self { child, shown, keys } = self;
        // Standard input stays open until the end: its end would be a hang-up to `script`.
        let status = ended(child);
        drop(keys);
        let shown = String::from_utf8_lossy(&shown.lock().unwrap()).into_owned();
        assert!(status.success(), "{status} {shown:?}");
    }
}

/// Whether there are terminals for tests here.
fn has_terminals() -> bool {
    let there = Command::new("script").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: `script` (util-linux) makes the terminal for this test; install it");
    }
    there
}

#[test]
fn a_step_is_run_alone_on_what_the_run_before_gave() {
    if !has_terminals() {
        return;
    }
    let home = quick();
    home.file(
        "plan.yaml",
        super::plan(
            &super::tool("ok_add", "deny-all"),
            "  first: { uses: ok_add/run, with: { a: 1, b: 2 } }\n  second: { needs: [first], uses: ok_add/run, \
             with: { a: 3, b: 4 } }",
        ),
    );
    let mut terminal = Terminal::open(&home);
    terminal.until(".flowhost/default/runs/");
    // The last step is the chosen one as long as none failed; up to the first, and down again.
    for key in [b'k', b'j', b's'] {
        terminal.key(key);
    }
    terminal.until("(only)");
    let since = Instant::now();
    loop {
        let ran = home.flowhost(&["runs", "show", "latest", "--json"]);
        // Between the end of one run and the first record of the next there may be nothing to show.
        let shown = if ran.code == 0 {
            ran.json()
        } else {
            Value::Null
        };
        // Its end is on record a moment before it is signed; only then has the run ended for who verifies it.
        if shown["run"]["only"] == "second" && shown["run"]["status"] == "ok" {
            let verified = home.flowhost(&["verify", shown["run_id"].as_str().unwrap()]);
            if verified.code == 0 {
                break;
            }
        }
        assert!(since.elapsed() < Duration::from_secs(120), "{}", ran.all());
        std::thread::sleep(Duration::from_millis(100));
    }
    terminal.quit();
}

#[test]
fn the_screen_shows_steps_and_plugins_and_gives_the_terminal_back() {
    if !has_terminals() {
        return;
    }
    let home = quick();
    let mut terminal = Terminal::open(&home);
    // Where nothing but a space stands, the cursor moves: words are found by themselves.
    for part in [
        "\u{1b}[?1049h",
        "steps",
        "plugins",
        "ok_add",
        "quit",
        ".flowhost/default/runs/",
    ] {
        terminal.until(part);
    }
    terminal.key(b'r');
    terminal.until("(again)");
    terminal.quit();
}

#[test]
fn a_profile_that_is_narrowed_after_the_way_back_holds() {
    if !has_terminals() {
        return;
    }
    let home = super::interrupted::sleeping();
    let profile = home.read("policies/slow.toml");
    let narrow = |deadline: &str| {
        home.file("policies/slow.toml", profile.replace("60s", deadline));
    };
    // How often another state of the plugin went into the run: its ledger is what the screen is drawn from.
    let until_reloads = |wanted: usize| {
        let since = Instant::now();
        loop {
            let runs = home.path().join(".flowhost/default/runs");
            let runs = std::fs::read_dir(runs).into_iter().flatten();
            let texts = runs.filter_map(|run| {
                let segment = run.ok()?.path().join("seg-00000000.jsonl");
                std::fs::read_to_string(segment).ok()
            });
            let count = |text: String| text.matches("\"kind\":\"reload\"").count();
            let found: usize = texts.map(count).sum();
            if found == wanted {
                return;
            }
            assert!(
                since.elapsed() < Duration::from_secs(120),
                "{found} reloads, and {wanted} are wanted"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let mut terminal = Terminal::open(&home);
    terminal.until("limit_sleep");
    terminal.until("running");
    // Another component with the same rights, by a custom section that says nothing. Back from a profile that is
    // narrower nobody could go: rights grow only with another run.
    let file = home.path().join("limit_sleep.wasm");
    let mut other = std::fs::read(&file).unwrap();
    other.extend([0, 2, 1, b'x']);
    std::fs::write(&file, other).unwrap();
    until_reloads(1);
    // On record a moment before `dev` has heard of it: until then there is nothing to go back to.
    terminal.until("live");
    terminal.key(b'b');
    until_reloads(2);
    narrow("59s");
    until_reloads(3);
    terminal.quit();
}
